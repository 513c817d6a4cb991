"""What real programs of ten years ask for besides the layers: old modules, attributes, and TensorFlow's own names."""

import importlib
import warnings

import numpy as np
import pytest

import tinycnn
from tinycnn import keras
from tinycnn.keras._telling import PAGE, NotHereError

X = np.random.default_rng(0).random((12, 4, 4, 1)).astype("float32")
Y = keras.utils.to_categorical(np.arange(12) % 3)


def network(**compiled):
    model = keras.Sequential([keras.layers.Flatten(input_shape=(4, 4, 1)), keras.layers.Dense(3, activation="softmax")])
    model.compile(**{"loss": "categorical_crossentropy", "optimizer": "sgd", "metrics": ["accuracy"]} | compiled)
    return model


@pytest.mark.parametrize(
    ("old", "name", "new"),
    [
        ("initializations", "normal", "initializers"),
        ("objectives", "categorical_crossentropy", "losses"),
        ("layers.local", "Flatten", "layers"),
        ("utils.conv_utils", "to_categorical", "utils"),
        ("utils.training_utils", "multi_gpu_model", "utils"),
        ("backend.common", "epsilon", "backend"),
        ("engine.sequential", "Input", "models"),
    ],
)
def test_modules_that_moved_are_imported_by_their_old_paths(old, name, new):
    module = importlib.import_module(f"tinycnn.keras.{old}")
    assert module is importlib.import_module(f"tinycnn.keras.{new}")
    assert getattr(module, name) is not None


@pytest.mark.parametrize(
    ("module", "name", "cure"),
    [
        ("backend", "greater", "no tensors"),
        ("backend", "print_tensor", "no tensors"),
        ("backend.tensorflow_backend", "in_train_phase", "no tensors"),
        ("engine.base_layer", "Layer", "Sequential"),
        ("layers.convolutional_recurrent", "ConvLSTM2D", "sequences"),
        ("layers", "AtrousConvolution2D", "dilation_rate"),
        ("layers.convolutional", "Deconvolution3D", "no decoders"),
        ("layers.core", "Highway", "use Keras itself"),
        ("layers.advanced_activations", "SReLU", "LeakyReLU"),
        ("losses", "cosine_proximity", "mean_squared_error"),
        ("metrics", "fmeasure", "confusion_matrix"),
        ("models", "model_from_config", "from_config"),
        ("regularizers", "activity_l2", "for weights"),
        ("utils", "convert_all_kernels_in_model", "leave the call out"),
        ("utils.data_utils", "GeneratorEnqueuer", "the process that trains"),
        ("utils.io_utils", "HDF5Matrix", "h5py"),
    ],
)
def test_names_of_earlier_versions_may_be_imported_and_say_what_to_do_when_used(module, name, cure):
    thing = getattr(importlib.import_module(f"tinycnn.keras.{module}"), name)
    with pytest.raises(NotHereError, match=cure) as caught:
        thing(3)
    assert name in str(caught.value)


def test_helpers_of_keras_1(capsys):
    from tinycnn.keras.utils.layer_utils import print_summary
    from tinycnn.keras.utils.np_utils import categorical_probas_to_classes, probas_to_classes

    assert probas_to_classes([[0.1, 0.9], [0.8, 0.2]]).tolist() == [1, 0]
    assert categorical_probas_to_classes([[0.2], [0.7]]).tolist() == [0, 1]
    with pytest.raises(ValueError, match="y_pred must hold a row"):
        probas_to_classes(0.5)
    print_summary(network())
    assert "dense" in capsys.readouterr().out
    assert type(keras.losses.get("bce")) is type(keras.losses.get("binary_crossentropy"))
    assert keras.losses.bce is keras.losses.binary_crossentropy


def test_the_learning_rate_under_its_old_name():
    model = network()
    assert keras.backend.get_value(model.optimizer.lr) == keras.backend.eval(model.optimizer.lr) == 0.01
    model.optimizer.lr = 0.5
    assert model.optimizer.learning_rate == 0.5
    assert "lr" not in vars(model.optimizer)  # an attribute beside the learning rate would be read by nothing
    with pytest.raises(ValueError, match="learning_rate"):
        model.optimizer.lr = -1
    with pytest.raises(NotHereError, match=r"optimizer.learning_rate = 0.001"):
        keras.backend.set_value(model.optimizer.lr, 0.1)


@pytest.mark.parametrize("name", ["input", "outputs", "trainable_weights", "trainable_variables"])
def test_attributes_of_models_say_what_to_do(name):
    model = network()
    assert not hasattr(model, name)
    with pytest.raises(NotHereError, match=r"model\.(trace|weights)"):
        getattr(model, name)


