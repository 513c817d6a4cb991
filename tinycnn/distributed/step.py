"""A training step whose batch is cut into shards, which several processes share.

Each shard goes through the network by itself (:func:`tinycnn.training.step.train_step`). What comes out of it lies in
one flat buffer: the gradients, how far moving statistics have moved, and the loss and prediction of each image at its
place in the batch. So one sum over all shards tells every process all of it, and each takes the optimizer's step.
"""

import math
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from ..augmentation import Augmentation
from ..core.seeding import StepOfPart
from ..core.types import Array, Shape
from ..core.workspace import Workspace
from ..kernels import aligned
from ..network.network import Network
from ..training.batches import Batch
from ..training.running_means import RunningMeans
from ..training.step import train_step
from .ranks import Alone
from .tree import sum_over_ranks

#: Each array begins at a multiple of so many numbers, and each rank's slice of the buffer has a multiple of them.
_UNIT = 16


class Shard(NamedTuple):
    """Some neighbouring images of a batch; it stands for a :class:`Batch`."""

    x: Array
    y: Array
    weight: Array | None
    images: int  # of the whole batch
    targets: Array | None = None

    def shares(self, model: Network) -> Array:
        """Return how much the loss of each image counts in the mean over the whole batch: gradients just add up."""
        shares = model.backend.full(len(self.x), 1 / self.images, model.dtype)
        if self.weight is not None:
            shares *= self.weight.astype(model.dtype)
        return shares


class _Part(NamedTuple):
    """Where an array lies in the buffer."""

    start: int
    shape: Shape

    def of(self, buffer: Array) -> Array:
        """Return the array in a buffer."""
        view: Array = buffer[self.start : self.start + math.prod(self.shape)].reshape(self.shape)
        return view


