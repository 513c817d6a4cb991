"""The folder of a run: its files, and how a run goes on after an interruption."""

import csv
import io
import json
import math
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .. import checkpoint
from ..callbacks import Callback, EarlyStopping, Logs
from ..model import Sequential

MODEL, HISTORY, RUN = "model.safetensors", "history.csv", "run.json"
#: The state after the last finished epoch; and after the best one, where that is an earlier one.
CHECKPOINT, BEST = "checkpoint.safetensors", "checkpoint-best.safetensors"
COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")


@dataclass(frozen=True)
class Settings:
    """What decides a run's figures, to the bit, on one machine; ``epochs`` may grow when it is resumed."""

    model: str
    data: str
    epochs: int
    batch_size: int
    seed: int
    backend: str


@dataclass
class Progress:
    """How far a run has come.

    Attributes
    ----------
    history : dict of str to list of float
        As in :class:`tinycnn.callbacks.History`.
    train_seconds, seconds : list of float
        For each epoch: the time of its training steps; and with validation.
    best_epoch : int or None
        The one whose weights are to be restored, counted from 0; None if the last epoch's are kept.
    stopped : bool
        Training stopped early.
    """

    history: dict[str, list[float]] = field(default_factory=dict)
    train_seconds: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    stopped: bool = False

    @property
    def epochs(self) -> int:
        """Finished epochs."""
        return len(self.seconds)

    def logs(self, epoch: int) -> Logs:
        """The figures of an epoch."""
        return {key: values[epoch] for key, values in self.history.items()}


class Recorder(Callback):
    """Keeps a run's folder up to date, so that it can go on with the same bits after any interruption.

    Dropout's masks and the order of the images follow from the seed and the number of steps, which stand in the model's
    file beside weights and moments. What remains is EarlyStopping: it is shown the earlier epochs again.

    Parameters
    ----------
    folder : Path
    settings : Settings
    progress : Progress
        What was done before; it is added to.
    stopping : EarlyStopping, optional
        It must stand before this callback in ``fit``'s list.
    """

    def __init__(self, folder: Path, settings: Settings, progress: Progress, stopping: EarlyStopping | None) -> None:
        self.folder, self.settings, self.progress, self.stopping = folder, settings, progress, stopping

    def on_train_begin(self) -> None:
        if self.stopping is None or self.progress.best_epoch is None:
            return
        now = self.model.get_weights()
        # The weights that EarlyStopping keeps are the model's at that moment; only the best epoch's matter.
        if self.progress.best_epoch != self.progress.epochs - 1:
            self.model.set_weights(checkpoint.load_model(self.folder / BEST).get_weights())
        for epoch in range(self.progress.epochs):
            self.stopping.on_epoch_end(epoch, self.progress.logs(epoch))
        self.model.set_weights(now)

    def on_epoch_begin(self, epoch: int) -> None:
        self._begun = self._trained = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        progress = self.progress
        for key, value in logs.items():
            progress.history.setdefault(key, []).append(float(value))
        progress.train_seconds.append(self._trained - self._begun)
        progress.seconds.append(time.perf_counter() - self._begun)
        progress.stopped = self.model.stop_training
        if self.stopping is not None and self.stopping.best_epoch >= 0:
            progress.best_epoch = self.stopping.best_epoch
            if progress.best_epoch == epoch - 1:
                # The file about to be replaced holds the best weights so far.
                checkpoint.write_whole(self.folder / BEST, (self.folder / CHECKPOINT).read_bytes())
        write_checkpoint(self.folder, self.model, self.settings, progress)
        write_history(self.folder, progress)


def write_checkpoint(folder: Path, model: Sequential, settings: Settings, progress: Progress) -> None:
    """Model, settings and progress in one file, so that they always belong together."""
    state = asdict(progress)
    # As text: JSON has no NaN, and a run that diverges is to be kept like any other.
    state["history"] = {key: [repr(value) for value in values] for key, values in progress.history.items()}
    extra = {"settings": asdict(settings), "progress": state}
    checkpoint.save_model(model, folder / CHECKPOINT, extra)


def read_checkpoint(folder: Path) -> tuple[Settings, Progress] | None:
    """What the last finished epoch left; None where none was finished.

    Raises
    ------
    ValueError
        If the file is damaged, or not from this command.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    extra = checkpoint.read_extra(path)
    try:
        state = dict(extra["progress"])
        state["history"] = {key: [float(value) for value in values] for key, values in state["history"].items()}
        return Settings(**extra["settings"]), Progress(**state)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} was not written by 'tinycnn train': {error!r}") from error


def prepare(folder: Path) -> None:
    """Make the folder, and make sure that files can be written into it, before hours of training.

    Raises
    ------
    OSError
        If they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"cannot write into the folder {folder}: {error.strerror}") from error


def forget_checkpoints(folder: Path) -> None:
    """A new run begins: nothing of an earlier one may be resumed."""
    for name in (CHECKPOINT, BEST):
        (folder / name).unlink(missing_ok=True)


def write_history(folder: Path, progress: Progress) -> None:
    """``history.csv``: a line for each epoch, counted from 0 as Keras does."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for epoch in range(progress.epochs):
        logs = progress.logs(epoch)
        writer.writerow([epoch, *(logs[column] for column in COLUMNS[1:])])
    checkpoint.write_whole(folder / HISTORY, text.getvalue().encode())


def write_description(folder: Path, description: Mapping[str, Any]) -> None:
    """``run.json``."""
    text = json.dumps(_without_nan(description), indent=2, ensure_ascii=False, allow_nan=False)
    checkpoint.write_whole(folder / RUN, f"{text}\n".encode())


def read_description(folder: Path) -> dict[str, Any]:
    """``run.json``, with at least ``model``, ``data`` and ``backend``.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it is not what ``tinycnn train`` writes.
    """
    path = folder / RUN
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not the folder of a finished run: it has no {RUN}")
    try:
        description = json.loads(path.read_bytes())
        for key in ("model", "data", "backend"):
            if not isinstance(description[key], str):
                raise TypeError(key)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path} is not what 'tinycnn train' writes: {error!r}") from error
    return description


def _without_nan(value: Any) -> Any:
    """JSON has no NaN and no infinity: null stands for them."""
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
