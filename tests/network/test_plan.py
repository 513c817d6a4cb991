"""Layers that run as one give the same results as one by one, and only layers of exactly known types run as one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinycnn
from tinycnn import Sequential, layers, optimizers
from tinycnn.kernels import cpu, reference
from tinycnn.kernels.geometry import Window
from tinycnn.layers import (
    Activation,
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalMaxPooling2D,
    Input,
    MaxPooling2D,
)
from tinycnn.network.lanes import LaneStage
from tinycnn.network.stage import ConvStage
from tinycnn.testing import strategies

# The largest difference over the largest number: some roundings of each dtype, after a few steps of plain descent.
TOLERANCE = {"float32": 2e-4, "float64": 1e-11}
# The same for a single kernel; Winograd's algorithm rounds ten times as much as the definition.
KERNEL_TOLERANCE = {"float32": 2e-5, "float64": 1e-12}

NETWORKS = {
    "conv and pool twice, dropout": lambda: [
        Conv2D(5, 3, activation="relu"),
        MaxPooling2D(2),
        Conv2D(7, 3, padding="same", activation="relu"),
        MaxPooling2D(2),
        Flatten(),
        Dropout(0.4),
        Dense(9, activation="relu"),
        Dense(4, activation="softmax"),
    ],
    "conv after conv, batch-norm": lambda: [
        Conv2D(6, 3, padding="same", activation="relu"),
        BatchNormalization(),
        Dropout(0.2),
        Conv2D(4, 3, activation="relu"),
        BatchNormalization(),
        Conv2D(3, 1, activation="relu", use_bias=False),
        MaxPooling2D(3, strides=2, padding="same"),
        Flatten(),
        Dense(4, activation="softmax"),
    ],
    "no activation, strides, dilation, groups": lambda: [
        Conv2D(6, (3, 2), strides=(2, 1)),
        MaxPooling2D((2, 3), strides=1),
        Conv2D(4, 2, dilation_rate=2, groups=2, padding="same"),
        Activation("tanh"),
        Conv2D(4, 2, activation="tanh"),
        MaxPooling2D(2),
        DepthwiseConv2D(2, activation="relu", padding="same"),
        GlobalMaxPooling2D(),
        Dense(4, activation="softmax"),
    ],
    "many channels": lambda: [
        Conv2D(32, 3, padding="same", activation="relu"),
        Conv2D(33, 3, padding="same", activation="relu"),
        MaxPooling2D(2),
        Conv2D(32, 3, padding="same"),
        Flatten(),
        Dense(4, activation="softmax"),
    ],
    "the pool is the end": lambda: [Conv2D(4, 3), MaxPooling2D(8), Flatten(), layers.Softmax()],
}


def make(network, dtype="float32", optimizer=None):
    tinycnn.set_seed(3)
    model = Sequential([Input((10, 11, 2)), *NETWORKS[network]()], dtype=dtype)
    model.compile(optimizer or optimizers.SGD(0.05), "sparse_categorical_crossentropy", ["accuracy"])
    return model


def data(n=23, dtype="float32"):
    rng = np.random.default_rng(5)
    return rng.normal(size=(n, 10, 11, 2)).astype(dtype), rng.integers(0, 4, n)


def assert_close(actual, expected, tolerance, what=""):
    """Raise unless the arrays are close, relative to the largest number; NaN fails."""
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    error = float(np.abs(actual - expected).max(initial=0)) / scale
    assert error <= tolerance, f"{what}: {error}"


# Training -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("network", NETWORKS)
def test_fit_gives_the_same_fused_or_not(network, dtype):
    x, y = data(dtype=dtype)
    models = [make(network, dtype), make(network, dtype)]
    # 23 images make two full batches and one of seven.
    losses = [
        model.fit(x, y, batch_size=8, epochs=2, validation_data=(x, y), verbose=0, fuse=fuse).history
        for model, fuse in zip(models, (True, False), strict=True)
    ]
    for key in ("loss", "val_loss"):
        np.testing.assert_allclose(losses[0][key], losses[1][key], rtol=TOLERANCE[dtype])
    before = make(network, dtype).get_weights()
    moved = 0.0
    for name, start, a, b in zip(models[0].weights(), before, *(m.get_weights() for m in models), strict=True):
        assert_close(a, b, TOLERANCE[dtype], name)
        moved = max(moved, float(np.abs(b - start).max()))
    assert moved > 100 * TOLERANCE[dtype], "a comparison of weights that did not move says nothing"


@pytest.mark.parametrize("network", NETWORKS)
def test_the_gradients_are_those_that_trace_shows(network):
    x, y = data(dtype="float64")
    model = make(network, "float64", optimizers.SGD(0.0))
    traced = {f"{entry.name}/{key}": g for entry in model.trace(x, y) for key, g in entry.gradients.items()}
    model.train_on_batch(x, y)
    for key, parameter in model.parameters().items():
        assert_close(parameter.grad, traced[key], 1e-12, key)
        assert np.abs(traced[key]).max() > 1e-6


@pytest.mark.parametrize("n", [1, 7, 300])
def test_predict_and_evaluate_are_those_of_the_layers(n):
    x, y = data(n, "float64")
    model = make("conv and pool twice, dropout", "float64")
    expected = x
    for layer in model.layers:
        expected, _ = layer.forward(expected, training=False)
    assert_close(model.predict(x), expected, 1e-12)
    assert model.evaluate(x, y, verbose=0)[1] == (expected.argmax(axis=1) == y).mean()


def test_fuse_must_be_true_or_false():
    with pytest.raises(TypeError, match="fuse must be True or False; got 'yes'"):
        make("many channels").fit(*data(), fuse="yes")


# What is taken --------------------------------------------------------------------------------------------------


def taken(model):
    """Return the names of the layers in each step that stands for several layers."""
    return [[layer.name for layer in step.layers] for step in model.plan if isinstance(step, ConvStage | LaneStage)]


def test_which_layers_run_as_one():
    assert taken(make("conv and pool twice, dropout")) == [["conv2d", "max_pooling2d"], ["conv2d_1", "max_pooling2d_1"]]
    # No stage reaches over a layer in between, has an activation other than ReLU, or a depthwise convolution.
    assert taken(make("no activation, strides, dilation, groups")) == [["conv2d", "max_pooling2d"], ["conv2d_1"]]
    with tinycnn.use_backend("reference"):
        assert taken(make("many channels")) == []


class Counting:
    """Counts the calls of a layer: 1 for each forward, 100 for each backward."""

    calls = 0

    def forward(self, x, **arguments):
        self.calls += 1
        return super().forward(x, **arguments)

    def backward(self, dy, cache, **arguments):
        self.calls += 100
        return super().backward(dy, cache, **arguments)


class CountingConv(Counting, Conv2D):
    pass


class CountingPool(Counting, MaxPooling2D):
    pass


@pytest.mark.parametrize(
    ("conv", "pool", "expected"),
    [
        (CountingConv, MaxPooling2D, []),
        (Conv2D, CountingPool, [["conv"]]),
        (CountingConv, CountingPool, []),
    ],
)
def test_a_subclass_runs_by_itself(conv, pool, expected):
    model = Sequential([
        Input((10, 11, 2)), Conv2D(3, 3, activation="tanh"), conv(4, 3, activation="relu", name="conv"),
        pool(2, name="pool"), Flatten(), Dense(4, activation="softmax"),
    ])  # fmt: skip
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert taken(model) == expected
    x, y = data(24)
    model.fit(x, y, batch_size=8, epochs=1, verbose=0)
    for layer in model.layers:
        if isinstance(layer, CountingConv | CountingPool):
            assert layer.calls == 3 * 101  # three steps, once forward and once backward in each
    model.predict(x)
    assert all(getattr(layer, "calls", 304) == 304 for layer in model.layers)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_frozen_stage_stays_and_hands_the_gradient_on(when):
    """The layer may be frozen before compiling or after it."""
    x, y = data(dtype="float64")
    gradients = []
    for fuse in (True, False):
        model = make("many channels", "float64")
        frozen = model.layers[1]
        frozen.trainable = False
        if when == "before":
            model.compile(optimizers.SGD(0.05), "sparse_categorical_crossentropy")
        before = [value.copy() for value in frozen.weights().values()]
        model.fit(x, y, batch_size=len(x), verbose=0, shuffle=False, fuse=fuse)
        for old, new in zip(before, frozen.weights().values(), strict=True):
            np.testing.assert_array_equal(new, old)
        gradients.append(model.layers[0].params["kernel"].grad.copy())
    assert np.abs(gradients[1]).max() > 1e-4
    assert_close(gradients[0], gradients[1], 1e-12)


def test_a_frozen_first_stage_is_left_alone():
    x, y = data(dtype="float64")
    gradients = []
    for fuse in (True, False):
        model = make("conv and pool twice, dropout", "float64")
        model.layers[0].trainable = False
        before = model.get_weights()
        model.fit(x, y, batch_size=len(x), verbose=0, shuffle=False, fuse=fuse)
        np.testing.assert_array_equal(model.get_weights()[0], before[0])
        gradients.append(model.layers[2].params["kernel"].grad.copy())
    assert_close(gradients[0], gradients[1], 1e-12)


# The kernels ----------------------------------------------------------------------------------------------------


def in_turn(x, w, b, window, groups, relu, pool):
    """Return what the definition gives: the reference's kernels, one after another."""
    y = reference.conv2d_forward(x, w, b, window.strides, window.pads, window.dilation, groups)
    if relu:
        y = reference.relu_forward(y)
    if pool is None:
        return y, np.empty(0, np.uint8), y
    return *reference.max_pool2d_forward(y, pool.size, pool.strides, pool.pads), y


