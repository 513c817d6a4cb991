"""What both algorithms do around the product: zeros around images, the ReLU's gradient, the bias's gradient."""

from typing import NamedTuple

from ..machine.jit import helper
from ..machine.memory import copy

SUM_WIDTH = 128  # numbers that sums over pixels are taken of side by side, at most, where there are few filters


class Canvas(NamedTuple):
    """An image of ``height × width`` pixels with the content's first pixel at ``(top, left)``, ``spread`` apart.

    ``in_place``: that is the content itself, so nothing has to be copied.
    """

    height: int
    width: int
    top: int
    left: int
    spread_rows: int
    spread_columns: int
    in_place: bool


@helper
def place(canvas, image, start, H, W, C, first, last, target, target_start):
    """Copy an image's pixels to their places on rows first … last-1 of a canvas whose other pixels are zeros."""
    for h in range(H):
        row = h * canvas.spread_rows + canvas.top
        if first <= row < last:
            origin, to = start + h * W * C, target_start + row * canvas.width * C
            if canvas.spread_columns == 1:
                # Columns may be cut off: an input's last ones that no window reaches, or pads that exceed the window.
                before = max(0, -canvas.left)
                count = min(W, canvas.width - canvas.left) - before
                if count > 0:
                    copy(target, to + (canvas.left + before) * C, image, origin + before * C, count * C)
            else:
                for j in range(W):
                    column = j * canvas.spread_columns + canvas.left
                    if 0 <= column < canvas.width:
                        copy(target, to + column * C, image, origin + j * C, C)


@helper
def add_columns(values, start, rows, columns, total, total_start, work, sums_start):
    """``total += values.sum(axis=0)``; rows of few columns are taken several at a time, to fill vectors."""
    together = max(1, SUM_WIDTH // columns)
    while rows % together:
        together -= 1
    width = together * columns
    sums = work[sums_start : sums_start + width]
    sums[:] = 0
    for r in range(rows // together):
        row = values[start + r * width : start + (r + 1) * width]
        for i in range(width):
            sums[i] += row[i]
    for i in range(width):
        total[total_start + i % columns] += sums[i]


@helper
def gate(dy, y, start, count, dz, dz_start):
    """dy where the ReLU's result is positive."""
    gradient, result, gated = dy[start : start + count], y[start : start + count], dz[dz_start : dz_start + count]
    nothing = dy.dtype.type(0)
    for i in range(count):
        gated[i] = gradient[i] if result[i] > nothing else nothing
