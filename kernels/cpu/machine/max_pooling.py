"""Max-pooling of one image, as the pooling kernels and the convolution stages run it.

The inner loop goes over channels, which are neighbours in memory, so it runs in vectors.
"""

from typing import NamedTuple

from ..._arguments import output_size
from .jit import helper
from .memory import clear
from .pool_2x2 import best_of_four, one_of_four


class Pooling(NamedTuple):
    """A pooling's window, as jitted code takes it; no pooling if OH is 0."""

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
    """The :class:`Pooling` of a window over images of a size."""
    top, _, left, _ = window.pads
    return Pooling(*output_size(window, input_size), *window.size, *window.strides, top, left)


@helper
def two_by_two(p):
    """Whether windows are of the commonest kind, but perhaps for those cut off below and to the right."""
    return p.rows == p.columns == p.row_stride == p.column_stride == 2 and p.top == p.left == 0


@helper
def pool_rows(p, images, start, H, W, C, first, last, y, argmax, n):
    """Rows first … last-1 of the result of image n, which begins at ``images[start]``.

    A window is cut to its pixels inside the image.
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
    """Larger, or the first NaN."""
    return (not value <= champion) & (champion == champion)


@helper
def challenge(values, best, winner, tap, fresh):
    """Keep the larger of each channel's value and its best so far, and that one's tap.

    The first of equals stays. A NaN beats every number, and nothing beats it.
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
    """Image n's gradient: every tap of a window takes dy where it won, and nothing where it did not.

    With ``relu``, what was pooled had been through a ReLU: dy passes where the result y is positive.
    """
    common = two_by_two(p)
    clear(dx, start, H * W * C)
    for i in range(p.OH):
        row = i * p.row_stride - p.top
        for j in range(p.OW):
            column, at = j * p.column_stride - p.left, ((n * p.OH + i) * p.OW + j) * C
            if common and row + 1 < H and column + 1 < W:
                one_of_four(C, dy, at, argmax, at, y, relu, dx, start + (row * W + column) * C, W * C)
                continue
            value, winner, result = dy[at : at + C], argmax[at : at + C], y[at : at + C]
            for p_row in range(max(0, -row), min(p.rows, H - row)):
                for q in range(max(0, -column), min(p.columns, W - column)):
                    pixel = start + ((row + p_row) * W + column + q) * C
                    add_where(dx[pixel : pixel + C], value, winner, p_row * p.columns + q, result, relu)


@helper
def add_where(total, value, winner, tap, result, relu):
    """``total += value`` where ``winner == tap`` and the ReLU let it pass."""
    number, nothing = winner.dtype.type(tap), value.dtype.type(0)
    for c in range(total.size):
        passes = (winner[c] == number) & ((not relu) | (result[c] > nothing))
        total[c] += value[c] if passes else nothing
