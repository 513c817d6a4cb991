"""The simplest callbacks."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

from ..core.messages import shown
from ..core.printing import say
from ..training.callback import Callback, Logs


class LambdaCallback(Callback):
    """A callback that is made of functions, which are called with Keras's arguments.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end : callable, optional
        Called as ``f(epoch, logs)``; before the epoch, ``logs`` is empty.
    on_train_begin, on_train_end : callable, optional
        Called as ``f(logs)``; before training, ``logs`` is empty, and after it ``logs`` are those of the last epoch.
    on_train_batch_begin, on_train_batch_end : callable, optional
        Called as ``f(batch, logs)``; before an optimizer step, ``logs`` is empty.

    Raises
    ------
    TypeError
        If one of the arguments cannot be called.

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
        """Call the function that was given under a name, if there is one."""
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

    handles_non_finite: ClassVar[bool] = True  # like Keras's, it stops training without an error

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        # The logs hold the mean over the epoch so far, which is not finite either after such a batch.
        if not math.isfinite(logs["loss"]):
            say(f"TerminateOnNaN: batch {batch}: the loss is {logs['loss']}; training stops")
            self.model.stop_training = True
