"""What lies between a caller's arrays and kernels: checks, one memory layout, and delivery of results."""

from .._arguments import check_array, check_out
from ._array import DeviceArray, empty


def operand(name, array, ndim=None, dtype=None, shape=None):
    """Return ``array`` itself if kernels can take it as it is, else a contiguous copy.

    Parameters
    ----------
    name : str
        What errors call the argument.
    array : DeviceArray
    ndim, dtype, shape : optional
        What the array must have. Without a dtype it must be float32 or float64.

    Returns
    -------
    DeviceArray

    Raises
    ------
    TypeError
        If it is no array of this backend, or its dtype is wrong.
    ValueError
        If its shape is wrong.
    """
    if not isinstance(array, DeviceArray):
        raise TypeError(
            f"{name} must be an array of the cuda backend, not {type(array).__name__}. Upload it with "
            "kernels.cuda.upload(array): arrays of two backends do not mix"
        )
    check_array(name, array, ndim, dtype, shape)
    return array if array.contiguous else array.copy()


def target(name, out, shape, dtype, inputs, same=()):
    """Return memory for a result: ``out`` if kernels can write there, else a fresh array for :func:`deliver`.

    Parameters
    ----------
    name : str
        What errors call the argument.
    out : DeviceArray or None
        What the caller passed.
    shape, dtype
        Those of the result.
    inputs : tuple of DeviceArrays
        The result must not lie in the memory of these, from which it is computed.
    same : tuple of DeviceArrays
        The result may be one of these, which the kernel reads element by element.

    Returns
    -------
    DeviceArray

    Raises
    ------
    TypeError
        If ``out`` is no array of this backend, or has another dtype.
    ValueError
        If it has another shape.
    """
    if out is None:
        return DeviceArray(shape, dtype)
    if not isinstance(out, DeviceArray):
        raise TypeError(
            f"{name} must be an array of the cuda backend, not {type(out).__name__}. Make it with kernels.cuda.empty"
        )
    check_out(name, out, shape, dtype)
    overlaps = any(out.same_memory(array) for array in inputs)
    shifted = any(out.same_memory(array) and array.memory is not out.memory for array in same)
    return out if out.contiguous and not overlaps and not shifted else DeviceArray(shape, dtype)


def deliver(result, out):
    """Return ``result``, or ``out`` filled with it if the caller brought memory that was not written directly."""
    if out is None or out is result:
        return result
    out[...] = result
    return out


def scratch(work):
    """Return what supplies a kernel's scratch memory."""
    return work or empty


def updated(state, dtype, shape):
    """Return arrays that are updated in place, by their names, as kernels take them: copied if they are views."""
    return [operand(name, array, dtype=dtype, shape=shape) for name, array in state.items()]


def store(arrays, state):
    """Write back what :func:`updated` had to copy."""
    for array, original in zip(arrays, state.values(), strict=True):
        if array is not original:
            original[...] = array
