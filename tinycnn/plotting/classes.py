"""Where a classifier is right and wrong, class by class."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from .. import metrics
from .._types import Array
from ._checks import GREY, IMAGE, PALETTE, axes_or_new, names_of, shown


def confusion_matrix(y_true: Any, y_pred: Any, class_names: Sequence[str] | None = None, ax: Any = None) -> Axes:
    """Draw how many images of each class were taken for which.

    Each cell holds a number of images; its colour is the share of the row, so that classes of different size compare.

    Parameters
    ----------
    y_true : (N,) or (N, 1) integers
    y_pred : (N,) integers, or (N, classes) probabilities
    class_names : sequence of str, optional
    ax : Axes or empty Figure, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        With the name of the argument that does not fit.
    """
    counts, names = _counted(y_true, y_pred, class_names)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax = axes_or_new(ax, 5.6, 5.2)
    ax.imshow(shares, **IMAGE, cmap="Blues", vmin=0, vmax=1)
    size = min(8.0, 80 / len(names))
    for row, column in np.argwhere(counts):
        dark = shares[row, column] > 0.5
        ax.text(
            column, row, str(counts[row, column]), ha="center", va="center", fontsize=size, color="w" if dark else "k"
        )
    ticks = np.arange(len(names))
    ax.set_xticks(
        ticks, names, rotation=45 if max(map(len, names)) > 2 else 0, ha=_slanted(names), rotation_mode="anchor"
    )
    ax.set_yticks(ticks, names)
    ax.set(title="Confusion matrix (images)", xlabel="predicted class", ylabel="true class")
    ax.tick_params(length=0)
    # White lines between the cells, and none of a style's through them.
    ax.grid(False)
    ax.set_xticks(ticks[1:] - 0.5, minor=True)
    ax.set_yticks(ticks[1:] - 0.5, minor=True)
    ax.grid(which="minor", color="0.85", linewidth=0.8)
    ax.tick_params(which="minor", length=0)
    return ax


def per_class_accuracy(
    y_true: Any,
    y_pred: Any,
    class_names: Sequence[str] | None = None,
    ax: Any = None,
    compared: Mapping[str, Sequence[float]] | None = None,
) -> Axes:
    """Draw the share of each class's images that were classified correctly (the class's recall).

    Parameters
    ----------
    y_true, y_pred, class_names, ax
        As for :func:`confusion_matrix`.
    compared : mapping of str to sequence of float, optional
        Accuracies of the classes from elsewhere by name, ``{"documented": [0.75, 0.96, ...]}``, marked beside the bars.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        With the name of the argument that does not fit.
    """
    counts, names = _counted(y_true, y_pred, class_names)
    accuracy = metrics.recall(counts)
    overall = float(counts.trace() / counts.sum())
    ax = axes_or_new(ax, 5.6, 3.6)
    rows = np.arange(len(names))
    ax.barh(rows, np.nan_to_num(accuracy), height=0.7, color=PALETTE[0])
    for row, value in zip(rows, accuracy, strict=True):
        text = "no images" if np.isnan(value) else f"{value:.3f}"
        ax.text(1.02, row, text, va="center", fontsize=8, transform=ax.get_yaxis_transform())
    if compared:
        _mark(ax, compared, rows)
    ax.axvline(overall, color=GREY, linestyle="--", linewidth=1)
    ax.set_yticks(rows, names)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    ax.set_xlim(0, 1)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set(title="Accuracy by class", xlabel=f"share correct (dashed: all images, {overall:.4f})", ylabel="true class")
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax


def _mark(ax: Axes, compared: Mapping[str, Sequence[float]], rows: Array) -> None:
    """Hollow marks at the accuracies of others, and a legend that leaves the bars free."""
    ax.patches[0].set_label("here")
    for (name, values), marker in zip(compared.items(), "Dos^v<>", strict=False):
        accuracies = np.asarray(values, dtype=np.float64)
        if accuracies.shape != rows.shape:
            raise ValueError(
                f"compared[{name!r}] must hold {len(rows)} accuracies, one for each class; got {shown(values)}"
            )
        [marks] = ax.plot(accuracies, rows, marker, color=PALETTE[1], label=name, clip_on=False)
        marks.set(markerfacecolor="w", markeredgewidth=1.5, markersize=6)
    ax.legend(
        frameon=False, fontsize=8, ncols=1 + len(compared), loc="upper left", bbox_to_anchor=(0, -0.17), borderaxespad=0
    )


def _counted(y_true: Any, y_pred: Any, class_names: Sequence[str] | None) -> tuple[Array, list[str]]:
    """The confusion matrix, with a row and a column for each name, and the names."""
    counts = metrics.confusion_matrix(y_true, y_pred)
    names = names_of(class_names, len(counts))
    return np.pad(counts, (0, len(names) - len(counts))), names


def _slanted(names: Sequence[str]) -> str:
    """Slanted labels end at their tick; short ones stand centred under it."""
    return "right" if max(map(len, names)) > 2 else "center"
