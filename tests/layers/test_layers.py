"""Every registered layer: gradients on both backends, and everything else that a layer promises."""

import inspect
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinycnn
from tinycnn import Sequential, initializers, layers, load_model, testing
from tinycnn.core.backend import BACKENDS
from tinycnn.core.description import constructor_arguments

LAYERS = pytest.mark.parametrize("layer_class", layers.LAYERS.values(), ids=layers.LAYERS.keys())
BACKEND = pytest.mark.parametrize("backend", BACKENDS)
EXAMPLES = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])


@LAYERS
@BACKEND
def test_gradients(layer_class, backend):
    @EXAMPLES
    @given(testing.strategies.layers_with_inputs(layer_class), st.integers(0, 99))
    def check(case, seed):
        with tinycnn.use_backend(backend):
            testing.check_gradients(*case, seed=seed)

    check()


@LAYERS
def test_gradients_when_frozen(layer_class):
    @settings(EXAMPLES, max_examples=10)
    @given(testing.strategies.layers_with_inputs(layer_class))
    def check(case):
        testing.check_gradients(*case, training=False)

    check()


@LAYERS
def test_contract(layer_class):
    @settings(EXAMPLES, max_examples=8)
    @given(testing.strategies.layers_with_inputs(layer_class))
    def check(case):
        layer, x = case
        testing.assert_layer_contract(layer_class.from_config, x.shape[1:], config=layer.get_config())

    check()


@LAYERS
def test_is_documented(layer_class):
    text = inspect.getdoc(layer_class)
    arguments = set(constructor_arguments(layer_class)) - {"name", "input_shape", "trainable"}
    missing = [name for name in arguments if name not in text]
    if issubclass(layer_class, layers.Activation) and layer_class is not layers.Activation:
        missing = [name for name in missing if name != "activation"]
    assert not missing, f"{layer_class.__name__}'s docstring does not speak of {missing}"


@LAYERS
def test_config_survives_json(layer_class):
    @settings(EXAMPLES, max_examples=10)
    @given(testing.strategies.layers_with_inputs(layer_class))
    def check(case):
        described = layers.serialize(case[0])
        again = layers.deserialize(json.loads(json.dumps(described)))
        assert type(again) is layer_class
        assert layers.serialize(again) == described

    check()


def test_every_public_layer_is_in_the_registry():
    public = {
        name
        for name, value in vars(layers).items()
        if inspect.isclass(value) and issubclass(value, layers.Layer) and value.__name__ == name
    }
    assert public - {"Layer", "ActivatedLayer"} == set(layers.LAYERS)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("AvgPool2D", "AveragePooling2D"),
        ("Convolution2D", "Conv2D"),
        ("GlobalAvgPool2D", "GlobalAveragePooling2D"),
        ("GlobalMaxPool2D", "GlobalMaxPooling2D"),
        ("MaxPool2D", "MaxPooling2D"),
    ],
)
def test_keras_other_names(alias, name):
    assert getattr(layers, alias) is layers.LAYERS[name]
    assert alias in layers.__all__


# Convolution


@pytest.mark.parametrize(
    ("padding", "strides", "size", "expected"),
    [("valid", 1, 28, 26), ("same", 1, 28, 28), ("same", 2, 7, 4), ("valid", 2, 8, 3), ("same", 3, 7, 3)],
)
def test_conv2d_output_size(padding, strides, size, expected):
    layer = layers.Conv2D(2, 3, strides=strides, padding=padding)
    assert layer.output_shape((size, size, 1)) == (expected, expected, 2)


