"""Max-pooling of one image, as the pooling kernels and the convolution stages run it.

The inner loop goes over channels, which are neighbours in memory, so it runs in vectors.
"""

from typing import NamedTuple

from ..._arguments import output_size
from .jit import helper
from .memory import clear
from .pool_2x2 import best_of_four, one_of_four


class Pooling(NamedTuple):
    """The window of a pooling, as jitted code takes it; ``OH == 0`` stands for no pooling."""

    OH: int
    OW: int
    rows: int
    columns: int
    row_stride: int
    column_stride: int
    top: int
    left: int


NO_POOL = Pooling(0, 0, 0, 0, 0, 0, 0, 0)


def pooling(window, input_size):
    """Return the :class:`Pooling` of a window over images of ``input_size``."""
    top, _, left, _ = window.pads
    return Pooling(*output_size(window, input_size), *window.size, *window.strides, top, left)


@helper
def two_by_two(p):
    """Return whether windows are 2×2 without overlap or pads; at the lower and right border some may be cut off."""
    return p.rows == p.columns == p.row_stride == p.column_stride == 2 and p.top == p.left == 0


@helper
def pool_rows(p, images, start, H, W, C, first, last, y, argmax, n):
    """Compute rows ``first`` … ``last - 1`` of the result of one image. A window is cut to its pixels inside the image.

    Parameters
    ----------
    p : Pooling
    images : flat array
        The image to pool begins at ``images[start]``.
    start : int
    H, W, C : int
        The image's size.
    first, last : int
    y, argmax : flat arrays
        The results of all images, (N, OH, OW, C).
    n : int
        The number of the image in y and argmax.
    """
    common = two_by_two(p)
    for i in range(first, last):
        row = i * p.row_stride - p.top
        for j in range(p.OW):
            column, at = j * p.column_stride - p.left, ((n * p.OH + i) * p.OW + j) * C
            if common and row + 1 < H and column + 1 < W:
                best_of_four(C, images, start + (row * W + column) * C, W * C, y, at, argmax, at)
                continue
            best, winner, fresh = y[at : at + C], argmax[at : at + C], True
            for p_row in range(max(0, -row), min(p.rows, H - row)):
                for q in range(max(0, -column), min(p.columns, W - column)):
                    pixel = start + ((row + p_row) * W + column + q) * C
                    challenge(images[pixel : pixel + C], best, winner, p_row * p.columns + q, fresh)
                    fresh = False


@helper
def beats(value, champion):
    """Return whether a value is larger than the champion, or is the first NaN."""
    return (not value <= champion) & (champion == champion)


@helper
def challenge(values, best, winner, tap, fresh):
    """Keep the larger of each channel's value and its best so far, and the tap of that one.

    The first of equal values stays. A NaN beats every number, and nothing beats it.

    Parameters
    ----------
    values : (C,) array
    best, winner : (C,) arrays
        The best value so far of each channel, and its tap.
    tap : int
        The tap of ``values``.
    fresh : bool
        Whether there is no best value yet.
    """
    number = winner.dtype.type(tap)
    if fresh:
        for c in range(values.size):
            best[c] = values[c]
            winner[c] = number
    else:
        for c in range(values.size):
            value, champion = values[c], best[c]
            wins = beats(value, champion)
            best[c] = value if wins else champion
            winner[c] = number if wins else winner[c]


@helper
def unpool(p, dy, argmax, y, relu, n, H, W, C, dx, start):
    """Compute the gradient of one image; see :func:`unpool_rows`."""
    unpool_rows(p, dy, argmax, y, relu, n, 0, H, H, W, C, dx, start)


@helper
def unpool_rows(p, dy, argmax, y, relu, n, first, last, H, W, C, dx, start):
    """Compute some rows of one image's gradient: every tap of a window takes dy where it won, and else nothing.

    Parameters
    ----------
    p : Pooling
    dy, argmax, y : flat arrays
        Of all images, (N, OH, OW, C): the gradient by the pooled result, the winning taps, and the pooled result.
    relu : bool
        Whether a ReLU stands before the pooling, so that dy passes only where y is positive.
    n : int
        The number of the image.
    first, last : int
        Rows ``first`` … ``last - 1`` are computed. Windows that reach over them leave other rows incomplete.
    H, W, C : int
        The size of the image that was pooled.
    dx : flat array
        Its gradient begins at ``dx[start]``.
    start : int
    """
    common = two_by_two(p)
    above = max(0, (first + p.top - p.rows) // p.row_stride + 1)  # the first window that meets these rows
    below = min(p.OH, (last + p.top - 1) // p.row_stride + 1)  # one more than the last
    if above < below:
        first = min(first, max(0, above * p.row_stride - p.top))
        last = max(last, min(H, (below - 1) * p.row_stride - p.top + p.rows))
    if not (common and W == 2 * p.OW and last - first == 2 * (below - above)):  # else windows cover everything
        clear(dx, start + first * W * C, (last - first) * W * C)
    for i in range(above, below):
        row = i * p.row_stride - p.top
        for j in range(p.OW):
            column, at = j * p.column_stride - p.left, ((n * p.OH + i) * p.OW + j) * C
            if common and row + 1 < H and column + 1 < W:
                one_of_four(C, dy, at, argmax, at, y, at, relu, dx, start + (row * W + column) * C, W * C)
                continue
            value, winner, result = dy[at : at + C], argmax[at : at + C], y[at : at + C]
            for p_row in range(max(0, -row), min(p.rows, H - row)):
                for q in range(max(0, -column), min(p.columns, W - column)):
                    pixel = start + ((row + p_row) * W + column + q) * C
                    add_where(dx[pixel : pixel + C], value, winner, p_row * p.columns + q, result, relu)


@helper
def add_where(total, value, winner, tap, result, relu):
    """Compute ``total += value`` where ``winner == tap`` and the ReLU let the value pass."""
    number, nothing = winner.dtype.type(tap), value.dtype.type(0)
    for c in range(total.size):
        passes = (winner[c] == number) & ((not relu) | (result[c] > nothing))
        total[c] += value[c] if passes else nothing
