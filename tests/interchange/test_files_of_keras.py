"""Files of Keras are read without Keras; what is wrong with one is said, and nothing is changed then.

The files in ``tests/fixtures/keras`` are Keras's own; ``tests/compat`` makes others with Keras itself.
"""

import json
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fixtures.make_keras_files import KERAS_2, images

import tinycnn
from tinycnn import Sequential, layers, load_model
from tinycnn.interchange import hdf5, keras_config, keras_weights

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "keras"
EXPECTED = json.loads((FIXTURES / "expected.json").read_text("utf-8"))
WHOLE = ("model.keras", "model.h5", "keras2.h5")
EVERY = (*WHOLE, "model.weights.h5")


def network(**changes):
    with tinycnn.use_backend("reference"):
        return Sequential(
            [
                layers.Input((6, 6, 1)),
                layers.Conv2D(changes.get("filters", 2), 3, padding="same", activation="relu", name="a"),
                layers.BatchNormalization(name="b"),
                layers.LeakyReLU(0.3),
                layers.MaxPooling2D(2),
                layers.Flatten(),
                layers.Dropout(0.5),
                *changes.get("more", ()),
                layers.Dense(changes.get("units", 3), activation="softmax", name="c"),
            ],
            dtype=changes.get("dtype", "float32"),
        )


def assert_unchanged(model, action, message):
    """Check that an action is refused and leaves the model's weights as they were."""
    before = model.get_weights()
    with pytest.raises(ValueError, match=message) as raised:
        action(model)
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))
    return str(raised.value)


@pytest.mark.parametrize("name", WHOLE)
def test_whole_models(name):
    with tinycnn.use_backend("reference"):
        model = load_model(FIXTURES / name)
    np.testing.assert_allclose(model.predict(images()), EXPECTED["predictions"], atol=1e-6)
    for found, expected in zip(model.get_weights(), EXPECTED["weights"], strict=True):
        np.testing.assert_array_equal(found, np.array(expected, np.float32))
    assert model.name == "small"
    assert [layer.name for layer in model.layers] == ["first", "norm", "leak", "pool", "flat", "drop", "last"]
    assert model.layers[0].kernel_regularizer.l2 == 0.01
    assert model.layers[2].negative_slope == pytest.approx(0.3)
    assert type(model.optimizer).__name__ == "Adam"
    assert model.optimizer.learning_rate == pytest.approx(0.002 if name == "keras2.h5" else 0.001)
    assert list(model.metrics) == ["accuracy"]
    assert model.optimizer.iterations == 0
    model.fit(images(), np.arange(3), verbose=0)


@pytest.mark.parametrize("name", EVERY)
def test_weights_alone(name):
    model = network()
    model.load_weights(FIXTURES / name)
    np.testing.assert_allclose(model.predict(images()), EXPECTED["predictions"], atol=1e-6)


@pytest.mark.parametrize("name", EVERY)
def test_the_content_decides_and_not_the_name(name, tmp_path):
    path = tmp_path / "weights"
    path.write_bytes((FIXTURES / name).read_bytes())
    model = network()
    model.load_weights(path)
    np.testing.assert_allclose(model.predict(images()), EXPECTED["predictions"], atol=1e-6)


def test_weights_alone_are_no_model():
    with pytest.raises(ValueError, match="it holds weights and no network; build the same layers here"):
        load_model(FIXTURES / "model.weights.h5")


@pytest.mark.parametrize("name", EVERY)
def test_layers_that_do_not_fit(name):
    load = lambda model: model.load_weights(FIXTURES / name)  # noqa: E731
    text = assert_unchanged(network(filters=3), load, "its weights do not fit sequential: a/kernel has shape")
    assert str(FIXTURES / name) in text
    assert_unchanged(network(units=4), load, r"c/kernel has shape \(18, 4\), but .* has \(18, 3\)")
    more = [layers.Dense(18, name="more")]
    assert_unchanged(network(more=more), load, r"not there|more/kernel has shape|has 2 arrays")
    few = Sequential([layers.Input((6, 6, 1)), layers.Conv2D(2, 3, padding="same", name="a")])
    assert_unchanged(few, load, "is left over")


@pytest.mark.parametrize("name", EVERY)
def test_a_model_of_another_dtype(name):
    double = network(dtype="float64")
    with pytest.warns(UserWarning, match="holds weights of float32; they were converted to float64"):
        double.load_weights(FIXTURES / name)
    np.testing.assert_allclose(double.predict(images()), EXPECTED["predictions"], atol=1e-6)


