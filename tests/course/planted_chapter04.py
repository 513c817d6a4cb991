"""Errors of beginners in chapter 4."""

from functools import partial

from planting import Planted, one

_error = partial(one, "chapter04")

_INDEX = "argmax[larger] = p * KW + q"
_VALUE = "y[larger] = xpad[:, rows, columns][larger]"
_BOTH = "rows, columns = slice(p, p + stride * OH, stride), slice(q, q + stride * OW, stride)"
_APART = "rows, columns = slice(p, p + OH), slice(q, q + OW)"
_ADDED = "dxpad[:, rows, columns] += dy * won"
_CUT = "return dxpad[:, pad : pad + H, pad : pad + W]"
_COUNTED = "counts += inside[p : p + stride * OH : stride, q : q + stride * OW : stride]"
_SUM = "y += xpad[:, p : p + stride * OH : stride, q : q + stride * OW : stride]"
_SHARE = "dxpad[:, p : p + stride * OH : stride, q : q + stride * OW : stride] += share"

ERRORS = (
    _error("max_pool2d", "last of equal pixels wins", "> y", ">= y", "last of equal pixels"),
    _error("max_pool2d", "pads are 0", ", constant_values=-np.inf", "", "Are the pads 0?"),
    _error(
        "max_pool2d", "search begins with 0", "np.full((N, OH, OW, C), -np.inf", "np.full((N, OH, OW, C), 0", "with 0"
    ),
    Planted(
        "chapter04",
        "max_pool2d",
        "smallest pixel",
        (("constant_values=-np", "constant_values=np"), ("C), -np.inf", "C), np.inf"), ("> y", "< y")),
        "smallest pixel",
    ),
    _error("max_pool2d", "argmax by columns", _INDEX, "argmax[larger] = q * KH + p", "p*KW + q"),
    _error("max_pool2d", "argmax times KH", _INDEX, "argmax[larger] = p * KH + q", "multiplied by KH"),
    _error("max_pool2d", "argmax from 1", _INDEX, _INDEX + " + 1", "count from 1"),
    _error("max_pool2d", "argmax not written", _INDEX, "pass", "stay 0"),
    _error("max_pool2d", "argmax as float", "C), np.int64", "C)", "must hold whole numbers"),
    _error("max_pool2d", "argmax not returned", "return y, argmax", "return y", "must return 2 results, (y, argmax)"),
    _error("max_pool2d", "stride forgotten", _BOTH, _APART, "stride left out"),
    _error(
        "max_pool2d",
        "size taken for the stride",
        "OH, OW = (H + 2 * pad - KH) // stride + 1, (W + 2 * pad - KW) // stride + 1",
        "stride, OH, OW = KH, (H + 2 * pad) // KH, (W + 2 * pad) // KW",
        "(N, OH, OW, C) =",
    ),
    _error(
        "max_pool2d",
        "return in the loop",
        _VALUE,
        f"{_VALUE}\n            return y, argmax",
        "inside the loop over the",
    ),
    _error(
        "max_pool2d", "return in the outer loop", _VALUE, f"{_VALUE}\n        return y, argmax", "first row of taps"
    ),
    _error(
        "max_pool2d",
        "last row missing",
        "    return y, argmax",
        "    y[:, -1], argmax[:, -1] = 0, 0\n    return y, argmax",
        "axis OH",
    ),
    _error("max_pool2d", "input changed in place", _VALUE, f"x *= 1.5\n            {_VALUE}", "argument x in place"),
    _error("max_pool2d_dx", "pads cut off from behind", _CUT, "return dxpad[:, pad:-pad, pad:-pad]", "which is empty"),
    _error("max_pool2d_dx", "overwrites", "+= dy * won", "= dy * won", "overwrite"),
    _error(
        "max_pool2d_dx", "overwrites where it won", "+= dy * won", "= np.where(won, dy, dxpad[:, rows, columns])", "+="
    ),
    _error("max_pool2d_dx", "every pixel gets dy", "argmax == p * KW + q", "1", "every pixel of a window"),
    _error(
        "max_pool2d_dx", "winners of the first channel", "argmax ==", "argmax[..., :1] ==", "first channel's winners"
    ),
    _error("max_pool2d_dx", "shared out", "argmax == p * KW + q", "1 / (KH * KW)", "shared out"),
    _error("max_pool2d_dx", "argmax by columns", "p * KW + q", "q * KH + p", "p*KW + q"),
    _error("max_pool2d_dx", "stride forgotten", _BOTH, _APART, "stride missing"),
    _error("max_pool2d_dx", "pads left on", _CUT, "return dxpad", "pads not cut off"),
    _error("max_pool2d_dx", "pads cut off on one side", _CUT, "return dxpad[:, :H, :W]", "bottom and right only"),
    _error("max_pool2d_dx", "return in the loop", _ADDED, f"{_ADDED}\n            {_CUT}", "return inside the loop"),
    _error("max_pool2d_dx", "mean of the batch", "dy * won", "dy * won / N", "divided by N"),
    _error(
        "window_counts",
        "pads counted",
        "np.ones((H, W), np.int64), pad",
        "np.ones((H, W), np.int64), pad, constant_values=1",
        "pads counted",
    ),
    _error("window_counts", "last tap only", "counts +=", "counts =", "last tap"),
    _error(
        "window_counts", "stride forgotten", _COUNTED, "counts += inside[p : p + OH, q : q + OW]", "stride left out"
    ),
    _error("window_counts", "shape of the images", "np.zeros((OH, OW)", "np.zeros((OW, OH)", "ValueError in line"),
    _error("average_pool2d", "pads count", "y / counts[:, :, None]", "y / (KH * KW)", "Do the pads count?"),
    _error("average_pool2d", "sum", "y / counts[:, :, None]", "y", "Is it the sum?"),
    _error("average_pool2d", "overwrites", "y +=", "y[...] =", "Add them up"),
    _error(
        "average_pool2d",
        "return in the loop",
        _SUM,
        f"{_SUM}\n            return y / counts[:, :, None]",
        "return inside the loop",
    ),
    _error(
        "average_pool2d", "counts not fitted to the channels", "counts[:, :, None]", "counts", "axis of the channels"
    ),
    _error(
        "average_pool2d_dx",
        "pads count",
        "/ window_counts(H, W, KH, KW, stride, pad).astype(dy.dtype)[:, :, None]",
        "/ (KH * KW)",
        "Do the pads count?",
    ),
    _error(
        "average_pool2d_dx",
        "not divided",
        "/ window_counts(H, W, KH, KW, stride, pad).astype(dy.dtype)[:, :, None]",
        "",
        "not divided",
    ),
    _error(
        "average_pool2d_dx", "pads cut off from behind", _CUT, "return dxpad[:, pad:-pad, pad:-pad]", "which is empty"
    ),
    _error("average_pool2d_dx", "overwrites", "+= share", "= share", "overwrite"),
    _error("average_pool2d_dx", "pads left on", _CUT, "return dxpad", "pads not cut off"),
    _error("average_pool2d_dx", "float32", "C), dy.dtype", "C), np.float32", "float32"),
    _error(
        "counterexample", "no tie", "np.zeros((1, 2, 2, 1))", "np.arange(4.0).reshape(1, 2, 2, 1)", "no counterexample"
    ),
    Planted(
        "chapter04",
        "counterexample",
        "dy is 0",
        (("np.ones((1, 1, 1, 1))", "np.zeros((1, 1, 1, 1))"),),
        "no counterexample",
    ),
)
