"""An attribute that is changed after a layer was built counts everywhere, or it is refused with what to do."""

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, activations, callbacks, layers, load_model, losses, optimizers, regularizers, testing

X, Y = np.random.default_rng(0).random((6, 8, 8, 1), np.float32), np.arange(6) % 3


def made(*extra, backend="reference", loss="sparse_categorical_crossentropy"):
    tinycnn.set_seed(1)
    with tinycnn.use_backend(backend):
        model = Sequential(
            [
                layers.Input((8, 8, 1)),
                layers.Conv2D(4, 3, activation="relu"),
                layers.MaxPooling2D(2),
                *extra,
                layers.Flatten(),
                layers.Dense(3, activation="softmax"),
            ]
        )
    model.compile("sgd", loss, ["accuracy"])
    return model


def answers(model):
    """Return the loss of the same batch, as each part of the engine computes it."""
    p = model.predict(X)
    traced = model.trace(X, Y)
    np.testing.assert_allclose(traced.layers[-1].y, p, atol=1e-6)
    return [
        -np.log(p[np.arange(6), Y]).mean(),
        model.evaluate(X, Y, verbose=0)[0],
        traced.loss,
        model.fit(X, Y, batch_size=6, verbose=0).history["loss"][0],
    ]


def assert_one_answer(model):
    found = answers(model)
    np.testing.assert_allclose(found, found[0], rtol=1e-4)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("name", ["linear", "tanh", "gelu"])
def test_an_activation_that_was_changed_counts_everywhere(name, backend):
    """A plan in which convolution, ReLU and pooling run as one used to keep the ReLU."""
    model = made(backend=backend)
    before = answers(model)
    model = made(backend=backend)
    model.layers[0].activation = name
    assert type(model.layers[0].activation) is type(activations.get(name))
    assert_one_answer(model)
    assert answers(model)[0] != pytest.approx(before[0], rel=1e-4)
    if backend == "reference":  # it compiles nothing in float64
        testing.check_gradients(model, X[:2].astype("float64"), Y[:2], max_elements=2)
    model.summary(plan=True)
    assert Sequential.from_config(model.get_config()).layers[0].activation.name == name


def test_the_algorithm_can_be_changed_too():
    model = made(backend="cpu")
    assert len(model.plan) < len(model.layers)
    model.layers[0].algorithm = "im2col"
    assert len(model.plan) == len(model.evaluation_plan) == len(model.prediction_plan) == len(model.layers)


def test_a_softmax_that_was_taken_away_is_noticed_by_the_loss():
    model = made()
    model.evaluate(X, Y, verbose=0)
    model.layers[-1].activation = None
    for call in (model.evaluate, model.train_on_batch, model.trace, lambda x, y: model.fit(x, y, verbose=0)):
        with pytest.raises(ValueError, match="without a softmax"):
            call(X, Y)
    assert abs(model.predict(X).sum(axis=1) - 1).max() > 1e-3
    model.layers[-1].activation = "softmax"
    assert_one_answer(model)


