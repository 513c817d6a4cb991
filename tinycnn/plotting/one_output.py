"""A picture of how one output value is computed: patch × kernel = products → sum → + bias → activation."""

import math
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from ..core.checks import scalar
from ..core.types import Array
from ..inspection.copies import copy_of, run
from ..kernels.geometry import Window
from ..kernels.reference.conv import im2col
from ..layers import Conv2D, Dense, DepthwiseConv2D, Flatten, Layer
from ..sequential import Sequential
from ._checks import IMAGE, axes_or_new, inches_of, place, points, shown, whole_count
from ._inside import check_model, layer_index, one_image
from ._sheet import CHARACTER, DIVERGING

#: Measures in inches: the width of a new picture, the largest side of a number's cell, the gaps between the matrices
#: and between channels, and the room for headings and for the lines below.
_WIDTH, _CELL, _ACROSS, _DOWN, _HEAD, _FOOT, _SUM = 8.0, 0.55, 0.4, 0.18, 0.55, 0.95, 0.85
#: The size in points below which a number is not legible.
_SMALLEST = 4.5


class _Terms(NamedTuple):
    """What one output is made of: patch and kernel (KH, KW, C), the bias, and the value before and after activation."""

    patch: Array
    kernel: Array
    channels: list[int]
    bias: float | None
    z: float
    y: float


def one_output(
    model: Any,
    image: Any,
    layer: Any = None,
    position: Any = None,
    channels: int | None = None,
    ax: Any = None,
    figsize: Any = None,
) -> Axes:
    """Draw how a layer computes one number: patch × kernel = products, their sum, plus the bias, then the activation.

    The network runs as in inference. All numbers are those of the layer: the patch is what it is given (zeros where the
    window reaches over the rim), the kernel is its kernel, and the last two numbers are its results before and after
    the activation. Each channel of the patch has a row; the sum is that of the products of all channels.

    Parameters
    ----------
    model : Sequential
    image : (H, W, C), (1, H, W, C) or, with one channel, (H, W) array
        One image as the model takes it.
    layer : str, int or Layer, optional
        The name or number of a Conv2D, DepthwiseConv2D or Dense, or the layer itself; by default the first of these.
    position : (row, column, filter) or int, optional
        Which output to draw; an int for a Dense. By default it is the largest result of the layer.
    channels : int, optional
        The largest number of channels to draw, counted from the first; by default 4.
    ax : Axes or empty Figure, optional
    figsize : (float, float), optional
        The size of a new figure in inches. By default it is your ``rcParams["figure.figsize"]`` if you have changed
        that, and otherwise what the picture needs.

    Returns
    -------
    Axes
        The first three of ``ax.images`` are patch, kernel and products of the first channel.

    Raises
    ------
    ValueError
        If an argument is not valid; the message names it.
    """
    ax = place(ax, figsize)
    model = check_model(model)
    x = one_image(model, image)
    chosen: Any = _weighted(model, layer)
    index = model.layers.index(chosen)
    most = whole_count(4 if channels is None else channels, "channels")
    steps = run([copy_of(one) for one in model.layers[: index + 1]], x)
    given = steps[-2].y if index else x
    result = steps[-1].y[0]
    if not np.isfinite(result).all() or not np.isfinite(given).all():
        raise ValueError("model must give finite numbers, but gives NaN or infinity for this image")
    asked = _asked(chosen, position, result)
    before = model.layers[index - 1] if index else None
    terms = _terms(steps[-1].layer, before, given, asked, result)
    title = f"{chosen.name}: how the output {_where(asked)} is computed"
    return _draw(terms, min(most, len(terms.channels)), _activation(chosen), title, ax)


def _weighted(model: Sequential, layer: Any) -> Any:
    """Return the layer to draw."""
    kinds = (Conv2D, DepthwiseConv2D, Dense)
    if layer is not None:
        chosen: Any = model.layers[layer_index(model, layer)]
    else:
        chosen = next((one for one in model.layers if isinstance(one, kinds)), None)
        if chosen is None:
            raise ValueError(f"layer must be given, because {model.name} has no convolution and no Dense layer")
    if not isinstance(chosen, kinds):
        raise ValueError(f"layer must be a Conv2D, a DepthwiseConv2D or a Dense; {chosen.label} has no kernel")
    if len(chosen.built_output_shape) not in (1, 3):
        raise ValueError(f"layer must give images or one row of numbers; {chosen.label} gives another shape")
    return chosen


