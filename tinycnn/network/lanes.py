"""Which layers take sixteen images in the lanes of a vector: the part of a plan for layers of few channels.

A stage whose channels do not fill a vector computes faster with images in its lanes
(``kernels/cpu/machine/lane_kernel.py``). The images are laid out that way by a step in front of a row of such stages,
and back again by a step behind it. Layers between two stages of a row, and behind the last one, run in lanes as well
(:mod:`.lane_steps`). A batch that does not fill the lanes passes all of these steps as it is.
"""

import math
from typing import Any, ClassVar

from ..core.parameter import Parameter
from ..core.types import Array
from ..core.workspace import Workspace
from ..layers.base import Layer
from .lane_steps import InLanes, LaneStage, lane_layer
from .stage import ConvStage

#: From so many channels on, at one end of a convolution, vectors of channels are as good or better.
MANY_CHANNELS = 32
#: Multiplications that a row of stages must do for each number that is laid out anew, so that it is worth it.
LEAST_WORK = 100


class _Turn:
    """A step that changes the layout of what passes between two layers."""

    layers: ClassVar[tuple[Layer, ...]] = ()
    params: ClassVar[dict[str, Parameter]] = {}
    name: ClassVar[str]

    def __init__(self, layer: Any) -> None:
        self.layer = layer  #: the neighbour that runs in lanes

    @property
    def kernels(self) -> Any:
        """The module of the kernels; it is no attribute, because a module cannot be copied, and a model can."""
        return self.layer.backend.kernels.fused

    def _into_lanes(self, x: Array, ws: Workspace | None, *, kept: bool) -> Any:
        """Return a batch in lanes, or as it is if it does not fill them; with ``kept`` backward will read it."""
        if len(x) < self.kernels.LANES:
            return x
        shape, out = self.kernels.lanes_shape(x.shape), None
        if ws is not None:
            out = ws.keep(self.layer, self.name, shape, x.dtype) if kept else ws.flow(shape, x.dtype)
        return InLanes(self.kernels.to_lanes(x, out), len(x))

    def _out_of_lanes(self, x: Any, ws: Workspace | None, shape: tuple[int, ...], *, kept: bool) -> Array:
        """Return a batch in the usual layout; images have the given shape."""
        if not isinstance(x, InLanes):
            return x
        shape, out = (x.images, *shape), None
        if ws is not None:
            out = ws.keep(self.layer, self.name, shape, x.array.dtype) if kept else ws.flow(shape, x.array.dtype)
        return self.kernels.from_lanes(x.array, x.images, out)


class IntoLanes(_Turn):
    """The step in front of a row of stages: it puts images into lanes, and gradients back."""

    name = "into lanes"

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Any, None]:
        """Return the batch in lanes."""
        self.layer.check_input(x)
        return self._into_lanes(x, ws, kept=training), None

    def backward(self, dy: Any, cache: None, *, ws: Workspace | None = None) -> Array:
        """Return the gradient in the usual layout."""
        return self._out_of_lanes(dy, ws, self.layer.built_input_shape, kept=False)


class OutOfLanes(_Turn):
    """The step behind a row of stages: it puts images back, and gradients into lanes."""

    name = "out of lanes"

    def forward(
        self, x: Any, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, None]:
        """Return the batch in the usual layout."""
        return self._out_of_lanes(x, ws, self.layer.built_output_shape, kept=training), None

    def backward(self, dy: Array, cache: None, *, ws: Workspace | None = None) -> Any:
        """Return the gradient in lanes."""
        self.layer.check_gradient(dy)
        return self._into_lanes(dy, ws, kept=False)


def with_lanes(plan: list[Any]) -> list[Any]:
    """Return a plan whose stages of few channels take images in lanes where that is worth it, by the shapes alone.

    A row of them begins with a stage, because a layer in front of it gains nothing.
    """
    result: list[Any] = []
    row: list[Any] = []
    for step in [*plan, None]:
        in_lanes = _in_lanes(step)
        if in_lanes is not None and (row or isinstance(in_lanes, LaneStage)):
            row.append(step)
            continue
        if row and _is_worth_it(row):
            result += [IntoLanes(row[0].layers[0]), *map(_in_lanes, row), OutOfLanes(_last_layer(row))]
        else:
            result += row
        row = []
        result += [] if step is None else [step]
    return result


def _in_lanes(step: Any) -> Any:
    """Return the step that does the same for images in lanes, or None."""
    if isinstance(step, ConvStage):
        return LaneStage(step) if _has_few_channels(step) else None
    return lane_layer(step)


def _has_few_channels(stage: ConvStage) -> bool:
    """Return whether a stage's channels are too few to fill vectors; an algorithm that a user chose is kept."""
    conv = stage.conv
    return conv.algorithm == "auto" and max(conv.built_input_shape[-1], conv.filters) < MANY_CHANNELS


def _is_worth_it(row: list[Any]) -> bool:
    """Return whether the stages of a row multiply enough for what is laid out anew at its ends."""
    stages = [step for step in row if isinstance(step, ConvStage)]
    work = sum(math.prod(stage.conv.built_output_shape) * stage.params["kernel"].value[..., 0].size for stage in stages)
    moved = math.prod(stages[0].conv.built_input_shape) + math.prod(_last_layer(row).built_output_shape)
    return work >= LEAST_WORK * moved


def _last_layer(row: list[Any]) -> Layer:
    """Return the layer that ends a row."""
    step: Any = row[-1]
    return step.layers[-1] if isinstance(step, ConvStage) else step
