"""A training step allocates nothing that grows with the batch; after the first step the workspace has it all."""

import tracemalloc

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, layers
from tinycnn.core.backend import Backend
from tinycnn.core.workspace import Workspace
from tinycnn.training.batches import Batch, SampleSource
from tinycnn.training.running_means import RunningMeans
from tinycnn.training.step import train_step

SMALL, LARGE = 16, 128
#: How many more bytes a step may allocate for each further image. The loss returns fresh arrays: its gradient and the
#: probabilities have ten numbers of four bytes per image, and the loss and the weight have one each. An array of a
#: single channel of one 8×8 image would have 256 bytes.
PER_IMAGE = 96
#: The number of bytes by which Python's own objects come and go.
SLACK = 4_000

NETWORKS = {
    "as mnist_cnn": lambda: [
        layers.Conv2D(8, 3, padding="same", activation="relu"),
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Dropout(0.25),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(32, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ],
    "as go_crazy": lambda: [
        layers.Conv2D(6, 3, activation="relu"),
        layers.BatchNormalization(),
        layers.Dropout(0.1),
        layers.Conv2D(8, 3, activation="relu"),
        layers.BatchNormalization(),
        layers.Dropout(0.1),
        layers.Conv2D(6, 1, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(8, 3, activation="relu"),
        layers.BatchNormalization(),
        layers.Conv2D(10, 4),
        layers.Flatten(),
        layers.Softmax(),
    ],
    "many channels": lambda: [
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ],
}


def peak(network, images, fuse):
    """Return the most bytes that a step holds beyond what was there before it: the smallest number of several steps."""
    tinycnn.set_seed(0)
    model = Sequential([layers.Input((16, 16, 1)), *NETWORKS[network]()])
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    rng = np.random.default_rng(0)
    batch = Batch(rng.random((images, 16, 16, 1), dtype=np.float32), rng.integers(0, 10, images), None)
    means, ws, chain = RunningMeans(model), Workspace(), model.plan if fuse else model.chain
    for _ in range(3):
        train_step(model, chain, batch, means, ws)
    peaks = []
    tracemalloc.start()
    try:
        for _ in range(5):
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            train_step(model, chain, batch, means, ws)
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    return min(peaks)


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_step_allocates_nothing_that_grows_with_the_batch(network, fuse):
    growth = peak(network, LARGE, fuse) - peak(network, SMALL, fuse)
    assert growth <= (LARGE - SMALL) * PER_IMAGE + SLACK


@pytest.mark.parametrize("order", ["rows", "read-only", "channels first", "backwards", "reversed bytes", "unaligned"])
def test_gathering_a_batch_never_copies_the_data(order):
    """Images may be a view of another layout, as after a transposition; only those of the batch are copied."""
    x = np.random.default_rng(0).random((2000, 3, 16, 16), np.float32)
    x = {
        "rows": lambda: x.reshape(2000, 16, 16, 3),
        "channels first": lambda: x.transpose(0, 2, 3, 1),
        "backwards": lambda: x[::-1].reshape(2000, 16, 16, 3)[:, ::-1],
        "reversed bytes": lambda: x.astype(">f4"),
        "read-only": lambda: np.frombuffer(x.tobytes(), np.float32).reshape(2000, 16, 16, 3),
        "unaligned": lambda: np.frombuffer(b" " + x.tobytes(), np.float32, offset=1).reshape(2000, 16, 16, 3),
    }[order]()
    source, ws = SampleSource(Backend("cpu"), x, np.arange(2000), "float32"), Workspace()
    chosen = np.random.default_rng(0).permutation(2000)
    source.begin(chosen)
    source.batch(0, 100, ws)  # it makes the memory
    tracemalloc.start()
    try:
        images, _, labels = source.batch(100, 200, ws)
        assert tracemalloc.get_traced_memory()[1] < 3 * images.nbytes
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(images, x[chosen[100:200]])
    np.testing.assert_array_equal(labels, chosen[100:200])


def test_the_measurement_sees_an_array_of_one_channel():
    """A layer that makes one new array of 8×8 numbers for each image exceeds the bound."""

    class Careless(layers.Layer):
        def forward(self, x, *, training=False, step=0, ws=None):
            return x + np.float32(0), None

        def backward(self, dy, cache, *, ws=None):
            return dy

    NETWORKS["careless"] = lambda: [
        layers.MaxPooling2D(2),
        Careless(),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ]
    try:
        growth = peak("careless", LARGE, True) - peak("careless", SMALL, True)
    finally:
        del NETWORKS["careless"]
    assert growth > (LARGE - SMALL) * PER_IMAGE + SLACK