def _asked(layer: Layer, position: Any, result: Array) -> tuple[int, ...]:
    """Return the position as an index into one result of a layer."""
    if position is None:
        return tuple(map(int, np.unravel_index(int(result.argmax()), result.shape)))
    several = isinstance(position, tuple | list) or (isinstance(position, np.ndarray) and position.ndim == 1)
    numbers = tuple(position) if several else (scalar(position),)
    whole = all(isinstance(number, int | np.integer) and not isinstance(number, bool) for number in numbers)
    if whole and len(numbers) == result.ndim:
        asked = tuple(map(int, numbers))
        if all(0 <= number < length for number, length in zip(asked, result.shape, strict=True)):
            return asked
    form = "(row, column, filter)" if result.ndim == 3 else "a number"
    raise ValueError(
        f"position must be {form} within the result {result.shape} of {layer.name!r}; got {shown(position)}"
    )


def _where(asked: tuple[int, ...]) -> str:
    """Return in words which output an index means."""
    if len(asked) == 1:
        return str(asked[0])
    return f"at row {asked[0]}, column {asked[1]} of filter {asked[2]}"


def _activation(layer: Any) -> str:
    """Return the name of a layer's activation."""
    described = layer.activation.describe()
    return str(described if isinstance(described, str) else type(layer.activation).__name__)


def _terms(layer: Any, before: Layer | None, given: Array, asked: tuple[int, ...], result: Array) -> _Terms:
    """Return what one output of a layer's copy is made of, in float64."""
    weights = layer.params["kernel"].value
    z, _ = layer.linear_forward(given, training=False, ws=None)
    bias = float(layer.params["bias"].value[asked[-1]]) if "bias" in layer.params else None
    if isinstance(layer.window, Window):
        # A depthwise kernel has Keras's shape (KH, KW, C, M), which holds the same numbers in the same order.
        weights = weights.reshape(*layer.window.size, -1, result.shape[-1])
        CG, F = weights.shape[2:]
        group = asked[-1] // (F // (given.shape[-1] // CG))
        channels = list(range(group * CG, (group + 1) * CG))
        patch = im2col(given, layer.window)[0, asked[0], asked[1]][..., channels]
        kernel = weights[..., asked[-1]]
    elif given.ndim == 2:
        patch, kernel = (_as_image(column, before) for column in (given[0], weights[:, asked[-1]]))
        channels = list(range(patch.shape[-1]))
    else:  # a Dense layer looks at the channels of one pixel
        patch = given[0, asked[0], asked[1]].reshape(1, -1, 1)
        kernel, channels = weights[:, asked[-1]].reshape(1, -1, 1), [0]
    return _Terms(
        patch.astype(np.float64), kernel.astype(np.float64), channels, bias, float(z[0][asked]), float(result[asked])
    )


