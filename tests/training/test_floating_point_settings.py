"""NumPy's settings for floating-point errors, ``np.seterr``, change no result and stop nothing."""

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, initializers, layers, losses, optimizers, regularizers, testing

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(8, 6, 6, 2)).astype("float32"), RNG.integers(0, 3, 8)


def small_model(loss, optimizer, scale):
    model = Sequential(
        [
            layers.Input(X.shape[1:]),
            layers.Conv2D(4, 3, activation="gelu", kernel_regularizer=regularizers.L2(1e-30)),
            layers.BatchNormalization(),
            layers.AveragePooling2D(2),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(5, activation="elu"),
            layers.Dense(3, activation="softmax" if loss != "mean_squared_error" else "sigmoid"),
        ]
    )
    model.compile(optimizer, loss, ["accuracy"])
    with np.errstate(all="ignore"):
        model.layers[-1].params["kernel"].value[...] *= scale
    return model


@pytest.fixture(params=["reference", "cpu"])
def raising(request):
    with tinycnn.use_backend(request.param), np.errstate(all="raise"):
        yield request.param


@pytest.mark.parametrize("scale", [1e-38, 1e30])
@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "mean_squared_error"])
@pytest.mark.parametrize("optimizer", [optimizers.SGD, optimizers.Adam, optimizers.RMSprop])
def test_a_model_trains_predicts_and_shows_itself(raising, scale, loss, optimizer):
    targets = Y if loss.startswith("sparse") else np.eye(3, dtype="float32")[Y]
    model = small_model(loss, optimizer(clipnorm=1e-20), scale)
    model.fit(X, targets, epochs=2, batch_size=4, validation_data=(X, targets), verbose=0)
    model.evaluate(X, targets, verbose=0)
    model.train_on_batch(X, targets)
    model.trace(X[:2], targets[:2])
    assert np.isfinite(model.predict(X)).all()


def test_a_softmax_of_large_logits(raising):
    layer = layers.Softmax()
    layer.build((3,))
    y, _ = layer.forward(np.array([[0, 500, -500]], "float32"))
    assert y.tolist() == [[0, 1, 0]]


def test_a_gradient_check(raising):
    testing.check_gradients(layers.Dense(3, activation="softmax"), 300 * RNG.normal(size=(4, 5)))
    logits = np.array([[0, 800.0, -800], [1, 2, 3]])
    testing.check_gradients(losses.SparseCategoricalCrossentropy(from_logits=True), logits, np.array([1, 0]))


def test_initial_values_that_are_too_small(raising):
    small = initializers.RandomNormal(stddev=1e-44)
    Sequential([layers.Input((3,)), layers.Dense(20, kernel_initializer=small)])
