"""The folder of a run: its files, and how a run continues after an interruption."""

import csv
import io
import json
import re
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from .. import sequential
from ..callbacks import BackupAndRestore, Callback, EarlyStopping, Logs
from ..core.files import PART, check_destination, check_folder, delete, make_folder, parse_json, read_whole, write_whole
from ..saving import fit_state
from ..saving.state_folder import StateFolder
from ..sequential import Sequential
from . import _origin
from ._json import without_nan

MODEL, HISTORY, RUN = "model.safetensors", "history.csv", "run.json"
#: The largest ``run.json`` that is read; a real one has a few kB.
MAX_RUN_BYTES = 16 * 2**20
#: The folder of the states from which a run can continue; see :class:`tinycnn.callbacks.BackupAndRestore`.
STATES = "checkpoints"
#: The pictures that a run may hold; a run that diverged has only the first one.
PICTURES = ("curves.png", "confusion_matrix.png", "best_predictions.png", "worst_predictions.png", "first_100.png")
#: What a run leaves, apart from its states. ``run.json`` comes first, because it says that all the others are there.
RESULTS = (RUN, *PICTURES, HISTORY, MODEL)
#: What `tinycnn report` adds to the folder of a run; a test compares the names with its own.
REPORTS = ("report.html", "report.md")
_HALF_WRITTEN = re.compile(r"\.(model\.safetensors|history\.csv|run\.json|\w+\.png)\.\w+\.part")
COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")


@dataclass(frozen=True)
class Settings:
    """The settings that decide a run's figures, to the bit, on one machine; only ``epochs`` may grow on resuming.

    ``pictures`` describes a folder of pictures, as :class:`tinycnn.cli._origin.Pictures` does; None for a data set.
    ``distributed`` says how several processes share a batch; None means that one trains by itself.
    """

    model: str
    data: str
    epochs: int
    batch_size: int
    seed: int
    backend: str
    pictures: dict[str, Any] | None = None
    distributed: str | None = None

    @classmethod
    def read(cls, description: Mapping[str, Any]) -> "Settings":
        """Return the settings that a file holds among other things.

        Raises
        ------
        KeyError, TypeError, ValueError
            If one of them is missing, or the data are neither a data set nor a folder of pictures as it was described.
        """
        settings = cls(**{item.name: description[item.name] for item in fields(cls) if item.name in description})
        _origin.of_run(settings.to_dict())
        if settings.distributed not in (None, "fast", "deterministic"):
            raise ValueError(f"distributed must be fast or deterministic; got {settings.distributed!r}")
        return settings

    def to_dict(self) -> dict[str, Any]:
        """Return the settings for a file; what is None is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass
class Progress:
    """How far a run has come.

    Attributes
    ----------
    history : dict of str to list of float
        The figures of each epoch, as in :class:`tinycnn.callbacks.History`.
    train_seconds, seconds : list of float
        For each epoch, the time of its training steps, and the time of the epoch with validation.
    best_epoch : int or None
        The epoch whose weights are to be restored, counted from 0; None if the last epoch's weights are kept.
    stopped : bool
        Whether training stopped early.
    """

    history: dict[str, list[float]] = field(default_factory=dict)
    train_seconds: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    stopped: bool = False

    @property
    def epochs(self) -> int:
        """The number of finished epochs."""
        return len(self.seconds)

    def logs(self, epoch: int) -> Logs:
        """Return the figures of an epoch."""
        return {key: values[epoch] for key, values in self.history.items()}


class Recorder(Callback):
    """Keeps ``history.csv`` up to date, and stores a run's settings and progress in its states.

    Parameters
    ----------
    folder : Path
    settings : Settings
    stopping : EarlyStopping, optional
        The run's early stopping, which must come before this callback in ``fit``'s list.
    replaces : bool
        Whether the run began in a folder with the results of an earlier one, which it replaces.

    Attributes
    ----------
    done : tuple of int
        How many epochs, and batches of the next one, this process has seen the end of; empty before the first batch.
    """

    only_observes = True

    def __init__(self, folder: Path, settings: Settings, stopping: EarlyStopping | None, replaces: bool) -> None:
        self.folder, self.settings, self.stopping, self.replaces = folder, settings, stopping, replaces
        self.progress = Progress()
        self.done: tuple[int, ...] = ()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._begun = self._trained = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._begun = self._trained = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        self._trained = time.perf_counter()
        self.done = (self.progress.epochs, batch + 1)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        progress = self.progress
        for key, value in logs.items():
            progress.history.setdefault(key, []).append(float(value))
        progress.train_seconds.append(self._trained - self._begun)
        progress.seconds.append(time.perf_counter() - self._begun)
        self.done = (progress.epochs, 0)
        progress.stopped = self.model.stop_training
        if self.stopping is not None and self.stopping.best_epoch >= 0:
            progress.best_epoch = self.stopping.best_epoch
        write_history(self.folder, progress)

    def get_state(self) -> dict[str, Any]:
        elapsed = time.perf_counter() - self._begun
        state = {"settings": self.settings.to_dict(), "progress": asdict(self.progress), "elapsed": elapsed}
        return state | ({"replaces": True} if self.replaces else {})

    def set_state(self, state: dict[str, Any]) -> None:
        self.progress = Progress(**state["progress"])
        self._begun = time.perf_counter() - state["elapsed"]


class Backup(BackupAndRestore):
    """Keeps the states of a run. It may begin anew; an earlier run then stays whole until the first state is written.

    Parameters
    ----------
    folder : Path
        The folder of the run.
    anew : bool
        Whether to begin anew, and to delete what an earlier run has left in the folder once there is a new state.
    save_seconds : float
        As in :class:`tinycnn.callbacks.BackupAndRestore`.

    Attributes
    ----------
    begun : bool
        Whether the states in the folder are those of this run.
    """

    def __init__(self, folder: Path, anew: bool, save_seconds: float) -> None:
        super().__init__(folder / STATES, save_seconds=save_seconds)
        self.folder, self.begun = folder, not anew

    def _newest(self) -> tuple[fit_state.Saved, Path] | None:
        return super()._newest() if self.begun else None

    def save(self) -> None:
        super().save()  # this deletes the older states, but no sooner than the new one is on the disk
        if not self.begun:
            delete_results(self.folder)
            self.begun = True


class Found(NamedTuple):
    """The last complete state in a run's folder: its file, and what :class:`Recorder` stored in it."""

    path: Path
    settings: Settings
    progress: Progress
    batch: int  # how many batches of the next epoch are done
    replaces: bool  # whether the run began in a folder with the results of an earlier one


