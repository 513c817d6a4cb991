"""Pooling: a thread per result. See ``reference.pool``.

Backward turns the question round. It does not ask "which pixels does this gradient go to", where several threads would
add to one pixel at once, but "which windows hold this pixel": a thread per pixel gathers, in a fixed order, and no two
threads write to one place.
"""

from .._arguments import check_gradient, integers, output_size, pooling_window, several
from ..geometry import argmax_dtype
from ._arrays import deliver, operand, target
from ._device import cuda, helper, kernel, spread

__all__ = ["average_pool2d_backward", "average_pool2d_forward", "max_pool2d_backward", "max_pool2d_forward"]


def max_pool2d_forward(x, pool_size, strides, pads, out=None, work=None):
    """See :func:`reference.max_pool2d_forward`."""
    x = operand("x", x, 4)
    window, shape = _window(x.shape, pool_size, strides, pads)
    outs = several(out, 2)
    y = target("out[0]", outs[0], shape, x.dtype, (x,))
    argmax = target("out[1]", outs[1], shape, argmax_dtype(window.size), (x,))
    spread(_largest, y.size, x, y, argmax, _geometry(x.shape, shape, window))
    return deliver(y, outs[0]), deliver(argmax, outs[1])


def max_pool2d_backward(dy, argmax, input_size, pool_size, strides, pads, out=None, work=None):
    """See :func:`reference.max_pool2d_backward`."""
    dy, shape, window = _gradient(dy, input_size, pool_size, strides, pads)
    argmax = operand("argmax", argmax, 4, argmax_dtype(window.size), dy.shape)
    dx = target("out", out, shape, dy.dtype, (dy, argmax))
    spread(_from_winners, dx.size, dy, argmax, dx, _geometry(shape, dy.shape, window))
    return deliver(dx, out)


def average_pool2d_forward(x, pool_size, strides, pads, out=None, work=None):
    """See :func:`reference.average_pool2d_forward`."""
    x = operand("x", x, 4)
    window, shape = _window(x.shape, pool_size, strides, pads)
    y = target("out", out, shape, x.dtype, (x,))
    spread(_average, y.size, x, y, _geometry(x.shape, shape, window))
    return deliver(y, out)


def average_pool2d_backward(dy, input_size, pool_size, strides, pads, out=None, work=None):
    """See :func:`reference.average_pool2d_backward`."""
    dy, shape, window = _gradient(dy, input_size, pool_size, strides, pads)
    dx = target("out", out, shape, dy.dtype, (dy,))
    spread(_shared_out, dx.size, dy, dx, _geometry(shape, dy.shape, window))
    return deliver(dx, out)


def _window(shape, pool_size, strides, pads):
    """Return the window, checked, and the shape of the result."""
    window = pooling_window(pool_size, strides, pads)
    return window, (shape[0], *output_size(window, shape[1:3]), shape[3])


def _gradient(dy, input_size, pool_size, strides, pads):
    """Return dy, the shape of x and the window, all checked against each other."""
    dy, input_size = operand("dy", dy, 4), integers("input_size", input_size, 2, 1)
    window = pooling_window(pool_size, strides, pads)
    check_gradient(dy, window, input_size, dy.shape[-1])
    return dy, (len(dy), *input_size, dy.shape[-1]), window


def _geometry(x_shape, y_shape, window):
    """Return H, W, OH, OW, C, KH, KW, vertical and horizontal stride, top, left."""
    return (*x_shape[1:3], *y_shape[1:], *window.size, *window.strides, window.pads[0], window.pads[2])


@helper
def place(i, height, width, C):
    """Return image, row, column and channel of element i of (N, height, width, C)."""
    pixel = i // C
    line = pixel // width
    return line // height, line % height, pixel % width, i % C


@helper
def span(position, before, stride, size, length):
    """Return the first tap of a window that meets a pixel, and one past the last."""
    start = position * stride - before
    return max(0, -start), min(size, length - start)


@kernel
def _largest(count, x, y, argmax, geometry):
    """Compute the largest value of one window, and its tap."""
    H, W, OH, OW, C, KH, KW, down, across, top, left = geometry
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        n, row, column, c = place(i, OH, OW, C)
        p0, p1 = span(row, top, down, KH, H)
        q0, q1 = span(column, left, across, KW, W)
        winner = p0 * KW + q0
        best = x[((n * H + row * down - top + p0) * W + column * across - left + q0) * C + c]
        for p in range(p0, p1):
            for q in range(q0, q1):
                value = x[((n * H + row * down - top + p) * W + column * across - left + q) * C + c]
                # The first NaN beats all numbers, and nothing beats it.
                if value > best or (value != value and best == best):
                    best, winner = value, p * KW + q
        y[i], argmax[i] = best, winner


@kernel
def _from_winners(count, dy, argmax, dx, geometry):
    """Gather the gradients of the windows that one pixel won."""
    H, W, OH, OW, C, KH, KW, down, across, top, left = geometry
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        n, h, w, c = place(i, H, W, C)
        total = dy.dtype.type(0)
        for p in range(KH):
            row = h + top - p
            if row >= 0 and row % down == 0 and row // down < OH:
                for q in range(KW):
                    column = w + left - q
                    if column >= 0 and column % across == 0 and column // across < OW:
                        k = ((n * OH + row // down) * OW + column // across) * C + c
                        if argmax[k] == p * KW + q:
                            total += dy[k]
        dx[i] = total


@kernel
def _average(count, x, y, geometry):
    """Compute the average of one window."""
    H, W, OH, OW, C, KH, KW, down, across, top, left = geometry
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        n, row, column, c = place(i, OH, OW, C)
        p0, p1 = span(row, top, down, KH, H)
        q0, q1 = span(column, left, across, KW, W)
        total = x.dtype.type(0)
        for p in range(p0, p1):
            for q in range(q0, q1):
                total += x[((n * H + row * down - top + p) * W + column * across - left + q) * C + c]
        y[i] = total / x.dtype.type((p1 - p0) * (q1 - q0))


@kernel
def _shared_out(count, dy, dx, geometry):
    """Gather the shares of one pixel from all its windows."""
    H, W, OH, OW, C, KH, KW, down, across, top, left = geometry
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        n, h, w, c = place(i, H, W, C)
        total = dy.dtype.type(0)
        for p in range(KH):
            row = h + top - p
            if row >= 0 and row % down == 0 and row // down < OH:
                p0, p1 = span(row // down, top, down, KH, H)
                for q in range(KW):
                    column = w + left - q
                    if column >= 0 and column % across == 0 and column // across < OW:
                        q0, q1 = span(column // across, left, across, KW, W)
                        k = ((n * OH + row // down) * OW + column // across) * C + c
                        total += dy[k] / dy.dtype.type((p1 - p0) * (q1 - q0))
        dx[i] = total