def test_three_positional_integers_explain_themselves():
    with pytest.raises(TypeError, match=r"Conv2D\(16, 3, 3\).*strides=3"):
        layers.Conv2D(16, 3, 3)


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (lambda: layers.Conv2D(4, 5), (4, 9, 1), r"window of 5×5 pixels does not fit into an input of 4×9\. Make the"),
        (lambda: layers.MaxPooling2D(3), (2, 2, 1), "window of 3×3 pixels does not fit into an input of 2×2"),
        (lambda: layers.Conv2D(4, 3), (28, 28), r"a grey image needs a channel axis: x\[..., None\]"),
        (lambda: layers.Conv2D(4, 3, groups=2), (5, 5, 3), "groups=2 does not divide the input's 3 channels"),
        (lambda: layers.DepthwiseConv2D(3), (2, 5, 3), "window of 3×3 pixels does not fit into an input of 2×5"),
        (lambda: layers.AveragePooling2D(4), (3, 9, 1), "window of 4×4 pixels does not fit into an input of 3×9"),
        (lambda: layers.GlobalAveragePooling2D(), (10,), r"expected images \(H, W, C\), got a sample of shape \(10,\)"),
        (lambda: layers.ZeroPadding2D(), (28, 28), "a grey image needs a channel axis"),
        (lambda: layers.Reshape((3, -1)), (4, 4), r"the 16 numbers of a sample of shape \(4, 4\) do not fill"),
    ],
)
def test_inputs_that_do_not_fit_name_the_layer(make, shape, message):
    layer = make()
    with pytest.raises(ValueError, match=message) as error:
        layer.build(shape)
    assert type(layer).__name__ in str(error.value)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: layers.Conv2D(0, 3), ValueError, "filters must be at least 1; got 0"),
        (lambda: layers.Conv2D(2.5, 3), TypeError, "filters must be an integer"),
        (lambda: layers.Conv2D(4, (3, 3, 3)), TypeError, "kernel_size must be an integer or a pair"),
        (lambda: layers.Conv2D(4, 3, padding="full"), ValueError, "padding must be one of 'valid', 'same'"),
        (lambda: layers.Conv2D(4, 3, activation="rleu"), ValueError, "did you mean 'relu'"),
        (lambda: layers.Conv2D(4, 3, kernel_initializer="glorot_unif"), ValueError, "did you mean 'glorot_uniform'"),
        (lambda: layers.Conv2D(4, 3, kernel_regularizer="l3"), ValueError, "unknown regularizer 'l3'; did you mean"),
        (lambda: layers.Conv2D(3, 3, groups=2), ValueError, "groups must divide filters"),
        (lambda: layers.Dropout(1.1), ValueError, "rate must be >= 0 and <= 1; got 1.1"),
        (lambda: layers.Dropout("half"), TypeError, "rate must be a number"),
        (lambda: layers.BatchNormalization(epsilon=0), ValueError, "epsilon must be > 0"),
        (lambda: layers.BatchNormalization(axis=1), ValueError, "axis must be -1"),
        (lambda: layers.Dense(True), TypeError, "units must be an integer"),
        (lambda: layers.Input((28, -1)), ValueError, r"shape\[1\] must be at least 1"),
        (lambda: layers.Flatten(name="a/b"), ValueError, "without '/'"),
        (lambda: layers.ReLU(trainable="no"), TypeError, "trainable must be True or False"),
        (lambda: layers.DepthwiseConv2D(3, depth_multiplier=0), ValueError, "depth_multiplier must be at least 1"),
        (lambda: layers.GlobalMaxPooling2D(keepdims=1), TypeError, "keepdims must be True or False; got 1"),
        (lambda: layers.GaussianNoise(1.5), ValueError, "stddev must be >= 0 and <= 1; got 1.5"),
        (lambda: layers.LeakyReLU(-0.1), ValueError, "negative_slope must be >= 0; got -0.1"),
        (lambda: layers.ELU(alpha="1"), TypeError, "alpha must be a number"),
        (lambda: layers.Rescaling(float("nan")), ValueError, "scale must be finite"),
        (lambda: layers.Reshape(4), TypeError, "target_shape must be a tuple of integers without the batch axis"),
        (lambda: layers.Reshape((-1, 2, -1)), ValueError, "with at most one -1"),
        (lambda: layers.Reshape((3, 0)), ValueError, "target_shape must hold positive lengths"),
        (lambda: layers.ZeroPadding2D((1, 2, 3)), TypeError, "padding must be an integer, a pair, or a pair of pairs"),
        (lambda: layers.ZeroPadding2D(((0, -1), 2)), ValueError, r"padding\[0\]\[1\] must be at least 0; got -1"),
    ],
)
def test_bad_arguments_are_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_forward_refuses_what_it_was_not_built_for():
    layer = layers.Conv2D(2, 3, name="first")
    with pytest.raises(RuntimeError, match="Conv2D 'first': not built"):
        layer.forward(np.zeros((1, 5, 5, 1), np.float32))
    layer.build((5, 5, 1))
    with pytest.raises(ValueError, match=r"Conv2D 'first': expected x of shape \(N, 5, 5, 1\), got \(1, 5, 5, 2\)"):
        layer.forward(np.zeros((1, 5, 5, 2), np.float32))
    with pytest.raises(TypeError, match="dtype float32, got float64"):
        layer.forward(np.zeros((1, 5, 5, 1)))
    _, cache = layer.forward(np.zeros((2, 5, 5, 1), np.float32), training=True)
    with pytest.raises(ValueError, match=r"expected dy of shape \(N, 3, 3, 2\)"):
        layer.backward(np.zeros((2, 3, 3, 1), np.float32), cache)
    with pytest.raises(TypeError, match="takes NumPy arrays; got list"):
        layer.forward([[1.0]])


