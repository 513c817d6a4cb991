"""Chapter 4: pooling."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...core.types import Array
from ...kernels.geometry import Window
from ...kernels.reference import pool
from ..bugs.chapter04 import broken_max_pool2d_dx
from ..cases import TOLERANCE, Fill, Geometry, first_only, numbers, phases, phases_with_hard_cases, without_last
from ..exercise import Case, Chapter, Exercise, Hunt, Misreading, Phase, Result
from .chapter02 import FROM_BEHIND, cut_from_behind, scattered

Y = Result("y", ("N", "OH", "OW", "C"))
DX = Result("dx", ("N", "H", "W", "C"))


@st.composite
def geometry(draw: st.DrawFn) -> Geometry:
    """Draw a geometry of pooling: every window has a pixel, and some windows reach beyond the edge."""
    KH, KW, stride = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    pad = draw(st.integers(0, min(KH, KW) - 1))

    def length(kernel: int) -> int:
        positions, left_over = draw(st.integers(1, 3)), draw(st.integers(0, stride - 1))
        return max(1, (positions - 1) * stride + kernel - 2 * pad + left_over)

    H, W = length(KH), length(KW)
    return Geometry(draw(st.integers(1, 2)), H, W, draw(st.integers(1, 2)), KH, KW, 1, stride, pad)


# The largest pixel --------------------------------------------------------------------------------------------------


def right_max(x: Array, KH: int, KW: int, stride: int, pad: int) -> tuple[Array, Array]:
    """Return the largest pixel of each window, and its tap, by the reference kernel."""
    y, argmax = pool.max_pool2d_forward(x, (KH, KW), (stride, stride), (pad,) * 4)
    return y, argmax.astype(np.int64)


def _pooling(x: Array, size: Geometry) -> dict[str, Any]:
    return {"x": x, "KH": size.KH, "KW": size.KW, "stride": size.stride, "pad": size.pad}


def _some_images(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    size = draw(geometry())
    return _pooling(fill("x", (size.N, size.H, size.W, size.C)), size)


def _row(*pixels: float) -> Array:
    """Return one image of one row."""
    return numbers(*pixels).reshape(1, 1, -1, 1)


def _square(*rows: tuple[float, ...]) -> Array:
    """Return one image of one channel."""
    return numbers(*rows)[None, :, :, None]


_MAX_HARD = (
    {"x": _row(1, 2), "KH": 1, "KW": 2, "stride": 2, "pad": 0},
    {"x": _row(2, 2), "KH": 1, "KW": 2, "stride": 2, "pad": 0},  # a tie
    {"x": _row(-1, -2), "KH": 1, "KW": 2, "stride": 2, "pad": 0},  # no pixel is positive
    {"x": _row(1, 2, 3), "KH": 1, "KW": 2, "stride": 2, "pad": 0},  # one pixel is left over
    {"x": _row(1, 3, 2), "KH": 1, "KW": 2, "stride": 1, "pad": 0},  # windows overlap
    {"x": _square((0, 0), (0, 0)), "KH": 2, "KW": 2, "stride": 2, "pad": 0},  # all are equal
    {"x": _square((-3,)), "KH": 2, "KW": 2, "stride": 2, "pad": 1},  # windows reach beyond the edge
    {"x": _square((-1, -2), (-3, -4)), "KH": 2, "KW": 2, "stride": 2, "pad": 1},
    {"x": _square((1, 2, 3, 6), (4, 5, 0, 0)), "KH": 2, "KW": 3, "stride": 1, "pad": 0},  # the window is no square
)


def taps(x: Array, KH: int, KW: int, stride: int, pad: int, fill: float = -np.inf, step: int = 0) -> Array:
    """Return the windows of images whose pads hold ``fill``, (N, OH, OW, KH, KW, C), perhaps ``step`` pixels apart."""
    OH, OW = Window((KH, KW), (stride, stride), (pad,) * 4).output_size((x.shape[1], x.shape[2]))
    step = step or stride
    xpad = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), constant_values=fill)
    found = np.zeros((len(x), OH, OW, KH, KW, x.shape[3]))
    for p in range(KH):
        for q in range(KW):
            found[:, :, :, p, q] = xpad[:, p : p + step * OH : step, q : q + step * OW : step]
    return found


def _of_taps(windows: Array) -> tuple[Array, Array]:
    """Return the largest tap of each window, and its number."""
    N, OH, OW, KH, KW, C = windows.shape
    rows = windows.reshape(N, OH, OW, KH * KW, C)
    return rows.max(3), rows.argmax(3)


def _largest(change: Callable[[Array], Array] = lambda windows: windows, **mistake: Any) -> Callable[..., Any]:
    """Return a mistake in the windows of which the largest pixel is taken."""
    return lambda **all_of_them: _of_taps(change(taps(**all_of_them, **mistake)))


def _with_argmax(change: Callable[..., Array]) -> Callable[..., Any]:
    """Return a mistake of argmax only: ``change`` takes p, q, KH and KW."""

    def results(x: Array, KH: int, KW: int, stride: int, pad: int) -> tuple[Array, Array]:
        y, argmax = right_max(x, KH, KW, stride, pad)
        return y, change(*divmod(argmax, KW), KH, KW)

    return results


def _last_wins(**all_of_them: Any) -> tuple[Array, Array]:
    windows = taps(**all_of_them)
    y, argmax = _of_taps(windows[:, :, :, ::-1, ::-1])
    return y, windows.shape[3] * windows.shape[4] - 1 - argmax


def _in_the_image(x: Array, KH: int, KW: int, stride: int, pad: int) -> tuple[Array, Array]:
    """Return argmax as the number of the pixel within its channel of the image."""
    y, argmax = right_max(x, KH, KW, stride, pad)
    p, q = divmod(argmax, KW)
    OH, OW = y.shape[1:3]
    i, j = np.arange(OH)[:, None, None], np.arange(OW)[:, None]
    return y, (i * stride + p - pad) * x.shape[2] + j * stride + q - pad


def _both(change: Callable[[Array], Array]) -> Callable[..., Any]:
    """Return a mistake that both results have."""
    return lambda **all_of_them: tuple(map(change, right_max(**all_of_them)))


def _first_taps(rows: int) -> Callable[..., Any]:
    """Return a mistake: only the first tap counts (0), or only the first row of taps (1)."""
    return _largest(lambda windows: windows[:, :, :, :1] if rows else windows[:, :, :, :1, :1])


def _zero_at_first(x: Array, KH: int, KW: int, stride: int, pad: int) -> tuple[Array, Array]:
    """Return the results of a search that begins with 0 and not with minus infinity."""
    y, argmax = right_max(x, KH, KW, stride, pad)
    return np.maximum(y, 0), np.where(y > 0, argmax, 0)


MAX_POOL2D = Exercise(
    name="max_pool2d",
    right=right_max,
    results=(Y, Result("argmax", ("N", "OH", "OW", "C"), dtype="int64")),
    phases=phases_with_hard_cases(_MAX_HARD, _some_images),
    misreadings=(
        Misreading(
            "Does the last of equal pixels win? The first counts: compare with >, not with >=, or use argmax.",
            _last_wins,
        ),
        Misreading(
            "Are the pads 0? A pad is no pixel and must not win over negative ones: fill it with -np.inf.",
            _largest(fill=0.0),
        ),
        Misreading(
            "Does the search begin with 0? A window of negative pixels has a negative maximum: begin with -np.inf.",
            _zero_at_first,
        ),
        Misreading("Is it the smallest pixel?", lambda x, **a: (-right_max(-x, **a)[0], right_max(-x, **a)[1])),
        Misreading(
            "Is the sign left out? The largest pixel is wanted, and -3 is smaller than 2.",
            lambda x, **a: right_max(abs(x), **a),
        ),
        Misreading(
            "Is the tap in argmax counted by columns? The row comes first: p*KW + q.",
            _with_argmax(lambda p, q, KH, KW: q * KH + p),
        ),
        Misreading(
            "Is p multiplied by KH in argmax? A row of the window has KW taps: p*KW + q.",
            _with_argmax(lambda p, q, KH, KW: p * KH + q),
        ),
        Misreading("Is argmax p + q? It is p*KW + q.", _with_argmax(lambda p, q, KH, KW: p + q)),
        Misreading(
            "Does argmax count from 1? The first tap is tap 0.", _with_argmax(lambda p, q, KH, KW: p * KW + q + 1)
        ),
        Misreading("Is argmax the place in the image? It is the place in the window, p*KW + q.", _in_the_image),
        Misreading("Does argmax stay 0?", _with_argmax(lambda p, q, KH, KW: 0 * p)),
        Misreading(
            "Is the stride left out? Window (i, j) begins at row i*stride, column j*stride of xpad.", _largest(step=1)
        ),
        Misreading("Is only the first tap looked at? Is there a return inside the loop over the taps?", _first_taps(0)),
        Misreading(
            "Is only the first row of taps looked at? Is there a return inside the loop over p?", _first_taps(1)
        ),
        Misreading(
            "Does each tap replace what the taps before gave? It may do so only where it is larger.",
            lambda **a: (taps(**a)[:, :, :, -1, -1], 0 * right_max(**a)[1] + a["KH"] * a["KW"] - 1),
        ),
        Misreading("Is the last row of y (axis OH) left out?", _both(lambda y: without_last(y, 1))),
        Misreading("Is the last column of y (axis OW) left out?", _both(lambda y: without_last(y, 2))),
        Misreading("Is only the first image computed (axis N)?", _both(lambda y: first_only(y, 0))),
        Misreading("Is only the first channel (axis C) computed?", _both(lambda y: first_only(y, 3))),
        Misreading(
            "Is it the largest over all channels (axis C)? Every channel is pooled by itself.",
            _largest(lambda windows: 0 * windows + windows.max(5, keepdims=True)),
        ),
        Misreading(
            "Is it the average? The largest pixel of each window is wanted.",
            lambda x, **a: (right_average(x, **a), right_max(x, **a)[1]),
        ),
        Misreading(
            "Are the axes OH and OW of the results swapped?", _both(lambda y: np.ascontiguousarray(y.swapaxes(1, 2)))
        ),
    ),
    hints=(
        "Begin with y = -np.inf everywhere, and let one tap after another improve it, for all windows at once.",
        "Where the pixels of tap (p, q), a slice of xpad as in chapter 1, are larger than y, replace y and argmax.",
        "larger = tap > y is an array of True and False: y[larger] = tap[larger], argmax[larger] = p * KW + q.",
    ),
    minutes=35,
)


# Its gradient -------------------------------------------------------------------------------------------------------


def right_max_dx(dy: Array, argmax: Array, H: int, W: int, KH: int, KW: int, stride: int, pad: int) -> Array:
    """Return the gradient of the largest pixels with respect to the images, by the reference kernel."""
    dx: Array = pool.max_pool2d_backward(dy, argmax, (H, W), (KH, KW), (stride, stride), (pad,) * 4)
    return dx


def _gradients(size: Geometry, fill: Fill) -> dict[str, Any]:
    """Make dy, and argmax of images that have no ties."""
    dy = fill("dy", (size.N, *size.output_size, size.C))
    rng = np.random.default_rng(sum(size))
    x = rng.permutation(size.N * size.H * size.W * size.C).reshape(size.N, size.H, size.W, size.C) + 0.0
    argmax = right_max(**_pooling(x, size))[1]
    sizes = {"H": size.H, "W": size.W, "KH": size.KH, "KW": size.KW, "stride": size.stride, "pad": size.pad}
    return {"dy": dy, "argmax": argmax, **sizes}


def _sent_back(won: Callable[..., Any] | None = None, **mistake: Any) -> Callable[..., Array]:
    """Return a mistake: ``won`` says from argmax, p, q, KH and KW which share of dy tap (p, q) gets."""
    wins = (lambda argmax, p, q, KH, KW: argmax == p * KW + q) if won is None else won

    def results(dy: Array, argmax: Array, H: int, W: int, KH: int, KW: int, stride: int, pad: int) -> Array:
        shares = np.zeros((*dy.shape[:3], KH, KW, dy.shape[3]))
        for p in range(KH):
            for q in range(KW):
                shares[:, :, :, p, q] = dy * wins(argmax, p, q, KH, KW)
        return scattered(shares, (len(dy), H, W, dy.shape[3]), stride, pad, **mistake)

    return results


def _replaced(dy: Array, argmax: Array, H: int, W: int, KH: int, KW: int, stride: int, pad: int) -> Array:
    """Return the gradient if the last window of a pixel that won several is the only one that counts."""
    N, OH, OW, C = dy.shape
    dxpad = np.zeros((N, H + 2 * pad, W + 2 * pad, C))
    for n, i, j, c in np.ndindex(N, OH, OW, C):
        p, q = divmod(int(argmax[n, i, j, c]), KW)
        dxpad[n, i * stride + p, j * stride + q, c] = dy[n, i, j, c]
    return dxpad[:, pad : pad + H, pad : pad + W]


def _replaced_by_taps(dy: Array, argmax: Array, H: int, W: int, KH: int, KW: int, stride: int, pad: int) -> Array:
    """Return the same if the last tap counts, and not the last window."""
    N, C = len(dy), dy.shape[3]
    dxpad = np.zeros((N, H + 2 * pad, W + 2 * pad, C))
    for tap in range(KH * KW):
        for n, i, j, c in np.argwhere(argmax == tap):
            dxpad[n, i * stride + tap // KW, j * stride + tap % KW, c] = dy[n, i, j, c]
    return dxpad[:, pad : pad + H, pad : pad + W]


_SUMS = "Do windows overwrite each other? A pixel that is the largest of several windows gets the sum: +=."

MAX_POOL2D_DX = Exercise(
    name="max_pool2d_dx",
    right=right_max_dx,
    results=(DX,),
    phases=phases(_gradients, ("dy",), geometry()),
    misreadings=(
        Misreading(_SUMS, _sent_back(add=False)),
        Misreading(_SUMS, _replaced),
        Misreading(_SUMS, _replaced_by_taps),
        Misreading(
            "Do the first channel's winners serve for all channels (axis C)? Each channel has its own in argmax.",
            _sent_back(lambda argmax, p, q, KH, KW: argmax[..., :1] == p * KW + q),
        ),
        Misreading(
            "Does every pixel of a window get dy? Only the largest does: where argmax == p*KW + q.",
            _sent_back(lambda argmax, p, q, KH, KW: 1),
        ),
        Misreading(
            "Is dy shared out among the pixels of a window? All of it belongs to the largest one.",
            _sent_back(lambda argmax, p, q, KH, KW: 1 / (KH * KW)),
        ),
        Misreading(
            "Is the tap in argmax counted by columns? The row comes first: p*KW + q.",
            _sent_back(lambda argmax, p, q, KH, KW: argmax == q * KH + p),
        ),
        Misreading(
            "Is p multiplied by KH? A row of the window has KW taps: p*KW + q.",
            _sent_back(lambda argmax, p, q, KH, KW: argmax == p * KH + q),
        ),
        Misreading(
            "Is only the first tap used? Is there a return inside the loop over the taps?",
            _sent_back(lambda argmax, p, q, KH, KW: (argmax == 0) & (p + q == 0)),
        ),
        Misreading(
            "Is only the first row of taps used? Is there a return inside the loop over p?",
            _sent_back(lambda argmax, p, q, KH, KW: (argmax == q) & (p == 0)),
        ),
        Misreading(
            "Does the first pixel of each window get dy? It belongs to the pixel that argmax names.",
            _sent_back(lambda argmax, p, q, KH, KW: p + q == 0),
        ),
        Misreading(
            "Is the stride missing from the positions? Window (i, j) begins at row i*stride, column j*stride.",
            _sent_back(step=1),
        ),
        Misreading("Are the pads not cut off? dx has the shape of x.", _sent_back(cut=-1)),
        Misreading(FROM_BEHIND, cut_from_behind(right_max_dx)),
        Misreading(
            "Are the pads cut off at the bottom and right only? The images begin at row pad, column pad.",
            _sent_back(cut=0),
        ),
        Misreading(
            "Is the last row of dy (axis OH) left out?", lambda dy, **a: right_max_dx(dy=without_last(dy, 1), **a)
        ),
        Misreading(
            "Is the last column of dy (axis OW) left out?", lambda dy, **a: right_max_dx(dy=without_last(dy, 2), **a)
        ),
        Misreading(
            "Is only the first image computed (axis N)?", lambda dy, **a: right_max_dx(dy=first_only(dy, 0), **a)
        ),
        Misreading(
            "Is only the first channel (axis C) computed?", lambda dy, **a: right_max_dx(dy=first_only(dy, 3), **a)
        ),
        Misreading(
            "Is dx divided by N? The loss has done that already.", lambda dy, **a: right_max_dx(dy=dy / len(dy), **a)
        ),
        Misreading("Is the sign wrong?", lambda dy, **a: right_max_dx(dy=-dy, **a)),
    ),
    hints=(
        "If the largest pixel of a window grows a little, y grows as much. If another pixel grows a little, y stays.",
        "Begin with zeros of the padded shape. Tap (p, q) adds dy to its pixels, but only where it won.",
        "dxpad[:, rows, columns] += dy * (argmax == p * KW + q), with the slices of the forward pass.",
    ),
    minutes=25,
)


# The average --------------------------------------------------------------------------------------------------------


def right_counts(H: int, W: int, KH: int, KW: int, stride: int, pad: int) -> Array:
    """Return how many pixels each window has."""
    counts = pool.pixel_counts((H, W), Window((KH, KW), (stride, stride), (pad,) * 4), np.float64)
    return np.asarray(counts[:, :, 0], np.int64)


@st.composite
def _sizes(draw: st.DrawFn) -> Case:
    size = draw(geometry())
    names = ("H", "W", "KH", "KW", "stride", "pad")
    return Case({name: getattr(size, name) for name in names})


def _whole_windows(H: int, W: int, KH: int, KW: int, stride: int, pad: int) -> Array:
    return np.full_like(right_counts(H, W, KH, KW, stride, pad), KH * KW)


WINDOW_COUNTS = Exercise(
    name="window_counts",
    right=right_counts,
    results=(Result("counts", ("OH", "OW"), dtype="int64"),),
    phases=(Phase("small whole numbers", _sizes(), 300),),
    misreadings=(
        Misreading("Are the pads counted? They are no pixels.", _whole_windows),
        Misreading(
            "Is the pad left out? A window that reaches beyond the edge has fewer pixels.",
            lambda pad, **a: right_counts(pad=0, **a),
        ),
        Misreading(
            "Are the pads at one end only? They are on all four sides.",
            lambda H, W, KH, KW, stride, pad: np.asarray(
                pool.pixel_counts((H, W), Window((KH, KW), (stride, stride), (pad, 0, pad, 0)), np.float64)[:, :, 0],
                np.int64,
            ),
        ),
        Misreading(
            "Is the stride left out? Window (i, j) begins at row i*stride, column j*stride of xpad.",
            lambda H, W, KH, KW, stride, pad: taps(np.ones((1, H, W, 1)), KH, KW, stride, pad, 0.0, 1).sum((3, 4))[
                0, :, :, 0
            ],
        ),
        Misreading(
            "Are the axes OH and OW swapped?",
            lambda H, W, KH, KW, **a: right_counts(H=W, W=H, KH=KW, KW=KH, **a),
        ),
        Misreading("Are KH and KW swapped?", lambda KH, KW, **a: right_counts(KH=KW, KW=KH, **a)),
        Misreading(
            "Is only the last tap counted? Add the taps up: +=.",
            lambda H, W, KH, KW, stride, pad: taps(np.ones((1, H, W, 1)), KH, KW, stride, pad, 0.0)[0, :, :, -1, -1, 0],
        ),
        Misreading(
            "Is only the first tap counted? Is there a return inside the loop over the taps?",
            lambda H, W, KH, KW, stride, pad: taps(np.ones((1, H, W, 1)), KH, KW, stride, pad, 0.0)[0, :, :, 0, 0, 0],
        ),
        Misreading(
            "Is only the first row of taps counted? Is there a return inside the loop over p?",
            lambda H, W, KH, KW, stride, pad: taps(np.ones((1, H, W, 1)), KH, KW, stride, pad, 0.0)[
                0, :, :, 0, :, 0
            ].sum(-1),
        ),
    ),
    hints=(
        "What would a convolution give for an image of ones and a kernel of ones?",
        "An array that is 1 where there is a pixel and 0 in the pads: its sum over a window is the number of pixels.",
        "inside = np.pad(np.ones((H, W), np.int64), pad); add inside[rows, columns] of each tap.",
    ),
    minutes=20,
)


def right_average(x: Array, KH: int, KW: int, stride: int, pad: int) -> Array:
    """Return the average of the pixels of each window, by the reference kernel."""
    y: Array = pool.average_pool2d_forward(x, (KH, KW), (stride, stride), (pad,) * 4)
    return y


def _images(size: Geometry, fill: Fill) -> dict[str, Any]:
    return _pooling(fill("x", (size.N, size.H, size.W, size.C)), size)


def _totals(step: int = 0) -> Callable[..., Array]:
    """Return the mistake that a sum is divided by the size of the window, or that windows lie elsewhere."""

    def results(x: Array, KH: int, KW: int, stride: int, pad: int) -> Array:
        found: Array = taps(x, KH, KW, stride, pad, 0.0, step).sum((3, 4))
        counts = right_counts(x.shape[1], x.shape[2], KH, KW, stride, pad)[:, :, None] if step else KH * KW
        return found / counts

    return results


def _sum_of_taps(change: Callable[[Array], Array]) -> Callable[..., Array]:
    """Return a mistake: only some of the taps are added up."""

    def results(x: Array, KH: int, KW: int, stride: int, pad: int) -> Array:
        counts = right_counts(x.shape[1], x.shape[2], KH, KW, stride, pad)[:, :, None]
        found: Array = change(taps(x, KH, KW, stride, pad, 0.0)).sum((3, 4)) / counts
        return found

    return results


AVERAGE_POOL2D = Exercise(
    name="average_pool2d",
    right=right_average,
    results=(Y,),
    phases=phases(_images, ("x",), geometry(), TOLERANCE),
    misreadings=(
        Misreading(
            "Do the pads count? A window is divided by the number of its pixels, counts[i,j], and not by KH*KW.",
            _totals(),
        ),
        Misreading(
            "Is it the sum? Divide by the number of pixels.",
            lambda **a: taps(**a, fill=0.0).sum((3, 4)),
        ),
        Misreading(
            "Does the divisor lack the axis of the channels (axis C)? NumPy aligns the last axes: counts[:, :, None].",
            lambda x, **a: taps(x, **a, fill=0.0).sum((3, 4)) / right_counts(x.shape[1], x.shape[2], **a),
        ),
        Misreading("Is it the largest pixel? The average is wanted.", lambda **a: right_max(**a)[0]),
        Misreading(
            "Is the stride left out? Window (i, j) begins at row i*stride, column j*stride of xpad.", _totals(1)
        ),
        Misreading(
            "Is only the first tap used? Is there a return inside the loop over the taps?",
            _sum_of_taps(lambda windows: windows[:, :, :, :1, :1]),
        ),
        Misreading(
            "Is only the first row of taps used? Is there a return inside the loop over p?",
            _sum_of_taps(lambda windows: windows[:, :, :, :1]),
        ),
        Misreading(
            "Does each tap replace what the taps before gave? Add them up: +=.",
            _sum_of_taps(lambda windows: windows[:, :, :, -1:, -1:]),
        ),
        Misreading("Is the last row of y (axis OH) left out?", lambda **a: without_last(right_average(**a), 1)),
        Misreading("Is the last column of y (axis OW) left out?", lambda **a: without_last(right_average(**a), 2)),
        Misreading("Is only the first image computed (axis N)?", lambda **a: first_only(right_average(**a), 0)),
        Misreading("Is only the first channel (axis C) computed?", lambda **a: first_only(right_average(**a), 3)),
        Misreading(
            "Is the average taken over the channels (axis C) too? Every channel is pooled by itself.",
            lambda x, **a: right_average(0 * x + x.mean(3, keepdims=True), **a),
        ),
        Misreading("Are the axes OH and OW swapped?", lambda **a: right_average(**a).swapaxes(1, 2)),
    ),
    hints=(
        "It is a convolution whose taps are all 1, for each channel by itself, and then a division.",
        "Add up the slices of xpad as in chapter 1. The pads are 0, so they change no sum; only the divisor must know.",
        "y / window_counts(...)[:, :, None], where the last axis, of length 1, stands for all channels.",
    ),
    minutes=20,
)


def right_average_dx(dy: Array, H: int, W: int, KH: int, KW: int, stride: int, pad: int) -> Array:
    """Return the gradient of the averages with respect to the images, by the reference kernel."""
    dx: Array = pool.average_pool2d_backward(dy, (H, W), (KH, KW), (stride, stride), (pad,) * 4)
    return dx


def _shared_gradients(size: Geometry, fill: Fill) -> dict[str, Any]:
    arguments = _gradients(size, fill)
    del arguments["argmax"]
    return arguments


def _shared(divide: str = "counts", change: Callable[[Array], Array] | None = None, **mistake: Any) -> Any:
    """Return a mistake in what dy is divided by, or in where its shares go."""

    def results(dy: Array, H: int, W: int, KH: int, KW: int, stride: int, pad: int) -> Array:
        counts = right_counts(H, W, KH, KW, stride, pad)[:, :, None]
        share = dy / {"counts": counts, "taps": KH * KW, "nothing": 1}[divide]
        shares = np.broadcast_to(share[:, :, :, None, None], (*dy.shape[:3], KH, KW, dy.shape[3])).copy()
        if change is not None:
            shares *= change(np.arange(KH * KW).reshape(KH, KW, 1))
        return scattered(shares, (len(dy), H, W, dy.shape[3]), stride, pad, **mistake)

    return results


AVERAGE_POOL2D_DX = Exercise(
    name="average_pool2d_dx",
    right=right_average_dx,
    results=(DX,),
    phases=phases(_shared_gradients, ("dy",), geometry(), TOLERANCE),
    misreadings=(
        Misreading(
            "Do the pads count? A window's dy is divided by the number of its pixels, counts[i,j], and not by KH*KW.",
            _shared("taps"),
        ),
        Misreading("Is dy not divided? Each pixel gets dy[n,i,j,c] / counts[i,j].", _shared("nothing")),
        Misreading(
            "Do windows overwrite each other? A pixel gets the sum over all of its windows: +=.", _shared(add=False)
        ),
        Misreading(
            "Is only the first tap used? Is there a return inside the loop over the taps?",
            _shared(change=lambda tap: tap == 0),
        ),
        Misreading(
            "Is only the first row of taps used? Is there a return inside the loop over p?",
            _shared(change=lambda tap: tap < tap.shape[1]),
        ),
        Misreading(
            "Is the stride missing from the positions? Window (i, j) begins at row i*stride, column j*stride.",
            _shared(step=1),
        ),
        Misreading("Are the pads not cut off? dx has the shape of x.", _shared(cut=-1)),
        Misreading(FROM_BEHIND, cut_from_behind(right_average_dx)),
        Misreading(
            "Are the pads cut off at the bottom and right only? The images begin at row pad, column pad.",
            _shared(cut=0),
        ),
        Misreading(
            "Is the last row of dy (axis OH) left out?", lambda dy, **a: right_average_dx(dy=without_last(dy, 1), **a)
        ),
        Misreading(
            "Is only the first image computed (axis N)?", lambda dy, **a: right_average_dx(dy=first_only(dy, 0), **a)
        ),
        Misreading(
            "Is only the first channel (axis C) computed?", lambda dy, **a: right_average_dx(dy=first_only(dy, 3), **a)
        ),
        Misreading(
            "Is dx divided by N? The loss has done that already.",
            lambda dy, **a: right_average_dx(dy=dy / len(dy), **a),
        ),
        Misreading("Is the sign wrong?", lambda dy, **a: right_average_dx(dy=-dy, **a)),
    ),
    hints=(
        "If a pixel of a window of 4 pixels grows by 1, by how much does the average grow?",
        "Divide dy by the counts first. Then each tap adds the same array to the pixels that it met.",
        "share = dy / counts[:, :, None]; dxpad[:, rows, columns] += share for each tap; then cut the pads off.",
    ),
    minutes=20,
)


# The bug hunt -------------------------------------------------------------------------------------------------------


def right_of_whole_windows(dy: Array, x: Array, size: int) -> Array:
    """Return the gradient for windows of size x size pixels that do not overlap."""
    H, W = x.shape[1:3]
    _, argmax = right_max(x, size, size, size, 0)
    if dy.shape != argmax.shape:
        raise ValueError(f"dy has the shape {dy.shape}, but the pooling's result has {argmax.shape}")
    return right_max_dx(dy, argmax, H, W, size, size, size, 0)


COUNTEREXAMPLE = Hunt(
    name="counterexample",
    broken=broken_max_pool2d_dx,
    right=right_of_whole_windows,
    arguments=(Result("dy", ("N", "OH", "OW", "C")), Result("x", ("N", "H", "W", "C")), Result("size")),
    hints=(
        "Add up all numbers of dx. Whatever the image is, the sum should be that of dy. Why?",
        "How many pixels of a window can be equal to its largest?",
        "Take one window of 2 x 2 pixels that are all 0, as after a ReLU.",
    ),
    minutes=10,
)

CHAPTER = Chapter(
    "chapter04",
    "Pooling",
    "04-pooling.md",
    (MAX_POOL2D, MAX_POOL2D_DX, WINDOW_COUNTS, AVERAGE_POOL2D, AVERAGE_POOL2D_DX, COUNTEREXAMPLE),
)