def back_in_turn(dy, activated, argmax, x, w, window, groups, relu, pool):
    if pool is not None:
        dy = reference.max_pool2d_backward(dy, argmax, activated.shape[1:3], pool.size, pool.strides, pool.pads)
    if relu:
        dy = reference.relu_backward(dy, activated)
    geometry = window.strides, window.pads, window.dilation, groups
    dx = reference.conv2d_backward_input(dy, w, x.shape[1:3], *geometry)
    return dx, *reference.conv2d_backward_weights(dy, x, window.size, *geometry)


@st.composite
def stages(draw):
    """Draw a stage's geometry: any convolution, or one that Winograd's algorithm can do, with any pooling or none."""
    if draw(st.booleans()):
        g = draw(strategies.conv_geometries(max_output=9, max_channels=5))
        sizes, groups, filters = [g.input_size, g.kernel_size, g.strides, g.pads, g.dilation], g.groups, g.filters
        algorithm, channels = draw(st.sampled_from(["auto", "direct"])), g.channels
    else:
        pads = draw(st.tuples(*[st.integers(0, 2)] * 4))
        sizes = [draw(st.tuples(st.integers(3, 12), st.integers(3, 12))), (3, 3), (1, 1), pads, (1, 1)]
        groups, algorithm = 1, draw(st.sampled_from(["auto", "direct", "winograd"]))
        channels, filters = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    size, kernel, strides, pads, dilation = sizes
    window = Window(kernel, strides, pads, dilation)
    pool = draw(st.none() | pools(window.output_size(size)))
    shape = draw(st.sampled_from([0, 1, 2, 5])), *size, channels
    return shape, filters, window, groups, algorithm, draw(st.booleans()), pool


