"""Pooling, one window at a time. See ``reference.pool`` for the meaning.

The inner loop goes over channels, which are neighbours in memory, so it runs in vectors.
"""

from .. import aligned
from .._arguments import check_gradient, integers, output_size, pooling_window, several
from ..geometry import argmax_dtype
from .machine.arrays import deliver, operand, pieces, target
from .machine.jit import helper
from .machine.max_pooling import pool_rows, pooling, unpool
from .machine.memory import clear, copy
from .machine.parallel import parallel, worker_count

__all__ = ["average_pool2d_backward", "average_pool2d_forward", "max_pool2d_backward", "max_pool2d_forward"]

CHUNK = 65_536  # pixels times channels that the windows of one chunk read, approximately


def max_pool2d_forward(x, pool_size, strides, pads, out=None, work=None):
    """Run in parallel over output rows; see :func:`reference.max_pool2d_forward`."""
    x = operand("x", x, 4)
    window = pooling_window(pool_size, strides, pads)
    N, H, W, C = x.shape
    OH, OW = output_size(window, (H, W))
    outs, shape = several(out, 2), (N, OH, OW, C)
    y = target("out[0]", outs[0], shape, x.dtype, (x,))
    argmax = target("out[1]", outs[1], shape, argmax_dtype(window.size), (x, y))
    if y.size:
        p, chunks = pooling(window, (H, W)), _chunks(y.shape, window)
        _forward.launch(chunks, p, x.reshape(-1), H, W, C, y.reshape(-1), argmax.reshape(-1), N, chunks)
    return deliver(y, outs[0]), deliver(argmax, outs[1])


def max_pool2d_backward(dy, argmax, input_size, pool_size, strides, pads, out=None, work=None):
    """Run in parallel over images, as windows may overlap; see :func:`reference.max_pool2d_backward`."""
    dy, input_size, window = _gradient_operands(dy, input_size, pool_size, strides, pads)
    argmax = operand("argmax", argmax, 4, argmax_dtype(window.size), dy.shape)
    dx = target("out", out, (len(dy), *input_size, dy.shape[-1]), dy.dtype, (dy, argmax))
    if dx.size:
        N, H, W, C = dx.shape
        p = pooling(window, input_size)
        _backward.launch(N, p, dy.reshape(-1), argmax.reshape(-1), False, H, W, C, dx.reshape(-1))
    return deliver(dx, out)


def average_pool2d_forward(x, pool_size, strides, pads, out=None, work=None):
    """Run in parallel over output rows; see :func:`reference.average_pool2d_forward`."""
    x = operand("x", x, 4)
    window = pooling_window(pool_size, strides, pads)
    N, H, W, C = x.shape
    y = target("out", out, (N, *output_size(window, (H, W)), C), x.dtype, (x,))
    if y.size:
        top, _, left, _ = window.pads
        chunks = _chunks(y.shape, window)
        _average.launch(chunks, x, y, window.size, window.strides, (top, left), chunks)
    return deliver(y, out)


def average_pool2d_backward(dy, input_size, pool_size, strides, pads, out=None, work=None):
    """Run in parallel over images, as windows may overlap; see :func:`reference.average_pool2d_backward`."""
    dy, input_size, window = _gradient_operands(dy, input_size, pool_size, strides, pads)
    dx = target("out", out, (len(dy), *input_size, dy.shape[-1]), dy.dtype, (dy,))
    if dx.size:
        top, _, left, _ = window.pads
        shares = (work or aligned.empty)((worker_count(len(dx)), dx.shape[-1]), dx.dtype)
        _share_out.launch(len(dx), dy, dx, window.size, window.strides, (top, left), shares)
    return deliver(dx, out)


def _gradient_operands(dy, input_size, pool_size, strides, pads):
    """Return dy, the input's size and the window of a backward kernel, checked."""
    dy, input_size = operand("dy", dy, 4), integers("input_size", input_size, 2, 1)
    window = pooling_window(pool_size, strides, pads)
    check_gradient(dy, window, input_size, dy.shape[-1])
    return dy, input_size, window


def _chunks(output_shape, window):
    """Return the number of chunks into which the output rows of all images are cut."""
    N, OH, OW, C = output_shape
    return pieces(N * OH, max(1, CHUNK // (OW * C * window.size[0] * window.size[1])))


@parallel
def _forward(chunk, worker, p, x, H, W, C, y, argmax, N, chunks):
    """Compute a chunk of rows; the rows of all images are numbered through, r = n*OH + i."""
    rows = N * p.OH
    for r in range(chunk * rows // chunks, (chunk + 1) * rows // chunks):
        n, i = r // p.OH, r % p.OH
        pool_rows(p, x, n * H * W * C, H, W, C, i, i + 1, y, argmax, n)


@parallel
def _backward(n, worker, p, dy, argmax, relu, H, W, C, dx):
    """Compute the gradient of image n: images are apart, but windows may overlap."""
    unpool(p, dy, argmax, dy, relu, n, H, W, C, dx, n * H * W * C)


@parallel
def _average(chunk, worker, x, y, pool_size, strides, pads, chunks):
    """Compute a chunk of averages: as :func:`_forward`, but the pixels are added up and divided by their number."""
    N, H, W, C = x.shape
    OH, OW = y.shape[1:3]
    (KH, KW), (top, left) = pool_size, pads
    images, result = x.reshape(-1), y.reshape(-1)
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


@parallel
def _share_out(n, worker, dy, dx, pool_size, strides, pads, shares):
    """Compute the gradient of image n: as :func:`_backward`, but every pixel of a window gets the same share.

    A share is dy divided by the number of pixels. It stands in the worker's row of ``shares`` while the window is
    visited.
    """
    _, OH, OW, C = dy.shape
    H, W = dx.shape[1:3]
    (KH, KW), (top, left) = pool_size, pads
    gradient, result = dy.reshape(-1), dx.reshape(-1)
    clear(result, n * H * W * C, H * W * C)
    share = shares[worker]
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
    """Compute ``total += values``."""
    for c in range(total.size):
        total[c] += values[c]


@helper
def divide(values, count):
    """Compute ``values /= count``."""
    number = values.dtype.type(count)
    for c in range(values.size):
        values[c] /= number
