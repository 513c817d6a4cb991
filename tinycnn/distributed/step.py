"""A training step whose batch is cut into shards, which several processes share.

Each shard goes through the network by itself (:func:`tinycnn.training.step.train_step`), or beside the others if batch
normalizations are to see the whole batch (:mod:`.side_by_side`). What comes out of it lies in one flat buffer: the
gradients, how far moving statistics have moved, and the loss and prediction of each image at its place in the batch. So
one sum over all shards tells every process all of it, and each takes the optimizer's step.
"""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..augmentation import Augmentation
from ..core.seeding import StepOfPart
from ..core.types import Array
from ..core.workspace import Workspace
from ..kernels import aligned
from ..network.network import Network
from ..training import recorded
from ..training.batches import Batch
from ..training.running_means import RunningMeans
from ..training.step import train_step
from .ranks import Alone
from .shards import Layout, Shard, buffers_of, limits_of
from .side_by_side import SideBySide
from .tree import sum_over_ranks


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

    def __init__(self, model: Network) -> None:
        self._model = model
        self.backend, self.dtype, self.layers = model.backend, model.dtype, model.layers
        self.optimizer = SimpleNamespace(iterations=0, step=lambda parameters, backend: None)

    @property
    def chain_loss(self) -> Any:
        """The loss, as training computes it."""
        return self._model.chain_loss

    def parameters(self) -> dict[str, Any]:
        """Return nothing, because nothing is to be changed yet."""
        return {}

    def add_penalty_gradients(self) -> None:
        """Add nothing yet: a penalty counts once for the batch and not once for each shard."""


