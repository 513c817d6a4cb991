"""Pooling, a window at a time, the inner loop over channels: neighbours in memory, so it runs in vectors.

See ``reference.pool`` for the meaning.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from ..geometry import Window, argmax_dtype
from ._arrays import deliver, integers, operand, pieces, several, target
from ._jit import helper, kernel
from ._memory import clear, copy
from ._parallel import parallel
from ._two_by_two import best_of_four, one_of_four

__all__ = ["average_pool2d_backward", "average_pool2d_forward", "max_pool2d_backward", "max_pool2d_forward"]

CHUNK = 65_536  # pixels times channels that the windows of one chunk read, roughly


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
    return Pooling(*_output_size(window, input_size), *window.size, *window.strides, top, left)


def max_pool2d_forward(x, pool_size, strides, pads, out=None, work=None):
    """Parallel over output rows; see :func:`reference.max_pool2d_forward`."""
    x = operand("x", x, 4)
    window = _window(pool_size, strides, pads)
    N, H, W, C = x.shape
    OH, OW = _output_size(window, (H, W))
    outs, shape = several(out, 2), (N, OH, OW, C)
    y = target("out[0]", outs[0], shape, x.dtype, (x,))
    argmax = target("out[1]", outs[1], shape, argmax_dtype(window.size), (x, y))
    if y.size:
        p, chunks = pooling(window, (H, W)), _chunks(y.shape, window)
        _forward.launch(chunks, p, x.reshape(-1), H, W, C, y.reshape(-1), argmax.reshape(-1), N, chunks)
    return deliver(y, outs[0]), deliver(argmax, outs[1])


def max_pool2d_backward(dy, argmax, input_size, pool_size, strides, pads, out=None, work=None):
    """Parallel over images, whose windows may overlap; see :func:`reference.max_pool2d_backward`."""
    dy, input_size, window = _gradient_operands(dy, input_size, pool_size, strides, pads)
    argmax = operand("argmax", argmax, 4, argmax_dtype(window.size), dy.shape)
    dx = target("out", out, (len(dy), *input_size, dy.shape[-1]), dy.dtype, (dy, argmax))
    if dx.size:
        N, H, W, C = dx.shape
        p = pooling(window, input_size)
        _backward.launch(N, p, dy.reshape(-1), argmax.reshape(-1), False, H, W, C, dx.reshape(-1))
    return deliver(dx, out)


def average_pool2d_forward(x, pool_size, strides, pads, out=None, work=None):
    """Parallel over output rows; see :func:`reference.average_pool2d_forward`."""
    x = operand("x", x, 4)
    window = _window(pool_size, strides, pads)
    N, H, W, C = x.shape
    y = target("out", out, (N, *_output_size(window, (H, W)), C), x.dtype, (x,))
    if y.size:
        top, _, left, _ = window.pads
        _average(x, y, window.size, window.strides, (top, left), _chunks(y.shape, window))
    return deliver(y, out)


def average_pool2d_backward(dy, input_size, pool_size, strides, pads, out=None, work=None):
    """Parallel over images, whose windows may overlap; see :func:`reference.average_pool2d_backward`."""
    dy, input_size, window = _gradient_operands(dy, input_size, pool_size, strides, pads)
    dx = target("out", out, (len(dy), *input_size, dy.shape[-1]), dy.dtype, (dy,))
    if dx.size:
        top, _, left, _ = window.pads
        _share_out(dy, dx, window.size, window.strides, (top, left))
    return deliver(dx, out)


def _gradient_operands(dy, input_size, pool_size, strides, pads):
    """dy, the input's size and the window of a backward kernel, checked."""
    dy, input_size = operand("dy", dy, 4), integers("input_size", input_size, 2, 1)
    window = _window(pool_size, strides, pads)
    expected = (len(dy), *_output_size(window, input_size), dy.shape[-1])
    if dy.shape != expected:
        raise ValueError(f"dy must have shape {expected}, not {dy.shape}")
    return dy, input_size, window


