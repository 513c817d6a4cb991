"""model.trace: what it shows is what training does."""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import small_network

import tinycnn
from tinycnn import Sequential, layers, losses, regularizers


def make():
    tinycnn.set_seed(0)
    model = small_network()
    model.compile("sgd", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    return model, rng.normal(size=(5, 6, 6, 1)), rng.integers(0, 4, 5)


def test_arrays_hang_together():
    model, x, y = make()
    trace = model.trace(x, y)
    assert len(trace) == 5
    for before, after in zip(trace.layers, trace.layers[1:], strict=False):
        assert after.x is before.y
        assert before.dy is after.dx
    for entry in trace:
        assert entry.dx.shape == entry.x.shape
        assert entry.dy.shape == entry.y.shape
        assert entry.gradients.keys() == entry.parameters.keys()
    assert trace["conv2d"] is trace[0]
    assert trace[0].cache.kept is trace[0].y


def test_two_threads_that_trace_one_model_take_turns():
    model, x, y = make()
    wanted = model.trace(x, y)["conv2d"].z
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: model.trace(x, y)["conv2d"].z, range(40)))
    assert all(np.array_equal(one, wanted) for one in found)
    assert not any("linear_forward" in vars(layer) for layer in model.layers)


ENDS = {
    "dense": [layers.Flatten(), layers.Dense(4, activation="softmax")],
    "activation": [layers.Flatten(), layers.Dense(4), layers.Activation("softmax")],
    "softmax": [layers.Flatten(), layers.Dense(4), layers.Softmax()],
    "flattened softmax": [layers.Conv2D(4, 4, activation="softmax"), layers.Flatten()],
    "reshaped softmax": [layers.Conv2D(4, 4), layers.Softmax(), layers.Reshape((4,))],
    "logits": [layers.Flatten(), layers.Dense(4)],
}


@pytest.mark.parametrize("end", ENDS)
def test_gradients_and_loss_are_those_of_the_training_step(end):
    """Penalties on weights, and images that a network is sure of and wrong about, included."""
    tinycnn.set_seed(0)
    start = [layers.Input((6, 6, 1)), layers.Conv2D(3, 3, kernel_regularizer=regularizers.L2(0.5))]
    model = Sequential([*start, layers.BatchNormalization(), layers.Dropout(0.3), *copy.deepcopy(ENDS[end])])
    model.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=end == "logits"))
    rng = np.random.default_rng(0)
    x, y = 100 * rng.normal(size=(5, 6, 6, 1)), rng.integers(0, 4, 5)
    model.set_weights([100 * weight if weight.shape[-1] == 4 else weight for weight in model.get_weights()])
    trace = model.trace(x, y)
    logs = model.train_on_batch(x, y)
    assert trace.loss == pytest.approx(logs["loss"], rel=1e-5)
    assert trace.loss > 50
    assert np.abs(trace[0].dy).max() > 0.1
    for key, parameter in model.parameters().items():
        layer, name = key.split("/")
        np.testing.assert_allclose(trace[layer].gradients[name], parameter.grad, rtol=1e-3, atol=1e-6)


def test_changes_nothing_but_gradients():
    model, x, y = make()
    before = model.get_weights()
    model.trace(x, y)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert model.optimizer.iterations == 0


def test_without_labels_there_is_no_way_back():
    model, x, _ = make()
    trace = model.trace(x)
    assert trace.loss is None
    assert all(entry.dy is None and entry.dx is None and not entry.gradients for entry in trace)


def test_prints_as_a_table():
    model, x, y = make()
    text = str(model.trace(x, y))
    lines = text.splitlines()
    assert len(lines) == 2 + 5 + 1
    assert "batch_normalization" in text
    assert "gamma" in text
    assert lines[-1].startswith("loss ")


def test_the_table_shows_large_numbers_that_are_finite():
    """Their sum and their squares are none that float32 can hold."""
    model = Sequential([layers.Input((12, 12, 1)), layers.ReLU(), layers.Flatten()])
    model.compile("sgd", "mse")
    text = str(model.trace(np.full((1, 12, 12, 1), 1e38, np.float32)))
    assert text.count("1e+38") == 2
    assert "inf" not in text
    trace = model.trace(np.ones((1, 12, 12, 1)), np.ones((1, 144)))
    trace.loss = 75786100698259824473824740148816904192.0
    assert str(trace).endswith("\nloss 7.5786e+37")


