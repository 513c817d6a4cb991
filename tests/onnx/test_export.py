"""Models as ONNX files: ONNX Runtime and ONNX's own evaluator compute what tinycnn predicts."""

import json

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, activations, datasets, layers, models
from tinycnn.onnx import IR_VERSION, OPSET, export, load
from tinycnn.onnx.by_layer import ACTIVATIONS, LAYERS

pytest.importorskip("onnx.helper", reason="the package onnx (extra onnx) is not installed")
import onnx


@pytest.fixture(autouse=True)
def on_reference():
    with tinycnn.use_backend("reference"):
        yield


def runtime(path, x):
    """Return what ONNX Runtime computes."""
    ort = pytest.importorskip("onnxruntime", reason="ONNX Runtime (extra bench) is not installed")
    [y] = ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"input": x})
    return y


def evaluated(path, x):
    """Return what the evaluator computes that is part of the package onnx."""
    from onnx.reference import ReferenceEvaluator

    [y] = ReferenceEvaluator(str(path)).run(None, {"input": x})
    return y


def images(shape, count=5, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(dtype)


def model_of(shape, *made, dtype="float32", seed=3):
    """Return a model whose weights are all random, moving statistics too."""
    tinycnn.set_seed(seed)
    model = Sequential([layers.Input(shape), *made], dtype=dtype)
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.2, 1.0, w.shape) * rng.choice([1, -1], w.shape) for w in model.get_weights()])
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.buffers["moving_variance"][...] = np.abs(layer.buffers["moving_variance"])
    return model


def test_the_documented_networks_on_1000_images(tmp_path):
    """Weights are drawn from a seed; the images are those of a data set that is always there, or random colours."""
    pytest.importorskip("onnxruntime", reason="ONNX Runtime (extra bench) is not installed")
    grey = (datasets.digits.load_data()[1][0][:1000, :, :, None] / 255).astype(np.float32)
    colour = np.random.default_rng(0).random((1000, 32, 32, 3), np.float32)
    assert len(grey) == 1000
    assert len(models.names()) == 25
    for name in models.names():
        tinycnn.set_seed(1)
        with tinycnn.use_backend("cpu"):
            model = models.build(name)
            x = grey if model.input_shape == (28, 28, 1) else colour
            export(model, tmp_path / "m.onnx")
            expected = model.predict(x)
        found = runtime(tmp_path / "m.onnx", x)
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


