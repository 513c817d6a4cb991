"""One node of an ONNX graph, with its attributes checked when they are asked for."""

import math
from typing import Any

import numpy as np

from ..core.messages import shown
from ..core.types import Array

# The numbers of kinds of attributes in ONNX.
_FLOAT, _INT, _STRING, _TENSOR, _FLOATS, _INTS = 1, 2, 3, 4, 6, 7


class Node:
    """A node.

    Parameters
    ----------
    proto : onnx.NodeProto

    Attributes
    ----------
    operator : str
        The name of the operator, with its domain if that is not ONNX's own.
    inputs, outputs : list of str
        The names of the arrays that it takes and makes; an empty name is one that is left out.
    label : str
        What errors call it.
    """

    def __init__(self, proto: Any) -> None:
        domain = "" if proto.domain in ("", "ai.onnx") else f"{proto.domain}."
        self.operator = f"{domain}{proto.op_type}"
        self.inputs, self.outputs = list(proto.input), list(proto.output)
        self.name = proto.name
        called = f"{self.name}" if self.name else f"that makes {self.outputs[0]}" if self.outputs else "without a name"
        self.label = f"{shown(called)[1:-1]} ({shown(self.operator)[1:-1]})"
        self._attributes = {attribute.name: attribute for attribute in proto.attribute}

    def __contains__(self, name: str) -> bool:
        return name in self._attributes

    def _get(self, name: str, kind: int) -> Any:
        """Return an attribute's value, or None if the node does not have it."""
        attribute = self._attributes.get(name)
        if attribute is None:
            return None
        if attribute.type != kind or attribute.ref_attr_name:
            raise ValueError(f"{self.label}: its {name} is of another kind than ONNX says")
        return {
            _FLOAT: lambda: attribute.f,
            _INT: lambda: attribute.i,
            _STRING: lambda: attribute.s.decode("utf-8", "replace"),
            _TENSOR: lambda: attribute.t,
            _FLOATS: lambda: list(attribute.floats),
            _INTS: lambda: list(attribute.ints),
        }[kind]()

    def number(self, name: str, default: float) -> float:
        """Return a finite number; of all decimals that its 32 bits stand for, it is the shortest one."""
        value = self._get(name, _FLOAT)
        if value is None:
            return default
        if not math.isfinite(value):
            raise ValueError(f"{self.label}: its {name} is {value}; a finite number is needed")
        return float(str(np.float32(value)))

    def integer(self, name: str, default: int) -> int:
        """Return a whole number."""
        value = self._get(name, _INT)
        return default if value is None else int(value)

    def text(self, name: str, default: str) -> str:
        """Return a text."""
        value = self._get(name, _STRING)
        return default if value is None else str(value)

    def integers(self, name: str, count: int | None = None, default: list[int] | None = None) -> list[int] | None:
        """Return whole numbers, ``count`` of them."""
        value = self._get(name, _INTS)
        if value is None:
            return default
        if count is not None and len(value) != count:
            raise ValueError(f"{self.label}: its {name} must be {count} numbers for images; got {shown(value)}")
        return [int(number) for number in value]

    def constant(self) -> Any:
        """Return what a ``Constant`` holds: a ``TensorProto``, or an array."""
        tensor = self._get("value", _TENSOR)
        if tensor is not None:
            return tensor
        for name, kind, dtype in (
            ("value_float", _FLOAT, np.float32),
            ("value_int", _INT, np.int64),
            ("value_floats", _FLOATS, np.float32),
            ("value_ints", _INTS, np.int64),
        ):
            value = self._get(name, kind)
            if value is not None:
                return np.array(value, dtype)
        raise ValueError(f"{self.label}: it holds no array of numbers")

    def fill(self) -> Any:
        """Return the ``TensorProto`` of the number that a ``ConstantOfShape`` repeats, or None: zeros."""
        return self._get("value", _TENSOR)


def axes_of(node: Node, rank: int, given: Array | None, default: list[int] | None) -> list[int] | None:
    """Return the axes that a node works on, counted from 0; old operators have an attribute, new ones an input."""
    axes = node.integers("axes") if given is None else [int(axis) for axis in np.asarray(given).reshape(-1)]
    if axes is None:
        return default
    if any(not -rank <= axis < rank for axis in axes) or len({axis % rank for axis in axes}) < len(axes):
        raise ValueError(f"{node.label}: its axes are {shown(axes)}, but the array has {rank} axes")
    return [axis % rank for axis in axes]
