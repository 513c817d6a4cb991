"""Memory that begins where a vector register can be loaded at once: on a multiple of 64 bytes.

NumPy begins an array on a multiple of 16 bytes. A vector of 64 bytes from there lies in two cache lines, and each
access costs two. Whatever is made for kernels is made here; kernels also take arrays that begin anywhere, with the same
bits.
"""

import math

import numpy as np

BYTES = 64  # a cache line, and the widest vector


def empty(shape, dtype=np.float32):
    """Return an uninitialised array, like :func:`numpy.empty`.

    Examples
    --------
    >>> array = empty((3, 5), "float32")
    >>> array.shape, array.__array_interface__["data"][0] % BYTES
    ((3, 5), 0)
    """
    dtype = np.dtype(dtype)
    size = (math.prod(shape) if isinstance(shape, tuple) else shape) * dtype.itemsize
    memory = np.empty(size + BYTES, np.uint8)
    start = -memory.__array_interface__["data"][0] % BYTES
    return memory[start : start + size].view(dtype).reshape(shape)


def zeros(shape, dtype=np.float32):
    """Return an array of zeros, like :func:`numpy.zeros`."""
    array = empty(shape, dtype)
    array.fill(0)
    return array


def zeros_like(array):
    """Return zeros of an array's shape and dtype, on its device."""
    return zeros(array.shape, array.dtype) if type(array) is np.ndarray else np.zeros_like(array)


def copy(array):
    """Return a C-ordered copy of a NumPy array."""
    copied = empty(array.shape, array.dtype)
    copied[...] = array
    return copied


def moved_back(array):
    """Return an array itself, or an aligned copy: copies that Python makes of objects begin anywhere."""
    if type(array) is not np.ndarray or array.__array_interface__["data"][0] % BYTES == 0:
        return array
    return copy(array)


def rounded(count, itemsize):
    """Return the smallest number of items, ``count`` or more, behind which aligned memory is aligned again."""
    lanes = BYTES // itemsize
    return -(-count // lanes) * lanes