class ShardedStep:
    """Takes the steps of a fit, shard by shard.

    Parameters
    ----------
    job : Alone or Job
    shards : int or None
        How many shards a batch has, of which each rank computes as many as any other. They are added in a fixed order.
        None means one for each rank, which MPI adds in the order that it finds fastest.
    synchronized_norm : bool
        Whether batch normalizations take the statistics of the whole batch.
    """

    def __init__(self, job: Alone, shards: int | None, synchronized_norm: bool = False) -> None:
        self.job, self._shards = job, job.size if shards is None else shards
        self._fixed_order = shards is not None
        self._side_by_side = SideBySide(job, self._shards) if synchronized_norm else None
        self._layouts: dict[Any, Layout] = {}
        self._memory: Array | None = None
        self._stand_in: _ModelOfShard | None = None

    def mine(self, images: int) -> slice:
        """Return which part of a batch of so many images this rank computes."""
        numbers = self._numbers()
        return slice(limits_of(numbers[0], self._shards, images)[0], limits_of(numbers[-1], self._shards, images)[1])

    def take(
        self,
        model: Network,
        chain: list[Any],
        batch: Batch,
        means: RunningMeans,
        ws: Workspace,
        augment: Augmentation | None,
        *,
        fuse: bool = True,
    ) -> None:
        """Take a step on a batch.

        Parameters
        ----------
        model, chain, means, ws
            As :func:`tinycnn.training.step.train_step` takes them.
        batch : Batch
            The images of this rank's part (:meth:`mine`), and the targets and weights of the whole batch.
        augment : Augmentation or None
            What changes the images before.
        fuse : bool
            Whether shards run as programs from the third one of their size on (:mod:`tinycnn.training.recorded`).
        """
        layout = self._layout(model, len(batch.y))
        rows = self._rows(layout.length, model.dtype)
        beside = self._side_by_side
        if beside is not None and beside.concerns(model):
            shards = list(self._cut(model, batch, augment, beside.workspace))
            beside.compute(model, shards, len(batch.y), layout, rows, fuse=fuse)
        else:
            records = fuse and recorded.can_record(model)
            for shard in self._cut(model, batch, augment, lambda row: ws):
                self._compute(model, chain, shard, len(batch.y), ws, layout, rows[shard.row], records)
        if self._fixed_order:
            total = sum_over_ranks(rows, self.job)
        else:
            total = rows[0]
            self.job.sum_in_place(total)
        means.update(layout.losses.of(total), batch.y, layout.predictions.of(total), batch.weight)
        parameters = model.parameters()
        for name, part in layout.gradients.items():
            parameters[name].grad[...] = part.of(total)
        for key, buffer in buffers_of(model.layers).items():
            buffer += layout.buffers[key].of(total)
        model.add_penalty_gradients()
        model.optimizer.step(parameters, model.backend)

    def _numbers(self) -> range:
        """Return the numbers of the shards that this rank computes."""
        count = self._shards // self.job.size
        return range(self.job.rank * count, (self.job.rank + 1) * count)

    def _cut(
        self, model: Network, batch: Batch, augment: Augmentation | None, workspace: Callable[[int], Workspace]
    ) -> Iterator[Shard]:
        """Yield this rank's shards that have images; each is valid until the next one of its workspace is asked for."""
        images = len(batch.y)
        first = self.mine(images).start
        shares = np.full(images, 1 / images, model.dtype)
        if batch.weight is not None:
            shares *= batch.weight.astype(model.dtype)
        for row, number in enumerate(self._numbers()):
            here = slice(*limits_of(number, self._shards, images))
            if here.start == here.stop:
                continue
            step, ws = StepOfPart(model.optimizer.iterations, here.start, images), workspace(row)
            x = batch.x
            if len(x) > here.stop - here.start:
                # In memory of its own, because the bits must not depend on where in the batch's memory a shard begins.
                part = x[here.start - first : here.stop - first]
                x = recorded.place(part.shape, part.dtype, ws)
                np.copyto(x, part)
            if augment is not None:
                x = augment(x, seed=model.seed, step=step, backend=model.backend, ws=ws)
            yield Shard(x, batch.y[here], shares[here], step, here, row)

    def _compute(
        self,
        model: Network,
        chain: list[Any],
        shard: Shard,
        images: int,
        ws: Workspace,
        layout: Layout,
        row: Array,
        records: bool,
    ) -> None:
        """Compute a shard by itself, and put what comes out of it into its row."""
        buffers = buffers_of(model.layers)
        before = {key: value.copy() for key, value in buffers.items()}
        what: Any = (
            self._model_of_shard(model, shard.step),
            chain,
            shard,
            _Means(layout.losses.of(row)[shard.limits], layout.predictions.of(row)[shard.limits]),
            ws,
        )
        if records:
            recorded.take_step(train_step, *what)
        else:
            train_step(*what)
        parameters = model.parameters()
        for name, part in layout.gradients.items():
            part.of(row)[...] = parameters[name].grad
        for key, buffer in buffers.items():
            layout.buffers[key].of(row)[...] = (buffer - before[key]) * shard.share_of(images, row.dtype)
            buffer[...] = before[key]  # the next shard begins with the same statistics

    def _model_of_shard(self, model: Network, step: StepOfPart) -> _ModelOfShard:
        """Return what stands for the model, the same for all steps because recordings look for that."""
        if self._stand_in is None:
            self._stand_in = _ModelOfShard(model)
        self._stand_in.optimizer.iterations = step
        return self._stand_in

    def _layout(self, model: Network, images: int) -> Layout:
        """Return the layout of a step."""
        key = images, tuple(name for name, parameter in model.parameters().items() if parameter.trainable)
        if key not in self._layouts:
            self._layouts[key] = Layout(model, images, self.job.size)
        return self._layouts[key]

    def _rows(self, length: int, dtype: Any) -> Array:
        """Return a row of zeros for each of this rank's shards."""
        count = len(self._numbers())
        if self._memory is None or self._memory.size < count * length or self._memory.dtype != dtype:
            self._memory = aligned.empty(count * length, dtype)
        rows: Array = self._memory[: count * length].reshape(count, length)
        rows.fill(0)
        return rows
