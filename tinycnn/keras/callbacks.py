"""Callbacks, called as in Keras, of any version; ``TensorBoard`` is written here, the others are the engine's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import callbacks as engine
from ..callbacks import History
from ..core.checks import choice, integer, path
from ..core.files import make_folder
from ..core.public import listing
from ..training.callback import Logs
from ._event_file import EventFile
from ._missing import CALLBACKS as _MISSING
from ._spelling import Spelling, ignored, now, only, silent
from ._telling import is_one_of, looked_up, told

#: The methods of Keras 1 and 2, and what they are called now.
_OLD_METHODS = {"on_batch_begin": "on_train_batch_begin", "on_batch_end": "on_train_batch_end"}
#: The names that metrics and the rate had in the logs of Keras 2.2 and before.
OLD_KEYS = {"acc": "accuracy", "val_acc": "val_accuracy", "lr": "learning_rate"}


class Callback(engine.Callback):
    """The base of a program's own callbacks; ``on_batch_begin`` and ``on_batch_end`` of Keras 2 are understood.

    Methods ``on_test_...`` and ``on_predict_...`` are never called, and a warning says so.

    Examples
    --------
    >>> from tinycnn import keras
    >>> class Losses(keras.callbacks.Callback):
    ...     def on_train_begin(self, logs={}):
    ...         self.losses = []
    ...     def on_batch_end(self, batch, logs={}):
    ...         self.losses.append(logs.get("loss"))
    """

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        for old, new in _OLD_METHODS.items():
            if old in vars(cls):
                if new not in vars(cls):
                    setattr(cls, new, vars(cls)[old])
                delattr(cls, old)
        for name in [name for name in vars(cls) if name.startswith(("on_test_", "on_predict_"))]:
            told(f"{cls.__name__}.{name} is never called: callbacks are for fit; on_epoch_end's logs hold val_loss")
            delattr(cls, name)

    def set_model(self, model: Any) -> None:
        """Set the model, as Keras does before training; ``fit`` sets it by itself."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Set the parameters of the fit, as Keras does before training; ``fit`` sets them by itself."""
        self.params = params


class TensorBoard(Callback):
    """Write the logs of every epoch to files that TensorBoard shows (``tensorboard --logdir logs``).

    Training goes into the folder ``train``, validation into ``validation``, under Keras's tags: ``epoch_loss``,
    ``epoch_accuracy``, ``epoch_learning_rate``, and with ``update_freq`` also ``batch_loss``. Nothing has to be
    installed to write them.

    Parameters
    ----------
    log_dir : path
        The folder; it is made if need be.
    histogram_freq, write_graph, write_images, write_steps_per_second, profile_batch, embeddings_freq
        They have no effect: numbers are all that is written.
    update_freq : "epoch", "batch" or int
        Write loss and metrics after every epoch, also after every batch, or after so many batches.
    **other
        Arguments of Keras 1 and 2 that have no effect.
    """

    def __init__(
        self,
        log_dir: Any = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
        **other: Any,
    ) -> None:
        known = {"batch_size", "write_grads", "embeddings_layer_names", "embeddings_data"}
        if unknown := other.keys() - known:
            raise TypeError(f"TensorBoard takes no argument {min(unknown)!r}")
        wanted = {"histogram_freq": histogram_freq, "write_images": write_images, "embeddings_freq": embeddings_freq}
        if dropped := [name for name, value in wanted.items() if value]:
            told(f"TensorBoard: {', '.join(dropped)} has no effect: the numbers of the logs are all that is written")
        self.log_dir = str(path(log_dir, "log_dir"))
        if isinstance(update_freq, str):
            self._every = {"epoch": 0, "batch": 1}[choice(update_freq, ("epoch", "batch"), "update_freq")]
        else:
            self._every = integer(update_freq, "update_freq")
        self._files: dict[str, EventFile] = {}
        self._batches = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._files = {}

    def watches_batches(self) -> bool:
        return bool(self._every)

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        self._batches += 1
        if self._every and self._batches % self._every == 0:
            self._write("train", {f"batch_{key}": value for key, value in logs.items()}, self._batches)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        validation = {key.removeprefix("val_"): value for key, value in logs.items() if key.startswith("val_")}
        training = {key: value for key, value in logs.items() if not key.startswith("val_")}
        for folder, values in (("train", training), ("validation", validation)):
            self._write(folder, {f"epoch_{key}": value for key, value in values.items()}, epoch)

    def get_state(self) -> dict[str, Any]:
        return {"batches": self._batches}

    def set_state(self, state: dict[str, Any]) -> None:
        self._batches = state["batches"]

    def _write(self, folder: str, values: dict[str, Any], step: int) -> None:
        """Write numbers into the file of a folder, which is made when there is something to write."""
        for tag, value in values.items():
            if isinstance(value, int | float):
                if folder not in self._files:
                    place = Path(self.log_dir) / folder
                    make_folder(place)
                    self._files[folder] = EventFile(place)
                self._files[folder].scalar(tag, value, step)