def test_a_trace_shows_itself_without_its_arrays():
    model, x, y = make()
    trace = model.trace(x, y)
    assert repr(trace) == str(trace)
    assert repr(trace["conv2d"]) == "<trace of Conv2D 'conv2d': (5, 6, 6, 1) → (5, 4, 4, 3)>"


def test_an_error_recommends_no_argument_that_is_not_there():
    model, x, _ = make()
    x[1, 2, 3, 0] = np.nan
    with pytest.raises(ValueError, match=r"^x holds nan at index \(1, 2, 3, 0\)$"):
        model.trace(x)
    with pytest.raises(ValueError, match=r"index \(1, 2, 3, 0\)$"):
        model.train_on_batch(x, [0] * 5)
    for call in (model.predict, lambda x: model.evaluate(x, [0] * 5), lambda x: model.fit(x, [0] * 5)):
        with pytest.raises(ValueError, match=r"\(1, 2, 3, 0\); pass check_finite=False to let it through$"):
            call(x)


def test_unknown_layer():
    model, x, _ = make()
    with pytest.raises(ValueError, match="did you mean 'dense'"):
        model.trace(x)["dens"]


# Masks and values before activations ----------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_values_before_activations_are_those_of_the_pass(backend):
    tinycnn.set_seed(0)
    kinds = ["relu", "gelu", "sigmoid", "tanh", "elu", "linear"]
    with tinycnn.use_backend(backend):
        model = Sequential(
            [
                layers.Input((6, 6, 2)),
                *(layers.Conv2D(2, 3, padding="same", activation=kind) for kind in kinds),
                layers.LeakyReLU(),
                layers.Dropout(0.4),
                layers.Flatten(),
                layers.Dense(3, activation="softmax"),
            ]
        )
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 2)).astype(np.float32)
    trace = model.trace(x, [0, 1, 2, 0])
    for entry in trace:
        if hasattr(entry.layer, "activation"):
            again = entry.layer.activation.forward(entry.layer.kernels, entry.z.copy())
            np.testing.assert_array_equal(again, entry.y)
        else:
            assert entry.z is None
    assert trace["conv2d_5"].z is trace["conv2d_5"].y  # the activation is linear
    # The values are new arrays, and the layers are as they were.
    assert not np.shares_memory(trace["conv2d"].z, trace["conv2d"].y)
    assert all("linear_forward" not in vars(layer) for layer in model.layers)


def test_the_mask_is_what_dropout_did():
    model, x, y = make()
    for trace in (model.trace(x, y), model.trace(x)):
        entry = trace["dropout"]
        assert entry.mask.dtype == bool
        np.testing.assert_allclose(entry.y, np.where(entry.mask, entry.x / (1 - 0.3), 0), rtol=1e-6)
        assert 0 < entry.mask.mean() < 1
        assert all(other.mask is None for other in trace if other is not entry)
    # The next step has another mask.
    model.fit(x, y, verbose=0)
    assert (model.trace(x)["dropout"].mask != entry.mask).any()


def test_buffers_are_those_from_before_the_pass():
    model, x, _ = make()
    entry = model.trace(x)["batch_normalization"]
    np.testing.assert_array_equal(entry.buffers["moving_mean"], model.layers[1].buffers["moving_mean"])
    assert entry.buffers["moving_mean"] is not model.layers[1].buffers["moving_mean"]


def test_an_error_in_the_pass_leaves_the_layers_as_they_were():
    class Bad(layers.Layer):
        def forward(self, x):
            raise ZeroDivisionError

        def backward(self, dy, cache):
            return dy

    model = Sequential([layers.Input((6, 6, 1)), layers.Conv2D(2, 3, activation="relu"), Bad()])
    with pytest.raises(ZeroDivisionError):
        model.trace(np.zeros((1, 6, 6, 1)))
    assert "linear_forward" not in vars(model.layers[0])