@pytest.mark.parametrize("name", EVERY)
def test_every_cut(name, tmp_path):
    content = (FIXTURES / name).read_bytes()
    path = tmp_path / "cut"
    model = network()
    for end in (*range(0, 200, 7), *range(200, len(content), 997), len(content) - 1):
        path.write_bytes(content[:end])
        for load in (load_model, model.load_weights):
            with pytest.raises(ValueError, match=re.escape(str(path))):
                load(path)


def test_nan_is_refused_unless_asked_for(tmp_path):
    content = bytearray((FIXTURES / "model.weights.h5").read_bytes())
    bias = np.array(EXPECTED["weights"][1], np.float32).tobytes()
    at = content.find(bias)
    content[at : at + 4] = np.float32(np.nan).tobytes()
    path = tmp_path / "nan.weights.h5"
    path.write_bytes(content)
    model = network()
    assert_unchanged(model, lambda m: m.load_weights(path), "'layers/conv2d/vars/1' holds NaN or infinity")
    model.load_weights(path, check_finite=False)
    assert np.isnan(model.get_weights()[1]).sum() == 1


# Archives ---------------------------------------------------------------------------------------------------------


def parts():
    with zipfile.ZipFile(FIXTURES / "model.keras") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive(tmp_path, changes, compression=zipfile.ZIP_STORED):
    path = tmp_path / "changed.keras"
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in {**parts(), **changes}.items():
            if content is not None:
                file.writestr(name, content)
    return path


def config(change):
    """Return the configuration of the model in the fixture, changed by a function."""
    made = json.loads(parts()["config.json"])
    change(made)
    return json.dumps(made)


def of_layer(number, **changes):
    return lambda made: made["config"]["layers"][number]["config"].update(changes)


def test_a_compressed_archive_is_read(tmp_path):
    with tinycnn.use_backend("reference"):
        model = load_model(archive(tmp_path, {}, zipfile.ZIP_DEFLATED))
    np.testing.assert_allclose(model.predict(images()), EXPECTED["predictions"], atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config.json": None}, "it has no part 'config.json'"),
        ({"model.weights.h5": b"abc"}, "it is not an HDF5 file"),
        ({"config.json": b"[" * 10_000}, "nested more than"),
        ({"config.json": b"\xff\xfe{}"}, "can't decode"),
        ({"config.json": "[]"}, "described by its class_name"),
        ({"config.json": "{}"}, "described by its class_name"),
        ({"config.json": '{"class_name": "Sequential", "config": 3}'}, "its layers must be a list"),
        ({"config.json": '{"class_name": "Sequential", "config": {"layers": [3]}}'}, "described by its class_name"),
        ({"config.json": '{"class_name": "Mine", "config": {}}'}, "it is a 'Mine'; only Sequential"),
    ],
)
def test_wrong_archives(changes, message, tmp_path):
    path = archive(tmp_path, changes)
    with pytest.raises(ValueError, match=message) as raised:
        load_model(path)
    assert str(raised.value).startswith(f"{path} is not a model of Keras that can be read: ")


def test_an_archive_that_unpacks_to_much_more_than_it_is(tmp_path):
    path = archive(tmp_path, {"model.weights.h5": bytes(20_000_000)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 60_000
    with pytest.raises(ValueError, match=r"its part 'model\.weights\.h5' would have 20000000 bytes"):
        load_model(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_layer(1, filters=3), r"first/kernel has shape \(3, 3, 1, 3\), but 'layers/conv2d/vars/0' has"),
        (of_layer(1, filters=2**27), "first/kernel has shape|more than the limit"),
        (of_layer(1, filters="2"), "'first': filters must be"),
        (of_layer(1, activation="swishish"), "'first': .*swishish"),
        (of_layer(1, activation={"class_name": "Lambda", "config": {"code": "x"}}), "'first': "),
        (of_layer(1, data_format="channels_first"), "'first': Conv2D takes no 'data_format'"),
        (of_layer(1, kernel_regularizer={"class_name": "Mine", "config": {}}), "'first': .*regularizer"),
        (of_layer(2, axis=1), "'norm': axis must be -1"),
        (of_layer(2, name="a/b"), "name must be"),
        (of_layer(0, batch_shape=[None, None, None, 1]), "the sizes must be fixed"),
        (lambda made: made["config"]["layers"].clear(), "it has no layers"),
        (lambda made: made["config"]["layers"].pop(3), None),
        (
            lambda made: made["config"]["layers"].append({"class_name": "Lambda", "config": {}}),
            "there is no layer 'Lambda'",
        ),
        (lambda made: made["config"]["layers"].extend([made["config"]["layers"][3]] * 2000), "a list of at most 1000"),
    ],
)
def test_wrong_configurations(change, message, tmp_path):
    path = archive(tmp_path, {"config.json": config(change)})
    with tinycnn.use_backend("reference"):
        if message is None:
            load_model(path)  # without its activation it is still a model
            return
        with pytest.raises(ValueError, match=message) as raised:
            load_model(path)
    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < 2000


