"""A network run for a picture: on copies of its layers, so that nothing of the model changes, whatever happens.

The copies work as in inference, and yet keep what backward needs. They are frozen, which makes batch normalisation use
its moving statistics, and a layer that hands its input on in inference (dropout, noise) is passed by.
"""

import copy
from typing import Any, NamedTuple

import numpy as np

from .. import activations
from ..core.backend import Backend
from ..core.types import Array
from ..kernels.threads import one_blas_thread
from ..layers import ActivatedLayer, Activation, Dropout, Flatten, GaussianNoise, Layer, Reshape
from ..network.final_softmax import ends_in_softmax
from ..sequential import Sequential
from ..training.data import check_images
from ..training.step import backward, walk_forward
from ._checks import as_array, images, shown

_REFERENCE = Backend("reference")


def _quiet() -> np.errstate:
    """No warnings of NumPy's about NaN and infinity, of which an error tells in the end."""
    return np.errstate(over="ignore", invalid="ignore")


class Step(NamedTuple):
    """A layer's copy, its result for a batch, what its backward needs, and whether it only handed its input on."""

    layer: Layer
    y: Array
    cache: Any
    passed: bool


def check_model(model: Any, name: str = "model") -> Sequential:
    """The model, if it is one that is built."""
    if not isinstance(model, Sequential) or not model.built:
        what = "one that is not built" if isinstance(model, Sequential) else type(model).__name__
        raise ValueError(f"{name} must be a Sequential that is built; got {what}")
    return model


def layer_index(model: Sequential, layer: Any) -> int:
    """Where a layer stands, from its name, its number, or itself."""
    names = [str(one.name) for one in model.layers]
    if isinstance(layer, str) and layer in names:
        return names.index(layer)
    if isinstance(layer, int | np.integer) and not isinstance(layer, bool) and -len(names) <= layer < len(names):
        return int(layer) % len(names)
    for index, one in enumerate(model.layers):
        if one is layer:
            return index
    raise ValueError(
        f"layer must be one of {model.name}, by name, by number from 0 to {len(names) - 1}, or itself; "
        f"got {shown(layer)}. "
        f"There are: {', '.join(names)}"
    )


def one_image(model: Sequential, image: Any) -> Array:
    """A batch of one image (1, H, W, C), from (H, W, C), (1, H, W, C) or, with one channel, (H, W)."""
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
    """(H, W, C) of the images that a model takes."""
    if len(model.input_shape) != 3:
        raise ValueError(f"model must take images (H, W, C); {model.name} takes {model.input_shape}")
    H, W, C = model.input_shape
    return H, W, C


def backdrop(image: Array) -> Array:
    """A model's input (1, H, W, C) as something to look at, (H, W, 3): other than 1 or 3 channels become a mean."""
    return images(image if image.shape[-1] in (1, 3) else image.mean(axis=-1, keepdims=True))[0]


def copy_of(layer: Layer) -> Layer:
    """A frozen copy on the reference backend: exact zeros where nothing flows, and nothing to compile.

    Raises
    ------
    ValueError
        If the layer holds something that cannot be copied.
    """
    memo: dict[int, Any] = {id(layer.backend): _REFERENCE}
    arrays = [*layer.weights().values(), *(p.grad for p in layer.params.values())]
    memo |= {id(array): np.array(layer.backend.to_numpy(array)) for array in arrays}
    try:
        twin = copy.deepcopy(layer, memo)
    except Exception as error:  # whatever a layer of the user's holds
        raise ValueError(f"model: {layer.label} cannot be copied, and pictures are made of copies: {error}") from error
    twin.trainable = False
    return twin


def copies_up_to_scores(model: Sequential) -> list[Layer]:
    """Copies of all layers, the last without its softmax: probabilities compete, the scores before it do not."""
    twins = [copy_of(layer) for layer in model.layers]
    last = next((twin for twin in reversed(twins) if not isinstance(twin, Flatten | Reshape)), None)
    if isinstance(last, ActivatedLayer | Activation) and ends_in_softmax(last):
        last.activation = activations.get("linear")
    return twins


def run(twins: list[Layer], x: Array) -> list[Step]:
    """Every layer's result for a batch, in inference, with caches.

    Raises
    ------
    ValueError
        If a layer cannot be had in inference and with a cache at once.
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
                        f"model: {twin.label} gives something else in training even when it is frozen, so its "
                        "gradient in inference cannot be had"
                    )
            steps.append(Step(twin, y, cache, passed))
    return steps


def gradient_by_input(steps: list[Step], dy: Array) -> Array:
    """The gradient by the input of the first step, from the gradient by the result of the last.

    Raises
    ------
    ValueError
        If it, or the result, is not finite.
    """
    with one_blas_thread(), _quiet():
        active = [step for step in steps if not step.passed]
        dx = backward([step.layer for step in active], [step.cache for step in active], dy)
    # A relu stops the gradient of NaN, so the result is looked at too.
    if not all(np.isfinite(array).all() for array in (dx, *(step.y for step in steps[-1:]))):
        raise ValueError("model gives NaN or infinity for this image")
    return dx