@BACKEND
def test_depthwise_convolution_is_one_convolution_per_channel(backend):
    """Channel c of the input, with its M filters, gives channels c*M … c*M + M-1 of the result."""
    with tinycnn.use_backend(backend):
        layer, single = layers.DepthwiseConv2D(3, 2, "same", depth_multiplier=3), layers.Conv2D(3, 3, strides=2)
        layer.build((7, 6, 4), dtype="float64")
        single.padding = "same"
        single.build((7, 6, 1), dtype="float64")
    assert layer.params["kernel"].value.shape == (3, 3, 4, 3)
    x = np.random.default_rng(0).normal(size=(2, 7, 6, 4))
    y, _ = layer.forward(x)
    for c in range(4):
        single.params["kernel"].value[...] = layer.params["kernel"].value[:, :, c : c + 1]
        expected, _ = single.forward(np.ascontiguousarray(x[..., c : c + 1]))
        np.testing.assert_allclose(y[..., 3 * c : 3 * c + 3], expected, atol=1e-12)


# Pooling


@BACKEND
@pytest.mark.parametrize("keepdims", [False, True])
def test_global_pools(backend, keepdims):
    x = np.random.default_rng(0).permutation(2 * 20 * 20 * 3).reshape(2, 20, 20, 3).astype(float)
    for layer_class, function in ((layers.GlobalMaxPooling2D, np.max), (layers.GlobalAveragePooling2D, np.mean)):
        with tinycnn.use_backend(backend):
            layer = layer_class(keepdims=keepdims)
            assert layer.build((20, 20, 3), dtype="float64") == ((1, 1, 3) if keepdims else (3,))
        np.testing.assert_allclose(layer.forward(x)[0], function(x, axis=(1, 2), keepdims=keepdims), rtol=1e-12)