def test_an_initializer_that_is_not_known_does_not_matter(tmp_path):
    path = archive(tmp_path, {"config.json": config(of_layer(1, kernel_initializer={"class_name": "Mine"}))})
    with tinycnn.use_backend("reference"):
        np.testing.assert_allclose(load_model(path).predict(images()), EXPECTED["predictions"], atol=1e-6)


def test_what_only_training_has_is_left_out_with_a_warning(tmp_path):
    bounds = {"kernel_constraint": {"class_name": "MaxNorm"}, "activity_regularizer": {"class_name": "L2"}}
    path = archive(tmp_path, {"config.json": config(of_layer(1, **bounds))})
    with tinycnn.use_backend("reference"), pytest.warns(UserWarning, match="in training only") as caught:
        model = load_model(path)
    assert [str(warning.message) for warning in caught] == [
        f"{path}: what acts in training only was left out: activity_regularizer of first, kernel_constraint of first"
    ]
    assert caught[0].filename == __file__
    np.testing.assert_allclose(model.predict(images()), EXPECTED["predictions"], atol=1e-6)


@pytest.mark.parametrize("name", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_told(name, tmp_path):
    policy = name if name == "mixed_float16" else {"class_name": "DTypePolicy", "config": {"name": name}}
    path = archive(tmp_path, {"config.json": config(of_layer(1, dtype=policy))})
    with tinycnn.use_backend("reference"), pytest.warns(UserWarning, match=f"computes in {name}; tinycnn .* float32"):
        model = load_model(path)
    np.testing.assert_allclose(model.predict(images()), EXPECTED["predictions"], atol=1e-6)


class Twice(layers.Layer):
    def forward(self, x):
        return 2 * x, None

    def backward(self, dy, cache):
        return 2 * dy


def test_a_layer_of_ones_own_is_given_in_custom_objects(tmp_path):
    own = {"class_name": "Twice", "module": "os", "registered_name": "os>system", "config": {"name": "own"}}
    path = archive(tmp_path, {"config.json": config(lambda made: made["config"]["layers"].insert(3, own))})
    with tinycnn.use_backend("reference"):
        with pytest.raises(ValueError, match="'own': there is no layer 'Twice'"):
            load_model(path)
        assert type(load_model(path, {"Twice": Twice}).layers[2]) is Twice


def test_training_that_has_no_counterpart(tmp_path):
    def change(made):
        made["compile_config"]["optimizer"] = {"class_name": "Adagrad2", "config": {}}

    path = archive(tmp_path, {"config.json": config(change)})
    with pytest.warns(UserWarning, match=r"the model is not compiled, because .*Adagrad2"):
        model = load_model(path)
    assert not model.compiled


def test_weights_that_are_the_same_bytes_are_refused():
    def source(_):
        return keras_weights.Source("x", (10, 10), np.dtype("f4"), lambda: None)

    with pytest.raises(ValueError, match="its weights take 1200 bytes, and the file has 1000"):
        keras_weights.check_extent({name: source(name) for name in "abc"}, 1000, "file")


# Older versions ---------------------------------------------------------------------------------------------------


def translated(**changes):
    made = json.loads(json.dumps(KERAS_2))
    made.update(changes)
    return keras_config.translate(made)


def test_a_layer_that_changes_nothing_is_kept_as_an_activation():
    rows = [{"class_name": "Identity", "config": {"name": "same", "batch_shape": [None, 4, 4, 1]}}]
    made = keras_config.translate({"class_name": "Sequential", "config": {"name": "x", "layers": rows}})
    [layer] = made["layers"]
    assert layer == {"class_name": "Activation", "config": {"name": "same", "activation": "linear"}}


@pytest.mark.parametrize("kind", ["Sequential", "Functional", "Model"])
def test_a_model_in_a_model_is_named_with_what_to_do(kind):
    rows = [{"class_name": kind, "config": {"name": "inner", "layers": [], "batch_shape": [None, 4, 4, 1]}}]
    with pytest.raises(ValueError, match=r"'inner': it is a model by itself; .* write its layers in its place"):
        keras_config.translate({"class_name": "Sequential", "config": {"name": "x", "layers": rows}})


def test_a_sequential_model_before_keras_2_2_3_is_a_list():
    rows = KERAS_2["config"]["layers"][1:]
    rows = [{**rows[0], "config": {**rows[0]["config"], "batch_input_shape": [None, 6, 6, 1]}}, *rows[1:]]
    made = translated(config=rows)
    assert made["input_shape"] == [6, 6, 1]
    assert [layer["config"]["name"] for layer in made["layers"]][:2] == ["first", "norm"]


def functional(*nodes, kind="Model"):
    rows = []
    for name, sources in nodes:
        if kind == "Model":
            inbound = [[[source, 0, 0, {}] for source in sources]] if sources else []
        else:
            args = [{"class_name": "__keras_tensor__", "config": {"keras_history": [s, 0, 0]}} for s in sources]
            inbound = [{"args": args, "kwargs": {}}] if sources else []
        layer = {"class_name": "Flatten", "config": {"name": name}, "name": name, "inbound_nodes": inbound}
        if not sources:
            layer |= {"class_name": "InputLayer", "config": {"name": name, "batch_shape": [None, 2, 2, 1]}}
        rows.append(layer)
    return {"class_name": kind, "config": {"name": "f", "layers": rows}}


@pytest.mark.parametrize("kind", ["Model", "Functional"])
def test_functional_models_in_a_row(kind):
    made = keras_config.translate(functional(("c", ["b"]), ("in", []), ("b", ["a"]), ("a", ["in"]), kind=kind))
    assert [layer["config"]["name"] for layer in made["layers"]] == ["a", "b", "c"]
    for nodes in (
        [("in", []), ("a", ["in"]), ("b", ["in"])],
        [("in", []), ("a", ["in"]), ("b", ["a", "in"])],
        [("in", []), ("other", []), ("a", ["in"])],
        [("in", []), ("a", ["b"]), ("b", ["a"])],
        [("in", []), ("a", ["nowhere"])],
    ):
        with pytest.raises(ValueError, match="its layers are not in a row"):
            keras_config.translate(functional(*nodes, kind=kind))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"class_name": "ReLU", "config": {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}}, "ReLU"),
        ({"class_name": "ReLU", "config": {"negative_slope": [0.1], "threshold": [0.0]}}, "LeakyReLU"),
        ({"class_name": "Softmax", "config": {"axis": -1}}, "Softmax"),
        ({"class_name": "Activation", "config": {"activation": {"class_name": "function", "config": "relu"}}},
         "Activation"),
        ({"class_name": "ELU", "config": {"alpha": 0.5}}, "ELU"),
    ],
)  # fmt: skip
def test_activations_of_every_kind(given, expected):
    rows = [*KERAS_2["config"]["layers"][:1], given]
    made = keras_config.translate({"class_name": "Sequential", "config": {"name": "x", "layers": rows}})
    assert made["layers"][0]["class_name"] == expected


