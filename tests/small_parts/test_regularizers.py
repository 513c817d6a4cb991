"""Penalties on weights: in the loss that is reported, in the step, and nowhere else."""

import json

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, layers, optimizers, regularizers


def model_with(regularizer):
    tinycnn.set_seed(0)  # the same initial weights each time
    model = Sequential(
        [
            layers.Input((4, 4, 1)),
            layers.Conv2D(2, 3, activation="relu", kernel_regularizer=regularizer),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", bias_initializer="ones", bias_regularizer=regularizer),
        ],
        dtype="float64",
    )
    model.compile(optimizers.SGD(0.1), "sparse_categorical_crossentropy", ["accuracy"])
    return model


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(7, 4, 4, 1)), rng.integers(0, 3, 7)


def penalty(model, l2):
    return l2 * sum(np.square(model.parameters()[name].value).sum() for name in ("conv2d/kernel", "dense/bias"))


EVERY_PENALTY = pytest.mark.parametrize(
    "given",
    [regularizers.L1(0.3), regularizers.L2(0.3), regularizers.L1L2(0.2, 0.4)],
    ids=lambda one: type(one).__name__,
)


@EVERY_PENALTY
def test_gradient_is_the_slope_of_the_penalty(given):
    l2, w, h = given, np.random.default_rng(0).normal(size=(3, 4)), 1e-6
    for index in np.ndindex(w.shape):
        step = np.zeros_like(w)
        step[index] = h
        slope = (l2.penalty(w + step) - l2.penalty(w - step)) / (2 * h)
        assert l2.gradient(w)[index] == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_by_hand():
    w = np.array([[3.0, -4.0], [0.0, 0.5]], np.float32)
    assert regularizers.L1(0.5).penalty(w) == 3.75
    np.testing.assert_array_equal(regularizers.L1(0.5).gradient(w), np.array([[0.5, -0.5], [0, 0.5]], np.float32))
    both = regularizers.L1L2(l1=0.5, l2=2.0)
    assert both.penalty(w) == 3.75 + 2 * 25.25
    np.testing.assert_array_equal(both.gradient(w), np.array([[12.5, -16.5], [0, 2.5]], np.float32))
    assert both.gradient(w).dtype == np.float32


def test_names_and_functions_are_those_of_keras():
    assert (regularizers.l1, regularizers.l2) == (regularizers.L1, regularizers.L2)
    assert regularizers.l1_l2(l2=0.1).get_config() == {"l1": 0.0, "l2": 0.1}
    assert regularizers.get("l1").get_config() == regularizers.get("L1").get_config() == {"l1": 0.01}
    assert regularizers.get("l1_l2").get_config() == {"l1": 0.01, "l2": 0.01}
    assert regularizers.get("L1L2").get_config() == {"l1": 0.0, "l2": 0.0}
    for wrong in (lambda: regularizers.L1(-1), lambda: regularizers.L1L2(l1=-1), lambda: regularizers.L1L2(l2=np.nan)):
        with pytest.raises(ValueError, match=r"l[12] must be >= 0"):
            wrong()


def test_a_file_keeps_them(tmp_path):
    model = model_with(regularizers.L1L2(0.1, 0.2))
    model.layers[0].kernel_regularizer = "l1"
    model.save(tmp_path / "m")
    found = tinycnn.load_model(tmp_path / "m").layers
    assert (type(found[0].kernel_regularizer), found[0].kernel_regularizer.l1) == (regularizers.L1, 0.01)
    assert found[2].bias_regularizer.get_config() == {"l1": 0.1, "l2": 0.2}


@EVERY_PENALTY
def test_a_step_descends_the_whole_loss(data, given):
    """The step is compared, for every weight, with differences of the loss that evaluate reports."""
    model, h = model_with(given), 1e-6
    before = {name: p.value.copy() for name, p in model.parameters().items()}
    slopes = {name: np.empty_like(value) for name, value in before.items()}
    for name, parameter in model.parameters().items():
        for index in np.ndindex(parameter.value.shape):
            ends = []
            for sign in (1, -1):
                parameter.value[index] = before[name][index] + sign * h
                ends.append(model.evaluate(*data, verbose=0)[0])
            parameter.value[index] = before[name][index]
            slopes[name][index] = (ends[0] - ends[1]) / (2 * h)
    model.train_on_batch(*data)
    for name, parameter in model.parameters().items():
        np.testing.assert_allclose(before[name] - parameter.value, 0.1 * slopes[name], rtol=1e-5, atol=1e-8)


def test_training_and_evaluation_report_it(data):
    plain, penalised = model_with(None), model_with({"class_name": "L2", "config": {"l2": 0.5}})
    extra = penalty(penalised, 0.5)
    assert extra > 1
    assert penalised.evaluate(*data, verbose=0)[0] == pytest.approx(plain.evaluate(*data, verbose=0)[0] + extra)
    first = [m.train_on_batch(*data)["loss"] for m in (plain, penalised)]
    assert first[1] == pytest.approx(first[0] + extra)
    history = penalised.fit(*data, batch_size=3, validation_data=data, verbose=0).history
    assert history["val_loss"][-1] == penalised.evaluate(*data, verbose=0)[0]


def test_frozen_weights_cost_nothing(data):
    """Keras's penalty, too, counts trainable weights only."""
    model = model_with("l2")
    model.layers[0].trainable = model.layers[2].trainable = False
    assert model.evaluate(*data, verbose=0)[0] == model_with(None).evaluate(*data, verbose=0)[0]


def test_names_and_descriptions():
    assert regularizers.get(None) is None
    assert regularizers.get("l2").l2 == regularizers.get("L2").l2 == 0.01
    layer = layers.DepthwiseConv2D(3, depthwise_regularizer=regularizers.L2(0.3))
    again = layers.deserialize(json.loads(json.dumps(layers.serialize(layer))))
    assert again.depthwise_regularizer.l2 == 0.3
    with pytest.raises(ValueError, match="l2 must be >= 0"):
        regularizers.L2(-1)


def test_gamma_and_beta_of_batch_normalization_may_be_penalized():
    with tinycnn.use_backend("reference"):
        norm = layers.BatchNormalization(beta_regularizer=regularizers.L2(0.5), gamma_regularizer="l2")
        model = Sequential([layers.Input((3,)), norm, layers.Dense(2, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        norm.set_weights([[2.0] * 3, [1.0] * 3, [0.0] * 3, [1.0] * 3])
        penalized = model.evaluate(np.ones((2, 3)), [0, 1], verbose=0)
        again = layers.BatchNormalization.from_config(norm.get_config())
        for parameter in norm.params.values():
            parameter.regularizer = None
        assert penalized - model.evaluate(np.ones((2, 3)), [0, 1], verbose=0) == pytest.approx(0.01 * 12 + 0.5 * 3)
    assert (again.beta_regularizer.l2, again.gamma_regularizer.l2) == (0.5, 0.01)
