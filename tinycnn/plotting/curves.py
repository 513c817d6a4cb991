"""Pictures of loss and accuracy, epoch by epoch."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ..core.types import Array
from ._checks import PALETTE, legend_beside, panels_of, place, shown

_TITLES = {"loss": ("Loss", "mean loss per image"), "accuracy": ("Accuracy", "share of images correct")}
_MARKERS = "os^Dv<>P*"
#: The lines of a run: the prefix of its key, its name, and how it is drawn.
_STYLES: dict[str, tuple[str, dict[str, Any]]] = {
    "": ("train", {"linestyle": "--", "fillstyle": "none"}),
    "val_": ("validation", {"linestyle": "-"}),
}


def history(history: Any, ax: Any = None, figsize: Any = None) -> Array:
    """Draw loss and accuracy, training against validation.

    Parameters
    ----------
    history : History, mapping, or mapping of named runs
        The result of ``fit``; or its ``history``, ``{"loss": [...], "val_loss": [...], ...}``; or several of either, by
        name, to compare: ``{"ladder_00": ..., "ladder_01": ...}``.
    ax : Axes, sequence of Axes, or Figure, optional
        Axes for each panel, or single Axes, which are divided. An empty Figure gets new Axes, like a new figure.
    figsize : (float, float), optional
        The size of a new figure in inches. By default it is your ``rcParams["figure.figsize"]`` if you have changed
        that, and otherwise what the picture needs.

    Returns
    -------
    (P,) array of Axes
        A panel for the loss and a panel for the accuracy, as far as they were logged.

    Raises
    ------
    ValueError
        If an argument is not valid; the message names it.
    """
    runs = _runs(history)
    keys = [key for key in _TITLES if any(key in run or f"val_{key}" in run for run in runs.values())]
    if not keys:
        raise ValueError("history must hold 'loss' or 'accuracy'; it holds neither. Was the model trained?")
    panels = panels_of(place(ax, figsize), len(keys))
    for panel, key in zip(panels, keys, strict=True):
        for number, (name, run) in enumerate(runs.items()):
            _draw(panel, key, run, name, number)
        title, unit = _TITLES[key]
        panel.set(title=title, xlabel="epoch", ylabel=unit)
        panel.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    _legend(panels, runs)
    return panels


def _draw(panel: Axes, key: str, run: dict[str, Array], name: str, number: int) -> None:
    """Draw the lines of a run into a panel; a run without a name is the only one."""
    drawn = {prefix: run[prefix + key] for prefix in _STYLES if prefix + key in run}
    for line, (prefix, values) in enumerate(drawn.items()):
        part, style = _STYLES[prefix]
        # With one run, the colours distinguish training and validation; with several runs, they distinguish the runs.
        look = number if name else line
        named = name if prefix == list(drawn)[-1] else "_"
        panel.plot(
            run["epoch"],
            values,
            color=PALETTE[look % len(PALETTE)],
            marker=_MARKERS[look % len(_MARKERS)],
            markersize=mpl.rcParams["lines.markersize"] * 2 / 3,
            label=named if name else part,
            **style,
        )


def _legend(panels: Array, runs: dict[str, Any]) -> None:
    """Draw one legend for all panels beside them, so that it hides no curve."""
    if "" in runs:
        legend_beside(panels[-1])
        return
    both = {prefix for run in runs.values() for prefix in _STYLES for key in _TITLES if prefix + key in run}
    legend_beside(panels[-1], "filled: validation\nhollow: train" if len(both) == 2 else None)


def _runs(history: Any) -> dict[str, dict[str, Array]]:
    """Return the runs by name; a single run has the name "". Each run has its epochs, counted from 1, as "epoch"."""
    history = _columns(history)
    if not isinstance(history, Mapping) or not history:
        raise ValueError(f"history must be the result of fit, or a mapping of several by name; got {shown(history)}")
    inner = [_columns(value) for value in history.values()]
    if any(isinstance(value, Mapping) for value in inner):
        return {str(name): _run(run, f"history[{name!r}]") for name, run in zip(history, inner, strict=True)}
    return {"": _run(history, "history")}


def _columns(run: Any) -> Any:
    """Return the lists of a result of ``fit``, with its epochs; return anything else unchanged."""
    columns = getattr(run, "history", None)
    if not isinstance(columns, Mapping):
        return run
    return {"epoch": run.epoch, **columns} if hasattr(run, "epoch") else columns


def _run(run: Any, name: str) -> dict[str, Array]:
    """Return the lists of a run that are drawn, as arrays; its other lists may hold anything."""
    if not isinstance(run, Mapping):
        raise ValueError(f"{name} must be a history, a mapping with lists such as 'loss'; got {shown(run)}")
    drawn = [prefix + key for key in _TITLES for prefix in _STYLES]
    values = {key: _numbers(run[key], f"{name}[{key!r}]") for key in [*drawn, "epoch"] if key in run}
    lengths = {key: len(column) for key, column in values.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{name} must hold lists of the same length, a number for each epoch; got {shown(lengths)}")
    length = max(lengths.values(), default=0)
    values["epoch"] = values.get("epoch", np.arange(length, dtype=np.float64)) + 1
    return values


def _numbers(column: Any, name: str) -> Array:
    """Return a list of numbers as an array of float64."""
    try:
        array = np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a list of numbers: {error}") from error
    if array.ndim != 1:
        raise ValueError(f"{name} must be a list with a number for each epoch; got {shown(column)}")
    return array
