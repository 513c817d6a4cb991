"""A convolution as one matrix product, on an image that is small enough to print."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.checks import any_array, choice, pair
from ..core.messages import shown
from ..core.types import Array
from ..kernels import reference
from ..kernels.geometry import Window, same_pads
from ..kernels.reference.conv import im2col as windows_of

#: The largest number of windows that are printed one by one.
_MOST = 64


@dataclass(repr=False, eq=False)
class Im2col:
    """A convolution of one image and one kernel as a matrix product; ``print`` shows every step.

    Attributes
    ----------
    image : (H, W) array
    kernel : (KH, KW) array
    rows : (OH·OW, KH·KW) array
        The windows, each copied into a row.
    column : (KH·KW,) array
        The kernel as a column.
    result : (OH, OW) array
        ``rows @ column``, put back into the form of an image.
    places : list of (int, int)
        The row and column of each window in the result.
    """

    image: Array
    kernel: Array
    rows: Array
    column: Array
    result: Array
    places: list[tuple[int, int]]

    def __repr__(self) -> str:
        (H, W), (KH, KW), (OH, OW) = self.image.shape, self.kernel.shape, self.result.shape
        cells = _grid(self.rows)
        products = _texts(self.result)
        column = _texts(self.column)
        count, taps = self.rows.shape
        names = [f"window at ({row}, {column})" for row, column in self.places]
        wide = max(map(len, names))
        lines = [
            f"image {H}×{W}, kernel {KH}×{KW}",
            "",
            *_beside(_grid(self.image), _grid(self.kernel)),
            "",
            f"im2col: each window becomes a row of {taps} numbers, and the kernel a column",
            "",
        ]
        # The column of the kernel stands beside the rows, from the first line on.
        for number in range(max(min(count, _MOST), taps)):
            there = number < min(count, _MOST)
            left = f"{names[number] if there else '':<{wide}}  {cells[number] if there else ''}"
            full = wide + 2 + len(cells[0])
            factor = column[number] if number < taps else " " * len(column[0])
            equals = f"  = {products[number]}" if there else ""
            lines.append(f"{left:<{full}}  {'·' if number == 0 else ' '} {factor}{equals}".rstrip())
        if count > _MOST:
            lines.append(f"… and {count - _MOST} more windows")
        lines += ["", f"({count}×{taps}) @ ({taps}×1) = {count} numbers, which are the result {OH}×{OW}", ""]
        return "\n".join([*lines, *_grid(self.result)])


def im2col(image: Any = None, kernel: Any = None, strides: Any = 1, padding: str = "valid") -> Im2col:
    """Show how a convolution becomes one matrix product, in numbers.

    Parameters
    ----------
    image : (H, W) array, optional
        The image; by default 4×4 pixels with the numbers 1 to 16.
    kernel : (KH, KW) array, optional
        By default 2×2 numbers.
    strides : int or (int, int)
    padding : {"valid", "same"}
        With "same", the image gets zeros around it.

    Returns
    -------
    Im2col
        ``print`` shows it. Its arrays are those of the reference kernel.

    Raises
    ------
    ValueError
        If an argument is not valid; the message names it.

    Examples
    --------
    >>> from tinycnn import plotting
    >>> print(plotting.im2col([[1, 2, 3], [4, 5, 6]], [[1, 0], [0, -1]]))
    image 2×3, kernel 2×2
    <BLANKLINE>
    1 2 3     1  0
    4 5 6     0 -1
    <BLANKLINE>
    im2col: each window becomes a row of 4 numbers, and the kernel a column
    <BLANKLINE>
    window at (0, 0)  1 2 4 5  ·  1  = -4
    window at (0, 1)  2 3 5 6     0  = -4
                                  0
                                 -1
    <BLANKLINE>
    (2×4) @ (4×1) = 2 numbers, which are the result 1×2
    <BLANKLINE>
    -4 -4
    """
    x = _matrix(np.arange(1, 17).reshape(4, 4) if image is None else image, "image")
    w = _matrix([[1, 2], [0, -1]] if kernel is None else kernel, "kernel")
    try:
        steps = pair(strides, "strides")
    except TypeError as error:
        raise ValueError(str(error)) from error
    same = choice(padding, ("valid", "same"), "padding") == "same"
    size = (x.shape[0], x.shape[1])
    taps = (w.shape[0], w.shape[1])
    window = Window(taps, steps, same_pads(size, taps, steps) if same else (0, 0, 0, 0))
    OH, OW = window.output_size(size)
    if OH < 1 or OW < 1:
        raise ValueError(f"kernel must not be larger than the image {size}; got {taps}")
    batch = x[np.newaxis, :, :, np.newaxis]
    rows = windows_of(batch, window).reshape(OH * OW, w.size)
    y = reference.conv2d_forward(batch, w[..., None, None], None, steps, window.pads, (1, 1), 1)
    return Im2col(x, w, rows, w.ravel(), y[0, :, :, 0], list(np.ndindex(OH, OW)))


def _matrix(value: Any, name: str) -> Array:
    """Return a matrix of finite numbers as float64."""
    array = any_array(value, name)
    if array.ndim != 2 or not array.size or array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise ValueError(f"{name} must be a matrix of finite numbers, shape (H, W); got {shown(value)}")
    return array.astype(np.float64)


def _texts(array: Array) -> list[str]:
    """Return all numbers of an array as texts of the same length."""
    texts = [f"{value:.4g}" for value in array.ravel().tolist()]
    wide = max(map(len, texts))
    return [text.rjust(wide) for text in texts]


def _grid(matrix: Array) -> list[str]:
    """Return a matrix as lines of text."""
    texts, wide = _texts(matrix), matrix.shape[1]
    return [" ".join(texts[start : start + wide]) for start in range(0, len(texts), wide)]


def _beside(left: list[str], right: list[str]) -> list[str]:
    """Return two blocks of lines side by side."""
    count = max(len(left), len(right))
    wide = len(left[0])
    return [
        f"{left[n] if n < len(left) else '':<{wide}}    {right[n] if n < len(right) else ''}".rstrip()
        for n in range(count)
    ]
