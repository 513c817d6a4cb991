"""How each layer, and each activation, is said in ONNX: a function that adds its nodes to a graph."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import activations, layers
from ..core.types import Shape
from ..layers.base import Layer
from .graph import Graph

# Activations --------------------------------------------------------------------------------------------------------


def _gelu(graph: Graph, function: activations.GELU) -> None:
    """Write ``x * P(x)``, with ``P(x) = (1 + erf(x / sqrt(2))) / 2``, in the order that ONNX Runtime recognizes."""
    x = graph.current
    graph.add("Div", graph.array("sqrt_2", math.sqrt(2)))
    graph.add("Erf")
    graph.add("Add", graph.array("one", 1.0))
    graph.add("Mul", graph.current, first=x)
    graph.add("Mul", graph.array("half", 0.5))


def _softmax(graph: Graph, function: activations.Softmax) -> None:
    graph.add("Softmax", axis=1 if graph.channels_first else -1)


ACTIVATIONS: dict[type, Callable[[Graph, Any], Any]] = {
    activations.Linear: lambda graph, function: None,
    activations.ReLU: lambda graph, function: graph.add("Relu"),
    activations.LeakyReLU: lambda graph, function: graph.add("LeakyRelu", alpha=function.negative_slope),
    activations.ELU: lambda graph, function: graph.add("Elu", alpha=function.alpha),
    activations.GELU: _gelu,
    activations.Sigmoid: lambda graph, function: graph.add("Sigmoid"),
    activations.Tanh: lambda graph, function: graph.add("Tanh"),
    activations.Softmax: _softmax,
}


def _activation(graph: Graph, layer: Any) -> None:
    ACTIVATIONS[type(layer.activation)](graph, layer.activation)


# Layers with weights ------------------------------------------------------------------------------------------------


def _conv(graph: Graph, layer: Any) -> None:
    graph.to_channels_first()
    channels = layer.built_input_shape[2]
    filters, groups = layer.filters_and_groups(channels)
    hwio = graph.weight(layer, "kernel").reshape(*layer.kernel_size, channels // groups, filters)
    arrays = [graph.array("kernel", hwio.transpose(3, 2, 0, 1))]
    if layer.use_bias:
        arrays.append(graph.array("bias", graph.weight(layer, "bias")))
    graph.add(
        "Conv",
        *arrays,
        kernel_shape=layer.kernel_size,
        strides=layer.strides,
        pads=_pads(layer.window.pads),
        dilations=layer.dilation_rate,
        group=groups,
    )
    _activation(graph, layer)


def _dense(graph: Graph, layer: Any) -> None:
    """Write a product of matrices; for images with channels first it is a convolution of 1x1 pixels."""
    kernel = graph.weight(layer, "kernel")
    if graph.rows is not None:
        H, W, C = graph.rows
        kernel = kernel.reshape(H, W, C, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
        graph.rows = None
    as_conv = graph.channels_first
    arrays = [graph.array("kernel", kernel.T[:, :, np.newaxis, np.newaxis] if as_conv else kernel)]
    if layer.use_bias:
        arrays.append(graph.array("bias", graph.weight(layer, "bias")))
    if as_conv:
        graph.add("Conv", *arrays, kernel_shape=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1), group=1)
    elif len(graph.shape) == 1:
        graph.add("Gemm", *arrays)
    else:
        graph.add("MatMul", arrays[0])
        if layer.use_bias:
            graph.add("Add", arrays[1])
    _activation(graph, layer)


def _batch_normalization(graph: Graph, layer: Any) -> None:
    """Write the formula of inference; ONNX has the channels on the second axis, whatever the number of axes."""
    terms = layer.inference_terms()
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    arrays = [
        graph.array(name, np.asarray(layer.backend.to_numpy(term))) for name, term in zip(names, terms[:4], strict=True)
    ]
    rank = len(graph.shape) + 1
    turned = rank > 2 and not graph.is_image
    if graph.is_image:
        graph.to_channels_first()
    if turned:
        graph.add("Transpose", perm=(0, rank - 1, *range(1, rank - 1)))
    graph.add("BatchNormalization", *arrays, epsilon=layer.epsilon, momentum=layer.momentum)
    if turned:
        graph.add("Transpose", perm=(0, *range(2, rank), 1))


# Pooling ------------------------------------------------------------------------------------------------------------


def _window(operator: str, **more: Any) -> Callable[[Graph, Any], None]:
    def write(graph: Graph, layer: Any) -> None:
        graph.to_channels_first()
        pads = _pads(layer.window.pads)
        graph.add(operator, kernel_shape=layer.pool_size, strides=layer.strides, pads=pads, **more)

    return write


def _whole_image(operator: str) -> Callable[[Graph, Any], None]:
    def write(graph: Graph, layer: Any) -> None:
        graph.to_channels_first()
        graph.add(operator)
        if not layer.keepdims:
            graph.add("Flatten", axis=1)
            graph.channels_first = False

    return write


# Layers that move numbers or change their scale ---------------------------------------------------------------------


def _flatten(graph: Graph, layer: Any) -> None:
    """Write a row for each sample.

    The numbers of an image with channels first get into another order than tinycnn's. Where a Dense layer takes them,
    the rows of its weights are put into that order too; elsewhere the image is transposed before.
    """
    if graph.channels_first:
        H, W, C = graph.shape
        if H * W > 1 and C > 1:
            if _a_dense_layer_takes_it(graph):
                graph.rows = graph.shape
            else:
                graph.to_channels_last()
    graph.channels_first = False
    if len(graph.shape) > 1:
        graph.add("Flatten", axis=1)


#: Layers that do the same to every number, so that they work on numbers in any order.
_ONE_BY_ONE = (layers.ReLU, layers.LeakyReLU, layers.ELU, layers.Rescaling, layers.Dropout, layers.GaussianNoise)


def _a_dense_layer_takes_it(graph: Graph) -> bool:
    """Return whether the result of the current layer reaches a Dense layer with its numbers in any order."""
    for layer in graph.following:
        if type(layer) is layers.Dense:
            return True
        same = type(layer) is layers.Activation and type(layer.activation) is not activations.Softmax
        if not (same or type(layer) in _ONE_BY_ONE):
            return False
    return False


def _reshape(graph: Graph, layer: Any) -> None:
    graph.to_channels_last()
    shape = np.array([0, *layer.built_output_shape])  # 0: as many samples as there are
    graph.add("Reshape", graph.array("shape", shape, np.int64))


def _zero_padding(graph: Graph, layer: Any) -> None:
    graph.to_channels_first()
    (top, bottom), (left, right) = layer.padding
    pads = np.array([0, 0, top, left, 0, 0, bottom, right])
    graph.add("Pad", graph.array("pads", pads, np.int64), mode="constant")


def _rescaling(graph: Graph, layer: Any) -> None:
    graph.add("Mul", graph.array("scale", layer.scale))
    if layer.offset:
        graph.add("Add", graph.array("offset", layer.offset))


def _nothing(graph: Graph, layer: Any) -> None:
    """Write a layer that changes nothing in inference."""


def _pads(pads: Shape) -> Shape:
    """Return pads, given as (top, bottom, left, right), in the order of ONNX."""
    top, bottom, left, right = pads
    return top, left, bottom, right


LAYERS: dict[type[Layer], Callable[[Graph, Any], None]] = {
    layers.Activation: _activation,
    layers.AveragePooling2D: _window("AveragePool", count_include_pad=0),
    layers.BatchNormalization: _batch_normalization,
    layers.Conv2D: _conv,
    layers.Dense: _dense,
    layers.DepthwiseConv2D: _conv,
    layers.Dropout: _nothing,
    layers.ELU: _activation,
    layers.Flatten: _flatten,
    layers.GaussianNoise: _nothing,
    layers.GlobalAveragePooling2D: _whole_image("GlobalAveragePool"),
    layers.GlobalMaxPooling2D: _whole_image("GlobalMaxPool"),
    layers.LeakyReLU: _activation,
    layers.MaxPooling2D: _window("MaxPool"),
    layers.ReLU: _activation,
    layers.Rescaling: _rescaling,
    layers.Reshape: _reshape,
    layers.Softmax: _activation,
    layers.ZeroPadding2D: _zero_padding,
}


def why_not(layer: Any) -> str | None:
    """Return why a layer cannot be said in ONNX, or None if it can."""
    if type(layer) not in LAYERS or "forward" in vars(layer):
        return f"{layer.label} is none of the classes in tinycnn.layers, so what it computes is known to Python only"
    function = getattr(layer, "activation", None)
    if function is not None and type(function) not in ACTIVATIONS:
        return f"{layer.label} has an activation of your own ({type(function).__name__}), which is known to Python only"
    return None
