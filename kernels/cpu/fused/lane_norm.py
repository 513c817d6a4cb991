"""Batch normalisation of images in lanes. See ``reference.batchnorm`` for the meaning, ``batchnorm`` for the method.

The work is cut into parts of a block's pixels, by shapes alone. Of each part a mean and a sum of squared deviations are
taken for every lane of a channel, then for the channel over the lanes that hold an image, and one more launch combines
those of all parts in order (Chan, Golub & LeVeque, 1979, equation 2.1). All sums are float64. Lanes without an image
count nowhere, and results are zero there, so that no later sum has to leave them out.
"""

import math
from typing import NamedTuple

import numpy as np

from ... import aligned
from ..._arguments import several
from ..machine.arrays import deliver, operand, pieces, target
from ..machine.columns import column_products, moments
from ..machine.jit import helper
from ..machine.lane_kernel import LANES
from ..machine.memory import clear
from ..machine.normalise import affine, affine_tables, input_gradient
from ..machine.parallel import parallel, worker_count

CHUNK = 32_768  # numbers of a part, approximately
LEAST_CHUNKS = 16  # of a launch, where there are pixels enough


class Cut(NamedTuple):
    """How a batch is cut into parts: each is a run of the pixels of one block."""

    images: int
    pixels: int  # of an image
    channels: int
    parts: int  # of a block
    chunks: int  # parts of all blocks


def lane_norm_forward(x, images, gamma, beta, epsilon, out=None, work=None):
    """Normalise by the statistics of the images.

    Parameters
    ----------
    x : (blocks, H, W, C, LANES) array
    images : int
        How many there are.
    gamma, beta, epsilon, out
        As in :func:`reference.batch_norm_forward`.
    work : callable, optional
        It supplies scratch memory.

    Returns
    -------
    y, mean, variance : arrays
    """
    x, gamma, beta = _operands(x, gamma, beta)
    outs, cut, empty = several(out, 3), _cut(x, images), work or aligned.empty
    y = target("out[0]", outs[0], x.shape, x.dtype, (x, gamma, beta))
    mean = target("out[1]", outs[1], gamma.shape, x.dtype, (x, gamma, beta, y))
    variance = target("out[2]", outs[2], gamma.shape, x.dtype, (x, gamma, beta, y, mean))
    partial, sums = _sums(cut, 2, empty)
    _moments.launch(cut.chunks, cut, _rows(x), partial, sums)
    _statistics.launch(1, cut, partial, sums, mean, variance)
    _normalise(cut, x, gamma, beta, mean, variance, epsilon, y, empty)
    return deliver(y, outs[0]), deliver(mean, outs[1]), deliver(variance, outs[2])


def lane_norm_inference_forward(x, images, gamma, beta, mean, variance, epsilon, out=None, work=None):
    """Normalise by given statistics: parameters as in :func:`lane_norm_forward`. ``out`` may be x."""
    x, *channelwise = _operands(x, gamma, beta, mean, variance)
    y = target("out", out, x.shape, x.dtype, tuple(channelwise), same=(x,))
    _normalise(_cut(x, images), x, *channelwise, epsilon, y, work or aligned.empty)
    return deliver(y, out)


