"""Batch normalisation with sums that are taken chunk by chunk and combined in order, in float64.

A mean and a sum of squared deviations from it are computed for each chunk while the chunk is in the cache, and the
chunks' pairs are then combined (Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample
variances", 1979, equation 2.1). So x is read once for both statistics, and nothing is lost to cancellation, as it would
be in ``E[x^2] - E[x]^2``. See ``reference.batchnorm`` for the meaning.
"""

import math

import numpy as np
from numba.extending import register_jitable

from .. import aligned
from .._arguments import several
from .machine.arrays import deliver, operand, pieces, store, sum_rows, target, updated
from .machine.columns import column_scaled_products, moments
from .machine.normalise import affine, affine_tables, fill_affine_tables, input_gradient
from .machine.parallel import parallel

__all__ = [
    "batch_norm_backward",
    "batch_norm_forward",
    "batch_norm_inference_backward",
    "batch_norm_inference_forward",
    "move_average",
]

CHUNK = 65_536  # values per chunk, approximately
WIDE = 128  # numbers in a row of jitted code, at most: pixels of few channels are taken several at a time

# As :func:`.machine.jit.helper`, but each product and each sum rounds by itself, as in NumPy.
step_by_step = register_jitable(error_model="numpy", fastmath=False, no_cfunc_wrapper=True)


def batch_norm_forward(x, gamma, beta, epsilon, out=None, work=None):
    """Read x once for the statistics and once for the result; see :func:`reference.batch_norm_forward`."""
    x, gamma, beta = _operands(x, gamma=gamma, beta=beta)
    _check_not_empty("x", x)
    outs = several(out, 3)
    y = target("out[0]", outs[0], x.shape, x.dtype, (x, gamma, beta))
    mean = target("out[1]", outs[1], gamma.shape, x.dtype, (x, gamma, beta, y))
    variance = target("out[2]", outs[2], gamma.shape, x.dtype, (x, gamma, beta, y, mean))
    if x.size:
        wide, empty, C = _wide(x), work or aligned.empty, x.shape[-1]
        rows, chunks = _chunks(wide)
        means, squares = empty((2, chunks, wide.shape[1]), np.float64)
        totals, tables = empty((2, C), np.float64), empty((3, wide.shape[1]), x.dtype)
        _moments.launch(chunks, wide, means, squares, rows)
        means, squares = means.reshape(-1, C), squares.reshape(-1, C)
        last, epsilon = len(wide) - rows * (chunks - 1), x.dtype.type(epsilon)
        statistics.launch(
            1, means, squares, rows, last, x.size // C, totals, gamma, beta, epsilon, mean, variance, tables
        )
        affine_rows(wide, tables, _wide(y))
    return deliver(y, outs[0]), deliver(mean, outs[1]), deliver(variance, outs[2])


def batch_norm_backward(dy, x, gamma, mean, variance, epsilon, out=None, work=None):
    """Read dy and x once for both sums; see :func:`reference.batch_norm_backward`.

    ``dx = a*dy + k*(x - mean) + l`` with one a, k and l for each channel.
    """
    return _backward(dy, x, gamma, mean, variance, epsilon, out, work, True)


def batch_norm_inference_forward(x, gamma, beta, mean, variance, epsilon, out=None, work=None):
    """Apply one affine map for each channel; see :func:`reference.batch_norm_inference_forward`. ``out`` may be x."""
    x, gamma, beta, mean, variance = _operands(x, gamma=gamma, beta=beta, mean=mean, variance=variance)
    y = target("out", out, x.shape, x.dtype, (gamma, beta, mean, variance), same=(x,))
    if x.size:
        wide = _wide(x)
        tables = (work or aligned.empty)((3, wide.shape[1]), x.dtype)
        affine_tables.launch(1, gamma, beta, mean, variance, x.dtype.type(epsilon), 1, tables, of_weights=True)
        affine_rows(wide, tables, _wide(y))
    return deliver(y, out)


def batch_norm_inference_backward(dy, x, gamma, mean, variance, epsilon, out=None, work=None):
    """Scale dy by one number for each channel; see :func:`reference.batch_norm_inference_backward`."""
    return _backward(dy, x, gamma, mean, variance, epsilon, out, work, False)


def move_average(moving, batch, momentum):
    """Update chunk by chunk; see :func:`reference.move_average`."""
    batch = operand("batch", batch)
    state, number = {"moving": moving}, batch.dtype.type
    arrays = updated(state, batch.dtype, batch.shape)
    shares = number(momentum), number(1 - momentum)
    _move_average.launch(pieces(batch.size, CHUNK), arrays[0].reshape(-1), batch.reshape(-1), *shares)
    store(arrays, state)


