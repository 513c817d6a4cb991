"""Noise that is a hash of each element's number: it needs no memory and no order. See ``reference.dropout``."""

import math

import numpy as np

from ..counter_hash import GOLDEN, HALF_OPEN, UNIFORM_BITS, WIDE_SHIFT, keep_threshold, key_of, mix
from .machine.arrays import CHUNK, deliver, operand, pieces, target
from .machine.jit import helper
from .machine.memory import copy
from .machine.parallel import parallel

__all__ = ["dropout", "gaussian_noise"]

SHIFT = np.uint64(64 - UNIFORM_BITS)
hash_of = helper(mix)  # compiled from the source that NumPy runs


def dropout(x, rate, seed, step, out=None, work=None):
    """Hash, compare and scale in one pass; see :func:`reference.dropout`. ``out`` may be x."""
    x = operand("x", x)
    if not 0 <= rate < 1:
        raise ValueError(f"rate must lie in [0, 1); got {rate}")
    y = target("out", out, x.shape, x.dtype, (), same=(x,))
    scale, threshold = x.dtype.type(1 / (1 - rate)), np.uint64(keep_threshold(rate))
    chunks, in_place = pieces(x.size, CHUNK), np.may_share_memory(x, y)
    arguments = x.reshape(-1), in_place, y.reshape(-1), scale, threshold, key_of(seed, step)
    _dropout.launch(chunks, *arguments, renewed=[(5, key_for(seed, step))])
    return deliver(y, out)


def gaussian_noise(x, stddev, seed, step, out=None, work=None):
    """Hash twice, transform and add in one pass; see :func:`reference.gaussian_noise`. ``out`` may be x."""
    x = operand("x", x)
    if not 0 <= stddev < math.inf:
        raise ValueError(f"stddev must be finite and not negative; got {stddev}")
    y = target("out", out, x.shape, x.dtype, (), same=(x,))
    chunks, key = pieces(x.size, CHUNK), key_of(seed, step)
    arguments = x.reshape(-1), y.reshape(-1), float(stddev), key
    _gaussian_noise.launch(chunks, *arguments, renewed=[(3, key_for(seed, step))])
    return deliver(y, out)


def key_for(seed, step):
    """Return the function that computes the key anew when a program runs.

    The step of a part of a batch has a method ``of``, which says what it is at another step of training.
    """
    of = getattr(step, "of", int)
    return lambda now: key_of(seed, of(now.step))


@parallel
def _dropout(chunk, worker, x, in_place, y, scale, threshold, key):
    """Drop elements of a chunk, which is copied and then changed in place (see ``activation._gate``)."""
    start, stop = chunk * CHUNK, min(x.size, (chunk + 1) * CHUNK)
    if not in_place:
        copy(y, start, x, start, stop - start)
    drop(y[start:stop], scale, threshold, key + np.uint64(start + 1) * GOLDEN)


@helper
def drop(y, scale, threshold, counter):
    """Drop elements of one chunk; its first element hashes ``counter``, and each next one adds GOLDEN."""
    for i in range(y.size):
        draw = hash_of(counter) >> SHIFT
        counter += GOLDEN  # AVX2 has no product of 64-bit integers, only a sum
        value = y[i] * scale  # computed in any case, so the choice is a selection and not a jump
        y[i] = value if draw >= threshold else y.dtype.type(0)


@parallel
def _gaussian_noise(chunk, worker, x, y, stddev, key):
    """Add noise to a chunk of elements, with two draws for each, in float64 whatever the dtype of x."""
    for i in range(chunk * CHUNK, min(x.size, (chunk + 1) * CHUNK)):
        counter = key + np.uint64(2 * i + 1) * GOLDEN
        u = (np.float64(hash_of(counter) >> WIDE_SHIFT) + 1.0) * HALF_OPEN
        v = np.float64(hash_of(counter + GOLDEN) >> WIDE_SHIFT) * HALF_OPEN
        normal = math.sqrt(-2.0 * math.log(u)) * math.cos(2.0 * math.pi * v)
        y[i] = x[i] + y.dtype.type(stddev * normal)
