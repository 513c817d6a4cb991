"""Pictures of where a classifier is right and wrong, class by class."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from .. import metrics
from ..core.types import Array
from ._checks import (
    GREY,
    IMAGE,
    PALETTE,
    Narrowed,
    axes_or_new,
    inches_of,
    legend_below,
    names_of,
    place,
    points,
    shown,
)
from ._sheet import CHARACTER, LINE

#: The size in points below which a number is not legible.
_SMALLEST = 4.0


def confusion_matrix(
    y_true: Any, y_pred: Any, class_names: Sequence[str] | None = None, ax: Any = None, figsize: Any = None
) -> Axes:
    """Draw how many images of each class were predicted to be of which class.

    Each cell shows a number of images, if it has room for the number. The cell's colour is its share of the row, so
    that classes of different sizes can be compared.

    Parameters
    ----------
    y_true : (N,) or (N, 1) integers
    y_pred : (N,) integers, or (N, classes) probabilities
    class_names : sequence of str, optional
    ax : Axes or empty Figure, optional
    figsize : (float, float), optional
        The size of a new figure in inches. By default it is your ``rcParams["figure.figsize"]`` if you have changed
        that, and otherwise what the picture needs.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If an argument is not valid; the message names it.
    """
    counts, names = _counted(y_true, y_pred, class_names)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(max(5.2, 1 + 0.3 * len(names)), 12)
    ax = axes_or_new(place(ax, figsize), side + 0.4, side)
    cell = min(inches_of(ax)) / len(names)
    ax.imshow(shares, **IMAGE, cmap="Blues", vmin=0, vmax=1)
    size = min(points(8), cell / LINE, cell / (len(str(counts.max())) * CHARACTER))
    for row, column in np.argwhere(counts) if size >= _SMALLEST else []:
        dark = shares[row, column] > 0.5
        ax.text(
            column, row, str(counts[row, column]), ha="center", va="center", fontsize=size, color="w" if dark else "k"
        )
    ticks, labels = _ticks(names, cell)
    ax.set_xticks(
        ticks, labels, rotation=45 if max(map(len, names)) > 2 else 0, ha=_slanted(names), rotation_mode="anchor"
    )
    ax.set_yticks(ticks, labels)
    ax.set(title="Confusion matrix (images)", xlabel="predicted class", ylabel="true class")
    ax.tick_params(length=0)
    # Draw lines between the cells, and none of the lines that a style may draw through them.
    ax.grid(False)
    between = np.arange(1, len(names)) - 0.5
    ax.set_xticks(between, minor=True)
    ax.set_yticks(between, minor=True)
    ax.grid(which="minor", color="0.85", linewidth=0.8)
    ax.tick_params(which="minor", length=0)
    return ax


def per_class_accuracy(
    y_true: Any,
    y_pred: Any,
    class_names: Sequence[str] | None = None,
    ax: Any = None,
    compared: Mapping[str, Sequence[float]] | None = None,
    figsize: Any = None,
) -> Axes:
    """Draw the share of each class's images that were classified correctly (the class's recall).

    Parameters
    ----------
    y_true, y_pred, class_names, ax
        As in :func:`confusion_matrix`.
    compared : mapping of str to sequence of float, optional
        Other accuracies of the classes, by name, to mark beside the bars: ``{"documented": [0.75, 0.96, ...]}``.
    figsize
        As in :func:`confusion_matrix`.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If an argument is not valid; the message names it.
    """
    counts, names = _counted(y_true, y_pred, class_names)
    accuracy = metrics.recall(counts)
    overall = float(counts.trace() / counts.sum())
    ax = axes_or_new(place(ax, figsize), 5.6, min(max(3.6, 1.1 + 0.24 * len(names)), 40))
    rows = np.arange(len(names))
    height = inches_of(ax)[1] / len(names)
    size = min(points(8), height / LINE)
    ax.barh(rows, np.nan_to_num(accuracy), height=0.7, color=PALETTE[0])
    if size >= _SMALLEST:
        longest = 9 if np.isnan(accuracy).any() else 5
        Narrowed(ax, right=lambda _: longest * size * CHARACTER * ax.figure.dpi + 0.02 * ax.bbox.width)
    for row, value in zip(rows, accuracy, strict=True) if size >= _SMALLEST else []:
        text = "no images" if np.isnan(value) else f"{value:.3f}"
        ax.text(1.02, row, text, va="center", fontsize=size, transform=ax.get_yaxis_transform())
    if compared:
        _mark(ax, compared, rows)
    ax.axvline(overall, color=GREY, linestyle="--")
    ax.set_yticks(*_ticks(names, height))
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    ax.set_xlim(0, 1)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set(title="Accuracy by class", xlabel=f"share correct (dashed: all images, {overall:.4f})", ylabel="true class")
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax


def _mark(ax: Axes, compared: Mapping[str, Sequence[float]], rows: Array) -> None:
    """Draw hollow marks at the other accuracies, and a legend that does not cover the bars."""
    ax.patches[0].set_label("here")
    for (name, values), marker in zip(compared.items(), "Dos^v<>", strict=False):
        accuracies = np.asarray(values, dtype=np.float64)
        if accuracies.shape != rows.shape:
            raise ValueError(
                f"compared[{name!r}] must hold {len(rows)} accuracies, one for each class; got {shown(values)}"
            )
        [marks] = ax.plot(accuracies, rows, marker, color=PALETTE[1], label=name, clip_on=False)
        marks.set(markerfacecolor="w", markeredgewidth=1.5, markersize=6)
    legend_below(ax, ["here", *map(str, compared)])


def _counted(y_true: Any, y_pred: Any, class_names: Sequence[str] | None) -> tuple[Array, list[str]]:
    """Return the confusion matrix, with a row and a column for each name, and the names."""
    counts = metrics.confusion_matrix(y_true, y_pred)
    names = names_of(class_names, len(counts))
    return np.pad(counts, (0, len(names) - len(counts))), names


def _ticks(names: Sequence[str], inches: float) -> tuple[Array, Sequence[str]]:
    """Return the classes to name, and their names: all, or as many as have room at this distance in inches."""
    every = math.ceil(points(10) * LINE / inches)
    return np.arange(0, len(names), every), names[::every]


def _slanted(names: Sequence[str]) -> str:
    """Return the alignment of labels: slanted ones end at their tick, short ones are centred under it."""
    return "right" if max(map(len, names)) > 2 else "center"
