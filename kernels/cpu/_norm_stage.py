"""Batch normalisation with the max-pooling and the dropout behind it, image by image.

The statistics take a reading of x by themselves (:mod:`.batchnorm`). What follows is one more: an image is normalised
in a lane's scratch memory, pooled and thinned out while it is in the second-level cache. Backward twice the same in
reverse, first for the sums over the batch and then for dx; to compute dz again costs less than to keep it.
"""

from typing import NamedTuple

import numpy as np

from ..counter_hash import GOLDEN, keep_threshold, key_of
from ._arrays import pieces
from ._jit import helper
from ._memory import copy
from ._parallel import lanes, parallel
from .batchnorm import affine, gradient_sums, repeated, wide_rows
from .batchnorm import input_gradient as norm_gradient
from .dropout import drop
from .pool import pool_rows, unpool

CHUNK = 65_536  # values per chunk, roughly: whole images


class Shape(NamedTuple):
    """Images, and how they are cut into pieces of work. ``wide`` numbers make a row as the inner loops see it."""

    N: int
    H: int
    W: int
    C: int
    wide: int
    per_chunk: int  # images


def shape_of(x):
    """The :class:`Shape` of a batch."""
    N, H, W, C = x.shape
    return Shape(N, H, W, C, wide_rows(H * W, C), max(1, CHUNK // (H * W * C)))


def launch_forward(x, mean, scale, shift, pooling, rate, seed, step, y, winners, work):
    """Normalise, pool and drop."""
    p = shape_of(x)
    share = p.H * p.W * p.C if pooling.OH else 0
    chunks = pieces(p.N, p.per_chunk)
    scratch = (work or np.empty)((lanes(chunks), share), x.dtype).reshape(-1)
    forward.launch(
        chunks, p, pooling, x.reshape(-1), *repeated((mean, scale, shift), p.wide), *_noise(x.dtype, rate, seed, step),
        y.reshape(-1), winners.reshape(-1), scratch, share,
    )  # fmt: skip


def launch_sums(dy, winners, x, mean, inverse, pooling, rate, seed, step, work):
    """dgamma and dbeta in float64."""
    p = shape_of(x)
    chunks, share = pieces(p.N, p.per_chunk), dy.size // p.N + p.H * p.W * p.C
    empty = work or np.empty
    scratch = empty((lanes(chunks), share), x.dtype).reshape(-1)
    sums = empty((2, chunks, p.wide), np.float64)
    parameter_gradients.launch(
        chunks, p, pooling, dy.reshape(-1), winners.reshape(-1), x.reshape(-1), *repeated((mean, inverse), p.wide),
        *_noise(x.dtype, rate, seed, step), sums.reshape(-1), scratch, share,
    )  # fmt: skip
    return sums.reshape(2, -1, p.C).sum(axis=1)


def launch_input_gradient(dy, winners, x, channelwise, pooling, rate, seed, step, dx, work):
    """``dx = scale*dz + slope*(x - mean) + shift``, with those four as ``channelwise`` (mean first)."""
    p = shape_of(x)
    chunks, share = pieces(p.N, p.per_chunk), dy.size // p.N + p.H * p.W * p.C
    scratch = (work or np.empty)((lanes(chunks), share), x.dtype).reshape(-1)
    input_gradient.launch(
        chunks, p, pooling, dy.reshape(-1), winners.reshape(-1), x.reshape(-1), *repeated(channelwise, p.wide),
        *_noise(x.dtype, rate, seed, step), dx.reshape(-1), scratch, share,
    )  # fmt: skip


def _noise(dtype, rate, seed, step):
    """What dropout needs: whether there is any, its scale, the threshold and the key of its hash."""
    return rate > 0, dtype.type(1 / (1 - rate)), np.uint64(keep_threshold(rate)), key_of(seed, step)


@parallel
def forward(
    chunk, lane, p, pooling, x, mean, scale, shift, drops, factor, threshold, key, y, winners, work, share
):  # fmt: skip
    """A chunk is some images."""
    size, pooled = p.H * p.W * p.C, pooling.OH > 0
    result = pooling.OH * pooling.OW * p.C if pooled else size
    for n in range(chunk * p.per_chunk, min(p.N, (chunk + 1) * p.per_chunk)):
        z, start = (work, lane * share) if pooled else (y, n * size)
        affine(rows(x, n * size, size, p.wide), mean, scale, shift, rows(z, start, size, p.wide))
        if pooled:
            pool_rows(pooling, z, start, p.H, p.W, p.C, 0, pooling.OH, y, winners, n)
        if drops:
            drop(y[n * result : (n + 1) * result], factor, threshold, key + np.uint64(n * result + 1) * GOLDEN)


@parallel
def parameter_gradients(
    chunk, lane, p, pooling, dy, winners, x, mean, inverse, drops, factor, threshold, key, sums, work, share
):  # fmt: skip
    """Sums over a chunk's images."""
    size, half = p.H * p.W * p.C, sums.size // 2
    dgamma, dbeta = sums[chunk * p.wide : (chunk + 1) * p.wide], sums[half + chunk * p.wide :][: p.wide]
    dgamma[:] = 0
    dbeta[:] = 0
    for n in range(chunk * p.per_chunk, min(p.N, (chunk + 1) * p.per_chunk)):
        start = gradient_before(p, pooling, dy, winners, n, drops, factor, threshold, key, work, lane * share)
        gradient_sums(rows(work, start, size, p.wide), rows(x, n * size, size, p.wide), mean, inverse, dgamma, dbeta)


@parallel
def input_gradient(
    chunk, lane, p, pooling, dy, winners, x, mean, scale, slope, shift, drops, factor, threshold, key, dx, work, share
):  # fmt: skip
    """A chunk is some images."""
    size = p.H * p.W * p.C
    for n in range(chunk * p.per_chunk, min(p.N, (chunk + 1) * p.per_chunk)):
        start = gradient_before(p, pooling, dy, winners, n, drops, factor, threshold, key, work, lane * share)
        norm_gradient(
            rows(work, start, size, p.wide), rows(x, n * size, size, p.wide), rows(dx, n * size, size, p.wide), mean,
            scale, slope, shift,
        )  # fmt: skip


@helper
def gradient_before(p, pooling, dy, winners, n, drops, factor, threshold, key, work, start):
    """dz of image n, the gradient by what was normalised, in ``work``; returns where it begins."""
    size, pooled = p.H * p.W * p.C, pooling.OH > 0
    result = pooling.OH * pooling.OW * p.C if pooled else size
    copy(work, start, dy, n * result, result)
    thinned = work[start : start + result]
    if drops:
        drop(thinned, factor, threshold, key + np.uint64(n * result + 1) * GOLDEN)
    if not pooled:
        return start
    unpool(
        pooling, thinned, winners[n * result : (n + 1) * result], thinned, False, 0, p.H, p.W, p.C, work, start + result
    )
    return start + result


@helper
def rows(flat, start, size, wide):
    """An image as a matrix."""
    return flat[start : start + size].reshape(size // wide, wide)