def _operands(x, **channelwise):
    """Return x and the arrays of one value per channel, checked."""
    x = operand("x", x)
    if x.ndim < 1:
        raise ValueError("x must have a channel axis, its last; got an array without axes")
    return x, *(operand(name, array, 1, x.dtype, x.shape[-1:]) for name, array in channelwise.items())


def _check_not_empty(name, x):
    """Raise an error if a channel has no values."""
    if not x.size and x.shape[-1]:
        raise ValueError(f"{name} must hold at least one value per channel; got shape {x.shape}, which has no values")


def _wide(x):
    """Return x as a matrix of rows long enough for vectors: several pixels a row, if they have few channels."""
    C = max(1, x.shape[-1])
    width = C * together(x.size // C, C)
    return x.reshape(x.size // width, width)


def together(pixels, C):
    """Return how many pixels of C channels to take for a row, of which ``pixels`` must be whole rows."""
    return next((count for count in range(max(1, WIDE // max(1, C)), 1, -1) if pixels % count == 0), 1)


def _chunks(wide):
    """Return rows per chunk and number of chunks, from the shape alone."""
    rows = max(1, CHUNK // max(1, wide.shape[1]))
    return rows, pieces(len(wide), rows)


def _backward(dy, x, gamma, mean, variance, epsilon, out, work, by_batch):
    """Compute the gradients; with ``by_batch`` the statistics depend on x."""
    x, gamma, mean, variance = _operands(x, gamma=gamma, mean=mean, variance=variance)
    dy = operand("dy", dy, dtype=x.dtype, shape=x.shape)
    if by_batch:
        _check_not_empty("x", x)
    outs, inputs = several(out, 3), (dy, x, gamma, mean, variance)
    dx = target("out[0]", outs[0], x.shape, x.dtype, inputs)
    dgamma = target("out[1]", outs[1], gamma.shape, x.dtype, (*inputs, dx))
    dbeta = target("out[2]", outs[2], gamma.shape, x.dtype, (*inputs, dx, dgamma))
    if x.size:
        wide, C = [_wide(array) for array in (dy, x, dx)], x.shape[-1]
        terms = gamma, mean, variance, epsilon, dgamma, dbeta
        tables = parameter_gradients(*wide[:2], x.size // C, *terms, work or aligned.empty)
        if by_batch:
            rows, chunks = _chunks(wide[0])
            _input_gradient.launch(chunks, *wide, *tables, rows)
        else:
            nothing = aligned.zeros(wide[0].shape[1:], x.dtype)
            affine_rows(wide[0], (nothing, tables[1], nothing), wide[2])
    else:
        dgamma[...] = dbeta[...] = 0
    return deliver(dx, outs[0]), deliver(dgamma, outs[1]), deliver(dbeta, outs[2])


def affine_rows(x, tables, y):
    """Compute ``y = (x - mean) * scale + shift`` for matrices; the tables hold the three for each number of a row."""
    rows, chunks = _chunks(x)
    _affine.launch(chunks, x, *tables, y, rows)


def parameter_gradients(dy, x, M, gamma, mean, variance, epsilon, dgamma, dbeta, empty):
    """Compute dgamma and dbeta, and return what dx is made of: mean, scale, slope and shift for each number of a row.

    Parameters
    ----------
    dy, x : (rows, width) arrays
        Where dy is zero, because a pooling chose another value, the pair may be left out.
    M : int
        Number of a channel's values.
    gamma, mean, variance : (C,) arrays
    epsilon : number
    dgamma, dbeta : (C,) arrays
        They receive the gradients.
    empty : callable
        It supplies memory.
    """
    (rows, chunks), width, C = _chunks(x), x.shape[1], len(gamma)
    sums, totals = empty((2, chunks, width), np.float64), empty((2, C), np.float64)
    tables = empty((4, width), x.dtype)
    _deviations.launch(1, mean, variance, x.dtype.type(epsilon), tables)
    _gradient_sums.launch(chunks, dy, x, *tables[:2], *sums, rows)
    _parameter_gradients.launch(1, sums.reshape(2, -1), totals, M, gamma, dgamma, dbeta, tables)
    return tables


@parallel
def _moments(chunk, worker, x, means, squares, rows):
    """Compute mean and sum of squared deviations of a chunk of rows."""
    first, last = chunk * rows, min(x.shape[0], (chunk + 1) * rows)
    moments(x[first:last], means[chunk], squares[chunk])


@parallel
def statistics(
    item, worker, means, squares, rows, last, M, totals, gamma, beta, epsilon, mean, variance, tables
):  # fmt: skip
    """Combine the chunks' moments in order, and prepare :func:`_affine`.

    Parameters
    ----------
    item, worker : int
    means, squares : (parts, C) float64 arrays
        The moments of each part of a channel's values.
    rows, last : int
        Number of values of each part, and of those in the last chunk.
    M : int
        Number of a channel's values.
    totals : (2, C) float64 array
        Scratch memory.
    gamma, beta : (C,) arrays
    epsilon : number
    mean, variance : (C,) arrays
        They receive the statistics.
    tables : (3, …) array
        It is filled by :func:`.normalise.affine_tables`.
    """
    combine(means, squares, rows, last, tables.shape[1] // gamma.size, M, totals[0], totals[1])
    for c in range(gamma.size):
        mean[c] = totals[0, c]
        variance[c] = totals[1, c]
    fill_affine_tables(gamma, beta, mean, variance, epsilon, 1, tables)


@step_by_step
def combine(means, squares, rows, last, together, M, mean, variance):
    """Compute the moments of all values; the last ``together`` parts hold ``last`` values each, the others ``rows``."""
    parts = means.shape[0]
    mean[:] = 0
    variance[:] = 0
    for r in range(parts):
        count = np.float64(rows if r < parts - together else last)
        for c in range(mean.size):
            mean[c] += count * means[r, c]
    for c in range(mean.size):
        mean[c] /= M
    for r in range(parts):
        count = np.float64(rows if r < parts - together else last)
        for c in range(mean.size):
            deviation = means[r, c] - mean[c]
            variance[c] += squares[r, c] + count * (deviation * deviation)
    for c in range(mean.size):
        variance[c] /= M


@parallel
def _deviations(item, worker, mean, variance, epsilon, tables):
    """Write the means into the first table, and one over the standard deviations into the second."""
    for i in range(tables.shape[1]):
        c = i % mean.size
        tables[0, i] = mean[c]
        tables[1, i] = variance.dtype.type(1) / math.sqrt(variance[c] + epsilon)


@parallel
def _gradient_sums(chunk, worker, dy, x, mean, inverse, dgamma, dbeta, rows):
    """Sum ``dy * xhat`` and dy over a chunk of rows."""
    first, last = chunk * rows, min(x.shape[0], (chunk + 1) * rows)
    column_scaled_products(
        dy[first:last], x[first:last], last - first, mean.size, mean, inverse, dgamma[chunk], dbeta[chunk]
    )


@parallel
def _parameter_gradients(item, worker, sums, totals, M, gamma, dgamma, dbeta, tables):
    """Add up the chunks' sums in order, and prepare :func:`_input_gradient`.

    Parameters
    ----------
    item, worker : int
    sums : (2, …) float64 array
        The sums of ``dy * xhat`` and of dy, as :func:`_gradient_sums` left them.
    totals : (2, C) float64 array
        Scratch memory.
    M : int
        Number of a channel's values.
    gamma, dgamma, dbeta : (C,) arrays
    tables : (4, …) array
        It holds mean and inverse deviation, and receives scale, slope and shift behind the mean.
    """
    C = gamma.size
    sum_rows(sums[0], C, 0, totals[0])
    sum_rows(sums[1], C, 0, totals[1])
    for c in range(C):
        dgamma[c] = totals[0, c]
        dbeta[c] = totals[1, c]
        inverse = tables[1, c]
        scale = gamma[c] * inverse
        tables[1, c] = scale
        tables[2, c] = -np.float64(scale) * totals[0, c] / M * inverse
        tables[3, c] = -np.float64(scale) * totals[1, c] / M
    for i in range(C, tables.shape[1]):
        for row in range(1, 4):
            tables[row, i] = tables[row, i - C]


@parallel
def _affine(chunk, worker, x, mean, scale, shift, y, rows):
    """Compute ``y = (x - mean) * scale + shift`` for a chunk of rows, with one number per column of each."""
    first, last = chunk * rows, min(x.shape[0], (chunk + 1) * rows)
    affine(x[first:last], mean, scale, shift, y[first:last])


@parallel
def _input_gradient(chunk, worker, dy, x, dx, mean, scale, slope, shift, rows):
    """Compute ``dx = scale*dy + slope*(x - mean) + shift`` for a chunk of rows, with one number per channel of each."""
    first, last = chunk * rows, min(x.shape[0], (chunk + 1) * rows)
    input_gradient(dy[first:last], x[first:last], dx[first:last], mean, scale, slope, shift)


@parallel
def _move_average(chunk, worker, moving, batch, momentum, rest):
    """Update a chunk of elements."""
    start, stop = chunk * CHUNK, min(moving.size, (chunk + 1) * CHUNK)
    move(moving[start:stop], batch[start:stop], momentum, rest)


@step_by_step
def move(moving, batch, momentum, rest):
    """Compute one chunk of :func:`_move_average`."""
    for i in range(moving.size):
        moving[i] = momentum * moving[i] + rest * batch[i]
