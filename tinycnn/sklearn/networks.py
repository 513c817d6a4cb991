"""Make the network of a classifier from what its user gave, and take its training away again."""

import copy
import inspect
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from .. import models, optimizers
from ..activations import Sigmoid, Softmax
from ..core.backend import Backend
from ..core.messages import shown
from ..core.types import Array, Shape
from ..layers import Flatten, Layer, Rescaling, Reshape
from ..losses import BinaryCrossentropy, SparseCategoricalCrossentropy
from ..network.compiling import Compiling
from ..network.final_activation import ends_in
from ..sequential import Sequential

_WANTED = (
    "model must be the name of a documented network, a Sequential, or a function of (input_shape, classes) that "
    "returns one"
)
#: What a network is without its training.
_KEPT = {"name", "dtype", "seed", "layers", "built", "stop_training", "_input_shape", "_frozen", "backend"}


def make(model: Any, input_shape: Shape, classes: int, seed: int) -> Sequential:
    """Return a network that is built for these samples, with weights that follow from the seed.

    Parameters
    ----------
    model : str, Sequential or function
        As :class:`tinycnn.sklearn.CNNClassifier` takes it; a Sequential is copied.
    input_shape : tuple of int
    classes : int
    seed : int

    Raises
    ------
    TypeError, ValueError
        If this is no network, or not one for such samples and so many classes.
    """
    if isinstance(model, str):
        made = _documented(model, input_shape, classes)
    elif isinstance(model, Sequential):
        made = copy.deepcopy(model)
    elif callable(model) and not isinstance(model, type):
        made = _called(model, input_shape, classes)
    else:
        raise TypeError(f"{_WANTED}; got {shown(model)}")
    if not made.layers:
        raise ValueError(f"model: {made.name} has no layers")
    if made.built and made.input_shape != input_shape:
        raise ValueError(
            f"model: {made.name} is built for samples of the shape {made.input_shape}, but X holds samples of "
            f"{input_shape}; leave out its Input, or give X and image_shape so that they fit"
        )
    if made.built:
        made.build_again(seed=seed)
    else:
        made.seed = seed
        _build(made, input_shape)
    _check_classes(made, classes)
    if made.output_shape == (1,) and (end := _end(made)) is not None and ends_in(end, Softmax):
        raise ValueError(
            f"model: {made.name} ends in a softmax of a single number, which is always 1; end it with "
            f"Dense(1, activation='sigmoid'), or with Dense({classes}, activation='softmax')"
        )
    return without_training(made)


def _documented(name: str, input_shape: Shape, classes: int) -> Sequential:
    """Return a documented network for samples of this shape."""
    try:
        recipe = models.recipe(name)
    except ValueError as error:
        raise ValueError(f"model: {str(error).removeprefix('name: ')}") from error
    if len(input_shape) != 3:
        raise ValueError(
            f"{name} takes images, but X has {input_shape[0]} features, which are not those of a square grey picture; "
            "give image_shape=(H, W, C), or X as (N, H, W, C)"
        )
    return models.build(recipe.name, input_shape=(input_shape[0], input_shape[1], input_shape[2]), classes=classes)


def _called(function: Any, input_shape: Shape, classes: int) -> Sequential:
    """Return what a user's function makes of the shape and the number of classes."""
    try:
        inspect.signature(function).bind(input_shape, classes)
    except TypeError as error:
        raise TypeError(f"{_WANTED}; {shown(function)} does not take these two arguments") from error
    except ValueError:  # some functions that are not written in Python have no signature
        pass
    made = function(input_shape, classes)
    if not isinstance(made, Sequential):
        raise TypeError(f"{_WANTED}; {shown(function)} returned {shown(made)}")
    return made


def _build(made: Sequential, input_shape: Shape) -> None:
    """Build a network for samples of this shape, or say what X should be."""
    try:
        made.build(input_shape)
    except ValueError as error:
        hint = "" if len(input_shape) == 3 else "; if these are pixels, give image_shape=(H, W, C)"
        raise ValueError(f"model: {made.name} cannot take samples of the shape {input_shape}: {error}{hint}") from error


def _check_classes(made: Sequential, classes: int) -> None:
    """Raise ValueError unless a network gives one number for each class, or a single one for two classes."""
    if made.output_shape == (classes,) or (made.output_shape == (1,) and classes == 2):
        return
    raise ValueError(
        f"model: {made.name} gives results of the shape {made.output_shape}, but y has {classes} classes; end it "
        f"with Dense({classes}, activation='softmax'), or give a function of (input_shape, classes)"
    )


def loss_of(model: Sequential) -> BinaryCrossentropy | SparseCategoricalCrossentropy:
    """Return the crossentropy that fits the end of a network: on probabilities if it ends so, otherwise on logits."""
    end = _end(model)
    if model.output_shape == (1,):
        return BinaryCrossentropy(from_logits=end is None or not ends_in(end, Sigmoid))
    return SparseCategoricalCrossentropy(from_logits=end is None or not ends_in(end, Softmax))


def _end(model: Sequential) -> Layer | None:
    """Return the last layer that computes something."""
    return next((layer for layer in reversed(model.layers) if not isinstance(layer, Flatten | Reshape)), None)


def optimizer_of(given: Any, learning_rate: Any) -> optimizers.Optimizer:
    """Return a new optimizer like the one that was given, perhaps with another learning rate."""
    like = optimizers.get(given)
    config = like.get_config()
    if learning_rate is not None:
        config["learning_rate"] = learning_rate
    return type(like).from_config(config)


def probabilities(model: Sequential, outputs: Array) -> Array:
    """Return the probabilities (N, classes) that a network's results mean; in training they meant the same.

    A single result is the probability of the second class, or its logit.
    """
    single = model.output_shape == (1,)
    if loss_of(model).from_logits:
        outputs = np.asarray(expit(outputs) if single else softmax(outputs, axis=1))
    return np.hstack([1 - outputs, outputs]) if single else outputs


def takes_bytes(model: Sequential) -> bool:
    """Return whether a network divides bytes by 255 itself."""
    first = model.layers[0]
    return isinstance(first, Rescaling) and abs(first.scale) < 1 / 32


def for_pickle(model: Sequential) -> Sequential:
    """Return what a pickle holds of a network: its weights without its training, in the memory of the host."""
    plain = without_training(model)
    if not model.backend.on_device:
        return plain
    arrays = [array for layer in model.layers for array in layer.weights().values()]
    memo: dict[int, Any] = {id(array): np.array(model.backend.to_numpy(array)) for array in arrays}
    host = Backend("cpu")
    memo |= {id(layer.backend): host for layer in model.layers}
    vars(plain).update(layers=copy.deepcopy(model.layers, memo), backend=host)
    return plain


def without_training(model: Sequential) -> Sequential:
    """Return a network with the same layers that is not compiled: nothing is left of its training but the weights."""
    plain = copy.copy(model)
    for name in vars(plain).keys() - _KEPT:
        delattr(plain, name)
    Compiling.__init__(plain)
    plain.history = None
    return plain
