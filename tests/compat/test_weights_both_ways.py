"""Weights go from tinycnn to Keras and to PyTorch and come back, and every documented network predicts the same there.

Keras runs on PyTorch here.
"""

import copy
import os
import tempfile
import warnings

import numpy as np
import pytest
from compat_helpers import require

import tinycnn
from tinycnn import Sequential, interchange, layers, models

torch = require("torch")
require("h5py")
# Keras reads both variables when it is imported, so it uses no settings of the user and writes nothing to their home.
os.environ["KERAS_BACKEND"] = "torch"
with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
    patch.setenv("KERAS_HOME", folder)
    keras = require("keras")
from safetensors.torch import load_file, save_file  # noqa: E402

torch.set_num_threads(1)
# The warnings are Keras's own: it is not adapted to NumPy 2 yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")

EVERY_NETWORK = pytest.mark.parametrize("name", models.names())
#: The largest difference between two probabilities that passes.
TOLERANCE = 1e-5
#: Arguments that Keras's layers do not have.
OURS = ("trainable", "input_shape", "algorithm")


def with_weights(model, seed=0):
    """Give a model weights of the size that they have in training, so that no probability is nearly 1."""
    rng = np.random.default_rng(seed)
    for key, value in model.weights().items():
        kind = key.rpartition("/")[2]
        if kind in ("gamma", "moving_variance"):
            value[...] = rng.uniform(0.5, 1.5, value.shape)
        elif kind != "kernel":
            value[...] = rng.uniform(-0.2, 0.2, value.shape)
    return model


def images(model, count=4):
    return np.random.default_rng(1).random((count, *model.input_shape), dtype=np.float32)


def in_keras(model):
    """Return the same network in Keras, with weights of its own."""
    rows = [keras.layers.Input(model.input_shape)]
    for layer in model.layers:
        config = {
            key: value
            for key, value in layer.get_config().items()
            if key not in OURS and not key.endswith(("_initializer", "_regularizer"))
        }
        rows.append(getattr(keras.layers, type(layer).__name__)(**config))
    return keras.Sequential(rows)


def in_pytorch(model):
    """Return the same network in PyTorch, with weights of its own."""
    names = {}
    exec(interchange.pytorch_source(model), names)
    return names["network"].eval()


def predicted(network, x):
    """Return what a network of PyTorch predicts for images with channels last."""
    with torch.no_grad():
        return network(torch.tensor(np.ascontiguousarray(np.moveaxis(x, -1, 1)) if x.ndim == 4 else x)).numpy()


def assert_same(found, expected):
    """Check that probabilities are equal; all alike, or nearly certain, they would show little."""
    assert found.shape == expected.shape
    assert 0.01 < expected.max() < 0.999
    assert np.ptp(expected, axis=0).max() > 1e-4
    assert np.abs(found - expected).max() <= TOLERANCE


@EVERY_NETWORK
def test_keras_reads_what_is_written_and_writes_what_is_read(name, tmp_path):
    model = with_weights(models.build(name))
    x = images(model)
    theirs = in_keras(model)
    model.save_weights(tmp_path / "ours.weights.h5")
    theirs.load_weights(tmp_path / "ours.weights.h5")
    expected = theirs.predict(x, verbose=0)
    assert_same(model.predict(x), expected)

    theirs.save_weights(tmp_path / "theirs.weights.h5")
    again = models.build(name)
    again.load_weights(tmp_path / "theirs.weights.h5")
    for one, other in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@EVERY_NETWORK
@pytest.mark.parametrize("file", ["model.keras", "model.h5"])
def test_a_whole_model_of_keras_is_read(name, file, tmp_path):
    theirs = in_keras(models.build(name))
    theirs.set_weights(with_weights(models.build(name)).get_weights())
    theirs.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.save(tmp_path / file)
    model = tinycnn.load_model(tmp_path / file)
    x = images(model)
    assert_same(model.predict(x), theirs.predict(x, verbose=0))
    assert [layer.name for layer in model.layers] == [layer.name for layer in theirs.layers]
    labels = np.arange(len(x))
    expected = theirs.evaluate(x, labels, verbose=0)
    np.testing.assert_allclose(model.evaluate(x, labels, verbose=0), expected, rtol=1e-5)


@EVERY_NETWORK
def test_pytorch_reads_what_is_written_and_writes_what_is_read(name, tmp_path):
    model = with_weights(models.build(name))
    x = images(model)
    interchange.save_pytorch(model, tmp_path / "ours.safetensors")
    theirs = in_pytorch(model)
    theirs.load_state_dict(load_file(tmp_path / "ours.safetensors"))
    assert_same(model.predict(x), predicted(theirs, x))

    save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    again = models.build(name)
    again.load_weights(tmp_path / "theirs.safetensors")
    for one, other in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# Layers that the documented networks do not have ------------------------------------------------------------------