@pytest.mark.parametrize("argument", [False, True])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"class_name": "ReLU", "config": {"max_value": 6.0}}, "takes no 'max_value'"),
        ({"class_name": "ReLU", "config": {"negative_slope": 0.0, "threshold": 1.0}}, "takes no 'threshold'"),
        ({"class_name": "ReLU", "config": {"negative_slope": 0.1, "max_value": 6.0}}, "takes no 'max_value'"),
        ({"class_name": "Softmax", "config": {"axis": 1}}, "axis must be -1"),
    ],
)
def test_an_activation_with_limits_is_not_silently_another(given, message, argument):
    layer = {"class_name": "Activation", "config": {"activation": given}} if argument else given
    rows = [*KERAS_2["config"]["layers"][:1], layer]
    with pytest.raises(ValueError, match=message):
        keras_config.translate({"class_name": "Sequential", "config": {"name": "x", "layers": rows}})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"class_name": "LeakyReLU", "config": {"alpha": 0.2}}, ("LeakyReLU", {"negative_slope": 0.2})),
        ({"class_name": "ReLU", "config": {"negative_slope": 0.2}}, ("LeakyReLU", {"negative_slope": 0.2})),
        ({"class_name": "ELU", "config": {"name": "elu", "alpha": 0.5}}, ("ELU", {"alpha": 0.5})),
        ({"class_name": "Softmax", "config": {"axis": 3}}, ("Softmax", {})),
    ],
)
def test_a_layer_as_an_activation_keeps_its_numbers(given, expected):
    for value in (given, {"class_name": "Activation", "config": {"activation": given}}):
        rows = [*KERAS_2["config"]["layers"][:1], {"class_name": "Activation", "config": {"activation": value}}]
        made = keras_config.translate({"class_name": "Sequential", "config": {"name": "x", "layers": rows}})
        found = made["layers"][0]["config"]["activation"]
        assert (found["class_name"], found["config"]) == expected


