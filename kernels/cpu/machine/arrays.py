"""What stands between a caller's arrays and jitted code: checks, one memory layout, and delivery of results.

Jitted code is compiled once per signature. Contiguous, aligned, writable arrays only get there, so each function has
one signature per floating dtype, whatever the caller brings.
"""

import numpy as np

from .jit import helper

CHUNK = 8_192  # elements of a chunk of element-wise work: it stays in the nearest cache
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def operand(name, array, ndim=None, dtype=None, shape=None):
    """``array`` itself where jitted code can take it as it is, else a copy; errors name the argument."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, not {type(array).__name__}")
    if dtype is None:
        if array.dtype not in FLOATS:
            raise TypeError(f"{name} must be float32 or float64, not {array.dtype}")
    elif array.dtype != dtype:
        raise TypeError(f"{name} must be {dtype} like its fellow arguments, not {array.dtype}")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions, not shape {array.shape}")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, not {array.shape}")
    if array.flags.carray and type(array) is np.ndarray:
        return array
    return np.array(array, order="C", copy=True, subok=False).reshape(array.shape)


def target(name, out, shape, dtype, inputs, same=()):
    """Memory for a result: ``out`` where jitted code can write there, else a fresh array for :func:`deliver`.

    A result must not overlap the ``inputs`` it is computed from. It may be the very memory of the arrays in ``same``,
    which the kernel reads element by element (``relu_forward(x, out=x)``).
    """
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, not {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"{name} has shape {out.shape}, the result {shape}")
    if out.dtype != dtype:
        raise TypeError(f"{name} must be {np.dtype(dtype)} like the result, not {out.dtype}")
    if not out.flags.writeable:
        raise ValueError(f"{name} is read-only")
    if not out.flags.carray or type(out) is not np.ndarray:
        return np.empty(shape, dtype)
    overlaps = any(np.may_share_memory(array, out) for array in inputs)
    shifted = any(np.may_share_memory(array, out) and array.ctypes.data != out.ctypes.data for array in same)
    return np.empty(shape, dtype) if overlaps or shifted else out


def deliver(result, out):
    """``result``, moved to ``out`` where the caller brought memory that was not written directly."""
    if out is None or out is result:
        return result
    np.copyto(out, result)
    return out


@helper
def pieces(size, length):
    """How many chunks of at most ``length`` cover ``size``: by shape only, never by the number of threads."""
    return -(-size // length)
