"""Sums that become the figures of an epoch: the loss and the metrics."""

import copy
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import metrics as metrics_module
from ..core.types import Array
from ..core.version import is_ours
from . import non_finite as numeric
from .tape import Entry, Tape

if TYPE_CHECKING:
    from ..callbacks import Logs
    from ..sequential import Sequential


class Meters:
    """The mean loss, with the penalties on weights, and the metrics of the images seen so far.

    Parameters
    ----------
    model : Sequential
    finite : bool
        Raise a :class:`tinycnn.training.non_finite.LossNotFiniteError` for a batch whose loss is NaN or infinite.
    """

    def __init__(self, model: "Sequential", finite: bool = False) -> None:
        self._parameters, self._finite = model.parameters(), finite
        self._tape = Tape(model.backend) if model.backend.on_device else None
        self._loss, self.count = 0.0, 0
        # Copies: an evaluation in a callback, or in another thread, has sums of its own.
        self._metrics = {name: copy.deepcopy(metrics_module.get(metric)) for name, metric in model.metrics.items()}
        for metric in self._metrics.values():
            metric.reset()

    def update(self, losses: Array, y_true: Array, y_pred: Array, weight: Array | None = None) -> None:
        """Add a batch: the loss of each sample, labels, predictions, and what each sample's loss counts."""
        penalty = sum(parameter.penalty() for parameter in self._parameters.values())
        entry = Entry(len(losses), y_true, weight, penalty)
        if self._tape is None:
            self._add(losses, y_pred, entry)
            return
        if not self._tape.fits(losses, y_pred):
            self._read()
        self._tape.add(losses, y_pred, entry)

    def _read(self) -> None:
        """Take up what a device has noted."""
        notes = [] if self._tape is None else list(self._tape.read())
        for late, note in zip(range(len(notes) - 1, -1, -1), notes, strict=True):
            self._add(*note, late=late)

    def _add(self, losses: Array, y_pred: Array, entry: Entry, late: int = 0) -> None:
        total = losses.sum(dtype=np.float64) if entry.weight is None else losses @ entry.weight
        total = float(total) + len(losses) * entry.penalty
        if self._finite and not math.isfinite(total):
            raise numeric.LossNotFiniteError(total / len(losses), late)
        self._loss += total
        self.count += len(losses)
        for metric in self._metrics.values():
            metric.update(entry.y_true, y_pred)

    def results(self) -> "Logs":
        """``loss`` and each metric."""
        self._read()
        return {"loss": self._loss / self.count} | {name: m.result() for name, m in self._metrics.items()}

    def of_users(self) -> list[str]:
        """Names of the metrics that are no class of tinycnn's."""
        return [name for name, m in self._metrics.items() if not is_ours(type(m))]

    def get_state(self) -> dict[str, Any]:
        """The sums so far, ready for JSON."""
        self._read()
        metrics = {name: metric.get_state() for name, metric in self._metrics.items()}
        return {"loss": self._loss, "count": self.count, "metrics": metrics}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`get_state` gave."""
        self._loss, self.count = state["loss"], state["count"]
        for name, metric in self._metrics.items():
            metric.set_state(state["metrics"][name])
