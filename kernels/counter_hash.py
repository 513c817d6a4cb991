"""Random numbers from a counter: the n-th number of a stream is a hash of (key, n).

No state is kept and numbers are not drawn in order. So a stream has the same values on every backend and for any number
of threads, and the backward pass can compute it again. The functions are written for ``numpy.uint64``, so that NumPy
(on arrays) and Numba (on scalars) run the same source.
"""

from operator import index

import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)
_MASK = (1 << 64) - 1

UNIFORM_BITS = 24  # a float32 represents all integers up to 2**24 exactly
WIDE_SHIFT = np.uint64(11)  # leaves 53 bits: a float64 represents all integers up to 2**53 exactly
HALF_OPEN = 2.0**-53  # a draw of 53 bits times this is a number in [0, 1)


def mix(z):
    """Hash 64 bits by SplitMix64's finaliser: a bijection in which every input bit affects every output bit.

    Source: Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, section 3
    (constants: Stafford's variant 13).
    """
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


def unmix(z: int) -> int:
    """Return the 64 bits that :func:`mix` hashes to z: multiplications by odd numbers and shifts can be undone.

    Examples
    --------
    >>> unmix(int(mix(np.array([2**63 + 5], np.uint64))[0])) == 2**63 + 5
    True
    """
    for shift, factor in ((_S31, _MIX_2), (_S27, _MIX_1), (_S30, 1)):
        before = z
        for _ in range(64 // int(shift)):
            before = z ^ (before >> int(shift))
        z = before * pow(int(factor), -1, 2**64) & _MASK
    return z


def key_of(*words: int) -> np.uint64:
    """Return one 64-bit key made from any number of integers (seed, step, …); their order matters.

    Examples
    --------
    >>> int(key_of(42, 0)) == int(key_of(42, 0)), int(key_of(42, 0)) == int(key_of(0, 42))
    (True, False)
    """
    key = 0
    for word in words:
        key = _mix_one(((key ^ index(word) & _MASK) + int(GOLDEN)) & _MASK)
    return np.uint64(key)


def _mix_one(z: int) -> int:
    """Return what :func:`mix` makes of one number; NumPy takes many times as long for an array of one."""
    z = (z ^ (z >> 30)) * int(_MIX_1) & _MASK
    z = (z ^ (z >> 27)) * int(_MIX_2) & _MASK
    return z ^ (z >> 31)


def keep_threshold(rate: float) -> int:
    """Return the smallest 24-bit draw that survives dropout at ``rate``."""
    return round(rate * (1 << UNIFORM_BITS))
