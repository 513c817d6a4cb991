"""Pictures of what a layer is and does: the filters of a convolution, and its results for an image."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from ..core.types import Array
from ..inspection.copies import copy_of, run
from ..layers import Conv2D, DepthwiseConv2D, Layer
from ..sequential import Sequential
from ._checks import RED, place, points, shown, whole_count
from ._inside import check_model, layer_index, one_image
from ._sheet import BAR, CHARACTER, DIVERGING, LINE, Sheet

_SEQUENTIAL = "viridis"
_SMALL = 7  # points


def filters(
    model_or_layer: Any,
    layer: Any = None,
    count: int | None = None,
    channels: int | None = None,
    ax: Any = None,
    figsize: Any = None,
) -> Axes:
    """Draw a convolution's filters as small images.

    A filter that looks at three channels, and is not in groups, is drawn in colours, in which grey stands for zero. The
    weights of other filters are blue below zero, white at zero and red above it. Filters over more than one channel are
    columns, with a row for each channel that they look at.

    Parameters
    ----------
    model_or_layer : Sequential or Conv2D or DepthwiseConv2D
    layer : str, int or Layer, optional
        If a model is given, the layer's name or number, or the layer itself; by default the first convolution.
    count : int, optional
        The largest number of filters, counted from the first; by default 64, or 16 if the filters are columns.
    channels : int, optional
        The largest number of rows; by default 8.
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
    ax = place(ax, figsize)
    chosen = _convolution(model_or_layer, layer)
    weights = chosen.backend.to_numpy(chosen.params["kernel"].value)
    # A depthwise kernel has Keras's shape (KH, KW, C, M), which holds the same numbers in the same order.
    weights = weights.reshape(*chosen.kernel_size, -1, chosen.built_output_shape[-1])
    if not np.isfinite(weights).all():
        raise ValueError(f"layer {chosen.name!r} must have finite weights; it holds NaN or infinity")
    KH, KW, C, F = weights.shape
    groups = chosen.built_input_shape[-1] // C
    largest = float(np.abs(weights).max()) or 1.0
    coloured = C == 3 and groups == 1
    rows = 1 if coloured else min(C, whole_count(8 if channels is None else channels, "channels"))
    shown = min(F, whole_count((16 if rows > 1 else 64) if count is None else count))
    what = f"{chosen.name}: {_some(shown, F, 'filter')}, {KH}×{KW}"
    pictures = weights.transpose(3, 2, 0, 1)[:shown]  # (F, C, KH, KW)
    if coloured:
        colours = 0.5 + 0.5 * pictures.transpose(0, 2, 3, 1) / largest
        ax = _numbered(colours, f"{what} RGB (grey: 0, range ±{largest:.2g})", ax)
    elif C == 1:
        ax = _numbered(pictures[:, 0], what, ax, "weight", cmap=DIVERGING, vmin=-largest, vmax=largest)
    else:
        whose = " of each group" if groups > 1 else ""
        title = f"{what} (columns), over {_some(rows, C, 'channel')}{whose} (rows)"
        ax = _table(pictures[:, :rows], title, ax, largest)
    return ax


