"""Operators of ONNX that give the same numbers another shape."""

import math

from .. import layers
from ..core.messages import shown
from ..core.types import Shape
from .assembly import Assembly
from .constants import BATCH, Constants
from .nodes import Node, axes_of

_GLOBAL = (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)


def transpose(a: Assembly, node: Node, constants: Constants) -> None:
    """Put the axes in another order, for which nothing has to be computed."""
    perm = node.integers("perm", default=list(range(a.rank))[::-1]) or []
    if sorted(perm) != list(range(a.rank)) or perm[0] != 0:
        raise ValueError(
            f"{node.label}: it puts {a.rank} axes in the order {shown(perm)}; the batch must stay the first one"
        )
    a.axes = tuple(a.axes[axis] for axis in perm)


def flatten(a: Assembly, node: Node, constants: Constants) -> None:
    """Make a row of each sample."""
    axis = node.integer("axis", 1)
    if axis not in (1, 1 - a.rank):
        raise ValueError(f"{node.label}: its axis is {axis}; only 1 makes one row of each sample")
    _become(a, node, (math.prod(a.dims),))


def reshape(a: Assembly, node: Node, constants: Constants) -> None:
    """Give each sample another shape."""
    target = constants.needed(node, 1, "shape").reshape(-1).tolist()
    keeps_zeros = bool(node.integer("allowzero", 0))
    whole = [BATCH, *a.dims]
    if not target or (0 in target and (keeps_zeros or target.index(0) >= len(whole) or len(target) > 64)):
        raise ValueError(f"{node.label}: its shape is {shown(target)}, which is not one of samples")
    filled = [whole[axis] if length == 0 and axis < len(whole) else length for axis, length in enumerate(target)]
    _become(a, node, _of_one_sample(a, node, filled))


def _of_one_sample(a: Assembly, node: Node, target: list[object]) -> Shape:
    """Return the shape of a sample in a shape that may have a -1, and whose first length is that of the batch."""
    first, rest, count = target[0], target[1:], math.prod(a.dims)
    lengths = [length for length in rest if isinstance(length, int)]
    if len(lengths) == len(rest) and rest and all(length > 0 or length == -1 for length in lengths):
        if lengths.count(-1) == 1 and first != -1:
            known = math.prod(length for length in lengths if length != -1)
            lengths = [count // known if length == -1 else length for length in lengths]
        of_batch = first is BATCH or first == -1 or (a.batch is not None and first == a.batch)
        if -1 not in lengths and math.prod(lengths) == count and of_batch:
            return tuple(lengths)
    raise ValueError(
        f"{node.label}: it makes {shown(target)} of {shown([BATCH, *a.dims])}; samples must stay apart, so the first "
        "axis has to be that of the batch"
    )


def squeeze(a: Assembly, node: Node, constants: Constants) -> None:
    """Take away axes of length 1."""
    whole = [a.batch or BATCH, *a.dims]
    axes = (
        axes_of(node, a.rank, constants.of(node, 1), [axis for axis, length in enumerate(whole) if length == 1]) or []
    )
    if 0 in axes or any(whole[axis] != 1 for axis in axes) or len(axes) == len(a.dims):
        raise ValueError(
            f"{node.label}: it takes the axes {shown(axes)} from {shown(whole)}; they must have the length 1, and the "
            "batch and one more must stay"
        )
    _become(a, node, tuple(length for axis, length in enumerate(a.dims, 1) if axis not in axes))


def unsqueeze(a: Assembly, node: Node, constants: Constants) -> None:
    """Put in axes of length 1."""
    given = constants.of(node, 1)
    count = len(node.integers("axes") or ()) if given is None else given.size
    axes = axes_of(node, a.rank + min(count, 8), given, None) or []
    if 0 in axes or not axes or count > 8:
        raise ValueError(f"{node.label}: it puts in the axes {shown(axes)}; the batch must stay the first one")
    lengths = iter(a.dims)
    _become(a, node, tuple(1 if axis in axes else next(lengths) for axis in range(1, a.rank + len(axes))))


def _become(a: Assembly, node: Node, new: Shape) -> None:
    """Give each sample a new shape, with its numbers in the order in which the file has them."""
    if new == a.dims:
        return
    last = a.drafts[-1] if a.drafts else None
    if a.mixed is not None:
        sample, axes = a.mixed
        if new == tuple(sample[axis - 1] for axis in axes[1:]):  # it becomes the image again that it was
            a.mixed = None
            a.reshape(sample, axes)
            return
    elif (
        last is not None and last.kind in _GLOBAL and last.config["keepdims"] and new == a.sample[-1:] and a.is_plain()
    ):
        last.config["keepdims"] = False
        a.sample, a.axes = new, (0, 1)
        return
    elif len(new) == 1:
        mixed = None if a.in_order() else (a.sample, a.axes)
        a.add(layers.Flatten)
        a.mixed = mixed
        return
    elif a.in_order():
        a.reshape(new, tuple(range(len(new) + 1)))
        return
    raise ValueError(
        f"{node.label}: it makes {shown((BATCH, *new))} of {shown((BATCH, *a.dims))}, whose channels come first; in "
        "tinycnn they are last, where the numbers have another order"
    )
