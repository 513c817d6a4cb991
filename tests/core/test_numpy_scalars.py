"""NumPy's booleans, integers and floats, and arrays without axes, are taken wherever Python's numbers are."""

import contextlib
import json

import numpy as np
import pytest
from arguments import catalogue
from arguments.trying import attempt
from matplotlib import pyplot

import tinycnn
from tinycnn import Sequential, callbacks, layers, load_model, schedules
from tinycnn.core import checks
from tinycnn.core.description import described

NUMPY = {
    bool: (np.bool_, np.array),
    int: (np.int64, np.int32, np.array),
    float: (np.float64, np.float32, np.array),
}


def test_every_argument_in_the_catalogue(tmp_path):
    refused, count = [], 0
    with contextlib.chdir(tmp_path), tinycnn.use_backend("reference"):
        for name, (call, good) in catalogue.made().items():
            for argument, value in good.items():
                for kind in NUMPY.get(type(value), ()):
                    count += 1
                    outcome = attempt(name, call, good, argument, lambda kind=kind, value=value: kind(value))
                    refused += [] if outcome.error is None else [str(outcome)]
            pyplot.close("all")
    assert not refused, "\n".join(refused)
    assert count > 300


def test_checks_return_pythons_own():
    for found, kind in (
        (checks.boolean(np.True_, "a"), bool),
        (checks.integer(np.uint8(3), "a"), int),
        (checks.real(np.float16(0.5), "a"), float),
        (checks.real(np.int8(1), "a"), float),
        (checks.verbosity(np.False_), int),
        (checks.integer(np.array(3), "a"), int),
        (checks.real(np.array(0.5, np.float32), "a"), float),
        (checks.boolean(np.array(True), "a"), bool),
    ):
        assert type(found) is kind
    assert [type(one) for one in checks.pair((np.int64(1), 2), "a")] == [int, int]


@pytest.mark.parametrize("value", [np.array([3]), np.array([[3]]), np.array("3"), np.array(None)])
def test_an_array_with_axes_or_without_a_number_is_no_number(value):
    for check in (checks.integer, checks.real, checks.boolean):
        with pytest.raises(TypeError, match=r"^a must be "):
            check(value, "a")


@pytest.mark.parametrize("check", [checks.integer, checks.real])
def test_a_boolean_of_numpys_is_no_number(check):
    with pytest.raises(TypeError, match=r"a must be .*; got np\.True_"):
        check(np.True_, "a")


def test_a_model_that_is_made_of_numpys_numbers(tmp_path):
    x, y = np.random.default_rng(0).random((8, 6, 6, 1)), np.arange(8) % 2
    with tinycnn.use_backend("reference"):
        model = Sequential([layers.Input((np.int64(6), 6, np.int8(1)))])
        model.add(layers.Conv2D(np.int64(2), (np.int32(3), 3), use_bias=np.False_, trainable=np.bool_(1)))
        model.add(layers.BatchNormalization(momentum=np.float32(0.5), center=np.True_))
        model.add(layers.Flatten())
        model.add(layers.Dense(np.uint8(2), activation="softmax"))
        model.layers[1].trainable = np.False_
        rate = schedules.ExponentialDecay(np.float32(0.1), np.int64(5), np.float64(0.5), staircase=np.True_)
        model.compile(tinycnn.optimizers.SGD(rate, momentum=np.float32(0.5), nesterov=np.True_), "mse", ["mse"])
        assert all(type(parameter.trainable) is bool for parameter in model.parameters().values())
        model.fit(
            *(x, np.eye(2)[y]),
            batch_size=np.int64(4),
            epochs=np.int32(2),
            verbose=np.int64(0),
            shuffle=np.False_,
            validation_split=np.float32(0.25),
            callbacks=[callbacks.EarlyStopping(patience=np.int64(1), restore_best_weights=np.True_)],
        )
        json.dumps(described(model.optimizer))
        model.save(tmp_path / "model")
        loaded = load_model(tmp_path / "model", check_finite=np.True_)
        assert loaded.get_config() == model.get_config()
        assert loaded.evaluate(x, np.eye(2)[y], verbose=np.False_, return_dict=np.True_)


def test_class_weights_by_booleans_weigh_the_class():
    x, y = np.random.default_rng(0).random((8, 3)), np.arange(8) % 2
    histories = []
    for weights in ({0: 1.0, 1: 3.0}, {False: 1.0, True: 3.0}, {np.False_: 1.0, np.True_: np.float32(3)}):
        tinycnn.set_seed(0)
        with tinycnn.use_backend("reference"):
            model = Sequential([layers.Input((3,)), layers.Dense(2, activation="softmax")])
            model.compile("sgd", "sparse_categorical_crossentropy")
            histories.append(model.fit(x, y, verbose=0, class_weight=weights).history)
    assert histories[0] == histories[1] == histories[2]
