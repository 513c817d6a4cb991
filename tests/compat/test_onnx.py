"""Run the operator test cases of the ONNX standard, which the ``onnx`` package builds in memory.

The cases are in float32 and channels first. Every case for whose attributes tinycnn has an equivalent runs on every
backend. The others are listed in ``UNSUPPORTED`` with the reason. That list is checked, so no case drops out of the
comparison unnoticed.
"""

import math
from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
import pytest
from compat_helpers import require, with_pads

from tinycnn import layers, losses, optimizers
from tinycnn.core.backend import BACKENDS, Backend
from tinycnn.kernels.geometry import same_pads

onnx = require("onnx")

#: The smallest number of cases that must run for each operator, so that an empty collection cannot pass.
MINIMUM = {
    "Adam": 2,
    "AveragePool": 9,
    "BatchNormalization": 4,
    "Conv": 6,
    "Elu": 3,
    "Gelu": 2,
    "Gemm": 7,
    "GlobalAveragePool": 2,
    "GlobalMaxPool": 2,
    "LeakyRelu": 3,
    "MaxPool": 12,
    "Momentum": 3,
    "Relu": 1,
    "Sigmoid": 2,
    "Softmax": 5,
    "SoftmaxCrossEntropyLoss": 10,
    "Tanh": 2,
}

NOT_AN_IMAGE = "one or three spatial axes; tinycnn has images"
DILATED_POOL = "dilated pooling"
COUNTED_PADS = "pads that count in the average; in Keras they never do"
CLASS_WEIGHTS = "weights by class"
IGNORED_CLASS = "a class that is left out (ignore_index)"
SCALED = "alpha or beta"
BIAS_BY_SAMPLE = "a bias of its own for each sample"
INTEGERS = "integers; kernels take floats"
OTHER_AXIS = "an axis other than the last"
GELU_BY_TANH = "the approximation by tanh"
DAMPENING = "a weight of the gradient in the momentum (beta)"

UNSUPPORTED = {
    "AveragePool": {
        "test_averagepool_1d_default": NOT_AN_IMAGE,
        "test_averagepool_3d_default": NOT_AN_IMAGE,
        "test_averagepool_3d_dilations_small": NOT_AN_IMAGE,
        "test_averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_True": NOT_AN_IMAGE,
        "test_averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_False": NOT_AN_IMAGE,
        "test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True": NOT_AN_IMAGE,
        "test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_False": NOT_AN_IMAGE,
        "test_averagepool_2d_dilations": DILATED_POOL,
        "test_averagepool_2d_precomputed_pads_count_include_pad": COUNTED_PADS,
        "test_averagepool_2d_pads_count_include_pad": COUNTED_PADS,
        "test_averagepool_2d_ceil_last_window_starts_on_pad": COUNTED_PADS,
    },
    "Gelu": {
        "test_gelu_tanh_1": GELU_BY_TANH,
        "test_gelu_tanh_2": GELU_BY_TANH,
    },
    "Gemm": {
        "test_gemm_alpha": SCALED,
        "test_gemm_beta": SCALED,
        "test_gemm_all_attributes": SCALED,
        "test_gemm_default_matrix_bias": BIAS_BY_SAMPLE,
    },
    "MaxPool": {
        "test_maxpool_2d_uint8": INTEGERS,
        "test_maxpool_1d_default": NOT_AN_IMAGE,
        "test_maxpool_3d_default": NOT_AN_IMAGE,
        "test_maxpool_3d_dilations": NOT_AN_IMAGE,
        "test_maxpool_3d_dilations_use_ref_impl": NOT_AN_IMAGE,
        "test_maxpool_3d_dilations_use_ref_impl_large": NOT_AN_IMAGE,
        "test_maxpool_2d_dilations": DILATED_POOL,
    },
    "Softmax": {
        "test_softmax_axis_0": OTHER_AXIS,
        "test_softmax_axis_1": OTHER_AXIS,
    },
    "SoftmaxCrossEntropyLoss": {
        f"test_sce_{name}{suffix}": reason
        for reason, names in {
            CLASS_WEIGHTS: [
                "none_weights",
                "mean_weight",
                "mean_weight_ii",
                "mean_weight_ii_3d",
                "mean_weight_ii_4d",
                "NCd1d2d3d4d5_mean_weight",
                "NCd1_mean_weight_negative_ii",
                "NCd1d2d3_sum_weight_high_ii",
            ],
            IGNORED_CLASS: [
                "mean_no_weight_ii",
                "mean_no_weight_ii_3d",
                "mean_no_weight_ii_4d",
                "NCd1d2d3_none_no_weight_negative_ii",
            ],
        }.items()
        for name in names
        for suffix in ("", "_log_prob")
    },
}


