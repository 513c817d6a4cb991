"""Activations in fixed chunks of elements or rows. See ``reference.activation`` for the meaning."""

import math

import numpy as np

from .machine.arrays import CHUNK, deliver, operand, pieces, row_chunks, target
from .machine.jit import helper
from .machine.memory import copy
from .machine.parallel import parallel

__all__ = [
    "elu_backward",
    "elu_forward",
    "gelu_backward",
    "gelu_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "relu_backward",
    "relu_forward",
    "sigmoid_backward",
    "sigmoid_forward",
    "softmax_backward",
    "softmax_forward",
    "tanh_backward",
    "tanh_forward",
]

LEAKY_RELU, ELU, SIGMOID, TANH, GELU = range(5)  # what :func:`_bend` computes
ROOT_HALF, ROOT_TWO_PI = math.sqrt(0.5), math.sqrt(2 * math.pi)


def relu_forward(x, out=None, work=None):
    """Pass x where it is positive or NaN; see :func:`reference.relu_forward`. ``out`` may be x."""
    x = operand("x", x)
    y = target("out", out, x.shape, x.dtype, (), same=(x,))
    flat = x.reshape(-1)
    _gate.launch(pieces(x.size, CHUNK), flat, flat, True, np.may_share_memory(x, y), y.reshape(-1))
    return deliver(y, out)


def relu_backward(dy, y, out=None, work=None):
    """Pass dy where y is positive; see :func:`reference.relu_backward`. ``out`` may be dy."""
    dy = operand("dy", dy)
    y = operand("y", y, dtype=dy.dtype, shape=dy.shape)
    dx = target("out", out, dy.shape, dy.dtype, (y,), same=(dy,))
    in_place = np.may_share_memory(dy, dx)
    _gate.launch(pieces(dy.size, CHUNK), dy.reshape(-1), y.reshape(-1), False, in_place, dx.reshape(-1))
    return deliver(dx, out)


def softmax_forward(x, out=None, work=None):
    """Compute softmax row by row; see :func:`reference.softmax_forward`. ``out`` may be x."""
    x = operand("x", x)
    y = target("out", out, x.shape, x.dtype, (), same=(x,))
    if x.size:
        _softmax.launch(*row_chunks(x.size, x.shape[-1]), x.reshape(-1), y.reshape(-1), x.shape[-1])
    return deliver(y, out)


def softmax_backward(dy, y, out=None, work=None):
    """Compute the gradient of softmax row by row; see :func:`reference.softmax_backward`. ``out`` may be dy."""
    dy = operand("dy", dy)
    y = operand("y", y, dtype=dy.dtype, shape=dy.shape)
    dx = target("out", out, dy.shape, dy.dtype, (), same=(dy, y))
    if dy.size:
        chunks = row_chunks(dy.size, dy.shape[-1])
        _softmax_gradient.launch(*chunks, dy.reshape(-1), y.reshape(-1), dx.reshape(-1), dy.shape[-1])
    return deliver(dx, out)


def leaky_relu_forward(x, negative_slope, out=None, work=None):
    """See :func:`reference.leaky_relu_forward`. ``out`` may be x."""
    return _curve(LEAKY_RELU, x, negative_slope, out)


def leaky_relu_backward(dy, y, negative_slope, out=None, work=None):
    """See :func:`reference.leaky_relu_backward`. ``out`` may be dy."""
    return _slope(LEAKY_RELU, dy, "y", y, negative_slope, out)


def elu_forward(x, alpha, out=None, work=None):
    """See :func:`reference.elu_forward`. ``out`` may be x."""
    return _curve(ELU, x, alpha, out)


def elu_backward(dy, y, alpha, out=None, work=None):
    """See :func:`reference.elu_backward`. ``out`` may be dy."""
    return _slope(ELU, dy, "y", y, alpha, out)


def sigmoid_forward(x, out=None, work=None):
    """See :func:`reference.sigmoid_forward`. ``out`` may be x."""
    return _curve(SIGMOID, x, 0, out)


