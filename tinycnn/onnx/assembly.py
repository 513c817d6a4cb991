"""The layers that an ONNX graph becomes, while its steps are gone through."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import activations, layers
from ..core.messages import shown
from ..core.types import Array, Shape
from ..layers.base import Layer
from .axes import same_order
from .constants import BATCH
from .nodes import Node

_LINEAR = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)
#: Layers whose results are not negative if what they are given is not.
_KEEP_SIGN = (layers.MaxPooling2D, layers.AveragePooling2D, layers.Dropout, layers.ZeroPadding2D)
_POSITIVE = ("relu", "sigmoid", "softmax")


@dataclass
class Draft:
    """A layer before it is made: its class, its arguments, and its weights in Keras's order."""

    kind: type[Layer]
    config: dict[str, Any]
    weights: list[Array] = field(default_factory=list)
    group: str | None = None

    def make(self) -> Layer:
        """Return the layer, not built."""
        return self.kind(**self.config)


class Assembly:
    """Layers so far, and how what ONNX has at this place is related to what tinycnn has.

    Parameters
    ----------
    dtype : str
        The dtype of the model.
    sample : tuple of int
        The shape of a sample of the input, as tinycnn has it.
    axes : tuple of int
        For each axis of the input in the file, the number of that axis in tinycnn; 0 is the batch.
    batch : int or None
        The number of samples, if the file fixes it.
    opset : int
        The version of the operators in the file.
    named : bool
        Whether what precedes the slash in a node's name is the name of a layer.

    Attributes
    ----------
    drafts : list of Draft
    sample, axes
        As above, of the current result.
    mixed : (tuple of int, tuple of int) or None
        If the current result is the numbers of an image in a row, and ONNX has them in another order than tinycnn: the
        image's ``sample`` and ``axes``.
    frame : tuple of int or None
        Pads (top, bottom, left, right) that have been put around the image and that can never win, so that only a
        maximum may follow.
    """

    def __init__(
        self, dtype: str, sample: Shape, axes: tuple[int, ...], *, batch: int | None, opset: int, named: bool
    ) -> None:
        self.dtype, self.sample, self.axes = dtype, sample, axes
        self.batch, self.opset, self.named = batch, opset, named
        self.drafts: list[Draft] = []
        self.mixed: tuple[Shape, tuple[int, ...]] | None = None
        self._scale: Array | None = None
        self._offset: Array | None = None
        self.frame: tuple[int, int, int, int] | None = None
        self._group: str | None = None
        self._affine_group: str | None = None

    # Shapes -----------------------------------------------------------------------------------------------------------

    @property
    def dims(self) -> tuple[int, ...]:
        """The shape of a sample in the file."""
        return tuple(self.sample[axis - 1] for axis in self.axes[1:])

    @property
    def rank(self) -> int:
        """The number of axes, with that of the batch."""
        return len(self.sample) + 1

    def shape(self) -> Array:
        """Return the whole shape in the file, with :data:`BATCH` in the first place."""
        found = np.empty(self.rank, object)
        found[:] = [BATCH, *self.dims]
        return found

    def in_order(self) -> bool:
        """Return whether the numbers of a sample have the same order in memory as in the file."""
        return self.mixed is None and same_order(self.sample, self.axes)

    def need_axes(self, node: Node, axes: tuple[int, ...]) -> None:
        """Make the current result one whose axes are those that a node needs, if no number has to move for that."""
        if self.axes == axes:
            return
        if len(axes) == self.rank and self.in_order():
            sample = [0] * len(self.sample)
            for axis, length in zip(axes[1:], self.dims, strict=True):
                sample[axis - 1] = length
            if same_order(tuple(sample), axes):
                self.reshape(tuple(sample), axes)
                return
        raise ValueError(
            f"{node.label}: it needs images (N, C, H, W), and is given an array of shape {shown((BATCH, *self.dims))} "
            "that has its axes in another order"
        )

    def reshape(self, sample: Shape, axes: tuple[int, ...]) -> None:
        """Give each sample another shape, with its numbers in the same order."""
        if self._end_affine() or not self.drafts or self.drafts[-1].kind is not layers.Reshape:
            self.add(layers.Reshape, target_shape=sample)
        else:
            self.drafts[-1].config["target_shape"] = sample
            self.sample = sample
        self.axes = axes

    def is_plain(self) -> bool:
        """Return whether no factor and no offset waits to become a layer."""
        return self._scale is None and self._offset is None

    def by_feature(self, vector: Array) -> Array:
        """Return one number for each feature, or channel, in the order in which tinycnn has them."""
        if self.mixed is None:
            return vector
        sample, axes = self.mixed
        order = np.arange(math.prod(sample)).reshape(sample).transpose([axis - 1 for axis in axes[1:]]).reshape(-1)
        found = np.empty_like(vector)
        found[order] = vector
        return found

    # Layers -----------------------------------------------------------------------------------------------------------

    def begin(self, node: Node) -> None:
        """Say which node the next layers belong to."""
        if self.frame is not None and node.operator not in ("MaxPool", "Transpose", "Identity"):
            raise ValueError(
                f"{node.label}: what is before it fills a frame with other numbers than zeros, which no layer does"
            )
        self._group = node.name.rpartition("/")[0] if self.named else None

    def add(self, kind: type[Layer], weights: Sequence[Array] = (), **config: Any) -> None:
        """Add a layer; an image's axes stay, and other results have their axes as in tinycnn."""
        self._end_affine()
        draft = Draft(kind, config, [np.asarray(array, self.dtype) for array in weights], self._group)
        sample = draft.make().output_shape(self.sample)
        if len(sample) != len(self.sample):
            self.axes = tuple(range(len(sample) + 1))
        self.sample = sample
        self.drafts.append(draft)

    def activate(self, function: Any) -> None:
        """Add an activation: to the layer before it, if that has none, and otherwise as a layer of its own."""
        self._end_affine()
        function = activations.get(function)
        last = self.drafts[-1] if self.drafts else None
        if isinstance(function, activations.Linear):
            return
        if last and last.kind in _LINEAR and "activation" not in last.config and last.group == self._group:
            last.config["activation"] = function
        elif isinstance(function, activations.LeakyReLU):
            self.add(layers.LeakyReLU, negative_slope=function.negative_slope)
        elif isinstance(function, activations.ELU):
            self.add(layers.ELU, alpha=function.alpha)
        elif function.name in ("relu", "softmax"):
            self.add(layers.ReLU if function.name == "relu" else layers.Softmax)
        else:
            self.add(layers.Activation, activation=function.name)

    def not_negative(self) -> bool:
        """Return whether the current result is known to hold no negative number."""
        for draft in reversed(self.drafts if self.is_plain() else ()):
            if draft.kind not in _KEEP_SIGN:
                name = activations.get(draft.config.get("activation")).name
                return draft.kind in (layers.ReLU, layers.Softmax) or name in _POSITIVE
        return False

    # Multiplying and adding -------------------------------------------------------------------------------------------

    def scale_by(self, factor: Array) -> None:
        """Multiply by one number, or by one for each channel."""
        self._begin_affine()
        self._scale = factor if self._scale is None else self._scale * factor
        self._offset = None if self._offset is None else self._offset * factor

    def shift_by(self, offset: Array) -> None:
        """Add one number, or one for each channel."""
        self._begin_affine()
        self._offset = offset if self._offset is None else self._offset + offset

    def _begin_affine(self) -> None:
        """Finish what belongs to another layer, in a file whose nodes are named after layers."""
        if self._affine_group != self._group:
            self._end_affine()
        self._affine_group = self._group

    def finish(self) -> None:
        """Add what is still open, and make sure that there is a layer; raise if the result is in another order."""
        if self.frame is not None:
            raise ValueError("its result has a frame of other numbers than zeros, which no layer makes")
        if self.mixed is not None:
            raise ValueError(
                "its result is the numbers of an image in a row with channels first, and tinycnn has them in another "
                "order; cut the network before it flattens the image"
            )
        self._end_affine()
        if not self.drafts:
            self.add(layers.Activation, activation="linear")

    def _end_affine(self) -> bool:
        """Turn factors and offsets into a bias, a Rescaling or a BatchNormalization; return whether there were any."""
        scale, offset, self._scale, self._offset = self._scale, self._offset, None, None
        if scale is not None and (scale == 1).all():
            scale = None
        if scale is None and offset is None:
            return False
        group, self._group = self._group, self._affine_group
        last = self.drafts[-1] if self.drafts else None
        channels = self.sample[-1]
        linear = last is not None and last.kind in _LINEAR and "activation" not in last.config
        if last is not None and linear and scale is None and last.group == self._group:
            bias = np.broadcast_to(np.asarray(offset, self.dtype), channels)
            if last.config["use_bias"]:
                last.weights[1] = np.asarray(last.weights[1] + bias)
            else:
                last.config["use_bias"], last.weights = True, [*last.weights, bias]
        elif all(value is None or value.size == 1 for value in (scale, offset)):
            factor, number = (
                default if v is None else float(v.reshape(-1)[0]) for v, default in ((scale, 1.0), (offset, 0.0))
            )
            self.add(layers.Rescaling, scale=shortest(factor, self.dtype), offset=shortest(number, self.dtype))
        else:
            gamma = np.broadcast_to(1.0 if scale is None else scale, channels)
            beta = np.broadcast_to(0.0 if offset is None else offset, channels)
            # So small an epsilon does not change a variance of 1, so the layer multiplies and adds, and nothing else.
            self.add(layers.BatchNormalization, [gamma, beta, np.zeros(channels), np.ones(channels)], epsilon=1e-30)
        self._group = group
        return True


def shortest(number: float, dtype: str) -> float:
    """Return the shortest decimal that is the same number in a dtype."""
    return float(str(np.dtype(dtype).type(number)))