def read_state(folder: Path) -> Found | None:
    """Return the state from which a run would continue, or None if there is none.

    Raises
    ------
    ValueError
        If all states are damaged, or were not written by this command.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fit will warn again when it continues from the state
        found = StateFolder(folder / STATES).newest()
    if found is None:
        return None
    path, contents = found
    try:
        state = fit_state.decoded(*contents, path).state
        [own] = [entry["state"] for entry in state["callbacks"] if entry["class_name"] == Recorder.__name__]
        settings, progress = Settings.read(own["settings"]), Progress(**own["progress"])
        return Found(path, settings, progress, state["batch"], "replaces" in own)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} was not written by 'tinycnn train': {error!r}") from error


def read_finished(folder: Path) -> tuple[Settings, int, bool] | None:
    """Return the settings, the epochs and whether it stopped early of a run that is finished, or None."""
    try:
        description = read_description(folder)
        settings = Settings.read(description)
        results = description["results"]
        found = settings, int(results["epochs"]), bool(results["stopped_early"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if description.get("status") == "finished" and (folder / MODEL).is_file() else None


def load_model(folder: Path, classes: int) -> Sequential:
    """Load the model of a run.

    Raises
    ------
    OSError
        If there is no model.
    ValueError
        If the model does not have this number of classes, or is not compiled as ``tinycnn train`` compiles it.
    """
    model = sequential.load_model(folder / MODEL)
    if not model.compiled or model.output_shape != (classes,) or list(model.metrics) != ["accuracy"]:
        raise ValueError(
            f"{folder / MODEL} is not the model that this run has written; train again or restore the file"
        )
    return model


def prepare(folder: Path) -> None:
    """Create the folder, and make sure before hours of training that files can be written into it.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    make_folder(folder)
    for name in RESULTS:
        check_destination(folder / name)
    check_folder(folder)
    for path in folder.glob(f".*{PART}"):
        if _HALF_WRITTEN.fullmatch(path.name):  # left behind by a run that was killed
            delete(path)


def results_in(folder: Path) -> list[str]:
    """Return the names of the files that a run leaves, as far as they are in a folder."""
    return [name for name in RESULTS if (folder / name).exists()]


def delete_results(folder: Path) -> None:
    """Delete what an earlier run has left beside its states, and the report on it if there is one."""
    reports = REPORTS if (folder / RUN).exists() else ()
    for name in (*reports, *RESULTS):
        delete(folder / name)


def write_history(folder: Path, progress: Progress) -> None:
    """Write ``history.csv``, which has a line for each epoch, counted from 0 as in Keras."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for epoch in range(progress.epochs):
        logs = progress.logs(epoch)
        writer.writerow([epoch, *(logs[column] for column in COLUMNS[1:])])
    write_whole(folder / HISTORY, text.getvalue().encode())


def write_description(folder: Path, description: Mapping[str, Any]) -> None:
    """Write ``run.json``."""
    text = json.dumps(without_nan(description), indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(folder / RUN, f"{text}\n".encode())


def read_description(folder: Path) -> dict[str, Any]:
    """Return the content of ``run.json``, which has at least ``model``, ``data`` and ``backend``.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If the file is not one that ``tinycnn train`` has written.
    """
    path = folder / RUN
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} is not the folder of a finished run: it has no {RUN}; 'tinycnn train' writes it"
        )
    try:
        description = parse_json(read_whole(path, MAX_RUN_BYTES), nan=True)
    except ValueError as error:
        raise ValueError(f"{path} is not what 'tinycnn train' writes: {error}") from error
    for key in ("model", "data", "backend"):
        if not isinstance(description, dict) or not isinstance(description.get(key), str):
            raise ValueError(f"{path} is not what 'tinycnn train' writes: it has no text under {key!r}")
    return description
