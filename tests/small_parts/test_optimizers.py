"""Optimizers: Keras 3's formulas by hand, state, and what every registered optimizer must do."""

import copy
import json
import pickle

import numpy as np
import pytest

import tinycnn
from tinycnn import layers, optimizers, schedules
from tinycnn.core.backend import BACKENDS, Backend

#: Settings that take each registered optimizer through all of its paths; an optimizer that is missing here fails.
SETTINGS = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}],
    "RMSprop": [{}, {"momentum": 0.5}, {"centered": True}, {"momentum": 0.5, "centered": True}],
    "Adam": [{}],
    "AdamW": [{}, {"weight_decay": 0.1}],
}
#: Settings for any optimizer.
BASE = [{"weight_decay": 0.01}, {"clipnorm": 0.1}, {"clipvalue": 0.1}, {"global_clipnorm": 0.1}]
EVERY_OPTIMIZER = pytest.mark.parametrize(
    ("name", "settings"),
    [(name, own) for name, choices in SETTINGS.items() for own in choices]
    + [(name, SETTINGS[name][-1] | base) for name in SETTINGS for base in BASE],
    ids=str,
)
EVERY_BACKEND = pytest.mark.parametrize("backend", BACKENDS)


def make(name, settings, rate=0.05):
    return optimizers.OPTIMIZERS[name](learning_rate=rate, **settings)


def test_every_optimizer_has_settings():
    assert SETTINGS.keys() == optimizers.OPTIMIZERS.keys()


def run(optimizer, gradients, start=1.0, backend="cpu"):
    """Return the values of a one-element parameter after each gradient."""
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


def test_adamw_by_hand():
    # w -= w * 0.5 * 0.1, then Adam's first step, which is the rate.
    assert run(optimizers.AdamW(0.1, weight_decay=0.5, epsilon=1e-12), [4.0]) == pytest.approx([1 - 0.05 - 0.1])


def test_rmsprop_by_hand():
    # s = 0.9 s + 0.1 g²: 0.4, 0.46
    u1, u2 = 0.1 * 2 / np.sqrt(0.4), 0.1 * -1 / np.sqrt(0.46)
    rest = {"learning_rate": 0.1, "epsilon": 1e-12}
    assert run(optimizers.RMSprop(**rest), [2, -1]) == pytest.approx([1 - u1, 1 - u1 - u2])
    # v = 0.5 v + u: u1, 0.5 u1 + u2
    expected = [1 - u1, 1 - u1 - (0.5 * u1 + u2)]
    assert run(optimizers.RMSprop(momentum=0.5, **rest), [2, -1]) == pytest.approx(expected)
    # m = 0.9 m + 0.1 g: 0.2, 0.08; s - m²: 0.36, 0.4536
    u1, u2 = 0.1 * 2 / np.sqrt(0.36), 0.1 * -1 / np.sqrt(0.4536)
    assert run(optimizers.RMSprop(centered=True, **rest), [2, -1]) == pytest.approx([1 - u1, 1 - u1 - u2])


def test_rmsprop_adds_epsilon_under_the_root():
    assert run(optimizers.RMSprop(0.1, rho=0.9, epsilon=0.6), [2])[0] == pytest.approx(1 - 0.1 * 2 / 1.0)


# Every optimizer of the registry -------------------------------------------------------------------------------


@EVERY_OPTIMIZER
@EVERY_BACKEND
def test_comes_down_a_bowl(name, settings, backend):
    optimizer = make(name, settings, rate=0.02)
    parameter = layers.Parameter(np.array([1.0, -0.7]))
    for _ in range(1000):
        parameter.grad[...] = parameter.value * [1, 4]
        optimizer.step({"w": parameter}, Backend(backend))
    assert np.abs(parameter.value).max() < 0.05


@EVERY_OPTIMIZER
def test_backends_agree(name, settings):
    gradients = np.random.default_rng(0).normal(size=30)
    ours, theirs = (run(make(name, settings), gradients, backend=backend) for backend in BACKENDS)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@EVERY_OPTIMIZER
def test_config_makes_the_same_optimizer(name, settings):
    for rate in (0.02, schedules.ExponentialDecay(0.1, 10, 0.5)):
        optimizer = make(name, settings, rate)
        again = optimizers.get({"class_name": name, "config": json.loads(json.dumps(optimizer.get_config()))})
        assert again.get_config() == optimizer.get_config()
        assert again.slot_names == optimizer.slot_names
        gradients = np.random.default_rng(0).normal(size=20)
        assert run(optimizer, gradients) == run(again, gradients)


@EVERY_OPTIMIZER
def test_leaves_frozen_parameters_alone(name, settings):
    parameter = layers.Parameter(np.ones(3), trainable=False)
    parameter.grad[...] = 1
    make(name, settings).step({"w": parameter}, tinycnn.get_backend())
    np.testing.assert_array_equal(parameter.value, 1)