def lane_norm_backward(dy, x, images, gamma, mean, variance, epsilon, by_batch, out=None, work=None):
    """Compute the gradients of both forms: of the batch's own statistics, or of given ones.

    Parameters
    ----------
    dy, x : (blocks, H, W, C, LANES) arrays
    images : int
    gamma, mean, variance, epsilon, out
        As in :func:`reference.batch_norm_backward`.
    by_batch : bool
        Whether mean and variance are those of the batch, so that they depend on x.
    work : callable, optional

    Returns
    -------
    dx, dgamma, dbeta : arrays
    """
    x, gamma, mean, variance = inputs = _operands(x, gamma, mean, variance)
    dy = operand("dy", dy, 5, x.dtype, x.shape)
    outs, cut, empty, epsilon = several(out, 3), _cut(x, images), work or aligned.empty, x.dtype.type(epsilon)
    dx = target("out[0]", outs[0], x.shape, x.dtype, (dy, *inputs))
    dgamma = target("out[1]", outs[1], gamma.shape, x.dtype, (dy, *inputs, dx))
    dbeta = target("out[2]", outs[2], gamma.shape, x.dtype, (dy, *inputs, dx, dgamma))
    partial, sums = _sums(cut, 3, empty)
    terms = empty((4, cut.channels * LANES), x.dtype)
    _gradient_sums.launch(cut.chunks, cut, _rows(dy), _rows(x), mean, partial, sums)
    _gradient_terms.launch(1, cut, partial, gamma, mean, variance, epsilon, dgamma, dbeta, terms)
    if by_batch:
        _input_gradient.launch(cut.chunks, cut, _rows(dy), _rows(x), *terms, _rows(dx))
    else:
        nothing = aligned.zeros((cut.channels,), x.dtype)
        _normalise(cut, dy, gamma, nothing, nothing, variance, epsilon, dx, empty)
    return deliver(dx, outs[0]), deliver(dgamma, outs[1]), deliver(dbeta, outs[2])


def _operands(x, *channelwise):
    """Return x and arrays of one value per channel, checked."""
    x = operand("x", x, 5)
    return x, *(operand("a channel's term", array, 1, x.dtype, x.shape[3:4]) for array in channelwise)


def _rows(x):
    """Return a batch as a matrix: a pixel of a block is a row."""
    return x.reshape(-1, x.shape[3] * LANES)


def _cut(x, images):
    """Return the :class:`Cut` of a batch."""
    blocks, H, W, C, _ = x.shape
    parts = min(H * W, max(pieces(x[0].size, CHUNK), pieces(LEAST_CHUNKS, blocks)))
    return Cut(images, H * W, C, parts, blocks * parts)


def _sums(cut, count, empty):
    """Return scratch memory: two numbers of every channel for each part, ``count`` of every lane for each worker."""
    partial = empty((2 * cut.chunks * cut.channels,), np.float64)
    return partial, empty((worker_count(cut.chunks) * count * cut.channels * LANES,), np.float64)


def _normalise(cut, x, gamma, beta, mean, variance, epsilon, y, empty):
    """Compute ``y = (x - mean) * scale + beta`` for each channel."""
    tables = empty((3, cut.channels * LANES), x.dtype)
    affine_tables.launch(1, gamma, beta, mean, variance, x.dtype.type(epsilon), LANES, tables)
    _affine.launch(cut.chunks, cut, _rows(x), *tables, _rows(y))


@helper
def part_of(cut, chunk):
    """Return the first row of a part, the one behind its last, and how many lanes hold an image."""
    block, part = chunk // cut.parts, chunk % cut.parts
    start = block * cut.pixels
    first, last = start + part * cut.pixels // cut.parts, start + (part + 1) * cut.pixels // cut.parts
    return first, last, min(LANES, cut.images - block * LANES)


@helper
def clear_lanes(y, first, last, lanes):
    """Set to zero, in some rows, the lanes that hold no image."""
    if lanes < LANES:
        flat, vectors = y.reshape(-1), y.shape[1] // LANES
        for v in range(first * vectors, last * vectors):
            clear(flat, v * LANES + lanes, LANES - lanes)


@parallel
def _moments(chunk, worker, cut, x, partial, work):
    """Compute mean and sum of squared deviations of each channel of a part, in two passes over it."""
    first, last, lanes = part_of(cut, chunk)
    C, width = cut.channels, cut.channels * LANES
    at = worker * 2 * width
    means, squares = work[at : at + width], work[at + width : at + 2 * width]
    moments(x[first:last], means, squares)
    for c in range(C):
        mean, square = 0.0, 0.0
        for lane in range(c * LANES, c * LANES + lanes):
            mean += means[lane]
        mean /= lanes
        for lane in range(c * LANES, c * LANES + lanes):
            deviation = means[lane] - mean
            square += squares[lane] + (last - first) * deviation * deviation
        partial[2 * chunk * C + c], partial[(2 * chunk + 1) * C + c] = mean, square


