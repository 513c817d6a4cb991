"""Run a network for a picture, on copies of its layers, so that the model itself never changes.

The copies compute as in inference, but keep what backward needs. They are frozen, which makes batch normalisation use
its moving statistics, and a layer that returns its input unchanged in inference (dropout, noise) is skipped.
"""

import copy
from typing import Any, NamedTuple

import numpy as np

from .. import activations
from ..core.backend import Backend
from ..core.types import Array
from ..inspection.trace import LayerTrace, Trace
from ..kernels.threads import one_blas_thread
from ..layers import ActivatedLayer, Activation, Dropout, Flatten, GaussianNoise, Layer, Reshape
from ..network.final_softmax import ends_in_softmax
from ..sequential import Sequential
from ..training.data import check_images
from ..training.step import backward, walk_forward
from ._checks import as_array, images, shown

_REFERENCE = Backend("reference")


def _quiet() -> np.errstate:
    """Turn off NumPy's warnings about NaN and infinity, which an error reports later."""
    return np.errstate(over="ignore", invalid="ignore")


class Step(NamedTuple):
    """A layer's copy, its result for a batch, what its backward needs, and whether it returned its input unchanged."""

    layer: Layer
    y: Array
    cache: Any
    passed: bool


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
        return check_images(array, shape, name="image").astype(model.dtype)
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


def copy_of(layer: Layer) -> Layer:
    """Return a frozen copy on the reference backend, which gives exact zeros where nothing flows and compiles nothing.

    Raises
    ------
    ValueError
        If the layer contains something that cannot be copied.
    """
    memo: dict[int, Any] = {id(layer.backend): _REFERENCE}
    arrays = [*layer.weights().values(), *(p.grad for p in layer.params.values())]
    memo |= {id(array): np.array(layer.backend.to_numpy(array)) for array in arrays}
    try:
        twin = copy.deepcopy(layer, memo)
    except Exception as error:  # a layer of the user may hold anything
        raise ValueError(
            f"model: {layer.label} cannot be copied, and pictures are drawn from copies: {error}"
        ) from error
    twin.trainable = False
    return twin


def copies_up_to_scores(model: Sequential) -> list[Layer]:
    """Return copies of all layers, without a final softmax: probabilities depend on each other, the scores do not."""
    twins = [copy_of(layer) for layer in model.layers]
    last = next((twin for twin in reversed(twins) if not isinstance(twin, Flatten | Reshape)), None)
    if isinstance(last, ActivatedLayer | Activation) and ends_in_softmax(last):
        vars(last)["activation"] = activations.get("linear")  # a layer called Softmax lets nobody set it
    return twins


def run(twins: list[Layer], x: Array) -> list[Step]:
    """Return every layer's result for a batch in inference, with what its backward needs.

    Raises
    ------
    ValueError
        If a layer computes something else in training even when it is frozen, because only a forward pass in training
        keeps what backward needs.
    """
    steps = []
    with one_blas_thread(), _quiet():
        for twin, given, y, _ in walk_forward(twins, x, training=False):
            cache, passed = None, y is given or (isinstance(twin, Dropout | GaussianNoise) and np.array_equal(y, given))
            if not passed:
                kept, cache = twin.forward(given, training=True)
                scale = float(np.abs(y, where=np.isfinite(y), out=np.zeros_like(y)).max(initial=0))
                if not np.allclose(kept, y, rtol=1e-3, atol=1e-5 * scale, equal_nan=True):
                    raise ValueError(
                        f"model: {twin.label} gives another result in training than in inference even when it is "
                        "frozen, so its gradient in inference cannot be computed"
                    )
            steps.append(Step(twin, y, cache, passed))
    return steps


def gradient_by_input(steps: list[Step], dy: Array) -> Array:
    """Return the gradient with respect to the first step's input.

    Parameters
    ----------
    steps : list of Step
    dy : array
        The gradient with respect to the last step's result.

    Raises
    ------
    ValueError
        If the gradient or the last step's result is not finite.
    """
    with one_blas_thread(), _quiet():
        active = [step for step in steps if not step.passed]
        dx = backward([step.layer for step in active], [step.cache for step in active], dy)
    # A relu stops the gradient of NaN, so the result is checked as well.
    if not all(np.isfinite(array).all() for array in (dx, *(step.y for step in steps[-1:]))):
        raise ValueError("model must give finite numbers, but gives NaN or infinity for this image")
    return dx
