"""Files of other programs, and files written here node by node, become models that predict the same."""

import itertools
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers import has, installed

import tinycnn
from tinycnn import Sequential, layers
from tinycnn.onnx import export, load

pytest.importorskip("onnx.helper", reason="the package onnx (extra onnx) is not installed")
import onnx
from onnx import helper

from tinycnn.onnx.constants import Constants
from tinycnn.onnx.nodes import Node

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def on_reference():
    with tinycnn.use_backend("reference"):
        yield


def node(operator, *others, output=None, **attributes):
    """Return what :func:`written` makes a node of."""
    return operator, others, attributes, output


def array(*shape, low=-1.0):
    return RNG.uniform(low, 1, shape).astype(np.float32)


def written(path, shape, nodes, *, opset=17, batch="n", as_constants=False, out_rank=2, kind=1):
    """Write nodes in a row; what a node takes besides the result before it are arrays, or names. Return the path."""
    made, arrays, current = [], [], "x"
    for number, (operator, others, attributes, output) in enumerate(nodes):
        inputs = [] if operator in ("Constant",) else [current]
        for place, other in enumerate(others):
            name = other if isinstance(other, str) else f"a{number}_{place}"
            inputs.append(name)
            if isinstance(other, np.ndarray):
                tensor = onnx.numpy_helper.from_array(other, name)
                if as_constants:
                    made.append(helper.make_node("Constant", [], [name], value=tensor))
                else:
                    arrays.append(tensor)
        current = output or f"r{number}"
        made.append(helper.make_node(operator, inputs, [current], name=f"n{number}", **attributes))
    given = helper.make_tensor_value_info("x", kind, [batch, *shape])
    result = helper.make_tensor_value_info(current, kind, [None] * out_rank)
    graph = helper.make_graph(made, "g", [given], [result], arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
    path.write_bytes(model.SerializeToString())
    return path


def evaluated(path, x):
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(str(path)).run(None, {"x": x})[0]


def agree(path, x, *, first=True, **load_arguments):
    """Check that a loaded file predicts what ONNX's evaluator computes; return the layers' names."""
    model = load(path, **load_arguments)
    expected = evaluated(path, x)
    found = model.predict(x.transpose(0, 2, 3, 1) if first and x.ndim == 4 else x)
    if first and found.ndim == 4:
        found = found.transpose(0, 3, 1, 2)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    return [type(layer).__name__ for layer in model.layers]


BN = (array(4), array(4), array(4), array(4, low=0.5))
SHAPE = np.array([0, -1])
#: A file in a row of nodes for images of (N, 2, 8, 6), and the layers that it becomes.
CHAINS = {
    "conv": ([node("Conv", array(4, 2, 3, 3), array(4))], ["Conv2D"]),
    "strides and pads": (
        [node("Conv", array(4, 2, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1])],
        ["ZeroPadding2D", "Conv2D"],
    ),
    "same": ([node("Conv", array(4, 2, 3, 3), pads=[1, 1, 1, 1])], ["Conv2D"]),
    "auto": ([node("Conv", array(4, 2, 2, 2), auto_pad="SAME_LOWER")], ["ZeroPadding2D", "Conv2D"]),
    "dilated groups": ([node("Conv", array(4, 1, 3, 3), group=2, dilations=[2, 1])], ["DepthwiseConv2D"]),
    "activations": (
        [node("Conv", array(4, 2, 3, 3)), node("Relu"), node("LeakyRelu", alpha=0.2), node("Elu"), node("Tanh")],
        ["Conv2D", "LeakyReLU", "ELU", "Activation"],
    ),
    "clip": ([node("Clip", np.array(0, np.float32))], ["ReLU"]),
    "max": ([node("Max", np.zeros(1, np.float32)), node("Sigmoid")], ["ReLU", "Activation"]),
    "slope": ([node("PRelu", np.full((1, 1, 1), 0.25, np.float32))], ["LeakyReLU"]),
    "pool": ([node("MaxPool", kernel_shape=[2, 3], strides=[2, 3])], ["MaxPooling2D"]),
    "pool of positive numbers": (
        [node("Relu"), node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])],
        ["ReLU", "ZeroPadding2D", "MaxPooling2D"],
    ),
    "ceil": ([node("MaxPool", kernel_shape=[3, 3], strides=[3, 3], ceil_mode=1)], ["MaxPooling2D"]),
    "average": ([node("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1])], ["AveragePooling2D"]),
    "average of pads too": (
        [node("AveragePool", kernel_shape=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)],
        ["ZeroPadding2D", "AveragePooling2D"],
    ),
    "edge": (
        [
            node("Pad", np.array([0, 0, 0, 0, 0, 0, 1, 1]), mode="edge"),
            node("MaxPool", kernel_shape=[2, 2]),
        ],
        ["MaxPooling2D"],
    ),
    "least": (
        [
            node("Pad", np.array([0, 0, 1, 1, 0, 0, 1, 1]), np.array(-np.inf, np.float32)),
            node("MaxPool", kernel_shape=[3, 3]),
        ],
        ["MaxPooling2D"],
    ),
    "frame": ([node("Pad", np.array([0, 0, 1, 0, 0, 0, 2, 1]))], ["ZeroPadding2D"]),
    "frame of a convolution": (
        [node("Pad", np.array([0, 0, 0, 0, 0, 0, 1, 1])), node("Conv", array(4, 2, 3, 3), strides=[2, 2])],
        ["Conv2D"],
    ),
    "frame that is larger": (
        [node("Pad", np.array([0, 0, 1, 1, 0, 0, 1, 1])), node("Conv", array(4, 2, 3, 3), strides=[2, 2])],
        ["ZeroPadding2D", "Conv2D"],
    ),
    "norm": ([node("Conv", array(4, 2, 1, 1)), node("BatchNormalization", *BN)], ["Conv2D", "BatchNormalization"]),
    "norm of numbers": (
        [node("Sub", array(2, 1, 1)), node("Div", array(1, 2, 1, 1, low=0.5))],
        ["BatchNormalization"],
    ),
    "scale": ([node("Mul", np.full(1, 0.5, np.float32)), node("Sub", np.full((), 2.0, np.float32))], ["Rescaling"]),
    "bias": ([node("Conv", array(4, 2, 1, 1)), node("Add", array(4, 1, 1))], ["Conv2D"]),
    "flatten": (
        [node("Conv", array(4, 2, 3, 3)), node("Flatten"), node("Relu"), node("Gemm", array(96, 5), array(5))],
        ["Conv2D", "Flatten", "ReLU", "Dense"],
    ),
    "norm of rows": (
        [
            node("Flatten"),
            node("BatchNormalization", array(96), array(96), array(96), array(96, low=0.5)),
            node("Mul", array(96)),
            node("Gemm", array(3, 96), array(3), transB=1, alpha=0.5, beta=2.0),
        ],
        ["Flatten", "BatchNormalization", "BatchNormalization", "Dense"],
    ),
    "reshape": ([node("Reshape", SHAPE), node("MatMul", array(96, 3)), node("Add", array(3))], ["Flatten", "Dense"]),
    "there and back": (
        [node("Reshape", SHAPE), node("Reshape", np.array([-1, 2, 8, 6])), node("Conv", array(3, 2, 2, 2))],
        ["Flatten", "Reshape", "Conv2D"],
    ),
    "global": (
        [node("GlobalAveragePool"), node("Flatten"), node("Gemm", array(2, 5)), node("Softmax")],
        ["GlobalAveragePooling2D", "Dense"],
    ),
    "global maximum": ([node("GlobalMaxPool"), node("Softmax", axis=1)], ["GlobalMaxPooling2D", "Softmax"]),
    "squeezed": ([node("GlobalMaxPool"), node("Squeeze", np.array([2, 3]))], ["GlobalMaxPooling2D"]),
    "mean": ([node("ReduceMean", axes=[2, 3], keepdims=0)], ["GlobalAveragePooling2D"]),
    "maximum": ([node("ReduceMax", axes=[-1, -2])], ["GlobalMaxPooling2D"]),
    "turned": (
        [node("Transpose", perm=[0, 2, 3, 1]), node("MatMul", array(2, 3)), node("Transpose", perm=[0, 3, 1, 2])],
        ["Dense"],
    ),
    "nothing": ([node("Identity"), node("Cast", to=1), node("Relu")], ["ReLU"]),
    "dropped": ([node("Dropout", np.array(0.25, np.float32)), node("Relu")], ["Dropout", "ReLU"]),
}


@pytest.mark.parametrize("as_constants", [False, True], ids=["arrays", "constants"])
@pytest.mark.parametrize("name", CHAINS)
def test_operators(name, as_constants, tmp_path):
    nodes, expected = CHAINS[name]
    x = array(3, 2, 8, 6)
    made = written(tmp_path / "m.onnx", (2, 8, 6), nodes, as_constants=as_constants)
    # Where no operator tells which axis is that of the channels, the user does.
    assert agree(made, x, layout="NCHW") == expected


def test_shapes_that_are_computed(tmp_path):
    """As PyTorch writes ``x.view(x.size(0), -1)``."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Shape", ["c"], ["s"]),
        helper.make_node("Constant", [], ["zero"], value_int=0),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Unsqueeze", ["n", "axis"], ["n1"]),
        helper.make_node("Concat", ["n1", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["c", "target"], ["f"]),
        helper.make_node("Gemm", ["f", "d"], ["y"]),
    ]
    arrays = {"w": array(4, 2, 3, 3), "axis": np.array([0]), "rest": np.array([-1]), "d": array(96, 3)}
    path = tmp_path / "m.onnx"
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", 1, ["n", 2, 8, 6])],
        [value("y", 1, ["n", 3])],
        [onnx.numpy_helper.from_array(a, k) for k, a in arrays.items()],
    )
    path.write_bytes(helper.make_model(graph, ir_version=7).SerializeToString())
    assert agree(path, array(3, 2, 8, 6)) == ["Conv2D", "Flatten", "Dense"]


@pytest.mark.parametrize("opset", [7, 9, 11])
def test_old_operators(opset, tmp_path):
    limits = {"min": 0.0, "max": 3.4028234663852886e38} if opset < 11 else {}
    pads = (
        node("Pad", np.array([0, 0, 1, 1, 0, 0, 1, 1])) if opset >= 11 else node("Pad", pads=[0, 0, 1, 1, 0, 0, 1, 1])
    )
    nodes = [
        pads,
        node("Conv", array(4, 2, 3, 3)),
        node("Clip", **limits) if limits else node("Relu"),
        node("Dropout", **({"ratio": 0.5} if opset < 12 else {})),
        node("GlobalAveragePool"),
        node("Squeeze", axes=[2, 3]),
        node("Gemm", array(4, 3), array(3)),
        node("Softmax"),
    ]
    made = written(tmp_path / "m.onnx", (2, 8, 6), nodes, opset=opset)
    model = load(made)
    found = [type(layer).__name__ for layer in model.layers]
    assert found == ["Conv2D", "Dropout", "GlobalAveragePooling2D", "Dense"]
    weights = model.get_weights()
    x = array(3, 2, 8, 6)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    z = np.maximum(np.einsum("nchwpq,pqcf->nfhw", windows, weights[0]), 0).mean((2, 3)) @ weights[1] + weights[2]
    expected = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    np.testing.assert_allclose(model.predict(x.transpose(0, 2, 3, 1)), expected, rtol=1e-5)


def test_a_fixed_batch_and_an_open_size(tmp_path):
    made = written(tmp_path / "m.onnx", (2, 8, 6), [node("Reshape", np.array([1, 96])), node("Relu")], batch=1)
    assert load(made, layout="NHWC").predict(array(3, 2, 8, 6)).shape == (3, 96)
    made = written(tmp_path / "m.onnx", (2, "h", "w"), [node("Conv", array(4, 2, 3, 3)), node("GlobalMaxPool")])
    with pytest.raises(ValueError, match=r"its samples have the shape \(None, None, 2\).*input_shape=\(28, 28, 1\)"):
        load(made)
    assert load(made, input_shape=(9, 7, 2)).output_shape == (1, 1, 4)
    with pytest.raises(ValueError, match=r"input_shape is \(9, 7, 3\), but the file's samples have the shape"):
        load(made, input_shape=(9, 7, 3))


def test_arrays_beside_the_file(tmp_path):
    w = array(4, 2, 3, 3)
    path = written(tmp_path / "m.onnx", (2, 8, 6), [node("Conv", w), node("Flatten"), node("Gemm", array(96, 3))])
    expected = load(path).get_weights()
    model = onnx.load(path)
    onnx.save_model(model, path, save_as_external_data=True, location="m.bin", size_threshold=0)
    assert (tmp_path / "m.bin").stat().st_size > w.nbytes
    for found, wanted in zip(load(path).get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    (tmp_path / "m.bin").rename(tmp_path / "other.bin")
    with pytest.raises(ValueError, match=r"m\.onnx.*lies in the file 'm\.bin', which is not beside the model"):
        load(path)


def test_old_files_list_their_arrays_among_the_inputs(tmp_path):
    """IR version 3 demanded that, so an input that is an array is none of the network's."""
    path = written(tmp_path / "m.onnx", (4,), [node("Gemm", array(4, 3), array(3))])
    expected = load(path).get_weights()
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        model.graph.input.insert(0, helper.make_tensor_value_info(tensor.name, 1, list(tensor.dims)))
    model.ir_version = 3
    path.write_bytes(model.SerializeToString())
    for found, wanted in zip(load(path).get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_file_with_weights_in_half_precision(tmp_path):
    path = written(tmp_path / "m.onnx", (4,), [node("MatMul", array(4, 3).astype(np.float16))], kind=10)
    with pytest.warns(UserWarning, match=r"m\.onnx computes partly in float16; tinycnn computes in float32") as caught:
        assert load(path).get_weights()[0].dtype == np.float32
    assert caught[0].filename == __file__


@pytest.mark.parametrize(("kind", "name"), [(10, "float16"), (16, "bfloat16")])
def test_a_conversion_to_fewer_digits_is_told(kind, name, tmp_path):
    path = written(tmp_path / "m.onnx", (4,), [node("MatMul", array(4, 3)), node("Cast", to=kind), node("Relu")])
    with pytest.warns(UserWarning, match=f"partly in {name};"):
        load(path)


def test_weights_that_are_only_stored_in_fewer_digits_are_read_without_a_word(tmp_path):
    w = array(4, 3)
    path = written(tmp_path / "m.onnx", (4,), [node("MatMul", w)])
    model = onnx.load(path)
    weight = model.graph.initializer[0]
    stored = onnx.numpy_helper.from_array(w.astype(np.float16), "stored")
    unused = onnx.numpy_helper.from_array(w.astype(np.float16), "unused")
    model.graph.node.insert(0, helper.make_node("Cast", ["stored"], [weight.name], to=1))
    model.graph.initializer.remove(weight)
    model.graph.initializer.extend([stored, unused])
    path.write_bytes(model.SerializeToString())
    np.testing.assert_array_equal(load(path).get_weights()[0], w.astype(np.float16).astype(np.float32))


def test_load_model_reads_them_too(tmp_path):
    path = written(tmp_path / "m.onnx", (4,), [node("MatMul", array(4, 3))])
    model = tinycnn.load_model(path)
    assert isinstance(model, Sequential)
    assert model.output_shape == (3,)


def test_load_weights_reads_them_too(tmp_path):
    w = array(4, 3)
    path = written(tmp_path / "m.onnx", (4,), [node("MatMul", w)])
    model = Sequential([layers.Input((4,)), layers.Dense(3, use_bias=False)])
    model.load_weights(path)
    np.testing.assert_array_equal(model.get_weights()[0], w)
    other = Sequential([layers.Input((4,)), layers.Dense(2)])
    before = other.get_weights()
    with pytest.raises(ValueError, match=r"m\.onnx"):
        other.load_weights(path)
    np.testing.assert_array_equal(other.get_weights()[0], before[0])


def test_training_goes_on(tmp_path):
    path = written(tmp_path / "m.onnx", (4,), [node("MatMul", array(4, 3)), node("Softmax", axis=1)])
    model = load(path)
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()[0]
    model.fit(array(8, 4), np.arange(8) % 3, epochs=1, verbose=0)
    assert (model.get_weights()[0] != before).any()


# What there is no layer for -----------------------------------------------------------------------------------------


def test_everything_that_is_not_supported_is_listed_at_once(tmp_path):
    nodes = [
        node("HardSwish"),
        node("Conv", array(2, 2, 3, 3), pads=[1, 1, 1, 1], output="c"),
        node("Selu"),
        node("Add", "c"),
        node("InstanceNormalization", array(2), array(2)),
    ]
    with pytest.raises(ValueError, match="have no equivalent in a Sequential") as error:
        load(written(tmp_path / "m.onnx", (2, 8, 6), nodes))
    text = str(error.value)
    assert f"{tmp_path / 'm.onnx'} cannot be read as a Sequential: 4 of its 5 operators have no equivalent" in text
    assert "n0 (HardSwish): the nearest is the activation gelu" in text
    assert "n2 (Selu): the nearest is ELU" in text
    assert "n3 (Add): it joins two branches" in text
    assert "n4 (InstanceNormalization): the nearest is BatchNormalization" in text


WRONG = {
    "relu6": ([node("Clip", np.array(0, np.float32), np.array(6, np.float32))], "from 0 to 6; the nearest is ReLU"),
    "tanh gelu": ([node("Gelu", approximate="tanh")], "approximates gelu by tanh"),
    "negative slope": ([node("LeakyRelu", alpha=-1.0)], "its slope is -1.0"),
    "no number": ([node("LeakyRelu", alpha=float("nan"))], "its alpha is nan; a finite number is needed"),
    "dilated": ([node("MaxPool", kernel_shape=[2, 2], dilations=[2, 2])], "its windows are dilated"),
    "pads that may win": (
        [node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])],
        r"puts \[1, 1, 1, 1\] pads around images.*nearest is MaxPooling2D\(padding='same'\)",
    ),
    "cut": ([node("Pad", np.array([0, 0, -1, 0, 0, 0, 0, 0]))], "must not cut images"),
    "mirror": ([node("Pad", np.array([0, 0, 1, 1, 0, 0, 1, 1]), mode="reflect")], "fills the frame with what mode="),
    "channels padded": ([node("Pad", np.array([0, 1, 0, 0, 0, 0, 0, 0]))], "longer than the rows and columns"),
    "edge without maximum": (
        [node("Pad", np.array([0, 0, 1, 1, 0, 0, 1, 1]), mode="edge"), node("Relu")],
        "fills a frame with other numbers than zeros",
    ),
    "each pixel": ([node("Add", array(2, 8, 6))], "one number, or one for each channel, is needed"),
    "mixed samples": ([node("Reshape", np.array([1, -1]))], "samples must stay apart"),
    "batch moved": ([node("Transpose", perm=[1, 0, 2, 3])], "the batch must stay the first one"),
    "softmax over rows": (
        [node("Conv", array(4, 2, 1, 1)), node("Softmax", axis=2)],
        "over another axis than the chan",
    ),
    "another reshape": (
        [node("Conv", array(4, 2, 1, 1)), node("Reshape", np.array([0, 8, 24]))],
        "whose channels come",
    ),
    "row in another order": ([node("Conv", array(4, 2, 1, 1)), node("Flatten")], "cut the network before it flattens"),
    "channels": ([node("Conv", array(4, 3, 1, 1))], "in 1 groups do not fit images of 2 channels"),
    "rows": ([node("Flatten"), node("Gemm", array(95, 2))], "a matrix with 96 rows is needed"),
    "stride": ([node("Conv", array(4, 2, 1, 1), strides=[0, 1])], "its strides must be two positive numbers"),
    "kind": ([node("Conv", array(4, 2, 1, 1), strides="x")], "its strides is of another kind"),
    "huge frame": ([node("Pad", np.array([0, 0, 2**40, 0, 0, 0, 0, 0]))], "must not cut images or be as large"),
    "training": (
        [node("BatchNormalization", array(2), array(2), array(2), array(2), training_mode=1)],
        "export the network for inference",
    ),
    "NaN": ([node("Conv", np.full((4, 2, 1, 1), np.nan, np.float32))], "its weights hold NaN or infinity"),
    "3-D": ([node("Conv", array(4, 2, 1, 1, 1))], "a convolution over 3 axes"),
    "ratio": ([node("Dropout", np.array(1, np.float32))], "its ratio is 1.0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_no_layer_does(name, tmp_path):
    nodes, message = WRONG[name]
    path = written(tmp_path / "m.onnx", (2, 8, 6), nodes)
    with pytest.raises(ValueError, match=message) as error:
        load(path, layout="NCHW")
    assert str(path) in str(error.value)


def test_rows_that_pytorch_unflattens(tmp_path):
    """``nn.Unflatten`` of PyTorch's older exporter computes the shape, with a remainder among others."""
    torch = pytest.importorskip("torch", reason="PyTorch (extra compat) is not installed")
    from torch import nn

    network = nn.Sequential(nn.Unflatten(1, (1, 4, 5)), nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(18, 2)).eval()
    x, path = torch.rand(3, 20), tmp_path / "m.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (x,), path, dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "n"}})
    assert "Mod" in {node.op_type for node in onnx.load(path).graph.node}
    np.testing.assert_allclose(load(path).predict(x.numpy()), network(x).detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("a", "b", "fmod", "expected"), [([7, -7], [4, 4], 0, [3, 1]), ([7, -7], [4, 4], 1, [3, -3]), ([7], [0], 0, None)]
)
def test_remainders_of_constants(a, b, fmod, expected):
    mod = Node(helper.make_node("Mod", ["a", "b"], ["c"], fmod=fmod))
    constants = Constants([onnx.numpy_helper.from_array(np.array(v), k) for k, v in (("a", a), ("b", b))], Path())
    if expected is None:
        with pytest.raises(ValueError, match="it divides by 0"):
            constants.fold(mod)
    else:
        constants.fold(mod)
        assert constants["c"].tolist() == expected


# Other programs -----------------------------------------------------------------------------------------------------


def torch_networks():
    from torch import nn

    class View(nn.Module):
        def forward(self, x):
            return x.view(x.size(0), -1)

    first = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.MaxPool2d(2)]
    last = [nn.Flatten(), nn.Linear(400, 84), nn.Sigmoid(), nn.Dropout(0.5), nn.Linear(84, 10), nn.Softmax(1)]
    norm = [nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.LeakyReLU(0.1)]
    separable = [nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.GELU(), nn.Conv2d(8, 16, 1), nn.ELU()]
    whole = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)]
    view = [nn.Conv2d(3, 4, 3, dilation=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1), View(), nn.BatchNorm1d(144)]
    return {
        "lenet": ([*first, *last], (1, 28, 28)),
        "separable": ([*norm, *separable, *whole], (3, 16, 16)),
        "view": ([*view, nn.Linear(144, 10)], (3, 16, 16)),
    }