@EVERY_OPTIMIZER
@EVERY_BACKEND
def test_does_not_change_the_gradient(name, settings, backend):
    parameter = layers.Parameter(np.ones(5))
    parameter.grad[...] = np.arange(5)
    optimizer = make(name, settings)
    for _ in range(3):
        optimizer.step({"w": parameter}, Backend(backend))
    np.testing.assert_array_equal(parameter.grad, np.arange(5))


@EVERY_OPTIMIZER
def test_a_gradient_that_is_not_finite_shows(name, settings):
    """This holds for clipping as well, where a scale of 0 would hide it."""
    parameter = layers.Parameter(np.ones(3))
    parameter.grad[...] = [1, np.nan, 1]
    make(name, settings).step({"w": parameter}, tinycnn.get_backend())
    assert np.isnan(parameter.value[1])


@EVERY_OPTIMIZER
def test_goes_on_from_a_file_to_the_same_bits(name, settings, tmp_path):
    tinycnn.set_seed(3)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 4)), rng.integers(0, 3, 40)
    model = tinycnn.Sequential([layers.Input((4,)), layers.Dense(3, "softmax")])
    model.compile(make(name, settings), "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.safetensors")
    loaded = tinycnn.load_model(tmp_path / "model.safetensors")
    for each in (model, loaded):
        each.fit(x, y, epochs=2, verbose=0)
    for ours, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# Decay and clipping --------------------------------------------------------------------------------------------


def step_of(gradients, backend="cpu", dtype="float32", frozen=(), **settings):
    """Return how plain descent at rate 1 moves parameters with these gradients."""
    parameters = {
        key: layers.Parameter(np.zeros(np.shape(g), dtype), trainable=key not in frozen) for key, g in gradients.items()
    }
    for key, gradient in gradients.items():
        parameters[key].grad[...] = gradient
    optimizers.SGD(1.0, **settings).step(parameters, Backend(backend))
    return {key: (-parameter.value).tolist() for key, parameter in parameters.items()}


@EVERY_BACKEND
def test_clipping_by_hand(backend):
    gradients = {"a": [[3.0, 0.0]], "b": [4.0], "c": [0.1]}
    assert step_of(gradients, backend, "float64", clipnorm=1) == {"a": [[1.0, 0.0]], "b": [1.0], "c": [0.1]}
    assert step_of(gradients, backend, "float64", clipvalue=0.5) == {"a": [[0.5, 0.0]], "b": [0.5], "c": [0.1]}
    assert step_of({"a": [-2.0, 1.0]}, backend, clipvalue=1.5) == {"a": [-1.5, 1.0]}
    del gradients["c"]
    together = step_of(gradients, backend, "float64", global_clipnorm=1)
    np.testing.assert_allclose(together["a"], [[0.6, 0]])
    np.testing.assert_allclose(together["b"], [0.8])


@EVERY_BACKEND
@pytest.mark.parametrize("limit", ["clipnorm", "clipvalue", "global_clipnorm"])
def test_small_gradients_are_not_touched(backend, limit):
    """They stay the same to the last bit; a factor that is nearly 1 would change them."""
    gradient = np.random.default_rng(0).normal(size=100)
    assert step_of({"w": gradient}, backend, **{limit: 1e3}) == step_of({"w": gradient}, backend)


def test_frozen_parameters_do_not_count_in_the_global_norm():
    moved = step_of({"a": [3.0], "b": [4.0]}, frozen=("b",), global_clipnorm=3)
    assert moved == {"a": [3.0], "b": [0.0]}


def test_weight_decay_by_hand():
    # w -= w * 0.1 * 0.5 before the step of 0.1 * g; Keras does the same for every optimizer.
    assert run(optimizers.SGD(0.1, weight_decay=0.5), [1, 1]) == pytest.approx([0.85, 0.85 * 0.95 - 0.1])


def test_weight_decay_goes_by_the_schedule():
    halved = schedules.PiecewiseConstantDecay([0], [0.1, 0.05])
    assert run(optimizers.SGD(halved, weight_decay=0.5), [0, 0]) == pytest.approx([0.95, 0.95 * 0.975])


def test_small_decay_in_single_precision():
    """``1 - rate * decay`` keeps few digits of a small decay; the product of decay and weight keeps all of them."""
    parameter = layers.Parameter(np.full(1, 1e-3, np.float32))
    parameter.grad[...] = 0
    optimizers.SGD(1e-3, weight_decay=4e-2).step({"w": parameter}, Backend("cpu"))
    assert 1e-3 - float(parameter.value[0]) == pytest.approx(4e-8, rel=0.01)


