"""Errors of beginners in chapter 1."""

from functools import partial

from planting import one

_error = partial(one, "chapter01")

_SIZE = "return (length + 2 * pad - kernel) // stride + 1"
_PLACED = "padded[:, pad : pad + H, pad : pad + W] = x"
_LOOP = "            y += xpad[:, rows, columns] @ w[p, q]"
_ROWS = "rows = slice(p, p + stride * (OH - 1) + 1, stride)"

ERRORS = (
    _error("output_size", "stride forgotten", " // stride", "", "stride left out"),
    _error("output_size", "first position forgotten", " + 1", "", "first position forgotten"),
    _error("output_size", "pad at one end", "2 * pad", "pad", "at one end only"),
    _error("output_size", "true division", "//", "/", "use //"),
    _error(
        "output_size",
        "rounded up",
        _SIZE,
        "return -(-(length + 2 * pad - kernel) // stride) + 1",
        "rounded up",
    ),
    _error(
        "pad_image",
        "top and left only",
        "H + 2 * pad, W + 2 * pad",
        "H + pad, W + pad",
        "bottom and the right",
    ),
    _error("pad_image", "image in the corner", _PLACED, "padded[:, :H, :W] = x", "at the bottom and the right"),
    _error("pad_image", "image not copied", _PLACED, "", "missing from the padded array"),
    _error("pad_image", "float32", "x.dtype", "np.float32", "returns the result as float32"),
    _error("conv2d", "kernel flipped", "w[p, q]", "w[KH - 1 - p, KW - 1 - q]", "kernel flipped"),
    _error("conv2d", "axes of the kernel swapped", "w[p, q]", "w[q, p]", "axes KH and KW"),
    _error(
        "conv2d",
        "stride forgotten in the slices",
        _ROWS,
        "rows = slice(p, p + OH)",
        "from the rows (axis H)",
    ),
    _error("conv2d", "bias forgotten", " + b", "", "bias left out"),
    _error(
        "conv2d",
        "bias for each tap",
        _LOOP,
        _LOOP + " + (b if p or q else 0)",
        "bias added once for each tap",
    ),
    _error("conv2d", "bias of the first filter", " + b", " + b[0]", "first filter's bias"),
    _error("conv2d", "return in the loop", _LOOP, f"{_LOOP}\n            return y", "return inside the loop"),
    _error("conv2d", "return in the outer loop", _LOOP, f"{_LOOP}\n        return y", "first row of taps"),
    _error("conv2d", "overwrites", "y +=", "y[...] =", "overwrite"),
    _error("conv2d", "last row missing", "    return y", "    y[:, -1] = 0\n    return y", "axis OH"),
    _error(
        "conv2d",
        "only the first image",
        _LOOP,
        _LOOP.replace("y +=", "y[:1] +=").replace("xpad[:,", "xpad[:1,"),
        "first image",
    ),
    _error(
        "conv2d",
        "only the first channel",
        _LOOP,
        "            y += xpad[:, rows, columns, :1] @ w[p, q, :1]",
        "first channel",
    ),
    _error("conv2d", "float32", "x.dtype) + b", "np.float32) + b.astype(np.float32)", "float32"),
    _error("conv2d", "input changed in place", _LOOP, "            x *= 1.5\n" + _LOOP, "argument x in place"),
    _error("conv2d", "pad forgotten", "xpad = pad_image(x, pad)", "xpad, pad = x, 0", "pad left out"),
    _error(
        "conv2d",
        "wrong axes of the result",
        "    return y",
        "    return y.transpose(0, 2, 1, 3)",
        "OH and OW",
    ),
    _error("conv2d", "endless loop", _LOOP, "            while True: pass", "does not end"),
    _error("conv2d", "index out of the image", "w[p, q]", "w[p + 1, q]", "IndexError in line"),
    _error(
        "counterexample",
        "no counterexample",
        "return x, w, np.zeros(1), 2, 0",
        "return x, w, np.zeros(1), 1, 0",
        "no counterexample",
    ),
)