IMAGE = (7, 6, 3)
#: For each layer, models in which every way to write it occurs: what is put into images or rows, and then flattened.
CASES = {
    "Activation": lambda: [[layers.Activation(name)] for name in activations.ACTIVATIONS],
    "AveragePooling2D": lambda: [
        [layers.AveragePooling2D(2)],
        [layers.AveragePooling2D((3, 2), strides=(2, 1), padding="same")],
    ],
    "BatchNormalization": lambda: [
        [layers.BatchNormalization(epsilon=0.01)],
        [layers.BatchNormalization(center=False, scale=False)],
        [layers.Flatten(), layers.BatchNormalization()],
        [layers.Reshape((6, 21)), layers.BatchNormalization()],
        [layers.Conv2D(2, 3), layers.Flatten(), layers.BatchNormalization(), layers.Dense(2)],
    ],
    "Conv2D": lambda: [
        [layers.Conv2D(4, 3, activation="leaky_relu")],
        [layers.Conv2D(6, (2, 3), strides=(2, 1), padding="same", groups=3, use_bias=False)],
        [layers.Conv2D(4, 2, dilation_rate=(2, 3), padding="same", activation="softmax")],
    ],
    "Dense": lambda: [
        [layers.Dense(4, activation="gelu")],
        [layers.Conv2D(4, 3), layers.Dense(5, activation="softmax"), layers.Flatten(), layers.Dense(2)],
        [layers.Flatten(), layers.Dense(4, use_bias=False), layers.Dense(3, activation="elu")],
        [layers.Conv2D(4, 3), layers.Flatten(), layers.ReLU(), layers.Rescaling(2.0), layers.Dense(3)],
        [layers.Reshape((6, 21)), layers.Dense(4)],
    ],
    "DepthwiseConv2D": lambda: [
        [layers.DepthwiseConv2D(3, depth_multiplier=2, activation="tanh")],
        [layers.DepthwiseConv2D((3, 2), strides=2, padding="same", use_bias=False)],
    ],
    "Dropout": lambda: [[layers.Dropout(0.5)]],
    "ELU": lambda: [[layers.ELU(0.7)]],
    "Flatten": lambda: [
        [layers.Flatten()],
        [layers.Conv2D(2, 3), layers.Flatten()],
        [layers.Conv2D(2, 3), layers.Flatten(), layers.Softmax()],
        [layers.Flatten(), layers.Flatten()],
    ],
    "GaussianNoise": lambda: [[layers.GaussianNoise(0.5), layers.Dense(2)]],
    "GlobalAveragePooling2D": lambda: [
        [layers.GlobalAveragePooling2D()],
        [layers.GlobalAveragePooling2D(keepdims=True)],
    ],
    "GlobalMaxPooling2D": lambda: [[layers.GlobalMaxPooling2D()], [layers.GlobalMaxPooling2D(keepdims=True)]],
    "LeakyReLU": lambda: [[layers.LeakyReLU(0.1)]],
    "MaxPooling2D": lambda: [[layers.MaxPooling2D(2)], [layers.MaxPooling2D((3, 2), strides=2, padding="same")]],
    "ReLU": lambda: [[layers.ReLU()]],
    "Rescaling": lambda: [[layers.Rescaling(1 / 127.5, offset=-1)], [layers.Rescaling(0.3)]],
    "Reshape": lambda: [
        [layers.Reshape((3, 7, 6)), layers.Conv2D(2, 2)],
        [layers.Conv2D(2, 3), layers.Reshape((-1,)), layers.Reshape((4, 5, 2)), layers.MaxPooling2D(2)],
        [layers.Conv2D(2, 3), layers.Reshape((8, 5))],
    ],
    "Softmax": lambda: [[layers.Softmax()], [layers.Conv2D(4, 2), layers.Softmax()]],
    "ZeroPadding2D": lambda: [[layers.ZeroPadding2D(((1, 0), (2, 3))), layers.Conv2D(2, 3)]],
}
EACH = [(name, number) for name, made in CASES.items() for number in range(len(made()))]


def test_every_layer_and_activation_is_written():
    assert LAYERS.keys() == set(layers.LAYERS.values())
    assert CASES.keys() == layers.LAYERS.keys()
    assert ACTIVATIONS.keys() == set(activations.ACTIVATIONS.values())


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize(("name", "number"), EACH)
def test_layers(name, number, layout, tmp_path):
    model = model_of(IMAGE, *CASES[name]()[number])
    x = images(IMAGE)
    export(model, tmp_path / "m.onnx", layout=layout)
    written = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(written, full_check=True)
    assert (written.opset_import[0].version, written.ir_version) == (OPSET, IR_VERSION)
    assert not any(a.name == "auto_pad" for node in written.graph.node for a in node.attribute)
    given = x if layout == "NHWC" else np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    expected = model.predict(x)
    as_written = expected.transpose(0, 3, 1, 2) if layout == "NCHW" and expected.ndim == 4 else expected
    np.testing.assert_allclose(evaluated(tmp_path / "m.onnx", given), as_written, atol=2e-5, rtol=1e-5)
    np.testing.assert_allclose(runtime(tmp_path / "m.onnx", given), as_written, atol=2e-5, rtol=1e-5)
    loaded = load(tmp_path / "m.onnx")
    assert loaded.input_shape == IMAGE
    np.testing.assert_allclose(loaded.predict(x), expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("name", "number"), EACH)
def test_layers_in_float64(name, number, tmp_path):
    """Exactness shows that nothing is rounded to float32 on the way, but for the constants that ONNX has as float32."""
    model = model_of(IMAGE, *CASES[name]()[number], dtype="float64")
    x = images(IMAGE, dtype=np.float64)
    export(model, tmp_path / "m.onnx")
    found = evaluated(tmp_path / "m.onnx", x)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, model.predict(x), rtol=1e-6, atol=1e-7)
    weights = load(tmp_path / "m.onnx").get_weights()
    assert all(w.dtype == np.float64 for w in weights)


