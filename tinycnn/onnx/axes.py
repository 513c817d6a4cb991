"""The order of axes: ONNX has images with channels first, tinycnn has them last, and no layer transposes.

For each axis of an array in the file, ``axes`` says which axis of tinycnn's array that is; the batch is 0 in both. So a
transpose in the file changes ``axes`` and needs no layer.
"""

from collections.abc import Iterable

from ..core.types import Shape
from .chain import Step
from .constants import Constants
from .nodes import Node, axes_of

#: The axes of images (N, H, W, C) in the order (N, C, H, W), and in the order in which tinycnn has them.
FIRST, LAST = (0, 3, 1, 2), (0, 1, 2, 3)
_SPATIAL = ("AveragePool", "BatchNormalization", "Conv", "GlobalAveragePool", "GlobalMaxPool", "MaxPool")
#: Operators that leave the axes of an array where they are.
_KEEP_AXES = (
    *("Add", "Cast", "Clip", "Div", "Dropout", "Elu", "Gelu", "Identity", "LeakyRelu", "Max", "Mul", "PRelu", "Relu"),
    *("Sigmoid", "Sub", "Tanh"),
)


def same_order(sample: Shape, axes: tuple[int, ...]) -> bool:
    """Return whether an array has its numbers in the same order in memory when its axes are put in this order."""
    longer = [axis for axis in axes[1:] if sample[axis - 1] != 1]
    return longer == sorted(longer)


def of_input(steps: Iterable[Step], constants: Constants) -> tuple[int, ...] | None:
    """Return the axes of a network's images, from the first operator for which rows and columns are not the same.

    Returns
    -------
    tuple of int or None
        None if no operator tells.
    """
    order = list(range(4))  # for each axis at a step, the axis of the input that it was
    for step in steps:
        node = step.node
        wanted: list[int] | None = None
        if node.operator == "Transpose":
            perm = node.integers("perm", 4, [3, 2, 1, 0]) or []
            if sorted(perm) != list(range(4)):
                return None
            order = [order[axis] for axis in perm]
        elif node.operator in _SPATIAL:
            wanted = list(FIRST)
        elif node.operator in ("ReduceMean", "ReduceMax", "Pad"):
            touched = _touched(node, constants)
            if touched is None:
                return None
            by_axes: dict[tuple[int, ...], list[int]] = {(2, 3): list(FIRST), (1, 2): list(LAST)}
            wanted = by_axes.get(touched)
        elif step.activation is None and node.operator not in _KEEP_AXES:
            return None
        if wanted is not None:
            axes = [0] * 4
            for place, axis in zip(order, wanted, strict=True):
                axes[place] = axis
            return tuple(axes) if axes[0] == 0 else None
    return None


def _touched(node: Node, constants: Constants) -> tuple[int, ...] | None:
    """Return the axes that a Pad makes longer, or a mean or maximum takes away; None if they are not known yet."""
    if any(name and name not in constants for name in node.inputs[1:]):
        return None
    if node.operator != "Pad":
        return tuple(sorted(axes_of(node, 4, constants.of(node, 1), None) or ()))
    pads = pads_of(node, 4, constants)
    return tuple(axis for axis, both in enumerate(pads) if any(both)) or (0,)


def pads_of(node: Node, rank: int, constants: Constants) -> list[tuple[int, int]]:
    """Return, for each axis in the file, how many numbers a Pad puts before and after it."""
    given = constants.of(node, 1)
    flat = node.integers("pads") if given is None else [int(n) for n in given.reshape(-1)]
    axes = axes_of(node, rank, constants.of(node, 3), None)
    places = list(range(rank)) if axes is None else axes
    if flat is None or len(flat) != 2 * len(places):
        raise ValueError(f"{node.label}: its pads must be two numbers for each of {len(places)} axes")
    found = [(0, 0)] * rank
    for number, axis in enumerate(places):
        found[axis] = flat[number], flat[number + len(places)]
    return found
