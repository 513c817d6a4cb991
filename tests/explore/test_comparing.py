"""A learner's kernels beside the reference's: a mistake shows in the layer that makes it, with its first element."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import pooling_network

import tinycnn
from tinycnn import Sequential, layers
from tinycnn.explore.comparing import compare
from tinycnn.explore.mine import KernelFile
from tinycnn.kernels import reference
from tinycnn.kernels.geometry import Window
from tinycnn.kernels.reference.conv import im2col

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(3, 8, 8, 2)).astype(np.float32), np.array([0, 3, 1])


def network():
    """Return a network with a stride, pads, a bias before a batch normalization, and pooling; weights are all moved."""
    tinycnn.set_seed(0)
    model = Sequential(
        [
            layers.Input((8, 8, 2)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.Conv2D(4, (3, 2), strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(1)
    model.set_weights([weight + 0.3 * rng.random(weight.shape) for weight in model.get_weights()])
    return model


def compared(training=True, **functions):
    """Return the entries by name, after checking that JSON can hold them."""
    model = network()
    before = model.get_weights()
    found = compare(model, SimpleNamespace(**functions), X, Y, training=training)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    json.dumps(found, allow_nan=False)
    return {entry["name"]: entry for entry in found}


def wrong_in(entries):
    return [name for name, entry in entries.items() if not entry["equal"]]


# Correct kernels --------------------------------------------------------------------------------------------------


def loops_forward(x, w, b, strides, pads, dilation, groups):
    """Convolve with a loop over the taps, so that sums are added in another order."""
    cols = im2col(x, Window(w.shape[:2], strides, pads, dilation))
    y = np.zeros((*cols.shape[:3], w.shape[3]), x.dtype)
    for p in range(w.shape[0]):
        for q in range(w.shape[1]):
            for c in range(w.shape[2]):
                y += cols[:, :, :, p, q, c, None] * w[p, q, c]
    return y if b is None else y + b


def loops_backward_weights(dy, x, kernel_size, strides, pads, dilation, groups):
    cols = im2col(x, Window(kernel_size, strides, pads, dilation))
    db = np.zeros(dy.shape[-1], dy.dtype)
    for row in dy.reshape(-1, dy.shape[-1])[::-1]:
        db += row
    return np.einsum("nijpqc,nijf->pqcf", cols, dy), db


@pytest.mark.parametrize("training", [True, False])
def test_correct_kernels_are_equal_up_to_rounding(training):
    """The bias before the batch normalization has a gradient that is 0 but for rounding, which is not an error."""
    entries = compared(training, conv2d_forward=loops_forward, conv2d_backward_weights=loops_backward_weights)
    assert wrong_in(entries) == []
    assert list(entries) == [*(layer.name for layer in network().layers), "loss", "optimizer"]
    assert entries["conv2d"]["kernels"] == ["conv2d_backward_weights", "conv2d_forward"]
    assert entries["dense"]["kernels"] == []
    assert not entries["conv2d_1"]["gradients"]["bias"]["identical"]
    assert 0 < entries["conv2d"]["forward"]["relative"] < 1e-5
    assert entries["conv2d"]["forward"]["size"] == 3 * 8 * 8 * 4
    assert entries["dense"]["forward"] == {
        "equal": True,
        "identical": True,
        "largest_difference": 0.0,
        "relative": 0.0,
        "wrong": 0,
        "size": 12,
        "first_wrong": None,
        "expected": None,
        "got": None,
    }
    assert entries["max_pooling2d"]["kept"]["argmax"]["identical"]
    assert set(entries["batch_normalization"]["kept"]) == {"mean", "variance", "moving_mean", "moving_variance"}


def test_every_kernel_may_be_a_learners():
    own = {name: getattr(reference, name).__wrapped__ for name in reference.__all__}
    copies = {name: type(f)(f.__code__, f.__globals__, name, f.__defaults__, f.__closure__) for name, f in own.items()}
    entries = compared(**copies)
    assert wrong_in(entries) == []
    assert entries["loss"]["kernels"] == ["softmax_cross_entropy_backward", "softmax_cross_entropy_forward"]
    assert entries["dropout"]["kernels"] == ["dropout"]
    assert "move_average" in entries["batch_normalization"]["kernels"]
    assert "batch_norm_inference_backward" in compared(False, **copies)["batch_normalization"]["kernels"]


# Wrong kernels ----------------------------------------------------------------------------------------------------


def changed_forward(change):
    """Return a convolution with other arguments than those that it is given."""

    def conv2d_forward(x, w, b, strides, pads, dilation, groups):
        named = {"x": x, "w": w, "b": b, "strides": strides, "pads": pads, "dilation": dilation, "groups": groups}
        return reference.conv2d_forward(**named | change(named))

    return conv2d_forward


def test_a_forgotten_bias():
    entries = compared(conv2d_forward=changed_forward(lambda a: {"b": None}))
    assert wrong_in(entries) == ["conv2d", "conv2d_1"]
    found = entries["conv2d_1"]["forward"]
    assert found["first_wrong"] == [0, 0, 0, 0]
    assert found["wrong"] == found["size"]
    bias = network().get_layer("conv2d_1").params["bias"].value[0]
    assert found["expected"] - found["got"] == pytest.approx(bias, rel=1e-4)
    assert entries["conv2d"]["backward"]["equal"]


def test_pads_on_the_wrong_side_show_where_they_matter():
    def swapped(a):
        top, bottom, left, right = a["pads"]
        return {"pads": (bottom, top, right, left)}

    entries = compared(conv2d_forward=changed_forward(swapped))
    assert wrong_in(entries) == ["conv2d_1"]  # the pads of the first layer are the same on all sides


def test_a_stride_that_is_forgotten_is_a_wrong_shape():
    entries = compared(conv2d_forward=changed_forward(lambda a: {"strides": (1, 1)}))
    assert wrong_in(entries) == ["conv2d_1"]
    error = entries["conv2d_1"]["forward"]
    assert "conv2d_forward (test_comparing.py, line" in error["error"]
    assert "with shape (3, 7, 7, 4); expected an array of float32 with shape (3, 4, 4, 4)" in error["error"]
    assert error["place"] is None
    assert entries["conv2d_1"]["kept"] == {}
    assert entries["conv2d_1"]["backward"]["equal"]


def test_an_error_of_one_in_the_index():
    def max_pool2d_forward(x, pool_size, strides, pads):
        y, argmax = reference.max_pool2d_forward(x, pool_size, strides, pads)
        argmax[1, 0, 1, 2] ^= 1
        return y, argmax

    entries = compared(max_pool2d_forward=max_pool2d_forward)
    assert wrong_in(entries) == ["max_pooling2d"]
    entry = entries["max_pooling2d"]
    assert entry["forward"]["equal"]
    assert entry["backward"]["equal"], "it is given what the reference kept"
    assert entry["kept"]["argmax"]["first_wrong"] == [1, 0, 1, 2]
    assert entry["kept"]["argmax"]["wrong"] == 1


def test_a_kernel_that_is_turned_round_in_one_backward():
    def conv2d_backward_input(dy, w, input_size, strides, pads, dilation, groups):
        turned = np.ascontiguousarray(w[::-1, ::-1])
        return reference.conv2d_backward_input(dy, turned, input_size, strides, pads, dilation, groups)

    entries = compared(conv2d_backward_input=conv2d_backward_input)
    assert wrong_in(entries) == ["conv2d", "conv2d_1"]
    for name in wrong_in(entries):
        assert entries[name]["forward"]["equal"]
        assert not entries[name]["backward"]["equal"]
        assert all(found["equal"] for found in entries[name]["gradients"].values())


def test_a_transposed_matrix_is_an_exception_with_its_line():
    entries = compared(dense_forward=lambda x, w, b: x @ w.T + b)
    assert wrong_in(entries) == ["dense"]
    found = entries["dense"]["forward"]
    assert found["error"].startswith("ValueError: matmul")
    assert found["place"]["file"] == "test_comparing.py"
    assert "x @ w.T + b" in found["place"]["code"]


def test_a_wrong_gradient_of_one_parameter():
    def dense_backward_weights(dy, x):
        return x.T @ dy, dy.mean(axis=0)

    entries = compared(dense_backward_weights=dense_backward_weights)
    assert wrong_in(entries) == ["dense"]
    assert entries["dense"]["gradients"]["kernel"]["equal"]
    assert entries["dense"]["gradients"]["bias"]["relative"] == pytest.approx(2 / 3, rel=1e-5)


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda x, epsilon: x, None),
        (lambda x: x.astype(np.float64).clip(0), "returned an array of float64"),
        (lambda x: np.maximum(x, 0, out=x), "read-only\nrelu_forward"),
        (lambda x: x[100], "IndexError"),
    ],
)
def test_errors_of_many_kinds_are_results(function, error):
    if error is None:
        with pytest.raises(TypeError, match="must take"):
            compared(relu_forward=function)
        return
    entries = compared(relu_forward=function)
    assert wrong_in(entries) == ["conv2d"]
    assert error in entries["conv2d"]["forward"]["error"]


@pytest.mark.parametrize(("bad", "text"), [(np.nan, "NaN"), (np.inf, "Infinity"), (-np.inf, "-Infinity")])
def test_numbers_that_are_none(bad, text):
    def relu_forward(x):
        y = np.maximum(x, 0)
        y[2, 1, 0, 3] = bad
        return y

    found = compared(relu_forward=relu_forward)["conv2d"]["forward"]
    assert not found["equal"]
    assert (found["wrong"], found["first_wrong"], found["got"]) == (1, [2, 1, 0, 3], text)
    assert found["largest_difference"] == found["relative"] == "Infinity"


def test_numbers_that_are_none_are_right_where_the_reference_has_them():
    model = network()
    model.get_layer("dense").params["bias"].value[1] = np.inf
    with np.errstate(all="ignore"):
        found = compare(model, SimpleNamespace(dense_forward=lambda x, w, b: x @ w + b), X)
    assert all(entry["equal"] for entry in found)


def test_a_wrong_loss_shows_at_the_loss():
    def softmax_cross_entropy_backward(p, labels, weights):
        return reference.softmax_cross_entropy_backward(p, labels, np.ones_like(weights))

    entries = compared(softmax_cross_entropy_backward=softmax_cross_entropy_backward)
    assert wrong_in(entries) == ["loss"]
    assert entries["loss"]["backward"]["relative"] == pytest.approx(2, rel=1e-4)
    assert entries["loss"]["forward"]["equal"]


@pytest.mark.parametrize("share", [1, 1.01])
def test_a_step_of_the_optimizer(share):
    def adam_update(parameter, gradient, m, v, step, learning_rate, beta_1, beta_2, epsilon):
        m *= beta_1
        m += (1 - beta_1) * gradient
        v *= beta_2
        v += (1 - beta_2) * gradient**2
        rate = share * learning_rate * (1 - beta_2**step) ** 0.5 / (1 - beta_1**step)
        parameter -= rate * m / (np.sqrt(v) + epsilon)

    model = network()
    model.compile(tinycnn.optimizers.Adam(1e-5), "sparse_categorical_crossentropy")
    before = model.get_weights()
    found = compare(model, SimpleNamespace(adam_update=adam_update), X, Y)
    assert [entry["name"] for entry in found if not entry["equal"]] == ([] if share == 1 else ["optimizer"])
    assert found[-1]["kernels"] == ["adam_update"]
    assert found[-1]["kept"].keys() == model.parameters().keys()
    assert model.optimizer.iterations == 0
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_without_labels_or_a_loss_only_the_way_forward_is_compared():
    functions = SimpleNamespace(relu_forward=lambda x: x * 2)
    model = network()
    plain = Sequential.from_config(model.get_config())
    for found in (compare(model, functions, X), compare(plain, functions, X, Y)):
        assert [entry["name"] for entry in found] == [layer.name for layer in model.layers]
        assert all(entry["backward"] is None for entry in found)
        assert not found[0]["equal"]


def test_a_file_on_any_backend(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("import numpy as np\n\ndef relu_backward(dy, y):\n    return dy * (y >= 0)\n", "utf-8")
    model = pooling_network(8)
    model.compile("sgd", "sparse_categorical_crossentropy")
    found = compare(model, KernelFile(path).backend.overlay, X[..., :1], Y)
    assert [entry["name"] for entry in found if not entry["equal"]] == ["conv2d"]
    assert found[0]["kernels"] == ["relu_backward"]
    path.write_text("def relu_backward(dy, y):\n    helper = [0]\n    return helper[1]\n", "utf-8")
    found = compare(model, KernelFile(path).backend.overlay, X[..., :1], Y)
    assert found[0]["backward"]["error"] == "IndexError: list index out of range"
    assert found[0]["backward"]["place"] == {"file": "mine.py", "line": 3, "code": "return helper[1]"}