def test_what_a_global_pool_sees():
    """A global pooling sees all that the windows before it can reach; a frame of zeros does not change this."""
    model = tinycnn.Sequential(
        [
            layers.Input((20, 20, 1)),
            layers.ZeroPadding2D(2),
            layers.Conv2D(2, 3, strides=2),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    assert tinycnn.inspection.receptive_field.receptive_fields(model.layers, model.input_shape) == [
        (1, 1),
        (3, 3),
        (20, 20),
        (20, 20),
    ]


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (lambda x, w: {"x": 2 * x, "rest": [x[:, 0, 0, 0].copy()]}, 4 * (6 * 6 * 2 + 1)),
        (lambda x, w: x.sum(axis=(1, 2, 3)), 4),
        (lambda x, w: (w, w.copy(), x.mean(axis=(0, 1, 2))), 0),  # Their length is not that of the batch.
        (lambda x, w: x, 4 * 6 * 6 * 2),
        (lambda x, w: None, 0),
    ],
)
def test_the_bytes_of_a_cache_are_those_that_grow_with_the_batch(keep, expected):
    class Keeping(layers.Layer):
        def create(self, input_shape, rng):
            self.add_parameter("w", (4, 6), "ones", rng)

        def forward(self, x, *, training=False, step=0, ws=None):
            return 3 * x, keep(x, self.params["w"].value)

    model = tinycnn.Sequential([layers.Input((6, 6, 2)), Keeping()])
    assert tinycnn.inspection.summary.cache_bytes(model) == [expected]


# Initial values


def test_glorot_uniform_fills_its_interval():
    layer = layers.Conv2D(64, 3)
    layer.build((8, 8, 32), rng=np.random.default_rng(0))
    kernel, limit = layer.params["kernel"].value, np.sqrt(6 / (288 + 576))
    assert np.abs(kernel).max() <= limit
    assert np.abs(kernel).max() > 0.99 * limit
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)
    assert not layer.params["bias"].value.any()


# Batch normalisation


@BACKEND
def test_batch_norm_moves_its_averages_by_keras_rule(backend):
    with tinycnn.use_backend(backend):
        layer = layers.BatchNormalization(momentum=0.9)
        layer.build((4, 4, 3), dtype="float64")
    x = np.random.default_rng(0).normal(2, 3, (5, 4, 4, 3))
    y, _ = layer.forward(x, training=True)
    np.testing.assert_allclose(layer.buffers["moving_mean"], 0.1 * x.mean((0, 1, 2)))
    np.testing.assert_allclose(layer.buffers["moving_variance"], 0.9 + 0.1 * x.var((0, 1, 2)))
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var((0, 1, 2)), 1, rtol=1e-3)


def test_frozen_batch_norm_uses_and_keeps_its_averages():
    layer = layers.BatchNormalization(trainable=False)
    layer.build((3,), dtype="float64")
    x = np.random.default_rng(0).normal(size=(6, 3))
    y, _ = layer.forward(x, training=True)
    np.testing.assert_allclose(y, x / np.sqrt(1 + 1e-3))
    assert not layer.buffers["moving_mean"].any()
    assert not layer.params["gamma"].trainable


def test_batch_norm_of_an_empty_training_batch_raises():
    layer = layers.BatchNormalization()
    layer.build((3,))
    with pytest.raises(ValueError, match="empty batch has no mean"):
        layer.forward(np.zeros((0, 3), np.float32), training=True)


# Dropout


@BACKEND
def test_dropout_masks_follow_the_step(backend):
    with tinycnn.use_backend(backend):
        layer = layers.Dropout(0.4)
        layer.build((1000,), rng=np.random.default_rng(7))
    x = np.ones((4, 1000), np.float32)
    y0, cache = layer.forward(x, training=True, step=0)
    y1, _ = layer.forward(x, training=True, step=1)
    assert set(np.unique(y0)) == {np.float32(0), np.float32(1 / 0.6)}
    assert (y0 == 0).mean() == pytest.approx(0.4, abs=0.03)
    assert (y0 != y1).mean() == pytest.approx(2 * 0.4 * 0.6, abs=0.03)
    np.testing.assert_array_equal(layer.backward(x, cache), y0)
    np.testing.assert_array_equal(layer.forward(x, training=False)[0], x)


