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
