"""The report on one run of ``tinycnn train``: its results, its curves, and what the trained network says.

The pictures are narrow, so that a telephone shows them without a loss of legibility.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ... import metrics, models
from ...core.files import read_whole
from ...core.types import Array
from .. import _data, _origin, _runs
from .._arguments import model_names
from .blocks import Block, Heading, Picture, Table, Text

#: The largest ``history.csv`` that is read; a real one has a few kB.
_MAX_BYTES = 2**24


class Run(NamedTuple):
    """What the folder of a run holds.

    Attributes
    ----------
    status : str
        "finished", "interrupted", or "unfinished" if the run is still going on or was killed.
    description : dict
        The content of ``run.json``, or of a run that has none its settings.
    history : dict of str to list of float
        The figures of each epoch.
    """

    folder: Path
    status: str
    description: Mapping[str, Any]
    history: Mapping[str, Sequence[float]]


class Tested(NamedTuple):
    """The data that a run's network was tested on, the network, and the probabilities that it gives."""

    data: _data.Data
    model: Any
    probabilities: Array


def is_run(folder: Path) -> bool:
    """Return whether a folder is one that ``tinycnn train`` has written."""
    return any((folder / name).exists() for name in (_runs.RUN, _runs.HISTORY, _runs.STATES))


def read(folder: Path) -> Run:
    """Read the folder of a run, whether the run is finished or not.

    Raises
    ------
    OSError
        If a file cannot be read.
    ValueError
        If a file is not what ``tinycnn train`` writes, or there is nothing to report yet.
    """
    history = _history(folder)
    if (folder / _runs.RUN).exists():
        description = _runs.read_description(folder)
        _check(description, folder / _runs.RUN)
        return Run(folder, str(description.get("status", "finished")), description, history)
    found = _runs.read_state(folder)
    if found is None or not history["loss"]:
        raise ValueError(f"the run in {folder} has not finished an epoch yet, so there is nothing to report")
    return Run(folder, "unfinished", found.settings.to_dict(), history)


def _check(description: Mapping[str, Any], path: Path) -> None:
    """Raise ValueError if ``run.json`` lacks something that the report shows."""
    results = description.get("results")
    wanted: dict[str, Any] = {
        "epochs": int,
        "params": int,
        "test_accuracy": (int, float, type(None)),
        "errors_in_first_100": int,
    }
    for key, kind in wanted.items():
        if not isinstance(results, Mapping) or not isinstance(results.get(key), kind) or key not in results:
            raise ValueError(f"{path} is not what 'tinycnn train' writes: its results have no {key!r}")
    if description["model"] not in model_names():
        raise ValueError(f"{path} is not what 'tinycnn train' writes: it has an unknown model")
    try:
        _origin.of_run(description)
    except ValueError as error:
        raise ValueError(f"{path} is not what 'tinycnn train' writes: {error}") from error


def _history(folder: Path) -> dict[str, list[float]]:
    """Return the figures of each epoch from ``history.csv``; the lists are empty if there is none."""
    path = folder / _runs.HISTORY
    history: dict[str, list[float]] = {column: [] for column in _runs.COLUMNS[1:]}
    if not path.exists():
        return history
    try:
        for row in csv.DictReader(io.StringIO(read_whole(path, _MAX_BYTES).decode())):
            for column, values in history.items():
                values.append(float(row[column]))
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ValueError(f"{path} is not what 'tinycnn train' writes: {error}") from error
    return history


def tested(run: Run) -> Tested | str:
    """Return the network's answers for the test images, or why there are none."""
    import tinycnn

    if not (run.folder / _runs.MODEL).exists():
        return f"there is no {_runs.MODEL} yet"
    origin = _origin.of_run(run.description)
    try:
        with tinycnn.use_backend(run.description["backend"]):
            model = _runs.load_model(run.folder, len(origin.class_names))
            data = origin.load()
            probabilities = model.predict(data.x_test)
    except (OSError, ValueError, TypeError, ImportError, RuntimeError) as error:
        return str(error)
    if not np.isfinite(probabilities).all():
        return "the network has diverged, and predicts NaN"
    return Tested(data, model, probabilities)


def title(run: Run) -> str:
    """Return the title of the report."""
    return f"{run.description['model']} on {_origin.of_run(run.description).title}"


def blocks(run: Run, answers: Tested | str) -> list[Block]:
    """Return the whole report."""
    shown: list[Block] = [Heading(1, title(run)), Text(_status(run)), *_results(run, answers)]
    if run.history["loss"]:
        caption = "Loss and accuracy by epoch, on training images (hollow) and on test images (filled)."
        shown += [Heading(2, "Curves"), _picture("curves", caption, "curves", run.history)]
    if isinstance(answers, Tested):
        shown += [*_by_class(answers), *_images(answers)]
    else:
        shown += [Text(f"The pictures of test images are left out: {answers}.")]
    return [*shown, Heading(2, "How it was made"), *_how_it_was_made(run)]


def _status(run: Run) -> str:
    """Return in words how far the run has come."""
    epochs = len(run.history["loss"])
    asked = run.description.get("epochs")
    done = f"{epochs} of {asked} epochs" if asked and asked != epochs else f"{epochs} epoch{'s' * (epochs != 1)}"
    results = run.description.get("results", {})
    if run.status == "finished" and results.get("stopped_early"):
        return f"The run is finished: it stopped early, after {done}, because the accuracy no longer rose."
    if run.status == "finished":
        return f"The run is finished: {done}."
    going_on = f"`tinycnn train {run.description['model']} --out {run.folder} --resume` continues it."
    if run.status == "unfinished":
        return f"The run is not finished: {done} are done. If it is not going on right now, {going_on}"
    behind = f" The results are those after epoch {results['epochs']}." if results.get("epochs") != epochs else ""
    return f"The run was interrupted after {done}.{behind} {going_on}"


