"""Activations in fixed chunks of elements or rows. See ``reference.activation`` for the meaning."""

import math

import numpy as np
from numba import prange

from ._arrays import deliver, operand, pieces, target
from ._jit import helper, kernel
from ._memory import copy

CHUNK = 8_192  # elements: a chunk stays in the nearest cache


def relu_forward(x, out=None, work=None):
    """Pass x where it is positive or NaN; see :func:`reference.relu_forward`. ``out`` may be x."""
    x = operand("x", x)
    y = target("out", out, x.shape, x.dtype, (), same=(x,))
    _gate(x.reshape(-1), x.reshape(-1), True, np.may_share_memory(x, y), y.reshape(-1))
    return deliver(y, out)


def relu_backward(dy, y, out=None, work=None):
    """Pass dy where y is positive; see :func:`reference.relu_backward`. ``out`` may be dy."""
    dy = operand("dy", dy)
    y = operand("y", y, dtype=dy.dtype, shape=dy.shape)
    dx = target("out", out, dy.shape, dy.dtype, (y,), same=(dy,))
    _gate(dy.reshape(-1), y.reshape(-1), False, np.may_share_memory(dy, dx), dx.reshape(-1))
    return deliver(dx, out)


def softmax_forward(x, out=None, work=None):
    """Row by row; see :func:`reference.softmax_forward`. ``out`` may be x."""
    x = operand("x", x)
    y = target("out", out, x.shape, x.dtype, (), same=(x,))
    if x.size:
        _softmax(x.reshape(-1), y.reshape(-1), x.shape[-1])
    return deliver(y, out)


def softmax_backward(dy, y, out=None, work=None):
    """Row by row; see :func:`reference.softmax_backward`. ``out`` may be dy."""
    dy = operand("dy", dy)
    y = operand("y", y, dtype=dy.dtype, shape=dy.shape)
    dx = target("out", out, dy.shape, dy.dtype, (), same=(dy, y))
    if dy.size:
        _softmax_gradient(dy.reshape(-1), y.reshape(-1), dx.reshape(-1), dy.shape[-1])
    return deliver(dx, out)


@kernel()
def _gate(value, condition, keep_nan, in_place, result):
    """``result = value`` where ``condition > 0`` (or is NaN, if wanted), else 0: both directions of ReLU.

    Each chunk is copied unless the caller wants the result in place, and then changed where it lies. LLVM makes
    vectors of a loop only where it sees that no write meets a later read: one name for one memory shows it, two
    names do not. The copy costs little, as the chunk stays in the nearest cache.
    """
    for chunk in prange(pieces_of(value.size, CHUNK)):
        start, stop = chunk * CHUNK, min(value.size, (chunk + 1) * CHUNK)
        if not in_place:
            copy(result, start, value, start, stop - start)
        if keep_nan:
            positive_part(result[start:stop])
        else:
            clear_where_negative(result[start:stop], condition[start:stop])


@helper
def positive_part(y):
    """One chunk of ReLU."""
    nothing = y.dtype.type(0)
    for i in range(y.size):
        y[i] = nothing if y[i] <= nothing else y[i]


@helper
def clear_where_negative(dx, y):
    """One chunk of ReLU's gradient."""
    nothing = dx.dtype.type(0)
    for i in range(dx.size):
        value = dx[i]  # read on both ways, so that the choice is a selection and not a jump
        dx[i] = value if y[i] > nothing else nothing


@kernel()
def _softmax(x, y, classes):
    """Chunks of whole rows."""
    rows, per_chunk = x.size // classes, max(1, CHUNK // classes)
    for chunk in prange(pieces_of(rows, per_chunk)):
        for row in range(chunk * per_chunk, min(rows, (chunk + 1) * per_chunk)):
            start, stop = row * classes, (row + 1) * classes
            softmax_row(x[start:stop], y[start:stop])


@helper
def softmax_row(x, y):
    """Softmax of one row; returns the largest element and the sum of the shifted exponentials."""
    largest = x[0]
    for k in range(x.size):
        if not x[k] <= largest:  # true of a NaN, which must come out as the result
            largest = x[k]
    total = x.dtype.type(0)
    for k in range(x.size):
        y[k] = math.exp(x[k] - largest)
        total += y[k]
    for k in range(x.size):
        y[k] /= total
    return largest, total


@kernel()
def _softmax_gradient(dy, y, dx, classes):
    """Chunks of whole rows; a row's sum is complete before its first element is overwritten."""
    rows, per_chunk = dy.size // classes, max(1, CHUNK // classes)
    for chunk in prange(pieces_of(rows, per_chunk)):
        for row in range(chunk * per_chunk, min(rows, (chunk + 1) * per_chunk)):
            start, stop = row * classes, (row + 1) * classes
            softmax_gradient_row(dy[start:stop], y[start:stop], dx[start:stop])


@helper
def softmax_gradient_row(dy, y, dx):
    """One row of :func:`_softmax_gradient`."""
    mean = dy.dtype.type(0)
    for k in range(dy.size):
        mean += dy[k] * y[k]
    for k in range(dy.size):
        dx[k] = y[k] * (dy[k] - mean)


pieces_of = helper(pieces)
