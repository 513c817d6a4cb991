"""The page's arithmetic in JavaScript gives what the engine's reference backend gives, forward and backward."""

import ast
import re

import numpy as np
import pytest
from node_arithmetic import MODULES, drawn, drawn_weights, every_layer, node, one_layer, results_of

import tinycnn
from tinycnn import Sequential, activations, layers, losses
from tinycnn.explore import protocol
from tinycnn.kernels import reference

#: By how much results may differ, relative to the largest number of an array.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def assert_close(found, expected, dtype):
    """Check that two arrays are equal up to rounding; NaN and infinity have to stand at the same places."""
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    finite = np.abs(expected[np.isfinite(expected)])
    scale = finite.max(initial=0) or 1
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[dtype] * scale)


def in_prediction(model, x, dy):
    """Return what the engine gives for one image, and its gradients, as a prediction computes them."""
    (layer,) = model.layers
    if isinstance(layer, layers.BatchNormalization):
        layer.trainable = False  # so that the moving averages are used in backward as well
    if isinstance(layer, layers.Dropout | layers.GaussianNoise):
        return layer.forward(x[None])[0][0], dy, {}
    y, cache = layer.forward(x[None], training=True)
    y = y[0].copy()
    layer.trainable = True
    dx = layer.backward(dy[None], cache)
    return y, dx[0], {name: parameter.grad for name, parameter in layer.params.items()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_layer_forward_and_backward(dtype, tmp_path):
    cases, expected = [], []
    for seed, (layer, shape) in enumerate(every_layer()):
        model = one_layer(layer, shape, dtype, seed)
        x, dy = drawn(shape, dtype, seed), drawn(model.output_shape, dtype, seed + 1000)
        expected.append(in_prediction(model, x, dy))
        cases.append(("layer", protocol.describe(model)["layers"][0], x, layer.weights(), dy))
    for found, (y, dx, gradients), case in zip(results_of(cases, tmp_path), expected, cases, strict=True):
        assert_close(found["y"], y, dtype)
        assert_close(found["dx"], dx, dtype)
        assert set(found["gradients"]) == set(gradients), case[1]
        for name, gradient in gradients.items():
            assert_close(found["gradients"][name], gradient, dtype)


def test_pads_that_differ_on_every_side(tmp_path):
    """No layer asks for such pads, but kernels take them."""
    cases, expected = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        layer = layers.Conv2D(3, tuple(map(int, rng.integers(1, 4, 2))), strides=tuple(map(int, rng.integers(1, 3, 2))))
        model = one_layer(layer, (6, 5, 2), "float64", seed)
        described = protocol.describe(model)["layers"][0]
        described["window"]["pads"] = pads = rng.integers(0, 4, 4).tolist()
        x, (kernel, bias) = drawn((6, 5, 2), "float64", seed), layer.weights().values()
        geometry = layer.strides, pads, (1, 1), 1
        y = reference.conv2d_forward(x[None], kernel, bias, *geometry)
        dy = rng.normal(size=y.shape)
        dx = reference.conv2d_backward_input(dy, kernel, (6, 5), *geometry)
        expected.append((y, dx, *reference.conv2d_backward_weights(dy, x[None], layer.kernel_size, *geometry)))
        described["output_shape"] = list(y.shape[1:])
        cases.append(("layer", described, x, layer.weights(), dy[0]))
    for found, (y, dx, dw, db) in zip(results_of(cases, tmp_path), expected, strict=True):
        assert_close(found["y"], y[0], "float64")
        assert_close(found["dx"], dx[0], "float64")
        assert_close(found["gradients"]["kernel"], dw, "float64")
        assert_close(found["gradients"]["bias"], db, "float64")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(activations.ACTIVATIONS))
def test_activations_from_end_to_end(name, dtype, tmp_path):
    """Large, tiny, zero, infinite and missing numbers; relative to each number, not to the largest."""
    numbers = [*np.linspace(-12, 12, 97), 0.0, -0.0, 1e-30, -1e-30, 300, -300, np.inf, -np.inf, np.nan]
    if name == "softmax":
        numbers = numbers[:-3]
    x = np.array(numbers, dtype)
    model = one_layer(layers.Activation(name), x.shape, dtype, 0)
    dy = np.random.default_rng(3).normal(size=x.shape).astype(dtype)
    y, dx, _ = in_prediction(model, x, dy)
    (found,) = results_of([("layer", protocol.describe(model)["layers"][0], x, {}, dy)], tmp_path)
    few = 8 * np.finfo(dtype).eps
    tiny = np.finfo(dtype).tiny  # what is smaller than that, the engine may round to 0
    np.testing.assert_allclose(found["y"], y, rtol=few * 200, atol=tiny)
    np.testing.assert_allclose(found["dx"], dx, rtol=0, atol=few * 16)


