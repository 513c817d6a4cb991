"""State dicts of PyTorch in safetensors files, without PyTorch; ``tests/compat`` compares with PyTorch itself."""

import os
import warnings

import numpy as np
import pytest
import safetensors.numpy

import tinycnn
from tinycnn import Sequential, activations, interchange, layers
from tinycnn.interchange.pytorch_matching import matched, stored_modules
from tinycnn.interchange.pytorch_order import modules
from tinycnn.interchange.pytorch_source import _MAKERS


def network(*rows, dtype="float32", shape=(4, 3, 2)):
    tinycnn.set_seed(1)
    with tinycnn.use_backend("reference"):
        return Sequential([layers.Input(shape), *rows], dtype=dtype)


def small(**given):
    return network(
        layers.Conv2D(3, 2, name="conv"),
        layers.BatchNormalization(name="norm"),
        layers.Flatten(),
        layers.Dense(5, name="first"),
        layers.Dense(5, name="second"),
        **given,
    )


NAMES = ["conv", "norm", "first", "second"]


def state(model, names=NAMES):
    """Return a state dict by the rules of PyTorch, made without the code under test."""
    found = {}
    for layer, name in zip([layer for layer in model.layers if layer.weights()], names, strict=True):
        weights = layer.get_weights()
        if isinstance(layer, layers.Conv2D):
            found[f"{name}.weight"] = np.einsum("hwio->oihw", weights[0]).copy()
            found[f"{name}.bias"] = weights[1]
        elif isinstance(layer, layers.BatchNormalization):
            parts = ("weight", "bias", "running_mean", "running_var")
            found |= {f"{name}.{part}": values for part, values in zip(parts, weights, strict=True)}
            found[f"{name}.num_batches_tracked"] = np.array(7)
        else:
            kernel = weights[0]
            if layer.name == "first":  # from (H, W, C) to (C, H, W)
                kernel = np.einsum("hwcf->chwf", kernel.reshape(3, 2, 3, -1)).reshape(18, -1)
            found[f"{name}.weight"] = kernel.T.copy()
            found[f"{name}.bias"] = weights[1]
    return found


def written(tmp_path, arrays, name="state.safetensors"):
    path = tmp_path / name
    path.write_bytes(safetensors.numpy.save(arrays, metadata={"format": "pt"}))
    return path


def assert_equal_weights(model, other):
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def zeroed(model):
    for value in model.weights().values():
        value[...] = 0
    return model


@pytest.mark.parametrize(
    "names",
    [
        ["conv", "norm", "fc1", "fc2"],
        ["0", "1", "9", "10"],
        ["features.0", "features.1", "classifier.2", "classifier.10"],
        ["module.conv1", "module.bn1", "module.fc.0", "module.fc.1"],
    ],
)
def test_modules_are_found_by_kind_and_number(names, tmp_path):
    model = small()
    path = written(tmp_path, state(model, names))
    for load in (lambda m: m.load_weights(path), lambda m: interchange.load_pytorch(m, path)):
        other = zeroed(small())
        load(other)
        assert_equal_weights(other, model)


def test_names_of_ones_own(tmp_path):
    rows = lambda: (layers.Dense(5, name="one"), layers.Dense(5, name="two"))  # noqa: E731
    model, other = network(*rows(), shape=(5,)), zeroed(network(*rows(), shape=(5,)))
    path = written(tmp_path, state(model, ["zebra", "ape"]))
    with pytest.raises(
        ValueError, match=r"'ape' and 'zebra' have the same shapes, and their names do not say"
    ) as raised:
        other.load_weights(path)
    assert "names=[...]" in str(raised.value)
    interchange.load_pytorch(other, path, ["zebra", "ape"])
    assert_equal_weights(other, model)
    interchange.load_pytorch(other, path, ["ape", "zebra"])
    assert not np.array_equal(other.get_weights()[0], model.get_weights()[0])


def test_names_without_numbers_are_matched_by_shapes(tmp_path):
    rows = lambda: (layers.Flatten(), layers.Dense(7, name="a"), layers.Dense(3, name="b"))  # noqa: E731
    model, other = network(*rows(), shape=(1, 1, 4)), zeroed(network(*rows(), shape=(1, 1, 4)))
    kernels = {"output": model.layers[2].get_weights(), "hidden": model.layers[1].get_weights()}
    arrays = {f"{name}.weight": weights[0].T.copy() for name, weights in kernels.items()}
    arrays |= {f"{name}.bias": weights[1] for name, weights in kernels.items()}
    other.load_weights(written(tmp_path, arrays))
    assert_equal_weights(other, model)


