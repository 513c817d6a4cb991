"""Errors of beginners in chapter 2."""

from functools import partial

from planting import Planted, one

_error = partial(one, "chapter02")

_TAKEN = "cols[:, :, :, p, q] = xpad[:, rows, columns]"
_ADDED = "xpad[:, rows, columns] += taps[:, :, :, p, q]"
_MATRIX = "return cols.reshape(N * OH * OW, KH * KW * C)"
_BOTH = "rows, columns = slice(p, p + stride * OH, stride), slice(q, q + stride * OW, stride)"
_APART = "rows, columns = slice(p, p + OH), slice(q, q + OW)"
_PRODUCT = "cols @ w.reshape(KH * KW * C, F) + b"

ERRORS = (
    _error(
        "im2col",
        "channels before taps",
        _MATRIX,
        "return cols.transpose(0, 1, 2, 5, 3, 4).reshape(N * OH * OW, KH * KW * C)",
        "(axis C)",
    ),
    _error(
        "im2col",
        "taps transposed",
        _MATRIX,
        "return cols.swapaxes(3, 4).reshape(N * OH * OW, KH * KW * C)",
        "KH and KW",
    ),
    _error(
        "im2col",
        "positions transposed",
        _MATRIX,
        "return cols.swapaxes(1, 2).reshape(N * OH * OW, KH * KW * C)",
        "OH and OW",
    ),
    _error("im2col", "matrix transposed", "    " + _MATRIX, "    " + _MATRIX + ".T", "matrix transposed"),
    _error(
        "im2col",
        "images last",
        _MATRIX,
        "return np.moveaxis(cols, 0, 2).reshape(N * OH * OW, KH * KW * C)",
        "axis N",
    ),
    _error("im2col", "stride forgotten", _BOTH, _APART, "stride missing"),
    _error(
        "im2col",
        "return in the loop",
        _TAKEN,
        f"{_TAKEN}\n            {_MATRIX}",
        "return inside the loop",
    ),
    _error(
        "im2col",
        "last row of windows missing",
        "    " + _MATRIX,
        "    cols[:, -1] = 0\n    " + _MATRIX,
        "axis OH",
    ),
    _error("im2col", "flipped", "cols[:, :, :, p, q]", "cols[:, :, :, KH - 1 - p, KW - 1 - q]", "taps flipped"),
    _error("im2col", "six axes returned", _MATRIX, "return cols", "(N*OH*OW, KH*KW*C)"),
    _error("im2col", "float32", "KH, KW, C), x.dtype", "KH, KW, C), np.float32", "float32"),
    _error("conv2d_im2col", "bias forgotten", " + b", "", "bias left out"),
    _error(
        "conv2d_im2col",
        "weights reshaped the wrong way",
        _PRODUCT,
        "cols @ w.reshape(F, KH * KW * C).T + b",
        "w.reshape(KH * KW * C, F)",
    ),
    _error(
        "conv2d_im2col",
        "result not reshaped",
        "return y.reshape(N, OH, OW, F)",
        "return y",
        "(N, OH, OW, F)",
    ),
    _error(
        "conv2d_im2col",
        "result transposed",
        "y.reshape(N, OH, OW, F)",
        "y.reshape(N, OW, OH, F).swapaxes(1, 2)",
        "conv2d_im2col",
    ),
    _error("col2im", "overwrites", "+= taps", "= taps", "overwrite"),
    _error(
        "col2im",
        "pads left on",
        "return xpad[:, pad : pad + H, pad : pad + W]",
        "return xpad",
        "pads not cut off",
    ),
    _error(
        "col2im",
        "pads cut off on one side",
        "pad : pad + H, pad : pad + W",
        ":H, :W",
        "bottom and right only",
    ),
    _error(
        "col2im",
        "pads cut off from behind",
        "return xpad[:, pad : pad + H, pad : pad + W]",
        "return xpad[:, pad:-pad, pad:-pad]",
        "[0:0], which is empty",
    ),
    _error("col2im", "stride forgotten", _BOTH, _APART, "stride missing"),
    _error(
        "col2im",
        "channels before taps",
        "cols.reshape(N, OH, OW, KH, KW, C)",
        "np.moveaxis(cols.reshape(N, OH, OW, C, KH, KW), 3, 5)",
        "(axis C)",
    ),
    _error(
        "col2im",
        "return in the loop",
        _ADDED,
        f"{_ADDED}\n            return xpad[:, pad : pad + H, pad : pad + W]",
        "return inside the loop",
    ),
    _error(
        "col2im",
        "input changed in place",
        _ADDED,
        f"taps *= 1.5\n            {_ADDED}",
        "argument cols in place",
    ),
    Planted(
        "chapter02",
        "counterexample",
        "one channel",
        (("reshape(1, 1, 2, 2)", "reshape(1, 1, 4, 1)"), ("reshape(1, 2, 2, 1)", "reshape(1, 4, 1, 1)")),
        "no counterexample",
    ),
)
