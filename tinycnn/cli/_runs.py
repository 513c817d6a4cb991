"""The folder of a run: its files, and how a run goes on after an interruption."""

import csv
import io
import json
import math
import re
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from .. import sequential
from ..callbacks import Callback, EarlyStopping, Logs
from ..core.files import PART, parse_json, read_whole, write_whole
from ..saving import fit_state
from ..saving.state_folder import StateFolder
from ..sequential import Sequential

MODEL, HISTORY, RUN = "model.safetensors", "history.csv", "run.json"
#: The largest ``run.json`` that is read; a real one has some kB.
MAX_RUN_BYTES = 16 * 2**20
#: The folder of the states to go on from, see :class:`tinycnn.callbacks.BackupAndRestore`.
STATES = "checkpoints"
_HALF_WRITTEN = re.compile(r"\.(model\.safetensors|history\.csv|run\.json|\w+\.png)\.\w+\.part")
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
    """Keeps ``history.csv`` up to date, and remembers in a run's states what the run is and how far it has come.

    Parameters
    ----------
    folder : Path
    settings : Settings
    stopping : EarlyStopping, optional
        It must stand before this callback in ``fit``'s list.
    """

    def __init__(self, folder: Path, settings: Settings, stopping: EarlyStopping | None) -> None:
        self.folder, self.settings, self.stopping = folder, settings, stopping
        self.progress = Progress()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._begun = self._trained = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
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
        write_history(self.folder, progress)

    def get_state(self) -> dict[str, Any]:
        elapsed = time.perf_counter() - self._begun
        return {"settings": asdict(self.settings), "progress": asdict(self.progress), "elapsed": elapsed}

    def set_state(self, state: dict[str, Any]) -> None:
        self.progress = Progress(**state["progress"])
        self._begun = time.perf_counter() - state["elapsed"]


class Found(NamedTuple):
    """The last whole state in a run's folder: its file, and what :class:`Recorder` remembered in it."""

    path: Path
    settings: Settings
    progress: Progress
    batch: int  # of the epoch after these


def read_state(folder: Path) -> Found | None:
    """The state that a run would go on from; None where there is none.

    Raises
    ------
    ValueError
        If all states are damaged, or not from this command.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fit will tell, when it goes on from the state
        found = StateFolder(folder / STATES).newest()
    if found is None:
        return None
    path, contents = found
    try:
        state = fit_state.decoded(*contents, path).state
        [own] = [entry["state"] for entry in state["callbacks"] if entry["class_name"] == Recorder.__name__]
        return Found(path, Settings(**own["settings"]), Progress(**own["progress"]), state["batch"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} was not written by 'tinycnn train': {error!r}") from error


def read_finished(folder: Path) -> tuple[Settings, int, bool] | None:
    """Of a run that has all its files: settings, epochs, and whether it stopped early; else None."""
    try:
        description = read_description(folder)
        settings = Settings(**{item.name: description[item.name] for item in fields(Settings)})
        results = description["results"]
        found = settings, int(results["epochs"]), bool(results["stopped_early"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if description.get("status") == "finished" and (folder / MODEL).is_file() else None


def load_model(folder: Path, classes: int) -> Sequential:
    """The model of a run.

    Raises
    ------
    OSError
        If there is none.
    ValueError
        If it is not one that tells so many classes apart, compiled as ``tinycnn train`` does.
    """
    model = sequential.load_model(folder / MODEL)
    if not model.compiled or model.output_shape != (classes,) or list(model.metrics) != ["accuracy"]:
        raise ValueError(f"{folder / MODEL} is not the model that this run has left")
    return model


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
        for path in folder.glob(f".*{PART}"):
            if _HALF_WRITTEN.fullmatch(path.name):  # by a run that was killed
                path.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(f"cannot write into the folder {folder}: {error.strerror}") from error


def forget(folder: Path) -> None:
    """A new run begins: nothing of an earlier one may be resumed, or pass for finished."""
    (folder / RUN).unlink(missing_ok=True)
    StateFolder(folder / STATES).clear()


def write_history(folder: Path, progress: Progress) -> None:
    """``history.csv``: a line for each epoch, counted from 0 as Keras does."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for epoch in range(progress.epochs):
        logs = progress.logs(epoch)
        writer.writerow([epoch, *(logs[column] for column in COLUMNS[1:])])
    write_whole(folder / HISTORY, text.getvalue().encode())


def write_description(folder: Path, description: Mapping[str, Any]) -> None:
    """``run.json``."""
    text = json.dumps(_without_nan(description), indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(folder / RUN, f"{text}\n".encode())


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
        description = parse_json(read_whole(path, MAX_RUN_BYTES), nan=True)
    except ValueError as error:
        raise ValueError(f"{path} is not what 'tinycnn train' writes: {error}") from error
    for key in ("model", "data", "backend"):
        if not isinstance(description, dict) or not isinstance(description.get(key), str):
            raise ValueError(f"{path} is not what 'tinycnn train' writes: it has no text under {key!r}")
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
