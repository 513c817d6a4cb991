"""Predictors: snapshots of a model that give what ``predict`` gives."""

import copy
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, layers
from tinycnn.models import build


class Twice(layers.Layer):
    """A layer of a user's own."""

    def __init__(self, factor=2.0, **base):
        super().__init__(**base)
        self.factor = factor

    def forward(self, x, *, training=False):
        return self.factor * x, None

    def backward(self, dy, cache):
        return self.factor * dy


def images(count, seed=0, shape=(12, 12, 2)):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)


def network(backend="cpu", own=False):
    tinycnn.set_seed(3)
    with tinycnn.use_backend(backend):
        model = Sequential(
            [
                layers.Input((12, 12, 2)),
                layers.Conv2D(6, 3, activation="relu"),
                layers.BatchNormalization(),
                layers.MaxPooling2D(2),
                *([Twice()] if own else []),
                layers.Conv2D(70, 3, padding="same", activation="gelu"),
                layers.Conv2D(64, 3, algorithm="winograd" if backend == "cpu" else "auto"),
                layers.BatchNormalization(),
                layers.Dropout(0.5),
                layers.Flatten(),
                layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_the_same_bits_as_predict(backend, own):
    model = network(backend, own)
    predictor = model.predictor()
    for count in (1, 0, 2, 16, 1, 17, 256, 300, 1):
        x = images(count, seed=count)
        for _ in range(3):
            assert np.array_equal(predictor(x), model.predict(x))


@pytest.mark.parametrize("name", ["vanilla", "go_crazy", "ladder_03", "mnist_cnn"])
def test_documented_networks(name):
    model = build(name)
    predictor = model.predictor()
    for count in (1, 3, 20):
        x = images(count, shape=model.input_shape)
        assert np.array_equal(predictor(x), model.predict(x))
        assert np.array_equal(predictor(2 * x), model.predict(2 * x))


def test_it_is_a_snapshot():
    model, x = network(), images(5)
    predictor, before = model.predictor(), model.predict(x)
    assert np.array_equal(predictor(x), before)
    model.fit(images(40), np.arange(40) % 10, verbose=0, epochs=2)
    model.layers[1].epsilon = 0.5
    assert np.array_equal(predictor(x), before)
    assert np.array_equal(predictor(x[:2]), before[:2])  # a program that is recorded only now
    assert not np.array_equal(model.predict(x), before)
    assert np.array_equal(model.predictor()(x), model.predict(x))


def test_the_model_is_free_to_go():
    model, x = network(), images(3)
    predictor, before, gone = model.predictor(), model.predict(x), weakref.ref(model)
    predictor(x)
    del model
    gc.collect()
    assert gone() is None
    assert np.array_equal(predictor(x), before)


def test_results_are_the_callers():
    predictor = network().predictor()
    first, again = predictor(images(2)), predictor(images(2))
    second = predictor(images(2, seed=1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)
    x = images(2)
    predictor(x)
    assert np.array_equal(x, images(2))


def test_other_forms_of_images():
    model = network()
    predictor = model.predictor()
    x = images(3)
    for given in (x, x.astype(np.float64), x[:, ::-1], x[::-1], x.tolist(), np.asfortranarray(x)):
        for _ in range(2):
            assert np.array_equal(predictor(given), model.predict(given))


BAD = {
    "another shape": (images(2, shape=(12, 12, 1)), ValueError, r"expected shape \(N, 12, 12, 2\)"),
    "a single image": (images(1)[0], ValueError, r"expected shape \(N, 12, 12, 2\)"),
    "NaN": (np.full((1, 12, 12, 2), np.nan, np.float32), ValueError, "nan"),
    "infinity": (np.where(images(2) > 3, np.inf, np.inf), ValueError, "inf"),
    "words": (["a"], (TypeError, ValueError), "x"),
}


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("name", BAD)
def test_bad_images(name, later):
    predictor = network().predictor()
    if later:
        predictor(images(1))
    x, error, message = BAD[name]
    with pytest.raises(error, match=message):
        predictor(x)


def test_large_numbers_are_no_infinity():
    predictor = network().predictor()
    predictor(images(1))
    x = np.full((1, 12, 12, 2), 3e38, np.float32)
    assert np.vdot(x, x) == np.inf
    predictor(x)


def test_what_is_not_finite_can_be_let_through():
    model, x = network(), np.full((1, 12, 12, 2), np.nan, np.float32)
    predictor = model.predictor()
    for _ in range(2):
        assert np.isnan(predictor(x, check_finite=False)).all()
    with pytest.raises(TypeError, match="check_finite"):
        predictor(x, check_finite="no")


def test_unscaled_images_are_noticed_once():
    predictor = network().predictor()
    with pytest.warns(UserWarning, match="unscaled"):
        predictor(np.full((1, 12, 12, 2), 200, np.uint8))


def test_a_model_that_is_not_built():
    with pytest.raises(RuntimeError, match="not built"):
        Sequential([layers.Dense(3)]).predictor()


def test_several_threads():
    model = network()
    predictor = model.predictor()
    inputs = [images(count % 3 + 1, seed=count) for count in range(12)]
    found = [None] * len(inputs)

    def run(index):
        for _ in range(5):
            found[index] = predictor(inputs[index])

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for x, y in zip(inputs, found, strict=True):
        assert np.array_equal(y, model.predict(x))


def test_programs_do_not_pile_up():
    predictor = network().predictor()
    for count in range(1, 80):
        predictor(images(count))
    assert len(predictor._programs) <= 32


def test_it_says_what_it_is():
    assert repr(network().predictor()) == "<Predictor of 'sequential': (12, 12, 2) -> (10,)>"


def sent(predictor):
    """Return what another process would get."""
    return pickle.loads(pickle.dumps(predictor))  # noqa: S301 - this is our own


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, sent])
def test_a_copy_predicts_the_same(copied):
    predictor, x = network().predictor(), images(2)
    before = predictor(x)
    assert np.array_equal(copied(predictor)(x), before)
    assert np.array_equal(predictor(x), before)
