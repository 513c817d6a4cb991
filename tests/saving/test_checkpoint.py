"""Model files are written whole or not at all, give the same model back, and anything else is refused."""

import json
import os
import stat

import numpy as np
import pytest
import safetensors.numpy
from helpers import small_network

import tinycnn
from tinycnn import (
    Sequential,
    activations,
    initializers,
    layers,
    load_model,
    losses,
    metrics,
    optimizers,
    regularizers,
    schedules,
)
from tinycnn.core.files import write_whole


def trained(optimizer="adam"):
    tinycnn.set_seed(5)
    model = small_network("kept")
    model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])
    model.fit(*data(), epochs=1, verbose=0)
    return model


def data(n=60):
    rng = np.random.default_rng(0)
    return rng.uniform(0, 1, (n, 6, 6, 1)).astype(np.float32), rng.integers(0, 4, n)


def assert_same_weights(model, other):
    assert list(model.weights()) == list(other.weights())
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_comes_back_as_it_was(tmp_path):
    model = trained()
    model.save(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert_same_weights(model, loaded)
    assert loaded.name == "kept"
    assert loaded.evaluate(*data(), verbose=0) == model.evaluate(*data(), verbose=0)
    np.testing.assert_array_equal(loaded.predict(data()[0]), model.predict(data()[0]))


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: "adam",
        lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        lambda: optimizers.Adam(schedules.ExponentialDecay(0.01, 5, 0.5)),
    ],
)
def test_training_goes_on_to_the_same_bits(tmp_path, optimizer):
    model = trained(optimizer())
    model.save(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    histories = [m.fit(*data(), epochs=2, verbose=0).history for m in (model, loaded)]
    assert histories[0] == histories[1]
    assert_same_weights(model, loaded)


def test_the_same_model_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        trained().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_uncompiled_model_stays_uncompiled(tmp_path):
    model = Sequential([layers.Input((3,)), layers.Dense(2)])
    model.save(tmp_path / "m")
    assert not load_model(tmp_path / "m").compiled


class Scale(layers.Layer):
    """A user's layer, which can be saved because it keeps its argument under its own name."""

    def __init__(self, factor, **base):
        super().__init__(**base)
        self.factor = factor

    def forward(self, x, *, training=False, step=0, ws=None):
        return x * np.float32(self.factor), (() if training else None)

    def backward(self, dy, cache, *, ws=None):
        return dy * np.float32(self.factor)


def test_a_users_layer_needs_its_class(tmp_path):
    model = Sequential([layers.Input((3,)), Scale(2.0)])
    model.save(tmp_path / "m")
    with pytest.raises(ValueError, match="unknown layer 'Scale'"):
        load_model(tmp_path / "m")
    loaded = load_model(tmp_path / "m", {"Scale": Scale})
    np.testing.assert_array_equal(loaded.predict(np.ones((1, 3))), 2)


class Focal(losses.SparseCategoricalCrossentropy):
    """A user's loss, with an argument."""

    name = "focal"

    def __init__(self, gamma=1.0, from_logits=False):
        super().__init__(from_logits)
        self.gamma = gamma

    def get_config(self):
        return super().get_config() | {"gamma": self.gamma}


class Confidence(metrics.Metric):
    """A user's metric."""

    name = "confidence"

    def values(self, y_true, y_pred):
        return y_pred.max(axis=-1)


class Heavy(optimizers.SGD):
    """A user's optimizer, with slots."""


class Halves(initializers.Initializer):
    """A user's initializer."""

    def __call__(self, shape, rng):
        return np.full(shape, 0.5)


class Cubes(regularizers.L2):
    """A user's regularizer."""


class Identity(activations.Linear):
    """A user's activation."""

    name = "identity"


CUSTOM = {cls.__name__: cls for cls in (Scale, Focal, Confidence, Heavy, Halves, Cubes, Identity)}


def custom_model():
    dense = layers.Dense(2, kernel_initializer=Halves(), kernel_regularizer=Cubes(0.1), activation=Identity())
    model = Sequential([layers.Input((3,)), Scale(2.0), dense, layers.Softmax()])
    model.compile(Heavy(0.1, momentum=0.9), Focal(2.0), [Confidence(), "accuracy"])
    return model


def test_whatever_a_user_may_define_is_read_again(tmp_path):
    """Earlier, models with any of these could be saved, but only those with a user's layer could be loaded again."""
    model, x, y = custom_model(), np.eye(3), np.array([0, 1, 1])
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "m")
    loaded = load_model(tmp_path / "m", CUSTOM)
    assert (type(loaded.optimizer), type(loaded.loss), loaded.loss.gamma) == (Heavy, Focal, 2.0)
    assert type(loaded.metrics["confidence"]) is Confidence
    dense = loaded.layers[1]
    assert [type(part) for part in (dense.kernel_initializer, dense.kernel_regularizer, dense.activation)] == [
        Halves,
        Cubes,
        Identity,
    ]
    histories = [one.fit(x, y, epochs=2, verbose=0).history for one in (model, loaded)]
    assert histories[0] == histories[1]
    again = Sequential.from_config(model.get_config(), CUSTOM)
    np.testing.assert_array_equal(again.layers[1].params["kernel"].value, 0.5)
    assert type(layers.deserialize(layers.serialize(dense), CUSTOM).activation) is Identity