def test_dropout_layers_of_one_model_have_different_masks():
    model = tinycnn.Sequential([layers.Input((500,)), layers.Dropout(0.5), layers.Dropout(0.5)])
    first, second = (layer.forward(np.ones((1, 500), np.float32), training=True)[0] for layer in model.layers)
    assert (first != second).any()


@BACKEND
def test_gaussian_noise_follows_the_step_and_leaves_inference_alone(backend):
    with tinycnn.use_backend(backend):
        layer = layers.GaussianNoise(0.5)
        layer.build((10_000,), rng=np.random.default_rng(7))
    x = np.full((2, 10_000), 3, np.float32)
    y0, cache = layer.forward(x, training=True, step=0)
    y1, _ = layer.forward(x, training=True, step=1)
    assert (y0 != y1).all()
    assert y0.mean() == pytest.approx(3, abs=0.02)
    assert y0.std() == pytest.approx(0.5, rel=0.03)
    np.testing.assert_array_equal(layer.backward(x, cache), x)
    np.testing.assert_array_equal(layer.forward(x, training=False)[0], x)


# Freezing


def test_trainable_can_be_set_after_building():
    layer = layers.Dense(2)
    layer.build((3,))
    layer.trainable = False
    assert not any(parameter.trainable for parameter in layer.params.values())
    gradient = layer.params["kernel"].grad.copy()
    _, cache = layer.forward(np.ones((1, 3), np.float32), training=True)
    layer.backward(np.ones((1, 2), np.float32), cache)
    np.testing.assert_array_equal(layer.params["kernel"].grad, gradient)


def test_a_layer_that_does_not_keep_its_arguments_still_has_a_repr():
    """Earlier, its repr raised an error, and so spoilt every message that was to name the layer."""

    class Forgetful(layers.Layer):
        def __init__(self, amount, **base):
            super().__init__(**base)

    assert repr(Forgetful(1)) == "<Forgetful>"
    assert repr(Forgetful(1, name="f")) == "<Forgetful 'f'>"
    assert repr(layers.Dense(3, name="d")).startswith("Dense(units=3, ")


class Builds(layers.Layer):
    """A layer that makes its parameter in a ``build`` of its own, as in design.md."""

    base = True

    def build(self, input_shape, *, rng, dtype, backend):
        if self.base:
            super().build(input_shape, rng=rng, dtype=dtype, backend=backend)
        self.params = {"w": layers.Parameter(np.full(input_shape[-1:], 2, dtype))}
        return input_shape

    def forward(self, x, *, training, step=0, ws=None):
        return x * self.params["w"].value, (x if training else None)

    def backward(self, dy, cache, *, ws=None):
        self.params["w"].grad[...] = (dy * cache).sum(axis=0)
        return dy * self.params["w"].value


@pytest.mark.parametrize("base", [True, False])
def test_a_build_of_ones_own(base, tmp_path, monkeypatch):
    monkeypatch.setattr(Builds, "base", base)
    testing.check_gradients(Builds(), np.random.default_rng(0).normal(size=(2, 3)))
    testing.assert_layer_contract(Builds, (4,))
    model = Sequential([layers.Input((3,)), Builds(), layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = np.random.default_rng(1).random((8, 3))
    model.fit(x, np.arange(8) % 2, verbose=0)
    assert (model.layers[0].params["w"].value != 2).all()
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model", {"Builds": Builds})
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))


@pytest.mark.parametrize(
    "layer",
    [layers.Flatten(), layers.Reshape((4,)), layers.Activation("linear"), layers.Dropout(0.5), layers.GaussianNoise(1)],
)
def test_by_hand_every_result_is_a_fresh_array(layer):
    layer.build((2, 2))
    x = np.ones((3, 2, 2), np.float32)
    inferred, _ = layer.forward(x, training=False)
    y, cache = layer.forward(x, training=True)
    dy = np.ones_like(y)
    dx, again = (layer.backward(dy, cache) for _ in range(2))
    for one, other in ((x, inferred), (x, y), (dy, dx), (dx, again)):
        assert not np.shares_memory(one, other)