def test_a_callback_may_change_an_activation_in_the_middle_of_a_fit():
    class Change(callbacks.Callback):
        def on_train_batch_end(self, batch, logs):
            if batch == 1:
                self.model.layers[0].activation = "tanh"

    fused, single = made(backend="cpu"), made(backend="cpu")
    for model, fuse in ((fused, True), (single, False)):
        model.fit(X, Y, batch_size=2, epochs=2, verbose=0, callbacks=[Change()], fuse=fuse)
    for a, b in zip(fused.get_weights(), single.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


FIXED = [
    (lambda: layers.Conv2D(4, 3), {"filters": 5, "kernel_size": 2, "strides": 2, "padding": "same"}, (8, 8, 1)),
    (lambda: layers.Conv2D(4, 3), {"dilation_rate": 2, "groups": 2, "use_bias": False, "input_shape": (3,)}, (8, 8, 2)),
    (lambda: layers.Conv2D(4, 3), {"kernel_initializer": "ones", "dtype": "float64"}, (8, 8, 2)),
    (lambda: layers.DepthwiseConv2D(3), {"depth_multiplier": 2, "strides": 2}, (8, 8, 2)),
    (lambda: layers.Dense(3), {"units": 4, "use_bias": False, "bias_initializer": "ones"}, (4,)),
    (lambda: layers.MaxPooling2D(2), {"pool_size": 3, "strides": 1, "padding": "same"}, (8, 8, 1)),
    (lambda: layers.GlobalAveragePooling2D(), {"keepdims": True}, (8, 8, 1)),
    (lambda: layers.BatchNormalization(), {"center": False, "scale": False}, (8, 8, 1)),
    (lambda: layers.Dropout(0.5), {"seed": 3}, (4,)),
    (lambda: layers.Reshape((2, 2)), {"target_shape": (4, 1)}, (4,)),
    (lambda: layers.ZeroPadding2D(1), {"padding": 2}, (4, 4, 1)),
    (lambda: layers.ReLU(), {"activation": "tanh"}, (4,)),
]


@pytest.mark.parametrize(("make", "changes", "shape"), FIXED)
def test_what_follows_from_the_shape_is_fixed_once_a_layer_is_built(make, changes, shape):
    for name, value in changes.items():
        layer = make()
        setattr(layer, name, getattr(layer, name, None))  # before that it is free
        layer.build(shape)
        before = layer.get_config()
        with pytest.raises(RuntimeError, match=f"{name} is fixed when the layer is built.*make a new layer"):
            setattr(layer, name, value)
        assert layer.get_config() == before
        setattr(layer, name, getattr(layer, name))  # what it is already, it may be


@pytest.mark.parametrize(
    ("layer", "name", "value", "wrong"),
    [
        (layers.Dropout(0.5), "rate", 0.0, 1.1),
        (layers.GaussianNoise(0.5), "stddev", 0.25, -1),
        (layers.Rescaling(2.0), "scale", 3.0, "3"),
        (layers.Rescaling(2.0), "offset", 1.0, None),
        (layers.BatchNormalization(), "momentum", 0.5, 2),
        (layers.BatchNormalization(), "epsilon", 0.1, 0),
        (layers.LeakyReLU(), "negative_slope", 0.5, -1),
        (layers.ELU(), "alpha", 0.5, -1),
        (layers.Activation("relu"), "activation", activations.Tanh(), "tanhh"),
        (layers.Dense(3), "kernel_regularizer", regularizers.L2(0.1), "l3"),
        (layers.Dense(3), "trainable", False, 0),
    ],
)
def test_what_every_pass_reads_anew_may_be_changed_to_what_the_constructor_takes(layer, name, value, wrong, tmp_path):
    model = made(layer)
    setattr(layer, name, value)
    with pytest.raises((TypeError, ValueError)):
        setattr(layer, name, wrong)
    if isinstance(layer, layers.Dropout):
        assert_one_answer(model)
    model.save(tmp_path / "model")
    with tinycnn.use_backend("reference"):
        loaded = load_model(tmp_path / "model")
    assert loaded.layers[2].get_config() == layer.get_config()
    for a, b in zip(model.predict(X), loaded.predict(X), strict=True):
        np.testing.assert_array_equal(a, b)
    assert loaded.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    for one in (model, loaded):
        one.fit(X, Y, verbose=0)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_regularizer_that_was_changed_counts_in_the_loss():
    model, plain = made(), made()
    model.layers[0].kernel_regularizer = "l2"
    assert model.evaluate(X, Y, verbose=0)[0] > plain.evaluate(X, Y, verbose=0)[0]
    assert model.layers[0].params["kernel"].regularizer is model.layers[0].kernel_regularizer
    with pytest.raises(TypeError, match=r"regularizer must be an object such as .*; got 'l2'"):
        model.layers[0].params["kernel"].regularizer = "l2"
    model.layers[0].params["kernel"].regularizer = None
    assert model.layers[0].get_config()["kernel_regularizer"] is None


@pytest.mark.parametrize(("name", "value"), [("dtype", "float64"), ("seed", 3), ("backend", tinycnn.use_backend)])
def test_what_the_arrays_of_a_model_follow_from_is_fixed(name, value):
    model = made()
    with pytest.raises(RuntimeError, match=f"{name} is fixed when the layers of sequential are built"):
        setattr(model, name, value)
    assert_one_answer(model)


def test_an_attribute_of_the_loss_counts_everywhere():
    model, rows = made(loss="categorical_crossentropy"), np.eye(3)[Y]
    before = model.evaluate(X, rows, verbose=0)[0]
    model.loss.label_smoothing = 0.5
    after = model.evaluate(X, rows, verbose=0)[0]
    assert after != before
    assert model.trace(X, rows).loss == pytest.approx(after)
    assert model.fit(X, rows, verbose=0).history["loss"][0] == pytest.approx(after)
    model.loss.from_logits = True
    with pytest.raises(ValueError, match="from_logits=True"):
        model.evaluate(X, rows, verbose=0)


def test_loss_optimizer_and_metrics_may_be_replaced_by_names():
    model = made()
    model.loss, model.optimizer, model.metrics = "mse", "adam", []
    assert model.evaluate(X, np.eye(3)[Y], verbose=0) == pytest.approx(np.mean((model.predict(X) - np.eye(3)[Y]) ** 2))
    assert isinstance(model.loss, losses.MeanSquaredError)
    assert isinstance(model.optimizer, optimizers.Adam)
    model.fit(X, np.eye(3)[Y], verbose=0)
    assert model.optimizer.iterations == 1


def test_layers_that_do_not_fit_each_other_any_more_are_named():
    model = made()
    del model.layers[1]
    for call in (lambda: model.predict(X), lambda: model.trace(X), model.summary, lambda: model.fit(X, Y)):
        with pytest.raises(
            RuntimeError, match=r"layers was changed by hand: Flatten 'flatten' was built for .*\(3, 3, 4\)"
        ):
            call()
    dropped = made(layers.Dropout(0.5))
    del dropped.layers[2]
    dropped.predict(X)
    with pytest.raises(RuntimeError, match="compile it again"):
        dropped.evaluate(X, Y)
    dropped.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"])
    assert_one_answer(dropped)