class Case(NamedTuple):
    """One case: its name, the attributes of its only node, and the inputs and outputs in the operator's order."""

    name: str
    attributes: dict[str, Any]
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]


class UnsupportedError(Exception):
    """Raised if tinycnn has no equivalent for what a case needs; the text says for what."""


@pytest.fixture(scope="session")
def cases():
    """Return a function from an operator to its cases.

    The collector builds the cases while it imports its modules, so it works only once in a process.
    """
    from onnx.backend.test.case.node import collect_testcases

    with np.errstate(all="ignore"):  # some cases divide by zero on purpose
        collected = collect_testcases(None)
    by_operator = defaultdict(list)
    for case in collected:
        nodes = case.model.graph.node
        if len(nodes) == 1 and not case.name.endswith("_expanded"):
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in nodes[0].attribute}
            by_operator[nodes[0].op_type].append(Case(case.name, attributes, *case.data_sets[0]))
    return by_operator.__getitem__  # not the table itself, which a failing test would print


OPERATORS = {}


def operator(name):
    """Register a function for an operator: it takes (case, backend) and yields pairs (found, expected)."""

    def register(function):
        OPERATORS[name] = function
        return function

    return register


def outcome(case, name, backend):
    """Return None if a case passes, or else what is wrong with it; raise UnsupportedError if it cannot run."""
    for found, expected in OPERATORS[name](case, backend):
        try:
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, equal_nan=False)
        except AssertionError as error:
            return f"{case.name} {case.attributes}: {error}"
    return None


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", sorted(MINIMUM))
def test_operator(name, backend, cases):
    ran, wrong = 0, []
    for case in cases(name):
        try:
            problem = outcome(case, name, Backend(backend))
        except UnsupportedError:
            continue
        ran += 1
        wrong += [problem] if problem else []
    assert not wrong, "\n\n".join(wrong)
    assert ran >= MINIMUM[name], f"only {ran} cases of {name} ran"


@pytest.mark.parametrize("name", sorted(MINIMUM))
def test_what_does_not_run_is_listed(name, cases):
    unsupported = {}
    for case in cases(name):
        try:
            outcome(case, name, Backend("reference"))
        except UnsupportedError as reason:
            unsupported[case.name] = str(reason)
    assert unsupported == UNSUPPORTED.get(name, {})


# Operators -----------------------------------------------------------------------------------------------------


def built(layer, input_shape, backend, weights=()):
    """Build a layer for float32, with given weights in Keras's order."""
    layer.build(tuple(input_shape), dtype="float32", backend=backend)
    for value, given in zip(layer.weights().values(), weights, strict=True):
        value[...] = given
    return layer


def forward(layer, x, backend, weights=(), training=False):
    """Return the result of a layer for a batch, and the layer."""
    built(layer, x.shape[1:], backend, weights)
    return layer.forward(x, training=training)[0], layer


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def channels_first(y):
    return y.transpose(0, 3, 1, 2)


def geometry(case, size, kernel):
    """Return strides, dilation, and pads as (top, bottom, left, right), in whichever way ONNX gives them."""
    strides, dilation = case.attributes.get("strides", [1, 1]), case.attributes.get("dilations", [1, 1])
    top, left, bottom, right = case.attributes.get("pads", [0, 0, 0, 0])
    pads = top, bottom, left, right
    auto = case.attributes.get("auto_pad", b"NOTSET")
    if auto.startswith(b"SAME"):
        pads = same_pads(size, kernel, strides, dilation)
        if auto == b"SAME_LOWER":  # the odd row or column comes first
            pads = pads[1], pads[0], pads[3], pads[2]
    if case.attributes.get("ceil_mode"):
        pads = list(pads)
        for axis, (length, k, s) in enumerate(zip(size, kernel, strides, strict=True)):
            before, after = pads[2 * axis : 2 * axis + 2]
            outputs = math.ceil((length + before + after - k) / s) + 1
            outputs -= (outputs - 1) * s >= length + before  # a last window that covers pads alone does not count
            pads[2 * axis + 1] = max(after, (outputs - 1) * s + k - length - before)
    return tuple(strides), tuple(dilation), tuple(pads)


