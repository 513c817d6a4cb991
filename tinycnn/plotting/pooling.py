"""A picture of which pixels win a max-pooling."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ..core.checks import scalar
from ..core.types import Array
from ..inspection.copies import copy_of, run
from ..kernels.geometry import Window
from ..layers import GlobalMaxPooling2D, MaxPooling2D
from ..layers.pool import MaxPoolCache
from ..sequential import Sequential
from ._checks import IMAGE, PALETTE, inches_of, panels_of, place, points, shown
from ._inside import check_model, layer_index, one_image
from ._sheet import CHARACTER

#: The size in points below which a number is not legible, and the largest size of numbers.
_SMALLEST, _LARGEST = 5.0, 9.0
_WINNER = PALETTE[1]


def pooling_winners(
    model: Any, image: Any, layer: Any = None, channel: int = 0, ax: Any = None, figsize: Any = None
) -> Array:
    """Draw what a max-pooling is given, with its windows and the pixel that wins each, and beside it the result.

    The network runs as in inference. The winners are those that the layer itself keeps for its backward pass, which
    sends the gradient to them alone; if several pixels of a window are equally large, it is the first one. A pixel can
    win several windows if they overlap.

    Parameters
    ----------
    model : Sequential
    image : (H, W, C), (1, H, W, C) or, with one channel, (H, W) array
        One image as the model takes it.
    layer : str, int or Layer, optional
        The name or number of a MaxPooling2D or GlobalMaxPooling2D, or the layer itself; by default the first of these.
    channel : int
        The channel to draw.
    ax : Axes, sequence of two Axes, or Figure, optional
        Single Axes are divided. An empty Figure gets new Axes, like a new figure.
    figsize : (float, float), optional
        The size of a new figure in inches. By default it is your ``rcParams["figure.figsize"]`` if you have changed
        that, and otherwise what the picture needs.

    Returns
    -------
    (2,) array of Axes
        The Axes of what the layer is given, with the winners as ``axes[0].collections[-1]``, and those of its result.

    Raises
    ------
    ValueError
        If an argument is not valid; the message names it.
    """
    model = check_model(model)
    x = one_image(model, image)
    chosen = _pooling(model, layer)
    index = model.layers.index(chosen)
    channels = chosen.built_input_shape[-1]
    channel = scalar(channel)
    if isinstance(channel, bool) or not isinstance(channel, int | np.integer) or not 0 <= channel < channels:
        raise ValueError(f"channel must be a number from 0 to {channels - 1}; got {shown(channel)}")
    steps = run([copy_of(one) for one in model.layers[: index + 1]], x)
    given, last = (steps[-2].y if index else x), steps[-1]
    if not isinstance(last.cache, MaxPoolCache) or not isinstance(last.layer.window, Window):
        raise ValueError(f"layer must keep which pixels won, as tinycnn's own do; {chosen.label} does not")
    before, after = given[0, :, :, channel], chosen.as_images(last.y)[0, :, :, channel]
    if not np.isfinite(before).all():
        raise ValueError("model must give finite numbers, but gives NaN or infinity for this image")
    window = last.layer.window
    rows, columns = winners(window, last.cache.argmax[0, :, :, channel])

    panels = panels_of(place(ax, figsize), 2, 4.2, 4.4)
    style = {"cmap": "viridis", "vmin": min(float(before.min()), 0.0), "vmax": float(before.max()) or 1.0}
    for panel, picture in zip(panels, (before, after), strict=True):
        drawn = panel.imshow(picture, **IMAGE, **style)
        panel.grid(False)
        panel.set_xticks([])
        panel.set_yticks([])
        _numbers(panel, picture, drawn)
    _frames(panels[0], window, after.shape)
    cell = min(inches_of(panels[0])) / max(before.shape) * 72
    ring = {"facecolors": "none", "edgecolors": _WINNER, "linewidths": min(2, cell / 5)}
    panels[0].scatter(columns, rows, s=(0.8 * cell) ** 2, marker="o", **ring)
    size = "×".join(map(str, window.size))
    panels[0].set_title(f"{chosen.name}, channel {channel}:\nwinners of {size} windows (circles)", fontsize=points(10))
    panels[1].set_title(f"result,\n{after.shape[0]}×{after.shape[1]}", fontsize=points(10))
    return panels


def _pooling(model: Sequential, layer: Any) -> Any:
    """Return the layer to draw."""
    kinds = (MaxPooling2D, GlobalMaxPooling2D)
    if layer is None:
        first = next((one for one in model.layers if isinstance(one, kinds)), None)
        if first is None:
            raise ValueError(f"layer must be a max-pooling, and {model.name} has none")
        return first
    chosen = model.layers[layer_index(model, layer)]
    if not isinstance(chosen, kinds):
        raise ValueError(f"layer must be a MaxPooling2D or GlobalMaxPooling2D; {chosen.label} has no winners")
    return chosen


def winners(window: Window, argmax: Array) -> tuple[Array, Array]:
    """Return the row and column of each window's winner, for the taps (OH, OW) that won."""
    top, _, left, _ = window.pads
    places = np.indices(argmax.shape)
    rows = places[0] * window.strides[0] + argmax // window.size[1] - top
    columns = places[1] * window.strides[1] + argmax % window.size[1] - left
    return rows.ravel(), columns.ravel()


def _frames(ax: Axes, window: Window, count: tuple[int, ...]) -> None:
    """Draw the frames of all windows; those that overlap share their lines."""
    top, _, left, _ = window.pads
    for row, column in np.ndindex(*count):
        y, x = row * window.strides[0] - top - 0.5, column * window.strides[1] - left - 0.5
        bottom, right = y + window.size[0], x + window.size[1]
        ax.plot([x, right, right, x, x], [y, y, bottom, bottom, y], color="w", linewidth=1)


def _numbers(ax: Axes, picture: Array, drawn: Any) -> None:
    """Write the numbers into the pixels, if there is room for them."""
    text = [f"{value:.2g}" for value in picture.ravel().tolist()]
    cell = min(inches_of(ax)) / max(picture.shape)
    size = min(points(_LARGEST), cell / ((max(map(len, text)) + 1) * CHARACTER))
    for (row, column), number in zip(np.ndindex(*picture.shape), text, strict=True) if size >= _SMALLEST else []:
        red, green, blue, _ = drawn.to_rgba(picture[row, column])
        dark = 0.299 * red + 0.587 * green + 0.114 * blue <= 0.5
        ax.text(column, row, number, ha="center", va="center", fontsize=size, color="w" if dark else "k")
