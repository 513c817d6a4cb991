"""The points of a fit at which callbacks are called, and the callback that every fit has."""

import weakref
from typing import Any, ClassVar

import numpy as np

from ..core.messages import shown
from ..core.printing import for_print
from ..core.table import Table

Logs = dict[str, float]

#: A history with more epochs than this is shown without those in the middle.
SHOWN_EPOCHS = 20


class NoModelError(AttributeError, RuntimeError):
    """A callback was asked for its model before ``fit`` gave it one, or after the model was freed."""


class Callback:
    """The base of all callbacks; a subclass defines the methods that it needs.

    ``logs`` is a dict, as in Keras: it holds the loss and the metrics where they are known, and is empty elsewhere.
    ``on_train_begin``, ``on_train_end`` and ``on_epoch_begin`` may be defined without it. ``fit`` refuses a callback
    that has another method whose name begins with ``on_``, because that method would never be called.

    A callback that remembers something from batch to batch or from epoch to epoch also defines :meth:`get_state` and
    :meth:`set_state`. A fit that was cut short then goes on, with :class:`BackupAndRestore`, as if it had not been.

    Attributes
    ----------
    model : Sequential
        The model that is trained; set before ``on_train_begin``. A callback does not keep its model alive.
    params : dict
        The ``epochs``, ``steps`` (per epoch) and ``verbose`` of the fit.
    order : int
        Callbacks with a smaller number are called first, and those with the same number in the order in which ``fit``
        was given them.
    handles_non_finite : bool
        Whether this callback deals with a loss that is NaN or infinite; ``fit`` then raises no error for it.
    """

    order: ClassVar[int] = 0
    handles_non_finite: ClassVar[bool] = False

    params: dict[str, Any]

    @property
    def model(self) -> Any:
        """The model that is trained."""
        held = self.__dict__.get("_model")
        model = None if held is None else held()
        if model is None:
            why = (
                "fit sets it, and this callback has not been in a fit, or is a copy"
                if held is None
                else "a callback does not keep its model alive, and nobody else holds it any more. Keep the model in a "
                "variable: model = …; history = model.fit(…)"
            )
            raise NoModelError(for_print(f"{type(self).__name__} has no model: {why}"))
        return model

    @model.setter
    def model(self, model: Any) -> None:
        # The reference is weak because the model holds its history, which is a callback; a circle of references would
        # keep all its arrays alive.
        self.__dict__["_model"] = weakref.ref(model)

    #: A promise that what it does for each batch changes nothing in the model, so that processes that train together
    #: need not compare their models after every batch.
    only_observes: ClassVar[bool] = False

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy of this callback holds: everything but the model."""
        return {name: value for name, value in self.__dict__.items() if name != "_model"}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Act before the first epoch; forget what an earlier fit left."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Act after the last epoch, also if training stopped early; ``logs`` are those of this call's last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Act before an epoch's first batch; epochs are counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Act after an epoch and its validation.

        Parameters
        ----------
        epoch : int
            Counted from 0.
        logs : dict
            ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy``, ``learning_rate``.
        """

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Act before an optimizer step; batches are counted from 0 within the epoch."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Act after an optimizer step; ``logs`` are the means over the epoch so far."""

    def watches_batches(self) -> bool:
        """Return whether ``on_train_batch_end`` needs the logs of every batch; from a device these take time."""
        return type(self).on_train_batch_end is not Callback.on_train_batch_end

    def get_state(self) -> dict[str, Any]:
        """Return what a fit that goes on after an interruption has to know; by default nothing.

        It may hold numbers, text, None, lists and dicts of them with text as keys, and NumPy arrays anywhere among
        them. ``fit`` asks for it after ``on_train_batch_end`` or ``on_epoch_end``.
        """
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`get_state` returned.

        It is called after ``on_train_begin`` and, if the fit goes on in the middle of an epoch, also after that epoch's
        ``on_epoch_begin``. So these two methods need not know of it.
        """

    # For callbacks that work on the fit itself; see BackupAndRestore ------------------------------------------

    def attach(self, run: Any) -> None:
        """Learn which fit this is (a :class:`tinycnn.training.loop.Run`), before anything else happens in it."""

    def resume(self) -> None:
        """Bring the fit to where an earlier one was interrupted; called after ``on_train_begin`` of all callbacks."""

    def interrupted(self) -> None:
        """Act on Ctrl-C, after the step that was running and before ``fit`` raises KeyboardInterrupt."""

    def detach(self) -> None:
        """Let go of the fit, which has ended or failed."""


class History(Callback):
    """The logs of every epoch; ``fit`` returns an object of this class.

    Attributes
    ----------
    epoch : list of int
        The epochs that were trained, counted from 0.
    history : dict of str to list of float
        The values of each key of the logs, one per epoch. What other callbacks put into ``logs`` at the end of an epoch
        is there too.
    """

    order: ClassVar[int] = 1  # after the user's own, so that what they add to the logs is kept

    def __init__(self) -> None:
        self.on_train_begin()  # other callbacks may look at model.history before its turn comes

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self.epoch.append(epoch)
        for key, value in logs.items():
            self.history.setdefault(key, []).append(value)

    def __repr__(self) -> str:
        if not self.epoch:
            return "<History of no epochs>"
        last = "  ".join(f"{key} {value_text(key, values[-1])}" for key, values in self.history.items())
        count = f"{len(self.epoch)} epoch{'' if len(self.epoch) == 1 else 's'}"
        return for_print(f"<History of {count}; the last: {last}>")

    def _repr_html_(self) -> str:
        """Return a table with a row for each epoch as HTML; notebooks call this method."""
        keys = list(self.history)
        # A callback may have added a key after some epochs, whose values then belong to the last ones.
        columns = [
            [""] * (len(self.epoch) - len(values)) + [value_text(key, value) for value in values]
            for key, values in self.history.items()
        ]
        rows = [(f"{epoch + 1}", *cells) for epoch, *cells in zip(self.epoch, *columns, strict=True)]
        hidden = len(rows) - SHOWN_EPOCHS
        if hidden > 0:
            rows[SHOWN_EPOCHS // 2 : -SHOWN_EPOCHS // 2] = [("…", *[""] * len(keys))]
        return Table(("epoch", *keys), rows, "r" * (len(keys) + 1)).html()

    def get_state(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "history": self.history}

    def set_state(self, state: dict[str, Any]) -> None:
        self.epoch, self.history = list(state["epoch"]), {key: list(v) for key, v in state["history"].items()}


def value_text(key: str, value: Any) -> str:
    """Return a value of the logs as text for people.

    Examples
    --------
    >>> value_text("loss", 0.123456), value_text("learning_rate", 0.001)
    ('0.1235', '0.001')
    """
    if isinstance(value, int | float | np.number):  # a callback may add values of any type
        return f"{value:{'g' if key == 'learning_rate' else '.4f'}}"
    return value if isinstance(value, str) else shown(value)
