"""Figures of a device's batches, kept there until somebody wants to know them.

Reading a number waits for all the work before it. So a step only notes its losses and predictions, on the device, and
many steps' notes are read at once; what is then done with them is what happens on the host backends at every step.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..core.backend import Backend
from ..core.types import Array

#: Numbers that a tape holds before it has to be read.
MOST_NUMBERS = 2**22


class Entry(NamedTuple):
    """One batch: how many samples, and what was known on the host."""

    samples: int
    y_true: Array
    weight: Array | None
    penalty: float


class Tape:
    """Losses and predictions of batches that were not read yet.

    Parameters
    ----------
    backend : Backend
        On a device.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._entries: list[Entry] = []
        self._losses: Any = None
        self._predictions: Any = None
        self._used = 0

    def fits(self, losses: Any, y_pred: Any) -> bool:
        """Whether there is room for another batch."""
        return self._losses is None or self._used + len(losses) <= len(self._losses)

    def add(self, losses: Any, y_pred: Any, entry: Entry) -> None:
        """Note a batch; nothing waits."""
        if self._losses is None:
            per_sample = 1 + math.prod(y_pred.shape[1:])
            capacity = max(len(losses), MOST_NUMBERS // per_sample)
            self._losses = self._backend.empty(capacity, losses.dtype)
            self._predictions = self._backend.empty((capacity, *y_pred.shape[1:]), y_pred.dtype)
        here = slice(self._used, self._used + entry.samples)
        self._losses[here] = losses
        self._predictions[here] = y_pred
        self._used += entry.samples
        self._entries.append(entry)

    def read(self) -> Iterator[tuple[Array, Array, Entry]]:
        """Losses and predictions of each batch noted since, in order, as NumPy arrays."""
        if not self._entries:
            return
        losses = self._backend.to_numpy(self._losses[: self._used])
        predictions = self._backend.to_numpy(self._predictions[: self._used])
        entries, self._entries, self._used = self._entries, [], 0
        ends = np.cumsum([entry.samples for entry in entries])
        for entry, end in zip(entries, ends, strict=True):
            here = slice(end - entry.samples, end)
            yield losses[here], predictions[here], entry
