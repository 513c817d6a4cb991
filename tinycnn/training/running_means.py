"""The loss and the metrics of an epoch so far, as means over all its samples.

On a device, reading a number waits for all the work before it. There a step only notes its losses and predictions in
the device's memory, and the notes of many steps are read at once. They are then added up one by one, as the host
backends do at every step.
"""

import copy
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import metrics as metrics_module
from ..core.backend import Backend
from ..core.messages import shown
from ..core.types import Array
from ..core.version import is_ours
from ..network.network import Network
from .callback import Logs

#: How many numbers the notes on a device may hold before they have to be read.
MOST_NUMBERS = 2**22


class LossNotFiniteError(ArithmeticError):
    """A loss that is NaN or infinite; on the host, the batch's step has not been taken yet when this is raised."""

    def __init__(self, value: float, late: int = 0) -> None:
        super().__init__(f"the loss is {value}")
        self.value = value
        #: How many batches have been trained since: notes on a device are read only now and then.
        self.late = late


class RunningMeans:
    """The mean loss, including the penalties on weights, and the metrics of the samples seen so far.

    Parameters
    ----------
    model : Network
        Compiled; it says which metrics are wanted.
    finite : bool
        Whether to raise a :class:`LossNotFiniteError` for a batch whose loss is NaN or infinite.

    Attributes
    ----------
    count : int
        How many samples have been seen.
    """

    def __init__(self, model: Network, finite: bool = False) -> None:
        self._parameters, self._finite = model.parameters(), finite
        self._notes = DeviceNotes(model.backend) if model.backend.on_device else None
        self._loss, self.count = 0.0, 0
        # Copies, because an evaluation in a callback, or in another thread, has sums of its own.
        self._metrics = {name: copy.deepcopy(metrics_module.get(metric)) for name, metric in model.metrics.items()}
        for metric in self._metrics.values():
            metric.reset()

    def update(self, losses: Array, y_true: Array, y_pred: Array, weight: Array | None = None) -> None:
        """Add a batch: the loss of each sample, targets, predictions, and how much each sample's loss counts."""
        penalty = sum(parameter.penalty() for parameter in self._parameters.values())
        batch = OnHost(len(losses), y_true, weight, penalty)
        if self._notes is None:
            self._add(losses, y_pred, batch)
            return
        if not self._notes.fits(losses):
            self._read()
        self._notes.add(losses, y_pred, batch)

    def _read(self) -> None:
        """Add the batches that were noted on a device."""
        notes = [] if self._notes is None else list(self._notes.read())
        for late, note in zip(range(len(notes) - 1, -1, -1), notes, strict=True):
            self._add(*note, late=late)

    def _add(self, losses: Array, y_pred: Array, batch: "OnHost", late: int = 0) -> None:
        """Add a batch whose arrays are on the host; ``late`` is how many batches have been trained since."""
        total = losses.sum(dtype=np.float64) if batch.weight is None else losses @ batch.weight
        total = float(total) + len(losses) * batch.penalty
        if self._finite and not math.isfinite(total):
            raise LossNotFiniteError(total / len(losses), late)
        self._loss += total
        self.count += len(losses)
        for metric in self._metrics.values():
            if is_ours(type(metric)):
                metric.update(batch.y_true, y_pred)
            else:  # which may keep them, or write into them
                metric.update(batch.y_true.copy(), y_pred.copy())

    def results(self) -> Logs:
        """Return the mean ``loss`` and each metric, over all samples so far."""
        self._read()
        return {"loss": self._loss / self.count} | {name: m.result() for name, m in self._metrics.items()}

    def names_of_users_metrics(self) -> list[str]:
        """Return the names of the metrics whose classes are a user's own."""
        return [name for name, metric in self._metrics.items() if not is_ours(type(metric))]

    def get_state(self) -> dict[str, Any]:
        """Return the sums so far, ready for JSON."""
        self._read()
        metrics = {name: metric.get_state() for name, metric in self._metrics.items()}
        for name, state in metrics.items():
            if not isinstance(state, dict):
                raise TypeError(f"metric {name!r}: get_state must return a dict; got {shown(state)}")
        return {"loss": self._loss, "count": self.count, "metrics": metrics}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from the sums that :meth:`get_state` returned."""
        self._loss, self.count = state["loss"], state["count"]
        for name, metric in self._metrics.items():
            metric.set_state(state["metrics"][name])


class OnHost(NamedTuple):
    """What the host knows of a batch: its number of samples, their targets and weights, and the penalty on weights."""

    samples: int
    y_true: Array
    weight: Array | None
    penalty: float


class DeviceNotes:
    """Losses and predictions of batches that lie on a device and have not been read yet.

    Parameters
    ----------
    backend : Backend
        One whose arrays are on a device.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._batches: list[OnHost] = []
        self._losses: Any = None
        self._predictions: Any = None
        self._used = 0

    def fits(self, losses: Any) -> bool:
        """Return whether there is room for another batch."""
        return self._losses is None or self._used + len(losses) <= len(self._losses)

    def add(self, losses: Any, y_pred: Any, batch: OnHost) -> None:
        """Note a batch without waiting for the device."""
        if self._losses is None:
            per_sample = 1 + math.prod(y_pred.shape[1:])
            capacity = max(len(losses), MOST_NUMBERS // per_sample)
            self._losses = self._backend.empty(capacity, losses.dtype)
            self._predictions = self._backend.empty((capacity, *y_pred.shape[1:]), y_pred.dtype)
        here = slice(self._used, self._used + batch.samples)
        self._losses[here] = losses
        self._predictions[here] = y_pred
        self._used += batch.samples
        self._batches.append(batch)

    def read(self) -> Iterator[tuple[Array, Array, OnHost]]:
        """Yield losses and predictions of each batch noted since the last reading, in order, as NumPy arrays."""
        if not self._batches:
            return
        losses = self._backend.to_numpy(self._losses[: self._used])
        predictions = self._backend.to_numpy(self._predictions[: self._used])
        batches, self._batches, self._used = self._batches, [], 0
        ends = np.cumsum([batch.samples for batch in batches])
        for batch, end in zip(batches, ends, strict=True):
            here = slice(end - batch.samples, end)
            yield losses[here], predictions[here], batch
