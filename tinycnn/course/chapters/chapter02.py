"""Chapter 2: im2col."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.types import Array
from ...kernels.geometry import Window
from ...kernels.reference import conv
from ..bugs.chapter02 import broken_conv2d_im2col
from ..cases import Fill, Geometry, phases
from ..exercise import Chapter, Exercise, Hunt, Misreading, Result
from . import chapter01


def _taps(x: Array, KH: int, KW: int, stride: int, pad: int) -> Array:
    """Return the windows with all of their axes: (N, OH, OW, KH, KW, C)."""
    cols: Array = conv.im2col(x, Window((KH, KW), (stride, stride), (pad,) * 4))
    return cols


def _matrix(taps: Array) -> Array:
    """Return windows as a matrix, a row for each."""
    return taps.reshape(int(np.prod(taps.shape[:3])), int(np.prod(taps.shape[3:])))


def right_im2col(x: Array, KH: int, KW: int, stride: int, pad: int) -> Array:
    """Return im2col's matrix by the reference kernel."""
    return _matrix(_taps(x, KH, KW, stride, pad))


def _windows(size: Geometry, fill: Fill) -> dict[str, Any]:
    x = fill("x", (size.N, size.H, size.W, size.C))
    return {"x": x, "KH": size.KH, "KW": size.KW, "stride": size.stride, "pad": size.pad}


def _ordered(*axes: int) -> Callable[..., Array]:
    """Return a mistake: the axes (N, OH, OW, KH, KW, C) are in another order when they become a matrix."""
    return lambda **arguments: _matrix(_taps(**arguments).transpose(axes))


def _changed(change: Callable[[Array], Any]) -> Callable[..., Array]:
    """Return a mistake: windows, with all of their axes, are changed in place."""

    def results(**arguments: Any) -> Array:
        taps = _taps(**arguments)
        change(taps)
        return _matrix(taps)

    return results


def _zero(*index: Any) -> Callable[[Array], Any]:
    """Return a function that fills a part of an array with 0."""

    def change(array: Array) -> None:
        array[index] = 0

    return change


def _apart(x: Array, KH: int, KW: int, stride: int, pad: int) -> Array:
    """Return windows that lie one pixel apart, as many as there should be."""
    OH, OW = _taps(x, KH, KW, stride, pad).shape[1:3]
    return _matrix(_taps(x, KH, KW, 1, pad)[:, :OH, :OW])


ALL = slice(None)
IM2COL = Exercise(
    name="im2col",
    right=right_im2col,
    results=(Result("cols", ("N*OH*OW", "KH*KW*C")),),
    phases=phases(_windows, ("x",)),
    misreadings=(
        Misreading("Is the matrix transposed? Each window is a row.", lambda **a: right_im2col(**a).T),
        Misreading(
            "Is the channel (axis C) before the taps? A row is in the order (KH, KW, C), so that w.reshape fits it.",
            _ordered(0, 1, 2, 5, 3, 4),
        ),
        Misreading(
            "Are the axes KH and KW swapped in the rows? The row p of taps comes first.", _ordered(0, 1, 2, 4, 3, 5)
        ),
        Misreading(
            "Are the axes OH and OW swapped? The windows of one row of y follow each other.", _ordered(0, 2, 1, 3, 4, 5)
        ),
        Misreading(
            "Is the batch (axis N) after the positions? Rows are in the order (N, OH, OW).", _ordered(1, 2, 0, 3, 4, 5)
        ),
        Misreading(
            "Is the stride left out? Windows lie stride pixels apart.", lambda stride, **a: right_im2col(stride=1, **a)
        ),
        Misreading(
            "Is the stride missing from the positions? Window (i, j) begins at row i*stride, column j*stride.", _apart
        ),
        Misreading("Is the pad left out? Its zeros surround the images.", lambda pad, **a: right_im2col(pad=0, **a)),
        Misreading(
            "Are the taps flipped? Tap (p, q) is p rows below and q columns right of the window's corner.",
            lambda **a: _matrix(_taps(**a)[:, :, :, ::-1, ::-1]),
        ),
        Misreading("Is the last row of windows (axis OH) left out?", _changed(_zero(ALL, -1))),
        Misreading("Is the last column of windows (axis OW) left out?", _changed(_zero(ALL, ALL, -1))),
        Misreading("Is the last row of taps (axis KH) left out?", _changed(_zero(ALL, ALL, ALL, -1))),
        Misreading("Is the last column of taps (axis KW) left out?", _changed(_zero(ALL, ALL, ALL, ALL, -1))),
        Misreading(
            "Is only the first image used? The rows are those of all N images.", _changed(_zero(slice(1, None)))
        ),
        Misreading("Is only the first channel (axis C) used?", _changed(_zero(..., slice(1, None)))),
        Misreading(
            "Is only the first tap written? Is there a return inside the loop over the taps?",
            lambda **a: _matrix(_only_first_tap(_taps(**a))),
        ),
    ),
    hints=(
        "Make an array with six axes, (N, OH, OW, KH, KW, C), and make a matrix of it at the end.",
        "One tap (p, q) of all windows is one slice of the padded images, with the stride as its step.",
        "cols[:, :, :, p, q] = xpad[:, rows, columns]; then cols.reshape(N * OH * OW, KH * KW * C).",
    ),
    minutes=30,
)


