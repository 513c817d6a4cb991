"""A model is freed as soon as nothing refers to it any more, without waiting for the garbage collector."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, callbacks, layers

X, Y = np.zeros((8, 4, 4, 1), "float32"), np.arange(8) % 3


@pytest.fixture(autouse=True)
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def made(backend="reference"):
    with tinycnn.use_backend(backend):
        model = Sequential(
            [layers.Input((4, 4, 1)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3, activation="softmax")]
        )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def every_callback(folder):
    return [
        callbacks.BackupAndRestore(folder),
        callbacks.EarlyStopping("loss", restore_best_weights=True),
        callbacks.ReduceLROnPlateau("loss"),
        callbacks.ModelCheckpoint(folder / "model"),
        callbacks.CSVLogger(folder / "log"),
        callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
    ]


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("held", ["nothing", "history", "callbacks"])
def test_a_model_is_freed_after_a_fit(held, backend, tmp_path):
    model, used = made(backend), every_callback(tmp_path)
    history = model.fit(X, Y, epochs=2, verbose=0, callbacks=used, validation_data=(X, Y))
    model.evaluate(X, Y, verbose=0)
    model.predict(X)
    model.trace(X, Y)
    assert history.model is model
    seen = weakref.ref(model)
    if held != "history":
        del history
    if held != "callbacks":
        del used
    del model
    assert seen() is None


def test_a_model_is_freed_after_a_fit_that_failed(tmp_path):
    class Fails(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            raise RuntimeError("enough")

    model, used = made(), [*every_callback(tmp_path), Fails()]
    with pytest.raises(RuntimeError, match="enough"):
        model.fit(X, Y, verbose=0, callbacks=used)
    seen = weakref.ref(model)
    del model
    gc.collect()  # the error itself holds the frames that it came through
    assert seen() is None


def test_a_callback_says_what_became_of_its_model():
    model = made()
    history = model.fit(X, Y, verbose=0)
    del model
    with pytest.raises(AttributeError, match="History has no model"):
        _ = history.model


def test_histories_can_be_copied_and_sent():
    model = made()
    history = model.fit(X, Y, epochs=2, verbose=0)
    sent = pickle.loads(pickle.dumps(history))  # noqa: S301  (as multiprocessing does)
    for other in (copy.deepcopy(history), sent, copy.deepcopy(model).history):
        assert (other.epoch, other.history) == (history.epoch, history.history)


def test_a_callback_without_a_fit_says_so():
    for callback in (callbacks.EarlyStopping("loss"), copy.deepcopy(made().fit(X, Y, verbose=0))):
        with pytest.raises(RuntimeError, match=r"has no model: fit sets it, and this callback has not been in a fit"):
            _ = callback.model
        assert not hasattr(callback, "model")


class Scaled(layers.Layer):
    """A layer of one's own whose forward is a plain function that its constructor has put in place."""

    def __init__(self, **base):
        super().__init__(**base)
        self.forward = doubled

    def backward(self, dy, cache):
        return 2 * dy


def doubled(x):
    return 2 * x, None


class Held:
    """Batches that are asked for by their numbers."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return X[4 * index :][:4], Y[4 * index :][:4]


@pytest.mark.parametrize("data", [(X, Y), ([(X, Y)],), (Held(),)])
def test_a_model_with_a_layer_of_ones_own_is_freed_whatever_it_was_fed(data):
    with tinycnn.use_backend("reference"):
        model = Sequential([layers.Input((4, 4, 1)), Scaled(), layers.Flatten(), layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    history = model.fit(*data, verbose=0, validation_data=Held())
    model.summary()
    model.layers[-1].activation = "softmax"
    model.predict(Held())
    seen = weakref.ref(model)
    other = copy.deepcopy(model)
    del model
    assert seen() is None
    assert history.epoch == [0]
    assert other.predict(X).shape == (8, 3)


# What travels with a copy


def ways():
    return {"pickle": lambda thing: pickle.loads(pickle.dumps(thing)), "deepcopy": copy.deepcopy}  # noqa: S301


def big_and_small(model):
    """Return the sizes of a pickle before and after predictions and a fit on many images."""
    x, y = np.zeros((512, 4, 4, 1), "float32"), np.arange(512) % 3
    model.fit(x[:4], y[:4], verbose=0)
    before = len(pickle.dumps(model))
    model.predict(x)
    model.fit(x, y, batch_size=256, verbose=0, validation_data=(x, y))
    model.evaluate(x, y, verbose=0)
    model.trace(x, y)
    return before, len(pickle.dumps(model))


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_scratch_memory_does_not_travel(backend, tmp_path):
    before, after = big_and_small(made(backend))
    assert after < before + 500  # a history has some more numbers
    weights = sum(weight.nbytes for weight in made(backend).get_weights())
    assert after < 3 * weights + 6000  # the weights, two moments of each, and what describes them


@pytest.mark.parametrize("way", ways())
def test_the_copy_of_a_model_trains_on_to_the_same_bits(way):
    model = made("cpu")
    model.fit(X, Y, epochs=2, verbose=0)
    model.predict(X)
    other = ways()[way](model)
    assert other.history.model is other
    for one in (model, other):
        one.fit(X, Y, verbose=0)
    assert model.history.history == other.history.history
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.shares_memory(a, b)


@pytest.mark.parametrize("way", ways())
def test_callbacks_travel_without_the_model(way, tmp_path):
    model = made()
    used = [one for one in every_callback(tmp_path) if not isinstance(one, callbacks.LambdaCallback)]
    x, y = np.zeros((512, 4, 4, 1), "float32"), np.arange(512) % 3
    model.fit(x, y, batch_size=256, verbose=0, callbacks=used)
    for callback in used:
        assert len(pickle.dumps(callback)) < 3000
        other = ways()[way](callback)
        assert type(other) is type(callback)
    copies = [ways()[way](callback) for callback in used]
    model.fit(X, Y, epochs=2, verbose=0, callbacks=copies[1:])


def test_a_callback_that_is_copied_in_the_middle_of_a_fit_takes_no_memory_with_it(tmp_path):
    sizes = []

    class Copies(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            sizes.extend(len(pickle.dumps(one)) for one in (self.model, backup, self.model.history))

    model, backup = made(), callbacks.BackupAndRestore(tmp_path)
    x, y = np.zeros((512, 4, 4, 1), "float32"), np.arange(512) % 3
    model.fit(x, y, batch_size=256, verbose=0, callbacks=[Copies(), backup])
    assert max(sizes) < 10_000
