"""Train, test and record one run. If it is interrupted at any point, the same call continues from there."""

import json
import shutil
import statistics
import time
import warnings
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

import tinycnn

from ... import metrics, models
from ...callbacks import BackupAndRestore, Callback, Logs
from ...core.files import make_folder, write_whole
from ...core.types import Array
from ...core.version import NUMERICS
from ...layers import Conv2D
from ...models.recipe import Recipe
from ...sequential import Sequential
from .. import _about
from .._data import Data
from . import records
from .records import Record

#: The sub-folder of the records for everything that is not to be committed.
WORK = ".work"
#: What is in the folder of a run's work: the trained network, and backups until the record is written.
MODEL, BACKUP = "model.safetensors", "backup"
#: The seconds from one backup to the next, so that no more is lost even if the machine fails.
SAVE_SECONDS = 60
#: The standard deviations, in pixels, of the blurs with which test images are tested.
BLURS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
CLASSES = 10
SHOWN = 10


class Logbook(Callback):
    """Keeps the figures of each epoch and the time that it took, without the pause of an interruption.

    Attributes
    ----------
    history : dict of str to list of float
    train_seconds, seconds : list of float
        For each epoch, the time of its training steps, and the time of the epoch with validation.
    """

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.history: dict[str, list[float]] = {}
        self.train_seconds: list[float] = []
        self.seconds: list[float] = []
        self._trained = 0.0
        self._go_on(0.0)

    def _go_on(self, spent: float) -> None:
        """Start the clock of an epoch, of which this many seconds have already passed."""
        self._spent, self._since = spent, time.perf_counter()

    def _elapsed(self) -> float:
        """Return the seconds of the present epoch, without pauses."""
        return self._spent + time.perf_counter() - self._since

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        self._trained = self._elapsed()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        for key, value in logs.items():
            self.history.setdefault(key, []).append(float(value))
        self.train_seconds.append(self._trained)
        self.seconds.append(self._elapsed())
        self._go_on(0.0)

    def get_state(self) -> dict[str, Any]:
        return {
            "history": {key: list(values) for key, values in self.history.items()},
            "train_seconds": list(self.train_seconds),
            "seconds": list(self.seconds),
            "trained": self._trained,
            "elapsed": self._elapsed(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self.history = {key: list(values) for key, values in state["history"].items()}
        self.train_seconds, self.seconds = list(state["train_seconds"]), list(state["seconds"])
        self._trained = state["trained"]
        self._go_on(state["elapsed"])


def hold_out(data: Data, count: int) -> Data:
    """Return data for choosing settings: the last training images take the place of the test set."""
    if not 0 < count < len(data.x_train):
        raise ValueError(
            f"--hold-out must be from 1 to {len(data.x_train) - 1:,}, so that images are left to train on; got {count}"
        )
    kept = slice(None, -count)
    return data._replace(
        title=f"{data.title}, {count:,} images held out",
        x_train=data.x_train[kept],
        y_train=data.y_train[kept],
        x_test=data.x_train[-count:],
        y_test=data.y_train[-count:],
    )


def is_done(folder: Path, name: str, seed: int) -> bool:
    """Return whether a run was made in this folder to the end; a record alone may come from elsewhere."""
    work = _work(folder, name, seed)
    return (work / MODEL).exists() and not (work / BACKUP).exists()


def repetition(folder: Path, name: str, seed: int) -> Path:
    """Return the path of the record of a run that repeats an earlier one, whose own record stays as it is."""
    return records.path_of(_work(folder, name, seed), name, seed)


def _work(folder: Path, name: str, seed: int) -> Path:
    """Return the folder for a run's work."""
    return folder / WORK / f"{name}-seed{seed}"


def reproduce(
    recipe: Recipe, seed: int, data: Data, folder: Path, threads: int, command: str, path: Path, replaces: Record | None
) -> dict[str, Any]:
    """Train by a recipe, continue an interrupted call if there was one, and write the record.

    Parameters
    ----------
    recipe : Recipe
    seed : int
    data : Data
    folder : Path
        The folder for the record. Its sub-folder ``.work`` gets backups and the trained model, which are not to be
        committed.
    threads : int
        The number of threads, to be recorded.
    command : str
        The command that repeats the run, to be recorded.
    path : Path
        Where the record goes.
    replaces : mapping, optional
        An older record whose place this one takes. It is kept in a few words.

    Returns
    -------
    dict
        The record.

    Raises
    ------
    ValueError
        If an interrupted call had other settings.
    """
    work = _work(folder, recipe.name, seed)
    _begin(work, recipe)
    backup = work / BACKUP
    model, logbook = train(recipe, seed, data, recipe.epochs, BackupAndRestore(backup, save_seconds=SAVE_SECONDS))
    # The model is saved before the record, because the record says that everything is done.
    model.save(work / MODEL)
    record = _record(recipe, seed, data, model, logbook, threads, command)
    if replaces is not None:
        record["replaces"] = records.in_short(replaces)
    records.write(path, record)
    shutil.rmtree(backup, ignore_errors=True)
    return record


def _begin(work: Path, recipe: Recipe) -> None:
    """Create the folder for a run's work, or make sure that the work in it has the same settings."""
    make_folder(work)
    # With this file the folder is hidden from git, wherever it is.
    write_whole(work.parent / ".gitignore", b"*\n")
    path, settings = work / "recipe.json", recipe.to_dict()
    if path.exists() and (work / BACKUP).exists():
        try:
            begun = json.loads(path.read_bytes())
        except ValueError:
            begun = None
        if not isinstance(begun, dict):
            raise ValueError(f"{path} is damaged; move the folder {work} away to begin this run again")
        differing = records.differences({"recipe": begun}, settings)
        # Half a run of each would be a run of neither.
        if begun.get("numerics", NUMERICS) != NUMERICS:
            differing.append(f"numerics version: {begun['numerics']}, and this is {NUMERICS}")
        if differing:
            raise ValueError(
                f"{work} holds an unfinished run of another recipe (another {', '.join(differing)}); "
                "choose another --out, or move that folder away, to begin again"
            )
    write_whole(path, json.dumps(settings | {"numerics": NUMERICS}).encode())


def train(
    recipe: Recipe, seed: int, data: Data, epochs: int, *callbacks: Callback, verbose: int = 1
) -> tuple[Sequential, Logbook]:
    """Train a network by its recipe for so many epochs, with these callbacks behind its own."""
    tinycnn.set_seed(seed)
    model = models.build(recipe.name)
    model.compile(recipe.make_optimizer(), recipe.loss, ["accuracy"])
    logbook = Logbook()
    model.fit(
        data.x_train,
        data.y_train,
        batch_size=recipe.batch_size,
        epochs=epochs,
        validation_data=(data.x_test, data.y_test),
        callbacks=[*recipe.make_callbacks(), logbook, *callbacks],
        augment=recipe.augment,
        verbose=verbose,
    )
    return model, logbook


def _record(
    recipe: Recipe, seed: int, data: Data, model: Sequential, logbook: Logbook, threads: int, command: str
) -> dict[str, Any]:
    """Return the record of a run."""
    accuracies = logbook.history["val_accuracy"]
    best = int(np.argmax(accuracies))  # the first of equal ones, as in EarlyStopping
    epochs = len(accuracies)
    speed = statistics.median(len(data.x_train) / max(seconds, 1e-9) for seconds in logbook.train_seconds)
    return {
        "format": records.FORMAT,
        "name": recipe.name,
        "seed": seed,
        "data": data.title,
        "params": model.count_params(),
        "epochs": epochs,
        "best_epoch": best + 1,
        "best_val_accuracy": accuracies[best],
        "last_val_accuracy": accuracies[-1],
        "weights_of_epoch": best + 1 if recipe.restore_best else epochs,
        **_tested(model, data),
        **{key: logbook.history[key] for key in records.CURVES},
        "seconds": round(sum(logbook.seconds), 3),
        "seconds_by_epoch": [round(seconds, 3) for seconds in logbook.seconds],
        "images_per_second": round(speed, 1),
        "backend": model.backend.name,
        "threads": threads,
        "versions": _about.versions(),
        "machine": _about.machine(),
        "commit": _about.commit(),
        "command": command,
        "date": date.today().isoformat(),
        "recipe": recipe.to_dict(),
        "first_layer_filters": _filters(model),
    }


def _tested(model: Sequential, data: Data) -> dict[str, Any]:
    """Return the results on the test images, with just enough numbers to draw every figure again."""
    loss, accuracy = model.evaluate(data.x_test, data.y_test, verbose=0)
    p = model.predict(data.x_test)
    predicted = p.argmax(axis=1)
    correct = predicted == data.y_test
    counts = metrics.confusion_matrix(data.y_test, predicted, CLASSES)
    tested = {
        "test_accuracy": accuracy,
        "test_loss": loss,
        "first_100_errors": int((~correct[:100]).sum()),
        "per_class_accuracy": metrics.recall(counts).tolist(),
        "confusion_matrix": counts.tolist(),
        "most_confident_correct": _surest(p, data.y_test, np.flatnonzero(correct)),
        "most_confident_wrong": _surest(p, data.y_test, np.flatnonzero(~correct)),
        "predicted": "".join(map(str, predicted.tolist())),
    }
    if data.name == "fashion_mnist":
        tested["test_accuracy_if"] = _accuracy_if(model, data)
    return tested


def _surest(p: Array, y: Array, images: Array) -> list[dict[str, Any]]:
    """Return those of the images of which the network is most certain; of equally certain ones the first."""
    chosen = images[np.argsort(-p[images].max(axis=1), kind="stable")][:SHOWN]
    return [
        {"image": int(n), "true": int(y[n]), "predicted": int(p[n].argmax()), "probability": float(p[n].max())}
        for n in chosen
    ]


def _accuracy_if(model: Sequential, data: Data) -> dict[str, float]:
    """Return the test accuracy on images that are blurred, or otherwise unlike those in training.

    The document of the Fashion-MNIST networks trains one of them on blurred images, and prints an accuracy for another
    one that its own figures contradict. These accuracies show what such images cost.
    """
    x = data.x_test
    changed = {f"blurred by {sigma} px": _blurred(model, x, sigma) for sigma in BLURS}
    changed |= {"not divided by 255": x * np.float32(255), "divided by 255 twice": x / np.float32(255)}
    changed |= {"inverted": 1 - x}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "x holds numbers up to 255")  # this is intended
        return {name: model.evaluate(images, data.y_test, verbose=0)[1] for name, images in changed.items()}


def _blurred(model: Sequential, x: Array, sigma: float) -> Array:
    """Return images blurred with this standard deviation in pixels."""
    blurred: Array = model.backend.kernels.blur_images(x, np.full(len(x), sigma, x.dtype))
    return blurred


def _filters(model: Sequential) -> list[Any]:
    """Return the kernel of the first convolution, (KH, KW, C, F), to four digits."""
    first = next(layer for layer in model.layers if isinstance(layer, Conv2D))
    weights = model.backend.to_numpy(first.params["kernel"].value)
    rounded: list[Any] = np.vectorize(lambda value: float(f"{value:.4g}"), otypes=[float])(weights).tolist()
    return rounded
