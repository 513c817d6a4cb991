"""The pictures that a training run writes."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .. import plotting
from ..core.files import write_whole
from ..core.types import Array
from ._data import Data

DPI = 150
#: The height in inches of the picture with the classes, however many there are.
MAX_HEIGHT = 20.0


def save(figure: Any, path: Path) -> None:
    """Write a PNG completely or not at all; the same picture gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    write_whole(path, buffer.getvalue())


def draw_all(folder: Path, history: Mapping[str, Sequence[float]], data: Data, probabilities: Array) -> list[str]:
    """Draw every picture of a run into its folder, and return the names of the files."""
    figures = {"curves.png": plotting.history(history, Figure())[0].figure}
    # A network that diverged predicts NaN for every image, so there is nothing more to draw.
    if np.isfinite(probabilities).all():
        figures["confusion_matrix.png"] = _classes(data, probabilities)
        for which in ("best", "worst", "first_100"):
            name = f"{which}.png" if which == "first_100" else f"{which}_predictions.png"
            figures[name] = plotting.predictions(
                data.x_test, data.y_test, probabilities, which, data.class_names, ax=Figure()
            ).figure
    for name, figure in figures.items():
        save(figure, folder / name)
    return list(figures)


def _classes(data: Data, probabilities: Array) -> Figure:
    """Draw the confusion matrix, and the accuracy by class beside it."""
    height = min(max(5.0, 2 + 0.2 * len(data.class_names)), MAX_HEIGHT)
    figure = Figure(figsize=(2 * height, height), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    plotting.confusion_matrix(data.y_test, probabilities, data.class_names, left)
    plotting.per_class_accuracy(data.y_test, probabilities, data.class_names, right)
    # The matrix beside it already names the classes.
    right.set_ylabel("")
    return figure
