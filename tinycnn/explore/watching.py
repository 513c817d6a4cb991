"""What is shown and told of a training while it runs, and how much of the time that takes."""

import time
from typing import Any, NamedTuple

from ..sequential import Sequential
from ..training.loop import Run
from .events import Events
from .history import History, Row
from .observing import Examination, Examined, Sums, filters, gradient_norms

#: The seconds between two looks at a training that is running.
SHOW_SECONDS = 0.2


class Look(NamedTuple):
    """What a look at a network has found.

    Attributes
    ----------
    shown : dict
        The norms of its gradients and its filters, ready for JSON.
    examined : Examined or None
        How it does on test images; None if it was not examined.
    """

    shown: dict[str, Any]
    examined: Examined | None


class Watch:
    """What is shown of one training: its batches, norms, filters and worst predictions.

    The training's thread calls the methods. Those that change what others see, which are :meth:`note`, :meth:`forget`,
    :meth:`send`, :meth:`take` and :meth:`describe`, are called with the lock held that others hold as well.

    Parameters
    ----------
    name : str
        What events call the training.
    examination : Examination
        What the network is examined with.
    events : Events
        Where it is told.
    """

    def __init__(self, name: str, examination: Examination, events: Events) -> None:
        self.examination, self._name, self._events = examination, name, events
        self._unsent: list[Row] = []
        self._sums = Sums()
        self._shown: dict[str, Any] = {"norms": [], "filters": None}
        self._worst: list[dict[str, Any]] = []
        self._shown_at = self._since = self._entered = time.perf_counter()
        self._training = self._looking = 0.0

    # The time that it takes -----------------------------------------------------------------------------------

    def batch_begins(self) -> None:
        """Take the time at which a batch begins."""
        self._since = time.perf_counter()

    def batch_ends(self) -> None:
        """Take the time at which a batch ends; what comes until :meth:`looked` is no part of training."""
        self._entered = time.perf_counter()
        self._training += self._entered - self._since

    def looked(self) -> None:
        """Take the time at which everything is noted and shown that a batch has led to."""
        self._looking += time.perf_counter() - self._entered

    @property
    def is_due(self) -> bool:
        """Whether the last look was so long ago that another one is due."""
        return time.perf_counter() - self._shown_at > SHOW_SECONDS

    # Batches --------------------------------------------------------------------------------------------------

    def begin(self, run: Run) -> None:
        """Count from where a fit goes on."""
        self._sums = Sums.of(run) if run.batch else Sums()

    def figures(self, run: Run) -> tuple[float | None, float | None]:
        """Return the loss and the accuracy of the batch that has just ended."""
        before = Sums() if run.batch == 1 else self._sums
        self._sums = Sums.of(run)
        return self._sums.since(before)

    def note(self, row: Row | None) -> None:
        """Keep the row of a batch, if it has one, until it is sent."""
        self._unsent += [] if row is None else [row]

    def forget(self, step: int) -> None:
        """Forget the batches after a step."""
        self._unsent = [row for row in self._unsent if row[0] is not None and row[0] <= step]

    def send(self, history: History, brief: dict[str, Any]) -> None:
        """Tell the batches that were trained since the last time, where the training is, and what was seen last."""
        stride = history.batches.stride
        rows = [row for row in self._unsent if row[0] is not None and row[0] % stride == 0]
        self._unsent = []
        self._events.tell("progress", lane=self._name, batches={"stride": stride, "rows": rows}, **brief, **self._shown)

    # Looks ----------------------------------------------------------------------------------------------------

    def look(self, model: Sequential, examine: bool, has_gradients: bool) -> Look:
        """Look at a network, which is not training meanwhile."""
        shown = {"norms": gradient_norms(model) if has_gradients else [], "filters": filters(model)}
        return Look(shown, self.examination.of(model) if examine else None)

    def take(self, look: Look, history: History, brief: dict[str, Any]) -> None:
        """Show and tell what a look has found."""
        self._shown, self._shown_at = look.shown, time.perf_counter()
        self.send(history, brief)
        if look.examined is None:
            return
        loss, accuracy, self._worst = look.examined
        row = history.validation.add(brief["step"], loss, accuracy)
        curve = {"stride": history.validation.stride, "rows": [] if row is None else [row]}
        about = {"step": brief["step"], "worst": self._worst, "figures": (loss, accuracy), "validation": curve}
        self._events.tell("examined", lane=self._name, **about)

    def describe(self) -> dict[str, Any]:
        """Return all that is shown, ready for JSON."""
        busy = self._training + self._looking
        # The share of the time that goes into what is shown, and not into training.
        return self._shown | {"worst": self._worst, "looking": self._looking / busy if busy else 0.0}
