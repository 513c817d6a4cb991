"""What is made for kernels begins on a cache line, and what begins elsewhere gives the same bits."""

import copy

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, layers
from tinycnn.core.workspace import Workspace
from tinycnn.kernels import aligned, cpu


def is_aligned(array):
    return array.size == 0 or array.ctypes.data % aligned.BYTES == 0


def moved(array):
    """Return a copy that begins one number behind a cache line."""
    memory = aligned.empty((array.size + 1,), array.dtype)[1:].reshape(array.shape)
    memory[...] = array
    return memory


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), 7, (2, 0, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int64])
def test_arrays_are_like_numpys(shape, dtype):
    array, zeros = aligned.empty(shape, dtype), aligned.zeros(shape, dtype)
    like = np.empty(shape, dtype)
    assert array.shape == like.shape
    assert array.dtype == like.dtype
    assert array.flags.carray
    assert is_aligned(array)
    assert np.array_equal(zeros, np.zeros(shape, dtype))
    turned = np.asfortranarray(zeros)
    assert aligned.copy(turned).flags.carray
    assert aligned.zeros_like(zeros).shape == zeros.shape


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_all_that_a_model_holds_is_aligned_and_copies_are(backend, tmp_path):
    tinycnn.set_seed(0)
    with tinycnn.use_backend(backend):
        model = Sequential(
            [
                layers.Input((9, 9, 1)),
                layers.Conv2D(5, 3, activation="relu"),
                layers.BatchNormalization(),
                layers.Flatten(),
                layers.Dense(3, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(np.zeros((8, 9, 9, 1), np.float32), np.arange(8) % 3, verbose=0)
    model.save(tmp_path / "model.safetensors")
    for one in (model, copy.deepcopy(model), tinycnn.load_model(tmp_path / "model.safetensors")):
        for name, parameter in one.parameters().items():
            assert is_aligned(parameter.value), name
            assert is_aligned(parameter.grad), name
            assert all(map(is_aligned, one.optimizer.slots[name])), name


def test_memory_of_a_workspace_is_aligned():
    ws = Workspace()
    scratch = ws.scratch()
    for array in (ws.keep("owner", "y", (3, 5), "float32"), ws.flow((7,), "float32"), scratch((3, 3)), scratch(5)):
        assert is_aligned(array)


def test_bits_do_not_depend_on_where_arrays_begin():
    rng = np.random.default_rng(0)
    x, w, b, dy = (rng.standard_normal(shape, np.float32) for shape in ((40, 50), (50, 21), (21,), (40, 21)))
    assert np.array_equal(cpu.dense_forward(x, w, b), cpu.dense_forward(moved(x), moved(w), moved(b)))
    for one, other in zip(
        cpu.dense_backward_weights(dy, x), cpu.dense_backward_weights(moved(dy), moved(x)), strict=True
    ):
        assert np.array_equal(one, other)
    images, kernel = rng.standard_normal((3, 9, 9, 5), np.float32), rng.standard_normal((3, 3, 5, 11), np.float32)
    geometry = (1, 1), (1, 1, 1, 1), (1, 1), 1
    expected = cpu.conv2d_forward(images, kernel, None, *geometry)
    out = moved(expected)
    assert cpu.conv2d_forward(moved(images), moved(kernel), None, *geometry, out=out) is out
    assert np.array_equal(out, expected)