ROWS = {
    "depthwise": lambda: [
        layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="relu"),
        layers.Conv2D(6, 1, groups=2, use_bias=False),
    ],
    "strides": lambda: [
        layers.Conv2D(4, 3, strides=2, padding="same"),
        layers.MaxPooling2D(3, strides=2, padding="same"),
        layers.AveragePooling2D(2, strides=1, padding="same"),
    ],
    "pads on both sides": lambda: [
        layers.MaxPooling2D(3, strides=1, padding="same"),
        layers.AveragePooling2D(3, strides=1, padding="same"),
        layers.Conv2D(3, 5, dilation_rate=2, padding="same"),
    ],
    "average": lambda: [layers.AveragePooling2D(2), layers.ZeroPadding2D(((1, 0), (2, 1)))],
    "norm behind Flatten": lambda: [layers.Flatten(), layers.BatchNormalization(), layers.Dense(5, activation="elu")],
    "norm without gamma": lambda: [layers.BatchNormalization(scale=False), layers.BatchNormalization(center=False)],
    "dense on pixels": lambda: [layers.Dense(3, activation="tanh"), layers.Conv2D(4, 2, activation="gelu")],
    "whole image": lambda: [layers.GlobalAveragePooling2D(), layers.Dense(5, activation="sigmoid")],
    "whole image, kept": lambda: [layers.GlobalMaxPooling2D(keepdims=True), layers.ELU(0.5)],
    "reshaped": lambda: [layers.Flatten(), layers.Dense(18), layers.Reshape((3, 3, 2)), layers.Conv2D(3, 2)],
    "in training only": lambda: [layers.GaussianNoise(0.5), layers.Dropout(0.3), layers.LeakyReLU(), layers.ReLU()],
    "scaled": lambda: [layers.Rescaling(0.5, -0.25), layers.Activation("leaky_relu")],
}


def small(row, dtype="float32"):
    tinycnn.set_seed(3)
    end = [layers.Flatten(name="last_flatten"), layers.Dense(4, activation="softmax", name="last")]
    return with_weights(Sequential([layers.Input((6, 5, 4)), *ROWS[row](), *end], dtype=dtype))


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_other_layers_in_pytorch(row, dtype, tmp_path):
    model = small(row, dtype)
    x = images(model).astype(dtype)
    interchange.save_pytorch(model, tmp_path / "ours.safetensors")
    theirs = in_pytorch(model)
    theirs.load_state_dict(load_file(tmp_path / "ours.safetensors"))
    assert_same(model.predict(x), predicted(theirs, x))
    again = small(row, dtype)
    for value in again.weights().values():
        value[...] = 0
    save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    interchange.load_pytorch(again, tmp_path / "theirs.safetensors")
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


@pytest.mark.parametrize(
    "more", [[], [layers.ReLU()], [layers.BatchNormalization(), layers.Softmax()], [layers.Reshape((-1,))]]
)
def test_a_flattened_image_as_the_result_has_the_same_order_in_pytorch(more, tmp_path):
    rows = [layers.Input((6, 5, 4)), layers.Conv2D(3, 2), layers.Flatten(), *(copy.deepcopy(layer) for layer in more)]
    model = with_weights(Sequential(rows))
    x = images(model)
    interchange.save_pytorch(model, tmp_path / "ours.safetensors")
    theirs = in_pytorch(model)
    theirs.load_state_dict(load_file(tmp_path / "ours.safetensors"))
    np.testing.assert_allclose(predicted(theirs, x), model.predict(x), atol=TOLERANCE)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("file", ["model.keras", "model.h5"])
