"""What a network is given and what its results mean, whatever its first and its last layer are."""

import numpy as np

from ..activations import Linear, Sigmoid, Softmax
from ..core.types import Array
from ..layers import LAYERS, Rescaling
from ..losses import BinaryCrossentropy
from ..network.final_activation import ends_in, last_that_computes
from ..network.network import Network


def as_trained(model: Network, x: Array) -> Array:
    """Return images in [0, 1] as the model takes them: as bytes if it begins by dividing them by 255."""
    first = model.layers[0]
    return x * x.dtype.type(255) if isinstance(first, Rescaling) and abs(first.scale) < 1 / 32 else x


def gives_one_number(model: Network) -> bool:
    """Return whether a network's single output is a number by itself, as in a regression, and no class's probability.

    The loss decides that, so the answer is False for a model that is not compiled.
    """
    if not model.compiled or model.output_shape != (1,) or isinstance(model.loss, BinaryCrossentropy):
        return False
    end = last_that_computes(model.layers)
    return end is None or not ends_in(end, Sigmoid)


def probabilities(model: Network, outputs: Array) -> Array:
    """Return probabilities (N, classes) for a model's results.

    A single output (N, 1) stands for two classes. Logits pass a softmax, or the sigmoid of each under a binary
    crossentropy, and so do the results of a last layer whose activation is linear, which are scores. Whether those of
    any other end are probabilities is seen in their values.
    """
    if not _are_scores(model, outputs):
        return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs
    if outputs.shape[1] == 1:
        outputs = np.hstack([np.zeros_like(outputs), outputs])
    elif model.compiled and isinstance(model.loss, BinaryCrossentropy):
        return np.asarray(np.exp(-np.logaddexp(0, -outputs)))  # the sigmoid, which cannot overflow so
    e = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def _are_scores(model: Network, outputs: Array) -> bool:
    """Return whether a model's results are scores, which can be any numbers, and not probabilities."""
    if model.compiled and getattr(model.loss, "from_logits", False):
        return True
    end = last_that_computes(model.layers)
    activation = type(getattr(end, "activation", None)) if type(end) in LAYERS.values() else None
    if activation in (Linear, Sigmoid, Softmax):
        return activation is Linear
    return bool(outputs.min() < 0 or outputs.max() > 1)
