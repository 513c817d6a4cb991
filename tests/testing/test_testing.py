"""Test tinycnn.testing itself: what it reports, what it refuses, and what its strategies draw."""

import subprocess
import sys
import time

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

import tinycnn
from tinycnn import Sequential, initializers, layers, losses, regularizers, testing
from tinycnn.testing import strategies
from tinycnn.testing.slopes import Slopes, judge

X = np.random.default_rng(0).normal(size=(2, 4, 4, 2))


class Wrong(layers.Dense):
    """A dense layer whose weight gradient is 0.1 % too large."""

    def backward(self, dy, cache, *, ws=None):
        dx = super().backward(dy, cache, ws=ws)
        self.params["kernel"].grad *= 1.001
        return dx


class Nonsense(layers.Layer):
    """A layer with one of the mistakes that a user may make."""

    def __init__(self, mistake, **base):
        super().__init__(**base)
        self.mistake = mistake
        self.calls = 0

    def forward(self, x, *, training=False, step=0, ws=None):
        self.calls += 1
        if self.mistake == "random":
            return x * self.calls, (x,)
        if self.mistake == "mutates":
            x += 1
        if self.mistake == "shape":
            return x[..., :1], (x,)
        return 2 * x, ((x,) if training or self.mistake == "cache" else None)

    def backward(self, dy, cache, *, ws=None):
        if self.mistake == "nan":
            return dy * np.nan
        if self.mistake == "narrow":
            return dy[..., :1]
        return 2 * dy


# Reports


def test_a_report_is_a_table():
    report = testing.check_gradients(layers.Conv2D(3, 2, activation="relu"), X)
    assert report.ok
    assert [row.array for row in report.rows] == ["dx", "kernel", "bias"]
    assert [row.checked + row.kinks for row in report.rows] == [X.size, 24, 3]
    assert report.largest_error < 1e-6
    text = str(report)
    assert "dy drawn with seed 0" in text
    assert "2×4×4×2" in text
    assert text.splitlines()[-1] == f"all {X.size + 27} elements agree"


def test_a_failure_names_everything():
    with pytest.raises(AssertionError) as error:
        testing.check_gradients(Wrong(3, name="mine"), X[:, 0, 0], seed=7)
    text = str(error.value)
    assert "Wrong 'mine': the gradient of kernel is wrong at [" in text
    assert "backward says" in text
    assert "the difference quotient" in text
    assert "relative error 0.001" in text
    assert "6 wrong elements in 6 (dy drawn with seed 7)" in text
    assert "bias" not in text


def test_nan_and_shapes_fail():
    with pytest.raises(AssertionError, match="backward says nan"):
        testing.check_gradients(Nonsense("nan"), X)
    with pytest.raises(AssertionError, match=r"backward returned an array of shape \(2, 4, 4, 1\)"):
        testing.check_gradients(Nonsense("narrow"), X)


def test_kinks_are_counted_and_not_skipped():
    x = np.array([[0.0, 1.0, -2.0, 0.0]])
    report = testing.check_gradients(layers.ReLU(), x)
    assert (report.kinks, report.rows[0].checked) == (2, 2)

    class Slope3(layers.ReLU):
        """At the kink any slope from 0 to 1 is a gradient; 3 is not."""

        def backward(self, dy, cache, *, ws=None):
            return np.where(x > 0, dy, 3 * dy * (x == 0))

    with pytest.raises(AssertionError, match=r"wrong at \[0, 0\]|wrong at \[0, 3\]"):
        testing.check_gradients(Slope3(), x)


def test_ties_of_a_pool_are_kinks_that_add_up():
    x = np.zeros((1, 2, 2, 1))
    assert testing.check_gradients(layers.MaxPooling2D(2), x).kinks == 4

    class ToBoth(layers.MaxPooling2D):
        def backward(self, dy, cache, *, ws=None):
            return np.broadcast_to(dy, (1, 2, 2, 1)).copy()

    with pytest.raises(AssertionError, match="dx, the gradient by the input, is wrong"):
        testing.check_gradients(ToBoth(2), x)


def test_a_kink_near_by_is_no_excuse():
    x = np.array([[3e-6, 1.0]])  # within the first step of ReLU's kink, not at it
    report = testing.check_gradients(layers.ReLU(), x)
    assert (report.kinks, report.rows[0].checked) == (0, 2)


