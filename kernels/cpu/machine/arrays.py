"""What lies between a caller's arrays and jitted code: checks, one memory layout, and delivery of results.

Jitted code is compiled once per signature. It gets only contiguous, aligned, writable arrays, so that each function has
one signature for each floating dtype, whatever the caller passes.
"""

import numpy as np

from ... import aligned
from ..._arguments import check_array, check_out
from .jit import helper, refuse

CHUNK = 8_192  # elements of a chunk of element-wise work: it stays in the nearest cache


def operand(name, array, ndim=None, dtype=None, shape=None):
    """Return ``array`` itself if jitted code can take it as it is, else a copy.

    Parameters
    ----------
    name : str
        What errors call the argument.
    array : array
    ndim, dtype, shape : optional
        What the array must have. Without a dtype it must be float32 or float64.

    Returns
    -------
    array
        C-ordered, aligned and writable.

    Raises
    ------
    TypeError
        If it is no NumPy array, or its dtype is wrong.
    ValueError
        If its shape is wrong.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array; got {type(array).__name__}")
    check_array(name, array, ndim, dtype, shape)
    if array.flags.carray and type(array) is np.ndarray:
        return array
    refuse(f"{name} has to be copied")
    return np.array(array, order="C", copy=True, subok=False).reshape(array.shape)


def target(name, out, shape, dtype, inputs, same=()):
    """Return memory for a result: ``out`` if jitted code can write there, else a fresh array for :func:`deliver`.

    Parameters
    ----------
    name : str
        What errors call the argument.
    out : array or None
        What the caller passed.
    shape, dtype
        Those of the result.
    inputs : tuple of arrays
        The result must not overlap these, from which it is computed.
    same : tuple of arrays
        The result may be the very memory of these, which the kernel reads element by element
        (``relu_forward(x, out=x)``).

    Returns
    -------
    array

    Raises
    ------
    TypeError
        If ``out`` is no NumPy array, or has another dtype.
    ValueError
        If it has another shape or is read-only.
    """
    if out is None:
        return aligned.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array; got {type(out).__name__}")
    check_out(name, out, shape, dtype)
    if not out.flags.writeable:
        raise ValueError(
            f"{name} must be writable, as it receives the result; got a read-only array. Pass a copy of it"
        )
    if not out.flags.carray or type(out) is not np.ndarray:
        return aligned.empty(shape, dtype)
    overlaps = any(np.may_share_memory(array, out) for array in inputs)
    shifted = any(np.may_share_memory(array, out) and array.ctypes.data != out.ctypes.data for array in same)
    return aligned.empty(shape, dtype) if overlaps or shifted else out


def deliver(result, out):
    """Return ``result``, or ``out`` filled with it if the caller brought memory that was not written directly."""
    if out is None or out is result:
        return result
    refuse("a result has to be copied")
    np.copyto(out, result)
    return out


def updated(state, dtype, shape):
    """Return arrays that are updated in place, as jitted code takes them: copied if their layout asks for it.

    Parameters
    ----------
    state : dict of str to array
        Errors call the arrays by these names.
    dtype, shape
        What they must have.

    Returns
    -------
    list of arrays
        :func:`store` writes back those that were copied.

    Raises
    ------
    TypeError
        If one is no NumPy array, or has another dtype.
    ValueError
        If one has another shape or is read-only.
    """
    for name, array in state.items():
        if isinstance(array, np.ndarray) and not array.flags.writeable:
            raise ValueError(f"{name} is updated in place, so it must be writable; got a read-only array. Pass a copy")
    return [operand(name, array, dtype=dtype, shape=shape) for name, array in state.items()]


def store(arrays, state):
    """Write back the arrays that :func:`updated` had to copy."""
    for array, original in zip(arrays, state.values(), strict=True):
        if array is not original:
            np.copyto(original, array)


def row_chunks(size, width):
    """Return into how many chunks rows of ``width`` numbers are cut, and how many rows a chunk has."""
    per_chunk = max(1, CHUNK // width)
    return pieces(size // width, per_chunk), per_chunk


@helper
def pieces(size, length):
    """Return how many chunks of at most ``length`` cover ``size``: by shape only, never by the number of threads."""
    return -(-size // length)


@helper
def sum_rows(values, width, first, total):
    """Sum some neighbouring columns of a matrix, row after row.

    Parameters
    ----------
    values : flat array
        The matrix.
    width, first : int
        Length of its rows, and the first column.
    total : array
        It receives the sums of as many columns as it is long.
    """
    total[:] = 0
    for start in range(first, values.size, width):
        row = values[start : start + total.size]
        for c in range(total.size):
            total[c] += row[c]