@st.composite
def pools(draw, size):
    """Draw windows side by side, overlapping or apart; pads are smaller than the window, so each holds a pixel."""
    axes = []
    for length in size:
        k = draw(st.integers(1, 4))
        before = draw(st.integers(max(0, min(k - 1, k - length)), k - 1))
        after = draw(st.integers(max(0, min(k - 1, k - length - before)), k - 1))
        axes.append((k, draw(st.integers(1, 3)), before, after))
    (kh, sh, top, bottom), (kw, sw, left, right) = axes
    return Window((kh, kw), (sh, sw), (top, bottom, left, right))


@settings(max_examples=120)
@given(stages(), st.sampled_from(["float32", "float64"]), st.booleans(), st.integers(0, 2**32 - 1))
def test_a_stage_is_its_kernels_in_turn(stage, dtype, bias, seed):
    shape, filters, window, groups, algorithm, relu, pool = stage
    rng = np.random.default_rng(seed)
    exact = [
        rng.standard_normal(s).astype(dtype).astype(np.float64)
        for s in (shape, (*window.size, shape[-1] // groups, filters), (filters,))
    ]
    x, w, b = (array.astype(dtype) for array in exact)
    tolerance = KERNEL_TOLERANCE[dtype]
    arguments = (window, groups, algorithm, relu, pool)
    y, argmax = cpu.fused.conv2d_stage_forward(x, w, b if bias else None, *arguments)
    expected_y, expected_argmax, activated = in_turn(*exact[:2], exact[2] if bias else None, window, groups, relu, pool)
    assert y.shape == expected_y.shape
    assert y.dtype == x.dtype
    assert_close(y, expected_y, tolerance, "y")
    if pool is not None:
        assert argmax.dtype == expected_argmax.dtype
        # If ReLU has made a whole window zero, nothing is handed back, whichever of its pixels has won.
        decided = expected_y > 1e-4 if relu else np.ones(y.shape, bool)
        if dtype == "float64":
            np.testing.assert_array_equal(argmax[decided], expected_argmax[decided])

    dy = rng.standard_normal(y.shape).astype(dtype)
    # If two numbers are nearly alike, rounding may decide which one wins, and the gradient goes to that one.
    if pool is not None:
        expected_argmax = argmax
    if relu and pool is None:
        activated = y.astype(np.float64)
    elif relu:
        dy = dy * (y > 0)  # a gate after the pooling is the gate before it, at the pixel that won
    expected = back_in_turn(
        dy.astype(np.float64), activated, expected_argmax, *exact[:2], window, groups, relu and pool is None, pool
    )
    for wants in ((True, True), (True, False), (False, True)):
        gradients = cpu.fused.conv2d_stage_backward(dy, y, argmax, x, w, *arguments, wants)
        for name, wanted, a, e in zip(
            ("dx", "dw", "db"), (wants[0], wants[1], wants[1]), gradients, expected, strict=True
        ):
            if wanted:
                assert a.shape == e.shape
                assert_close(a, e, tolerance, name)
            else:
                assert a.size == 0


@pytest.mark.parametrize("pool", [None, Window((2, 2), (2, 2), (0, 0, 0, 0)), Window((3, 3), (2, 2), (1, 1, 1, 1))])
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("algorithm", ["direct", "winograd"])
def test_nan_is_not_hidden(algorithm, relu, pool):
    """The stage gives NaN wherever the definition does; with Winograd's tiles, NaN may appear in a few more places."""
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((2, 12, 12, 9), (3, 3, 9, 10)))
    window = Window((3, 3), (1, 1), (1, 1, 1, 1))
    x[1, 6, 5, 3] = np.nan
    with np.errstate(invalid="ignore"):
        y, argmax = cpu.fused.conv2d_stage_forward(x, w, None, window, 1, algorithm, relu, pool)
        expected, _, _ = in_turn(x, w, None, window, 1, relu, pool)
    assert np.isnan(y[np.isnan(expected)]).all()
    assert np.isnan(expected).any()
    assert not np.isnan(y[0]).any(), "the other image"
    if algorithm == "direct":
        np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
    dy = np.ones_like(y)
    dy[0, 2, 2, 7] = np.nan
    y = np.abs(y) + 1
    dx, dw, db = cpu.fused.conv2d_stage_backward(
        dy, np.nan_to_num(y), argmax, np.nan_to_num(x), w, window, 1, algorithm, relu, pool, (True, True)
    )
    assert np.isnan(dx[0]).any()
    assert np.isnan(dw[..., 7]).any()
    assert np.isnan(db[7])


def test_results_come_into_memory_that_is_brought():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((3, 9, 9, 4)), rng.standard_normal((3, 3, 4, 5))
    arguments = (Window((3, 3), (1, 1), (1, 1, 1, 1)), 1, "auto", True, Window((2, 2), (2, 2), (0, 0, 0, 0)))
    y, argmax = cpu.fused.conv2d_stage_forward(x, w, None, *arguments)
    outs = np.full_like(y, np.nan), np.full_like(argmax, 77)

    def unset(shape, dtype=np.float64):
        return np.full(shape, np.nan, dtype)

    results = cpu.fused.conv2d_stage_forward(x, w, None, *arguments, out=outs, work=unset)
    assert all(result is out for result, out in zip(results, outs, strict=True))
    np.testing.assert_array_equal(outs[0], y)
    np.testing.assert_array_equal(outs[1], argmax)
    dy = rng.standard_normal(y.shape)
    expected = cpu.fused.conv2d_stage_backward(dy, y, argmax, x, w, *arguments, (True, True))
    outs = tuple(np.full_like(gradient, np.nan) for gradient in expected)
    cpu.fused.conv2d_stage_backward(dy, y, argmax, x, w, *arguments, (True, True), out=outs, work=unset)
    for out, gradient in zip(outs, expected, strict=True):
        np.testing.assert_array_equal(out, gradient)


# Inference ------------------------------------------------------------------------------------------------------


def a_network_with_norms():
    tinycnn.set_seed(3)
    model = Sequential(
        [
            Input((12, 11, 3)),
            Conv2D(20, 3, activation="relu", padding="same"),  # it is computed directly for every size of batch
            BatchNormalization(),
            MaxPooling2D(2, padding="same"),
            Dropout(0.3),
            Conv2D(32, 3, activation="relu", padding="same", algorithm="winograd"),
            BatchNormalization(scale=False),
            Conv2D(7, 1, use_bias=False),
            BatchNormalization(center=False),
            MaxPooling2D(2),
            Flatten(),
            Dense(4),
        ]
    )
    rng = np.random.default_rng(4)
    for layer in model.layers:
        for value in layer.weights().values():
            value[...] = rng.uniform(0.5, 1.5, value.shape)
    return model


def test_in_inference_batch_normalization_joins_the_convolution():
    model = a_network_with_norms()
    joined = [
        [type(layer) for layer in step.layers]
        for step in model.prediction_plan
        if isinstance(step, ConvStage | LaneStage)
    ]
    assert joined == [
        [Conv2D, BatchNormalization, MaxPooling2D],
        [Conv2D, BatchNormalization],
        [Conv2D, BatchNormalization, MaxPooling2D],
    ]
    x = np.random.default_rng(5).normal(size=(9, 12, 11, 3)).astype(np.float32)
    expected = x
    for layer in model.layers:
        expected, _ = layer.forward(expected, training=False)
    np.testing.assert_array_equal(model.predict(x), expected)
    model.layers[1].buffers["moving_mean"] += 1  # the plan holds no copy of it
    assert not np.array_equal(model.predict(x), expected)


def test_a_layer_added_later_predicts():
    model = a_network_with_norms()
    x = np.ones((2, 12, 11, 3))
    before = model.predict(x)
    model.add(Dense(2))
    assert model.predict(x).shape == (2, 2)
    assert before.shape == (2, 4)


@pytest.mark.parametrize("name", ["conv", "norm", "pool", "few"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_layer_whose_method_was_replaced_runs_by_itself(name, when):
    """The method may be replaced before the first use or after it."""
    tinycnn.set_seed(0)
    model = Sequential([
        Input((10, 11, 2)), Conv2D(8, 3, activation="relu", name="few"), Conv2D(33, 3, activation="relu", name="conv"),
        BatchNormalization(name="norm"), MaxPooling2D(2, name="pool"), Flatten(), Dense(4, activation="softmax"),
    ])  # fmt: skip
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = data(32)
    if when == "after":
        model.fit(x, y, epochs=3, verbose=0)
        model.predict(x)
    layer, calls = next(layer for layer in model.layers if layer.name == name), []
    forward = layer.forward
    layer.forward = lambda x, **given: calls.append(given["training"]) or forward(x, **given)
    model.fit(x, y, batch_size=16, verbose=0)
    model.predict(x)
    assert calls == [True, True, False]