def _only_first_tap(taps: Array) -> Array:
    only = np.zeros_like(taps)
    only[:, :, :, 0, 0] = taps[:, :, :, 0, 0]
    return only


def _reshaped(w: Array, **rest: Any) -> Array:
    """Return the convolution with weights whose filter was taken for the first axis."""
    return chapter01.right_conv(w=w.reshape(w.shape[3], -1).T.reshape(w.shape), **rest)


CONV2D_IM2COL = chapter01.CONV2D._replace(
    name="conv2d_im2col",
    misreadings=(
        *chapter01.CONV2D.misreadings,
        Misreading("Is w reshaped to (F, KH*KW*C)? The filter is its last axis: w.reshape(KH * KW * C, F).", _reshaped),
    ),
    hints=(
        "Row by row, im2col holds the windows in the order of y's positions. What do you multiply a window by?",
        "w.reshape(KH * KW * C, F) has one column for each filter, in the order of a window's numbers.",
        "y = (im2col(x, KH, KW, stride, pad) @ w.reshape(KH * KW * C, F) + b).reshape(N, OH, OW, F)",
    ),
    minutes=15,
)


def right_col2im(cols: Array, shape: tuple[int, ...], KH: int, KW: int, stride: int, pad: int) -> Array:
    """Return the images by the reference kernel."""
    window = Window((KH, KW), (stride, stride), (pad,) * 4)
    OH, OW = window.output_size((shape[1], shape[2]))
    x: Array = conv.col2im(cols.reshape(shape[0], OH, OW, KH, KW, shape[3]), shape[1:3], window)
    return x


def _back(size: Geometry, fill: Fill) -> dict[str, Any]:
    OH, OW = size.output_size
    cols = fill("cols", (size.N * OH * OW, size.KH * size.KW * size.C))
    shape = (size.N, size.H, size.W, size.C)
    return {"cols": cols, "shape": shape, "KH": size.KH, "KW": size.KW, "stride": size.stride, "pad": size.pad}


def scattered(
    taps: Array,
    shape: tuple[int, ...],
    stride: int,
    pad: int,
    *,
    add: bool = True,
    cut: int | None = None,
    step: int = 0,
) -> Array:
    """Add windows (N, OH, OW, KH, KW, C) to padded images, with a mistake.

    Parameters
    ----------
    add : bool
        Whether numbers are added to what is there, and do not replace it.
    cut : int, optional
        The row and column at which the images begin in the padded ones, by default ``pad``; -1 does not cut at all.
    step : int
        By how much neighbouring windows lie apart; 0 stands for the stride.
    """
    N, H, W, C = shape
    step, cut = step or stride, pad if cut is None else cut
    OH, OW, KH, KW = taps.shape[1:5]
    xpad = np.zeros((N, H + 2 * pad, W + 2 * pad, C))
    for p in range(KH):
        for q in range(KW):
            place = (slice(None), slice(p, p + step * OH, step), slice(q, q + step * OW, step))
            xpad[place] = taps[:, :, :, p, q] + (xpad[place] if add else 0)
    return xpad if cut < 0 else xpad[:, cut : cut + H, cut : cut + W]


#: What is said of the mistake of ``cut_from_behind``.
FROM_BEHIND = (
    "Are the pads cut off with [pad:-pad]? Where pad is 0, that is [0:0], which is empty: write pad : pad + H."
)


