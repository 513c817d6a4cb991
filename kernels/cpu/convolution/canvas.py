"""What both algorithms do around the product: zeros around images, the ReLU's gradient, the bias's gradient."""

from typing import NamedTuple

from ..machine.jit import helper
from ..machine.memory import clear, copy

SUM_WIDTH = 128  # at most so many numbers are summed over pixels side by side, where there are few filters


class Canvas(NamedTuple):
    """An image of ``height × width`` pixels that holds a smaller image among zeros.

    The content's first pixel is at ``(top, left)``, and its pixels are ``spread_rows`` and ``spread_columns`` apart.
    With ``in_place`` the canvas is the content itself, so nothing has to be copied.
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
    """Write rows ``first`` … ``last - 1`` of a canvas: an image's pixels at their places, and zeros around them.

    Parameters
    ----------
    canvas : Canvas
    image : flat array
        The image begins at ``image[start]``.
    start : int
    H, W, C : int
        The image's size.
    first, last : int
    target : flat array
        The canvas begins at ``target[target_start]``.
    target_start : int
    """
    width = canvas.width * C
    # Columns may be cut off: the last ones if no window reaches them, or some if pads exceed the window.
    cut, left = max(0, -canvas.left), max(0, canvas.left)
    count = min(W - cut, canvas.width - left)
    for row in range(first, last):
        to, h = target_start + row * width, (row - canvas.top) // canvas.spread_rows
        if row < canvas.top or h >= H or h * canvas.spread_rows + canvas.top != row:
            clear(target, to, width)
        elif canvas.spread_columns == 1 and count > 0:
            clear(target, to, left * C)
            copy(target, to + left * C, image, start + (h * W + cut) * C, count * C)
            clear(target, to + (left + count) * C, width - (left + count) * C)
        else:
            clear(target, to, width)
            for j in range(W):
                column = j * canvas.spread_columns + canvas.left
                if 0 <= column < canvas.width:
                    copy(target, to + column * C, image, start + (h * W + j) * C, C)


@helper
def add_columns(values, start, rows, columns, total, total_start, work, sums_start):
    """Compute ``total += values.sum(axis=0)``; rows of few columns are taken several at a time, to fill vectors.

    Parameters
    ----------
    values : flat array
        A matrix that begins at ``values[start]``.
    start, rows, columns : int
    total : flat array
        The sums begin at ``total[total_start]``.
    total_start : int
    work : flat array
        Scratch memory from ``work[sums_start]`` on: ``max(SUM_WIDTH, columns)`` numbers.
    sums_start : int
    """
    together = max(1, SUM_WIDTH // columns)
    while rows % together:
        together -= 1
    width = together * columns
    sums = work[sums_start : sums_start + width]
    sums[:] = 0
    rows //= together
    whole = rows // 4 * 4
    for r in range(0, whole, 4):  # four at a time, because a visit to the sums takes as long as one to a row
        at = start + r * width
        first, second = values[at : at + width], values[at + width : at + 2 * width]
        third, fourth = values[at + 2 * width : at + 3 * width], values[at + 3 * width : at + 4 * width]
        for i in range(width):
            sums[i] = sums[i] + first[i] + second[i] + third[i] + fourth[i]
    for r in range(whole, rows):
        row = values[start + r * width : start + (r + 1) * width]
        for i in range(width):
            sums[i] += row[i]
    for r in range(together):
        row = sums[r * columns : (r + 1) * columns]
        for c in range(columns):
            total[total_start + c] += row[c]


@helper
def gate(dy, y, start, count, dz, dz_start):
    """Compute ``dz = dy`` where the ReLU's result y is positive, else 0, for ``count`` numbers.

    Parameters
    ----------
    dy, y : flat arrays
        They are read from ``start`` on.
    start, count : int
    dz : flat array
        It is written from ``dz_start`` on.
    dz_start : int
    """
    gradient, result, gated = dy[start : start + count], y[start : start + count], dz[dz_start : dz_start + count]
    nothing = dy.dtype.type(0)
    for i in range(count):
        gated[i] = gradient[i] if result[i] > nothing else nothing