class Named(layers.Layer):
    def create(self, input_shape, rng):
        self.add_parameter("w", (3,), "ones", rng)
        self.add_buffer("w", (2,), "ones")


class OneNumber(initializers.Initializer):
    def __call__(self, shape, rng):
        return np.ones(1)


class Complex(initializers.Initializer):
    def __call__(self, shape, rng):
        return np.ones(shape, complex)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Named().build((3,)), "Named 'named': a parameter or a buffer is called 'w' already"),
        (
            lambda: layers.Dense(4, bias_initializer=OneNumber(), name="d").build((3,)),
            r"Dense 'd': OneNumber must return an array of numbers of shape \(4,\); got .* with shape \(1,\)",
        ),
        (
            lambda: layers.Dense(4, kernel_initializer=Complex()).build((3,)),
            r"Dense '.*': Complex must return an array of numbers of shape .*; got an array of complex128",
        ),
        (lambda: layers.Dense(4).build((3,), rng=42), "rng must be a numpy.random.Generator; got 42"),
        (lambda: layers.Dense(4).build((3,), backend="cpu"), "backend must be a Backend; got 'cpu'"),
        (lambda: layers.ReLU(alph=1), "ReLU takes no argument 'alph'; it takes input_shape, name, trainable"),
        (lambda: layers.ReLU(activation="tanh"), "ReLU takes no argument 'activation'"),
    ],
)
def test_slips_in_a_layer_are_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


@pytest.mark.parametrize("fuse", [True, False])
def test_one_parameter_may_be_trained_in_a_frozen_layer(fuse):
    """Earlier, the gradient of that parameter was not computed, but that of a penalty was added to it at every step."""
    conv = layers.Conv2D(2, 3, activation="relu", bias_regularizer="l2", bias_initializer="glorot_uniform")
    end = layers.Dense(3, activation="softmax")
    model = Sequential([layers.Input((5, 5, 1)), conv, layers.MaxPooling2D(), layers.Flatten(), end])
    model.compile("sgd", "sparse_categorical_crossentropy")
    for layer in (conv, end):
        layer.trainable = False
        layer.params["bias"].trainable = True
    before = model.get_weights()
    model.fit(np.random.default_rng(0).random((8, 5, 5, 1)), np.arange(8) % 3, 4, epochs=3, verbose=0, fuse=fuse)
    changed = [not np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True)]
    assert changed == [False, True, False, True]


def test_a_layer_is_no_function_and_says_what_is():
    with pytest.raises(TypeError, match=r"Dense 'd' is not a function; .* or call layer.forward\(x, training=True\)"):
        layers.Dense(3, name="d")(np.ones((1, 2)))


def test_weights_of_one_layer():
    layer = layers.BatchNormalization(name="bn")
    for call in (layer.get_weights, lambda: layer.set_weights([])):
        with pytest.raises(RuntimeError, match="BatchNormalization 'bn': not built yet"):
            call()
    layer.build((3,))
    weights = layer.get_weights()
    assert [weight.tolist() for weight in weights] == [[1] * 3, [0] * 3, [0] * 3, [1] * 3]
    weights[0][:] = 5
    assert layer.params["gamma"].value.tolist() == [1] * 3  # The weights are copies.
    layer.set_weights(weights)
    assert layer.params["gamma"].value.tolist() == [5] * 3
    with pytest.raises(ValueError, match="BatchNormalization 'bn' has 4 weight arrays; got 1"):
        layer.set_weights(weights[:1])
    with pytest.raises(ValueError, match=r"weights, moving_variance: expected shape \(3,\), got \(2,\)"):
        layer.set_weights([*[np.zeros(3)] * 3, np.zeros(2)])
    assert layer.params["gamma"].value.tolist() == [5] * 3