@pytest.mark.parametrize(
    ("name", "cure"),
    [("output", "model.trace"), ("input", "model.trace"), ("kernel", "get_weights"), ("bias", "params")],
)
def test_attributes_of_layers_say_what_to_do(name, cure):
    layer = network().layers[1]
    assert not hasattr(layer, name)
    with pytest.raises(AttributeError, match=f"'Dense' object has no attribute '{name}'; .*{cure}"):
        getattr(layer, name)
    with pytest.raises(AttributeError, match=r"'Dense' object has no attribute 'nonsense'$"):
        _ = layer.nonsense


def test_a_step_of_ones_own_is_refused_because_fit_would_not_call_it():
    with pytest.raises(NotHereError, match=r"Own.train_step, which fit would not call.*train_on_batch"):

        class Own(keras.Sequential):
            def train_step(self, data):
                return {}

    class Named(keras.Sequential):
        def best(self):
            return 1

    assert Named().best() == 1


def test_validation_data_is_used_when_both_are_given():
    both, one = network(), network()
    one.set_weights(both.get_weights())
    with pytest.warns(UserWarning, match="validation_split has no effect, as in Keras"):
        found = both.fit(X, Y, validation_split=0.25, validation_data=(X[:3], Y[:3]), verbose=0, shuffle=False).history
    assert found == one.fit(X, Y, validation_data=(X[:3], Y[:3]), verbose=0, shuffle=False).history


def test_a_function_that_only_shares_a_name_is_not_taken_silently():
    def recall(y_true, y_pred):
        raise AssertionError("it is not called")

    def mean_squared_error(y_true, y_pred):
        raise AssertionError("it is not called")

    with pytest.warns(UserWarning, match="metrics: the function recall is not called"):
        assert list(network(metrics=[recall]).metrics) == ["recall"]
    with pytest.warns(UserWarning, match="loss: the function mean_squared_error is not called"):
        network(loss=mean_squared_error)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network(loss=keras.losses.categorical_crossentropy, metrics=[keras.metrics.categorical_accuracy])


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("random", "from tinycnn.keras import tensorflow as tf"),
        ("data", "NumPy arrays to fit"),
        ("GradientTape", "no automatic differentiation"),
        ("reduce_mean", "NumPy's function"),
        ("config", "from tinycnn.keras import tensorflow as tf"),
        ("Session", "leave the line out"),
    ],
)
def test_names_of_tensorflow_say_what_to_do(name, cure):
    assert not hasattr(tinycnn, name)
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'; .*{cure}.*{PAGE}"):
        getattr(tinycnn, name)
    with pytest.raises(AttributeError, match=r"has no attribute 'nonsense'$"):
        _ = tinycnn.nonsense


def test_the_names_of_tensorflow_that_programs_for_keras_use():
    from tinycnn.keras import tensorflow as tf

    assert tf.keras is keras
    draws = []
    for _ in range(2):
        tf.random.set_seed(5)
        draws.append(keras.Sequential([keras.layers.Dense(2, input_dim=3, activation=tf.nn.relu)]))
    assert draws[0].seed == draws[1].seed
    assert draws[0].layers[0].activation.name == "relu"
    assert tf.config.list_physical_devices("GPU") == tf.config.experimental.list_physical_devices("GPU") == []
    assert tf.test.is_gpu_available() is False
    assert X[..., tf.newaxis].shape == (*X.shape, 1)
    assert "random" in dir(tf)
    assert tf.__version__ == tinycnn.__version__


@pytest.mark.parametrize(
    ("ask", "name", "cure"),
    [
        (lambda tf: tf.data, "tf.data", "NumPy arrays to fit"),
        (lambda tf: tf.GradientTape, "tf.GradientTape", "no automatic differentiation"),
        (lambda tf: tf.random.normal, "tf.random.normal", "set_random_seed"),
        (lambda tf: tf.nn.conv2d, "tf.nn.conv2d", "name the activation"),
        (lambda tf: tf.config.experimental.set_memory_growth, "set_memory_growth", "leave the line out"),
    ],
)
def test_the_other_names_of_tensorflow_say_what_to_do(ask, name, cure):
    with pytest.raises(NotHereError, match=cure) as caught:
        ask(keras.tensorflow)
    assert name in str(caught.value)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = keras.tensorflow.nonsense


@pytest.mark.parametrize(
    ("compiled", "cure"),
    [
        ({"loss": keras.losses.categorical_hinge}, "categorical_crossentropy is the nearest"),
        ({"metrics": [keras.metrics.fmeasure]}, "confusion_matrix"),
        ({"optimizer": keras.optimizers.Lion}, "Adam or SGD"),
    ],
)
def test_what_is_missing_says_so_when_it_is_given_to_compile(compiled, cure):
    with pytest.raises(NotHereError, match=cure):
        network(**compiled)
