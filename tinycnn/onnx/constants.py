"""What an ONNX graph computes without its input: arrays of weights put into other shapes, and shapes to reshape to."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..core.messages import shown
from ..core.types import Array
from . import tensors
from .nodes import Node, axes_of

#: A result of so many numbers may be larger than everything that it is made of.
_SMALL = 2**16


class Batch:
    """The number of samples in a batch, as it occurs in shapes; it is not known, so nothing can be computed with it."""

    def __repr__(self) -> str:
        return "N"


BATCH = Batch()


class Constants:
    """The arrays of a graph that do not depend on its input, by their names.

    Parameters
    ----------
    initializers : iterable of onnx.TensorProto
        The arrays in the file. They are read when they are first asked for.
    folder : Path
        The folder of the file.
    """

    def __init__(self, initializers: Iterable[Any], folder: Path) -> None:
        self._folder = folder
        self._tensors: dict[str, Any] = {}
        for tensor in initializers:
            if tensor.name in self._tensors:
                raise ValueError(f"two arrays are called {shown(tensor.name)}")
            self._tensors[tensor.name] = tensor
        self._arrays: dict[str, Array] = {}
        self._left = 2**22  # how many numbers may still be computed, besides one for each that was read

    def __contains__(self, name: str) -> bool:
        return name in self._arrays or name in self._tensors

    def __getitem__(self, name: str) -> Array:
        if name not in self._arrays:
            self._arrays[name] = self._read(self._tensors[name])
        return self._arrays[name]

    def keep(self, name: str, array: Array) -> None:
        """Add an array."""
        self._arrays[name] = array

    def of(self, node: Node, number: int) -> Array | None:
        """Return input ``number`` of a node, or None if the node does not have it."""
        name = node.inputs[number] if number < len(node.inputs) else ""
        if name and name not in self:
            raise ValueError(f"{node.label}: its {shown(name)} depends on the network's input; it has to be fixed")
        return self[name] if name else None

    def needed(self, node: Node, number: int, what: str) -> Array:
        """Return input ``number`` of a node, or raise a ValueError that says what is missing."""
        found = self.of(node, number)
        if found is None:
            raise ValueError(f"{node.label}: it has no {what}")
        return found

    def _read(self, tensor: Any) -> Array:
        array = tensors.values(tensor, self._folder)
        self._left += 4 * array.size
        return array

    def fold(self, node: Node) -> None:
        """Compute a node of :data:`FOLDABLE`, whose inputs are all here."""
        if not node.outputs:
            raise ValueError(f"{node.label}: it makes nothing")
        if node.operator == "Constant":
            value = node.constant()
            found = value if isinstance(value, np.ndarray) else self._read(value)
        elif node.operator == "ConstantOfShape":
            fill = node.fill()
            found = self._filled(node, np.zeros(1, np.float32) if fill is None else self._read(fill))
        else:
            given = [self.of(node, number) for number in range(len(node.inputs))]
            if not given or given[0] is None:
                raise ValueError(f"{node.label}: it has no input")
            try:
                with np.errstate(all="ignore"):
                    found = np.asarray(FOLDABLE[node.operator](node, given))
            except (TypeError, IndexError, ValueError, ZeroDivisionError, OverflowError) as error:
                raise ValueError(
                    f"{node.label}: it computes {shown(node.outputs[0])} in a way that tinycnn does not follow: {error}"
                ) from None
        self._left -= found.size
        if self._left < 0:
            raise ValueError(f"{node.label}: so much is computed from constants that the file is not read")
        self._arrays[node.outputs[0]] = found

    def _filled(self, node: Node, fill: Array) -> Array:
        shape = [int(length) for length in self.needed(node, 0, "shape").reshape(-1)]
        _check(node, math.prod(shape))
        if fill.size != 1 or any(length < 0 for length in shape):
            raise ValueError(f"{node.label}: its shape is {shown(shape)}")
        return np.full(shape, fill.reshape(-1)[0])


def _check(node: Node, count: int, *operands: Array) -> None:
    """Raise a ValueError if a result would be large, and larger than each of its operands."""
    if count > max(_SMALL, *(array.size for array in operands), 0):
        raise ValueError(f"{node.label}: its result would hold {shown(count)} numbers")


def _two(compute: Callable[[Array, Array], Any]) -> Callable[[Node, list[Any]], Any]:
    """Return the folding of an operator of two arrays, which may have different shapes."""

    def fold(node: Node, given: list[Any]) -> Any:
        a, b = given
        _check(node, math.prod(np.broadcast_shapes(a.shape, b.shape)), a, b)
        if a.dtype != b.dtype and object not in (a.dtype, b.dtype):
            raise TypeError(f"it mixes {a.dtype} and {b.dtype}")
        return compute(a, b)

    return fold


def _divide(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    if (b == 0).any():
        raise ZeroDivisionError("it divides by 0")
    return np.asarray(np.where((a < 0) ^ (b < 0), -(abs(a) // abs(b)), abs(a) // abs(b)))


def _remainder(node: Node, given: list[Any]) -> Any:
    if (given[1] == 0).any():
        raise ZeroDivisionError("it divides by 0")
    # Whole numbers have the sign of the divisor; fmod=1, which floating-point numbers need, takes that of the dividend.
    return _two(np.fmod if node.integer("fmod", 0) else np.remainder)(node, given)


def _cast(node: Node, given: list[Any]) -> Any:
    kind = tensors._KINDS.get(node.integer("to", 0))
    if kind is None:
        raise TypeError("it converts to a kind of numbers that is not known")
    return given[0] if given[0].dtype == object else given[0].astype(kind[0])


def _concat(node: Node, given: list[Any]) -> Any:
    arrays = [array for array in given if array is not None]
    _check(node, sum(array.size for array in arrays), *arrays)
    return np.concatenate(arrays, axis=node.integer("axis", 0))


def _gather(node: Node, given: list[Any]) -> Any:
    data, indices = given
    axis = node.integer("axis", 0)
    _check(node, indices.size * max(1, data.size // max(1, data.shape[axis])), data)
    return np.take(data, indices.astype(np.int64), axis=axis)


def _slice(node: Node, given: list[Any]) -> Any:
    data, *limits = given
    if limits:
        lists = [None if array is None else [int(n) for n in array.reshape(-1)] for array in limits]
        starts, ends, axes, steps = lists + [None] * (4 - len(lists))
    else:
        starts, ends, axes, steps = node.integers("starts"), node.integers("ends"), node.integers("axes"), None
    if starts is None or ends is None:
        raise ValueError("it has no limits")
    cut = [slice(None)] * data.ndim
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis, step = number if axes is None else axes[number], 1 if steps is None else steps[number]
        cut[axis] = slice(start, None if step < 0 and end < -data.shape[axis] else end, step)
    return data[tuple(cut)]


def _squeeze(node: Node, given: list[Any]) -> Any:
    axes = axes_of(node, given[0].ndim, given[1] if len(given) > 1 else None, None)
    return np.squeeze(given[0], None if axes is None else tuple(axes))


def _unsqueeze(node: Node, given: list[Any]) -> Any:
    known = node.integers("axes") if len(given) < 2 else given[1].reshape(-1).tolist()
    if not known or len(known) > 8:
        raise ValueError("it does not say which axes")
    return np.expand_dims(given[0], tuple(known))


def _reshape(node: Node, given: list[Any]) -> Any:
    data, target = given
    shape = [int(length) for length in target.reshape(-1)]
    if not node.integer("allowzero", 0):
        shape = [data.shape[axis] if length == 0 else length for axis, length in enumerate(shape)]
    return data.reshape(shape)


def _expand(node: Node, given: list[Any]) -> Any:
    shape = np.broadcast_shapes(given[0].shape, tuple(int(length) for length in given[1].reshape(-1)))
    _check(node, math.prod(shape), given[0])
    return np.broadcast_to(given[0], shape).copy()


def _range(node: Node, given: list[Any]) -> Any:
    start, limit, step = (array.reshape(-1)[0] for array in given)
    _check(node, int(max(0, math.ceil((int(limit) - int(start)) / int(step)))))
    return np.arange(start, limit, step)


def _transpose(node: Node, given: list[Any]) -> Any:
    return np.transpose(given[0], node.integers("perm"))


#: Each operator that is computed, with a function of the node and its inputs.
FOLDABLE: dict[str, Callable[[Node, list[Any]], Any]] = {
    "Add": _two(np.add),
    "Cast": _cast,
    "Concat": _concat,
    "Div": _two(_divide),
    "Expand": _expand,
    "Gather": _gather,
    "Identity": lambda node, given: given[0],
    "Mod": _remainder,
    "Mul": _two(np.multiply),
    "Neg": lambda node, given: -given[0],
    "Range": _range,
    "Reciprocal": lambda node, given: 1 / given[0],
    "ReduceProd": lambda node, given: np.prod(
        given[0], keepdims=bool(node.integer("keepdims", 1)), dtype=given[0].dtype
    ),
    "Reshape": _reshape,
    "Shape": lambda node, given: np.array(given[0].shape, np.int64),
    "Size": lambda node, given: np.array(given[0].size, np.int64),
    "Slice": _slice,
    "Sqrt": lambda node, given: np.sqrt(given[0]),
    "Squeeze": _squeeze,
    "Sub": _two(np.subtract),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
#: These are computed too, in a way of their own.
COMPUTED = {*FOLDABLE, "Constant", "ConstantOfShape"}
