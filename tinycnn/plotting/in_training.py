"""Pictures of what layers do in training alone: dropout's mask, the batch's statistics, and units that are dead."""

import math
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from ..core.checks import scalar
from ..core.types import Array
from ..inspection.trace import LayerTrace
from ..layers import BatchNormalization, Dropout
from ._checks import GREY, IMAGE, PALETTE, RED, Narrowed, axes_or_new, legend_beside, panels_of, place, points, shown
from ._inside import traced, traced_layer
from ._sheet import CHARACTER

#: The largest number of dead units of a layer that are named; the others are marked too, and counted.
_NAMED = 10


def dropout_mask(
    trace_or_model: Any,
    x: Any = None,
    layer: Any = None,
    image: int = 0,
    channel: int = 0,
    ax: Any = None,
    figsize: Any = None,
) -> Array:
    """Draw what a Dropout is given for an image in training, which numbers it keeps, and what it returns.

    A number that is kept is multiplied by ``1 / (1 - rate)``; the others become 0 and are marked ×. The mask is the one
    that the next training step uses. Numbers that are not an image are drawn as a square, row by row.

    Parameters
    ----------
    trace_or_model : Trace or Sequential
        The result of ``model.trace(x)``; or a model, which is traced now.
    x : array, optional
        If a model is given, a batch as ``fit`` takes it.
    layer : str, int or Layer, optional
        The name or number of a Dropout, or the layer itself; by default the first one.
    image : int
        The number of the image within the batch.
    channel : int
        If the layer is given images, the channel to draw.
    ax : Axes, sequence of three Axes, or Figure, optional
        Single Axes are divided. An empty Figure gets new Axes, like a new figure.
    figsize : (float, float), optional
        The size of a new figure in inches. By default it is your ``rcParams["figure.figsize"]`` if you have changed
        that, and otherwise what the picture needs.

    Returns
    -------
    (3,) array of Axes

    Raises
    ------
    ValueError
        If an argument is not valid; the message names it.
    """
    entry = traced_layer(traced(trace_or_model, x), layer, (Dropout,), "a Dropout")
    if entry.mask is None:
        raise ValueError(f"layer must drop numbers as tinycnn's Dropout does; {entry.layer.label} does not")
    image = _number(image, len(entry.x), "image")
    if entry.x.ndim == 4:
        channel = _number(channel, entry.x.shape[-1], "channel")
    given, kept, result = (_picture(array[image], channel) for array in (entry.x, entry.mask, entry.y))
    panels = panels_of(place(ax, figsize), 3, 3.0, 3.6)
    numbers = np.concatenate([array[np.isfinite(array)] for array in (given, result)])
    limits = {"vmin": min(float(numbers.min()), 0.0), "vmax": float(numbers.max()) or 1.0}
    panels[0].imshow(given, **IMAGE, cmap="viridis", **limits)
    panels[1].imshow(kept, **IMAGE, cmap="gray", vmin=0, vmax=1)
    panels[2].imshow(result, **IMAGE, cmap="viridis", **limits)
    dropped = np.argwhere(kept == 0)
    side = 72 * 2.4 / max(kept.shape)
    panels[1].scatter(
        dropped[:, 1], dropped[:, 0], s=(side / 3) ** 2, marker="x", color="w", linewidths=min(1.2, side / 8)
    )
    for panel in panels:
        panel.grid(False)
        panel.set_xticks([])
        panel.set_yticks([])
    rate = entry.layer.rate  # type: ignore[attr-defined]
    where = f", channel {channel}" if entry.x.ndim == 4 else ""
    panels[0].set_title(f"{entry.name}{where}:\nwhat it is given", fontsize=points(9))
    there = int(np.isfinite(kept).sum())
    panels[1].set_title(f"mask, rate {rate:g}:\n{len(dropped)} of {there} set to 0 (×)", fontsize=points(9))
    panels[2].set_title(f"result:\nthe others × {1 / (1 - rate):.3g}", fontsize=points(9))
    return panels


def batch_statistics(
    trace_or_model: Any, x: Any = None, layer: Any = None, ax: Any = None, figsize: Any = None
) -> Array:
    """Draw the statistics of a batch beside the moving statistics of a BatchNormalization, channel by channel.

    Training normalises by the mean and standard deviation of the batch; inference uses the moving ones. If the two are
    far apart, as in the first epochs or for a batch that is unlike the others, the network predicts differently from
    what it does in training.

    Parameters
    ----------
    trace_or_model : Trace or Sequential
        The result of ``model.trace(x)``; or a model, which is traced now.
    x : array, optional
        If a model is given, a batch as ``fit`` takes it.
    layer : str, int or Layer, optional
        The name or number of a BatchNormalization, or the layer itself; by default the first one.
    ax : Axes, sequence of two Axes, or Figure, optional
        Single Axes are divided. An empty Figure gets new Axes, like a new figure.
    figsize : (float, float), optional
        The size of a new figure in inches. By default it is your ``rcParams["figure.figsize"]`` if you have changed
        that, and otherwise what the picture needs.

    Returns
    -------
    (2,) array of Axes
        A panel for the means and one for the standard deviations.

    Raises
    ------
    ValueError
        If an argument is not valid; the message names it.
    """
    entry = traced_layer(traced(trace_or_model, x), layer, (BatchNormalization,), "a BatchNormalization")
    axes = tuple(range(entry.x.ndim - 1))
    given = entry.x.astype(np.float64)
    batch = given.mean(axis=axes), given.std(axis=axes)
    moving = entry.buffers["moving_mean"], np.sqrt(entry.buffers["moving_variance"].astype(np.float64))
    panels = panels_of(place(ax, figsize), 2, 4, 3.4)
    channels = np.arange(entry.x.shape[-1])
    for panel, one, other, what in zip(panels, batch, moving, ("mean", "standard deviation"), strict=True):
        panel.vlines(channels, one, other, color=GREY, linewidth=1, zorder=1)
        panel.plot(channels, one, "o", color=PALETTE[0], label="batch (training)")
        panel.plot(channels, other, "D", color=PALETTE[1], fillstyle="none", label="moving (inference)")
        panel.set(title=f"{what} of the input", xlabel=f"channel of {entry.name}")
        panel.title.set_fontsize(points(10))
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    legend_beside(panels[-1])
    return panels


