"""Every name of Keras's is there, or says what to do instead."""

import importlib

import numpy as np
import pytest

from tinycnn import activations as engine_activations
from tinycnn import keras, layers, losses, optimizers
from tinycnn.keras import _missing, _missing_backend
from tinycnn.keras._telling import PAGE, NotHereError


def test_imports_of_old_paths():
    from tinycnn.keras.layers.convolutional import Conv2D
    from tinycnn.keras.layers.core import Dense
    from tinycnn.keras.layers.normalization import BatchNormalization
    from tinycnn.keras.optimizers.legacy import SGD
    from tinycnn.keras.optimizers.schedules import ExponentialDecay
    from tinycnn.keras.utils import np_utils

    assert isinstance(Conv2D(2, 3), layers.Conv2D)
    assert isinstance(Dense(2), layers.Dense)
    assert isinstance(BatchNormalization(), layers.BatchNormalization)
    assert SGD(0.5).learning_rate == 0.5
    assert ExponentialDecay(0.1, 10, 0.5, name="falling")(10) == pytest.approx(0.05)
    assert np_utils.to_categorical([1], 2).tolist() == [[0, 1]]
    assert keras.layers.core is keras.layers


@pytest.mark.parametrize(
    ("module", "name", "cure"),
    [
        ("models", "Model", "keras.Sequential"),
        ("layers", "Conv2DTranspose", "no decoders"),
        ("layers", "LSTM", "use Keras itself for sequences"),
        ("layers", "concatenate", "one row of layers"),
        ("layers", "Lambda", "forward and backward"),
        ("losses", "Huber", "mean_squared_error is the nearest"),
        ("metrics", "F1Score", "confusion_matrix"),
        ("optimizers", "Lion", "Adam or SGD"),
        ("callbacks", "RemoteMonitor", "keras.callbacks.Callback"),
        ("utils", "multi_gpu_model", "cores"),
        ("backend", "function", "NumPy arrays"),
        ("applications.vgg16", "VGG16", "ImageNet"),
        ("wrappers.scikit_learn", "KerasClassifier", "tinycnn.sklearn"),
        ("preprocessing.text", "Tokenizer", "use Keras itself"),
    ],
)
def test_what_is_missing_may_be_imported_and_says_what_to_do_when_it_is_used(module, name, cure):
    thing = getattr(importlib.import_module(f"tinycnn.keras.{module}"), name)
    uses = (thing, lambda: thing.from_config, lambda: type("Own", (thing,), {}), lambda: thing(3, units=4))
    for use in (*uses[:2], uses[3]):
        with pytest.raises(NotHereError, match=cure) as caught:
            use()
        assert name in str(caught.value)
        assert PAGE in str(caught.value)
    with pytest.raises(NotHereError, match=cure):
        exec("class Own(thing): pass", {"thing": thing})  # a class statement asks the placeholder


def test_nothing_is_an_object_of_a_missing_class():
    assert not isinstance(keras.layers.Dense(2), keras.layers.LSTM)


def test_a_missing_layer_is_named_when_it_is_added():
    with pytest.raises(NotHereError, match="LSTM"):
        keras.Sequential([keras.layers.LSTM])


@pytest.mark.parametrize(
    ("module", "name", "near"),
    [("layers", "Conv2d", "Conv2D"), ("utils", "to_categoricals", "to_categorical"), ("optimizers", "adam2", "adam")],
)
def test_a_name_that_keras_does_not_have_either_is_answered_with_the_nearest(module, name, near):
    with pytest.raises(ImportError, match=f"did you mean {near}"):
        exec(f"from tinycnn.keras.{module} import {name}")
    owner = importlib.import_module(f"tinycnn.keras.{module}")
    with pytest.raises(AttributeError, match=f"did you mean {near}.*{PAGE}"):
        getattr(owner, name)
    assert not hasattr(owner, name)


def test_the_tables_hold_no_name_that_is_there():
    for module, table in (
        ("layers", _missing.LAYERS),
        ("losses", _missing.LOSSES),
        ("optimizers", _missing.OPTIMIZERS),
        ("schedules", _missing.SCHEDULES),
        ("callbacks", _missing.CALLBACKS),
        ("models", _missing.MODELS),
        ("utils", _missing.UTILS),
        ("backend", _missing_backend.BACKEND),
    ):
        there = importlib.import_module(f"tinycnn.keras.{module}").__all__
        assert not set(there) & set(table), module


@pytest.mark.parametrize("given", ["relu", keras.activations.relu, engine_activations.ReLU(), keras.layers.ReLU()])
def test_an_activation_by_any_means(given):
    assert keras.layers.Dense(2, activation=given).activation.name == "relu"
    assert keras.layers.Activation(given).activation.name == "relu"


def test_a_function_of_another_library_stands_for_the_activation_of_its_name():
    def softmax_v2(logits, axis=None):
        raise AssertionError("its name is enough")

    assert keras.layers.Dense(2, activation=softmax_v2).activation.name == "softmax"
    with pytest.raises(ValueError, match="no 'swish'; gelu is the nearest"):
        keras.layers.Dense(2, activation="swish")


