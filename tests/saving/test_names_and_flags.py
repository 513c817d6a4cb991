"""What belongs to a parameter follows it: the optimizer's memory when a layer is renamed, and whether it is frozen."""

import copy
import pickle

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, callbacks, layers, load_model, optimizers

X, Y = np.random.default_rng(0).random((12, 8, 8, 1), np.float32), np.arange(12) % 3
OPTIMIZERS = {
    "adam": lambda: optimizers.Adam(0.01),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9),
    "rmsprop": lambda: optimizers.RMSprop(0.01, centered=True, momentum=0.5),
}


def made(optimizer="adam", backend="reference"):
    tinycnn.set_seed(1)
    with tinycnn.use_backend(backend):
        model = Sequential(
            [
                layers.Input((8, 8, 1)),
                layers.Conv2D(4, 3, activation="relu"),
                layers.BatchNormalization(),
                layers.Flatten(),
                layers.Dense(3, activation="softmax"),
            ]
        )
    model.compile(OPTIMIZERS[optimizer](), "sparse_categorical_crossentropy")
    return model


def fit(model, epochs=2, **arguments):
    model.fit(X, Y, batch_size=4, epochs=epochs, verbose=0, **arguments)
    return model


def assert_same(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def flags(model):
    return [parameter.trainable for parameter in model.parameters().values()]


# Names


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_a_renamed_layer_trains_on_as_if_it_had_its_old_name(optimizer, backend, tmp_path):
    expected = fit(fit(made(optimizer, backend)))
    model = fit(made(optimizer, backend))
    model.layers[0].name = "features"
    model.save(tmp_path / "model")
    with tinycnn.use_backend(backend):
        loaded = load_model(tmp_path / "model")
    assert "features/kernel" in loaded.optimizer.slots
    for one in (model, loaded, pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):  # noqa: S301
        assert_same(fit(one), expected)


def test_layers_that_exchange_their_names_keep_what_is_theirs(tmp_path):
    def dense():
        tinycnn.set_seed(1)
        model = Sequential([layers.Input((4,)), *(layers.Dense(4, name=name) for name in "ab"), layers.Softmax()])
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    x = np.random.default_rng(0).random((6, 4))
    expected, model = dense(), dense()
    for one in (expected, model):
        one.fit(x, Y[:6], verbose=0)
    model.layers[0].name, model.layers[1].name = "b", "a"
    model.layers[0].trainable = expected.layers[0].trainable = False  # what is frozen keeps its moments too
    model.train_on_batch(x, Y[:6])
    expected.train_on_batch(x, Y[:6])
    model.layers[0].trainable = expected.layers[0].trainable = True
    model.save(tmp_path / "model")
    for one in (load_model(tmp_path / "model"), model):
        again = copy.deepcopy(expected)
        for each in (one, again):
            each.fit(x, Y[:6], verbose=0)
        assert_same(one, again)


def test_a_model_compiled_again_with_its_optimizer_keeps_the_moments():
    expected, model = fit(made()), fit(made())
    model.layers[0].name = "features"
    model.compile(model.optimizer, "sparse_categorical_crossentropy")
    assert_same(fit(model), fit(expected))


@pytest.mark.parametrize("name", ["a/b", "", 3, None])
def test_a_name_that_could_not_be_loaded_is_refused_at_once(name):
    model = made()
    with pytest.raises(ValueError, match="name"):
        model.layers[0].name = name
    with pytest.raises(ValueError, match="name must be"):
        model.name = name


# Flags


def one_frozen():
    model = made()
    model.layers[0].params["bias"].trainable = False
    model.layers[1].trainable = False
    model.layers[1].params["beta"].trainable = True
    return model


FLAGS = [True, False, False, True, True, True]


@pytest.mark.parametrize(
    "way",
    [
        lambda model, path: (model.save(path), load_model(path))[1],
        lambda model, path: Sequential.from_config(model.get_config()),
        lambda model, path: copy.deepcopy(model),
        lambda model, path: pickle.loads(pickle.dumps(model)),  # noqa: S301
        lambda model, path: (fit(model), model)[1],
        lambda model, path: (model.compile("sgd", "sparse_categorical_crossentropy"), model)[1],
    ],
    ids=["load", "from_config", "deepcopy", "pickle", "fit", "compile"],
)
def test_single_parameters_stay_frozen(way, tmp_path):
    model = one_frozen()
    assert flags(model) == FLAGS
    found = way(model, tmp_path / "model")
    assert flags(found) == FLAGS
    assert [layer.trainable for layer in found.layers] == [True, False, True, True]
    if not found.compiled:
        found.compile("sgd", "sparse_categorical_crossentropy")
    before = found.get_weights()
    fit(found)
    moved = [not np.array_equal(*pair) for pair in zip(before, found.get_weights(), strict=True)]
    assert moved == [True, False, False, True, False, False, True, True]


def test_the_only_thawed_parameter_of_a_frozen_model_stays_thawed(tmp_path):
    model = Sequential([layers.Input((3,)), layers.Dense(2, use_bias=False, name="a")])
    model.trainable = False
    model.layers[0].params["kernel"].trainable = True
    model.save(tmp_path / "model")
    assert flags(load_model(tmp_path / "model")) == [True]


def test_a_file_says_nothing_of_flags_that_follow_from_the_layers():
    model = made()
    model.layers[1].trainable = False
    assert "frozen" not in model.get_config()
    assert Sequential.from_config(model.get_config()).layers[1].trainable is False


@pytest.mark.parametrize(
    ("frozen", "message"), [(["none/such"], "no parameter 'none/such'"), ([3], "frozen"), (3, "frozen")]
)
def test_a_damaged_list_of_frozen_parameters_is_refused(frozen, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Sequential.from_config(made().get_config() | {"frozen": frozen})


def test_a_resumed_fit_keeps_the_flags(tmp_path):
    class Stop(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 1:
                raise KeyboardInterrupt

    expected = fit(one_frozen(), 4)
    with pytest.raises(KeyboardInterrupt):
        fit(one_frozen(), 4, callbacks=[callbacks.BackupAndRestore(tmp_path), Stop()])
    with pytest.raises(ValueError, match="trainable was False and is True"):
        fit(made(), 4, callbacks=[callbacks.BackupAndRestore(tmp_path)])
    model = fit(one_frozen(), 4, callbacks=[callbacks.BackupAndRestore(tmp_path)])
    assert flags(model) == FLAGS
    assert_same(model, expected)


def test_trainable_of_a_parameter_is_a_truth_value():
    with pytest.raises(TypeError, match="trainable must be True or False; got 'no'"):
        made().layers[0].params["bias"].trainable = "no"