def test_clipping_keeps_its_memory():
    parameters = {key: layers.Parameter(np.ones(size)) for key, size in (("a", (2, 3)), ("b", (50,)), ("c", (7,)))}
    for parameter in parameters.values():
        parameter.grad[...] = 1
    optimizer = optimizers.Adam(clipvalue=0.5)
    optimizer.step(parameters, Backend("cpu"))
    memory = optimizer._memory
    assert memory.size == 50
    optimizer.step(parameters, Backend("cpu"))
    assert optimizer._memory is memory


def small(units=3, name=None, optimizer="adam"):
    """Return a compiled model whose layer has the default name unless one is given."""
    tinycnn.set_seed(0)
    model = tinycnn.Sequential([layers.Input((4,)), layers.Dense(units, "softmax", name=name)])
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize(
    ("kind", "second"),
    [
        (optimizers.Adam, {"units": 3}),
        (optimizers.Adam, {"units": 20}),
        (optimizers.Adam, {"name": "other"}),  # plain descent has no moments, and nothing under another name to keep
        (optimizers.SGD, {"units": 3}),
        (optimizers.SGD, {"units": 20}),
    ],
)
def test_an_optimizer_belongs_to_one_model(kind, second):
    shared = kind()
    small(optimizer=shared).train_on_batch(np.ones((1, 4)), [0])
    with pytest.raises(ValueError, match="used by another model"):
        small(optimizer=shared, **second)
    late = tinycnn.Sequential([layers.Dense(20, "softmax")])
    late.compile(shared, "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="used by another model"):
        late.fit(np.ones((1, 4)), [0], verbose=0)


@pytest.mark.parametrize("kind", [optimizers.Adam, lambda: optimizers.SGD(momentum=0.9)])
def test_the_optimizer_of_a_loaded_model_is_that_models(kind, tmp_path):
    first = small(optimizer=kind())
    first.train_on_batch(np.ones((1, 4)), [0])
    first.save(tmp_path / "model.safetensors")
    loaded = tinycnn.load_model(tmp_path / "model.safetensors")
    loaded.train_on_batch(np.ones((1, 4)), [0])
    loaded = tinycnn.load_model(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="used by another model"):
        small(optimizer=loaded.optimizer)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])  # noqa: S301 - our own
def test_a_copy_of_a_model_is_trained_by_itself(copied):
    x, y = np.random.default_rng(0).normal(size=(8, 4)), np.arange(8) % 3
    original, expected = small(), small()
    for model in (original, expected):
        model.train_on_batch(x, y)
    before = original.get_weights()
    second = copied(original)
    second.train_on_batch(x, y)
    expected.train_on_batch(x, y)
    for weight, kept in zip(original.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)
    for weight, trained in zip(second.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, trained)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_a_gradient_of_another_shape_names_its_parameter(optimizer):
    model = small(optimizer=optimizer)
    dense = model.layers[0]
    dense.params["bias"].grad = np.zeros(1, np.float32)
    with pytest.raises(
        ValueError, match=r"dense/bias: the gradient must have its parameter's shape \(3,\); got \(1,\)"
    ):
        model.optimizer.step(model.parameters(), model.backend)
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize(
    ("optimizer", "name"),
    [(optimizers.SGD(), "momentum"), (optimizers.RMSprop(), "momentum"), (optimizers.RMSprop(), "centered")],
)
def test_what_decides_an_optimizers_memory_is_fixed(optimizer, name):
    """A value that was set later used to be saved but not used."""
    with pytest.raises(AttributeError, match=name):
        setattr(optimizer, name, 0.5)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: optimizers.SGD(-1), ValueError, "learning_rate must be >= 0"),
        (lambda: optimizers.SGD("fast"), TypeError, "learning_rate must be a number"),
        (lambda: optimizers.SGD(momentum=1.0), ValueError, "momentum must be >= 0 and < 1"),
        (lambda: optimizers.SGD(nesterov=1), TypeError, "nesterov must be True or False"),
        (lambda: optimizers.Adam(beta_1=1), ValueError, "beta_1"),
        (lambda: optimizers.Adam(epsilon=0), ValueError, "epsilon must be > 0"),
        (lambda: optimizers.RMSprop(rho=1), ValueError, "rho must be >= 0 and < 1"),
        (lambda: optimizers.RMSprop(centered="no"), TypeError, "centered must be True or False"),
        (lambda: optimizers.AdamW(weight_decay=None), TypeError, "weight_decay must be a number; got None"),
        (lambda: optimizers.SGD(weight_decay=-1), ValueError, "weight_decay must be >= 0"),
        (lambda: optimizers.Adam(clipnorm=0), ValueError, "clipnorm must be > 0"),
        (lambda: optimizers.Adam(clipnorm=1, clipvalue=2), ValueError, "one way only; got clipnorm and clipvalue"),
        (lambda: optimizers.Adam(decay=1), TypeError, "Adam takes no argument 'decay'; did you mean 'weight_decay'"),
        (lambda: optimizers.get("sdg"), ValueError, "did you mean 'sgd'"),
    ],
)
def test_bad_arguments(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