@parallel
def _statistics(chunk, worker, cut, partial, totals, mean, variance):
    """Combine the moments of all parts; ``totals`` is scratch memory."""
    C, count = cut.channels, cut.images * cut.pixels
    means, squares = totals[:C], totals[C : 2 * C]
    means[:] = 0
    squares[:] = 0
    for part in range(cut.chunks):
        first, last, lanes = part_of(cut, part)
        for c in range(C):
            # A signed index may count from the end, so the compiler would load a number at a time.
            means[c] += (last - first) * lanes * partial[np.uint64(2 * part * C + c)]
    for c in range(C):
        means[c] /= count
    for part in range(cut.chunks):
        first, last, lanes = part_of(cut, part)
        for c in range(C):
            deviation = partial[np.uint64(2 * part * C + c)] - means[c]
            squares[c] += partial[np.uint64((2 * part + 1) * C + c)] + (last - first) * lanes * deviation * deviation
    for c in range(C):
        mean[c], variance[c] = means[c], squares[c] / count


@parallel
def _affine(chunk, worker, cut, x, means, scales, shifts, y):
    """Compute ``y = (x - mean) * scale + shift`` for a part."""
    first, last, lanes = part_of(cut, chunk)
    affine(x[first:last], means, scales, shifts, y[first:last])
    clear_lanes(y, first, last, lanes)


@parallel
def _gradient_sums(chunk, worker, cut, dy, x, mean, partial, work):
    """Sum ``dy * (x - mean)`` and dy over a part."""
    first, last, lanes = part_of(cut, chunk)
    C, width = cut.channels, cut.channels * LANES
    at = worker * 3 * width
    means, products = work[at : at + width], work[at + width : at + 2 * width]
    sums = work[at + 2 * width : at + 3 * width]
    for i in range(width):
        means[i] = mean[i // LANES]
    column_products(dy[first:last], x[first:last], last - first, width, means, products, sums)
    for c in range(C):
        product, total = 0.0, 0.0
        for lane in range(c * LANES, c * LANES + lanes):
            product += products[lane]
            total += sums[lane]
        partial[2 * chunk * C + c], partial[(2 * chunk + 1) * C + c] = product, total


@parallel
def _gradient_terms(chunk, worker, cut, partial, gamma, mean, variance, epsilon, dgamma, dbeta, terms):
    """Add up the sums of all parts, and write for each lane what dx is made of: mean, scale, slope and shift."""
    C, count = cut.channels, cut.images * cut.pixels
    for c in range(C):
        product, total = 0.0, 0.0
        for part in range(cut.chunks):
            product += partial[2 * part * C + c]
            total += partial[(2 * part + 1) * C + c]
        inverse = 1 / math.sqrt(np.float64(variance[c] + epsilon))
        scale = gamma[c] * inverse
        dgamma[c], dbeta[c] = product * inverse, total
        slope, shift = -scale * product * inverse * inverse / count, -scale * total / count
        for lane in range(c * LANES, (c + 1) * LANES):
            terms[0, lane], terms[1, lane], terms[2, lane], terms[3, lane] = mean[c], scale, slope, shift


@parallel
def _input_gradient(chunk, worker, cut, dy, x, means, scales, slopes, shifts, dx):
    """Compute ``dx = scale * dy + slope * (x - mean) + shift`` for a part."""
    first, last, lanes = part_of(cut, chunk)
    input_gradient(dy[first:last], x[first:last], dx[first:last], means, scales, slopes, shifts)
    clear_lanes(dx, first, last, lanes)