def feature_maps(
    model: Any, image: Any, layer: Any = None, count: int = 64, ax: Any = None, figsize: Any = None
) -> Axes:
    """Draw the result of a layer for an image, channel by channel.

    The network runs as in inference, without dropout and with the moving statistics of batch normalisation. All
    channels share one colour scale. Zero is dark, or white if some results are negative. An all-zero channel is
    dead for this image; its number is red and marked ✗.

    Parameters
    ----------
    model : Sequential
    image : (H, W, C), (1, H, W, C) or, with one channel, (H, W) array
        One image as the model takes it.
    layer : str, int or Layer, optional
        The layer's name or number, or the layer itself; by default the model's first convolution.
    count : int
        The largest number of channels, counted from the first.
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
    ax = place(ax, figsize)
    model = check_model(model)
    x = one_image(model, image)
    index = model.layers.index(_first_convolution(model)) if layer is None else layer_index(model, layer)
    chosen, shape = model.layers[index], model.layers[index].built_output_shape
    if len(shape) != 3:
        raise ValueError(f"layer must have an image (H, W, C) as its result; the result of {chosen.name!r} is {shape}")
    result = run([copy_of(one) for one in model.layers[: index + 1]], x)[-1].y[0]
    OH, OW, C = shape
    shown = min(C, whole_count(count))
    maps = result.transpose(2, 0, 1)[:shown].astype(np.float64)
    if not np.isfinite(maps).all():
        raise ValueError(f"layer {chosen.name!r} must give finite numbers, but gives NaN or infinity for this image")
    low, high = float(maps.min()), float(maps.max())
    # Results with negative numbers get colours that diverge from a middle, which is zero.
    largest = max(-low, high) or 1.0
    style = {"cmap": DIVERGING, "vmin": -largest, "vmax": largest} if low < 0 else {"cmap": _SEQUENTIAL, "vmin": 0}
    dead = [number for number, one in enumerate(maps) if not one.any()]
    marked = f", {len(dead)} of them dead (red, ✗)" if dead else ""
    title = f"{chosen.name}: {_some(shown, C, 'channel')}, {OH}×{OW} pixels{marked}"
    return _numbered(maps, title, ax, "value of the result", dead, **{"vmax": largest, **style})


def _convolution(model_or_layer: Any, layer: Any) -> Any:
    """Return the convolution whose filters are to be drawn."""
    kinds = (Conv2D, DepthwiseConv2D)
    if isinstance(model_or_layer, Sequential):
        model = check_model(model_or_layer, "model_or_layer")
        chosen: Layer = _first_convolution(model) if layer is None else model.layers[layer_index(model, layer)]
        if not isinstance(chosen, kinds):
            raise ValueError(f"layer must be a convolution; {chosen.label} has no filters")
        return chosen
    if not isinstance(model_or_layer, kinds) or not model_or_layer.built:
        raise ValueError(
            f"model_or_layer must be a Sequential, or a built Conv2D or DepthwiseConv2D; got {shown(model_or_layer)}"
        )
    if layer is not None:
        raise ValueError(f"layer must be left out unless a model is given; {model_or_layer.label} is already a layer")
    return model_or_layer


def _first_convolution(model: Sequential) -> Layer:
    """Return the first convolution of a model."""
    for layer in model.layers:
        if isinstance(layer, Conv2D | DepthwiseConv2D):
            return layer
    raise ValueError(f"layer must be given, because {model.name} has no convolution")


def _some(shown: int, there: int, what: str) -> str:
    """Return in words how many are shown, and of how many if these are not all."""
    if shown < there:
        return f"first {shown} of {there} {what}s"
    return f"{there} {what}" + ("s" if there > 1 else "")


def _numbered(
    pictures: Array, title: str, ax: Any, unit: str | None = None, marked: Sequence[int] = (), **style: Any
) -> Axes:
    """Draw images row by row, each with its number below, and a colour bar if the images hold numbers of a unit.

    The numbers of images that are ``marked`` are red, with a ✗.
    """
    count = len(pictures)
    fewest = 8 if count <= 32 else 16
    columns = min(count, fewest)
    pictures = _magnified(pictures)
    sheet = Sheet.of(
        pictures,
        -(-count // columns),
        columns,
        below=points(_SMALL) * LINE,
        foot=points(BAR) if unit else 0,
        fewest=fewest,
        ax=ax,
    )
    positions = [divmod(number, columns) for number in range(count)]
    ax = sheet.draw(pictures, positions, ax, **style)
    for number, (row, column) in enumerate(positions):
        left, top = sheet.corner(row, column)
        x, y = left + sheet.width / 2, top + 1.02 * sheet.height
        text, colour = (f"✗ {number}", RED) if number in marked else (str(number), mpl.rcParams["text.color"])
        ax.text(x, y, text, ha="center", va="top", fontsize=points(_SMALL), color=colour)
        _frame(ax, left, top, sheet)
    if unit:
        sheet.colour_bar(ax, unit)
    sheet.title(ax, title, fontsize=points(10))
    return ax


def _table(pictures: Array, title: str, ax: Any, largest: float) -> Axes:
    """Draw images (F, C, KH, KW), with a column for each filter and a row for each channel."""
    F, C, KH, KW = pictures.shape
    left = (len(str(C - 1)) + 1) * points(_SMALL) * CHARACTER
    images = _magnified(pictures.reshape(F * C, KH, KW))
    sheet = Sheet.of(images, C, F, left=left, foot=points(BAR) + points(_SMALL) * LINE, fewest=16, ax=ax)
    positions = [(row, column) for column in range(F) for row in range(C)]
    ax = sheet.draw(images, positions, ax, cmap=DIVERGING, vmin=-largest, vmax=largest)
    for row, column in positions:
        _frame(ax, *sheet.corner(row, column), sheet)
    for row in range(C):
        y = sheet.corner(row, 0)[1] + sheet.height / 2
        ax.text(-0.3 * sheet.left, y, str(row), ha="right", va="center", fontsize=points(_SMALL))
    for column in range(F):
        x = sheet.corner(0, column)[0] + sheet.width / 2
        ax.text(
            x,
            sheet.corner(C - 1, 0)[1] + 1.08 * sheet.height,
            str(column),
            ha="center",
            va="top",
            fontsize=points(_SMALL),
        )
    sheet.colour_bar(ax, "weight")
    sheet.title(ax, title, fontsize=points(10))
    return ax


def _magnified(pictures: Array) -> Array:
    """Repeat the pixels of small images, because the gaps between images are whole pixels."""
    times = -(-24 // pictures.shape[2])
    return pictures.repeat(times, axis=1).repeat(times, axis=2)


def _frame(ax: Axes, left: int, top: int, sheet: Sheet) -> None:
    """Draw a thin line around an image, because white stands for a value."""
    right, bottom = left + sheet.width, top + sheet.height
    x, y = [left, right, right, left, left], [top, top, bottom, bottom, top]
    ax.plot(x, y, color="0.75", linewidth=0.5, clip_on=False)
