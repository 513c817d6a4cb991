"""Batch normalisation with sums that are taken chunk by chunk and combined in order, in float64.

A mean and a sum of squared deviations from it are computed for each chunk while the chunk is in the cache, and the
chunks' pairs are then combined (Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample
variances", 1979, equation 2.1). So x is read once for both statistics, and nothing is lost to cancellation, as it would
be in ``E[x^2] - E[x]^2``. See ``reference.batchnorm`` for the meaning.
"""

import numpy as np

from .. import aligned
from .._arguments import several
from .machine.arrays import deliver, operand, pieces, target
from .machine.jit import helper
from .machine.parallel import parallel

__all__ = ["batch_norm_backward", "batch_norm_forward", "batch_norm_inference_backward", "batch_norm_inference_forward"]

CHUNK = 65_536  # values per chunk, approximately
WIDE = 128  # numbers in a row of jitted code, at most: pixels of few channels are taken several at a time

_QUIET = np.errstate(all="ignore")  # as in compiled code, NaN and infinity are results, whatever np.seterr says


@_QUIET
def batch_norm_forward(x, gamma, beta, epsilon, out=None, work=None):
    """Read x once for the statistics and once for the result; see :func:`reference.batch_norm_forward`."""
    x, gamma, beta = _operands(x, gamma=gamma, beta=beta)
    _check_not_empty("x", x)
    outs = several(out, 3)
    y = target("out[0]", outs[0], x.shape, x.dtype, (x, gamma, beta))
    mean = target("out[1]", outs[1], gamma.shape, x.dtype, (x, gamma, beta, y))
    variance = target("out[2]", outs[2], gamma.shape, x.dtype, (x, gamma, beta, y, mean))
    C, wide = x.shape[-1], _wide(x)
    M, (rows, chunks) = x.size // C, _chunks(wide)
    means, squares = (work or aligned.empty)((2, chunks, wide.shape[1]), np.float64)
    _moments.launch(chunks, wide, means, squares, rows)
    counts = np.full((chunks, wide.shape[1] // C, 1), rows, np.float64)
    counts[-1] = len(wide) - rows * (chunks - 1)
    means, squares, counts = means.reshape(-1, C), squares.reshape(-1, C), counts.reshape(-1, 1)
    exact_mean = (counts * means).sum(axis=0) / M
    exact_variance = (squares + counts * np.square(means - exact_mean)).sum(axis=0) / M
    mean[...], variance[...] = exact_mean, exact_variance
    _linear(x, mean, gamma / np.sqrt(variance + x.dtype.type(epsilon)), beta, y)
    return deliver(y, outs[0]), deliver(mean, outs[1]), deliver(variance, outs[2])


@_QUIET
def batch_norm_backward(dy, x, gamma, mean, variance, epsilon, out=None, work=None):
    """Read dy and x once for both sums; see :func:`reference.batch_norm_backward`.

    ``dx = a*dy + k*(x - mean) + l`` with one a, k and l for each channel.
    """
    dy, x, gamma, mean, variance = _gradient_operands(dy, x, gamma, mean, variance)
    _check_not_empty("x", x)
    outs = several(out, 3)
    dx = target("out[0]", outs[0], x.shape, x.dtype, (dy, x, gamma, mean, variance))
    dgamma, dbeta, exact, inverse = _parameter_gradients(dy, x, gamma, mean, variance, epsilon, outs, dx, work)
    M = x.size // x.shape[-1]
    scale = (gamma * inverse).astype(np.float64)
    slope, shift = -scale * exact[0] / M * inverse, -scale * exact[1] / M
    if x.size:
        channelwise = (mean, *(c.astype(x.dtype) for c in (scale, slope, shift)))
        wide = [_wide(array) for array in (dy, x, dx)]
        rows, chunks = _chunks(wide[0])
        _input_gradient.launch(chunks, *wide, *_repeated(channelwise, wide[0]), rows)
    return deliver(dx, outs[0]), deliver(dgamma, outs[1]), deliver(dbeta, outs[2])


@_QUIET
def batch_norm_inference_forward(x, gamma, beta, mean, variance, epsilon, out=None, work=None):
    """Apply one affine map for each channel; see :func:`reference.batch_norm_inference_forward`. ``out`` may be x."""
    x, gamma, beta, mean, variance = _operands(x, gamma=gamma, beta=beta, mean=mean, variance=variance)
    y = target("out", out, x.shape, x.dtype, (gamma, beta, mean, variance), same=(x,))
    _linear(x, mean, gamma / np.sqrt(variance + x.dtype.type(epsilon)), beta, y)
    return deliver(y, out)


@_QUIET
def batch_norm_inference_backward(dy, x, gamma, mean, variance, epsilon, out=None, work=None):
    """Scale dy by one number for each channel; see :func:`reference.batch_norm_inference_backward`."""
    dy, x, gamma, mean, variance = _gradient_operands(dy, x, gamma, mean, variance)
    outs = several(out, 3)
    dx = target("out[0]", outs[0], x.shape, x.dtype, (dy, x, gamma, mean, variance))
    dgamma, dbeta, _, inverse = _parameter_gradients(dy, x, gamma, mean, variance, epsilon, outs, dx, work)
    nothing = np.zeros_like(gamma)
    _linear(dy, nothing, gamma * inverse, nothing, dx)
    return deliver(dx, outs[0]), deliver(dgamma, outs[1]), deliver(dbeta, outs[2])


def _operands(x, **channelwise):
    """Return x and the arrays of one value per channel, checked."""
    x = operand("x", x)
    if x.ndim < 1:
        raise ValueError("x must have a channel axis, its last; got an array without axes")
    return x, *(operand(name, array, 1, x.dtype, x.shape[-1:]) for name, array in channelwise.items())


def _gradient_operands(dy, x, gamma, mean, variance):
    """Return the arrays that both backward kernels take, checked."""
    x, *channelwise = _operands(x, gamma=gamma, mean=mean, variance=variance)
    return operand("dy", dy, dtype=x.dtype, shape=x.shape), x, *channelwise


def _check_not_empty(name, x):
    """Raise an error if a channel has no values."""
    if not x.size and x.shape[-1]:
        raise ValueError(f"{name} must hold at least one value per channel; got shape {x.shape}, which has no values")


def _wide(x):
    """Return x as a matrix of rows long enough for vectors: several pixels a row, if they have few channels."""
    C = max(1, x.shape[-1])
    M = x.size // C
    together = next((count for count in range(max(1, WIDE // C), 1, -1) if M % count == 0), 1)
    return x.reshape(M // together, together * C)


def _repeated(channelwise, wide):
    """Return arrays of one value per channel, repeated as many times as a wide row holds pixels."""
    times = wide.shape[1] // channelwise[0].size
    return (np.concatenate([array] * times) for array in channelwise)  # np.tile is slower


def _chunks(wide):
    """Return rows per chunk and number of chunks, from the shape alone."""
    rows = max(1, CHUNK // max(1, wide.shape[1]))
    return rows, pieces(len(wide), rows)


def _parameter_gradients(dy, x, gamma, mean, variance, epsilon, outs, dx, work):
    """Return dgamma, dbeta, the same two in float64, and ``1 / sqrt(variance + epsilon)``."""
    C, inputs = x.shape[-1], (dy, x, gamma, mean, variance, dx)
    dgamma = target("out[1]", outs[1], (C,), x.dtype, inputs)
    dbeta = target("out[2]", outs[2], (C,), x.dtype, (*inputs, dgamma))
    inverse = 1 / np.sqrt(variance + x.dtype.type(epsilon))
    wide = _wide(x)
    rows, chunks = _chunks(wide)
    sums = (work or aligned.empty)((2, chunks, wide.shape[1]), np.float64)
    if x.size:
        _gradient_sums.launch(chunks, _wide(dy), wide, *_repeated((mean, inverse), wide), *sums, rows)
    exact = sums.reshape(2, -1, C).sum(axis=1)
    dgamma[...], dbeta[...] = exact
    return dgamma, dbeta, exact, inverse


def _linear(x, mean, scale, shift, y):
    """Compute ``y = (x - mean) * scale + shift`` for each channel."""
    if x.size:
        wide = _wide(x)
        rows, chunks = _chunks(wide)
        _affine.launch(chunks, wide, *_repeated((mean, scale, shift), wide), _wide(y), rows)


@parallel
def _moments(chunk, worker, x, means, squares, rows):
    """Compute mean and sum of squared deviations of a chunk of rows."""
    first, last = chunk * rows, min(x.shape[0], (chunk + 1) * rows)
    moments(x[first:last], means[chunk], squares[chunk])


@helper
def moments(x, mean, square):
    """Compute one chunk of :func:`_moments`, in two passes over rows that are in the cache."""
    mean[:] = 0
    square[:] = 0
    for m in range(x.shape[0]):
        for c in range(mean.size):
            mean[c] += x[m, c]
    for c in range(mean.size):
        mean[c] /= x.shape[0]
    for m in range(x.shape[0]):
        for c in range(mean.size):
            deviation = x[m, c] - mean[c]
            square[c] += deviation * deviation


@parallel
def _gradient_sums(chunk, worker, dy, x, mean, inverse, dgamma, dbeta, rows):
    """Sum ``dy * xhat`` and dy over a chunk of rows."""
    first, last = chunk * rows, min(x.shape[0], (chunk + 1) * rows)
    gradient_sums(dy[first:last], x[first:last], mean, inverse, dgamma[chunk], dbeta[chunk])


@helper
def gradient_sums(dy, x, mean, inverse, dgamma, dbeta):
    """Compute one chunk of :func:`_gradient_sums`."""
    dgamma[:] = 0
    dbeta[:] = 0
    for m in range(x.shape[0]):
        for c in range(mean.size):
            dgamma[c] += dy[m, c] * ((x[m, c] - mean[c]) * inverse[c])
            dbeta[c] += dy[m, c]


@parallel
def _affine(chunk, worker, x, mean, scale, shift, y, rows):
    """Compute a chunk of rows for :func:`_linear`."""
    first, last = chunk * rows, min(x.shape[0], (chunk + 1) * rows)
    affine(x[first:last], mean, scale, shift, y[first:last])


@helper
def affine(x, mean, scale, shift, y):
    """Compute one chunk of :func:`_affine`."""
    for m in range(x.shape[0]):
        for c in range(mean.size):
            y[m, c] = (x[m, c] - mean[c]) * scale[c] + shift[c]


@parallel
def _input_gradient(chunk, worker, dy, x, dx, mean, scale, slope, shift, rows):
    """Compute ``dx = scale*dy + slope*(x - mean) + shift`` for a chunk of rows, with one number per channel of each."""
    first, last = chunk * rows, min(x.shape[0], (chunk + 1) * rows)
    input_gradient(dy[first:last], x[first:last], dx[first:last], mean, scale, slope, shift)


@helper
def input_gradient(dy, x, dx, mean, scale, slope, shift):
    """Compute one chunk of :func:`_input_gradient`."""
    for m in range(x.shape[0]):
        for c in range(mean.size):
            dx[m, c] = scale[c] * dy[m, c] + slope[c] * (x[m, c] - mean[c]) + shift[c]