@pytest.mark.parametrize("name", CUSTOM)
def test_a_class_that_is_not_given_is_unknown(tmp_path, name):
    custom_model().save(tmp_path / "m")
    load_model(tmp_path / "m", CUSTOM)  # what this call is given, the next one does not know
    with pytest.raises(ValueError, match=f"unknown .* '{name}'"):
        load_model(tmp_path / "m", {key: cls for key, cls in CUSTOM.items() if key != name})


@pytest.mark.parametrize("given", [{"int": int}, {"Scale": Scale(1.0)}, {3: Scale}, [Scale]])
def test_custom_objects_are_classes_by_name(tmp_path, given):
    custom_model().save(tmp_path / "m")
    with pytest.raises(
        TypeError,
        match="custom_objects must be a dict from names to subclasses of ActivationFunction, Initializer, Layer",
    ):
        load_model(tmp_path / "m", given)


class Forgetful(Scale):
    """A user's layer that does not keep its argument."""

    def __init__(self, amount, **base):
        super().__init__(amount, **base)


def test_a_layer_that_forgets_its_argument_cannot_be_saved(tmp_path):
    model = Sequential([layers.Input((3,)), Forgetful(2.0)])
    with pytest.raises(TypeError, match="does not keep its argument 'amount'"):
        model.save(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


# Weights alone


def weights_equal(one, other):
    return all(np.array_equal(*pair) for pair in zip(one.get_weights(), other.get_weights(), strict=True))


@pytest.mark.parametrize("save", ["save", "save_weights"])
def test_weights_alone(tmp_path, save):
    model = trained()
    getattr(model, save)(tmp_path / "w")
    tinycnn.set_seed(6)
    other = Sequential.from_config(model.get_config() | {"seed": 6})
    other.compile("sgd", "sparse_categorical_crossentropy")
    assert not weights_equal(model, other)
    other.load_weights(tmp_path / "w")
    assert weights_equal(model, other)
    assert other.optimizer.iterations == 0


def test_a_file_of_weights_is_a_model_that_is_not_compiled(tmp_path):
    model = trained()
    model.save_weights(tmp_path / "w")
    loaded = load_model(tmp_path / "w")
    assert not loaded.compiled
    assert weights_equal(model, loaded)
    assert (tmp_path / "w").stat().st_size < 0.6 * len(saved_bytes(model, tmp_path))


def saved_bytes(model, folder):
    model.save(folder / "m")
    return (folder / "m").read_bytes()


def dense_model(units=4, name="d", dtype="float32"):
    return Sequential([layers.Input((3,)), layers.Dense(2, name="a"), layers.Dense(units, name=name)], dtype=dtype)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: dense_model(5), r"weights/d/kernel has shape \(2, 5\), but the configuration says \(2, 4\)"),
        (lambda: dense_model(name="e"), "do not fit the configuration; missing .*weights/d/.*unexpected .*weights/e/"),
        (lambda: Sequential([layers.Input((3,)), layers.Dense(2, name="a")]), "missing .*weights/d/bias"),
    ],
)
def test_weights_of_another_model_are_refused_whole(tmp_path, other, message):
    other().save_weights(tmp_path / "w")
    model = dense_model()
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.load_weights(tmp_path / "w")
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("ours", "theirs"), [("float32", "float64"), ("float64", "float32")])
def test_weights_of_another_dtype_are_converted(ours, theirs, tmp_path):
    other, model = dense_model(dtype=theirs), dense_model(dtype=ours)
    other.save_weights(tmp_path / "w")
    message = rf"w holds weights of {theirs}; they were converted to {ours}, the dtype of sequential"
    with pytest.warns(UserWarning, match=message) as warned:
        model.load_weights(tmp_path / "w")
    assert warned[0].filename == __file__
    assert_same(model.get_weights(), [value.astype(ours) for value in other.get_weights()])
    assert {value.dtype.name for value in model.get_weights()} == {ours}


def test_weights_that_are_too_large_for_the_dtype_are_refused_whole(tmp_path):
    other, model = dense_model(dtype="float64"), dense_model()
    other.layers[1].params["bias"].value[:] = 1e200
    other.save_weights(tmp_path / "w")
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"w: weights/d/bias holds 1e\+200, which is too large for float32"):
        model.load_weights(tmp_path / "w")
    assert_same(model.get_weights(), before)


@pytest.mark.parametrize("name", ["filepath", "path"])
def test_files_are_named_as_in_keras_or_as_before(name, tmp_path):
    model, other = dense_model(), dense_model()
    where = {name: tmp_path / "w"}
    model.save_weights(**where)
    other.load_weights(**where)
    assert_same(other.get_weights(), model.get_weights())
    model.save(**where)
    assert_same(load_model(**where).get_weights(), model.get_weights())
    for call in (model.save, model.save_weights, other.load_weights, load_model):
        with pytest.raises(TypeError, match="two names of one argument"):
            call(tmp_path / "w", path=tmp_path / "w")
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'filepath'"):
            call()


