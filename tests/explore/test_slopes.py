"""Numerical slopes beside the gradients of a pass, element by element, in both modes; and wrong layers that show."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import pooling_network

import tinycnn
from tinycnn import Sequential, layers, regularizers
from tinycnn.explore.slopes import NumericalSlopes
from tinycnn.kernels import reference

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(3, 8, 8, 1)).astype(np.float32), np.array([0, 3, 1])


def network(backend="reference", end=None, **compiled):
    """Return a network in float32 whose weights are all moved off their initial values."""
    tinycnn.set_seed(0)
    with tinycnn.use_backend(backend):
        model = Sequential(
            [
                layers.Input((8, 8, 1)),
                layers.Conv2D(3, 3, padding="same", activation="relu", kernel_regularizer=regularizers.L2(0.1)),
                layers.BatchNormalization(),
                layers.MaxPooling2D(2),
                layers.Conv2D(4, 3, activation="gelu"),
                layers.Dropout(0.4),
                layers.Flatten(),
                *(end or [layers.Dense(4, activation="softmax")]),
            ]
        )
    model.compile("adam", compiled.get("loss", "sparse_categorical_crossentropy"))
    rng = np.random.default_rng(1)
    model.set_weights([weight + 0.2 * rng.random(weight.shape) for weight in model.get_weights()])
    model.optimizer.iterations = 5  # so that masks are those of a later step
    return model


def every_array(model):
    """Yield the name and the shape of every array that has a gradient."""
    yield "x", model.input_shape
    for number, layer in enumerate(model.layers):
        yield f"{number}.y", layer.built_output_shape
        for name, parameter in layer.params.items():
            if parameter.trainable:
                yield f"{number}.{name}", parameter.value.shape


def drawn(shape, count=4, seed=0):
    rng = np.random.default_rng(seed)
    return [tuple(int(rng.integers(length)) for length in shape) for _ in range(count)]


def answers(model, slopes):
    """Return the answers for some elements of every array; JSON can hold them."""
    found = [slopes.at(name, index, seconds=60) for name, shape in every_array(model) for index in drawn(shape)]
    json.dumps(found, allow_nan=False)
    return found


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_gradients_of_the_loss_agree_in_every_array(training, backend):
    model = network(backend)
    before = model.get_weights()
    trace = model.trace(X, Y, training=training)
    found = answers(model, NumericalSlopes(model, X, Y, image=1, training=training))
    assert {one["verdict"] for one in found} <= {"agrees", "hidden", "kink"}
    assert sum(one["verdict"] == "agrees" for one in found) > 0.8 * len(found)
    assert max(one["relative_error"] for one in found if one["verdict"] == "agrees" and one["analytic"]) < 1e-2
    for one in found:
        number, _, name = one["array"].partition(".")
        index = tuple(one["index"])
        if one["array"] == "x":
            expected = trace[0].dx[(1, *index)]
        else:
            entry = trace[int(number)]
            expected = entry.dy[(1, *index)] if name == "y" else entry.gradients[name][index]
        assert one["analytic"] == expected
        assert abs(one["analytic_64"] - one["analytic"]) < 1e-4
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert model.optimizer.iterations == 5


@pytest.mark.parametrize("training", [False, True])
def test_gradients_of_a_score_agree_in_every_array(training):
    model = network()
    slopes = NumericalSlopes(model, X, score=2, image=1, training=training)
    found = answers(model, slopes)
    assert {one["verdict"] for one in found} <= {"agrees", "kink"}
    last = len(model.layers) - 1
    assert slopes.at(f"{last}.y", (2,))["numeric"] == pytest.approx(1), "the score is the one before the softmax"
    assert slopes.at(f"{last}.y", (1,))["numeric"] == 0
    assert slopes.at(f"{last}.bias", (2,))["analytic"] == 1
    assert any(one["analytic"] for one in found if one["array"] == "x")
    kernel = slopes.at("0.kernel", (0, 0, 0, 0))
    assert kernel["verdict"] == "agrees"
    model.layers[0].kernel_regularizer = None
    without = NumericalSlopes(model, X, score=2, image=1, training=training).at("0.kernel", (0, 0, 0, 0))
    assert kernel["analytic"] == without["analytic"], "the penalty on the weights is no part of a score"


ENDS = {
    "softmax layer": [layers.Dense(4), layers.Softmax()],
    "reshaped": [layers.Dense(4), layers.Softmax(), layers.Reshape((4,))],
    "sigmoid": [layers.Dense(1, activation="sigmoid")],
}


@pytest.mark.parametrize("end", ENDS)
def test_ends_that_the_loss_takes_over_or_not(end):
    binary = end == "sigmoid"
    model = network(
        end=[type(one).from_config(one.get_config()) for one in ENDS[end]],
        loss="mse" if binary else "sparse_categorical_crossentropy",
    )
    y = np.ones((3, 1), np.float32) if binary else Y
    for slopes in (NumericalSlopes(model, X, y), NumericalSlopes(model, X, score=0)):
        found = answers(model, slopes)
        assert {one["verdict"] for one in found} <= {"agrees", "kink", "hidden"}
        number = len(model.layers) - 1
        assert slopes.at(f"{number}.y", (0,))["verdict"] == "agrees"


def test_a_model_without_a_loss_has_scores():
    model = Sequential.from_config(network().get_config())
    assert NumericalSlopes(model, X, score=1).at("x", (3, 3, 0))["verdict"] == "agrees"
    with pytest.raises(RuntimeError, match="not compiled"):
        NumericalSlopes(model, X, Y)


def test_a_layer_alone_is_enough():
    model = Sequential([layers.Input((3,)), layers.Softmax()])
    model.compile("sgd", "sparse_categorical_crossentropy")
    slopes = NumericalSlopes(model, np.array([[0.1, 0.2, 0.3]]), [1])
    for name in ("x", "0.y"):  # the loss has taken over the softmax
        assert slopes.at(name, (1,))["verdict"] == "agrees"


# Kinks, rounding, time --------------------------------------------------------------------------------------------


def small(*made, shape=(2,)):
    with tinycnn.use_backend("reference"):
        model = Sequential([layers.Input(shape), *made])
        model.compile("sgd", "mse")
    return model


def test_a_relu_at_0_is_a_kink_with_two_slopes():
    model = small(layers.ReLU())
    slopes = NumericalSlopes(model, np.array([[0.0, 1.0]]), np.array([[-1.0, -1.0]]))
    found = slopes.at("x", (0,))
    assert found["verdict"] == "kink"
    assert (found["left"], found["right"]) == (0, pytest.approx(1, rel=1e-4))
    assert found["analytic"] == 0
    smooth = slopes.at("x", (1,))
    assert smooth["verdict"] == "agrees"
    assert smooth["numeric"] == pytest.approx(2)
    assert smooth["step"] == pytest.approx(1e-5)
    assert smooth["relative_error"] < 1e-6


def test_a_point_near_a_kink_is_measured_with_a_smaller_step():
    model = small(layers.ReLU())
    found = NumericalSlopes(model, np.array([[3e-6, 1.0]]), np.array([[-1.0, -1.0]])).at("x", (0,))
    assert found["verdict"] == "agrees"
    assert found["step"] < 3e-6


def test_a_tie_in_a_pool_is_a_kink():
    model = small(layers.GlobalMaxPooling2D(), shape=(2, 2, 1))
    slopes = NumericalSlopes(model, np.array([[[[1.0], [1.0]], [[0.0], [0.5]]]]), np.array([[0.0]]))
    first, second, other = (slopes.at("x", index) for index in ((0, 0, 0), (0, 1, 0), (1, 0, 0)))
    assert first["verdict"] == second["verdict"] == "kink"
    assert (first["analytic"], second["analytic"]) == (2, 0), "of equal values the first one wins"
    assert (first["left"], first["right"]) == (0, pytest.approx(2, rel=1e-4))
    assert other["verdict"] == "agrees"


def test_a_slope_of_0_is_no_error():
    model = small(layers.Dense(2), layers.BatchNormalization())
    x = np.random.default_rng(0).normal(size=(6, 2))
    found = NumericalSlopes(model, x, np.ones((6, 2)), training=True).at("0.bias", (0,))
    assert found["verdict"] in ("hidden", "agrees")
    assert abs(found["numeric"]) < 1e-8


def test_a_loss_that_is_nearly_0_is_no_error():
    model = network()
    model.layers[-1].params["kernel"].value[:, 0] += 1
    model.layers[-1].params["bias"].value[0] += 15
    slopes = NumericalSlopes(model, X[:1], Y[:1])
    found = [slopes.at("x", index) for index in drawn((8, 8, 1), 20)]
    assert {one["verdict"] for one in found} <= {"agrees", "hidden", "kink"}


def test_rounding_inside_a_layer_is_no_error():
    class Lossy(layers.Layer):
        def forward(self, x):
            return (x + x.dtype.type(1e8)) - x.dtype.type(1e8), None

        def backward(self, dy, cache):
            return dy * 1

    model = small(Lossy(), shape=(20,))
    x = np.random.default_rng(0).normal(size=(1, 20))
    slopes = NumericalSlopes(model, x, np.ones((1, 20)))
    # In float32 nothing would be left of these numbers, so that only the gradient in float64 is compared.
    assert {slopes.at("x", (i,))["verdict"] for i in range(20)} <= {"agrees", "hidden"}


def test_a_network_that_is_too_slow_is_not_measured():
    model = network()
    found = NumericalSlopes(model, X, Y).at("x", (0, 0, 0), seconds=1e-6)
    assert found["verdict"] == "slow"
    assert found["numeric"] is None
    assert found["seconds"] > 1e-6
    assert isinstance(found["analytic"], float)


def test_with_time_for_one_step_alone_a_kink_is_not_called_an_error():
    model = small(layers.ReLU())
    slopes = NumericalSlopes(model, np.array([[0.0, 1.0]]), np.array([[-1.0, -1.0]]))
    slopes._seconds = [1.0]
    assert [slopes.at("x", (0,), seconds=seconds)["verdict"] for seconds in (1, 3, 4)] == ["slow", "slow", "kink"]


def test_only_the_layers_behind_an_element_run_again():
    calls = []

    class Counting(layers.Layer):
        def forward(self, x):
            calls.append(self.name)
            return x * 1, None

        def backward(self, dy, cache):
            return dy * 1

    model = small(Counting(name="before"), layers.Dense(2), Counting(name="after"))
    slopes = NumericalSlopes(model, np.ones((1, 2)), np.zeros((1, 2)))
    for array, expected in (("1.kernel", {"after"}), ("0.y", {"after"}), ("2.y", set()), ("x", {"before", "after"})):
        calls.clear()
        slopes.at(array, (0, 0) if array == "1.kernel" else (0,))
        assert set(calls) == expected


# Wrong layers -----------------------------------------------------------------------------------------------------


class Square(layers.Layer):
    """``y = x * x`` with an error in its backward that ``fault`` names."""

    def __init__(self, fault, **base):
        super().__init__(**base)
        self.fault = fault

    def forward(self, x):
        return x * x, x

    def backward(self, dy, cache):
        dx = 2 * cache * dy
        if self.fault == "factor":
            dx = dx * dx.dtype.type(1.01)
        elif self.fault == "sign":
            dx = -dx
        elif self.fault == "element":
            dx[0, 1] += dx[0, 0]
        elif self.fault == "zero":
            dx = 0 * dx
        return dx


@pytest.mark.parametrize(
    ("fault", "wrong"), [(None, []), ("factor", [0, 1, 2]), ("sign", [0, 1, 2]), ("element", [1]), ("zero", [0, 1, 2])]
)
def test_a_wrong_backward_shows_before_the_layer_and_not_behind_it(fault, wrong):
    model = small(layers.Dense(3), Square(fault), layers.Dense(2), shape=(3,))
    rng = np.random.default_rng(0)
    slopes = NumericalSlopes(model, rng.normal(size=(1, 3)), rng.normal(size=(1, 2)))
    assert [i for i in range(3) if slopes.at("0.y", (i,))["verdict"] == "wrong"] == wrong
    assert [i for i in range(3) if slopes.at("1.y", (i,))["verdict"] != "agrees"] == []
    assert slopes.at("2.kernel", (0, 0))["verdict"] == "agrees"
    if fault == "factor":
        assert slopes.at("0.y", (0,))["relative_error"] == pytest.approx(0.01 / 1.01, rel=1e-3)
    if fault == "sign":
        assert slopes.at("0.y", (0,))["relative_error"] == pytest.approx(2, rel=1e-4)


def test_a_learners_kernel_is_compared_with_the_reference():
    def relu_backward(dy, y):
        return dy * 2 * (y > 0)

    tinycnn.set_seed(0)
    with tinycnn.use_backend(overlay=SimpleNamespace(relu_backward=relu_backward)):
        model = pooling_network(8)
        model.compile("sgd", "sparse_categorical_crossentropy")
    slopes = NumericalSlopes(model, X, Y)
    assert slopes.at("0.y", (2, 2, 0))["verdict"] in ("agrees", "kink")
    kernel = slopes.at("0.kernel", (1, 1, 0, 0))
    assert kernel["verdict"] == "wrong"
    assert kernel["analytic"] == pytest.approx(2 * kernel["numeric"], rel=1e-3)


def test_a_learners_wrong_forward_is_compared_with_the_reference_too():
    def dense_forward(x, w, b):
        return reference.dense_forward(x * 1.5, w, b).astype(x.dtype)

    with tinycnn.use_backend(overlay=SimpleNamespace(dense_forward=dense_forward)):
        tinycnn.set_seed(0)
        model = Sequential([layers.Input((3,)), layers.Dense(2)])
        model.compile("sgd", "mse")
    found = NumericalSlopes(model, np.ones((1, 3)), np.zeros((1, 2))).at("x", (0,))
    assert found["verdict"] == "wrong"


# Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "index", "kind", "message"),
    [
        ("y", (0,), KeyError, "no array 'y'.*to 6.y"),
        ("99.y", (0,), KeyError, "no array"),
        ("-1.y", (0,), KeyError, "no array"),
        ("0.gamma", (0,), KeyError, "no trained parameter 'gamma': it has kernel, bias"),
        ("1.moving_mean", (0,), KeyError, "no trained parameter"),
        ("3.bias", (0,), KeyError, "it is frozen"),
        ("2.kernel", (0,), KeyError, "it has none"),
        ("x", (8, 0, 0), ValueError, r"shape \(8, 8, 1\); there is no element \[8, 0, 0\]"),
        ("x", (-1, 0, 0), ValueError, "there is no element"),
        ("x", (0,), ValueError, "there is no element"),
        ("0.bias", (0.5,), TypeError, "float"),
    ],
)
def test_names_and_indices_are_checked(name, index, kind, message):
    model = network()
    model.layers[3].params["bias"].trainable = False
    with pytest.raises(kind, match=message):
        NumericalSlopes(model, X, Y).at(name, index)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "either y, .* or score"),
        ({"y": Y, "score": 1}, "either y, .* or score"),
        ({"score": 4}, "score must be .* from 0 to 3; got 4"),
        ({"y": Y, "image": 3}, "image must be .* from 0 to 2.*got 3"),
    ],
)
def test_what_to_measure_is_checked(given, message):
    with pytest.raises(ValueError, match=message):
        NumericalSlopes(network(), X, **given)
