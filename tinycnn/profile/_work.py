"""Count what the layers' definitions compute, or how many bytes they move."""

import math

import numpy as np

from ..activations import Linear
from ..core.messages import shown
from ..layers import Activation, Conv2D, Dense, DepthwiseConv2D, Flatten, GaussianNoise, Reshape
from ..layers.base import Layer


def work(layers: list[Layer], wants_input_gradient: bool) -> tuple[str, float, float]:
    """Return the unit of a step's speed, and its work for one image, forward and backward.

    Parameters
    ----------
    layers : list of Layer
        The layers of the step, which is one layer or several that run as one.
    wants_input_gradient : bool
        Whether backward also computes the gradient with respect to the step's input.
    """
    products = [layer for layer in layers if isinstance(layer, Conv2D | DepthwiseConv2D | Dense)]
    if products:
        forward = float(sum(map(flops, products)))
        # The gradients with respect to the weights and to the input each take as much work as the forward pass.
        backward = sum(flops(layer) * (layer.trains + wants_input_gradient) for layer in products)
        return "GFLOP/s", forward, backward
    if all(map(_passes_on, layers)):
        return "GB/s", 0.0, 0.0
    numbers = math.prod(layers[0].built_input_shape) + math.prod(layers[-1].built_output_shape)
    moved = float(numbers * np.dtype(layers[0].dtype).itemsize)
    # The gradient passes through noise unchanged.
    return "GB/s", moved, 0.0 if all(isinstance(layer, GaussianNoise) for layer in layers) else moved


def _passes_on(layer: Layer) -> bool:
    """Return whether a layer's result is its input in the same memory, possibly in another shape."""
    linear = isinstance(layer, Activation) and isinstance(layer.activation, Linear)
    return linear or isinstance(layer, Flatten | Reshape)


def flops(layer: Layer) -> int:
    """Count the operations of a built convolution or dense layer for one image, forward: two for each term of its sums.

    This is ``2 * OH * OW * F * KH * KW * C / groups`` for a convolution and ``2 * inputs * units`` for a dense layer.
    Bias and activation are not counted.

    Parameters
    ----------
    layer : Conv2D, DepthwiseConv2D or Dense

    Returns
    -------
    int

    Raises
    ------
    TypeError
        If the layer is of another kind, or is not built.

    Examples
    --------
    >>> from tinycnn import layers, profile
    >>> layer = layers.Conv2D(32, 3)
    >>> layer.build((28, 28, 1))
    (26, 26, 32)
    >>> profile.flops(layer)
    389376
    """
    if not isinstance(layer, Dense | Conv2D | DepthwiseConv2D) or not layer.built:
        raise TypeError(f"layer must be a built convolution or Dense layer; got {shown(layer)}")
    if isinstance(layer, Dense):
        return 2 * math.prod(layer.built_input_shape) * layer.units
    channels = layer.built_input_shape[-1]
    _, groups = layer.filters_and_groups(channels)
    return 2 * math.prod(layer.built_output_shape) * math.prod(layer.kernel_size) * (channels // groups)
