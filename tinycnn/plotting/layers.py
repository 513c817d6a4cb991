"""What a layer is and does: a convolution's filters, and the images that it makes of an image."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ..core.types import Array
from ..layers import Conv2D, DepthwiseConv2D, Layer
from ..sequential import Sequential
from ._checks import shown, whole_count
from ._inside import check_model, copy_of, layer_index, one_image, run
from ._sheet import BAR, CHARACTER, LINE, Sheet

#: Blue to red through white: told apart in every common kind of colour blindness (ColorBrewer's RdBu).
_DIVERGING = "RdBu_r"
_SEQUENTIAL = "viridis"
_SMALL = 7  # points


def filters(
    model_or_layer: Any, layer: Any = None, count: int | None = None, channels: int | None = None, ax: Any = None
) -> Axes:
    """Draw a convolution's filters as small images.

    On images of three channels, not in groups, a filter is drawn in colours, where grey stands for zero. Otherwise its
    weights are blue below and red above zero, white at it; filters over more than one channel are columns, with a row
    for each channel that they look at.

    Parameters
    ----------
    model_or_layer : Sequential or Conv2D or DepthwiseConv2D
    layer : str, int or Layer, optional
        Of a model: the layer's name, number, or itself; by default its first convolution.
    count : int, optional
        Filters at most, from the first; 64, or 16 where they are columns.
    channels : int, optional
        Rows at most; 8.
    ax : Axes or empty Figure, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        With the name of the argument that does not fit.
    """
    chosen = _convolution(model_or_layer, layer)
    weights = chosen.backend.to_numpy(chosen.params["kernel"].value)
    # Keras's shape of a depthwise kernel, (KH, KW, C, M), holds the same numbers in the same order.
    weights = weights.reshape(*chosen.kernel_size, -1, chosen.built_output_shape[-1])
    if not np.isfinite(weights).all():
        raise ValueError(f"layer {chosen.name!r} holds NaN or infinity")
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
        ax = _numbered(pictures[:, 0], what, ax, "weight", cmap=_DIVERGING, vmin=-largest, vmax=largest)
    else:
        whose = " of each group" if groups > 1 else ""
        title = f"{what} (columns), over {_some(rows, C, 'channel')}{whose} (rows)"
        ax = _table(pictures[:, :rows], title, ax, largest)
    return ax


def feature_maps(model: Any, image: Any, layer: Any = None, count: int = 64, ax: Any = None) -> Axes:
    """Draw what a layer makes of an image: each channel of its result.

    As in inference: without dropout, batch normalisation by its moving statistics. All channels share one scale of
    colours. Zero is dark, and white where some result is negative; a channel of nothing else is dead for this image.

    Parameters
    ----------
    model : Sequential
    image : (H, W, C), (1, H, W, C) or, with one channel, (H, W) array
        One image as the model takes it.
    layer : str, int or Layer, optional
        The layer's name, number, or itself; by default the model's first convolution.
    count : int
        Channels at most, from the first.
    ax : Axes or empty Figure, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        With the name of the argument that does not fit.
    """
    model = check_model(model)
    x = one_image(model, image)
    index = model.layers.index(_first_convolution(model)) if layer is None else layer_index(model, layer)
    chosen, shape = model.layers[index], model.layers[index].built_output_shape
    if len(shape) != 3:
        raise ValueError(f"layer must be one whose result is an image (H, W, C); that of {chosen.name!r} is {shape}")
    result = run([copy_of(one) for one in model.layers[: index + 1]], x)[-1].y[0]
    OH, OW, C = shape
    shown = min(C, whole_count(count))
    maps = result.transpose(2, 0, 1)[:shown].astype(np.float64)
    if not np.isfinite(maps).all():
        raise ValueError(f"layer {chosen.name!r} gives NaN or infinity for this image")
    low, high = float(maps.min()), float(maps.max())
    # Signed results get the colours that have a middle, with zero in it.
    largest = max(-low, high) or 1.0
    style = {"cmap": _DIVERGING, "vmin": -largest, "vmax": largest} if low < 0 else {"cmap": _SEQUENTIAL, "vmin": 0}
    title = f"{chosen.name}: {_some(shown, C, 'channel')}, {OH}×{OW} pixels"
    return _numbered(maps, title, ax, "value of the result", **{"vmax": largest, **style})


def _convolution(model_or_layer: Any, layer: Any) -> Any:
    kinds = (Conv2D, DepthwiseConv2D)
    if isinstance(model_or_layer, Sequential):
        model = check_model(model_or_layer, "model_or_layer")
        chosen: Layer = _first_convolution(model) if layer is None else model.layers[layer_index(model, layer)]
        if not isinstance(chosen, kinds):
            raise ValueError(f"layer must be a convolution, which has filters; {chosen.label} has none")
        return chosen
    if not isinstance(model_or_layer, kinds) or not model_or_layer.built:
        raise ValueError(
            "model_or_layer must be a Sequential, or a Conv2D or DepthwiseConv2D that is built; "
            f"got {shown(model_or_layer)}"
        )
    if layer is not None:
        raise ValueError(f"layer is for models; {model_or_layer.label} is a layer already")
    return model_or_layer


def _first_convolution(model: Sequential) -> Layer:
    for layer in model.layers:
        if isinstance(layer, Conv2D | DepthwiseConv2D):
            return layer
    raise ValueError(f"layer must be given: {model.name} has no convolution")


def _some(shown: int, there: int, what: str) -> str:
    """How many there are, and whether these are all."""
    if shown < there:
        return f"first {shown} of {there} {what}s"
    return f"{there} {what}" + ("s" if there > 1 else "")


def _numbered(pictures: Array, title: str, ax: Any, unit: str | None = None, **style: Any) -> Axes:
    """Images row by row, each with its number below; a bar of colours where the images hold numbers of a unit."""
    count = len(pictures)
    fewest = 8 if count <= 32 else 16
    columns = min(count, fewest)
    pictures = _magnified(pictures)
    sheet = Sheet.of(
        pictures, -(-count // columns), columns, below=_SMALL * LINE, foot=BAR if unit else 0, fewest=fewest, ax=ax
    )
    positions = [divmod(number, columns) for number in range(count)]
    ax = sheet.draw(pictures, positions, ax, **style)
    for number, (row, column) in enumerate(positions):
        left, top = sheet.corner(row, column)
        x, y = left + sheet.width / 2, top + 1.02 * sheet.height
        ax.text(x, y, str(number), ha="center", va="top", fontsize=_SMALL)
        _frame(ax, left, top, sheet)
    if unit:
        sheet.colour_bar(ax, unit)
    sheet.title(ax, title, fontsize=10)
    return ax


def _table(pictures: Array, title: str, ax: Any, largest: float) -> Axes:
    """Images (F, C, KH, KW): a column for each filter, a row for each channel."""
    F, C, KH, KW = pictures.shape
    left = (len(str(C - 1)) + 1) * _SMALL * CHARACTER
    images = _magnified(pictures.reshape(F * C, KH, KW))
    sheet = Sheet.of(images, C, F, left=left, foot=BAR + _SMALL * LINE, fewest=16, ax=ax)
    positions = [(row, column) for column in range(F) for row in range(C)]
    ax = sheet.draw(images, positions, ax, cmap=_DIVERGING, vmin=-largest, vmax=largest)
    for row, column in positions:
        _frame(ax, *sheet.corner(row, column), sheet)
    for row in range(C):
        y = sheet.corner(row, 0)[1] + sheet.height / 2
        ax.text(-0.3 * sheet.left, y, str(row), ha="right", va="center", fontsize=_SMALL)
    for column in range(F):
        x = sheet.corner(0, column)[0] + sheet.width / 2
        ax.text(x, sheet.corner(C - 1, 0)[1] + 1.08 * sheet.height, str(column), ha="center", va="top", fontsize=_SMALL)
    sheet.colour_bar(ax, "weight")
    sheet.title(ax, title, fontsize=10)
    return ax


def _magnified(pictures: Array) -> Array:
    """Each pixel as several where there are few, because the gaps between images are whole pixels."""
    times = -(-24 // pictures.shape[2])
    return pictures.repeat(times, axis=1).repeat(times, axis=2)


def _frame(ax: Axes, left: int, top: int, sheet: Sheet) -> None:
    """A thin line around an image, because white is a value."""
    right, bottom = left + sheet.width, top + sheet.height
    x, y = [left, right, right, left, left], [top, top, bottom, bottom, top]
    ax.plot(x, y, color="0.75", linewidth=0.5, clip_on=False)