def sigmoid_backward(dy, y, out=None, work=None):
    """See :func:`reference.sigmoid_backward`. ``out`` may be dy."""
    return _slope(SIGMOID, dy, "y", y, 0, out)


def tanh_forward(x, out=None, work=None):
    """See :func:`reference.tanh_forward`. ``out`` may be x."""
    return _curve(TANH, x, 0, out)


def tanh_backward(dy, y, out=None, work=None):
    """See :func:`reference.tanh_backward`. ``out`` may be dy."""
    return _slope(TANH, dy, "y", y, 0, out)


def gelu_forward(x, out=None, work=None):
    """See :func:`reference.gelu_forward`. ``out`` may be x."""
    return _curve(GELU, x, 0, out)


def gelu_backward(dy, x, out=None, work=None):
    """See :func:`reference.gelu_backward`. ``out`` may be dy."""
    return _slope(GELU, dy, "x", x, 0, out)


def _curve(kind, x, constant, out):
    """Run :func:`_bend` forward: compute y from x."""
    x = operand("x", x)
    y = target("out", out, x.shape, x.dtype, (), same=(x,))
    flat, constant = x.reshape(-1), x.dtype.type(constant)
    in_place = np.may_share_memory(x, y)
    _bend.launch(pieces(x.size, CHUNK), kind, False, flat, flat, constant, in_place, y.reshape(-1))
    return deliver(y, out)


def _slope(kind, dy, name, kept, constant, out):
    """Run :func:`_bend` backward: compute dx from dy and from ``kept``, which errors call ``name``."""
    dy = operand("dy", dy)
    kept = operand(name, kept, dtype=dy.dtype, shape=dy.shape)
    dx = target("out", out, dy.shape, dy.dtype, (kept,), same=(dy,))
    constant, in_place = dy.dtype.type(constant), np.may_share_memory(dy, dx)
    flat = dy.reshape(-1), kept.reshape(-1)
    _bend.launch(pieces(dy.size, CHUNK), kind, True, *flat, constant, in_place, dx.reshape(-1))
    return deliver(dx, out)


@parallel
def _gate(chunk, worker, value, condition, keep_nan, in_place, result):
    """Compute ``result = value`` where ``condition > 0``, else 0: both directions of ReLU.

    With ``keep_nan`` the value is also kept where the condition is NaN.

    Each chunk is copied, unless the caller wants the result in place, and then changed where it lies. LLVM makes
    vectors of a loop only where it sees that no write meets a later read. One name for one memory shows that; two names
    do not. The copy costs little, as the chunk stays in the nearest cache.
    """
    start, stop = chunk * CHUNK, min(value.size, (chunk + 1) * CHUNK)
    if not in_place:
        copy(result, start, value, start, stop - start)
    if keep_nan:
        positive_part(result[start:stop])
    else:
        clear_where_negative(result[start:stop], condition[start:stop])


@helper
def positive_part(y):
    """Compute ReLU of one chunk, in place."""
    nothing = y.dtype.type(0)
    for i in range(y.size):
        y[i] = nothing if y[i] <= nothing else y[i]


@helper
def clear_where_negative(dx, y):
    """Compute the gradient of ReLU for one chunk, in place."""
    nothing = dx.dtype.type(0)
    for i in range(dx.size):
        value = dx[i]  # read in any case, so that the choice is a selection and not a jump
        dx[i] = value if y[i] > nothing else nothing


@parallel
def _bend(chunk, worker, kind, backward, value, kept, constant, in_place, result):
    """Compute a chunk of any other element-wise function, in both directions.

    There is one function to compile, because each alone would cost almost as much. The chunk is copied and then
    changed in place (see :func:`_gate`).

    Parameters
    ----------
    chunk, worker : int
    kind : int
        ``LEAKY_RELU``, ``ELU``, ``SIGMOID``, ``TANH`` or ``GELU``.
    backward : bool
    value : flat array
        x, or backward dy.
    kept : flat array
        What the forward pass kept: y, for gelu x.
    constant : number
        The function's constant, if it has one.
    in_place : bool
        Whether ``result`` is ``value``.
    result : flat array
        It receives y, or backward dx.
    """
    start, stop = chunk * CHUNK, min(value.size, (chunk + 1) * CHUNK)
    if not in_place:
        copy(result, start, value, start, stop - start)
    if backward:
        multiply_by_slope(kind, result[start:stop], kept[start:stop], constant)
    else:
        apply_curve(kind, result[start:stop], constant)