def test_maxima_of_missing_and_infinite_numbers(tmp_path):
    """The first NaN wins, or else the first of equal numbers; pads never do, not even over minus infinity."""
    x = np.array([[1, 1, np.nan, -np.inf], [1, 0, np.nan, -np.inf], [-np.inf, -np.inf, 0, np.inf]], np.float32)[
        ..., None
    ]
    layer = layers.MaxPooling2D(2, strides=1, padding="same")
    model = one_layer(layer, x.shape, "float32", 0)
    y, cache = layer.forward(x[None], training=True)
    (found,) = results_of([("forward", protocol.describe(model)["layers"][0], x, {})], tmp_path)
    np.testing.assert_array_equal(found["y"], y[0])
    np.testing.assert_array_equal(found["argmax"], cache.argmax[0])


def small(*end, channels=1):
    """Return a small network with most kinds of layers."""
    return [
        layers.Input((9, 8, channels)),
        layers.Rescaling(0.5, offset=0.1),
        layers.Conv2D(4, 3, padding="same", activation="relu", kernel_regularizer="l2"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(2),
        layers.DepthwiseConv2D(3, depth_multiplier=2, activation="elu", depthwise_regularizer="l2"),
        layers.Dropout(0.3),
        layers.Flatten(),
        *end,
    ]


#: The targets do not add up to 1 exactly, which the engine takes into account.
SPARSE, SOFT = {"label": 2}, {"targets": [0.1, 0.2, 0.7004]}
ENDS = [
    ([layers.Dense(3, activation="softmax")], losses.SparseCategoricalCrossentropy(), SPARSE),
    ([layers.Dense(3), layers.Softmax()], losses.SparseCategoricalCrossentropy(), SPARSE),
    ([layers.Dense(3, activation="softmax"), layers.Reshape((3,))], losses.SparseCategoricalCrossentropy(), SPARSE),
    ([layers.Dense(3, activation="softmax")], losses.CategoricalCrossentropy(label_smoothing=0.2), SOFT),
    ([layers.Dense(3)], losses.CategoricalCrossentropy(from_logits=True), SOFT),
    ([layers.Dense(3)], losses.SparseCategoricalCrossentropy(from_logits=True), SPARSE),
    ([layers.Dense(3, activation="softmax")], losses.MeanSquaredError(), SOFT),
    ([layers.Dense(3, activation="tanh", bias_regularizer="l2")], losses.MeanSquaredError(), SOFT),
    ([layers.Dense(1, activation="sigmoid")], losses.BinaryCrossentropy(), {"label": 1}),
    ([layers.Dense(1, activation="sigmoid")], losses.BinaryCrossentropy(label_smoothing=0.2), {"label": 0}),
    ([layers.Dense(1)], losses.BinaryCrossentropy(from_logits=True), {"label": 1}),
    ([layers.Dense(3), layers.Activation("sigmoid"), layers.Reshape((3,))], losses.BinaryCrossentropy(), SOFT),
    ([layers.Dense(3, activation="softmax")], losses.BinaryCrossentropy(label_smoothing=0.1), SOFT),
    ([layers.Dense(3, activation="softmax", kernel_regularizer="l1_l2")], losses.CategoricalCrossentropy(), SOFT),
    ([layers.Dense(3, activation="softmax", kernel_regularizer="l1")], losses.CategoricalCrossentropy(), SOFT),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("number", range(len(ENDS)))
def test_a_network_and_its_loss(number, dtype, tmp_path):
    end, loss, target = ENDS[number]
    end = [layer.from_config(layer.get_config()) for layer in end]
    model = network(small(*end), loss, dtype)
    x = drawn(model.input_shape, dtype, number)
    y = [target["label"]] if "label" in target else np.array([target["targets"]], dtype)
    trace = model.trace(x[None], y, training=False)
    weights = [layer.weights() for layer in model.layers]
    (found,) = results_of([("network", protocol.describe(model), weights, x, target)], tmp_path)
    penalty = sum(parameter.penalty() for parameter in model.parameters().values())
    assert found["loss"] + penalty == pytest.approx(trace.loss, rel=10 * TOLERANCE[dtype])
    for entry, passed, gradients in zip(trace, found["passes"], found["layers"], strict=True):
        assert_close(passed["y"], entry.y[0], dtype)
        assert_close(gradients["dy"], entry.dy[0], dtype)
        assert_close(gradients["dx"], entry.dx[0], dtype)
        for name, gradient in entry.gradients.items():
            assert_close(gradients["gradients"][name], gradient, dtype)


def network(parts, loss, dtype="float32"):
    """Return a compiled network with drawn weights on the reference backend."""
    with tinycnn.use_backend("reference"):
        model = Sequential(parts, dtype=dtype)
    model.compile(optimizer="sgd", loss=loss)
    model.set_weights(drawn_weights(model, 5))
    return model


@pytest.mark.parametrize(
    "end",
    [
        *([layers.Dense(3)], [layers.Dense(3, activation="softmax")], [layers.Dense(3), layers.Softmax()]),
        *([layers.Dense(3, activation="sigmoid")], [layers.Dense(1, activation="sigmoid")]),
    ],
)
def test_the_gradient_of_one_score(end, tmp_path):
    """It is measured by central differences of the score itself, the number before a softmax or sigmoid."""
    end = [layer.from_config(layer.get_config()) for layer in end]
    model = network(small(*end), losses.MeanSquaredError(), "float64")
    x, h = drawn(model.input_shape, "float64", 4) + 0.01, 1e-6
    weights = [layer.weights() for layer in model.layers]
    chosen = min(1, model.output_shape[0] - 1)
    (found,) = results_of([("network", protocol.describe(model), weights, x, {"score": chosen})], tmp_path)
    assert found["loss"] is None

    def score(image):
        value = image[None]
        for layer in model.layers:
            if isinstance(layer, layers.Dense):
                return layer.linear_forward(value, training=False, ws=None)[0][0, chosen]
            value, _ = layer.forward(value)

    numeric = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = h
        numeric[index] = (score(x + step) - score(x - step)) / (2 * h)
    np.testing.assert_allclose(found["layers"][0]["dx"], numeric, atol=1e-7)


def test_mistakes_are_named(tmp_path):
    model = network(small(layers.Dense(3, activation="softmax")), "sparse_categorical_crossentropy")
    described, weights = protocol.describe(model), [layer.weights() for layer in model.layers]
    x = drawn(model.input_shape, "float32", 0)
    own = described["layers"][0] | {"kind": "own", "name": "mine"}
    unknown_loss = described | {"loss": {"name": "own", "class": "Mine"}}
    cases = {
        "from 0 to 2, or": ("network", described, weights, x, {"label": 3}),
        "or 3 targets": ("network", described, weights, x, {"targets": [1, 0]}),
        "the number of an output": ("network", described, weights, x, {"score": -1}),
        "compute this loss, a class of your own": ("network", unknown_loss, weights, x, {"label": 1}),
        "only Python can compute it": ("forward", own, x, {}),
        "index must lie in": ("explain", described["layers"][0], {"x": x, "y": x}, [0, 0, 1]),
        "has no parameter": (
            "explainWeightGradient",
            described["layers"][0],
            {"x": x, "y": x, "w": {}},
            "toString",
            [0],
        ),
        "index must be whole numbers": ("codeFor", described["layers"][0], ["0]; import os"], "y"),
        "has no array": ("codeFor", described["layers"][0], [0], "constructor"),
    }
    for text, found in zip(cases, node(list(cases.values()), tmp_path), strict=True):
        assert text in found["error"]


def test_names_become_literals_of_python(tmp_path):
    """Whatever a layer is called, Python reads back the same name; nothing that is not visible stands in the code."""
    rng = np.random.default_rng(0)
    texts = [
        "plain",
        'a"]; raise SystemExit #',
        "back\\slash",
        "'",
        "é😀",
        "\u202e\U000e0001",
        "\x00\n\r\x85\u2028\ud800",
        "\\u0041",
    ]
    texts += ["".join(map(chr, rng.integers(0, 0x110000, 20))) for _ in range(200)]
    texts += ["".join(map(chr, rng.integers(0, 0x100, 20))) for _ in range(200)]
    for text, literal in zip(texts, results_of([("quoted", text) for text in texts], tmp_path), strict=True):
        assert ast.literal_eval(literal) == text
        assert "\u202e" not in literal


def test_the_modules_import_nothing_from_elsewhere():
    """They run in a browser, in node and inside a recording, so each of them imports only files of this folder."""
    sources = {path.name: path.read_text(encoding="utf-8") for path in MODULES.glob("*.js")}
    for text in sources.values():
        assert set(re.findall(r'from "(.+?)"', text)) <= {f"./{name}" for name in sources}
