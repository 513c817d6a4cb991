"""Optimizers: Keras 3's formulas by hand, state, and what every optimizer of the registry must do."""

import numpy as np
import pytest

import tinycnn
from tinycnn import layers, optimizers, schedules
from tinycnn.backend import BACKENDS, Backend

OPTIMIZERS = pytest.mark.parametrize("name", optimizers.OPTIMIZERS)


def run(optimizer, gradients, start=1.0, backend="cpu"):
    """Values of a one-element parameter after each gradient."""
    parameter = layers.Parameter(np.array([start]))
    values = []
    for gradient in gradients:
        parameter.grad[...] = gradient
        optimizer.step({"w": parameter}, Backend(backend))
        values.append(float(parameter.value[0]))
    return values


def test_sgd_by_hand():
    assert run(optimizers.SGD(0.1), [1, 2]) == pytest.approx([0.9, 0.7])


def test_momentum_by_hand():
    # v = 0.9 v - 0.1 g: -0.1, -0.29
    assert run(optimizers.SGD(0.1, momentum=0.9), [1, 2]) == pytest.approx([0.9, 0.61])


def test_nesterov_by_hand():
    # w += 0.9 v - 0.1 g: -0.09 - 0.1, then 0.9 * -0.29 - 0.2
    assert run(optimizers.SGD(0.1, momentum=0.9, nesterov=True), [1, 2]) == pytest.approx([0.81, 0.349])


def test_adam_by_hand():
    # After one step m/(1-b1) = g and v/(1-b2) = g²: the first step is the rate, whatever the gradient.
    first, second = run(optimizers.Adam(0.1, epsilon=1e-12), [4.0, -2.0])
    assert first == pytest.approx(0.9)
    m = (0.9 * 0.4 + 0.1 * -2) / (1 - 0.9**2)
    v = (0.999 * 0.016 + 0.001 * 4) / (1 - 0.999**2)
    assert second == pytest.approx(0.9 - 0.1 * m / np.sqrt(v))


@OPTIMIZERS
@pytest.mark.parametrize("backend", BACKENDS)
def test_comes_down_a_bowl(name, backend):
    optimizer = optimizers.get({"class_name": name, "config": {"learning_rate": 0.05}})
    parameter = layers.Parameter(np.array([3.0, -2.0]))
    for _ in range(400):
        parameter.grad[...] = parameter.value * [1, 4]
        optimizer.step({"w": parameter}, Backend(backend))
    assert np.abs(parameter.value).max() < 0.05


@OPTIMIZERS
def test_backends_agree(name):
    gradients = np.random.default_rng(0).normal(size=30)
    ours, theirs = (run(optimizers.get(name), gradients, backend=backend) for backend in BACKENDS)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@OPTIMIZERS
def test_config_makes_the_same_optimizer(name):
    for rate in (0.02, schedules.ExponentialDecay(0.1, 10, 0.5)):
        optimizer = optimizers.OPTIMIZERS[name](learning_rate=rate)
        again = optimizers.get({"class_name": name, "config": optimizer.get_config()})
        assert again.get_config() == optimizer.get_config()
        gradients = np.random.default_rng(0).normal(size=20)
        assert run(optimizer, gradients) == run(again, gradients)


@OPTIMIZERS
def test_leaves_frozen_parameters_alone(name):
    parameter = layers.Parameter(np.ones(3), trainable=False)
    parameter.grad[...] = 1
    optimizers.get(name).step({"w": parameter}, tinycnn.get_backend())
    np.testing.assert_array_equal(parameter.value, 1)


@OPTIMIZERS
def test_does_not_change_the_gradient(name):
    parameter = layers.Parameter(np.ones(5))
    parameter.grad[...] = np.arange(5)
    for _ in range(3):
        optimizers.get(name).step({"w": parameter}, tinycnn.get_backend())
    np.testing.assert_array_equal(parameter.grad, np.arange(5))


def test_an_optimizer_belongs_to_one_model():
    shared = optimizers.Adam()
    for units, message in ((2, None), (3, "used by another model")):
        model = tinycnn.Sequential([layers.Input((4,)), layers.Dense(units, "softmax", name=f"d{units}")])
        if message is None:
            model.compile(shared, "sparse_categorical_crossentropy")
            model.train_on_batch(np.ones((1, 4)), [0])
        else:
            with pytest.raises(ValueError, match=message):
                model.compile(shared, "sparse_categorical_crossentropy")


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: optimizers.SGD(-1), ValueError, "learning_rate must be >= 0"),
        (lambda: optimizers.SGD("fast"), TypeError, "learning_rate must be a number"),
        (lambda: optimizers.SGD(momentum=1.0), ValueError, "momentum must be >= 0 and < 1"),
        (lambda: optimizers.SGD(nesterov=1), TypeError, "nesterov must be True or False"),
        (lambda: optimizers.Adam(beta_1=1), ValueError, "beta_1"),
        (lambda: optimizers.Adam(epsilon=0), ValueError, "epsilon must be > 0"),
        (lambda: optimizers.get("sdg"), ValueError, "did you mean 'sgd'"),
    ],
)
def test_bad_arguments(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
