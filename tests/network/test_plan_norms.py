"""A batch normalization behind a convolution runs with it in training, and gives the same results."""

import numpy as np
import pytest
from test_plan import assert_close

import tinycnn
from tinycnn import Sequential, layers, optimizers
from tinycnn.core.workspace import Workspace
from tinycnn.network.norm_stage import NormStage, NormStageCache


class OwnNorm(layers.BatchNormalization):
    pass


def make(norm=layers.BatchNormalization, backend="cpu", **named):
    """Return a compiled model with so many channels that no images lie in lanes."""
    tinycnn.set_seed(3)
    with tinycnn.use_backend(backend):
        model = Sequential(
            [
                layers.Input((9, 8, 3)),
                layers.Conv2D(33, 3, padding="same", name="first"),
                norm(name="norm", **named),
                layers.Conv2D(34, 2, activation="relu", name="second"),
                norm(name="norm_2", **named),
                layers.MaxPooling2D(2, name="pool"),
                layers.Dropout(0.3),
                layers.Flatten(),
                layers.Dense(4, activation="softmax"),
            ],
            dtype="float64",
        )
        model.compile(optimizers.SGD(0.05), "sparse_categorical_crossentropy")
    return model


def data(n):
    rng = np.random.default_rng(5)
    return rng.standard_normal((n, 9, 8, 3)), rng.integers(0, 4, n)


def stages(model):
    return [step for step in model.plan if isinstance(step, NormStage)]


def test_which_layers_run_as_one():
    model = make()
    assert [step.name for step in stages(model)] == ["first + norm", "second + norm_2 + pool"]
    assert [layer.name for layer in stages(model)[1].layers] == ["second", "norm_2", "pool"]
    assert not any(isinstance(step, NormStage) for step in model.prediction_plan)
    assert stages(make(OwnNorm)) == []
    assert stages(make(backend="reference")) == []
    model.summary(plan=True)


def test_what_stands_between_keeps_them_apart():
    tinycnn.set_seed(0)
    model = Sequential(
        [
            layers.Input((9, 9, 3)),
            layers.Conv2D(33, 3, activation="tanh"),
            layers.BatchNormalization(),
            layers.Conv2D(33, 3),
            layers.MaxPooling2D(2),
            layers.BatchNormalization(),
            layers.Conv2D(33, 1, activation="relu"),
            layers.Dropout(0.1),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.BatchNormalization(),
            layers.Dense(3),
        ]
    )
    model.compile("sgd", "mse")
    assert stages(model) == []


@pytest.mark.parametrize("named", [{}, {"scale": False}, {"center": False}, {"scale": False, "center": False}])
def test_fit_gives_the_same_fused_or_not(named):
    """23 images are a batch of 16, which runs as one, and one of 7, which does not."""
    x, y = data(23)
    models = make(**named), make(**named)
    for model, fuse in zip(models, (True, False), strict=True):
        if not named:
            model.layers[1].params["gamma"].value[::3] *= -1
            model.layers[3].params["gamma"].value[[0, 5]] = -0.5, 0
        before = model.get_weights()
        model.fit(x, y, batch_size=16, epochs=4, verbose=0, fuse=fuse)
    for name, start, a, b in zip(models[0].weights(), before, *(m.get_weights() for m in models), strict=True):
        assert_close(a, b, 1e-11, name)
        assert np.abs(b - start).max() > (0 if "bias" in name else 1e-5), name


@pytest.mark.parametrize("frozen", ["first", "norm", "norm_2", "second", ("first", "norm"), ("second", "norm_2")])
def test_frozen_parts_stay_and_hand_the_gradient_on(frozen):
    x, y = data(17)
    models = make(), make()
    for model, fuse in zip(models, (True, False), strict=True):
        for layer in model.layers:
            layer.trainable = layer.name not in frozen if isinstance(frozen, tuple) else layer.name != frozen
        before = {name: array.copy() for name, array in model.weights().items()}
        model.fit(x, y, batch_size=17, epochs=4, verbose=0, fuse=fuse)
        for name, array in model.weights().items():
            layer = name.split("/")[0]
            stays = layer in frozen if isinstance(frozen, tuple) else layer == frozen
            assert np.array_equal(array, before[name]) == stays, name
    for a, b in zip(*(m.get_weights() for m in models), strict=True):
        assert_close(a, b, 1e-11)


@pytest.mark.parametrize("n", [15, 16])
@pytest.mark.parametrize("memory", [Workspace, lambda: None])
def test_forward_and_backward_are_those_of_the_layers(n, memory):
    x, _ = data(n)
    model = make()
    step = stages(model)[0]
    conv, norm = model.layers[:2]
    y, cache = step.forward(x, training=True, ws=memory())
    assert isinstance(cache, NormStageCache) == (n >= 16)
    moved = norm.buffers["moving_variance"].copy()
    dy = np.random.default_rng(1).standard_normal(y.shape)
    dx = step.backward(dy.copy(), cache, ws=memory())
    gradients = [parameter.grad.copy() for parameter in step.params.values()]
    other = make()
    z, conv_cache = other.layers[0].forward(x, training=True)
    expected, norm_cache = other.layers[1].forward(z, training=True)
    assert_close(y, expected, 1e-12)
    assert_close(moved, other.layers[1].buffers["moving_variance"], 1e-12)
    expected = other.layers[0].backward(other.layers[1].backward(dy, norm_cache), conv_cache)
    assert_close(dx, expected, 1e-12)
    for found, layer, name in zip(gradients, [conv, conv, norm, norm], step.params, strict=True):
        assert_close(found, other.layers[model.layers.index(layer)].params[name].grad, 1e-11, name)
    for parameter in step.params.values():
        parameter.grad[...] = 0
    y, cache = step.forward(x, training=True, ws=memory())
    step.backward_parameters(dy.copy(), cache, ws=memory())
    for found, parameter in zip(gradients, step.params.values(), strict=True):
        assert_close(parameter.grad, found, 1e-12)


def test_freezing_between_steps_is_seen():
    """The third step would run from a recording."""
    x, y = data(16)
    models = make(), make()

    class Freeze(tinycnn.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.layers[3].trainable = epoch not in (3, 4)
            self.model.layers[1].momentum = 0.5 if epoch > 4 else 0.9

    for model, fuse in zip(models, (True, False), strict=True):
        model.fit(x, y, batch_size=16, epochs=7, verbose=0, fuse=fuse, callbacks=[Freeze()])
    for name, a, b in zip(models[0].weights(), *(m.get_weights() for m in models), strict=True):
        assert_close(a, b, 1e-10, name)
