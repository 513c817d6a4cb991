"""Batch normalisation: sums down the columns (:mod:`._sums`), then a thread per element. See ``reference.batchnorm``.

The statistics take two passes, one for the mean and one for the squared distances from it. The difference of two large
squares would lose the variance where the mean is far from 0.
"""

import math

import numpy as np

from .._arguments import several
from ._arrays import deliver, operand, scratch, store, target, updated
from ._device import cuda, kernel, spread
from ._sums import make_column_sums, sum_columns

__all__ = [
    "batch_norm_backward",
    "batch_norm_forward",
    "batch_norm_inference_backward",
    "batch_norm_inference_forward",
    "move_average",
]


def batch_norm_forward(x, gamma, beta, epsilon, out=None, work=None):
    """See :func:`reference.batch_norm_forward`."""
    x, channels = _batch(x)
    gamma, beta = (operand(n, a, 1, x.dtype, channels) for n, a in (("gamma", gamma), ("beta", beta)))
    if not x.size:
        raise ValueError(f"x must hold at least one value per channel; got shape {x.shape}, which has no values")
    outs, inputs = several(out, 3), (x, gamma, beta)
    y = target("out[0]", outs[0], x.shape, x.dtype, inputs)
    mean = target("out[1]", outs[1], channels, x.dtype, inputs)
    variance = target("out[2]", outs[2], channels, x.dtype, inputs)
    work, M = scratch(work), x.size // channels[0]
    unused = work(channels, x.dtype)
    sum_columns(_values, x, x, x, x, (mean, unused), M, work)
    sum_columns(_squared_distances, x, x, mean, mean, (variance, unused), M, work)
    spread(_normalise, x.size, x, gamma, beta, mean, variance, x.dtype.type(epsilon), y, channels[0])
    return deliver(y, outs[0]), deliver(mean, outs[1]), deliver(variance, outs[2])


def batch_norm_inference_forward(x, gamma, beta, mean, variance, epsilon, out=None, work=None):
    """See :func:`reference.batch_norm_inference_forward`."""
    x, channels = _batch(x)
    named = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
    vectors = [operand(name, array, 1, x.dtype, channels) for name, array in named.items()]
    y = target("out", out, x.shape, x.dtype, vectors, same=(x,))
    spread(_normalise, x.size, x, *vectors, x.dtype.type(epsilon), y, channels[0])
    return deliver(y, out)


def batch_norm_backward(dy, x, gamma, mean, variance, epsilon, out=None, work=None):
    """See :func:`reference.batch_norm_backward`."""
    if not getattr(x, "size", 1):
        raise ValueError(f"x must hold at least one value per channel; got shape {x.shape}, which has no values")
    return _backward(dy, x, gamma, mean, variance, epsilon, out, work, by_batch=True)


def batch_norm_inference_backward(dy, x, gamma, mean, variance, epsilon, out=None, work=None):
    """See :func:`reference.batch_norm_inference_backward`."""
    return _backward(dy, x, gamma, mean, variance, epsilon, out, work, by_batch=False)


def move_average(moving, batch, momentum):
    """See :func:`reference.move_average`."""
    batch = operand("batch", batch)
    state, number = {"moving": moving}, batch.dtype.type
    arrays = updated(state, batch.dtype, batch.shape)
    spread(_move_average, batch.size, arrays[0], batch, number(momentum), number(1 - momentum))
    store(arrays, state)


def _backward(dy, x, gamma, mean, variance, epsilon, out, work, by_batch):
    """Compute the gradients; with ``by_batch`` the statistics depend on x."""
    x, channels = _batch(x)
    dy = operand("dy", dy, dtype=x.dtype, shape=x.shape)
    named = {"gamma": gamma, "mean": mean, "variance": variance}
    gamma, mean, variance = (operand(name, array, 1, x.dtype, channels) for name, array in named.items())
    outs, inputs = several(out, 3), (dy, x, gamma, mean, variance)
    dx = target("out[0]", outs[0], x.shape, x.dtype, inputs)
    dgamma = target("out[1]", outs[1], channels, x.dtype, inputs)
    dbeta = target("out[2]", outs[2], channels, x.dtype, inputs)
    if x.size:
        work, C = scratch(work), channels[0]
        scale = work(channels, x.dtype)
        spread(_inverse_deviation, C, variance, x.dtype.type(epsilon), scale)
        sum_columns(_gradients, dy, x, mean, scale, (dbeta, dgamma), 1, work)
        share = x.dtype.type(C / x.size if by_batch else 0)
        spread(_input_gradient, x.size, dy, x, gamma, mean, scale, dgamma, dbeta, share, dx, C)
    else:
        dgamma[...] = dbeta[...] = 0
    return deliver(dx, outs[0]), deliver(dgamma, outs[1]), deliver(dbeta, outs[2])


def _batch(x):
    """Return x, checked, and the shape (C,) of arrays of one value per channel."""
    x = operand("x", x)
    if x.ndim < 1:
        raise ValueError("x must have a channel axis, its last; got an array without axes")
    return x, x.shape[-1:]


@make_column_sums
def _values(a, b, mean, scale, i, c):
    """Return the term of the mean."""
    return np.float64(a[i]), 0.0


@make_column_sums
def _squared_distances(a, b, mean, scale, i, c):
    """Return the term of the variance."""
    distance = np.float64(a[i] - mean[c])
    return distance * distance, 0.0


@make_column_sums
def _gradients(a, b, mean, scale, i, c):
    """Return the terms of dbeta and of dgamma; ``scale`` is one over the standard deviation."""
    return np.float64(a[i]), np.float64(a[i] * ((b[i] - mean[c]) * scale[c]))


@kernel
def _normalise(count, x, gamma, beta, mean, variance, epsilon, y, C):
    """Compute one value of y."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        c = i % C
        y[i] = (x[i] - mean[c]) / math.sqrt(variance[c] + epsilon) * gamma[c] + beta[c]


@kernel
def _inverse_deviation(count, variance, epsilon, scale):
    """Compute one channel's inverse standard deviation."""
    one = variance.dtype.type(1)
    for c in range(cuda.grid(1), count, cuda.gridsize(1)):
        scale[c] = one / math.sqrt(variance[c] + epsilon)


@kernel
def _input_gradient(count, dy, x, gamma, mean, scale, dgamma, dbeta, share, dx, C):
    """Compute dx; ``share`` is 1 / M, or 0 if the statistics are constants."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        c = i % C
        xhat = (x[i] - mean[c]) * scale[c]
        dx[i] = gamma[c] * scale[c] * (dy[i] - share * dbeta[c] - xhat * (share * dgamma[c]))


@kernel
def _move_average(count, moving, batch, momentum, rest):
    """Move one average; ``rest`` is ``1 - momentum``."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        moving[i] = momentum * moving[i] + rest * batch[i]
