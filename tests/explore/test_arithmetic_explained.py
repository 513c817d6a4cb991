"""Every explanation adds up to the engine's number, and every line of code prints its bits."""

import contextlib
import io
from functools import partial

import numpy as np
import pytest
from node_arithmetic import drawn, drawn_weights, every_layer, one_layer, results_of

import tinycnn
from tinycnn import Sequential, layers
from tinycnn.activations import ActivationFunction
from tinycnn.explore import protocol

#: How many numbers of each array are explained.
FEW = 4


def traced(model, seed, images=1):
    """Return the arrays of a training pass of one image of a batch, as the page has them, with drawn targets."""
    x = np.stack([drawn(model.input_shape, model.dtype, seed + n) for n in range(images)])
    target = np.random.default_rng(seed).normal(size=(images, *model.output_shape)).astype(model.dtype)
    trace = model.trace(x, target)
    of_pass, of_layer = protocol.of_trace(trace), protocol.of_layer(trace[0])
    named = {name.partition(".")[2]: array for name, array in of_pass.items() if "." in name}
    return trace, {"x": of_pass["x"], "w": of_layer, **of_layer, **named}


def some(shape, rng):
    """Return a few drawn indexes of an array."""
    return [[int(rng.integers(length)) for length in shape] for _ in range(FEW)]


def check_sums(found, engine, dtype, extra=0.0):
    """Check that parts add up to the sum, the sum to the engine's number, and that ``rounding`` is the rest."""
    parts = [sum(term["product"] for term in part["terms"]) for part in found["parts"]]
    assert parts == pytest.approx([part["sum"] for part in found["parts"]], rel=1e-12, abs=1e-300)
    assert found["sum"] == pytest.approx(sum(parts), rel=1e-12, abs=1e-300)
    size = sum(abs(term["product"]) for part in found["parts"] for term in part["terms"]) + abs(extra)
    assert found["rounding"] == engine - (found["sum"] + extra)
    assert abs(found["rounding"]) <= 40 * np.finfo(dtype).eps * (size or 1)


def check_result(found, layer, arrays, index):
    """Check the explanation of ``y[index]`` against the arrays that it is made of."""
    x, y, at = arrays["x"], arrays["y"], tuple(index)
    assert found["y"] == y[at]
    before = arrays.get("z", y)
    if isinstance(layer, layers.Activation):
        before = x
    bias = found["bias"] or 0.0
    activation = found["activation"]
    check_sums(found, float(before[at]), x.dtype, bias)
    if activation:
        assert found["z"] == activation["before"] == before[at]
        assert activation["after"] == y[at]
        assert abs(activation["rounding"]) <= 8 * np.finfo(x.dtype).eps * max(1.0, abs(float(y[at])))
        kinked = activation["name"] in ("relu", "leaky_relu") or activation.get("alpha", 1) != 1
        assert activation["kink"] == (kinked and before[at] == 0)
    for term in (term for part in found["parts"] for term in part["terms"]):
        assert term["x"] == (0 if term["from"] is None else x[tuple(term["from"])])
        if "kernel" in arrays:
            assert term["factor"] == arrays["kernel"][tuple(term["at"])]
            assert term["product"] == term["x"] * term["factor"]
    if "bias" in arrays:
        assert bias == arrays["bias"][index[-1]]
    check_own_facts(found, layer, arrays, at)


def check_own_facts(found, layer, arrays, at):
    """Check what only one kind of layer says."""
    if isinstance(layer, layers.Dropout):
        assert found["kept"] == bool(arrays["mask"][at])
        assert found["scale"] == pytest.approx(1 / (1 - layer.rate))
    if isinstance(layer, layers.GaussianNoise):
        assert found["noise"] == float(arrays["y"][at]) - float(arrays["x"][at])
    if isinstance(layer, layers.BatchNormalization):
        assert (found["mean"], found["variance"]) == (arrays["mean"][at[-1]], arrays["variance"][at[-1]])
    if "argmax" in arrays:
        place = at if len(at) == 3 else (0, 0, *at)
        assert found["tap"] == found["first"] == arrays["argmax"][place]
        assert arrays["x"][tuple(found["winner"])] == arrays["y"][at]
        window = [term["x"] for term in found["parts"][0]["terms"] if term["from"]]
        assert found["ties"] == window.count(max(window))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_number_of_every_layer(dtype, tmp_path):
    """A few drawn results, and a few gradients by the input and by each parameter, of a training pass."""
    cases, checks = [], []
    for seed, (layer, shape) in enumerate(every_layer()):
        rng = np.random.default_rng(seed)
        model = one_layer(layer, shape, dtype, seed)
        _, arrays = traced(model, seed)
        described, options = protocol.describe(model)["layers"][0], {"training": True}
        for index in some(arrays["y"].shape, rng):
            cases.append(("explain", described, arrays, index))
            checks.append(partial(check_result, layer=layer, arrays=arrays, index=index))
        for index in some(shape, rng):
            cases.append(("explainInputGradient", described, arrays, index, options))
            checks.append(partial(check_gradient, array=arrays["dx"], index=index))
        for name in layer.params:
            for index in some(arrays[name].shape, rng):
                cases.append(("explainWeightGradient", described, arrays, name, index, options))
                checks.append(partial(check_gradient, array=arrays[f"d_{name}"], index=index))
    for found, check in zip(results_of(cases, tmp_path), checks, strict=True):
        check(found)


