"""What each operator of ONNX becomes: a function that adds layers to an assembly."""

import math
from collections.abc import Callable

import numpy as np

from .. import activations, layers
from ..core.messages import shown
from ..core.types import Array
from . import tensors
from .assembly import Assembly
from .axes import FIRST
from .constants import Constants
from .nodes import Node
from .reshaping import flatten, reshape, squeeze, transpose, unsqueeze
from .windows import conv, global_pool, pool, zero_pad

Convert = Callable[[Assembly, Node, Constants], None]


# Products ------------------------------------------------------------------------------------------------------------


def _matmul(a: Assembly, node: Node, constants: Constants) -> None:
    if node.inputs[0] in constants:
        raise ValueError(
            f"{node.label}: the array with weights must be its second input; as the first, it mixes samples"
        )
    _dense(a, node, constants.needed(node, 1, "weights"), None)


def _gemm(a: Assembly, node: Node, constants: Constants) -> None:
    if a.rank != 2 or node.integer("transA", 0) or node.inputs[0] in constants:
        raise ValueError(f"{node.label}: its first input must be the data, with one row for each sample")
    weights = constants.needed(node, 1, "weights")
    weights = weights.T if node.integer("transB", 0) else weights
    bias = constants.of(node, 2)
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    if bias is not None and (bias.ndim > 2 or bias.size not in (1, weights.shape[-1])):
        raise ValueError(
            f"{node.label}: its bias has the shape {shown(bias.shape)}; one number for each result is needed"
        )
    if bias is not None:
        bias = np.broadcast_to(bias.reshape(-1), weights.shape[-1:])
    _dense(a, node, weights if alpha == 1 else weights * alpha, bias if bias is None or beta == 1 else bias * beta)


def _dense(a: Assembly, node: Node, weights: Array, bias: Array | None) -> None:
    if a.axes[-1] != a.rank - 1:
        raise ValueError(f"{node.label}: it multiplies images with channels first by their width, which no layer does")
    if weights.ndim != 2 or weights.shape[0] != a.sample[-1] or weights.shape[1] < 1:
        raise ValueError(
            f"{node.label}: its weights have the shape {shown(weights.shape)}; "
            f"a matrix with {a.sample[-1]} rows is needed"
        )
    weights = a.by_feature(weights)
    a.mixed = None
    a.add(
        layers.Dense,
        [weights] if bias is None else [weights, bias],
        units=weights.shape[1],
        use_bias=bias is not None,
    )


# Batch normalization, and other numbers for each channel ------------------------------------------------------


def _batch_normalization(a: Assembly, node: Node, constants: Constants) -> None:
    if node.integer("training_mode", 0):
        raise ValueError(f"{node.label}: it normalizes by the statistics of a batch; export the network for inference")
    if node.integer("spatial", 1) != 1:
        raise ValueError(
            f"{node.label}: it has statistics for each pixel (spatial=0); tinycnn has them for each channel"
        )
    if a.rank == 4:
        a.need_axes(node, FIRST)
    if a.axes[1:2] != (a.rank - 1,):
        raise ValueError(f"{node.label}: its channels must be the last axis in tinycnn; it has them before others")
    given = [constants.needed(node, n, name) for n, name in enumerate(("scale", "bias", "mean", "variance"), 1)]
    for vector in given:
        if vector.shape != a.sample[-1:]:
            raise ValueError(
                f"{node.label}: an array has the shape {shown(vector.shape)}; it has {a.sample[-1]} channels"
            )
    a.add(
        layers.BatchNormalization,
        [a.by_feature(vector) for vector in given],
        epsilon=node.number("epsilon", 1e-5),
        momentum=node.number("momentum", 0.9),
    )


def _affine(apply: Callable[[Assembly, Array, bool], None], first: bool) -> Convert:
    """Return what an operator of two arrays becomes, of which one is the data.

    Parameters
    ----------
    apply : callable
        Does it, given the assembly, the other array, and whether the data come first.
    first : bool
        Whether the data have to come first.
    """

    def convert(a: Assembly, node: Node, constants: Constants) -> None:
        if len(node.inputs) != 2:
            raise ValueError(f"{node.label}: it must have two inputs")
        data_first = node.inputs[0] not in constants
        if first and not data_first:
            raise ValueError(f"{node.label}: it divides a constant by the data, which no layer does")
        other = constants[node.inputs[1 if data_first else 0]]
        if other.dtype.kind != "f":
            raise ValueError(f"{node.label}: its other array has no fractions but numbers of kind {other.dtype}")
        apply(a, _one_for_each_channel(a, node, other), data_first)

    return convert


def _one_for_each_channel(a: Assembly, node: Node, values: Array) -> Array:
    """Return a single number, or one for each of the last axis in tinycnn; all other axes must have the length 1."""
    if values.size == 1:
        return values.reshape(1).astype(np.float64)
    shape = (1,) * (a.rank - values.ndim) + values.shape
    lengths = [axis for axis, length in enumerate(shape) if length != 1]
    if len(shape) != a.rank or [a.axes[axis] for axis in lengths] != [a.rank - 1] or values.size != a.sample[-1]:
        raise ValueError(
            f"{node.label}: its other array has the shape {shown(values.shape)}; one number, or one for each channel, "
            "is needed"
        )
    return a.by_feature(values.reshape(-1).astype(np.float64))


def _subtract(a: Assembly, other: Array, data_first: bool) -> None:
    if not data_first:
        a.scale_by(-np.ones(1))
    a.shift_by(-other if data_first else other)


# Activations ---------------------------------------------------------------------------------------------------------


def _activation(function: str) -> Convert:
    return lambda a, node, constants: a.activate(function)