def test_other_layers_in_keras(row, file, tmp_path):
    model = small(row)
    x = images(model)
    theirs = in_keras(model)
    model.save_weights(tmp_path / "ours.weights.h5")
    theirs.load_weights(tmp_path / "ours.weights.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.save(tmp_path / file)
    again = tinycnn.load_model(tmp_path / file)
    assert not again.compiled
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    assert_same(again.predict(x), theirs.predict(x, verbose=0))


def test_a_functional_model_in_a_row_is_read(tmp_path):
    given = keras.Input((8, 8, 1), name="pictures")
    y = keras.layers.Conv2D(3, 3, activation="relu", kernel_regularizer="l2")(given)
    y = keras.layers.Dropout(0.5)(keras.layers.MaxPooling2D(2)(y))
    theirs = keras.Model(given, keras.layers.Dense(4, activation="softmax")(keras.layers.Flatten()(y)), name="row")
    for file in ("row.keras", "row.h5"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs.save(tmp_path / file)
        model = tinycnn.load_model(tmp_path / file)
        assert model.name == "row"
        x = images(model)
        assert_same(model.predict(x), theirs.predict(x, verbose=0))


def test_a_functional_model_with_a_branch_is_refused(tmp_path):
    given = keras.Input((8,))
    one, other = keras.layers.Dense(3)(given), keras.layers.Dense(3)(given)
    keras.Model(given, keras.layers.Add()([one, other])).save(tmp_path / "branch.keras")
    with pytest.raises(ValueError, match=r"branch\.keras is not a model of Keras .*its layers are not in a row"):
        tinycnn.load_model(tmp_path / "branch.keras")


def test_optimizer_loss_and_metrics_are_taken_over_from_keras(tmp_path):
    theirs = in_keras(models.build("ladder_03"))
    rate = keras.optimizers.schedules.ExponentialDecay(0.01, 100, 0.9)
    losses = keras.losses.SparseCategoricalCrossentropy(), "sparse_categorical_crossentropy"
    for loss in losses:
        theirs.compile(keras.optimizers.Adam(rate, beta_1=0.8, weight_decay=0.01), loss, metrics=["accuracy"])
        theirs.save(tmp_path / "model.keras")
        model = tinycnn.load_model(tmp_path / "model.keras")
        assert type(model.optimizer).__name__ == "Adam"
        assert (model.optimizer.beta_1, model.optimizer.weight_decay) == (0.8, 0.01)
        assert type(model.optimizer.schedule).__name__ == "ExponentialDecay"
        assert list(model.metrics) == ["accuracy"]


def test_a_model_that_cannot_be_compiled_here_is_still_read(tmp_path):
    theirs = in_keras(models.build("ladder_03"))
    theirs.compile("nadam", "sparse_categorical_crossentropy")
    theirs.save(tmp_path / "model.keras")
    with pytest.warns(UserWarning, match=r"model\.keras: the model is not compiled, .*[Nn]adam"):
        model = tinycnn.load_model(tmp_path / "model.keras")
    assert not model.compiled


def test_every_layer_of_keras_that_is_missing_is_listed(tmp_path):
    theirs = keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Conv2DTranspose(2, 3, name="up"),
            keras.layers.Conv2D(2, 3, activation="hard_sigmoid", name="bound"),
            keras.layers.Lambda(lambda x: x, name="code"),
        ]
    )
    theirs.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match=r"no counterpart for 'up': .*; 'bound': .*hard_sigmoid.*; 'code': "):
        tinycnn.load_model(tmp_path / "model.keras")


class Net(torch.nn.Module):
    """A network in the style of PyTorch's tutorials: modules by name, activations and pooling in ``forward``."""

    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, 6, 5)
        self.bn1 = torch.nn.BatchNorm2d(6)
        self.conv2 = torch.nn.Conv2d(6, 16, 5)
        self.fc1 = torch.nn.Linear(16 * 4 * 4, 120)
        self.fc2 = torch.nn.Linear(120, 84)
        self.fc3 = torch.nn.Linear(84, 10)

    def forward(self, x):
        F = torch.nn.functional
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = torch.flatten(F.max_pool2d(F.relu(self.conv2(x)), 2), 1)
        return F.softmax(self.fc3(F.relu(self.fc2(F.relu(self.fc1(x))))), dim=1)


def net_here():
    return Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(6, 5),
            layers.BatchNormalization(epsilon=1e-5),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 5, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dense(84, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def test_a_network_as_people_write_it_in_pytorch(tmp_path):
    torch.manual_seed(0)
    theirs, model = Net(), net_here()
    x = images(model, 64)
    theirs(torch.tensor(np.moveaxis(x, -1, 1).copy()))  # moves the statistics
    theirs.eval()
    save_file(theirs.state_dict(), tmp_path / "net.safetensors")
    model.load_weights(tmp_path / "net.safetensors")
    assert_same(model.predict(x), predicted(theirs, x))

    names = ["conv1", "bn1", "conv2", "fc1", "fc2", "fc3"]
    interchange.save_pytorch(model, tmp_path / "back.safetensors", names)
    other = Net().eval()
    other.load_state_dict(load_file(tmp_path / "back.safetensors"))
    assert_same(predicted(other, x), predicted(theirs, x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_numbers_of_pytorch(dtype, tmp_path):
    theirs, model = Net().to(dtype), net_here()
    before = model.get_weights()
    save_file(theirs.state_dict(), tmp_path / "net.safetensors")
    if dtype is not torch.bfloat16:
        with pytest.warns(UserWarning, match="they were converted to float32"):
            model.load_weights(tmp_path / "net.safetensors")
        np.testing.assert_array_equal(model.get_weights()[1], theirs.conv1.bias.detach().float().numpy())
        return
    with pytest.raises(ValueError, match="BF16, which NumPy does not have"):
        model.load_weights(tmp_path / "net.safetensors")
    assert all((one == other).all() for one, other in zip(before, model.get_weights(), strict=True))
