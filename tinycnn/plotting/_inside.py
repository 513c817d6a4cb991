"""What the pictures of a network's inside take: a model or a trace of it, one of its layers, and one image."""

from typing import Any

import numpy as np

from ..core.checks import scalar
from ..core.types import Array
from ..inspection.trace import LayerTrace, Trace
from ..sequential import Sequential
from ..training.data import check_images
from ._checks import as_array, images, shown


def check_model(model: Any, name: str = "model") -> Sequential:
    """Return the model if it is a built Sequential; raise ValueError for anything else."""
    if not isinstance(model, Sequential) or not model.built:
        what = "one that is not built; call build first" if isinstance(model, Sequential) else type(model).__name__
        raise ValueError(f"{name} must be a built Sequential; got {what}")
    return model


def traced(trace_or_model: Any, x: Any, y: Any = None) -> Trace:
    """Return the trace that is given, or that of a model, whose gradients then stay as they were.

    Raises
    ------
    ValueError
        If there is neither, or a trace is given with a batch, or a model without one.
    """
    if isinstance(trace_or_model, Trace):
        if x is not None or y is not None:
            raise ValueError(f"{'x' if x is not None else 'y'} must be left out with a trace, which has its own batch")
        return trace_or_model
    if not isinstance(trace_or_model, Sequential):
        raise ValueError(f"trace_or_model must be a Trace or a Sequential; got {type(trace_or_model).__name__}")
    model = check_model(trace_or_model, "trace_or_model")
    if x is None:
        raise ValueError("x must be given with a model, which is then run with this batch")
    parameters = list(model.parameters().values())
    saved = [parameter.grad.copy() for parameter in parameters]
    try:
        return model.trace(x, y)
    except TypeError as error:
        raise ValueError(str(error)) from error
    finally:
        for parameter, grad in zip(parameters, saved, strict=True):
            parameter.grad[...] = grad


def traced_layer(trace: Trace, layer: Any, kinds: tuple[type, ...], what: str) -> LayerTrace:
    """Return what a trace holds of a layer, given by name, number or as itself; by default of the first of its kind."""
    names = [entry.name for entry in trace]
    if layer is None:
        found = [entry for entry in trace if isinstance(entry.layer, kinds)]
        if not found:
            raise ValueError(f"layer must be {what}, and there is none; the layers are: {', '.join(names)}")
        return found[0]
    layer = scalar(layer)
    number = isinstance(layer, int | np.integer) and not isinstance(layer, bool)
    for index, entry in enumerate(trace):
        named = isinstance(layer, str) and entry.name == layer
        if entry.layer is layer or named or (number and layer in (index, index - len(names))):
            if not isinstance(entry.layer, kinds):
                raise ValueError(f"layer must be {what}; {entry.layer.label} is not")
            return entry
    raise ValueError(
        f"layer must be given by its name, by its number from 0 to {len(names) - 1}, or as the layer itself; "
        f"got {shown(layer)}. The layers are: {', '.join(names)}"
    )


def layer_index(model: Sequential, layer: Any) -> int:
    """Return the position of a layer that is given by its name, by its number, or as itself."""
    names = [str(one.name) for one in model.layers]
    layer = scalar(layer)
    if isinstance(layer, str) and layer in names:
        return names.index(layer)
    if isinstance(layer, int | np.integer) and not isinstance(layer, bool) and -len(names) <= layer < len(names):
        return int(layer) % len(names)
    for index, one in enumerate(model.layers):
        if one is layer:
            return index
    raise ValueError(
        f"layer must be a layer of {model.name}, given by its name, by its number from 0 to {len(names) - 1}, "
        f"or as the layer itself; got {shown(layer)}. The layers are: {', '.join(names)}"
    )


def one_image(model: Sequential, image: Any) -> Array:
    """Return a batch (1, H, W, C) of one image (H, W, C), (1, H, W, C) or, if it has one channel, (H, W)."""
    shape = image_shape(model)
    array = as_array(image, "image")
    if shape in (array.shape, (*array.shape, 1)):
        array = array.reshape(1, *shape)
    if array.shape != (1, *shape):
        raise ValueError(f"image must be one image of shape {shape}; got shape {array.shape}")
    try:
        return check_images(array, shape, name="image", dtype=model.dtype).astype(model.dtype)
    except TypeError as error:
        raise ValueError(str(error)) from error


def image_shape(model: Sequential) -> tuple[int, int, int]:
    """Return the shape (H, W, C) of the images that a model takes."""
    if len(model.input_shape) != 3:
        raise ValueError(f"model must take images (H, W, C); {model.name} takes {model.input_shape}")
    H, W, C = model.input_shape
    return H, W, C


def backdrop(image: Array) -> Array:
    """Return a model's input (1, H, W, C) as a visible image (H, W, 3); unless C is 1 or 3, the channels' mean."""
    return images(image if image.shape[-1] in (1, 3) else image.mean(axis=-1, keepdims=True))[0]