def dead_units(trace_or_model: Any, x: Any = None, ax: Any = None, figsize: Any = None) -> Axes:
    """Draw for each unit how many of its results are 0, and name the units that are dead.

    A unit is a channel of an image, or a single number of a dense layer. It is dead if its activation gives 0
    everywhere for every image of the batch: no gradient passes through it then. Layers whose activation cannot be dead
    (linear, softmax) are left out. ``print(trace)`` names dead units as well, and ``trace["conv2d"].dead`` returns
    them.

    Parameters
    ----------
    trace_or_model : Trace or Sequential
        The result of ``model.trace(x)``; or a model, which is traced now.
    x : array, optional
        If a model is given, a batch as ``fit`` takes it. A unit can only be called dead for good if many images agree.
    ax : Axes or empty Figure, optional
    figsize : (float, float), optional
        The size of a new figure in inches. By default it is your ``rcParams["figure.figsize"]`` if you have changed
        that, and otherwise what the picture needs.

    Returns
    -------
    Axes
        ``ax.images[0].get_array()`` holds the shares of zeros, with a row for each layer.

    Raises
    ------
    ValueError
        If an argument is not valid; the message names it.
    """
    entries = [entry for entry in traced(trace_or_model, x) if entry.can_be_dead]
    if not entries:
        raise ValueError("trace_or_model must have a layer with an activation such as relu; it has none")
    units = [entry.y.shape[-1] for entry in entries]
    shares = np.full((len(entries), max(units)), np.nan)
    for row, entry in enumerate(entries):
        shares[row, : units[row]] = (entry.y == 0).mean(axis=tuple(range(entry.y.ndim - 1)))
    ax = axes_or_new(place(ax, figsize), 7.2, 1.7 + 0.45 * len(entries))
    drawn = ax.imshow(shares, **IMAGE, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.grid(False)
    dead = np.array([(row, unit) for row, entry in enumerate(entries) for unit in entry.dead]).reshape(-1, 2)
    ax.scatter(dead[:, 1], dead[:, 0], marker="x", color="w", s=mpl.rcParams["lines.markersize"] ** 2, zorder=3)
    texts = [_named(entry) for entry in entries]
    for row, text in enumerate(texts):
        colour = RED if entries[row].dead else mpl.rcParams["text.color"]
        ax.text(1.01, row, text, va="center", fontsize=points(8), color=colour, transform=ax.get_yaxis_transform())
    longest = max(len(line) for text in texts for line in text.split("\n"))
    Narrowed(ax, right=lambda _: longest * points(8) * CHARACTER * ax.figure.dpi)
    ax.set_yticks(np.arange(len(entries)), [entry.name for entry in entries], fontsize=points(8))
    ax.xaxis.get_major_locator().set_params(integer=True)
    count = sum(len(entry.dead) for entry in entries)
    ax.set(title=f"{count} dead of {sum(units)} units (×), {len(entries[0].y)} images", xlabel="unit")
    bar = ax.figure.colorbar(drawn, ax=ax, orientation="horizontal", shrink=0.5, aspect=30)
    bar.set_label("share of results that are 0", fontsize=points(8))
    bar.ax.tick_params(labelsize=points(8))
    return ax


def _named(entry: LayerTrace) -> str:
    """Return which units of a layer are dead, in words."""
    if not entry.dead:
        return "none dead"
    named = [", ".join(map(str, entry.dead[start : start + 5])) for start in range(0, min(len(entry.dead), _NAMED), 5)]
    more = f"\nand {len(entry.dead) - _NAMED} more" if len(entry.dead) > _NAMED else ""
    return "dead: " + ",\n".join(named) + more


def _picture(array: Array, channel: int) -> Array:
    """Return a channel of an image (H, W, C), or a row of numbers as a square in which NaN stands where it has none."""
    if array.ndim == 3:
        return array[..., channel].astype(np.float64)
    numbers = array.ravel()
    side = math.ceil(math.sqrt(len(numbers)))
    square = np.full(side * -(-len(numbers) // side), np.nan)
    square[: len(numbers)] = numbers
    return square.reshape(-1, side)


def _number(value: Any, count: int, name: str) -> int:
    """Return a number from 0 to ``count - 1``, or raise ValueError."""
    value = scalar(value)
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < count:
        raise ValueError(f"{name} must be a number from 0 to {count - 1}; got {shown(value)}")
    return int(value)
