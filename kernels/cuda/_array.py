"""An array on the card, with as much of NumPy's interface as layers and kernels need.

Kernels take contiguous arrays. Other slices are views, to be copied from and to. Arithmetic of two arrays of one shape,
or of an array and a number, runs on the card. All other NumPy functions run on the host, and their results go back to
the card: a layer that was written for NumPy works, slowly, until it has kernels. A NumPy array among their arguments is
an error, except to copy from it.
"""

import math
import operator

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from . import _device
from ._device import cuda, kernel, spread

MOST_AXES = 5  # of views; a batch of images has four


class DeviceArray(NDArrayOperatorsMixin):
    """Numbers on the card.

    Attributes
    ----------
    memory
        The line of numbers that holds them, which kernels get.
    shape, dtype
        As in NumPy.
    """

    __slots__ = ("_block", "_offset", "_strides", "dtype", "memory", "shape")
    __array_priority__ = 1000
    __hash__ = None

    def __init__(self, shape, dtype, block=None, view=None):
        self.shape, self.dtype = tuple(map(operator.index, shape)), np.dtype(dtype)
        self._block = block or _device.Block(math.prod(self.shape), self.dtype)
        self._offset, self._strides = view or (0, None)  # None stands for C order
        self.memory = self._block.memory if view is None else None

    # What it is -----------------------------------------------------------------------------------------------

    @property
    def ndim(self):
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self):
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def itemsize(self):
        """Bytes of an element."""
        return self.dtype.itemsize

    @property
    def nbytes(self):
        """Bytes of all elements."""
        return self.size * self.itemsize

    @property
    def contiguous(self):
        """Whether kernels can take it as it is."""
        return self.memory is not None

    @property
    def T(self):  # noqa: N802  (NumPy's name)
        """The axes in reverse order, as a view."""
        return self._view(self.shape[::-1], self._offset, self._element_strides()[::-1])

    def __len__(self):
        if not self.shape:
            raise TypeError("an array without axes has no len()")
        return self.shape[0]

    def __repr__(self):
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype})"

    def same_memory(self, other):
        """Return whether two arrays lie in one block."""
        return isinstance(other, DeviceArray) and self._block is other._block

    # To and from the host -------------------------------------------------------------------------------------

    def to_numpy(self):
        """Return a copy on the host; this waits for the card."""
        source = self if self.contiguous else self.copy()
        return _device.to_host(source.memory, self.size).reshape(self.shape)

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError("an array on the card has to be copied to become a NumPy array; got copy=False")
        values = self.to_numpy()
        return values if dtype is None else values.astype(dtype, copy=False)

    def __float__(self):
        return float(self.to_numpy())

    def __int__(self):
        return int(self.to_numpy())

    def __bool__(self):
        return bool(self.to_numpy())

    # Other shapes, copies, parts ------------------------------------------------------------------------------

    def reshape(self, *shape):
        """Return the same memory in another shape; one length may be -1."""
        shape = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
        if not self.contiguous:
            return self.copy().reshape(shape)
        given = math.prod(length for length in shape if length != -1)
        shape = tuple(self.size // given if length == -1 and given else length for length in shape)
        if math.prod(shape) != self.size:
            raise ValueError(f"cannot reshape {self.shape} into {shape}: both must hold {self.size} elements")
        result = DeviceArray(shape, self.dtype, self._block)
        result.memory, result._offset = self.memory, self._offset
        return result

    def copy(self):
        """Return the same numbers in memory of their own, in C order."""
        result = DeviceArray(self.shape, self.dtype)
        result[...] = self
        return result

    def astype(self, dtype, copy=True):
        """Return the same numbers in another dtype."""
        if self.dtype == dtype and not copy:
            return self
        result = DeviceArray(self.shape, dtype)
        result[...] = self
        return result

    def __getitem__(self, index):
        offset, shape, strides = self._located(index)
        return self._view(shape, offset, strides)

    def __setitem__(self, index, values):
        target = self if index is Ellipsis else self[index]
        if isinstance(values, DeviceArray) and values.shape == target.shape:
            _assign(target, values)
        elif isinstance(values, int | float | np.number) or np.ndim(values) == 0:
            _fill(target, float(values))
        else:
            _assign(target, upload(np.broadcast_to(np.asarray(values), target.shape), target.dtype))

    def _view(self, shape, offset, strides):
        """Return a part of this array's block, contiguous if its strides allow it."""
        if strides == c_strides(shape) or math.prod(shape) <= 1:
            result = DeviceArray(shape, self.dtype, self._block)
            count = max(1, math.prod(shape))
            whole = not offset and count == self._block.memory.size
            result.memory = self._block.memory if whole else self._block.memory[offset : offset + count]
            result._offset = offset
            return result
        return DeviceArray(shape, self.dtype, self._block, (offset, strides))

    def _element_strides(self):
        """Return the strides in elements."""
        return self._strides or c_strides(self.shape)

    def _located(self, index):
        """Return offset, shape and strides of a part, which integers, slices and an ellipsis select."""
        index = index if isinstance(index, tuple) else (index,)
        if any(not isinstance(item, int | np.integer | slice | type(Ellipsis)) for item in index):
            kinds = ", ".join(type(item).__name__ for item in index)
            raise TypeError(f"an array on the card is indexed by integers and slices; got {kinds}")
        if Ellipsis in index:
            place = index.index(Ellipsis)
            index = (*index[:place], *[slice(None)] * (self.ndim - len(index) + 1), *index[place + 1 :])
        if len(index) > self.ndim:
            raise IndexError(f"an array of {self.ndim} axes takes at most {self.ndim} indices; got {len(index)}")
        index = (*index, *[slice(None)] * (self.ndim - len(index)))
        offset, shape, strides = self._offset, [], []
        for item, length, stride in zip(index, self.shape, self._element_strides(), strict=True):
            if isinstance(item, slice):
                start, stop, step = item.indices(length)
                shape.append(len(range(start, stop, step)))
                strides.append(stride * step)
                offset += start * stride if shape[-1] else 0
            elif -length <= item < length:
                offset += int(item) % length * stride
            else:
                raise IndexError(f"index {item} is outside an axis of length {length}")
        return offset, tuple(shape), tuple(strides)

    # NumPy's functions ----------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **keywords):
        _refuse_mixture(ufunc.__name__, (inputs, out))
        target = None if out is None else out[0]
        if method == "__call__" and not keywords and ufunc in _ON_CARD and (target is None or _is_device(target)):
            result = _ON_CARD[ufunc](*inputs, target)
            if result is not None:
                return result
        result = getattr(ufunc, method)(*map(_on_host, inputs), **keywords)
        if target is None:
            return _back(result)
        target[...] = result
        return target

    def __array_function__(self, function, types, arguments, keywords):
        if function in (np.zeros_like, np.empty_like) and _is_device(arguments[0]) and not keywords:
            result = DeviceArray(arguments[0].shape, arguments[0].dtype)
            if function is np.zeros_like:
                result[...] = 0
            return result
        if function is np.ascontiguousarray:
            array, *dtype = arguments
            array = array.astype(keywords.get("dtype", dtype[0] if dtype else array.dtype), copy=False)
            return array if array.contiguous else array.copy()
        if function is np.copyto:
            arguments[0][...] = arguments[1]
            return None
        _refuse_mixture(function.__name__, (arguments, tuple(keywords.values())))
        out = keywords.pop("out", None)
        result = function(*_deep(arguments), **{name: _on_host(value) for name, value in keywords.items()})
        if out is None:
            return _back(result)
        out[...] = result
        return out


def c_strides(shape):
    """Return the strides of an array in C order, in elements."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def upload(values, dtype=None):
    """Return a NumPy array, or what NumPy can make into one, as an array on the card."""
    values = np.asarray(values, dtype, order="C")
    result = DeviceArray(values.shape, values.dtype)
    _device.to_device(result.memory, values.reshape(-1))
    return result


def empty(shape, dtype=np.float32):
    """Return memory on the card; it is called like :func:`numpy.empty`."""
    return DeviceArray((shape,) if isinstance(shape, int) else shape, dtype)


def _is_device(value):
    """Return whether a value is an array on the card."""
    return isinstance(value, DeviceArray)


def _on_host(value):
    """Return a value with an array on the card brought to the host."""
    return value.to_numpy() if _is_device(value) else value


def _refuse_mixture(name, values):
    """Raise an error if NumPy arrays stand among those of the card: the caller has to say which of them is copied."""
    if _holds_numpy(values):
        raise TypeError(
            f"{name}: got an array of NumPy and one of the cuda backend; arrays of two backends do not mix: upload "
            "the one with backend.array(x), or fetch the other with backend.to_numpy(x)"
        )


def _holds_numpy(value):
    """Return whether a value, or a list in it, holds a NumPy array."""
    if isinstance(value, list | tuple):
        return any(map(_holds_numpy, value))
    return isinstance(value, np.ndarray) and value.ndim > 0


def _deep(values):
    """Return arguments, and lists of arrays in them as ``np.concatenate`` takes, with all arrays on the host."""
    return [type(v)(_deep(v)) if isinstance(v, list | tuple) else _on_host(v) for v in values]


def _back(result):
    """Return a result of the host with an array brought back to the card."""
    return upload(result) if isinstance(result, np.ndarray) and result.ndim else result


# Kernels of the array itself ------------------------------------------------------------------------------------


def _fill(target, value):
    """Set every element of an array to a number."""
    if target.contiguous:
        spread(_fill_line, target.size, target, target.dtype.type(value))
    else:
        lengths, strides = _padded(target)
        spread(_fill_view, target.size, target._block, lengths, strides, target._offset, target.dtype.type(value))


def _assign(target, source):
    """Copy one array to another of the same shape."""
    if target.contiguous and source.contiguous:
        spread(_copy_line, target.size, target, source)
        return
    lengths, to = _padded(target)
    _, by = _padded(source)
    spread(
        _copy_view,
        target.size,
        target._block,
        source._block,
        lengths,
        to,
        by,
        target._offset,
        source._offset,
    )


def _padded(array):
    """Return shape and strides with axes of length 1 in front, so that one kernel works for any number of axes."""
    missing = MOST_AXES - array.ndim
    if missing < 0:
        raise ValueError(f"parts of arrays of up to {MOST_AXES} axes can be copied on the card; got {array.ndim}")
    return (1,) * missing + array.shape, (0,) * missing + tuple(array._element_strides())


def _affine(array, factor, offset, target):
    """Return ``factor * array + offset``, or None if the card has no kernel for it."""
    out = _memory_for(target, array)
    if out is None:
        return None
    number = array.dtype.type
    spread(_affine_line, array.size, array, number(factor), number(offset), out)
    return out


def _memory_for(target, array):
    """Return memory for a result like ``array``, the target if possible; None if the card cannot compute it."""
    if array.dtype.kind != "f" or not array.contiguous:
        return None
    if target is None:
        return DeviceArray(array.shape, array.dtype)
    good = target.contiguous and target.shape == array.shape and target.dtype == array.dtype
    return target if good else None


def _is_number(value):
    """Return whether a value is a number, which a bool is not here."""
    return isinstance(value, int | float | np.floating | np.integer) and not isinstance(value, bool)


def _sum(a, b, target, sign=1):
    """Return ``a + sign * b``, or None if the card has no kernel for it."""
    if _is_device(a) and _is_number(b):
        return _affine(a, 1, sign * b, target)
    if _is_number(a) and _is_device(b):
        return _affine(b, sign, a, target)
    out = _of_pair(a, b, target)
    if out is not None:
        spread(_sum_lines, a.size, a, b, a.dtype.type(sign), out)
    return out


def _difference(a, b, target):
    """Return ``a - b``, or None if the card has no kernel for it."""
    return _sum(a, b, target, sign=-1)


def _product(a, b, target):
    """Return ``a * b``, or None if the card has no kernel for it."""
    if _is_number(a) or _is_number(b):
        array, factor = (b, a) if _is_number(a) else (a, b)
        return _affine(array, factor, 0, target)
    out = _of_pair(a, b, target)
    if out is not None:
        spread(_product_lines, a.size, a, b, out)
    return out


def _of_pair(a, b, target):
    """Return memory for a result of two arrays that are alike, or None."""
    alike = _is_device(a) and _is_device(b) and a.shape == b.shape and a.dtype == b.dtype and b.contiguous
    return _memory_for(target, a) if alike else None


_ON_CARD = {np.add: _sum, np.subtract: _difference, np.multiply: _product}


@kernel
def _fill_line(count, target, value):
    """Fill a contiguous array."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        target[i] = value


@kernel
def _copy_line(count, target, source):
    """Copy between contiguous arrays."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        target[i] = source[i]


@kernel
def _fill_view(count, target, lengths, strides, offset, value):
    """Fill a view."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        rest, place = i, offset
        for axis in range(MOST_AXES - 1, -1, -1):
            place += rest % lengths[axis] * strides[axis]
            rest //= lengths[axis]
        target[place] = value


@kernel
def _copy_view(count, target, source, lengths, to, by, target_offset, source_offset):
    """Copy views: their strides are ``to`` and ``by``."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        rest, here, there = i, target_offset, source_offset
        for axis in range(MOST_AXES - 1, -1, -1):
            position = rest % lengths[axis]
            here += position * to[axis]
            there += position * by[axis]
            rest //= lengths[axis]
        target[here] = source[there]


@kernel
def _affine_line(count, x, factor, offset, y):
    """Compute ``y = factor * x + offset``."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        y[i] = factor * x[i] + offset


@kernel
def _sum_lines(count, a, b, sign, y):
    """Compute ``y = a + sign * b``."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        y[i] = a[i] + sign * b[i]


@kernel
def _product_lines(count, a, b, y):
    """Compute ``y = a * b``."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        y[i] = a[i] * b[i]