def test_what_comes_back_has_the_same_layers_names_and_bits(tmp_path):
    tinycnn.set_seed(5)
    model = models.build("fashion_improved")
    export(model, tmp_path / "m.onnx")
    loaded = load(tmp_path / "m.onnx")
    kept = [layer for layer in model.layers if not isinstance(layer, layers.Dropout)]
    assert [(type(a), a.name) for a in loaded.layers] == [(type(a), a.name) for a in kept]
    assert loaded.name == "fashion_improved"
    x = images(model.input_shape)
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))
    for layer, other in zip(loaded.layers, kept, strict=True):
        ours, theirs = layer.get_config(), other.get_config()
        for key in ("momentum", "epsilon", "activation", "strides", "padding"):
            assert ours.get(key) == theirs.get(key), key


def test_one_transpose_for_the_whole_network(tmp_path):
    model = models.build("fashion_improved")
    for layout, count in (("NHWC", 1), ("NCHW", 0)):
        export(model, tmp_path / "m.onnx", layout=layout)
        nodes = onnx.load(tmp_path / "m.onnx").graph.node
        assert [node.op_type for node in nodes].count("Transpose") == count


def test_the_input_is_of_any_length_and_the_file_says_what_it_is(tmp_path):
    model = models.build("ladder_03")
    export(model, tmp_path / "a.onnx", class_names=list("0123456789"), preprocessing="divide by 255")
    export(model, tmp_path / "b.onnx", class_names=list("0123456789"), preprocessing="divide by 255")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    written = onnx.load(tmp_path / "a.onnx")
    dims = [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in written.graph.input]
    assert dims == [["N", 28, 28, 1]]
    assert (written.producer_name, written.producer_version) == ("tinycnn", tinycnn.__version__)
    metadata = {entry.key: entry.value for entry in written.metadata_props}
    assert json.loads(metadata["class_names"]) == list("0123456789")
    assert metadata["preprocessing"] == "divide by 255"
    assert metadata["input_layout"] == "NHWC"
    for count in (1, 3):
        assert runtime(tmp_path / "a.onnx", images((28, 28, 1), count)).shape == (count, 10)


def test_another_dtype(tmp_path):
    model = model_of((6, 6, 1), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2), dtype="float64")
    export(model, tmp_path / "m.onnx", dtype="float32")
    x = images((6, 6, 1))
    np.testing.assert_allclose(runtime(tmp_path / "m.onnx", x), model.predict(x), rtol=1e-5, atol=1e-5)


class Own(layers.Layer):
    def forward(self, x):
        return x, None

    def backward(self, dy, cache):
        return dy


class OwnConv(layers.Conv2D):
    pass


class OwnActivation(activations.ActivationFunction):
    name = "own"

    def forward(self, kernels, x, out=None):
        return x

    def backward(self, kernels, dy, kept, out=None):
        return dy


def test_all_layers_that_cannot_be_said_are_named_before_a_file_is_written(tmp_path):
    made = [Own(name="first"), OwnConv(2, 1), layers.Flatten(), layers.Dense(2, activation=OwnActivation())]
    model = Sequential([layers.Input((4, 4, 1)), *made])
    (tmp_path / "m.onnx").write_bytes(b"older")
    with pytest.raises(ValueError, match=r"Own 'first' is none of the classes.*OwnConv 'own_conv'.*Dense 'dense'"):
        export(model, tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == b"older"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layout": "CHWN"}, "layout must be one of 'nhwc', 'nchw'; got 'CHWN'"),
        ({"dtype": "float16"}, "dtype must be 'float32' or 'float64'; got 'float16'"),
        ({"class_names": ["a", "b"]}, "class_names must hold 10 names.*got 2"),
        ({"class_names": 3}, "class_names must be a list of names; got 3"),
        ({"preprocessing": ""}, "preprocessing must be a non-empty string"),
    ],
)
def test_bad_arguments(arguments, message, tmp_path):
    with pytest.raises((ValueError, TypeError), match=message):
        export(models.build("ladder_00"), tmp_path / "m.onnx", **arguments)
    assert not list(tmp_path.iterdir())


def test_no_model_and_no_shape(tmp_path):
    with pytest.raises(TypeError, match="model must be a Sequential; got 3"):
        export(3, tmp_path / "m.onnx")
    with pytest.raises(RuntimeError, match="is not built"):
        export(Sequential([layers.Dense(2)]), tmp_path / "m.onnx")


def test_more_than_a_file_can_hold(tmp_path, monkeypatch):
    model = models.build("ladder_00")
    monkeypatch.setattr(type(model), "count_params", lambda self: 2**29)
    with pytest.raises(ValueError, match=r"its weights take 2\.0 GiB, and a file can hold 2 GiB"):
        export(model, tmp_path / "m.onnx")