def _as_image(column: Array, before: Layer | None) -> Array:
    """Return a row of numbers as the image (H, W, C) that it was before a Flatten, or else as a square of one channel.

    NaN stands where the square has no number.
    """
    if isinstance(before, Flatten) and len(before.built_input_shape) == 3:
        return column.reshape(before.built_input_shape)
    side = math.ceil(math.sqrt(len(column)))
    square = np.full(side * -(-len(column) // side), np.nan)
    square[: len(column)] = column
    return square.reshape(-1, side, 1)


def _draw(terms: _Terms, rows: int, activation: str, title: str, ax: Any) -> Axes:
    """Draw the matrices, channel by channel, and the sum below them. All positions are inches of a natural size."""
    KH, KW, C = terms.patch.shape
    cell = min(_CELL, (_WIDTH - 3 * _ACROSS - _SUM - 0.5) / (3 * KW), 6.0 / (KH * rows))
    wide, high = KW * cell, KH * cell
    step = wide + _ACROSS
    left = max(0.0, (_WIDTH - 3 * step - _SUM - 0.5) / 2) + 0.5
    total = _HEAD + rows * (high + _DOWN) + (0.25 if rows < C else 0) + _FOOT
    ax = axes_or_new(ax, _WIDTH, total + 0.35)
    scale = min(inches_of(ax)[0] / _WIDTH, inches_of(ax)[1] / total, 1.0)
    ax.set_axis_off()

    def write(x: float, y: float, text: str, size: float, room: float, **style: Any) -> None:
        """Write a text, as large as a room in inches and the Axes allow."""
        fits = room / (max(map(len, text.split("\n"))) * CHARACTER)
        ax.text(x, y, text, fontsize=min(points(size), fits) * scale, va="center", **{"ha": "center", **style})

    products = terms.patch * terms.kernel
    matrices = (terms.patch, terms.kernel, products)
    styles = [_style(matrix) for matrix in matrices]
    for number, name in enumerate(("patch", "kernel", "products")):
        write(left + number * step + wide / 2, _HEAD - 0.2, name, 9, step)
    write(left + 3 * step + _SUM / 2, _HEAD - 0.2, "sum", 9, _SUM)
    if C > 1:
        write(left - 0.12, _HEAD - 0.2, "channel", 8, 0.5, ha="right")
    for row in range(rows):
        top = _HEAD + row * (high + _DOWN)
        middle = top + high / 2
        if C > 1:
            write(left - 0.12, middle, str(terms.channels[row]), 8, 0.3, ha="right")
        for number, (matrix, style) in enumerate(zip(matrices, styles, strict=True)):
            x = left + number * step
            write(x + wide + _ACROSS / 2, middle, "×=→"[number], 12, _ACROSS)
            image = ax.imshow(matrix[..., row], **IMAGE, **style, extent=(x, x + wide, top + high, top))
            size = min(points(8), cell / (5 * CHARACTER))
            for i, j in np.ndindex(KH, KW) if size * scale >= _SMALLEST else []:
                value = matrix[i, j, row]
                if np.isfinite(value):
                    red, green, blue, _ = image.to_rgba(value)
                    colour = "k" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "w"
                    x_cell, y_cell = x + (j + 0.5) * cell, top + (i + 0.5) * cell
                    write(x_cell, y_cell, f"{round(value, 2) + 0.0:.2f}", size / points(1), cell, color=colour)
            ax.plot([x, x + wide, x + wide, x, x], [top, top, top + high, top + high, top], color="0.5", linewidth=0.8)
        write(left + 3 * step + _SUM / 2, middle, f"{np.nansum(products[..., row]):.4g}", 9, _SUM)
    end = _HEAD + rows * (high + _DOWN)
    if rows < C:
        rest = np.nansum(products[..., rows:])
        write(_WIDTH / 2, end + 0.05, f"and {C - rows} more channels, with the sum {rest:.4g}", 8, _WIDTH)
        end += 0.25
    _sum(terms, float(np.nansum(products)), activation, end, write)
    ax.set(xlim=(0, _WIDTH), ylim=(total, 0), aspect="equal")
    ax.set_title(title, fontsize=min(points(10), _WIDTH * scale / (len(title) * CHARACTER)))
    return ax


def _sum(terms: _Terms, total: float, activation: str, top: float, write: Any) -> None:
    """Write the sum, the bias, the value before the activation and the result, each with its name above it."""
    numbers = [
        ("sum of all products", f"{total:.4g}"),
        ("bias", "none" if terms.bias is None else f"{terms.bias:.4g}"),
        ("before activation", f"{terms.z:.4g}"),
        (f"after {activation}", f"{terms.y:.4g}"),
    ]
    wide = _WIDTH / len(numbers)
    for number, (name, value) in enumerate(numbers):
        middle = (number + 0.5) * wide
        write(middle, top + 0.3, name, 8, wide - 0.2)
        write(middle, top + 0.6, value, 11, wide - 0.3, weight="bold")
        if number < 3:
            write((number + 1) * wide, top + 0.6, "+=→"[number], 12, 0.3)


def _style(matrix: Array) -> dict[str, Any]:
    """Return how a matrix is coloured: in grey if no number is negative, otherwise blue, white at zero, and red."""
    low, high = float(np.nanmin(matrix)), float(np.nanmax(matrix))
    largest = max(-low, high) or 1.0
    if low < 0:
        return {"cmap": DIVERGING, "vmin": -largest, "vmax": largest}
    return {"cmap": "gray", "vmin": 0, "vmax": largest}