def test_dead_pixels_in_a_network_are_kinks():
    """If a ReLU outputs only zeros and the next biases are 0, the next layer is exactly at its kink everywhere."""
    model = Sequential([layers.Input((4, 4, 1))], dtype="float64")
    model.add(layers.Conv2D(2, 3, activation="relu", kernel_initializer="ones"))
    model.add(layers.Conv2D(2, 2, activation="relu", bias_initializer="zeros"))
    model.add(layers.Flatten())
    model.add(layers.Dense(3, activation="softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = np.full((1, 4, 4, 1), -1.0)
    report = testing.check_gradients(model, x, [1])
    assert report.kinks > 0
    before = model.get_weights()
    [row] = testing.check_directional(model, x, [1]).rows
    assert (row.checked, row.kinks) == (1, 1)  # counted, and checked a little away from it
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


# Refusals


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: testing.check_gradients(layers.ReLU(), X.astype("float32")), TypeError, "rounding hides errors"),
        (lambda: testing.check_gradients(layers.ReLU(), X * np.inf), ValueError, "holds NaN or infinity"),
        (lambda: testing.check_gradients(layers.ReLU, X), TypeError, "with parentheses"),
        (lambda: testing.check_gradients("relu", X), TypeError, "takes a layer, a Sequential or a loss"),
        (lambda: testing.check_gradients(Nonsense("random"), X), RuntimeError, "two forwards of the same input differ"),
        (
            lambda: testing.check_gradients(losses.SparseCategoricalCrossentropy(), X[:, 0, 0]),
            ValueError,
            "needs labels",
        ),
    ],
)
def test_refusals(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_a_layer_built_in_float32_or_for_another_shape_is_refused():
    layer = layers.Dense(2)
    layer.build((3,))
    with pytest.raises(TypeError, match="built in float32"):
        testing.check_gradients(layer, np.ones((1, 3)))
    layer = layers.Dense(2)
    layer.build((3,), dtype="float64")
    with pytest.raises(ValueError, match=r"x: .*built for samples of shape \(3,\); got samples of shape \(4,\)"):
        testing.check_gradients(layer, np.ones((1, 4)))


def test_directional_check_finds_a_wrong_layer():
    model = Sequential([layers.Input((4,)), Wrong(8, "relu"), layers.Dense(3, "softmax")], dtype="float64")
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = np.random.default_rng(1).normal(size=(6, 4)), [0, 1, 2, 0, 1, 2]
    with pytest.raises(AssertionError, match="along a random direction"):
        testing.check_directional(model, x, y, rtol=1e-5)


@pytest.mark.parametrize("right", [0, 1, 1.01])
def test_directional_check_does_not_pass_what_rounding_hides(right):
    """The slope of this loss is about 1e-10, which is less than its rounding."""
    shrink = Own(lambda x: 1e-10 * x, lambda dy, x: right * 1e-10 * dy)
    model = Sequential([layers.Input((4,)), layers.Dense(8), shrink, layers.Dense(3, "softmax")], dtype="float64")
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = np.random.default_rng(1).normal(size=(6, 4)), [0, 1, 2, 0, 1, 2]
    with pytest.raises(AssertionError, match="nothing can be checked, because the loss hides its own changes"):
        testing.check_directional(model, x, y)


@pytest.mark.parametrize("kind", [layers.Dense, Wrong])
def test_directional_check_leaves_a_place_without_a_slope(kind):
    """Where two equal images have different labels, every gradient is 0, right or wrong."""
    model = Sequential([layers.Input((4,)), kind(2, "softmax", kernel_initializer="zeros")], dtype="float64")
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = np.repeat(np.random.default_rng(1).normal(size=(1, 4)), 2, axis=0)
    before = model.get_weights()
    if kind is Wrong:
        with pytest.raises(AssertionError, match="the loss changes by"):
            testing.check_directional(model, x, [0, 1])
    else:
        [row] = testing.check_directional(model, x, [0, 1]).rows
        assert (row.checked, row.kinks, row.hidden) == (1, 0, 0)
    assert all(map(np.array_equal, model.get_weights(), before))


class Own(layers.Layer):
    """A layer whose forward and backward are given as functions of x, and of dy and x."""

    def __init__(self, forward, backward, size=None, **base):
        super().__init__(**base)
        self.give, self.give_back, self.size = forward, backward, size

    def output_shape(self, input_shape):
        return input_shape if self.size is None else (self.size,)

    def forward(self, x, *, training=False, step=0, ws=None):
        return self.give(x), ((x,) if training else None)

    def backward(self, dy, cache, *, ws=None):
        return self.give_back(dy, cache[0])


def multiply_in_place(dy, x):
    x *= -17 * dy
    return x


@pytest.mark.parametrize(
    ("forward", "backward", "which"),
    [
        (np.square, multiply_in_place, "backward"),
        (lambda x: np.abs(x, out=x), lambda dy, x: dy, "forward"),
        (lambda x: np.maximum(x, 0, out=x), lambda dy, x: dy, "forward"),
    ],
)
def test_a_layer_that_changes_its_input_cannot_hide_behind_that(forward, backward, which):
    with pytest.raises(AssertionError, match=f"{which} changed its input in place"):
        testing.check_gradients(Own(forward, backward), X.copy())


def test_a_layer_that_changes_a_parameter_is_found():
    class Drifts(layers.Dense):
        def forward(self, x, **given):
            self.params["kernel"].value += 1
            return super().forward(x, **given)

    with pytest.raises(AssertionError, match="forward changed the parameter kernel in place"):
        testing.check_gradients(Drifts(2), X)


@pytest.mark.parametrize(
    ("forward", "slope", "error"),
    [
        (lambda x: 1e-6 * x, 1e-6, 0.001),
        (lambda x: 1e-9 * x, 1e-9, 0.001),
        (lambda x: 1e-9 * x, 1e-9, 1.0),
        (lambda x: 1e-100 * x, 1e-100, 0.001),
        (lambda x: 1e-200 * x, 1e-200, 0.001),
        (lambda x: 1e200 * x, 1e200, 0.001),
        (lambda x: x + 1e4, 1.0, 0.005),
        (lambda x: x + 1e3, 1.0, 0.001),
        (lambda x: x, 1.0, 0.001),
    ],
)
def test_rounding_elsewhere_does_not_hide_an_error(forward, slope, error):
    x = np.random.default_rng(3).normal(size=(2, 8, 8, 8))
    testing.check_gradients(Own(forward, lambda dy, _: slope * dy), x)
    with pytest.raises(AssertionError, match="dx, the gradient by the input, is wrong"):
        testing.check_gradients(Own(forward, lambda dy, _: slope * (1 - error) * dy), x)


@pytest.mark.parametrize("size", [1e-3, 1e-7, 1e-9, 1e-30])
@pytest.mark.parametrize(
    ("forward", "backward"),
    [
        (np.square, lambda dy, x: 2 * x * dy),
        (lambda x: np.maximum(x, 0), lambda dy, x: dy * (x > 0)),
        (lambda x: x + 1, lambda dy, x: dy),
    ],
)
def test_tiny_inputs_are_checked_as_strictly(size, forward, backward):
    x = size * np.random.default_rng(5).normal(size=(3, 4, 4, 2))
    testing.check_gradients(Own(forward, backward), x.copy())
    for factor in (0, 1.01):
        with pytest.raises(AssertionError, match="dx, the gradient by the input, is wrong"):
            testing.check_gradients(Own(forward, lambda dy, x, factor=factor: factor * backward(dy, x)), x.copy())


@pytest.mark.parametrize("size", [1, 1e-3, 1e-9])
def test_tiny_gradients_of_parameters_and_losses_are_checked_as_strictly(size):
    for error in (0, 0.01, 1):

        def give_back(dy, x, w, dw, right=1 - error):
            dw[...] = right * size * (dy * x).sum(axis=(0, 1, 2))
            return size * dy * w

        weighed = Weighed(lambda x, w: size * x * w, give_back)
        if error:
            with pytest.raises(AssertionError, match="the gradient of w is wrong"):
                testing.check_gradients(weighed, X.copy())
        else:
            testing.check_gradients(weighed, X.copy())

    class Times(losses.MeanSquaredError):
        wrong = 0.0

        def forward(self, y_pred, y_true, backend):
            value, cache = super().forward(y_pred, y_true, backend)
            return size * value, cache

        def backward(self, cache, weights, backend):
            return (1 - self.wrong) * super().backward(cache, size * weights, backend)

    predictions, targets = np.random.default_rng(1).normal(size=(2, 4, 3))
    loss = Times()
    testing.check_gradients(loss, predictions.copy(), targets)
    for loss.wrong in (0.01, 1):
        with pytest.raises(AssertionError, match="dx, the gradient by the input, is wrong"):
            testing.check_gradients(loss, predictions.copy(), targets)


@pytest.mark.parametrize(
    ("forward", "backward"),
    [
        (lambda x: np.square(x.astype(np.float32)).astype(np.float64), lambda dy, x: 2 * x * dy),
        (lambda x: 2 * x.astype(np.float16), lambda dy, x: 2 * dy),
        (lambda x: x + np.tanh(x.astype(np.float32)), lambda dy, x: dy * (2 - np.tanh(x) ** 2)),
    ],
)
def test_a_forward_in_float32_is_named_as_such(forward, backward):
    with pytest.raises(AssertionError, match=r"forward loses digits: .* computed in float32"):
        testing.check_gradients(Own(lambda x: forward(x).astype(np.float64), backward), X.copy())


def test_a_layer_in_float32_is_named_for_every_array_of_a_network():
    rng = np.random.default_rng(0)
    single = Own(lambda x: 2 * x.astype(np.float32).astype(np.float64), lambda dy, x: 2 * dy)
    with tinycnn.use_backend("reference"):
        model = Sequential([layers.Input((6,)), layers.Dense(4), single, layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(AssertionError, match="forward loses digits") as caught:
        testing.check_gradients(model, rng.normal(size=(3, 6)), [0, 1, 2])
    assert "is wrong" not in str(caught.value)


@pytest.mark.parametrize("forward", [np.sign, np.round, lambda x: np.maximum(x, 0), np.zeros_like])
def test_a_forward_that_stands_still_is_not_taken_for_a_coarse_one(forward):
    with pytest.raises(AssertionError, match="is wrong at"):
        testing.check_gradients(Own(lambda x: forward(x), lambda dy, x: 2 * dy), X.copy())


def test_the_largest_relative_error_is_what_it_says():
    [row] = testing.check_gradients(Own(np.square, lambda dy, x: (2 + 8e-6) * x * dy), X.copy()).rows
    assert 3.9e-6 < row.largest_error < 4.1e-6
    dense = testing.check_gradients(Own(lambda x: x - x.mean(axis=0), lambda dy, x: dy - dy.mean(axis=0)), X.copy())
    assert dense.rows[0].largest_error < 1e-6


@pytest.mark.parametrize("distance", [8e-8, 3e-7, 1e-6, 5e-6, 1e-5])
def test_a_kink_close_by_is_no_error(distance):
    testing.check_gradients(layers.ReLU(), np.full((1, 1), distance))
    testing.check_gradients(layers.ReLU(), np.full((1, 1), -distance))


@pytest.mark.parametrize(("value", "kink"), [(0.848, True), (0.8495, False), (0.5, True)])
def test_a_kink_within_the_tolerance_is_one_if_the_slope_lies_outside(value, kink):
    """One output is at its kink on the left and another on the right, and the gradient takes neither."""
    verdict = judge(value, lambda h: Slopes(0.8491, 0.8499, 0.8491, 0.8499, 1e-16 / h), 1e-3, 0.0)
    assert (verdict.agrees, verdict.kink) == (not kink, kink)
    bent = judge(value, lambda h: Slopes(0.8495 - 40 * h, 0.8495 + 40 * h, 0.849, 0.85, 1e-16 / h), 1e-3, 0.0)
    assert (bent.agrees, bent.kink) == (not kink, False)  # a gap that shrinks is no kink


def test_a_seed_stands_for_the_layer_too():
    tinycnn.set_seed(5)
    first = str(testing.check_gradients(layers.Dense(3), X, seed=7))
    after = tinycnn.Sequential().seed
    assert str(testing.check_gradients(layers.Dense(3), X, seed=7)) == first
    assert str(testing.check_gradients(layers.Dense(3), X, seed=8)).split(")", 1)[1] != first.split(")", 1)[1]
    tinycnn.set_seed(5)
    assert tinycnn.Sequential().seed == after  # a check draws nothing from the stream


def test_frozen_parameters_stay_frozen():
    layer = layers.Dense(2)
    layer.build((2,), dtype="float64")
    layer.params["bias"].trainable = False
    testing.check_gradients(layer, np.ones((1, 2)), training=False)
    assert (layer.trainable, layer.params["kernel"].trainable, layer.params["bias"].trainable) == (True, True, False)


def test_of_a_model_in_float32_a_copy_is_checked():
    model = Sequential([layers.Input(X.shape[1:]), layers.Flatten(), layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X, [0, 2], verbose=0)
    model.layers[1].params["bias"].trainable = False
    before = [*model.get_weights(), *(p.grad.copy() for p in model.parameters().values())]
    report = testing.check_gradients(model, X, [0, 2])
    assert [row.array for row in report.rows] == ["dx", "dense/kernel"]
    after = [*model.get_weights(), *(p.grad for p in model.parameters().values())]
    assert all(map(np.array_equal, before, after))
    assert (model.dtype, model.parameters()["dense/kernel"].value.dtype) == ("float32", np.float32)
    model.layers[1].params["kernel"].value[0, 0] = np.nan
    with pytest.raises(AssertionError):  # its weights are the model's
        testing.check_gradients(model, X, [0, 2])
    with pytest.raises(AssertionError, match="kernel is wrong"):
        testing.check_gradients(Sequential([Wrong(2, input_shape=X.shape[1:])]), X)


def test_a_model_that_is_not_built_stays_so_in_float32():
    model = Sequential([layers.Flatten(), layers.Dense(3)])
    testing.check_gradients(model, X)
    assert not model.built


def test_a_model_may_be_compiled_before_it_is_built():
    model = Sequential([layers.Flatten(), layers.Dense(3, activation="softmax")], dtype="float64")
    model.compile("sgd", "sparse_categorical_crossentropy")
    testing.check_gradients(model, X, [0, 2])
    testing.check_directional(model, X, [0, 2])


NO_CACHE = type("NoCache", (Own,), {"forward": lambda self, x, **given: x})
NO_RESULT = type("NoResult", (Own,), {"backward": lambda self, dy, cache, **given: None})


@pytest.mark.parametrize(
    "check", [testing.check_gradients, lambda layer, x: testing.assert_layer_contract(lambda: layer, x.shape[1:])]
)
@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (NO_CACHE, "NoCache 'slip': forward must return two things, the result and what backward needs"),
        (NO_RESULT, "NoResult 'slip': backward must return dx, an array, .*; got None"),
    ],
)
@pytest.mark.parametrize("batch", [2, 3])
def test_what_forward_and_backward_return_is_looked_at(check, layer, message, batch):
    with pytest.raises(AssertionError, match=message):
        check(layer(np.copy, np.copy, name="slip"), np.ones((batch, 4)))


def test_a_result_of_another_shape_than_promised():
    with pytest.raises(AssertionError, match=r"forward returned .* \(2, 32\), but output_shape says \(2, 4, 4, 2\)"):
        testing.check_gradients(Own(lambda x: x.reshape(2, 32), lambda dy, x: dy), X)


class Weighed(Own):
    """A layer of ``forward(x, w)`` and ``backward(dy, x, w, dw)``, which overwrites dw; w is one weight per channel."""

    def __init__(self, forward, backward, start="ones", weight="w", **base):
        super().__init__(forward, backward, **base)
        self.start, self.weight = start, weight

    def create(self, input_shape, rng):
        self.add_parameter(self.weight, input_shape[-1:], self.start, rng)

    def forward(self, x, *, training=False, step=0, ws=None):
        return self.give(x, self.params[self.weight].value), ((x,) if training else None)

    def backward(self, dy, cache, *, ws=None):
        weight = self.params[self.weight]
        return self.give_back(dy, cache[0], weight.value, weight.grad)


def over_images(values, out):
    values.sum(axis=(0, 1, 2), out=out)


@pytest.mark.parametrize("seed", range(5))
def test_the_cotangent_is_not_the_input_that_the_same_seed_draws(seed):
    x = np.random.default_rng(seed).normal(size=(2, 3))
    testing.check_gradients(Own(np.square, lambda dy, x: 2 * x * dy), x, seed=seed)
    with pytest.raises(AssertionError, match="wrong"):
        testing.check_gradients(Own(np.square, lambda dy, x: 2 * x * x), x, seed=seed)


def scale_backward(dy, x, w, dw):
    over_images(dy * x, dw)
    return dy * w


def scale_without_the_factor(dy, x, w, dw):
    over_images(dy * x, dw)
    return dy


def branch_backward(dy, x, w, dw):
    over_images(dy * x * x, dw)
    return dy * (1 + 2 * w * x)


def branch_forgotten(dy, x, w, dw):
    over_images(dy * x * x, dw)
    return dy


@pytest.mark.parametrize(
    ("forward", "start", "right", "wrong"),
    [
        (lambda x, w: x * w, "ones", scale_backward, scale_without_the_factor),
        (lambda x, w: x + w * x * x, "zeros", branch_backward, branch_forgotten),
    ],
)
def test_initial_values_hide_nothing(forward, start, right, wrong):
    layer = Weighed(forward, right, start)
    testing.check_gradients(layer, X)
    assert (layer.params["w"].value == (1 if start == "ones" else 0)).all()  # put back
    for training in (True, False):
        with pytest.raises(AssertionError, match="dx, the gradient by the input, is wrong"):
            testing.check_gradients(Weighed(forward, wrong, start), X, training=training)


def test_gradients_that_are_added_up_are_found():
    def adds(dy, x, w, dw):
        dw += (dy * x).sum(axis=(0, 1, 2))
        return dy * w

    with pytest.raises(AssertionError, match="another gradient of w; it must overwrite the gradient, not add to it"):
        testing.check_gradients(Weighed(np.multiply, adds), X)


def test_a_gradient_that_is_no_array():
    class NoArray(Weighed):
        def backward(self, dy, cache, **given):
            self.params["w"].grad = None
            return dy * self.params["w"].value

    with pytest.raises(AssertionError, match="the gradient of w must be an array; got None"):
        testing.check_gradients(NoArray(np.multiply, None), X)


def test_a_parameter_called_like_the_gradient_of_the_input():
    with pytest.raises(ValueError, match="a parameter cannot be called 'dx'"):
        testing.check_gradients(Weighed(np.multiply, scale_backward, weight="dx"), X)


@pytest.mark.parametrize(("far", "factor"), [(1e6, 1.001), (1e8, 1.1), (1e8, 2), (1e12, 1e6)])
def test_what_rounding_cannot_hide_is_wrong(far, factor):
    with pytest.raises(AssertionError, match="dx, the gradient by the input, is wrong"):
        testing.check_gradients(Own(lambda x: x + far, lambda dy, x: factor * dy), X)


@pytest.mark.parametrize("far", [1e12, 1e14])
def test_what_rounding_hides_is_not_called_right(far):
    with pytest.raises(
        AssertionError, match="dx, the gradient by the input, cannot be checked, because results as large as"
    ):
        testing.check_gradients(Own(lambda x: x + far, lambda dy, x: dy), X)


def test_some_hidden_elements_are_counted():
    slopes = np.ones((20, 20))
    slopes[0] = 100
    report = testing.check_gradients(Own(lambda x: slopes * x + 2e10, lambda dy, x: slopes * dy), np.ones((20, 20)))
    [row] = report.rows
    assert row.checked
    assert row.hidden
    assert row.checked + row.hidden == 400
    assert f"{row.hidden} hidden by rounding" in str(report)


def test_values_at_the_rim_of_what_forward_is_defined_for():
    """The first step leads to where forward is not defined, a smaller one does not; other elements are not affected."""
    x = np.linspace(0.5, 1, 6).reshape(2, 3)
    x[0, 0] = 1e-6
    right, wrong = (lambda dy, x: dy / 2 / np.sqrt(x)), (lambda dy, x: dy / 2.002 / np.sqrt(x))
    testing.check_gradients(Own(np.sqrt, right), x)
    with pytest.raises(AssertionError, match="wrong elements in 6"):
        testing.check_gradients(Own(np.sqrt, wrong), x)
    x[0, 0] = 0
    with pytest.raises(AssertionError, match=r"at \[0, 0\]: .* \(forward is not finite .* 1 wrong elements in 6"):
        testing.check_gradients(Own(lambda x: np.log(x + 1e-9), lambda dy, x: dy / (x + 1e-9)), x)


def test_a_forward_may_read_the_buffer_that_it_moves():
    class Lagging(layers.Layer):
        def create(self, input_shape, rng):
            self.add_buffer("mean", input_shape, "zeros")

        def forward(self, x, *, training=False, step=0, ws=None):
            mean = self.buffers["mean"].copy()
            if training:
                self.buffers["mean"] += x.mean(axis=0)
            return x - mean, ((x,) if training else None)

        def backward(self, dy, cache, *, ws=None):
            return dy.copy()

    testing.check_gradients(Lagging(), X)
    testing.check_gradients(Sequential([layers.Input(X.shape[1:]), Lagging()], dtype="float64"), X)


def test_everything_is_put_back_after_an_error():
    calls = []

    def forward(x, w):
        calls.append(1)
        if len(calls) > 7:
            raise KeyboardInterrupt
        return x * w

    layer, x = Weighed(forward, scale_backward), X.copy()
    layer.build(X.shape[1:], dtype="float64")
    with pytest.raises(KeyboardInterrupt):
        testing.check_gradients(layer, x)
    assert (layer.params["w"].value == 1).all()


@pytest.mark.parametrize(
    "check", [testing.check_gradients, lambda layer, x: testing.assert_layer_contract(lambda: layer, (3,))]
)
def test_a_layer_that_forgets_its_base(check):
    class Orphan(layers.Layer):
        def __init__(self):
            self.rate = 1

    with pytest.raises(TypeError, match=r"the __init__ of Orphan does not call super\(\).__init__"):
        check(Orphan(), X)


# The contract


@pytest.mark.parametrize(
    ("mistake", "promise"),
    [
        ("mutates", "changed its argument|gave other gradients"),
        ("shape", "output_shape says"),
        ("cache", "returned a cache without training"),
    ],
)
def test_contract_finds(mistake, promise):
    with pytest.raises(AssertionError, match=promise):
        testing.assert_layer_contract(Nonsense, (3,), mistake=mistake)


class Slips(layers.Dense):
    """A dense layer whose results in training, gradients and float64 numbers are right, but that makes one slip."""

    def __init__(self, slip, units, **base):
        super().__init__(units, **base)
        self.slip = slip

    def create(self, input_shape, rng):
        super().create(input_shape, rng)
        self.add_buffer("seen", (), initializers.Zeros())

    def forward(self, x, *, training=False, step=0, ws=None):
        y, cache = super().forward(x, training=training, step=step, ws=None if training else ws)
        if not training:
            if self.slip == "inference dtype":
                y = y.astype(np.float64)
            elif self.slip == "inference shape":
                y = y[:, :1]
            elif self.slip == "inference buffer":
                self.buffers["seen"] += 1
            elif self.slip == "inference changes":
                self.buffers["seen"] += 1
                y = y + self.buffers["seen"]
            elif self.slip == "unfilled":
                y = y if ws is None else ws.flow((len(x), 7), x.dtype)[:, : self.units]
        return y, cache

    def backward(self, dy, cache, *, ws=None):
        dx = super().backward(dy, cache)
        if self.slip == "float64 dx":
            return dx.astype(np.float64)
        if self.slip == "float64 gradient":
            self.params["bias"].grad = dy.sum(axis=0, dtype=np.float64)
        if self.slip == "gradient shape":
            self.params["bias"].grad = dy.sum(axis=0, keepdims=True)
        return dx


@pytest.mark.parametrize(
    ("slip", "promise"),
    [
        ("inference dtype", "forward returned float64, but the layer works in float32"),
        ("inference shape", "output_shape says"),
        ("inference buffer", "forward without training changed a buffer"),
        ("inference changes", "without training, .* another result"),
        ("unfilled", "without training, forward with a workspace gave another result"),
        ("float64 dx", "backward returned float64, but the layer works in float32"),
        ("float64 gradient", "backward's bias is float64"),
        ("gradient shape", r"backward's bias is float32 of shape \(1, 2\), not float32 of shape \(2,\)"),
    ],
)
def test_contract_finds_slips(slip, promise):
    testing.assert_layer_contract(Slips, (5,), slip="none", units=2)
    with pytest.raises(AssertionError, match=promise):
        testing.assert_layer_contract(Slips, (5,), slip=slip, units=2)


def test_contract_names_the_layer_that_refuses_an_empty_batch():
    def flat(x):
        return x.reshape(len(x), -1)[:, :3]

    with pytest.raises(AssertionError, match=r"Own 'own': an empty batch is refused, but .*: cannot reshape"):
        testing.assert_layer_contract(lambda: Own(flat, lambda dy, x: dy, name="own"), (3,))


class Halves(initializers.Initializer):
    def __call__(self, shape, rng):
        return np.full(shape, 0.5)


class Small(regularizers.Regularizer):
    def penalty(self, value):
        return 0.0

    def gradient(self, value):
        return np.zeros_like(value)


def test_contract_knows_what_a_layer_holds():
    held = {"kernel_initializer": Halves(), "kernel_regularizer": Small()}
    testing.assert_layer_contract(layers.Dense, (4,), units=3, **held)


class Borrows(layers.Layer):
    """A layer ``y = x * x`` that keeps what backward needs, or the result, in memory that others use in between."""

    def __init__(self, place, **base):
        super().__init__(**base)
        self.place = place

    def forward(self, x, *, training=False, step=0, ws=None):
        y, twice = np.empty_like(x), np.empty_like(x)
        if ws is not None:
            y = ws.keep(self, "y", x.shape, x.dtype) if self.place != "result" else ws.flow(x.shape, x.dtype)
            taken = {"flow": ws.flow, "scratch": ws.scratch()}.get(self.place)
            twice = ws.keep(self, "twice", x.shape, x.dtype) if taken is None else taken(x.shape, x.dtype)
        np.multiply(x, 2, out=twice)
        return np.multiply(x, x, out=y), ((twice,) if training else None)

    def backward(self, dy, cache, *, ws=None):
        return dy * cache[0]


def test_contract_finds_memory_that_belongs_to_others():
    testing.assert_layer_contract(Borrows, (6,), place="keep")
    for place in ("flow", "scratch", "result"):
        with pytest.raises(AssertionError, match="belongs in ws"):
            testing.assert_layer_contract(Borrows, (6,), place=place)


class Centred(layers.Layer):
    """Subtracts each channel's mean over the image, or over the row of numbers."""

    def forward(self, x, *, training=False, step=0, ws=None):
        return self._centred(x), (() if training else None)

    def backward(self, dy, cache, *, ws=None):
        return self._centred(dy)

    def _centred(self, x):
        axes = tuple(range(1, x.ndim - 1)) or (1,)
        return x - x.mean(axis=axes, keepdims=True)


def test_contract_finds_a_receptive_field_that_nobody_was_told():
    testing.assert_layer_contract(Centred, (5,))
    testing.assert_layer_contract(type("Declared", (Centred,), {"sees_everything": True}), (4, 3, 2))
    with pytest.raises(AssertionError, match=r"Centred: an output depends on other pixels .* sees_everything = True"):
        testing.assert_layer_contract(Centred, (4, 3, 2))


def test_contract_names_an_argument_that_cannot_be_saved():
    testing.assert_layer_contract(Borrows, (6,), place=np.str_("keep"))
    with pytest.raises(AssertionError, match=r"Borrows: cannot be saved, .* its argument 'place'"):
        testing.assert_layer_contract(Borrows, (6,), place=frozenset("ab"))


def test_contract_finds_gradients_that_add_up():
    class Adds(layers.Dense):
        def backward(self, dy, cache, *, ws=None):
            before = self.params["kernel"].grad.copy()
            dx = super().backward(dy, cache, ws=ws)
            self.params["kernel"].grad += before
            return dx

    with pytest.raises(AssertionError, match="must overwrite them, not add"):
        testing.assert_layer_contract(Adds, (3,), units=2)


def test_contract_finds_a_cache_that_goes_stale():
    class Stale(layers.Dense):
        def forward(self, x, **arguments):
            y, cache = super().forward(x, **arguments)
            self.last = cache
            return y, cache

        def backward(self, dy, cache, *, ws=None):
            return super().backward(dy, self.last, ws=ws)

    with pytest.raises(AssertionError, match="after another forward"):
        testing.assert_layer_contract(Stale, (3,), units=2, activation="relu")


# Strategies


@given(strategies.conv_geometries())
def test_conv_geometries_are_valid(g):
    layer = layers.Conv2D(1, g.kernel_size, strides=g.strides, dilation_rate=g.dilation)
    window = tinycnn.kernels.geometry.Window(g.kernel_size, g.strides, g.pads, g.dilation)
    assert window.output_size(g.input_size) == g.output_size
    assert min(g.output_size) >= 1
    assert min(g.input_size) >= 1
    assert g.channels % g.groups == g.filters % g.groups == 0
    assert layer.kernel_size == g.kernel_size


@pytest.mark.parametrize(
    "wanted",
    [
        lambda g: g.strides[0] > 1 and g.dilation[1] > 1,
        lambda g: g.pads[0] != g.pads[1] and g.groups > 1,
        lambda g: g.kernel_size[0] % 2 == 0 and g.kernel_size[0] != g.kernel_size[1],
    ],
)
def test_conv_geometries_reach_the_corners(wanted):
    find(strategies.conv_geometries(), wanted, settings=settings(max_examples=2000))


def test_failures_shrink_to_something_small():
    """The smallest convolution with two filters has one pixel and one channel."""
    g = find(strategies.conv_geometries(), lambda g: g.filters >= 2)
    assert (g.batch, g.input_size, g.channels, g.kernel_size, g.filters) == (1, (1, 1), 1, (1, 1), 2)


@given(strategies.separated_arrays((3, 5, 2)))
def test_separated_arrays_have_neither_ties_nor_zeros(x):
    assert np.diff(np.sort(x, axis=None)).min() > 0.05
    assert np.abs(x).min() > 0.01


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(strategies.layers_with_inputs())
def test_drawn_inputs_fit_their_layers(case):
    layer, x = case
    assert not layer.built
    assert x.dtype == np.float64
    assert layer.output_shape(x.shape[1:])


def test_a_class_that_needs_arguments_asks_to_be_registered():
    with pytest.raises(LookupError, match=r"Nonsense cannot be made without arguments.*register"):
        strategies.layers_with_inputs(Nonsense)
    strategies.register(Nonsense, lambda: st.just((Nonsense("none"), X)))
    try:
        layer, _ = find(strategies.layers_with_inputs(Nonsense), lambda case: True)
        assert isinstance(layer, Nonsense)
    finally:
        del strategies.layers._LAYER_STRATEGIES[Nonsense]


def test_check_gradients_needs_no_hypothesis():
    script = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import numpy as np; from tinycnn import layers, testing\n"
        "testing.check_gradients(layers.ReLU(), np.ones((1, 2)))\n"
        "try: testing.strategies\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 'pip install "tinycnn[test]"' in result.stdout


# The report of a documented model


def test_model_report():
    report = testing.model_report("ladder_02", elements=20)
    assert report.ok
    text = str(report)
    for words in ("every element, reduced", "random direction", "drawn elements, full network"):
        assert words in text
    assert [row.array for row in report.rows[:3]] == ["dx", "kernel", "bias"]


@pytest.mark.slow
@pytest.mark.parametrize("name", tinycnn.models.names())
def test_model_report_of_every_documented_network(name):
    threads = numba.get_num_threads()
    numba.set_num_threads(1)  # a second thread would count as work while it waits
    begun = time.process_time()
    try:
        report = testing.model_report(name)
    finally:
        numba.set_num_threads(threads)
    seconds = time.process_time() - begun
    assert report.ok, report.failures
    assert seconds < 60  # with the second core, about half of it


def test_model_report_of_a_wrong_kernel(monkeypatch):
    from tinycnn.kernels import cpu

    right = cpu.relu_backward
    monkeypatch.setattr(cpu, "relu_backward", lambda dy, y, out=None, work=None: right(dy, y) * 1.01)
    report = testing.model_report("ladder_02", elements=20)
    assert not report.ok
    assert any("wrong" in line for line in report.failures)


def test_contract_names_an_argument_that_would_be_another_one_after_loading():
    class Doubles(Borrows):
        def __init__(self, k=1, **base):
            super().__init__("keep", **base)
            self.k = 2 * k

        def get_config(self):
            return {key: value for key, value in super().get_config().items() if key != "place"}

    with pytest.raises(AssertionError, match="Doubles cannot be saved: its argument 'k' would be 12 after loading"):
        testing.assert_layer_contract(Doubles, (6,), k=3)