def _chunks(output_shape, window):
    """How many chunks the output rows of all images are cut into."""
    N, OH, OW, C = output_shape
    return pieces(N * OH, max(1, CHUNK // (OW * C * window.size[0] * window.size[1])))


def _window(pool_size, strides, pads):
    """The window's description, checked."""
    size = integers("pool_size", pool_size, 2, 1)
    window = Window(size, integers("strides", strides, 2, 1), integers("pads", pads, 4, 0))
    if max(window.pads[:2]) >= size[0] or max(window.pads[2:]) >= size[1]:
        raise ValueError(f"pads {window.pads} must be smaller than the window {size}")
    return window


def _output_size(window, input_size):
    """``(OH, OW)``, or a complaint that no window fits."""
    size = window.output_size(input_size)
    if min(size) < 1:
        raise ValueError(f"x of size {input_size} is smaller than the window {window}")
    return size


@parallel
def _forward(chunk, lane, p, x, H, W, C, y, argmax, N, chunks):
    """Rows of all images are numbered through, r = n*OH + i."""
    rows = N * p.OH
    for r in range(chunk * rows // chunks, (chunk + 1) * rows // chunks):
        n, i = r // p.OH, r % p.OH
        pool_rows(p, x, n * H * W * C, H, W, C, i, i + 1, y, argmax, n)


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


@parallel
def _backward(n, lane, p, dy, argmax, relu, H, W, C, dx):
    """Image by image, as windows may overlap."""
    unpool(p, dy, argmax, dy, relu, n, H, W, C, dx, n * H * W * C)


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


@kernel()
def _average(x, y, pool_size, strides, pads, chunks):
    """As :func:`_forward`, but the pixels are added up and divided by their number."""
    N, H, W, C = x.shape
    OH, OW = y.shape[1:3]
    (KH, KW), (top, left) = pool_size, pads
    images, result = x.reshape(-1), y.reshape(-1)
    for chunk in prange(chunks):
        for r in range(chunk * (N * OH) // chunks, (chunk + 1) * (N * OH) // chunks):
            i = r % OH * strides[0] - top
            rows = min(KH, H - i) - max(0, -i)
            for j in range(OW):
                column, at = j * strides[1] - left, (r * OW + j) * C
                total = result[at : at + C]
                clear(result, at, C)
                for p in range(max(0, -i), min(KH, H - i)):
                    for q in range(max(0, -column), min(KW, W - column)):
                        pixel = ((r // OH * H + i + p) * W + column + q) * C
                        add(total, images[pixel : pixel + C])
                divide(total, rows * (min(KW, W - column) - max(0, -column)))


@kernel()
def _share_out(dy, dx, pool_size, strides, pads):
    """As :func:`_backward`, but every pixel of a window takes the same part of the gradient.

    That part is dy divided by the number of pixels, which stands in a row of its own while the window is visited.
    """
    N, OH, OW, C = dy.shape
    H, W = dx.shape[1:3]
    (KH, KW), (top, left) = pool_size, pads
    gradient, result = dy.reshape(-1), dx.reshape(-1)
    for n in prange(N):
        clear(result, n * H * W * C, H * W * C)
        share = np.empty(C, dy.dtype)
        for i in range(OH):
            row = i * strides[0] - top
            rows = min(KH, H - row) - max(0, -row)
            for j in range(OW):
                column = j * strides[1] - left
                copy(share, 0, gradient, ((n * OH + i) * OW + j) * C, C)
                divide(share, rows * (min(KW, W - column) - max(0, -column)))
                for p in range(max(0, -row), min(KH, H - row)):
                    for q in range(max(0, -column), min(KW, W - column)):
                        pixel = ((n * H + row + p) * W + column + q) * C
                        add(result[pixel : pixel + C], share)


@helper
def add(total, values):
    """``total += values``."""
    for c in range(total.size):
        total[c] += values[c]


@helper
def divide(values, count):
    """``values /= count``."""
    number = values.dtype.type(count)
    for c in range(values.size):
        values[c] /= number