def cut_from_behind(right: Callable[..., Array]) -> Callable[..., Array]:
    """Return the mistake of a slice ``pad:-pad`` in a function whose result has the axes (N, H, W, C)."""
    return lambda **arguments: right(**arguments) if arguments["pad"] else right(**arguments)[:, :0, :0]


def _scatter(order: tuple[str, ...] = (), **mistake: Any) -> Callable[..., Array]:
    """Return a mistake of col2im; ``order`` is that in which the axes of cols are taken."""
    letters = ("N", "OH", "OW", "KH", "KW", "C")

    def results(cols: Array, shape: tuple[int, ...], KH: int, KW: int, stride: int, pad: int) -> Array:
        OH, OW = Window((KH, KW), (stride, stride), (pad,) * 4).output_size((shape[1], shape[2]))
        sizes = dict(zip(letters, (shape[0], OH, OW, KH, KW, shape[3]), strict=True))
        taken = order or letters
        taps = cols.reshape([sizes[letter] for letter in taken])
        taps = taps.transpose([taken.index(letter) for letter in letters])
        if mistake.get("change"):
            taps = taps.copy()
            mistake["change"](taps)
        if mistake.get("flip"):
            taps = taps[:, :, :, ::-1, ::-1]
        rest = {key: value for key, value in mistake.items() if key not in ("change", "flip")}
        return scattered(taps, shape, stride, pad, **rest)

    return results


COL2IM = Exercise(
    name="col2im",
    right=right_col2im,
    results=(Result("x", ("N", "H", "W", "C")),),
    phases=phases(_back, ("cols",)),
    misreadings=(
        Misreading(
            "Do windows overwrite what others have brought? A pixel gets the sum of all its windows: +=.",
            _scatter(add=False),
        ),
        Misreading(
            "Are the pads not cut off? The images are rows pad to pad + H, columns pad to pad + W.", _scatter(cut=-1)
        ),
        Misreading(FROM_BEHIND, cut_from_behind(right_col2im)),
        Misreading(
            "Are the pads cut off at the bottom and right only? The images begin at row pad, column pad.",
            _scatter(cut=0),
        ),
        Misreading(
            "Is the stride missing from the positions? Window (i, j) begins at row i*stride, column j*stride.",
            _scatter(step=1),
        ),
        Misreading("Are the taps flipped?", _scatter(flip=True)),
        Misreading(
            "Is the channel (axis C) taken before the taps? A row is in the order (KH, KW, C).",
            _scatter(("N", "OH", "OW", "C", "KH", "KW")),
        ),
        Misreading("Are the axes KH and KW swapped in the rows?", _scatter(("N", "OH", "OW", "KW", "KH", "C"))),
        Misreading("Are the axes OH and OW swapped?", _scatter(("N", "OW", "OH", "KH", "KW", "C"))),
        Misreading("Is the last row of windows (axis OH) left out?", _scatter(change=_zero(ALL, -1))),
        Misreading("Is the last column of windows (axis OW) left out?", _scatter(change=_zero(ALL, ALL, -1))),
        Misreading("Is only the first image written?", _scatter(change=_zero(slice(1, None)))),
        Misreading(
            "Is only the first tap used? Is there a return inside the loop over the taps?",
            _scatter(change=lambda taps: np.copyto(taps, _only_first_tap(taps))),
        ),
    ),
    hints=(
        "It is im2col read backwards: where im2col copies from xpad to cols, col2im adds from cols to xpad.",
        "Begin with zeros of the padded shape. A pixel that lies in several windows gets a sum.",
        "xpad[:, rows, columns] += taps[:, :, :, p, q]; at the end, return the rows and columns without the pads.",
    ),
    minutes=25,
)

COUNTEREXAMPLE = Hunt(
    name="counterexample",
    broken=broken_conv2d_im2col,
    right=chapter01.right_conv,
    arguments=chapter01.COUNTEREXAMPLE.arguments,
    hints=(
        "Compare the order of the axes of cols, just before they become a matrix, with that of w.",
        "The orders are (C, KH, KW) and (KH, KW, C). For which sizes are these the same?",
        "Take two channels and two taps, and different numbers everywhere.",
    ),
    minutes=15,
)

CHAPTER = Chapter("chapter02", "im2col", "02-im2col.md", (IM2COL, CONV2D_IM2COL, COL2IM, COUNTEREXAMPLE))