@operator("Conv")
def conv(case, backend):
    x, w, *b = case.inputs
    kernel, size = w.shape[2:], x.shape[2:]
    strides, dilation, pads = geometry(case, size, kernel)
    layer = layers.Conv2D(
        len(w),
        kernel,
        strides=strides,
        dilation_rate=dilation,
        groups=case.attributes.get("group", 1),
        use_bias=bool(b),
    )
    y, _ = forward(with_pads(layer, pads), channels_last(x), backend, [w.transpose(2, 3, 1, 0), *b])
    yield channels_first(y), case.outputs[0]


def pool(layer_class, case, backend):
    """Return the result of a pooling layer, its cache, its kernel size, its strides and its pads."""
    (x,) = case.inputs
    if x.ndim != 4:
        raise UnsupportedError(NOT_AN_IMAGE)
    if x.dtype.kind != "f":
        raise UnsupportedError(INTEGERS)
    if set(case.attributes.get("dilations", [1])) != {1}:
        raise UnsupportedError(DILATED_POOL)
    kernel = tuple(case.attributes["kernel_shape"])
    strides, _, pads = geometry(case, x.shape[2:], kernel)
    layer = with_pads(layer_class(kernel, strides), pads)
    built(layer, (*x.shape[2:], x.shape[1]), backend)
    y, cache = layer.forward(channels_last(x), training=True)
    return channels_first(y), cache, kernel, strides, pads


@operator("MaxPool")
def max_pool(case, backend):
    """Compare the winners too: ONNX gives their index in the whole input, tinycnn's cache their place in the window."""
    y, cache, kernel, strides, pads = pool(layers.MaxPooling2D, case, backend)
    yield y, case.outputs[0]
    if len(case.outputs) > 1:
        _, _, H, W = case.inputs[0].shape
        n, c, i, j = np.indices(y.shape)
        tap = channels_first(cache.argmax)
        row, column = i * strides[0] + tap // kernel[1] - pads[0], j * strides[1] + tap % kernel[1] - pads[2]
        by_column = case.attributes.get("storage_order", 0)
        place = column * H + row if by_column else row * W + column
        yield (n * y.shape[1] + c) * H * W + place, case.outputs[1]


@operator("AveragePool")
def average_pool(case, backend):
    if case.inputs[0].ndim == 4 and case.attributes.get("count_include_pad"):
        raise UnsupportedError(COUNTED_PADS)
    yield pool(layers.AveragePooling2D, case, backend)[0], case.outputs[0]


def global_pool(layer_class):
    def run(case, backend):
        y, _ = forward(layer_class(), channels_last(case.inputs[0]), backend)
        yield y.reshape(*y.shape[:1], -1), case.outputs[0][:, :, 0, 0]

    return run


operator("GlobalAveragePool")(global_pool(layers.GlobalAveragePooling2D))
operator("GlobalMaxPool")(global_pool(layers.GlobalMaxPooling2D))


@operator("BatchNormalization")
def batch_normalization(case, backend):
    """Compare moving statistics too: as in tinycnn, the variance is divided by M, and momentum is what stays."""
    x, *weights = case.inputs
    layer = layers.BatchNormalization(
        momentum=case.attributes.get("momentum", 0.9), epsilon=case.attributes.get("epsilon", 1e-5)
    )
    y, layer = forward(layer, channels_last(x), backend, weights, training=bool(case.attributes.get("training_mode")))
    yield channels_first(y), case.outputs[0]
    yield from zip(layer.buffers.values(), case.outputs[1:], strict=False)


@operator("Gemm")
def gemm(case, backend):
    if {case.attributes.get("alpha", 1.0), case.attributes.get("beta", 1.0)} != {1.0}:
        raise UnsupportedError(SCALED)
    a, b, *c = case.inputs
    a, b = (m.T if case.attributes.get(t) else m for m, t in ((a, "transA"), (b, "transB")))
    if c and c[0].size not in (1, b.shape[1]):
        raise UnsupportedError(BIAS_BY_SAMPLE)
    bias = [np.broadcast_to(value.reshape(-1), b.shape[1:]) for value in c]
    yield forward(layers.Dense(b.shape[1], use_bias=bool(c)), a, backend, [b, *bias])[0], case.outputs[0]


@operator("Softmax")
def softmax(case, backend):
    (x,) = case.inputs
    if case.attributes.get("axis", -1) not in (-1, x.ndim - 1):
        raise UnsupportedError(OTHER_AXIS)
    yield forward(layers.Softmax(), x, backend)[0], case.outputs[0]


def activation(name):
    def run(case, backend):
        (x,) = case.inputs
        x = np.atleast_2d(x)  # a single sample
        yield forward(layers.Activation(name), x, backend)[0].reshape(case.outputs[0].shape), case.outputs[0]

    return run