class PeriodicCheckpoint(engine.ModelCheckpoint):
    """A :class:`tinycnn.callbacks.ModelCheckpoint` that looks at every so many epochs, as Keras 2's ``period`` says.

    Parameters
    ----------
    filepath : path
        The file.
    period : int
        After how many epochs.
    **rest
        The other arguments of the base class.
    """

    def __init__(self, filepath: Any, period: int, **rest: Any) -> None:
        super().__init__(filepath, **rest)
        self.period = integer(period, "period")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if (epoch + 1) % self.period == 0:
            super().on_epoch_end(epoch, logs)


class _CheckpointSpelling(Spelling):
    """``ModelCheckpoint``, with ``period`` of Keras 2."""

    def __call__(self, *given: Any, **named: Any) -> Any:
        period = named.pop("period", 1)
        found = self.translated(given, named)
        self.check(found)
        return self.cls(**found) if is_one_of(period, 1) else PeriodicCheckpoint(period=period, **found)


BackupAndRestore = Spelling(
    engine.BackupAndRestore,
    rules={
        "double_checkpoint": silent,
        "delete_checkpoint": ignored(
            "the files are kept when training is finished; move the folder away to begin anew"
        ),
    },
)
CSVLogger = Spelling(engine.CSVLogger)
EarlyStopping = Spelling(engine.EarlyStopping)
LambdaCallback = Spelling(
    engine.LambdaCallback,
    rules={old: now(new) for old, new in _OLD_METHODS.items()},
)
LearningRateScheduler = Spelling(engine.LearningRateScheduler)
ModelCheckpoint = _CheckpointSpelling(
    engine.ModelCheckpoint,
    (
        *("filepath", "monitor", "verbose", "save_best_only", "save_weights_only", "mode", "save_freq"),
        "initial_value_threshold",
    ),
    rules={
        "options": ignored("there is one way to write a file"),
    },
)
ReduceLROnPlateau = Spelling(engine.ReduceLROnPlateau, rules={"epsilon": now("min_delta")})
TerminateOnNaN = Spelling(
    engine.TerminateOnNaN,
    rules={"raise_error": only(False, cure="leave the callback out; fit then raises an error that names the layer")},
)


def modernized(callback: Any, metrics: dict[str, Any]) -> None:
    """Let a callback watch what the logs hold: ``val_acc`` of Keras 2 is ``val_accuracy`` where that was compiled."""
    names = {f"{prefix}{key}" for key in metrics for prefix in ("", "val_")} | {"loss", "val_loss", "learning_rate"}
    both = OLD_KEYS | {new: old for old, new in OLD_KEYS.items()}
    monitor = getattr(callback, "monitor", None)
    if isinstance(callback, engine.MonitorCallback) and monitor not in names and both.get(str(monitor)) in names:
        callback.monitor = both[callback.monitor]
        told(f"{type(callback).__name__}: monitor is {callback.monitor!r}, the name in the logs of {monitor!r}")
    if isinstance(callback, engine.ModelCheckpoint):
        for old, new in both.items():
            if old not in names and new in names:
                for end in ":}":
                    callback.filepath = callback.filepath.replace(f"{{{old}{end}", f"{{{new}{end}")


def watches_validation(callback: Any) -> bool:
    """Return whether a callback watches a value of validation, and say that it does nothing without it, as in Keras."""
    found = (
        isinstance(callback, engine.MonitorCallback)
        and callback.monitor.startswith("val_")
        and getattr(callback, "save_best_only", True)
    )
    if found:
        told(
            f"{type(callback).__name__} has no effect: it watches {callback.monitor!r}, and there are no validation "
            "data; give fit validation_data or validation_split"
        )
    return found


class LogsByAnyName(dict[str, list[float]]):
    """The values of a history by key, which are found by the names of Keras 2.2 and before, too.

    Parameters
    ----------
    logs : dict of str to list of float
        The engine's history.
    rate_is_set : bool
        Whether a callback sets the learning rate. If none does, Keras's history has no such key, and programs that draw
        all of its curves draw none of it; asking for it by its name still finds it.
    """

    def __init__(self, logs: Mapping[str, list[float]], *, rate_is_set: bool = True) -> None:
        shown = {key: values for key, values in logs.items() if rate_is_set or key != "learning_rate"}
        super().__init__(shown)
        self._hidden = {key: values for key, values in logs.items() if key not in shown}

    def __missing__(self, key: str) -> list[float]:
        both = OLD_KEYS | {new: old for old, new in OLD_KEYS.items()}
        for name in (key, both.get(key)):
            for logs in (self, self._hidden):
                if name in logs:
                    return logs[name]
        raise KeyError(f"{key}; the history has {', '.join(self)}")


__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
]
__dir__ = listing(__name__)
__getattr__ = looked_up(__name__, __all__, _MISSING)
