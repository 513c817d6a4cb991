"""The points of a fit at which callbacks are called, and the simplest callbacks."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.checks import shown

if TYPE_CHECKING:
    from ..sequential import Sequential

Logs = dict[str, float]


class Callback:
    """Base of all callbacks; define the methods you need.

    ``logs`` is a dict, as in Keras: the figures where there are some, else empty. ``on_train_begin``, ``on_train_end``
    and ``on_epoch_begin`` may be defined without it. ``fit`` refuses a callback with another method called ``on_…``:
    it would never be called.

    One that remembers something from batch to batch or from epoch to epoch also defines :meth:`get_state` and
    :meth:`set_state`; then a fit that was cut short goes on, with :class:`BackupAndRestore`, as if it had not been.

    Attributes
    ----------
    model : Sequential
        Set before ``on_train_begin``.
    params : dict
        ``epochs``, ``steps`` (per epoch) and ``verbose`` of the fit.
    """

    model: "Sequential"
    params: dict[str, Any]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch: forget what an earlier fit left."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch, also when training stopped early; ``logs`` are those of the last epoch of this call."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
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

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before an optimizer step; ``batch`` is counted from 0 within the epoch."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """After an optimizer step; ``logs`` are the epoch's figures so far."""

    def watches_batches(self) -> bool:
        """Whether ``on_train_batch_end`` needs the figures of every batch: on a device they have to be fetched."""
        return type(self).on_train_batch_end is not Callback.on_train_batch_end

    def get_state(self) -> dict[str, Any]:
        """What a fit that goes on after an interruption has to know: by default nothing.

        Numbers, text, None, lists and dicts of them with text as keys, and NumPy arrays anywhere among them. It is
        asked for after ``on_train_batch_end`` or ``on_epoch_end``.
        """
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`get_state` gave.

        Called after ``on_train_begin``, and where a fit goes on in the middle of an epoch, after ``on_epoch_begin`` of
        that epoch; so these two need not know of it.
        """


class History(Callback):
    """The figures of every epoch; ``fit`` returns one.

    Attributes
    ----------
    epoch : list of int
    history : dict of str to list of float
        What other callbacks put into ``logs`` at the end of an epoch is in it too.
    """

    def __init__(self) -> None:
        self.on_train_begin()  # other callbacks may look at model.history before its turn comes

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self.epoch.append(epoch)
        for key, value in logs.items():
            self.history.setdefault(key, []).append(value)

    def get_state(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "history": self.history}

    def set_state(self, state: dict[str, Any]) -> None:
        self.epoch, self.history = list(state["epoch"]), {key: list(v) for key, v in state["history"].items()}


class LambdaCallback(Callback):
    """Functions as a callback; they are called with Keras's arguments.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end : callable, optional
        Called as ``f(epoch, logs)``; before the epoch ``logs`` is empty.
    on_train_begin, on_train_end : callable, optional
        Called as ``f(logs)``; before training ``logs`` is empty, after it those of the last epoch.
    on_train_batch_begin, on_train_batch_end : callable, optional
        Called as ``f(batch, logs)``; before an optimizer step ``logs`` is empty.

    Raises
    ------
    TypeError
        For what cannot be called.

    Examples
    --------
    >>> from tinycnn import callbacks
    >>> tell = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    >>> tell.on_epoch_end(0, {"loss": 0.5})
    0 0.5
    """

    def __init__(
        self,
        on_epoch_begin: Callable[[int, Logs], object] | None = None,
        on_epoch_end: Callable[[int, Logs], object] | None = None,
        on_train_begin: Callable[[Logs], object] | None = None,
        on_train_end: Callable[[Logs], object] | None = None,
        on_train_batch_begin: Callable[[int, Logs], object] | None = None,
        on_train_batch_end: Callable[[int, Logs], object] | None = None,
    ) -> None:
        self._functions: dict[str, Callable[..., object] | None] = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        for name, function in self._functions.items():
            if function is not None and not callable(function):
                raise TypeError(f"{name} must be a function; got {shown(function)}")

    def watches_batches(self) -> bool:
        return self._functions["on_train_batch_end"] is not None

    def _call(self, name: str, *arguments: Any) -> None:
        function = self._functions[name]
        if function is not None:
            function(*arguments)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._call("on_train_begin", logs or {})

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._call("on_train_end", logs or {})

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_begin", epoch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._call("on_epoch_end", epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_train_batch_begin", batch, logs or {})

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        self._call("on_train_batch_end", batch, logs)


class TerminateOnNaN(Callback):
    """Stop training at the first batch whose loss is NaN or infinite."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        # The figure is the mean over the epoch so far, which one such batch spoils.
        if not math.isfinite(logs["loss"]):
            print(f"TerminateOnNaN: batch {batch}: the loss is {logs['loss']}; training stops")
            self.model.stop_training = True