def test_what_is_written_is_a_state_dict(tmp_path):
    model = small()
    for value in model.weights().values():
        value[...] = np.random.default_rng(3).random(value.shape)
    interchange.save_pytorch(model, tmp_path / "named", NAMES)
    found = safetensors.numpy.load_file(tmp_path / "named")
    expected = state(model)
    expected["norm.num_batches_tracked"] = np.array(0)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values)
    interchange.save_pytorch(model, tmp_path / "numbered")
    assert {name.rpartition(".")[0] for name in safetensors.numpy.load_file(tmp_path / "numbered")} == set("0134")
    other = zeroed(small())
    other.load_weights(tmp_path / "numbered")
    assert_equal_weights(other, model)


def changed(**arrays):
    """Return a function that changes a state dict; None leaves an array out."""

    def change(given):
        made = given | {key.replace("_W", ".weight").replace("_B", ".bias"): value for key, value in arrays.items()}
        return {key: value for key, value in made.items() if value is not None}

    return change


WRONG = {
    "a missing array": (changed(conv_B=None), "'conv.bias' is missing, for conv"),
    "a missing module": (changed(conv_W=None, conv_B=None), "has 1 of the kind convolution, and the file 0"),
    "a surplus module": (
        changed(more_W=np.zeros((3, 3, 1, 1), np.float32)),
        r"has 1 of the kind convolution, and the file 2 \('conv, more'\)",
    ),
    "a module of another kind": (changed(more_W=np.zeros(3, np.float32)), "0 of the kind module of another kind"),
    "another shape": (
        changed(conv_W=np.zeros((3, 2, 2, 3), np.float32)),
        r"conv needs 'conv.weight' of shape \(3, 2, 2, 2\), and it has \(3, 2, 2, 3\)",
    ),
    "whole numbers": (changed(conv_B=np.zeros(3, np.int64)), "'conv.bias' holds numbers of the kind I64"),
    "too large": (changed(conv_B=np.full(3, 1e300)), r"'conv.bias' holds 1e\+300, which is too large for float32"),
    "NaN": (changed(conv_B=np.full(3, np.nan, np.float32)), "'conv.bias' holds NaN or infinity"),
    "nothing": (lambda given: {}, "has 1 of the kind convolution, and the file 0"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_does_not_fit_changes_nothing(kind, tmp_path):
    change, message = WRONG[kind]
    model = small()
    before = model.get_weights()
    path = written(tmp_path, change(state(model, ["conv", "norm", "fc1", "fc2"])))
    with pytest.raises(ValueError, match=message) as raised:
        model.load_weights(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))


def test_nan_is_read_if_asked_for(tmp_path):
    model = small()
    arrays = WRONG["NaN"][0](state(model, ["conv", "norm", "fc1", "fc2"]))
    path = written(tmp_path, arrays)
    model.load_weights(path, check_finite=False)
    assert np.isnan(model.layers[0].get_weights()[1]).all()


@pytest.mark.parametrize("stored", ["float16", "float32", "float64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_other_dtypes_are_converted_with_a_warning(stored, dtype, tmp_path):
    arrays = {key: value.astype(stored) for key, value in state(small(), ["0", "1", "2", "3"]).items()}
    path, model = written(tmp_path, arrays), small(dtype=dtype)
    said = f"{path} holds weights of {stored}; they were converted to {dtype}, the dtype of sequential"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.load_weights(path)
    assert [str(warning.message) for warning in caught] == [said] * (stored != dtype)
    assert all(warning.filename == __file__ for warning in caught)
    np.testing.assert_array_equal(model.layers[-1].get_weights()[0], arrays["3.weight"].T.astype(dtype))


def test_weights_that_only_pytorch_has_must_change_nothing(tmp_path):
    model = network(layers.BatchNormalization(scale=False, center=True))
    arrays = {
        "bn.weight": np.ones(2, np.float32),
        "bn.bias": np.array([1, 2], np.float32),
        "bn.running_mean": np.array([3, 4], np.float32),
        "bn.running_var": np.array([5, 6], np.float32),
    }
    model.load_weights(written(tmp_path, arrays))
    assert [w.tolist() for w in model.get_weights()] == [[1, 2], [3, 4], [5, 6]]
    arrays["bn.weight"][1] = 2
    with pytest.raises(
        ValueError, match=r"'bn\.weight' is not 1 everywhere, but batch_normalization has no such weights"
    ):
        model.load_weights(written(tmp_path, arrays))


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (["a"], ValueError, "names must be 4 different names, for 'conv, norm, first, second'"),
        (["a", "a", "b", "c"], ValueError, "names must be 4 different names"),
        ([1, 2, 3, 4], TypeError, "names must be a list of names of modules"),
        (["conv", "norm", "first", "third"], ValueError, "names: the file has no module 'third'; names lacks 'second'"),
        (["norm", "conv", "first", "second"], ValueError, "names: 'norm.running_mean' is left over: conv has none"),
    ],
)
def test_wrong_names(names, error, message, tmp_path):
    path = written(tmp_path, state(small()))
    with pytest.raises(error, match=message):
        interchange.load_pytorch(small(), path, names)


def test_files_of_other_kinds(tmp_path):
    model = small()
    model.save_weights(tmp_path / "ours")
    with pytest.raises(ValueError, match=r"ours is a file of tinycnn itself; read it with model\.load_weights"):
        interchange.load_pytorch(model, tmp_path / "ours")
    (tmp_path / "old").write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
    with pytest.raises(ValueError, match=r"old is not a safetensors file: it is a file of PyTorch \(an old .pt"):
        interchange.load_pytorch(model, tmp_path / "old")
    with pytest.raises(FileNotFoundError, match="no such file"):
        interchange.load_pytorch(model, tmp_path / "nothing")


def test_every_cut(tmp_path):
    model = small()
    content = written(tmp_path, state(model)).read_bytes()
    path = tmp_path / "cut"
    for end in range(0, len(content), 5):
        path.write_bytes(content[:end])
        with pytest.raises(ValueError, match="cut is not a"):
            model.load_weights(path)


def test_a_write_that_fails_leaves_the_older_file(tmp_path, monkeypatch):
    path = tmp_path / "state.safetensors"
    path.write_bytes(b"older")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(OSError, match="cannot write"):
        interchange.save_pytorch(small(), path)
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


class Own(layers.Layer):
    def forward(self, x):
        return x, None

    def backward(self, dy, cache):
        return dy


@pytest.mark.parametrize("function", [interchange.save_pytorch, interchange.load_pytorch])
def test_layers_without_a_counterpart(function, tmp_path):
    path = written(tmp_path, state(small()))
    for model, message in (
        (network(Own(name="mine")), "mine.* is not one of tinycnn's own layers"),
        (network(layers.Reshape((3, 8))), "PyTorch keeps channels first"),
        (network(layers.Reshape((2, 3, 4))), "PyTorch keeps channels first"),
    ):
        with pytest.raises(ValueError, match=message):
            function(model, path)
        with pytest.raises(ValueError, match=r"counterpart|channels first"):
            interchange.pytorch_source(model)
    assert path.read_bytes() == written(tmp_path, state(small()), "again").read_bytes()


def test_an_image_behind_flattened_features_is_refused():
    model = network(layers.Flatten(), layers.Reshape((4, 3, 2)))
    with pytest.raises(ValueError, match="channels first"):
        modules(model, (4, 3, 2))
    with pytest.raises(ValueError, match="channels first"):
        interchange.pytorch_source(model)


@pytest.mark.parametrize("function", [interchange.pytorch_source, interchange.save_pytorch, interchange.load_pytorch])
def test_models_that_are_not_built(function):
    arguments = () if function is interchange.pytorch_source else ("x",)
    with pytest.raises(RuntimeError, match="is not built"):
        function(Sequential([layers.Dense(3)]), *arguments)
    with pytest.raises(TypeError, match="model must be a Sequential"):
        function(layers.Dense(3), *arguments)


def test_the_source_says_all_that_is_not_pytorchs_default():
    source = interchange.pytorch_source(
        network(
            layers.Conv2D(4, (3, 2), strides=2, padding="same", groups=2, use_bias=False, activation="leaky_relu"),
            layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.25),
            layers.Dense(3, activation="softmax", name="end"),
            dtype="float64",
        )
    )
    assert source == (
        "from torch import nn\n"
        "\n"
        "network = nn.Sequential(\n"
        "    nn.ZeroPad2d((0, 1, 0, 1)),  # 0\n"
        "    nn.Conv2d(2, 4, (3, 2), stride=(2, 2), groups=2, bias=False),  # 1: conv2d\n"
        "    nn.LeakyReLU(0.2),  # 2\n"
        "    nn.BatchNorm2d(4),  # 3: batch_normalization\n"
        "    nn.BatchNorm2d(4, eps=0.001, momentum=0.01),  # 4: batch_normalization_1\n"
        "    nn.Flatten(),  # 5: flatten\n"
        "    nn.Dropout(0.25),  # 6: dropout\n"
        "    nn.Linear(16, 3),  # 7: end\n"
        "    nn.Softmax(dim=1),  # 8\n"
        ").double()\n"
    )


def test_counting_modules_are_sorted_as_people_count():
    rows = [layers.Dense(3, name=f"d{number}") for number in range(12)]
    model = network(*rows, shape=(3,))
    stored = stored_modules({f"fc{n}.{part}": shape for n in range(12) for part, shape in
                             (("weight", (3, 3)), ("bias", (3,)))})  # fmt: skip
    pairs, problems = matched(modules(model, (3,)), stored, None)
    assert not problems
    assert pairs == {f"d{number}": f"fc{number}" for number in range(12)}


def test_every_layer_and_every_activation_has_a_counterpart():
    assert _MAKERS.keys() == set(layers.LAYERS.values())
    for name in activations.ACTIVATIONS:
        source = interchange.pytorch_source(network(layers.Dense(2, activation=name)))
        assert source.count("nn.") == (2 if name == "linear" else 3)
