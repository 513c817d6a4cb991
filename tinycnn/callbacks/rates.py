"""Callbacks that set the learning rate."""

import inspect
from collections.abc import Callable
from typing import Any

from ..core.checks import integer, real, verbosity
from ..core.messages import shown
from ..core.printing import say
from ..training.callback import Callback, Logs
from .monitor import MonitorCallback


class LearningRateScheduler(Callback):
    """Set the learning rate at the start of each epoch.

    Parameters
    ----------
    schedule : callable
        ``schedule(epoch, lr)`` or ``schedule(epoch)`` returns the new rate; ``epoch`` is counted from 0, and ``lr`` is
        the rate so far. A schedule of :mod:`tinycnn.schedules` is asked for the rate of step ``epoch``.
    verbose : int
        1 prints the rate of each epoch.

    Raises
    ------
    TypeError
        If the schedule cannot be called with one or two arguments.
    ValueError
        In ``fit``, if the schedule returns something that is not a rate.

    Examples
    --------
    >>> from tinycnn import callbacks, schedules
    >>> by_hand = callbacks.LearningRateScheduler(lambda epoch: 0.1 if epoch < 10 else 0.01)
    >>> by_formula = callbacks.LearningRateScheduler(schedules.ExponentialDecay(0.1, decay_steps=1, decay_rate=0.5))
    """

    def __init__(self, schedule: Callable[[int, float], float] | Callable[[int], float], verbose: int = 0) -> None:
        self._with_rate = _takes_rate(schedule)
        self.schedule = schedule
        self.verbose = verbosity(verbose)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        rate_so_far = (self.model.optimizer.learning_rate,) if self._with_rate else ()
        rate = self.schedule(epoch, *rate_so_far)
        self.model.optimizer.learning_rate = real(rate, f"the schedule's result for epoch {epoch}", 0)
        if self.verbose:
            say(f"epoch {epoch + 1}: learning rate {rate:g}")


def _takes_rate(schedule: Any) -> bool:
    """Return whether a schedule takes the rate so far in addition to the epoch."""
    if callable(schedule):
        try:
            signature = inspect.signature(schedule)
        except ValueError:  # some functions that are not written in Python have no signature
            return True
        for count in (2, 1):
            try:
                signature.bind(*range(count))
            except TypeError:
                continue
            return count == 2
    raise TypeError(f"schedule must be a function of (epoch, lr) or of (epoch); got {shown(schedule)}")


class ReduceLROnPlateau(MonitorCallback):
    """Lower the learning rate when a value no longer improves.

    After ``patience`` epochs without improvement the rate becomes ``max(rate * factor, min_lr)``. The ``cooldown``
    epochs that follow do not count as epochs without improvement, except for the last of them; as in Keras, a cooldown
    of 1 is therefore the same as 0. NaN is never an improvement, not even as the first value.

    Parameters
    ----------
    monitor : str
        A key of the logs.
    factor : float in (0, 1)
        What the rate is multiplied by.
    patience : int
        How many epochs without improvement make the rate fall.
    verbose : int
        1 prints the new rate.
    mode : {"auto", "min", "max"}
        Whether small or large is good; ``auto`` takes what the compiled metric says, and ``min`` for a loss.
    min_delta : float
        Smaller improvements do not count.
    cooldown : int
        How many epochs to wait after the rate has fallen.
    min_lr : float
        The rate never falls below this.

    Attributes
    ----------
    best : float
        The best value of this fit.

    Raises
    ------
    TypeError
        In ``fit``, if the optimizer's learning rate comes from a schedule.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta, verbose)
        self.factor = real(factor, "factor", above=0, below=1)
        self.patience = integer(patience, "patience", minimum=0)
        self.cooldown = integer(cooldown, "cooldown", minimum=0)
        self.min_lr = real(min_lr, "min_lr", 0)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        schedule = self.model.optimizer.schedule
        if schedule is not None:
            raise TypeError(
                f"ReduceLROnPlateau sets the learning rate, but the optimizer's comes from {type(schedule).__name__}; "
                "give the optimizer a number as its learning_rate, or leave the callback out"
            )
        self.best = self.worst()
        self._wait, self._rest = 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        value = self.figure(logs)
        if self._rest:
            self._rest -= 1
            self._wait = 0
        if self.better(value, self.best):
            self.best = value
            self._wait = 0
        elif not self._rest:
            self._wait += 1
            if self._wait >= self.patience and self.model.optimizer.learning_rate > self.min_lr:
                self._reduce(epoch)

    def get_state(self) -> dict[str, Any]:
        return {"best": self.best, "wait": self._wait, "rest": self._rest}

    def set_state(self, state: dict[str, Any]) -> None:
        self.best, self._wait, self._rest = state["best"], state["wait"], state["rest"]

    def _reduce(self, epoch: int) -> None:
        """Lower the rate, and begin the cooldown."""
        rate = max(self.model.optimizer.learning_rate * self.factor, self.min_lr)
        self.model.optimizer.learning_rate = rate
        self._wait, self._rest = 0, self.cooldown
        self.say(f"epoch {epoch + 1}: learning rate {rate:g} from now on")