def check_gradient(found, array, index):
    """Check the explanation of one number of a gradient."""
    assert found["value"] == array[tuple(index)]
    check_sums(found, found["value"], array.dtype, found.get("penalty", 0.0))


def test_in_a_batch_normalization_every_image_counts(tmp_path):
    """With several images, dx is explained by the sums over the batch, which are the gradients of gamma and beta."""
    model = one_layer(layers.BatchNormalization(), (3, 4, 2), "float64", 1)
    _, arrays = traced(model, 1, images=5)
    described, options = protocol.describe(model)["layers"][0], {"training": True, "images": 5}
    cases = [("explainInputGradient", described, arrays, index, options) for index in np.ndindex(3, 4, 2)]
    for found, case in zip(results_of(cases, tmp_path), cases, strict=True):
        assert [part["title"].split(":")[0] for part in found["parts"]] == [
            "through x itself",
            "through the mean",
            "through the variance",
        ]
        check_gradient(found, arrays["dx"], case[3])
    (found,) = results_of([("explainWeightGradient", described, arrays, "gamma", [1], options)], tmp_path)
    assert (found["only"], found["rounding"]) == ("this image", None)
    without = {name: array for name, array in arrays.items() if name != "d_gamma"}
    (found,) = results_of([("explainInputGradient", described, without, [0, 0, 0], options)], tmp_path)
    assert found["sum"] is None
    assert "trace one image alone" in found["note"]


def test_in_prediction_nothing_is_drawn(tmp_path):
    """Dropout and noise pass on what they are given, and batch normalization takes the moving averages."""
    cases, expected = [], []
    for layer in (layers.Dropout(0.5), layers.GaussianNoise(0.5), layers.BatchNormalization()):
        model = one_layer(layer, (2, 3, 2), "float32", 2)
        x = drawn((2, 3, 2), "float32", 2)
        y = layer.forward(x[None])[0][0]
        arrays = {"x": x, "y": y, "dy": y, "w": layer.weights()}
        expected.append(y[1, 2, 0])
        cases.append(("explain", protocol.describe(model)["layers"][0], arrays, [1, 2, 0]))
    found = results_of(cases, tmp_path)
    assert [one["y"] for one in found] == expected
    assert [one["rounding"] for one in found[:2]] == [0, 0]
    assert abs(found[2]["rounding"]) < 1e-6
    assert (found[0]["kept"], found[1]["noise"]) == (None, 0)


def test_where_the_loss_takes_over_a_softmax(tmp_path):
    """Then dy is the gradient by the numbers before the softmax, p - t, and goes on from there."""
    for end in ([layers.Dense(4, activation="softmax")], [layers.Dense(4), layers.Softmax()]):
        with tinycnn.use_backend("reference"):
            model = Sequential([layers.Input((6,)), *end], dtype="float64")
        model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
        trace = model.trace(drawn((1, 6), "float64", 3), [2])
        described, arrays = protocol.describe(model), protocol.of_trace(trace)
        entry, last = described["layers"][-1], len(end) - 1
        given = {
            "x": arrays["0.y"] if last else arrays["x"], "y": arrays[f"{last}.y"], "z": arrays.get(f"{last}.z"),
            "dy": arrays[f"{last}.dy"], "dx": trace[last].dx[0], "w": protocol.of_layer(trace[last]),
        }  # fmt: skip
        joined, loss, found = results_of(
            [
                ("joinedActivation", described["layers"], described["loss"]),
                (
                    "explainLoss",
                    described["loss"],
                    (given["x"] if given["z"] is None else given["z"]).tolist(),
                    {"label": 2},
                    True,
                ),
                ("explainInputGradient", entry, given, [1], {"joined": True}),
            ],
            tmp_path,
        )
        assert joined == last
        assert loss["loss"] == pytest.approx(trace.loss, rel=1e-12)
        np.testing.assert_allclose([term["product"] for term in loss["terms"]], given["dy"], atol=1e-15)
        check_gradient(found, given["dx"], [1])
        terms = found["parts"][0]["terms"]
        assert [(term["slope"], term["dz"]) for term in terms] == [
            (1, given["dy"][tuple(term["from"])]) for term in terms
        ]


