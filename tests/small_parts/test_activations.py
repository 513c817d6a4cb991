"""Activations as layers use them: what they keep for backward, their constants, and memory.

The values themselves are tested in test_kernels_reference.py.
"""

import json

import numpy as np
import pytest

import tinycnn
from tinycnn import activations, layers
from tinycnn.core.workspace import Workspace

NAMES = pytest.mark.parametrize("name", sorted(activations.ACTIVATIONS))


@NAMES
def test_names(name):
    function = activations.get(name)
    assert type(activations.get(type(function).__name__)) is type(function)
    assert activations.get(function) is function
    assert function.describe() == name


def test_none_is_linear_and_others_are_named():
    assert activations.get(None).name == "linear"
    with pytest.raises(ValueError, match="unknown activation 'tanhh'; did you mean 'tanh'"):
        activations.get("tanhh")


def test_other_constants_are_saved_and_used():
    layer = layers.Dense(2, activation=activations.LeakyReLU(negative_slope=0.5))
    again = layers.deserialize(json.loads(json.dumps(layers.serialize(layer))))
    assert again.activation.negative_slope == 0.5
    again.build((2,))
    again.params["kernel"].value[...] = np.eye(2)
    np.testing.assert_array_equal(again.forward(np.array([[-2, 3]], np.float32))[0], [[-1, 3]])


def test_keras_two_slopes():
    """Keras's default is 0.3 for the layer and 0.2 for the function of the same name."""
    x = np.array([[-1.0]], np.float32)
    for layer, expected in ((layers.LeakyReLU(), -0.3), (layers.Activation("leaky_relu"), -0.2)):
        layer.build((1,))
        assert layer.forward(x)[0] == np.float32(expected)


@NAMES
@pytest.mark.parametrize("make", [lambda name: layers.Dense(5, activation=name), layers.Activation])
def test_memory_reused_from_step_to_step_changes_nothing(name, make):
    """This holds in particular for a function that keeps its input, because its result needs memory of its own."""
    layer, ws, rng = make(name), Workspace(), np.random.default_rng(0)
    layer.build((5,), dtype="float64")
    for _ in range(2):
        x, dy = rng.normal(size=(2, 4, 5))
        y, cache = layer.forward(x, training=True)
        expected = [y, layer.backward(dy, cache), *(p.grad.copy() for p in layer.params.values())]
        y, cache = layer.forward(x, training=True, ws=ws)
        y = y.copy()
        found = [y, layer.backward(dy.copy(), cache, ws=ws), *(p.grad for p in layer.params.values())]
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_only_gelu_costs_a_second_array():
    """Each keeps one array for backward. If that is x and not y, y is kept as well, as the next layer's x."""
    sizes = {}
    for name in ("tanh", "gelu"):
        model = tinycnn.Sequential([layers.Input((5,)), layers.Dense(6, activation=name), layers.Dense(2)])
        sizes[name] = sum(tinycnn.inspection.summary.cache_bytes(model))
    assert sizes["gelu"] == sizes["tanh"] + 4 * 6