def _results(run: Run, answers: Tested | str) -> list[Block]:
    """Return the table of results, and how they compare with the document."""
    found = run.description.get("results")
    if not found:
        last = [[name.replace("_", " "), f"{run.history[name][-1]:.4f}"] for name in _runs.COLUMNS[1:5]]
        return [Table(["After the last epoch", ""], last)]
    rows = [
        ["Test accuracy", _figure(found["test_accuracy"], ".4f")],
        ["Test loss", _figure(found.get("test_loss"), ".4f")],
        ["Errors in the first 100 test images", str(found["errors_in_first_100"])],
        ["Parameters", f"{found['params']:,}"],
        ["Weights of epoch", _weights_of(found)],
        ["Time", _time(run.description.get("wall_time_s"))],
        ["Speed in training", f"{_figure(run.description.get('images_per_second'), ',.0f')} images/s"],
    ]
    shown: list[Block] = [Table(["Result", ""], rows)]
    recipe = models.recipe(run.description["model"])
    if recipe.documented_accuracy is not None and recipe.data == run.description["data"]:
        shown.append(Text(f"The document says: {recipe.documented_text}."))
    if recipe.restore_best:
        shown.append(
            Text("The weights are those of the epoch that was best on these test images, so slightly optimistic.")
        )
    if isinstance(answers, Tested) and isinstance(found["test_accuracy"], float):
        now = float((answers.probabilities.argmax(axis=1) == answers.data.y_test).mean())
        if abs(now - found["test_accuracy"]) > 5e-5:
            shown.append(Text(f"On this machine and with today's data, the model's test accuracy is {now:.4f}."))
    return shown


def _weights_of(found: Mapping[str, Any]) -> str:
    """Return the epoch whose weights the model has; epochs are counted from 1."""
    epoch, trained = found.get("weights_of_epoch"), found["epochs"]
    if not isinstance(epoch, int):
        return f"between two epochs ({trained} trained in full)"
    return f"{epoch + 1} ({trained} trained)"


def _figure(value: Any, form: str) -> str:
    """Return a number in this format, or "none" for the null of a network that diverged."""
    return format(value, form) if isinstance(value, int | float) else "none"


def _time(seconds: Any) -> str:
    """Return a time in words."""
    if not isinstance(seconds, int | float):
        return "none"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def _by_class(answers: Tested) -> list[Block]:
    """Return the table and the pictures of the classes."""
    data, predicted = answers.data, answers.probabilities.argmax(axis=1)
    counts = metrics.confusion_matrix(data.y_test, predicted, len(data.class_names))
    rows = []
    for name, row, right in zip(data.class_names, counts, counts.diagonal(), strict=True):
        images = int(row.sum())
        rows.append([name, str(images), str(images - int(right)), f"{right / images:.4f}" if images else "none"])
    return [
        Heading(2, "Classes"),
        Table(["Class", "Images", "Errors", "Accuracy"], rows),
        _picture("confusion", "How many test images of each class (rows) were taken for which.", "confusion", answers),
        _picture("per-class", "Share of each class's test images that are classified correctly.", "per_class", answers),
    ]


def _images(answers: Tested) -> list[Block]:
    """Return the pictures of test images, and that of the first convolution's filters if there is one."""
    shown: list[Block] = [Heading(2, "Test images")]
    for which, kind in (("best", "The correct predictions"), ("worst", "The mistakes")):
        caption = f"{kind} that the network is surest of, with its probability."
        shown.append(_picture(which, caption, "surest", answers, which))
    caption = "The first 100 test images with the predictions; mistakes are red, framed and marked ✗."
    shown.append(_picture("first-100", caption, "first_100", answers, narrow=False))
    if any("kernel" in layer.params and layer.window is not None for layer in answers.model.layers):
        caption = "The filters of the first convolution after training."
        shown += [Heading(2, "Filters"), _picture("filters", caption, "filters", answers)]
    return shown


def _picture(name: str, caption: str, draw: str, *arguments: Any, narrow: bool = True) -> Picture:
    """Return a picture, whose function is looked up when it is drawn, because matplotlib is slow to import."""

    def drawn() -> Any:
        from . import run_figures

        function: Callable[..., Any] = getattr(run_figures, draw)
        return function(*arguments)

    return Picture(name, caption, drawn, narrow)


def _how_it_was_made(run: Run) -> list[Block]:
    """Return the settings, the command, and on which machine and with which versions the run was made."""
    description = run.description
    keys = ("model", "data", "epochs", "batch_size", "seed", "backend", "threads")
    rows = [[key.replace("_", " "), str(description[key])] for key in keys if key in description]
    shown: list[Block] = [Table(["Setting", ""], rows)]
    if isinstance(description.get("command"), str):
        shown.append(Text(f"On the same type of machine, `{description['command']}` gives the same bits."))
    machine, versions = description.get("machine"), description.get("versions")
    if isinstance(machine, Mapping) and isinstance(versions, Mapping):
        packages = ", ".join(f"{name} {number}" for name, number in versions.items())
        shown.append(Text(f"{machine.get('processor')}, {machine.get('cores')} cores; {packages}."))
    return shown
