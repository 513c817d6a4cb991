"""What stands between a caller's arrays and kernels: checks, one memory layout, and delivery of results."""

import numpy as np

from ._array import DeviceArray, empty

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def operand(name, array, ndim=None, dtype=None, shape=None):
    """``array`` itself where kernels can take it as it is, else a contiguous copy; errors name the argument."""
    if not isinstance(array, DeviceArray):
        raise TypeError(
            f"{name} must be an array of the cuda backend, not {type(array).__name__}: upload it with "
            "kernels.cuda.upload(array), and mix no arrays of two backends"
        )
    if dtype is None:
        if array.dtype not in FLOATS:
            raise TypeError(f"{name} must be float32 or float64, not {array.dtype}")
    elif array.dtype != dtype:
        raise TypeError(f"{name} must be {np.dtype(dtype)} like its fellow arguments, not {array.dtype}")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions, not shape {array.shape}")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, not {array.shape}")
    return array if array.contiguous else array.copy()


def target(name, out, shape, dtype, inputs, same=()):
    """Memory for a result: ``out`` where kernels can write there, else a fresh array for :func:`deliver`.

    A result must not lie in the memory of the ``inputs`` it is computed from. It may be one of the arrays in ``same``,
    which the kernel reads element by element.
    """
    if out is None:
        return DeviceArray(shape, dtype)
    if not isinstance(out, DeviceArray):
        raise TypeError(f"{name} must be an array of the cuda backend, not {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"{name} has shape {out.shape}, the result {shape}")
    if out.dtype != dtype:
        raise TypeError(f"{name} must be {np.dtype(dtype)} like the result, not {out.dtype}")
    overlaps = any(out.same_memory(array) for array in inputs)
    shifted = any(out.same_memory(array) and array.memory is not out.memory for array in same)
    return out if out.contiguous and not overlaps and not shifted else DeviceArray(shape, dtype)


def deliver(result, out):
    """``result``, moved to ``out`` where the caller brought memory that was not written directly."""
    if out is None or out is result:
        return result
    out[...] = result
    return out


def scratch(work):
    """What gives a kernel its scratch memory."""
    return work or empty