@pytest.mark.parametrize("exporter", ["script", pytest.param("dynamo", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["lenet", "separable", "view"])
def test_files_of_pytorch(name, exporter, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch (extra compat) is not installed")
    if exporter == "dynamo":
        pytest.importorskip("onnxscript", reason="onnxscript, which this exporter of PyTorch needs, is not installed")
    torch.manual_seed(0)
    made, shape = torch_networks()[name]
    network = torch.nn.Sequential(*made).eval()
    for layer in made:
        if isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            for values, low in ((layer.running_mean, -1), (layer.running_var, 0.5), (layer.weight.data, 0.5)):
                values.uniform_(low, 2)
    x = torch.rand(3, *shape)
    path = tmp_path / "m.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if exporter == "dynamo":
            dims = ({0: torch.export.Dim("batch")},)
            torch.onnx.export(network, (x,), path, dynamo=True, dynamic_shapes=dims, verbose=False)
        else:
            torch.onnx.export(
                network, (x,), path, dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "n"}}, opset_version=13
            )
    expected = network(x).detach().numpy()
    found = load(path).predict(x.numpy().transpose(0, 2, 3, 1))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


KERAS = """
import keras
import numpy as np
from keras import layers as L

networks = {
    "same": [
        *(L.Conv2D(4, 3, 2, padding="same"), L.BatchNormalization(), L.LeakyReLU(), L.MaxPooling2D(3, 2, "same")),
        *(L.DepthwiseConv2D(3, padding="same"), L.GlobalAveragePooling2D(), L.Dropout(0.5), L.Dense(5, "gelu")),
    ],
    "flat": [
        *(L.Rescaling(1 / 255, 0.5), L.ZeroPadding2D(2), L.Conv2D(4, 3, activation="elu"), L.AveragePooling2D(2)),
        *(L.Flatten(), L.Dense(6, "sigmoid"), L.Reshape((2, 3)), L.Flatten(), L.Dense(3, "softmax")),
    ],
}
rng = np.random.default_rng(0)
x = rng.random((4, 12, 12, 3)).astype("float32")
for name, layers in networks.items():
    model = keras.Sequential([L.Input((12, 12, 3)), *layers])
    for weight in model.weights:
        weight.assign(rng.uniform(0.3, 1, weight.shape) * (1 if "variance" in weight.path else rng.choice([-1, 1])))
    np.savez(f"{name}.npz", x=x, y=np.asarray(model.predict(x, verbose=0)))
    model.export(f"{name}.onnx", format="onnx", verbose=False)
"""


@pytest.mark.slow
def test_files_of_keras(tmp_path):
    """Keras on PyTorch computes the pads of ``same`` in the file, and transposes images before and after each layer."""
    for package in ("torch", "keras", "onnxscript"):
        if not installed(package):
            pytest.skip(f"{package}, with which Keras exports, is not installed")
    environment = os.environ | {"KERAS_BACKEND": "torch", "KERAS_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", KERAS], cwd=tmp_path, env=environment, check=True, capture_output=True)
    expected = {
        "same": [
            *("Conv2D", "BatchNormalization", "LeakyReLU", "MaxPooling2D", "DepthwiseConv2D", "GlobalAveragePooling2D"),
            "Dense",
        ],
        "flat": [
            *("Rescaling", "ZeroPadding2D", "Conv2D", "AveragePooling2D", "Flatten", "Dense", "Reshape", "Flatten"),
            "Dense",
        ],
    }
    for name, kinds in expected.items():
        kept = np.load(tmp_path / f"{name}.npz")
        model = load(tmp_path / f"{name}.onnx")
        assert [type(layer).__name__ for layer in model.layers] == kinds
        np.testing.assert_allclose(model.predict(kept["x"]), kept["y"], rtol=1e-5, atol=1e-6)