@helper
def apply_curve(kind, y, constant):
    """Compute y for one chunk, in place: at first x lies in y."""
    nothing, one, half, root_half = y.dtype.type(0), y.dtype.type(1), y.dtype.type(0.5), y.dtype.type(ROOT_HALF)
    if kind == LEAKY_RELU:
        for i in range(y.size):
            x, scaled = y[i], constant * y[i]  # both are computed, so the choice is a selection and not a jump
            y[i] = x if x > nothing else scaled
    elif kind == ELU:
        for i in range(y.size):
            y[i] = y[i] if y[i] > nothing else constant * math.expm1(y[i])
    elif kind == SIGMOID:
        for i in range(y.size):
            e = math.exp(-abs(y[i]))
            y[i] = (e if y[i] < nothing else one) / (one + e)
    elif kind == TANH:
        for i in range(y.size):
            y[i] = math.tanh(y[i])
    else:
        for i in range(y.size):
            y[i] = y[i] * (half * math.erfc(-y[i] * root_half))


@helper
def multiply_by_slope(kind, dx, kept, constant):
    """Compute dx for one chunk, in place: at first dy lies in dx. ``kept`` is y, for gelu x."""
    nothing, one, half = dx.dtype.type(0), dx.dtype.type(1), dx.dtype.type(0.5)
    root_half, root_two_pi = dx.dtype.type(ROOT_HALF), dx.dtype.type(ROOT_TWO_PI)
    if kind == LEAKY_RELU:
        for i in range(dx.size):
            dy, scaled = dx[i], constant * dx[i]
            dx[i] = dy if kept[i] > nothing else scaled
    elif kind == ELU:
        for i in range(dx.size):
            dy, scaled = dx[i], dx[i] * (kept[i] + constant)
            dx[i] = dy if kept[i] > nothing else scaled
    elif kind == SIGMOID:
        for i in range(dx.size):
            dx[i] *= kept[i] * (one - kept[i])
    elif kind == TANH:
        for i in range(dx.size):
            dx[i] *= one - kept[i] * kept[i]
    else:
        for i in range(dx.size):
            x = kept[i]
            share = half * math.erfc(-x * root_half)
            dx[i] *= share + x * math.exp(-half * x * x) / root_two_pi


@parallel
def _softmax(chunk, worker, per_chunk, x, y, classes):
    """Compute softmax of a chunk of rows."""
    for row in range(chunk * per_chunk, min(x.size // classes, (chunk + 1) * per_chunk)):
        start, stop = row * classes, (row + 1) * classes
        softmax_row(x[start:stop], y[start:stop])


@helper
def softmax_row(x, y):
    """Compute softmax of one row; return the largest element and the sum of the shifted exponentials."""
    largest = x[0]
    for k in range(x.size):
        if not x[k] <= largest:  # also true of a NaN, which must become the result
            largest = x[k]
    total = x.dtype.type(0)
    for k in range(x.size):
        y[k] = math.exp(x[k] - largest)
        total += y[k]
    for k in range(x.size):
        y[k] /= total
    return largest, total


@parallel
def _softmax_gradient(chunk, worker, per_chunk, dy, y, dx, classes):
    """Compute the gradient of a chunk of rows; a row's sum is complete before its first element is overwritten."""
    for row in range(chunk * per_chunk, min(dy.size // classes, (chunk + 1) * per_chunk)):
        start, stop = row * classes, (row + 1) * classes
        softmax_gradient_row(dy[start:stop], y[start:stop], dx[start:stop])


@helper
def softmax_gradient_row(dy, y, dx):
    """Compute one row of :func:`_softmax_gradient`."""
    mean = dy.dtype.type(0)
    for k in range(dy.size):
        mean += dy[k] * y[k]
    for k in range(dy.size):
        dx[k] = y[k] * (dy[k] - mean)