class Attributes(dict):
    """Stands for a group that has only attributes."""

    text = dict.get

    def __contains__(self, name):
        return False


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"keras_version": "1.2.1"}, "written by Keras 1"),
        ({}, "written by Keras 1"),
        ({"keras_version": "2.1.0", "backend": "theano"}, "written with Theano"),
    ],
)
def test_files_whose_kernels_may_be_turned_are_refused(attributes, message):
    with pytest.raises(ValueError, match=message):
        keras_weights._group_in_order(Attributes({"layer_names": ["a"], **attributes}))


def test_long_lists_of_names_are_in_several_attributes():
    many = Attributes({"layer_names0": ["a", "b"], "layer_names1": ["c"], "layer_names3": ["lost"]})
    assert keras_weights._texts(many, "layer_names") == ["a", "b", "c"]
    assert keras_weights._texts(Attributes({"layer_names": ["d"]}), "layer_names") == ["d"]
    assert keras_weights._texts(Attributes({}), "layer_names") == []


# Writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["w.weights.h5", "W.H5", "w.hdf5"])
def test_weights_are_written_for_keras(name, tmp_path):
    pytest.importorskip("h5py", reason='needs h5py: pip install "tinycnn[keras]"')
    model = network()
    model.load_weights(FIXTURES / "model.keras")
    model.save_weights(tmp_path / name)
    root = hdf5.root((tmp_path / name).read_bytes())
    assert sorted(root.group("layers")) == ["batch_normalization", "conv2d", "dense"]
    assert root.group("layers/conv2d").text("name") == "a"
    other = network()
    other.load_weights(tmp_path / name)
    assert all((a == b).all() for a, b in zip(other.get_weights(), model.get_weights(), strict=True))


def test_a_write_that_fails_leaves_the_older_file(tmp_path, monkeypatch):
    pytest.importorskip("h5py", reason='needs h5py: pip install "tinycnn[keras]"')
    path = tmp_path / "w.weights.h5"
    network().save_weights(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(OSError, match="cannot write"):
        network().save_weights(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_without_h5py_the_weights_are_not_lost(tmp_path, monkeypatch):
    monkeypatch.setattr("tinycnn.saving.formats._installed", lambda package: not package)
    model = network()
    with pytest.warns(UserWarning, match=r'w\.weights\.h5 is written in tinycnn\'s own format.*"tinycnn\[keras\]"'):
        model.save_weights(tmp_path / "w.weights.h5")
    other = network()
    other.load_weights(tmp_path / "w.weights.h5")
    assert all((a == b).all() for a, b in zip(other.get_weights(), model.get_weights(), strict=True))
    model.load_weights(FIXTURES / "model.weights.h5")  # reading needs nothing


def test_the_groups_count_the_layers_of_each_class():
    kinds = ["Conv2D", "DepthwiseConv2D", "Conv2D", "BatchNormalization", "Dense", "Conv2D", "Dense"]
    entries = [keras_weights.LayerWeights(str(n), kind, {"kernel": (1,)}) for n, kind in enumerate(kinds)]
    assert list(keras_weights.groups(entries).values()) == [
        *("conv2d", "depthwise_conv2d", "conv2d_1", "batch_normalization", "dense", "conv2d_2", "dense_1")
    ]
