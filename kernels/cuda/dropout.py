"""Noise that is a hash of each element's number: the CPU's mask, bit for bit. See ``reference.dropout``."""

import math

import numpy as np

from ..counter_hash import GOLDEN, HALF_OPEN, UNIFORM_BITS, WIDE_SHIFT, keep_threshold, key_of, mix
from ._arrays import deliver, operand, target
from ._device import cuda, helper, kernel, spread

__all__ = ["dropout", "gaussian_noise"]

SHIFT = np.uint64(64 - UNIFORM_BITS)
hash_of = helper(mix)  # compiled from the source that NumPy runs


def dropout(x, rate, seed, step, out=None, work=None):
    """Hash, compare and scale; see :func:`reference.dropout`. ``out`` may be x."""
    x = operand("x", x)
    if not 0 <= rate < 1:
        raise ValueError(f"rate must lie in [0, 1); got {rate}")
    y = target("out", out, x.shape, x.dtype, (), same=(x,))
    scale, threshold = x.dtype.type(1 / (1 - rate)), np.uint64(keep_threshold(rate))
    spread(_dropout, x.size, x, scale, threshold, key_of(seed, step), y)
    return deliver(y, out)


def gaussian_noise(x, stddev, seed, step, out=None, work=None):
    """Hash twice, transform and add; see :func:`reference.gaussian_noise`. ``out`` may be x."""
    x = operand("x", x)
    if not 0 <= stddev < math.inf:
        raise ValueError(f"stddev must be finite and not negative; got {stddev}")
    y = target("out", out, x.shape, x.dtype, (), same=(x,))
    spread(_gaussian_noise, x.size, x, float(stddev), key_of(seed, step), y)
    return deliver(y, out)


@kernel
def _dropout(count, x, scale, threshold, key, y):
    """Draw for one element and keep or drop it."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        draw = hash_of(key + np.uint64(i + 1) * GOLDEN) >> SHIFT
        y[i] = x[i] * scale if draw >= threshold else x.dtype.type(0)


@kernel
def _gaussian_noise(count, x, stddev, key, y):
    """Draw twice for each element, in float64 whatever the dtype of x."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        counter = key + np.uint64(2 * i + 1) * GOLDEN
        u = (np.float64(hash_of(counter) >> WIDE_SHIFT) + 1.0) * HALF_OPEN
        v = np.float64(hash_of(counter + GOLDEN) >> WIDE_SHIFT) * HALF_OPEN
        normal = math.sqrt(-2.0 * math.log(u)) * math.cos(2.0 * math.pi * v)
        y[i] = x[i] + y.dtype.type(stddev * normal)
