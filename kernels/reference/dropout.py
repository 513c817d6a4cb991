"""Noise from a counter: what happens to an element is a hash of (seed, step, its index), so no mask is stored."""

import math

import numpy as np

from ..counter_hash import GOLDEN, HALF_OPEN, UNIFORM_BITS, WIDE_SHIFT, keep_threshold, key_of, mix
from ._out import deliver

__all__ = ["dropout", "gaussian_noise"]


def dropout(x, rate, seed, step, out=None, work=None):
    """Set each element to 0 with probability ``rate`` and multiply the others by ``1 / (1 - rate)``.

    ``y[i] = x[i] / (1 - rate)`` where ``mix(key + (i + 1) * golden) >> 40 >= rate * 2**24``, else 0, with
    ``key = key_of(seed, step)`` and i the element's flat index. The mean of y is that of x, so inference needs no
    change ("inverted" dropout). The backward pass is the same call on dy: it computes the same mask again. Source:
    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.

    Parameters
    ----------
    x : array of any shape
    rate : float in [0, 1)
    seed, step : int
        They name the mask: the same pair gives the same mask on every backend.
    out : array like x, optional
        It may be x itself.
    work : ignored here

    Returns
    -------
    array like x
    """
    index = np.arange(1, x.size + 1, dtype=np.uint64)
    draws = mix(key_of(seed, step) + index * GOLDEN) >> np.uint64(64 - UNIFORM_BITS)
    keep = (draws >= np.uint64(keep_threshold(rate))).reshape(x.shape)
    return deliver(np.where(keep, x * (1 / (1 - rate)), 0), out)


def gaussian_noise(x, stddev, seed, step, out=None, work=None):
    """Add to each element a normally distributed number with mean 0 and standard deviation ``stddev``.

    ``y[i] = x[i] + stddev * sqrt(-2 ln u) * cos(2 pi v)`` with ``u = (mix(key + (2i + 1) * golden) >> 11) + 1`` and
    ``v = mix(key + (2i + 2) * golden) >> 11``, both divided by 2**53, and ``key = key_of(seed, step)``. The noise does
    not depend on x, so the gradient passes unchanged. The noise is computed in float64 whatever the dtype of x. Source:
    Box & Muller, "A note on the generation of random normal deviates", 1958.

    Parameters
    ----------
    x : array of any shape
    stddev : float, not negative
    seed, step : int
        They name the noise: the same pair gives the same noise, up to rounding, on every backend.
    out : array like x, optional
        It may be x itself.
    work : ignored here

    Returns
    -------
    array like x
    """
    counter = key_of(seed, step) + np.arange(1, 2 * x.size + 1, dtype=np.uint64) * GOLDEN
    draws = (mix(counter) >> WIDE_SHIFT).astype(np.float64).reshape(*x.shape, 2)
    u, v = (draws[..., 0] + 1) * HALF_OPEN, draws[..., 1] * HALF_OPEN
    noise = np.sqrt(-2 * np.log(u)) * np.cos(2 * math.pi * v)
    return deliver(x + (stddev * noise).astype(x.dtype), out)
