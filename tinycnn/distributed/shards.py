"""What a batch that is cut into shards consists of, and where in one flat buffer the results of its step lie."""

import math
from typing import Any, NamedTuple

import numpy as np

from ..core.seeding import StepOfPart
from ..core.types import Array, Shape
from ..layers.base import Layer
from ..network.network import Network

#: Each array begins at a multiple of so many numbers, and each rank's slice of the buffer has a multiple of them.
_UNIT = 16


class Shard(NamedTuple):
    """Some neighbouring images of a batch; it stands for a ``Batch``.

    ``weight`` is how much the loss of each image counts in the mean over the whole batch, so that gradients just add
    up, ``limits`` where in that batch the images lie, and ``row`` which of its rank's shards it is.
    """

    x: Array
    y: Array
    weight: Array
    step: StepOfPart
    limits: slice
    row: int
    targets: Array | None = None

    def shares(self, model: Network) -> Array:
        """Return how much the loss of each image counts."""
        return self.weight

    def share_of(self, images: int, dtype: Any) -> Any:
        """Return the share of the batch's images that are in the shard, as a number of a dtype."""
        return np.dtype(dtype).type((self.limits.stop - self.limits.start) / images)


class _Part(NamedTuple):
    """Where an array lies in the buffer."""

    start: int
    shape: Shape

    def of(self, buffer: Array) -> Array:
        """Return the array in a buffer."""
        view: Array = buffer[self.start : self.start + math.prod(self.shape)].reshape(self.shape)
        return view


class Layout:
    """Where gradients, moving statistics, losses and predictions lie in the buffer of a step.

    Parameters
    ----------
    model : Network
    images : int
        How many images the batch has.
    ranks : int
        The length of the buffer is divided by their number.
    """

    def __init__(self, model: Network, images: int, ranks: int) -> None:
        self._end = 0
        parameters = model.parameters()
        self.gradients = {name: self._place(p.value.shape) for name, p in parameters.items() if p.trainable}
        self.buffers = {key: self._place(value.shape) for key, value in buffers_of(model.layers).items()}
        self.losses = self._place((images,))
        self.predictions = self._place((images, *model.output_shape))
        unit = _UNIT * ranks
        self.length = -(-self._end // unit) * unit

    def _place(self, shape: Shape) -> _Part:
        part = _Part(self._end, tuple(shape))
        self._end += -(-math.prod(shape) // _UNIT) * _UNIT
        return part


def buffers_of(layers: list[Layer]) -> dict[tuple[int, str], Array]:
    """Return the arrays that layers change in their forward, such as moving statistics, by layer and name."""
    return {(n, name): value for n, layer in enumerate(layers) for name, value in layer.buffers.items()}


def limits_of(shard: int, shards: int, images: int) -> tuple[int, int]:
    """Return where a shard begins and ends; all are equally long, up to one image.

    Examples
    --------
    >>> [limits_of(shard, 4, 10) for shard in range(4)]
    [(0, 2), (2, 5), (5, 7), (7, 10)]
    """
    return shard * images // shards, (shard + 1) * images // shards
