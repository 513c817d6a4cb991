"""Errors of beginners in chapter 3."""

from functools import partial

from planting import Planted, one

_error = partial(one, "chapter03")

_SUM = "dy.sum(axis=(0, 1, 2))"
_DW = "dw[p, q] = met.T @ dy.reshape(-1, F)"
_DX = "dxpad[:, rows, columns] += dy @ w[p, q].T"
_BOTH = "rows, columns = slice(p, p + stride * OH, stride), slice(q, q + stride * OW, stride)"
_OPEN = "rows, columns = np.s_[p::stride], np.s_[q::stride]"
_APART = "rows, columns = slice(p, p + OH), slice(q, q + OW)"
_CUT = "return dxpad[:, pad : pad + H, pad : pad + W]"

ERRORS = (
    _error("conv2d_db", "of one sample", _SUM, "dy[0].sum(axis=(0, 1))", "first image only"),
    _error("conv2d_db", "over the batch only", _SUM, "dy.sum(axis=0)", "(axis N) only"),
    _error("conv2d_db", "mean", _SUM, "dy.mean(axis=(0, 1, 2))", "Is it a mean?"),
    _error("conv2d_db", "mean of the batch", _SUM, _SUM + " / len(dy)", "mean over N"),
    _error("conv2d_db", "one number", _SUM, "dy.sum()", "added up too"),
    _error("conv2d_db", "last row missing", _SUM, "dy[:, :-1].sum(axis=(0, 1, 2))", "axis OH"),
    Planted(
        "chapter03",
        "conv2d_dw",
        "accumulated from call to call",
        (
            ("= np.zeros((KH, KW, C, F), dy.dtype)", "= KEPT.setdefault((KH, KW, C, F), np.zeros((KH, KW, C, F)))"),
            ("] = met", "] += met"),
        ),
        "kept from call to call",
    ),
    _error(
        "conv2d_dw",
        "of the last image",
        _DW,
        "met = met.reshape(-1, OH * OW, C)\n            dw[p, q] = met[-1].T @ dy[-1].reshape(-1, F)",
        "last image",
    ),
    _error("conv2d_dw", "flipped", "dw[p, q] =", "dw[KH - 1 - p, KW - 1 - q] =", "flipped"),
    _error("conv2d_dw", "mean of the batch", "    return dw", "    return dw / len(x)", "divided by N"),
    _error("conv2d_dw", "stride forgotten", _BOTH, _APART, "stride missing"),
    _error(
        "conv2d_dw",
        "padding on one side only",
        "(pad, pad), (pad, pad)",
        "(0, 2 * pad), (0, 2 * pad)",
        "one side only",
    ),
    _error(
        "conv2d_dw",
        "pad forgotten",
        "np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))",
        "x",
        "fails only where pad > 0",
    ),
    _error("conv2d_dw", "slices without an end", _BOTH, _OPEN, "go on to the end of the array"),
    _error("conv2d_dw", "return in the loop", _DW, f"{_DW}\n            return dw", "return inside the loop"),
    _error(
        "conv2d_dw",
        "channels and filters swapped",
        "    return dw",
        "    return dw.swapaxes(2, 3)",
        "C and F",
    ),
    _error("conv2d_dw", "taps transposed", "    return dw", "    return dw.swapaxes(0, 1)", "KH and KW"),
    _error(
        "conv2d_dx", "pads cut off from behind", _CUT, "return dxpad[:, pad:-pad, pad:-pad]", "[0:0], which is empty"
    ),
    _error(
        "conv2d_dx",
        "size from that of dy",
        "(N, H + 2 * pad, W + 2 * pad, C)",
        "(N, (OH - 1) * stride + KH, (OW - 1) * stride + KW, C)",
        "use H and W",
    ),
    _error(
        "conv2d_dx",
        "H and W swapped",
        "(N, H + 2 * pad, W + 2 * pad, C)",
        "(N, W + 2 * pad, H + 2 * pad, C)",
        "fails only where H and W differ",
    ),
    _error("conv2d_dx", "overwrites", "+= dy", "= dy", "overwrite"),
    _error("conv2d_dx", "kernel flipped", "w[p, q].T", "w[KH - 1 - p, KW - 1 - q].T", "kernel flipped"),
    _error("conv2d_dx", "kernel not transposed", "w[p, q].T", "w[p, q]", "C and F"),
    _error("conv2d_dx", "stride forgotten", _BOTH, _APART, "stride missing"),
    _error("conv2d_dx", "pads left on", _CUT, "return dxpad", "pads not cut off"),
    _error(
        "conv2d_dx",
        "pads cut off on one side",
        "pad : pad + H, pad : pad + W",
        ":H, :W",
        "bottom and right only",
    ),
    _error(
        "conv2d_dx",
        "last row of dy missing",
        _DX,
        "dy = dy.copy()\n            dy[:, -1] = 0\n            " + _DX,
        "axis OH",
    ),
    _error("conv2d_dx", "return in the loop", _DX, f"{_DX}\n            {_CUT}", "return inside the loop"),
    _error("conv2d_dx", "input changed in place", _DX, f"dy *= 1.5\n            {_DX}", "argument dy in place"),
    _error("conv2d_dx", "float32", "C), dy.dtype", "C), np.float32", "float32"),
    _error("counterexample", "windows do not overlap", "1, 3, 1, 0", "1, 4, 2, 0", "no counterexample"),
)