operator("Relu")(activation("relu"))
operator("Sigmoid")(activation("sigmoid"))
operator("Tanh")(activation("tanh"))


@operator("Elu")
def elu(case, backend):
    layer = layers.ELU(alpha=case.attributes.get("alpha", 1.0))
    y, _ = forward(layer, np.atleast_2d(case.inputs[0]), backend)
    yield y.reshape(case.outputs[0].shape), case.outputs[0]


@operator("Gelu")
def gelu(case, backend):
    if case.attributes.get("approximate", b"none") != b"none":
        raise UnsupportedError(GELU_BY_TANH)
    yield from activation("gelu")(case, backend)


@operator("LeakyRelu")
def leaky_relu(case, backend):
    layer = layers.LeakyReLU(negative_slope=case.attributes.get("alpha", 0.01))
    y, _ = forward(layer, np.atleast_2d(case.inputs[0]), backend)
    yield y.reshape(case.outputs[0].shape), case.outputs[0]


@operator("SoftmaxCrossEntropyLoss")
def softmax_cross_entropy(case, backend):
    """Move the classes from the second axis to the last; each place on the axes between is then a sample."""
    logits, labels, *weights = case.inputs
    if weights:
        raise UnsupportedError(CLASS_WEIGHTS)
    if "ignore_index" in case.attributes:
        raise UnsupportedError(IGNORED_CLASS)
    rows = np.moveaxis(logits, 1, -1)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    flat = np.ascontiguousarray(rows.reshape(-1, rows.shape[-1]))
    targets = loss.check_targets(labels.reshape(-1), len(flat), flat.shape[1:])
    each, cache = loss.forward(flat, targets, backend)
    reduce = {b"none": lambda e: e.reshape(labels.shape), b"sum": np.sum, b"mean": np.mean}
    yield reduce[case.attributes["reduction"]](each), case.outputs[0]
    if len(case.outputs) > 1:
        yield np.moveaxis(np.log(cache.p).reshape(rows.shape), -1, 1), case.outputs[1]


def stepped(optimizer, case, slots, weights, gradients, backend):
    """Take one step of tinycnn from the state of a case; like ONNX, first add L2 regularisation to the gradient."""
    parameters = {}
    for i, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
        parameters[str(i)] = layers.Parameter(weight.copy())
        parameters[str(i)].grad[...] = gradient + case.attributes.get("norm_coefficient", 0.0) * weight
        optimizer.slots[str(i)] = [slot[i].copy() for slot in slots]
    optimizer.step(parameters, backend)
    return [p.value for p in parameters.values()], [list(s) for s in zip(*optimizer.slots.values(), strict=True)]


@operator("Adam")
def adam(case, backend):
    """Use Keras's formula, which ONNX shares: epsilon is added to the root of the uncorrected v."""
    rate, step, *state = case.inputs
    alpha, beta = case.attributes["alpha"], case.attributes["beta"]
    assert "norm_coefficient_post" not in case.attributes
    rate = float(rate)
    if step == 0:  # ONNX then leaves out the bias correction; tinycnn counts from 1 and always has it
        step, rate = 1, rate * (1 - alpha) / math.sqrt(1 - beta)
    weights, gradients, m, v = parts(state, 4)
    optimizer = optimizers.Adam(rate, alpha, beta, case.attributes["epsilon"])
    optimizer.iterations = int(step) - 1
    weights, (m, v) = stepped(optimizer, case, (m, v), weights, gradients, backend)
    yield from zip([*weights, *m, *v], case.outputs, strict=True)


def parts(arrays, count):
    """Cut a list into ``count`` lists of equal length."""
    length = len(arrays) // count
    return [arrays[i * length : (i + 1) * length] for i in range(count)]


@operator("Momentum")
def momentum(case, backend):
    """Translate the velocity, which has no rate in ONNX and points uphill: ``v_keras = -rate * v_onnx``."""
    rate, step, *state = case.inputs
    if step > 0 and case.attributes["beta"] != 1:
        raise UnsupportedError(DAMPENING)
    weights, gradients, velocity = parts(state, 3)
    optimizer = optimizers.SGD(float(rate), case.attributes["alpha"], nesterov=case.attributes["mode"] == b"nesterov")
    weights, (velocity,) = stepped(optimizer, case, ([-rate * v for v in velocity],), weights, gradients, backend)
    yield from zip([*weights, *(v / -rate for v in velocity)], case.outputs, strict=True)