def test_activations_and_losses_are_functions_of_arrays():
    assert keras.activations.softmax(np.zeros((1, 4))).tolist() == [[0.25] * 4]
    assert keras.activations.get("tanh").name == "tanh"
    assert keras.activations.serialize(keras.activations.elu) == "elu"
    assert keras.losses.mse([[0, 1]], [[0.5, 2]]).tolist() == [0.625]
    assert keras.losses.sparse_categorical_crossentropy([1], [[0.0, 0.0]], from_logits=True) == pytest.approx(np.log(2))
    assert keras.metrics.categorical_accuracy([[0, 1], [1, 0]], [[0.4, 0.6], [0.1, 0.9]]).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("mse", losses.MeanSquaredError),
        ("MSE", losses.MeanSquaredError),
        (keras.losses.categorical_crossentropy, losses.CategoricalCrossentropy),
        ([keras.losses.mean_squared_error], losses.MeanSquaredError),
        (keras.losses.SparseCategoricalCrossentropy(reduction="auto"), losses.SparseCategoricalCrossentropy),
        ("binary_crossentropy", losses.BinaryCrossentropy),
    ],
)
def test_a_loss_by_any_means(given, kind):
    assert type(keras.losses.get(given)) is kind


@pytest.mark.parametrize(
    ("given", "error"), [("mae", "mean_squared_error is the nearest"), (["mse", "mse"], "2 losses")]
)
def test_a_loss_that_cannot_be(given, error):
    with pytest.raises(ValueError, match=error):
        keras.losses.get(given)


def test_optimizers_of_every_age():
    rate = keras.optimizers.SGD(lr=0.1, momentum=0.9, nesterov=True)
    assert (type(rate), rate.learning_rate, rate.nesterov) == (optimizers.SGD, 0.1, True)
    with pytest.warns(UserWarning, match=r"decay=0.5 stands for the schedule"):
        falling = keras.optimizers.Adam(lr=0.1, decay=0.5)
    falling.iterations = 2
    assert falling.learning_rate == pytest.approx(0.05)
    assert keras.optimizers.RMSprop(lr=0.001, rho=0.9, epsilon=None, decay=0.0).epsilon == 1e-7
    assert keras.optimizers.get("nadam").learning_rate == 0.001


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: keras.optimizers.Adam(amsgrad=True), "amsgrad=True is not possible"),
        (lambda: keras.optimizers.Adam(lr=0.1, learning_rate=0.1), "learning_rate and lr both stand for"),
        (lambda: keras.optimizers.SGD(0.1, learning_rate=0.1), "learning_rate is given twice"),
        (lambda: keras.optimizers.SGD(momentums=0.1), "did you mean 'momentum'"),
        (
            lambda: keras.layers.Conv2D(2, 3, data_format="channels_first"),
            "transpose them with",
        ),
        (lambda: keras.layers.Conv2D(2, 3, dtype="float16"), r"Sequential\(dtype='float64'\)"),
        (lambda: keras.layers.Dense(2, activity_regularizer="l2"), "penalties are for weights"),
        (lambda: keras.layers.Dense(2, activations="relu"), "did you mean 'activation'"),
        (lambda: keras.layers.Conv2D(2, 3, 3), "three positional integers are ambiguous"),
        (lambda: keras.layers.ReLU(max_value=6), "no upper limit"),
        (lambda: keras.layers.MaxPooling2D(2, kernel_constraint="non_neg"), "takes no argument 'kernel_constraint'"),
        (lambda: keras.layers.Dense(*range(11)), "takes 10 arguments by place"),
        (lambda: keras.layers.Dense(2, kernel_constraint="max"), "unknown constraint"),
        (lambda: keras.Input(), "one shape"),
        (lambda: keras.Input((3,), sparse=True), "sparse=True is not possible"),
        (lambda: keras.backend.set_image_data_format("channels_first"), "transpose"),
        (lambda: keras.backend.set_image_dim_ordering("th"), "transpose"),
        (lambda: keras.backend.set_floatx("float16"), "float64"),
    ],
)
def test_what_cannot_be_says_what_to_do(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_the_backend():
    assert keras.backend.image_data_format() == "channels_last"
    keras.backend.set_image_data_format("channels_last")
    keras.backend.clear_session()
    with pytest.warns(UserWarning, match="no sessions"):
        keras.backend.tensorflow_backend.set_session(None)


def test_to_categorical():
    rows = keras.utils.to_categorical(np.array([[2], [0]], np.uint8), 3)
    assert rows.dtype == np.float64
    assert rows.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert keras.utils.to_categorical([0, 1], dtype="int8").dtype == np.int8
    assert keras.utils.to_categorical(y=[1.0], nb_classes=2).tolist() == [[0, 1]]
    for given, count, message in (
        ([3], 3, "got 3 at index 0"),
        ([-1], 3, "got -1"),
        ([0.5], 2, "whole"),
        ([], 2, "one"),
    ):
        with pytest.raises(ValueError, match=message):
            keras.utils.to_categorical(given, count)


def test_normalize_and_seeds():
    assert keras.utils.normalize(np.array([[3.0, 4.0], [0, 0]])).tolist() == [[0.6, 0.8], [0, 0]]
    draws = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.layers.Dense(2, input_dim=3)])
        draws.append((np.random.rand(), model.seed))  # noqa: NPY002
    assert draws[0] == draws[1]


def test_get_file_finds_what_is_there_and_downloads_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(NotHereError, match="flowers"):
        keras.utils.get_file("flowers", "https://example.org/flowers.tgz", untar=True)
    (tmp_path / "datasets" / "flowers").mkdir(parents=True)
    found = keras.utils.get_file("flowers", "https://example.org/flowers.tgz", untar=True)
    assert found == str(tmp_path / "datasets" / "flowers")


def test_the_versions_of_both_are_said():
    assert keras.__version__.split("+")[0].split(".")[0] == "3"
    assert "tinycnn" in keras.__version__
