"""Callbacks that watch one value of the logs, and the one that stops when the value no longer improves."""

import math
from typing import Any

from ..core.checks import boolean, choice, integer, real, verbosity, word
from ..core.printing import say
from ..core.types import Array
from ..training.callback import Callback, Logs


class MonitorCallback(Callback):
    """The base of callbacks that watch one value of the logs.

    Parameters
    ----------
    monitor : str
        A key of the logs.
    mode : {"auto", "min", "max"}
        Whether small or large is good. ``auto`` takes what the compiled metric of that key says
        (:attr:`tinycnn.metrics.Metric.direction`); without one, it is ``min`` for a name that ends in "loss" and
        ``max`` for one that ends in "accuracy".
    min_delta : float
        Smaller improvements do not count.
    verbose : int
        1 prints a line when the callback acts.

    Raises
    ------
    ValueError
        In ``fit``, if ``auto`` cannot tell whether small or large is good, or if the logs lack the key.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0, verbose: int = 0) -> None:
        self.monitor = word(monitor, "monitor")
        self.min_delta = real(min_delta, "min_delta", 0)
        self.verbose = verbosity(verbose)
        self.mode = choice(mode, ("auto", "min", "max"), "mode")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._direction = self._find_direction() if self.mode == "auto" else self.mode

    def _find_direction(self) -> str:
        """Return "min" or "max", whichever is good for the value that is watched."""
        metrics = self.model.metrics
        key = self.monitor.removeprefix("val_")
        direction = getattr(metrics.get(key), "direction", None)
        if direction is not None:
            return choice(direction, ("min", "max"), f"direction of metric {key}")
        if key.endswith("loss"):
            return "min"
        if key.endswith(("accuracy", "acc")):
            return "max"
        raise ValueError(
            f"{type(self).__name__} watches {self.monitor!r}, and mode='auto' does not know whether small or large is "
            "good there; pass mode='min' or mode='max', or watch what the model was compiled with: "
            f"{', '.join(['loss', *metrics])}"
        )

    def worst(self) -> float:
        """Return infinity with the sign that makes every number better than it."""
        return math.inf if self._direction == "min" else -math.inf

    def better(self, value: float, than: float) -> bool:
        """Return whether a value is an improvement on another; NaN never is."""
        return value < than - self.min_delta if self._direction == "min" else value > than + self.min_delta

    def figure(self, logs: Logs) -> float:
        """Return the value that is watched, or raise a ValueError that lists the keys of the logs."""
        if self.monitor not in logs:
            lacks_validation = self.monitor.startswith("val_") and not any(key.startswith("val_") for key in logs)
            raise ValueError(
                f"{type(self).__name__} watches {self.monitor!r}, which is not in the logs; they hold {', '.join(logs)}"
                + ("; give fit validation_data" if lacks_validation else "")
            )
        return logs[self.monitor]

    def say(self, text: Any) -> None:
        """Print a line that begins with the name of the class, if ``verbose`` is not 0."""
        if self.verbose:
            say(f"{type(self).__name__}: {text}")


class EarlyStopping(MonitorCallback):
    """Stop when a value no longer improves, and go back to the weights of the best epoch if asked.

    NaN is never an improvement, not even as the first value: such an epoch counts as one without improvement, and the
    first number after it is the best so far. (In Keras, a first NaN stays the best value for good.) Each fit starts
    afresh: the best value of an earlier fit is forgotten. With
    ``restore_best_weights``, the best epoch's weights are restored even if training ran to its end.

    Parameters
    ----------
    monitor : str
        A key of the logs.
    min_delta : float
        Smaller improvements do not count.
    patience : int
        How many epochs without improvement are allowed before training stops.
    mode : {"auto", "min", "max"}
        Whether small or large is good; ``auto`` takes what the compiled metric says, and ``min`` for a loss.
    baseline : float, optional
        Only a value that is better than this one lets the count of ``patience`` begin anew.
    restore_best_weights : bool
        Whether to go back to the best epoch at the end.
    start_from_epoch : int
        Epochs before this one neither count nor can be the best.
    verbose : int
        1 prints a line when training stops and when weights are restored.

    Attributes
    ----------
    best : float
        The best value of this fit.
    best_epoch : int
        The epoch of that value, counted from 0; -1 before there is one.
    stopped_epoch : int
        The epoch after which training stopped, counted from 0; or 0 if it was not stopped. (The first epoch never
        stops training, so 0 has no other meaning.)
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
        super().__init__(monitor, mode, min_delta, verbose)
        self.patience = integer(patience, "patience", minimum=0)
        self.baseline = None if baseline is None else real(baseline, "baseline")
        self.restore_best_weights = boolean(restore_best_weights, "restore_best_weights")
        self.start_from_epoch = integer(start_from_epoch, "start_from_epoch", minimum=0)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        self.best = self.worst()
        self.best_epoch = -1
        self.stopped_epoch = 0
        self._wait = 0
        self._weights: list[Array] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        value = self.figure(logs)
        if epoch < self.start_from_epoch:
            return
        self._wait += 1
        if self.better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self._weights = [weight.copy() for weight in self.model.get_weights()]
            if self.baseline is None or self.better(value, self.baseline):
                self._wait = 0
            return
        # As in Keras, training never stops after the first epoch, even if its value is NaN.
        if self._wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True
            self.say(f"epoch {epoch + 1}: stopped early")

    def get_state(self) -> dict[str, Any]:
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "stopped_epoch": self.stopped_epoch,
            "wait": self._wait,
            "weights": self._weights,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.stopped_epoch, self._wait, self._weights = state["stopped_epoch"], state["wait"], state["weights"]

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._weights is not None:
            self.model.set_weights(self._weights)
            self.say(f"restored the weights of the best epoch, {self.best_epoch + 1}")
            self._weights = None