def test_what_only_python_knows(tmp_path):
    """For a user's own layer, or an own activation, the page says so and shows what it has."""

    class Squares(layers.Layer):
        def forward(self, x, *, training=False, step=0, ws=None):
            return x * x, x

        def backward(self, dy, cache, *, ws=None):
            return 2 * cache * dy

    class Cubes(ActivationFunction):
        name, keeps = "relu", "x"

        def forward(self, kernels, x, out=None):
            return x**3

        def backward(self, kernels, dy, kept, out=None):
            return 3 * kept**2 * dy

    for layer in (Squares(), layers.Dense(3, activation=Cubes())):
        model = one_layer(layer, (3,), "float64", 1)
        _, arrays = traced(model, 1)
        described = protocol.describe(model)["layers"][0]
        y, dx = results_of([(call, described, arrays, [1]) for call in ("explain", "explainInputGradient")], tmp_path)
        assert y["y"] == arrays["y"][1]
        assert dx["value"] == arrays["dx"][1]
        assert dx["sum"] is None
        assert "class of your own" in dx["note"]
        if isinstance(layer, layers.Dense):
            assert abs(y["rounding"]) < 1e-15
            assert y["activation"]["slope"] is None


@pytest.mark.parametrize(("training", "images"), [(True, 1), (False, 1), (True, 4)])
def test_the_code_prints_the_number_to_the_bit(training, images, tmp_path):
    model, rng = named_network(), np.random.default_rng(0)
    data = drawn((images, *model.input_shape), "float32", 6)
    names = {"model": model, "x": data[0], "x_train": data[1:], "y_train": np.array([0, 2, 1])}
    trace = model.trace(data, [1, 0, 2, 1][:images], training=training)
    options = {"label": 1, "training": training, "images": images}
    cases, expected = [], []
    for layer, entry in zip(protocol.describe(model)["layers"], trace, strict=True):
        batch = {name: getattr(entry, name) for name in ("x", "y", "z", "dy", "dx", "mask")}
        arrays = {name: array[0] for name, array in batch.items() if array is not None} | protocol.of_layer(entry)
        if hasattr(entry.cache, "argmax"):
            arrays["argmax"] = entry.cache.argmax[0]
        if hasattr(entry.cache, "variance"):
            arrays |= {"mean": entry.cache.mean, "variance": entry.cache.variance}
            cases.append(("codeFor", layer, [0], "epsilon", options))
            expected.append(entry.layer.epsilon)
        for name, array in arrays.items():
            index = some(array.shape, rng)[0]
            if name == "argmax" and len(layer["output_shape"]) == 1:
                index = index[2:]
            cases.append(("codeFor", layer, index, name, options))
            expected.append(array[(0, 0, *index) if array.ndim > len(index) else tuple(index)])
    for lines, number in zip(results_of(cases, tmp_path), expected, strict=True):
        assert printed(lines, names) == [str(number)]


@pytest.mark.parametrize("target", [3.7, -0.25, 7])
def test_the_code_takes_the_number_that_one_output_is_to_give(target, tmp_path):
    model = tinycnn.Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = drawn((1, *model.input_shape), "float32", 6)
    layer = protocol.describe(model)["layers"][-1]
    options = {"label": target, "training": False, "loss": {"name": "mean_squared_error"}, "outputs": 1}
    (lines,) = results_of([("codeFor", layer, [0], "dy", options)], tmp_path)
    expected = model.trace(x, [[target]], training=False)[-1].dy[0, 0]
    assert printed(lines, {"model": model, "x": x[0]}) == [str(expected)]


def named_network():
    """Return a network with dropout, both poolings that have an argmax, and names that would be code if pasted."""
    with tinycnn.use_backend("reference"):
        model = Sequential(
            [
                layers.Input((11, 10, 4)),
                layers.Conv2D(6, (3, 2), strides=2, padding="same", groups=2, activation="relu", name='a"]; raise ("'),
                layers.BatchNormalization(name="\\"),
                layers.MaxPooling2D(2, name="{layer}'"),
                layers.DepthwiseConv2D(2, depth_multiplier=2, dilation_rate=(1, 1), activation="gelu", name="\\u0041"),
                layers.Conv2D(5, 3, dilation_rate=(2, 1), padding="same", use_bias=False),
                layers.Dropout(0.25),
                layers.GlobalMaxPooling2D(),
                layers.Dense(3, activation="softmax"),
            ]
        )
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    model.set_weights(drawn_weights(model, 8))
    return model


def printed(lines, names):
    """Return what lines of code print, as words."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        exec("\n".join(lines), dict(names))
    return shown.getvalue().split()


def test_the_code_builds_a_number_from_patch_and_kernel(tmp_path):
    model, rng = named_network(), np.random.default_rng(1)
    x = drawn(model.input_shape, "float32", 6)
    found = [
        (layer, some(layer["output_shape"], rng))
        for layer in protocol.describe(model)["layers"]
        if "kernel" in layer["parameters"]
    ]
    cases = [
        ("codeFor", layer, index, "products", {"training": training})
        for layer, indexes in found
        for index in indexes
        for training in (True, False)
    ]
    for lines in results_of(cases, tmp_path):
        built, engine = map(float, printed(lines, {"model": model, "x": x}))
        assert built == pytest.approx(engine, rel=1e-5, abs=1e-6)