# Hostile files ------------------------------------------------------------------------------------------------------


def changed(path, change):
    """Write a good file after a change of its protobuf."""
    w = array(4, 2, 3, 3)
    written(path, (2, 8, 6), [node("Conv", w, array(4)), node("Flatten"), node("Gemm", array(96, 3))])
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def outside(where):
    def change(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = 1
        for key, value in {"location": where, "offset": "0", "length": str(4 * 72)}.items():
            tensor.external_data.add(key=key, value=value)

    return change


def set_dims(*dims):
    def change(model):
        model.graph.initializer[0].dims[:] = dims

    return change


HOSTILE = {
    "out of the folder": (outside("../secret"), r"lies at '\.\./secret', which is not in the folder of the model"),
    "an absolute path": (outside("/etc/passwd"), "which is not in the folder of the model"),
    "a backslash": (outside("..\\secret"), "which is not in the folder of the model"),
    "a drive": (outside("C:secret"), "which is not in the folder of the model"),
    "a link": (outside("link"), "a link that leads out of the model's folder"),
    "a folder": (outside("."), "a folder"),
    "no file": (outside("nothing"), "which is not beside the model"),
    "2 GB": (set_dims(2**29, 1, 1, 1), r"claims the shape \(536870912, 1, 1, 1\)"),
    "2**80 numbers": (set_dims(2**40, 2**40), "claims the shape"),
    "a negative length": (set_dims(-1, 72), "claims the shape"),
    "another length": (set_dims(4, 2, 3, 4), "takes 384 bytes, but 288 are there"),
    "an empty array": (set_dims(0), "takes 0 bytes, but 288 are there"),
    "no such kind": (lambda m: setattr(m.graph.initializer[0], "data_type", 99), "has numbers of kind 99"),
    "a circle": (lambda m: m.graph.node[0].input.__setitem__(0, "r2"), "nothing before it makes 'r2'"),
    "a missing array": (lambda m: m.graph.initializer.pop(), "nothing before it makes"),
    "two of a name": (lambda m: setattr(m.graph.initializer[1], "name", "a0_0"), "two arrays are called 'a0_0'"),
    "made twice": (lambda m: m.graph.node[1].output.__setitem__(0, "r0"), "which is there already"),
    "no output": (lambda m: setattr(m.graph.output[0], "name", "z"), "nothing makes its output 'z'"),
    "two outputs": (lambda m: m.graph.output.add(name="r0"), "it has 1 inputs and 2 outputs"),
    "no shape": (lambda m: m.graph.input[0].type.Clear(), "is not an array of a known number of axes"),
    "no opset": (lambda m: m.opset_import.pop(), "its operators are of opset none"),
    "an opset to come": (lambda m: setattr(m.opset_import[0], "version", 999), "of opset 999"),
    "an opset of before": (lambda m: setattr(m.opset_import[0], "version", 6), "of opset 6"),
    "an infinite weight": (
        lambda m: setattr(m.graph.initializer[1], "raw_data", np.full(4, np.inf, np.float32).tobytes()),
        "NaN or infinity",
    ),
    "a huge image": (
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[2], "dim_value", 2**62),
        "cannot be read as a Sequential",
    ),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.needs("links")] if name == "a link" else []) for name in HOSTILE]
)
def test_hostile_files(name, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(4 * 72))
    folder = tmp_path / "in"
    folder.mkdir()
    if has("links"):
        (folder / "link").symlink_to(tmp_path / "secret")
    change, message = HOSTILE[name]
    path = changed(folder / "m.onnx", change)
    with pytest.raises(ValueError, match=message) as error:
        load(path)
    assert str(path) in str(error.value)


