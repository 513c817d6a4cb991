"""What is saved can be loaded: what has been set to values that no reader takes is refused when it is saved."""

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, layers, load_model, losses, metrics, regularizers
from tinycnn.layers import Parameter
from tinycnn.network.network import MAX_LAYERS

X, Y = np.random.default_rng(0).random((12, 4, 4, 1)), np.arange(12) % 3


@pytest.fixture(autouse=True)
def plain_numpy():
    with tinycnn.use_backend("reference"):
        yield


class Nested(layers.Layer):
    def __init__(self, k=None, **base):
        super().__init__(**base)
        self.k = k

    def forward(self, x):
        return x, None

    def backward(self, dy, cache):
        return dy


def fitted(optimizer="adam", extra=()):
    model = Sequential([layers.Input((4, 4, 1)), layers.Conv2D(2, 3, kernel_regularizer=regularizers.L2(0.1)), *extra])
    model.add(layers.Flatten())
    model.add(layers.Dense(3, activation="softmax"))
    model.compile(optimizer, losses.SparseCategoricalCrossentropy(), [metrics.SparseTopKCategoricalAccuracy(2)])
    model.fit(X, Y, verbose=0)
    return model


def clip_twice(model):
    model.optimizer.clipnorm = model.optimizer.clipvalue = 1.0


def wider(model):
    kernel = model.layers[0].params["kernel"]
    kernel.value = kernel.value.astype("float64")


def longer(model):
    # An array in place of the parameter's own would be refused at once.
    model.layers[0].params["bias"] = Parameter(np.zeros(5, np.float32))


def top_0(model):
    next(iter(model.metrics.values())).k = 0


def more(model):
    model.layers[0].params["more"] = Parameter(np.ones(2, np.float32))


REFUSED = {
    "an optimizer's number": (lambda m: setattr(m.optimizer, "beta_1", 1.0), "Adam cannot be saved.*beta_1 must be"),
    "two kinds of clipping": (clip_twice, "Adam cannot be saved, .*clipped in one way only"),
    "a loss's reduction": (lambda m: setattr(m.loss, "reduction", "none"), "cannot be saved, .*reduction must"),
    "a metric's k": (top_0, "cannot be saved, .*k must be at least 1"),
    "a penalty": (lambda m: setattr(m.layers[0].kernel_regularizer, "l2", -1.0), "L2 cannot be saved.*l2 must be >= 0"),
    "steps below 0": (lambda m: setattr(m.optimizer, "iterations", -1), "optimizer's iterations must be at least 0"),
    "half a step": (lambda m: setattr(m.optimizer, "iterations", 1.5), "optimizer's iterations must be an integer"),
    "another dtype": (wider, r"Conv2D 'conv2d' cannot be saved: its array 'kernel' is float64 .*value\[\.\.\.\] = "),
    "another shape": (longer, r"'bias' is float32 of shape \(5,\), but was float32 of shape \(2,\)"),
    "one more": (more, "'more' is .*but was none"),
    "one less": (lambda m: m.layers[0].params.pop("bias"), "'bias' is none, but was"),
    "a softmax gone": (lambda m: setattr(m.layers[-1], "activation", "linear"), "expects probabilities"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_not_be_loaded_is_refused(name, tmp_path):
    model = fitted()
    change, message = REFUSED[name]
    change(model)
    with pytest.raises((ValueError, TypeError), match=message):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_too_many_layers_and_deep_arguments_are_refused(tmp_path):
    model = Sequential([layers.Input((3,)), *(layers.ReLU() for _ in range(MAX_LAYERS + 1))])
    with pytest.raises(ValueError, match=f"{MAX_LAYERS + 1} layers, more than {MAX_LAYERS}"):
        model.save(tmp_path / "model")
    deep = 1
    for _ in range(30):
        deep = [deep]
    with pytest.raises(ValueError, match="nested more than 32 deep; make it flatter"):
        fitted(extra=[Nested(deep)]).save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_numbers_of_numpys_and_names_in_place_of_objects_are_saved(tmp_path):
    model = fitted()
    model.optimizer.iterations, model.optimizer.epsilon = np.int64(7), np.float32(0.5)
    model.loss, model.metrics = "sparse_categorical_crossentropy", ["accuracy"]
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert (loaded.optimizer.iterations, loaded.optimizer.epsilon, list(loaded.metrics)) == (7, 0.5, ["accuracy"])


def test_weights_can_be_saved_whatever_the_optimizer_is(tmp_path):
    model = fitted()
    clip_twice(model)
    model.save_weights(tmp_path / "weights")
    assert not load_model(tmp_path / "weights").compiled
