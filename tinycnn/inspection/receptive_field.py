"""Which pixels of the input an output of a layer can depend on; the summary and the pictures show it.

This follows from a layer's window or from its ``sees_everything``; Flatten, Reshape and ZeroPadding2D only move
numbers. Any other layer that keeps the shape counts as working pixel by pixel. If it changes the shape, it is not known
what its outputs see.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..activations import Softmax
from ..core.types import Array, Shape
from ..kernels.geometry import Window
from ..layers import Dense, Flatten, Layer, Reshape, ZeroPadding2D
from ..network.final_activation import ends_in


def receptive_fields(layers: Sequence[Layer], input_shape: Shape) -> list[tuple[int, int] | None]:
    """Return for each layer how many input pixels (height, width) one of its outputs can depend on; None if not known.

    Each window adds ``(extent - 1) * jump`` pixels, where ``jump`` is the product of the strides before it (Dumoulin &
    Visin, 2016; Araujo, Norris & Sim, "Computing receptive fields of convolutional neural networks", 2019). A field is
    never larger than the image. A layer that sees everything sees all pixels that the outputs before it see.
    """
    if len(input_shape) != 3:
        return [None] * len(layers)
    field, jump, known = [1, 1], [1, 1], True
    places = input_shape  # the shape of the images to whose pixels the outputs belong, flattened or not
    fields: list[tuple[int, int] | None] = []
    for index, layer in enumerate(layers):
        shape = layer.built_output_shape
        if isinstance(layer.window, Window):
            for axis, extent in enumerate(layer.window.extent()):
                field[axis] = min(field[axis] + (extent - 1) * jump[axis], input_shape[axis])
                jump[axis] *= layer.window.strides[axis]
            shape = (*layer.window.output_size(layer.built_input_shape[:2]), shape[-1])
        elif _mixes_all(layer):
            field = list(span(seen_through(layers[:index], np.ones(layer.built_input_shape, bool))))
            known = True
        elif isinstance(layer, Flatten | Reshape):
            known = known and (len(shape) == 1 or shape == places or jump == [0, 0])
        elif not _is_known(layer):
            known = False
        if _mixes_all(layer) or shape[:-1] == (1, 1):
            jump = [0, 0]  # all outputs see the same pixels, and so does whatever looks at several of them
        if len(shape) == 3:
            places = shape
        fields.append((field[0], field[1]) if known else None)
    return fields


def field_by_geometry(layers: Sequence[Layer], asked: tuple[Any, ...]) -> Array:
    """Return which pixels (H, W) the outputs at the index ``asked`` of the last layer can depend on.

    Raises
    ------
    ValueError
        If it is not known what the outputs of a layer see.
    """
    for layer in reversed(layers):
        if _mixes_all(layer):
            break  # each output depends on all that the layers before it see, so it need not be known which sees what
        if not _is_known(layer):
            raise ValueError(
                f"layer: {layer.label} turns {layer.built_input_shape} into {layer.built_output_shape} and has no "
                "window, so it is not known which inputs one of its outputs sees; if it sees all of them, set "
                "sees_everything = True in its class"
            )
    seen = np.zeros(layers[-1].built_output_shape, bool)
    seen[asked] = True
    return seen_through(layers, seen)


def seen_through(layers: Sequence[Layer], seen: Array) -> Array:
    """Return which pixels (H, W) of the first layer's input the outputs ``seen`` of the last layer can depend on."""
    for layer in reversed(layers):
        seen = _seen_by(layer, seen)
    return np.any(seen, axis=-1)


def span(field: Array) -> tuple[int, int]:
    """Return height and width of the smallest rectangle around all pixels that are seen."""
    rows, columns = (np.flatnonzero(field.any(axis=axis)) for axis in (1, 0))
    return (int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1) if len(rows) else (0, 0)


def _seen_by(layer: Layer, out: Array) -> Array:
    """Return which inputs of a layer the outputs ``out`` can depend on; neither has a batch axis."""
    shape = layer.built_input_shape
    if isinstance(layer.window, Window):
        positions = np.any(out.reshape(*layer.window.output_size(shape[:2]), -1), axis=-1)
        return np.broadcast_to(_under_windows(layer.window, positions, shape)[..., None], shape)
    if isinstance(layer, Flatten | Reshape):
        return out.reshape(shape)
    if isinstance(layer, ZeroPadding2D):
        (top, _), (left, _) = layer.padding
        return out[top : top + shape[0], left : left + shape[1]]
    if _is_over_last_axis(layer):
        return np.broadcast_to(out.any(axis=-1, keepdims=True), shape)
    if layer.sees_everything or not _is_known(layer):  # what is not known may be everything
        return np.full(shape, out.any())
    return out


def _under_windows(window: Window, positions: Array, shape: Shape) -> Array:
    """Return the pixels (H, W) under windows: tap (p, q) of window (i, j) is ``(i*s+p*d-top, j*s+q*d-left)``."""
    (top, bottom, left, right), (H, W) = window.pads, shape[:2]
    padded = np.zeros((H + top + bottom, W + left + right), bool)
    OH, OW = positions.shape
    (KH, KW), (sh, sw), (dh, dw) = window.size, window.strides, window.dilation
    for p in range(KH):
        for q in range(KW):
            taps = padded[p * dh :: sh, q * dw :: sw][:OH, :OW]
            taps |= positions
    return padded[top : top + H, left : left + W]


def _is_over_last_axis(layer: Layer) -> bool:
    """Return whether an output sees all numbers of its last axis, which in an image are the channels of one pixel."""
    if layer.built_output_shape[:-1] != layer.built_input_shape[:-1]:
        return False
    return isinstance(layer, Dense) or (ends_in(layer, Softmax) and not layer.sees_everything)


def _mixes_all(layer: Layer) -> bool:
    """Return whether every output sees all of the layer's input."""
    if isinstance(layer.window, Window):
        return False
    if _is_over_last_axis(layer):
        return len(layer.built_input_shape) == 1
    return layer.sees_everything


def _is_known(layer: Layer) -> bool:
    """Return whether it is known what an output sees."""
    moves = isinstance(layer, Flatten | Reshape | ZeroPadding2D)
    says = isinstance(layer.window, Window) or _is_over_last_axis(layer) or layer.sees_everything
    return moves or says or layer.built_output_shape == layer.built_input_shape