def test_truncated_files_and_files_of_other_kinds(tmp_path):
    whole = changed(tmp_path / "m.onnx", lambda model: None).read_bytes()
    for length in range(0, len(whole) - 1, 37):
        (tmp_path / "m.onnx").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=re.escape(str(tmp_path / "m.onnx"))):
            load(tmp_path / "m.onnx")
    (tmp_path / "m.onnx").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ValueError, match=r"m\.onnx is not an ONNX model: it is a picture"):
        load(tmp_path / "m.onnx")
    with pytest.raises(FileNotFoundError, match="no such file"):
        load(tmp_path / "none.onnx")


def test_constants_that_grow(tmp_path):
    """Thirty nodes would make an array of 2**34 numbers."""
    names = [f"c{n}" for n in range(31)]
    nodes = [helper.make_node("Concat", [a, a], [b], axis=0) for a, b in itertools.pairwise(names)] + [
        helper.make_node("Add", ["x", names[-1]], ["y"])
    ]
    value = helper.make_tensor_value_info
    start = onnx.numpy_helper.from_array(array(16), "c0")
    graph = helper.make_graph(nodes, "g", [value("x", 1, ["n", 4])], [value("y", 1, ["n", 4])], [start])
    (tmp_path / "m.onnx").write_bytes(helper.make_model(graph, ir_version=7).SerializeToString())
    with pytest.raises(ValueError, match="its result would hold 131072 numbers"):
        load(tmp_path / "m.onnx")


def test_gelu_as_five_operators(tmp_path):
    model = Sequential([layers.Input((6,)), layers.Dense(3, activation="gelu"), layers.Activation("gelu")])
    export(model, tmp_path / "m.onnx")
    kinds = [n.op_type for n in onnx.load(tmp_path / "m.onnx").graph.node]
    assert kinds == ["Gemm", *["Div", "Erf", "Add", "Mul", "Mul"] * 2]
    assert [layer.activation.name for layer in load(tmp_path / "m.onnx").layers] == ["gelu", "gelu"]
