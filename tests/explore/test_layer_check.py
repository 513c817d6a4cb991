"""A layer whose backward is wrong turns red, and no other one does."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from test_slopes import Square, X, network, small

import tinycnn
from tinycnn import layers, models
from tinycnn.explore.layer_check import check_layer


@pytest.mark.parametrize("training", [False, True])
def test_every_layer_of_a_right_network_is_right(training):
    model = network("cpu")
    before = model.get_weights()
    for number, layer in enumerate(model.layers):
        found = check_layer(model, number, X, training=training, elements=10)
        json.dumps(found, allow_nan=False)
        assert found["ok"], found
        assert found["name"] == layer.name
        assert set(found["arrays"]) == {"dx", *layer.params}
        assert all(array["message"] == "" for array in found["arrays"].values())
        assert found["arrays"]["dx"]["checked"] + found["arrays"]["dx"]["kinks"] == 10
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("fault", [None, "factor", "sign", "element", "zero"])
def test_a_wrong_backward_turns_its_layer_red(fault):
    model = small(layers.Dense(3), Square(fault), layers.Dense(2), shape=(3,))
    rng = np.random.default_rng(0)
    found = [check_layer(model, number, rng.normal(size=(1, 3))) for number in range(3)]
    assert [one["ok"] for one in found] == [True, fault is None, True]
    if fault == "element":
        assert "dx, the gradient by the input, is wrong at [0, 1]" in found[1]["arrays"]["dx"]["message"]


def test_the_sample_has_a_seed_and_a_limit_of_time():
    model = small(layers.Dense(3), Square("element"), layers.Dense(2), shape=(3,))
    found = [check_layer(model, 1, np.ones((1, 3)), elements=1, seed=seed)["ok"] for seed in range(8)]
    assert found == [check_layer(model, 1, np.ones((1, 3)), elements=1, seed=seed)["ok"] for seed in range(8)]
    assert len(set(found)) == 2
    assert check_layer(model, 0, np.ones((1, 3)), seconds=1e-9)["arrays"]["kernel"]["checked"] == 1


def test_a_wrong_parameter_of_a_learners_kernel():
    def dense_backward_weights(dy, x):
        return x.T @ dy, dy.mean(axis=0)

    with tinycnn.use_backend(overlay=SimpleNamespace(dense_backward_weights=dense_backward_weights)):
        model = tinycnn.Sequential([layers.Input((3,)), layers.Dense(2), layers.Dense(2, use_bias=False)])
    found = check_layer(model, 0, np.random.default_rng(0).normal(size=(4, 3)))
    assert {name: array["ok"] for name, array in found["arrays"].items()} == {"dx": True, "kernel": True, "bias": False}
    assert check_layer(model, 1, np.ones((4, 3)))["ok"]


class Failing(layers.Layer):
    """A layer that fails in the way that ``how`` names."""

    def __init__(self, how, **base):
        super().__init__(**base)
        self.how = how

    def forward(self, x, training=False):
        if self.how == "in float32":
            return x.astype(np.float32), None
        if self.how == "at random":
            return x + np.random.default_rng().random(), None
        return x * 1, None

    def backward(self, dy, cache):
        return [][0] if self.how == "with an exception" else dy * 1


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("in float32", "forward returned float32"),
        ("at random", "two forwards of the same input differ"),
        ("with an exception", "IndexError: list index out of range"),
    ],
)
def test_layers_that_cannot_be_checked_are_red_with_a_reason(how, message):
    with tinycnn.use_backend("reference"):
        model = tinycnn.Sequential([layers.Input((3,)), Failing(how)])
    found = check_layer(model, 0, np.ones((1, 3)))
    assert not found["ok"]
    assert message in found["arrays"]["dx"]["message"]


def test_kinks_are_counted():
    model = small(layers.ReLU())
    found = check_layer(model, 0, np.array([[0.0, 1.0]]))
    assert found["ok"]
    assert (found["arrays"]["dx"]["checked"], found["arrays"]["dx"]["kinks"]) == (1, 1)


def test_an_input_that_is_not_finite_is_red_with_a_reason():
    model = small(layers.Dense(2), layers.Dense(2))
    model.layers[0].params["bias"].value[0] = np.nan
    assert "NaN or infinity" in check_layer(model, 1, np.ones((1, 2)))["arrays"]["dx"]["message"]


def test_there_is_no_such_layer():
    with pytest.raises(KeyError, match="numbered from 0 to 6"):
        check_layer(network(), 7, X)


@pytest.mark.slow
@pytest.mark.parametrize("name", models.names())
def test_no_layer_of_the_documented_networks_is_red(name):
    model = models.build(name)
    x = np.random.default_rng(0).uniform(0, 1, (1, *model.input_shape)).astype(np.float32)
    for number in range(len(model.layers)):
        found = check_layer(model, number, x, elements=5, seconds=1)
        assert found["ok"], found