def _softmax(a: Assembly, node: Node, constants: Constants) -> None:
    """Add a softmax; before opset 13 it was over all axes from ``axis`` on, by default from the second one on."""
    axis = node.integer("axis", -1 if a.opset >= 13 else 1)
    if not -a.rank <= axis < a.rank:
        raise ValueError(f"{node.label}: its axis is {axis}, but the array has {a.rank} axes")
    over = [a.axes[axis]] if a.opset >= 13 else a.axes[axis % a.rank :]
    others = [other for other in over if other != a.rank - 1]
    if len(others) == len(over) or any(other == 0 or a.sample[other - 1] != 1 for other in others):
        raise ValueError(f"{node.label}: it is over another axis than the channels, which are the last one in tinycnn")
    a.activate("softmax")


def _leaky_relu(a: Assembly, node: Node, constants: Constants) -> None:
    a.activate(activations.LeakyReLU(_not_negative(node, node.number("alpha", 0.01))))


def _prelu(a: Assembly, node: Node, constants: Constants) -> None:
    slopes = constants.needed(node, 1, "slope")
    if slopes.size == 0 or (slopes != slopes.reshape(-1)[0]).any():
        raise ValueError(f"{node.label}: it has a slope for each channel; the nearest is LeakyReLU, which has one")
    a.activate(activations.LeakyReLU(_not_negative(node, float(str(slopes.reshape(-1)[0])))))


def _elu(a: Assembly, node: Node, constants: Constants) -> None:
    a.activate(activations.ELU(_not_negative(node, node.number("alpha", 1.0))))


def _not_negative(node: Node, number: float) -> float:
    if not 0 <= number < math.inf:
        raise ValueError(f"{node.label}: its slope is {number}; tinycnn has only slopes that are not negative")
    return number


def _gelu(a: Assembly, node: Node, constants: Constants) -> None:
    if node.text("approximate", "none") != "none":
        raise ValueError(
            f"{node.label}: it approximates gelu by tanh; tinycnn has the exact one, which differs by 0.0005"
        )
    a.activate("gelu")


def _clip(a: Assembly, node: Node, constants: Constants) -> None:
    """Add a ReLU for a lower limit of 0 without an upper one."""
    low, high = (
        constants.of(node, n) if "min" not in node and "max" not in node and len(node.inputs) > 1 else None
        for n in (1, 2)
    )
    least = node.number("min", -math.inf) if low is None else float(low.reshape(-1)[0])
    most = node.number("max", math.inf) if high is None else float(high.reshape(-1)[0])
    if least == 0 and most >= np.finfo(np.float32).max:
        a.activate("relu")
    elif least > -np.finfo(np.float32).max or most < np.finfo(np.float32).max:
        raise ValueError(
            f"{node.label}: it limits numbers to the range from {least:g} to {most:g}; the nearest is ReLU, whose "
            "range has no upper limit"
        )


def _max(a: Assembly, node: Node, constants: Constants) -> None:
    other = [constants[name] for name in node.inputs if name in constants]
    if len(node.inputs) != 2 or other[0].size != 1 or float(other[0].reshape(-1)[0]) != 0:
        raise ValueError(f"{node.label}: it is not a ReLU, which takes the larger one of each number and 0")
    a.activate("relu")


# What changes nothing in inference -----------------------------------------------------------------------------------


def _nothing(a: Assembly, node: Node, constants: Constants) -> None:
    """Add no layer."""


def _cast(a: Assembly, node: Node, constants: Constants) -> None:
    if node.integer("to", 0) not in (*tensors.FLOATS, *tensors.NARROW):
        raise ValueError(f"{node.label}: it converts the data to a kind of numbers in which tinycnn does not compute")


def _dropout(a: Assembly, node: Node, constants: Constants) -> None:
    """Add a Dropout, which changes nothing in a prediction, so that training can go on."""
    ratio, mode = constants.of(node, 1), constants.of(node, 2)
    if mode is not None and mode.any():
        raise ValueError(f"{node.label}: it drops numbers in inference too; export the network for inference")
    rate = node.number("ratio", 0.5) if ratio is None else float(str(ratio.reshape(-1)[0]))
    if not 0 <= rate < 1:
        raise ValueError(f"{node.label}: its ratio is {rate}; it must be at least 0 and less than 1")
    if rate:
        a.add(layers.Dropout, rate=rate)


OPERATORS: dict[str, Convert] = {
    "Add": _affine(lambda a, other, data_first: a.shift_by(other), first=False),
    "AveragePool": pool(layers.AveragePooling2D),
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Clip": _clip,
    "Conv": conv,
    "Div": _affine(lambda a, other, data_first: a.scale_by(1 / other), first=True),
    "Dropout": _dropout,
    "Elu": _elu,
    "Flatten": flatten,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": global_pool(layers.GlobalAveragePooling2D),
    "GlobalMaxPool": global_pool(layers.GlobalMaxPooling2D),
    "Identity": _nothing,
    "LeakyRelu": _leaky_relu,
    "MatMul": _matmul,
    "Max": _max,
    "MaxPool": pool(layers.MaxPooling2D),
    "Mul": _affine(lambda a, other, data_first: a.scale_by(other), first=False),
    "PRelu": _prelu,
    "Pad": zero_pad,
    "ReduceMax": global_pool(layers.GlobalMaxPooling2D, reduces=True),
    "ReduceMean": global_pool(layers.GlobalAveragePooling2D, reduces=True),
    "Relu": _activation("relu"),
    "Reshape": reshape,
    "Sigmoid": _activation("sigmoid"),
    "Softmax": _softmax,
    "Squeeze": squeeze,
    "Sub": _affine(_subtract, first=False),
    "Tanh": _activation("tanh"),
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