class _Layout:
    """Where gradients, moving statistics, losses and predictions lie in the buffer of a step."""

    def __init__(self, model: Network, images: int, ranks: int) -> None:
        self._end = 0
        parameters = model.parameters()
        self.gradients = {name: self._place(p.value.shape) for name, p in parameters.items() if p.trainable}
        self.buffers = {key: self._place(value.shape) for key, value in buffers_of(model).items()}
        self.losses = self._place((images,))
        self.predictions = self._place((images, *model.output_shape))
        unit = _UNIT * ranks
        self.length = -(-self._end // unit) * unit

    def _place(self, shape: Shape) -> _Part:
        part = _Part(self._end, tuple(shape))
        self._end += -(-math.prod(shape) // _UNIT) * _UNIT
        return part


class _Means:
    """Puts the losses and predictions of a shard into the buffer; it stands for :class:`RunningMeans`."""

    def __init__(self, losses: Array, predictions: Array) -> None:
        self._losses, self._predictions = losses, predictions

    def update(self, losses: Array, y_true: Array, y_pred: Array, weight: Array | None = None) -> None:
        """Keep the losses and predictions of a shard."""
        self._losses[...] = losses
        self._predictions[...] = y_pred


class _ModelOfShard:
    """A model whose step only computes gradients: penalties and the optimizer's step follow for the whole batch."""

    def __init__(self, model: Network, step: StepOfPart) -> None:
        self.backend, self.dtype, self.chain_loss = model.backend, model.dtype, model.chain_loss
        self.optimizer = SimpleNamespace(iterations=step, step=lambda parameters, backend: None)

    def parameters(self) -> dict[str, Any]:
        """Return nothing, because nothing is to be changed yet."""
        return {}

    def add_penalty_gradients(self) -> None:
        """Add nothing yet: a penalty counts once for the batch and not once for each shard."""


def buffers_of(model: Network) -> dict[tuple[int, str], Array]:
    """Return the arrays that layers change in their forward, such as moving statistics, by layer and name."""
    return {(n, name): value for n, layer in enumerate(model.layers) for name, value in layer.buffers.items()}


def limits_of(shard: int, shards: int, images: int) -> tuple[int, int]:
    """Return where a shard begins and ends; all are equally long, up to one image.

    Examples
    --------
    >>> [limits_of(shard, 4, 10) for shard in range(4)]
    [(0, 2), (2, 5), (5, 7), (7, 10)]
    """
    return shard * images // shards, (shard + 1) * images // shards


class ShardedStep:
    """Takes the steps of a fit, shard by shard.

    Parameters
    ----------
    job : Alone or Job
    shards : int or None
        How many shards a batch has, of which each rank computes as many as any other. They are added in a fixed order.
        None means one for each rank, which MPI adds in the order that it finds fastest.
    """

    def __init__(self, job: Alone, shards: int | None) -> None:
        self.job, self._shards = job, job.size if shards is None else shards
        self._fixed_order = shards is not None
        self._layouts: dict[Any, _Layout] = {}
        self._memory: Array | None = None

    def take(
        self,
        model: Network,
        chain: list[Any],
        batch: Batch,
        means: RunningMeans,
        ws: Workspace,
        augment: Augmentation | None,
    ) -> None:
        """Take a step on a batch, of which every rank has all images.

        Parameters
        ----------
        model, chain, batch, means, ws
            As :func:`tinycnn.training.step.train_step` takes them.
        augment : Augmentation or None
            What changes the images before.
        """
        layout = self._layout(model, len(batch.y))
        rows = self._rows(layout.length, model.dtype)
        for row, shard in zip(rows, self._mine(), strict=True):
            limits = limits_of(shard, self._shards, len(batch.y))
            if limits[0] < limits[1]:
                self._compute(model, chain, batch, limits, ws, augment, layout, row)
        if self._fixed_order:
            total = sum_over_ranks(rows, self.job)
        else:
            total = rows[0]
            self.job.sum_in_place(total)
        means.update(layout.losses.of(total), batch.y, layout.predictions.of(total), batch.weight)
        parameters = model.parameters()
        for name, part in layout.gradients.items():
            parameters[name].grad[...] = part.of(total)
        for key, buffer in buffers_of(model).items():
            buffer += layout.buffers[key].of(total)
        model.add_penalty_gradients()
        model.optimizer.step(parameters, model.backend)

    def _mine(self) -> range:
        """Return the numbers of the shards that this rank computes."""
        count = self._shards // self.job.size
        return range(self.job.rank * count, (self.job.rank + 1) * count)

    def _compute(
        self,
        model: Network,
        chain: list[Any],
        batch: Batch,
        limits: tuple[int, int],
        ws: Workspace,
        augment: Augmentation | None,
        layout: _Layout,
        row: Array,
    ) -> None:
        """Compute a shard, and put what comes out of it into its row."""
        images, here = len(batch.y), slice(*limits)
        step = StepOfPart(model.optimizer.iterations, limits[0], images)
        # In memory of its own, because the bits must not depend on where in the batch's memory a shard begins.
        x = ws.keep("shard", "x", batch.x[here].shape, batch.x.dtype)
        np.copyto(x, batch.x[here])
        if augment is not None:
            x = augment(x, seed=model.seed, step=step, backend=model.backend, ws=ws)
        shard = Shard(x, batch.y[here], None if batch.weight is None else batch.weight[here], images)
        before = {key: value.copy() for key, value in buffers_of(model).items()}
        means = _Means(layout.losses.of(row)[here], layout.predictions.of(row)[here])
        stand_in: Any = _ModelOfShard(model, step)
        of_shard: Any = shard
        into_row: Any = means
        train_step(stand_in, chain, of_shard, into_row, ws)
        parameters = model.parameters()
        for name, part in layout.gradients.items():
            part.of(row)[...] = parameters[name].grad
        share = row.dtype.type((limits[1] - limits[0]) / images)
        for key, buffer in buffers_of(model).items():
            layout.buffers[key].of(row)[...] = (buffer - before[key]) * share
            buffer[...] = before[key]  # the next shard begins with the same statistics

    def _layout(self, model: Network, images: int) -> _Layout:
        """Return the layout of a step."""
        key = images, tuple(name for name, parameter in model.parameters().items() if parameter.trainable)
        if key not in self._layouts:
            self._layouts[key] = _Layout(model, images, self.job.size)
        return self._layouts[key]

    def _rows(self, length: int, dtype: Any) -> Array:
        """Return a row of zeros for each of this rank's shards."""
        count = len(self._mine())
        if self._memory is None or self._memory.size < count * length or self._memory.dtype != dtype:
            self._memory = aligned.empty(count * length, dtype)
        rows: Array = self._memory[: count * length].reshape(count, length)
        rows.fill(0)
        return rows
