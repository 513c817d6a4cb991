"""``Dropout(1.0)``: Keras has it, and kernels divide by ``1 - rate``."""

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, layers
from tinycnn.core.backend import BACKENDS, Backend

EVERY_BACKEND = pytest.mark.parametrize("backend", BACKENDS)


@EVERY_BACKEND
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_is_kept_in_training(backend, dtype):
    layer = layers.Dropout(1.0)
    layer.build((40, 50), dtype=dtype, backend=Backend(backend))
    x = np.random.default_rng(0).normal(1e6, 1, (30, 40, 50)).astype(dtype)
    y, cache = layer.forward(x, training=True, step=3)
    assert y.dtype == dtype
    assert not y.any()
    assert not layer.backward(np.ones_like(x), cache).any()
    np.testing.assert_array_equal(layer.forward(x)[0], x)


@EVERY_BACKEND
@pytest.mark.parametrize("fuse", [True, False])
def test_in_a_network(backend, fuse):
    """Where layers take sixteen images in each vector, and where a step is a program, it is the same."""
    rng = np.random.default_rng(0)
    x, y = rng.random((64, 8, 8, 1)).astype(np.float32), rng.integers(0, 3, 64)
    tinycnn.set_seed(0)
    with tinycnn.use_backend(backend):
        model = Sequential([layers.Input((8, 8, 1)), layers.Conv2D(4, 3, activation="relu"), layers.Dropout(1.0)])
        model.add(layers.Conv2D(4, 3))
        model.add(layers.Flatten())
        model.add(layers.Dense(3, "softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    history = model.fit(x, y, 16, 2, verbose=0, fuse=fuse).history
    after = model.get_weights()
    assert history["loss"][0] == pytest.approx(np.log(3), rel=0.1)  # nothing is known of the images
    for index in (0, 1, 2):  # these weights cannot learn
        np.testing.assert_array_equal(after[index], before[index])
    assert (after[5] != before[5]).any()
