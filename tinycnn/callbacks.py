"""Callbacks: code that runs at fixed points of a fit, with Keras's names.

Every callback starts afresh in ``on_train_begin``: the same object may serve any number of fits.
"""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ._checks import boolean, choice, integer, real
from ._types import Array

if TYPE_CHECKING:
    from .model import Sequential

Logs = dict[str, float]


class Callback:
    """Base of all callbacks; define the methods you need.

    Attributes
    ----------
    model : Sequential
        Set before ``on_train_begin``.
    params : dict
        ``epochs``, ``steps`` (per epoch) and ``verbose`` of the fit.
    """

    model: "Sequential"
    params: dict[str, Any]

    def on_train_begin(self) -> None:
        """Before the first epoch: forget what an earlier fit left."""

    def on_train_end(self) -> None:
        """After the last epoch, also when training stopped early."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before an epoch's first batch."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """After an epoch and its validation.

        Parameters
        ----------
        epoch : int
            Counted from 0.
        logs : dict
            ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy``, ``learning_rate``.
        """

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """After an optimizer step; ``logs`` are the epoch's figures so far."""


class History(Callback):
    """The figures of every epoch; ``fit`` returns one.

    Attributes
    ----------
    epoch : list of int
    history : dict of str to list of float
    """

    def on_train_begin(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self.epoch.append(epoch)
        for key, value in logs.items():
            self.history.setdefault(key, []).append(value)


class EarlyStopping(Callback):
    """Stop when a figure no longer improves, and go back to the best epoch if asked.

    Unlike a well-known ancestor it forgets the best value of an earlier fit, and restores the best epoch's weights
    also when training ran to its end.

    Parameters
    ----------
    monitor : str
        A key of the logs.
    min_delta : float
        Smaller improvements do not count.
    patience : int
        Epochs without improvement before stopping.
    mode : {"auto", "min", "max"}
        ``auto``: ``max`` for an accuracy, else ``min``.
    baseline : float, optional
        Stop also if this value is not passed within ``patience`` epochs.
    restore_best_weights : bool
    start_from_epoch : int
        Earlier epochs neither count nor can be the best.
    verbose : int
        1 prints a line when it acts.

    Attributes
    ----------
    best : float
        The best value of this fit.
    best_epoch : int
        Its epoch, counted from 0; -1 before there is one.
    stopped_epoch : int
        The epoch after which training stopped; 0 if it did not.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        self.monitor = monitor
        self.min_delta = real(min_delta, "min_delta", 0)
        self.patience = integer(patience, "patience", minimum=0)
        self.verbose = verbose
        mode = choice(mode, ("auto", "min", "max"), "mode")
        self.mode = mode if mode != "auto" else ("max" if monitor.endswith(("accuracy", "acc")) else "min")
        self.baseline = baseline
        self.restore_best_weights = boolean(restore_best_weights, "restore_best_weights")
        self.start_from_epoch = integer(start_from_epoch, "start_from_epoch", minimum=0)

    def on_train_begin(self) -> None:
        self.best = math.inf if self.mode == "min" else -math.inf
        self.best_epoch = -1
        self.stopped_epoch = 0
        self._wait = 0
        self._weights: list[Array] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.monitor not in logs:
            raise ValueError(
                f"EarlyStopping watches {self.monitor!r}, which is not among {', '.join(logs)}"
                + ("; give fit validation_data" if self.monitor.startswith("val_") else "")
            )
        if epoch < self.start_from_epoch:
            return
        value = logs[self.monitor]
        self._wait += 1
        if self._better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self._weights = [weight.copy() for weight in self.model.get_weights()]
            if self.baseline is None or self._better(value, self.baseline):
                self._wait = 0
            return
        if self._wait >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True
            self._say(f"epoch {epoch + 1}: stopped early")

    def on_train_end(self) -> None:
        if self._weights is not None:
            self.model.set_weights(self._weights)
            self._say(f"restored the weights of the best epoch, {self.best_epoch + 1}")
            self._weights = None

    def _better(self, value: float, than: float) -> bool:
        return value < than - self.min_delta if self.mode == "min" else value > than + self.min_delta

    def _say(self, text: str) -> None:
        if self.verbose:
            print(f"EarlyStopping: {text}")


class LearningRateScheduler(Callback):
    """Set the learning rate at the start of each epoch.

    Parameters
    ----------
    schedule : callable
        ``schedule(epoch, lr)`` gives the new rate; ``epoch`` counts from 0, ``lr`` is the rate until now.
    verbose : int
        1 prints the rate.

    Raises
    ------
    ValueError
        In ``fit``, if the schedule gives something that is not a rate.
    """

    def __init__(self, schedule: Callable[[int, float], float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule must be a function of (epoch, lr); got {schedule!r}")
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int) -> None:
        rate = self.schedule(epoch, self.model.optimizer.learning_rate)
        self.model.optimizer.learning_rate = real(rate, f"the schedule's result for epoch {epoch}", 0)
        if self.verbose:
            print(f"epoch {epoch + 1}: learning rate {rate:g}")


class CSVLogger(Callback):
    """Write one line per epoch to a CSV file, at once, so that an interrupted run loses nothing.

    Parameters
    ----------
    filename : path
    separator : str
    append : bool
        Go on with an existing file instead of starting it afresh; ``fit`` may be called again.
    """

    def __init__(self, filename: str | Path, separator: str = ",", append: bool = False) -> None:
        self.filename = Path(filename)
        self.separator = separator
        self.append = boolean(append, "append")

    def on_train_begin(self) -> None:
        self._columns: list[str] | None = None
        if self.append and self.filename.exists():
            with self.filename.open(newline="") as file:
                self._columns = next(csv.reader(file, delimiter=self.separator), None)
        if self._columns is None:
            self.filename.write_text("")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        with self.filename.open("a", newline="") as file:
            self._write(file, {"epoch": epoch, **logs})

    def _write(self, file: TextIO, row: dict[str, float]) -> None:
        first = self._columns is None
        self._columns = self._columns or list(row)
        writer = csv.DictWriter(file, self._columns, restval="", extrasaction="ignore", delimiter=self.separator)
        if first:
            writer.writeheader()
        writer.writerow(row)
