"""A picture of the pixels that an output of a layer sees, by geometry and as measured by the gradient."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from ..core.checks import scalar
from ..core.types import Array
from ..inspection.copies import copies_up_to_scores, gradient_by_input, run
from ..inspection.receptive_field import field_by_geometry, span
from ..layers import Layer
from ..sequential import Sequential
from ._checks import IMAGE, PALETTE, axes_or_new, place, points, shown
from ._inside import backdrop, check_model, image_shape, layer_index, one_image

_FRAME = PALETTE[1]


def receptive_field(
    model: Any,
    layer: Any,
    position: Any = None,
    image: Any = None,
    measured: bool = False,
    ax: Any = None,
    figsize: Any = None,
) -> Axes:
    """Draw which pixels of the input one output of a layer can depend on: its receptive field.

    The framed, bright part is the field by geometry, which follows from window sizes, strides, pads and dilations
    (Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", 2016). With ``measured``, the gradient of
    the output with respect to each pixel is drawn over it; the stronger it is, the more orange (Luo et al.,
    "Understanding the effective receptive field in deep convolutional neural networks", 2016). Outside the frame the
    gradient is zero, provided that your own layers declare what they see (``sees_everything``). Inside the frame it is
    zero where, for this image, a relu or a max-pooling lets nothing through.

    Parameters
    ----------
    model : Sequential
    layer : str, int or Layer
        The layer's name or number, or the layer itself.
    position : (row, column), (row, column, channel) or int, optional
        One of the layer's outputs. In an image, it is all channels at a place unless a channel is given; in a flat
        result, it is the output's number. By default it is the output in the middle.
    image : (H, W, C), (1, H, W, C) or, with one channel, (H, W) array, optional
        One image as the model takes it. Without an image the pixels are blank, and a gradient is measured on noise.
    measured : bool
        Whether to draw the gradient as well. The network runs as in inference. If no channel is given, the gradient is
        that of a random mix of the channels; if the network ends in softmax, it is that of the score before the
        softmax.
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
    model = check_model(model)
    H, W, _ = image_shape(model)
    index = layer_index(model, layer)
    chosen = model.layers[index]
    asked = _asked(chosen, position)
    field = field_by_geometry(model.layers[: index + 1], asked)
    x = None if image is None else one_image(model, image)
    measured = scalar(measured)
    if not isinstance(measured, bool | np.bool_):
        raise ValueError(f"measured must be True or False; got {shown(measured)}")
    gradient = field_by_gradient(model, index, asked, x) if measured else None
    ax = axes_or_new(place(ax, figsize), 4.8, 5.0)

    picture = np.full((H, W, 3), 0.75) if x is None else backdrop(x)
    # Outside the field the picture fades towards grey, so that both black and white fade.
    ax.imshow(np.where(field[..., None], picture, 0.25 * picture + 0.75 * 0.5 + 0.1), **IMAGE, extent=(0, W, H, 0))
    height, width = span(field)
    seen = f"sees {height}×{width} of {H}×{W} pixels"
    if gradient is not None:
        strongest = float(gradient.max()) or 1.0
        overlay = np.zeros((H, W, 4))
        # The square root is drawn, because the middle of a field can be a hundred times as strong as its rim.
        overlay[..., :3], overlay[..., 3] = _rgb(_FRAME), np.sqrt(gradient / strongest)
        ax.imshow(overlay, **IMAGE, extent=(0, W, H, 0))
        seen += f"\nby gradient {np.count_nonzero(gradient)} of these {np.count_nonzero(field)}"
    lines = LineCollection(_outline(field), colors=_FRAME, linewidths=2, capstyle="projecting", clip_on=False)
    ax.add_collection(lines)
    ax.set(title=f"{chosen.name}, {_where(chosen, asked)}\n{seen}", xlabel="column (pixels)", ylabel="row (pixels)")
    ax.title.set_fontsize(points(10))
    ax.grid(False)  # a style may have one
    ax.set_xlim(0, W)
    ax.set_ylim(H, 0)
    return ax


def field_by_gradient(model: Sequential, index: int, asked: tuple[Any, ...], x: Array | None) -> Array:
    """Return ``|gradient|`` (H, W) of these outputs of a layer for each pixel, the largest of the pixel's channels."""
    twins = copies_up_to_scores(model)[: index + 1]
    rng = np.random.default_rng(0)
    if x is None:
        x = rng.random((1, *model.input_shape)).astype(model.dtype)
    steps = run(twins, x)
    # Several outputs are mixed at random, because in their plain sum the gradients may cancel.
    dy = np.zeros((1, *model.layers[index].built_output_shape), model.dtype)
    one = np.ones_like(dy[0][asked])
    dy[0][asked] = one if one.size == 1 else rng.uniform(0.5, 1.5, one.shape)
    return np.abs(gradient_by_input(steps, dy)[0]).max(axis=-1).astype(np.float64)


def _asked(layer: Layer, position: Any) -> tuple[Any, ...]:
    """Return the position as an index into one result of a layer."""
    shape = layer.built_output_shape
    if position is None:
        return tuple(length // 2 for length in shape[: max(1, len(shape) - 1)])
    several = isinstance(position, tuple | list) or (isinstance(position, np.ndarray) and position.ndim == 1)
    numbers = position if several else (scalar(position),)
    wanted = (len(shape) - 1, len(shape)) if len(shape) > 1 else (1,)
    whole = [isinstance(number, int | np.integer) and not isinstance(number, bool) for number in numbers]
    if len(numbers) in wanted and all(whole):
        asked = tuple(int(number) for number in numbers)
        if all(0 <= number < length for number, length in zip(asked, shape, strict=False)):
            return asked
    form = "(row, column) or (row, column, channel)" if len(shape) == 3 else "a number"
    raise ValueError(f"position must be {form} within the result {shape} of {layer.name!r}; got {shown(position)}")


def _where(layer: Layer, asked: tuple[Any, ...]) -> str:
    """Return in words which output of a layer an index means."""
    if len(layer.built_output_shape) < 3:
        return "output " + ", ".join(map(str, asked))
    row, column, *channel = asked
    return f"row {row}, column {column}" + (f", channel {channel[0]}" if channel else "")


def _outline(field: Array) -> list[list[tuple[int, int]]]:
    """Return the lines between pixels inside the field and pixels outside it."""
    padded = np.pad(field, 1)
    across = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])
    down = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])
    return [[(c, r), (c + 1, r)] for r, c in across.tolist()] + [[(c, r), (c, r + 1)] for r, c in down.tolist()]


def _rgb(colour: str) -> list[float]:
    """Return a colour "#RRGGBB" as three numbers in [0, 1]."""
    return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