def test_a_model_that_is_not_to_be_compiled(tmp_path):
    """Then its optimizer and loss are not even looked at, so that their classes may be missing."""

    class Mine(optimizers.SGD):
        pass

    model = dense_model()
    model.compile(Mine(0.1, momentum=0.9), "mse")
    model.train_on_batch(np.ones((2, 3)), np.ones((2, 4)))
    model.save(tmp_path / "m")
    with pytest.raises(ValueError, match="Mine"):
        load_model(tmp_path / "m")
    loaded = load_model(tmp_path / "m", compile=False)
    assert not loaded.compiled
    assert_same(loaded.get_weights(), model.get_weights())


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_that_are_not_finite_are_refused_whole(tmp_path):
    bad, model = dense_model(), dense_model()
    bad.layers[1].params["kernel"].value[1, 2] = np.nan
    bad.save_weights(tmp_path / "w")
    before = model.get_weights()[0]
    with pytest.raises(ValueError, match="weights/d/kernel holds NaN or infinity"):
        model.load_weights(tmp_path / "w")
    np.testing.assert_array_equal(model.get_weights()[0], before)
    model.load_weights(tmp_path / "w", check_finite=False)
    assert np.isnan(model.get_weights()[2]).any()


def test_weights_need_a_model_that_is_built_and_a_file_that_is_one(tmp_path):
    with pytest.raises(RuntimeError, match="is not built"):
        Sequential([layers.Dense(2)]).save_weights(tmp_path / "w")
    with pytest.raises(RuntimeError, match="is not built"):
        Sequential([layers.Dense(2)]).load_weights(tmp_path / "w")
    (tmp_path / "w").write_bytes(b"weights")
    with pytest.raises(ValueError, match="is not a tinycnn model"):
        dense_model().load_weights(tmp_path / "w")


# What is not a model


def test_missing_folder_and_wrong_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_model(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError, match="a model is a file"):
        load_model(tmp_path)
    for name, content in {"empty": b"", "text": b"hello, world" * 10, "zeros": bytes(100)}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} is not a tinycnn model"):
            load_model(tmp_path / name)
    safetensors.numpy.save_file({"a": np.ones(3)}, tmp_path / "other")
    with pytest.raises(ValueError, match="lack the key 'tinycnn'"):
        load_model(tmp_path / "other")


def test_a_truncated_file_is_refused(tmp_path):
    trained().save(tmp_path / "model")
    content = (tmp_path / "model").read_bytes()
    for length in (7, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "cut").write_bytes(content[:length])
        with pytest.raises(ValueError, match="not a tinycnn model"):
            load_model(tmp_path / "cut")


def edited(path, change_description=None, change_arrays=None):
    """Write a model file again with its description or its arrays changed."""
    with safetensors.safe_open(path, framework="numpy") as file:
        description = json.loads(file.metadata()["tinycnn"])
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
    if change_description:
        change_description(description)
    if change_arrays:
        change_arrays(arrays)
    safetensors.numpy.save_file(arrays, path, metadata={"tinycnn": json.dumps(description)})
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format=2), "has format 2; this version of tinycnn reads 1 to 1"),
        (lambda d: d.update(format="1"), "has format '1'"),
        (lambda d: d["model"]["layers"][0].update(class_name="os.system"), "unknown layer 'os.system'"),
        (lambda d: d["model"]["layers"][0]["config"].update(filters=-1), "filters must be at least 1"),
        (lambda d: d["model"]["layers"][0]["config"].update(surprise=1), "surprise"),
        (lambda d: d["model"].pop("seed"), "seed"),
        (lambda d: d["model"]["layers"].clear(), "it has no layers"),
        (lambda d: d["model"]["layers"][0]["config"].update(filters=4), "shape"),
        (lambda d: d["model"]["layers"].pop(1), "unexpected .*batch_normalization"),
    ],
)
def test_a_configuration_that_does_not_fit(tmp_path, change, message):
    trained().save(tmp_path / "model")
    with pytest.raises(ValueError, match=message):
        load_model(edited(tmp_path / "model", change))


def test_missing_and_surplus_weights(tmp_path):
    trained().save(tmp_path / "model")
    path = edited(tmp_path / "model", change_arrays=lambda arrays: arrays.pop("weights/dense/bias"))
    with pytest.raises(ValueError, match=r"missing \['weights/dense/bias'\]"):
        load_model(path)


# Whole or not at all


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    model = trained()
    path = tmp_path / "model"
    model.save(path)
    before = path.read_bytes()
    model.fit(*data(), verbose=0)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        model.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OSError, match=r"cannot write .*missing"):
        write_whole(tmp_path / "missing" / "file", b"")


def test_the_rights_of_a_file_stay(tmp_path):
    (tmp_path / "file").touch(0o600)
    write_whole(tmp_path / "file", b"content")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_names_as_long_as_they_may_be(tmp_path):
    name = "n" * 255
    write_whole(tmp_path / name, b"content")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_file_mode_follows_the_umask(tmp_path):
    write_whole(tmp_path / "file", b"content")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask
