"""Dropout by a counter: whether an element lives is a hash of (seed, step, its index), so no mask is stored."""

import numpy as np

from ..counter_hash import GOLDEN, UNIFORM_BITS, keep_threshold, key_of, mix
from ._out import deliver


def dropout(x, rate, seed, step, out=None, work=None):
    """Zero each element with probability ``rate`` and scale the others by ``1 / (1 - rate)``.

    ``y[i] = x[i] / (1 - rate)`` where ``mix(key + (i + 1) * golden) >> 40 >= rate * 2**24``, else 0, with
    ``key = key_of(seed, step)`` and i the element's flat index. The mean of y is x, so inference needs no change
    ("inverted" dropout). The same call on dy is the backward pass: the mask is recomputed.
    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.

    Parameters
    ----------
    x : array of any shape
    rate : float in [0, 1)
    seed, step : int
        Name the mask: the same pair gives the same mask on every backend.
    out : array like x, optional
        May be x itself.
    work : ignored here

    Returns
    -------
    array like x
    """
    index = np.arange(1, x.size + 1, dtype=np.uint64)
    draws = mix(key_of(seed, step) + index * GOLDEN) >> np.uint64(64 - UNIFORM_BITS)
    keep = (draws >= np.uint64(keep_threshold(rate))).reshape(x.shape)
    return deliver(np.where(keep, x * (1 / (1 - rate)), 0), out)
