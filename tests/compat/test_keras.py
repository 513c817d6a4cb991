"""Compare everything that has a Keras name with Keras 3 itself: the same name, the same arguments, the same numbers.

Keras runs on PyTorch here, whose autograd gives the gradients. Everything in tinycnn's registries is looked up in Keras
by its name, so a new layer is compared from its first day.
"""

import inspect
import math
import os
import tempfile
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from compat_helpers import (
    CLIPPING,
    STEPS,
    TOLERANCE,
    Valley,
    assert_close,
    constructor_arguments,
    double_precision,
    optimizer_options,
    require,
    trajectory,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

import tinycnn
from tinycnn import Sequential, activations, callbacks, initializers, layers, losses, metrics, optimizers, schedules
from tinycnn.core.backend import BACKENDS, Backend
from tinycnn.kernels.geometry import same_pads
from tinycnn.testing import strategies

torch = require("torch")
# Keras reads both variables when it is imported, so it uses no settings of the user and writes nothing to their home.
os.environ["KERAS_BACKEND"] = "torch"
with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
    patch.setenv("KERAS_HOME", folder)
    keras = require("keras")
torch.set_num_threads(1)  # the tensors are tiny

# These warnings are Keras's own: it warns of a softmax over one class, and is not adapted to NumPy 2 yet.
pytestmark = [
    pytest.mark.filterwarnings("ignore:You are using a softmax over axis"),
    pytest.mark.filterwarnings("ignore:__array__ implementation"),
]
EVERY_BACKEND = pytest.mark.parametrize("backend", BACKENDS)
SEEDS = st.integers(0, 2**16)

#: Arguments that Keras does not have.
OUR_ARGUMENTS = {"algorithm", "save_seconds"}

WITHOUT_COUNTERPART = {
    "Dropout": "random; its arithmetic is compared in test_pytorch.py",
    "GaussianNoise": "random; its arithmetic is compared in test_pytorch.py",
    "SpatialDropout2D": "random; its arithmetic is compared in test_pytorch.py",
    "Constant": "Keras takes a number for it",
    "OneCycle": "PyTorch's; compared in test_pytorch.py",
    "InverseEpochDecay": "the documented small networks' own",
    "MonitorCallback": "a base class, which Keras does not offer",
    "Logs": "a type",
    "ClassAccuracy": "what Keras makes of the word accuracy; its two other forms are compared",
}


@pytest.fixture(autouse=True, scope="module")
def keras_settings():
    """Set double precision, also for an optimizer's rate; and make the arrays of convolutions contiguous.

    Keras gives PyTorch transposed arrays, and for some of these PyTorch (2.13) refuses to compute gradients in float64:
    "slow_conv2d: grad_weight must be contiguous".
    """
    conv2d = torch.nn.functional.conv2d
    with double_precision(keras), pytest.MonkeyPatch.context() as patch:
        contiguous = lambda x, w, *rest, **options: conv2d(x.contiguous(), w.contiguous(), *rest, **options)  # noqa: E731
        patch.setattr(torch.nn.functional, "conv2d", contiguous)
        yield


def in_keras(module, name):
    found = getattr(module, name, None)
    if found is None:
        pytest.fail(f"Keras has no {module.__name__}.{name}; say in WITHOUT_COUNTERPART why it is not compared")
    return found


def of(registry):
    return of_names(registry.keys())


def of_names(names):
    return sorted(set(names) - WITHOUT_COUNTERPART.keys())


def schedule_classes():
    """Return the schedules that ``tinycnn.schedules`` offers, by name and without the base class."""
    offered = {name: getattr(schedules, name) for name in schedules.__all__}
    return {n: c for n, c in offered.items() if inspect.isclass(c) and n != "LearningRateSchedule"}


def test_the_exceptions_exist():
    known = layers.LAYERS.keys() | schedule_classes().keys() | set(dir(keras.layers)) | set(callbacks.__all__)
    known |= metric_classes().keys()
    assert WITHOUT_COUNTERPART.keys() <= known, "an entry of WITHOUT_COUNTERPART names nothing"


# Layers --------------------------------------------------------------------------------------------------------


def keras_layer(layer):
    """Return Keras's layer of the same name, with the same arguments."""
    config = layer.get_config()
    dropped = {"name", "trainable", "input_shape"} | OUR_ARGUMENTS
    arguments = {
        k: v for k, v in config.items() if k not in dropped and not k.endswith(("_initializer", "_regularizer"))
    }
    return in_keras(keras.layers, type(layer).__name__)(**arguments, dtype="float64")


#: On PyTorch, Keras computes some steps (products of matrices, moments) in single precision for any input.
ROUNDING = TOLERANCE["float32"]


def compare(layer, x, seed, backend):
    """Compare forward, dx, all gradients, moving statistics, and inference."""
    rng = np.random.default_rng(seed)
    layer.build(x.shape[1:], rng=rng, dtype="float64", backend=Backend(backend))
    for name, value in layer.weights().items():
        value[...] = rng.uniform(0.5, 2, value.shape) if name == "moving_variance" else rng.normal(size=value.shape)
    theirs = keras_layer(layer)
    theirs.build(x.shape)
    if layer.weights():
        theirs.set_weights(list(layer.weights().values()))
    assert theirs.compute_output_shape(x.shape)[1:] == layer.built_output_shape
    y, _ = layer.forward(x, training=False)
    assert_close(y, theirs(torch.tensor(x), training=False).detach(), "y of inference", ROUNDING)

    x_torch = torch.tensor(x, requires_grad=True)
    y_torch = theirs(x_torch, training=True)
    y, cache = layer.forward(x, training=True)
    assert_close(y, y_torch.detach(), "y", ROUNDING)
    dy = rng.normal(size=y.shape)
    y_torch.backward(torch.tensor(dy))
    assert_close(layer.backward(dy, cache), x_torch.grad, "dx", ROUNDING)
    for (name, parameter), variable in zip(layer.params.items(), theirs.trainable_weights, strict=True):
        assert_close(parameter.grad, variable.value.grad, f"gradient of {name}", ROUNDING)
    for (name, value), other in zip(layer.weights().items(), theirs.get_weights(), strict=True):
        assert_close(value, other, f"{name} after a forward pass", ROUNDING)


@EVERY_BACKEND
@pytest.mark.parametrize("name", of(layers.LAYERS))
@settings(max_examples=20)
@given(data=st.data())
def test_layer(name, backend, data):
    layer, x = data.draw(strategies.layers_with_inputs(layers.LAYERS[name]))
    if name == "AveragePooling2D" and layer.padding == "same":
        # If the pads differ from side to side, Keras on PyTorch repeats the edge. On TensorFlow it leaves the pads out.
        top, bottom, left, right = same_pads(x.shape[1:3], layer.pool_size, layer.strides)
        assume(top == bottom and left == right)
    compare(layer, x, data.draw(SEEDS), backend)


@EVERY_BACKEND
@pytest.mark.parametrize("size", [5, 6, 7, 8])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_same_with_stride_two(kernel, size, backend):
    """Compare sizes for which Keras pads more at the bottom and right, while PyTorch pads all sides alike."""
    x = np.random.default_rng(size).permutation(2 * size * size * 2).reshape(2, size, size, 2) / 100.0
    for layer in (
        layers.Conv2D(3, kernel, strides=2, padding="same"),
        layers.MaxPooling2D(kernel, 2, "same"),
        layers.AveragePooling2D(kernel, 2, "same"),
    ):
        total = max(0, (math.ceil(size / 2) - 1) * 2 + kernel - size)
        if type(layer).__name__ != "AveragePooling2D" or total % 2 == 0:  # see test_layer
            compare(layer, x, kernel, backend)


@pytest.mark.parametrize("kind", ["layers", "optimizers", "losses", "callbacks"])
def test_defaults(kind):
    """Check that every argument exists in Keras, and has the same default there if it has any."""
    ours, theirs = {
        "layers": (layers.LAYERS, keras.layers),
        "optimizers": (optimizers.OPTIMIZERS | {"Optimizer": optimizers.Optimizer}, keras.optimizers),
        "losses": ({cls.__name__: cls for cls in losses.LOSSES.values()}, keras.losses),
        "callbacks": ({name: getattr(callbacks, name) for name in of_names(callbacks.__all__)}, keras.callbacks),
    }[kind]
    different = []
    for name, cls in ours.items():
        parameters, expected = (inspect.signature(c.__init__).parameters for c in (cls, in_keras(theirs, name)))
        for argument in constructor_arguments(cls):
            if argument in OUR_ARGUMENTS:
                continue
            if argument not in expected:
                different.append(f"{name} has no argument {argument} in Keras")
                continue
            pair = parameters[argument].default, expected[argument].default
            if _plain(pair[0]) != _plain(pair[1]) and pair[1] is not inspect.Parameter.empty:
                different.append(f"{name}.{argument}: {pair[0]}, in Keras {pair[1]}")
    assert not different, "\n".join(different)


def _plain(default):
    """Return 1 for ``(1, 1)``, which means the same; return anything else as it is."""
    return default[0] if isinstance(default, tuple) and len(set(default)) == 1 else default


@EVERY_BACKEND
@pytest.mark.parametrize("name", of(activations.ACTIVATIONS))
def test_activation(name, backend):
    """Compare an activation of Keras's name, which must have Keras's constants."""
    x = np.linspace(-30, 30, 240).reshape(3, 4, 20)
    layer = layers.Activation(name)
    layer.build(x.shape[1:], dtype="float64", backend=Backend(backend))
    expected = keras.activations.get(name)(torch.tensor(x))
    assert_close(layer.forward(x)[0], expected, name)


# Losses and optimizers -----------------------------------------------------------------------------------------


@EVERY_BACKEND
@pytest.mark.parametrize("name", of(losses.LOSSES))
@settings(max_examples=20)
@given(data=st.data())
def test_loss(name, backend, data):
    """Compare with all arguments of the constructor, also for probabilities that are exactly 0."""
    known = {"from_logits": st.booleans(), "label_smoothing": st.sampled_from([0.0, 0.1, 0.5])}
    cls = losses.LOSSES[name]
    # A loss's name and reduction do not change the losses of single samples.
    drawn = [argument for argument in constructor_arguments(cls) if argument not in ("name", "reduction")]
    options = {argument: data.draw(known[argument]) for argument in drawn}
    binary = name == "binary_crossentropy"
    n, k = data.draw(st.integers(1, 5)), data.draw(st.integers(1 if binary else 2, 6))
    rng = np.random.default_rng(data.draw(SEEDS))
    y = rng.normal(scale=3, size=(n, k))
    if not options.get("from_logits", True):
        y = 1 / (1 + np.exp(-y)) if binary else np.exp(y)  # Keras divides by the sum, too
        if data.draw(st.booleans()):
            y[:, 0] = 0
    targets = rng.integers(0, 2, (n, k)) if binary else rng.integers(0, k, n)
    if not name.startswith("sparse_") and not binary:
        targets = np.eye(k)[targets]
    ours = cls(**options)
    per_sample, _ = ours.forward(y, ours.check_targets(targets, n, (k,)), Backend(backend))
    expected = in_keras(keras.losses, cls.__name__)(reduction=None, **options)(targets, torch.tensor(y))
    # Keras takes averages in single precision. It clips probabilities at 1e-7 from 0 and from 1; in tinycnn a
    # crossentropy of several classes divides by their sum once more after that, which changes as much.
    assert_close(per_sample, expected, "losses", 1e-6)


@EVERY_BACKEND
@pytest.mark.parametrize("name", of(optimizers.OPTIMIZERS))
@settings(max_examples=5)
@given(data=st.data())
def test_optimizer(name, backend, data):
    """Compare fifty steps, at a constant rate or with a schedule, for exactly the same arguments."""
    options = data.draw(optimizer_options(name))
    rounding = ROUNDING if CLIPPING & options.keys() else TOLERANCE["float64"]  # Keras's norms are in single precision
    valley = Valley(data.draw(SEEDS))
    ours_rate = theirs_rate = options.pop("learning_rate")
    if data.draw(st.booleans()):
        arguments = ours_rate, 20, 0.5
        ours_rate = schedules.ExponentialDecay(*arguments)
        theirs_rate = keras.optimizers.schedules.ExponentialDecay(*arguments)
    ours = optimizers.OPTIMIZERS[name](learning_rate=ours_rate, **options)
    theirs = in_keras(keras.optimizers, name)(learning_rate=theirs_rate, **options)
    variables = {key: keras.Variable(value.copy(), dtype="float64", name=key) for key, value in valley.start.items()}
    for step, position in enumerate(trajectory(ours, valley, Backend(backend))):
        gradients = [torch.tensor(valley.gradient(key, v.value.detach().numpy(), step)) for key, v in variables.items()]
        theirs.apply(gradients, list(variables.values()))
        for key, v in variables.items():
            assert_close(position[key], v.value.detach(), f"{key} after step {step + 1}", rounding)
    assert step == STEPS - 1


def metric_classes():
    return {cls.__name__: cls for cls in metrics.METRICS.values()}


@pytest.mark.parametrize("name", of(metric_classes()))
@settings(max_examples=40)
@given(data=st.data())
def test_metric(name, data):
    """Compare over two batches; few predictions differ, so that there are ties at the border of the k largest."""
    cls = metric_classes()[name]
    n, classes = data.draw(st.integers(2, 8)), data.draw(st.integers(2, 6))
    options = {"k": data.draw(st.integers(1, classes))} if "k" in constructor_arguments(cls) else {}
    options |= {"threshold": data.draw(st.sampled_from([0.25, 0.5, 0.7]))} if name == "BinaryAccuracy" else {}
    ours, theirs = cls(**options), in_keras(keras.metrics, name)(**options)
    rng = np.random.default_rng(data.draw(SEEDS))
    labels, y_pred = rng.integers(0, classes, n), rng.integers(0, 4, (n, classes)) / 4
    if "TopK" not in name:
        y_pred += rng.uniform(0, 0.1, y_pred.shape)  # without this there are ties, and Keras does not say who wins
    y_true = labels if name.startswith("Sparse") else np.eye(classes)[labels]
    for block in (slice(0, n // 2), slice(n // 2, n)):
        ours.update(y_true[block], y_pred[block])
        theirs.update_state(y_true[block], y_pred[block])
    assert ours.result() == pytest.approx(float(theirs.result()), rel=1e-6)


@pytest.mark.parametrize("class_weight", [None, {0: 1.0, 1: 2.0, 2: 0.5}])
def test_weights_in_fit_and_evaluate(class_weight):
    """Check that weights count in the loss (in validation only those of samples), but not in metrics."""
    rng = np.random.default_rng(0)
    x, y, weight = rng.normal(size=(40, 5)), np.arange(40) % 3, rng.uniform(0, 2, 40)
    ours = Sequential([layers.Input((5,)), layers.Dense(3, activation="softmax")], dtype="float64")
    theirs = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(3, activation="softmax")])
    theirs.set_weights(ours.get_weights())
    found = []
    for model, module in ((ours, optimizers), (theirs, keras.optimizers)):
        model.compile(module.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
        plain = {"batch_size": 16, "shuffle": False, "verbose": 0}
        given = {"class_weight": class_weight} if class_weight else {"sample_weight": weight}
        history = model.fit(x, y, validation_split=0.3, **given, **plain)
        found.append([history.history[key][0] for key in ("loss", "accuracy", "val_loss", "val_accuracy")])
        history = model.fit(x, y, validation_data=(x[:20], y[:20], weight[:20]), **plain)
        found[-1] += [history.history[key][0] for key in ("val_loss", "val_accuracy")]
        found[-1] += model.evaluate(x, y, batch_size=16, sample_weight=weight, verbose=0)
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.parametrize("given", ["plain", "weights", "classes", "smoothing"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_networks_of_yes_or_no(outputs, given):
    """Compare training and evaluation of a network that ends in a sigmoid, with all kinds of weights and of batches."""
    if outputs == 3 and given == "classes":
        pytest.skip("several answers are no class")
    rng = np.random.default_rng(0)
    x, y, weight = rng.normal(size=(40, 5)), rng.integers(0, 2, (40, outputs)), rng.uniform(0, 2, (40, 1))
    smoothing = {"label_smoothing": 0.2 if given == "smoothing" else 0.0}
    ours = Sequential([layers.Input((5,)), layers.Dense(outputs, activation="sigmoid")], dtype="float64")
    theirs = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(outputs, activation="sigmoid")])
    theirs.set_weights(ours.get_weights())
    found = []
    for model, package in ((ours, tinycnn), (theirs, keras)):
        loss = package.losses.BinaryCrossentropy(**smoothing)
        model.compile(package.optimizers.SGD(0.1), loss, metrics=["binary_accuracy" if outputs > 1 else "accuracy"])
        more = {"sample_weight": weight} if given == "weights" else {}
        more |= {"class_weight": {1: 3.0}} if given == "classes" else {}
        plain = {"batch_size": 16, "shuffle": False, "verbose": 0}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "class_weight has no weight for class 0")
            history = model.fit(x, y, epochs=2, validation_data=(x[:20], y[:20]), **more, **plain).history
        found.append([value for key in sorted(history) if key != "learning_rate" for value in history[key]])
        found[-1] += model.evaluate(x, y, batch_size=16, verbose=0)
        found[-1] += model.evaluate(((x[at : at + 20], y[at : at + 20]) for at in (0, 20)), steps=2, verbose=0)
        found[-1] += np.ravel(model.predict(x, verbose=0)).tolist()
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.parametrize("penalty", ["l1", "l2", "L1L2", ("l1", 0.3), ("l2", 0.3), ("l1_l2", 0.1, 0.2)])
def test_penalty(penalty):
    """Compare what a penalty adds to the loss, and its gradient, for functions as well as for strings."""
    w = np.random.default_rng(0).normal(size=(3, 4))
    name, *arguments = [penalty] if isinstance(penalty, str) else penalty
    if arguments:
        ours, theirs = (getattr(package.regularizers, name)(*arguments) for package in (tinycnn, keras))
    else:
        ours, theirs = (package.regularizers.get(name) for package in (tinycnn, keras))
    expected = torch.tensor(w, requires_grad=True)
    value = theirs(expected)
    if not arguments and name == "L1L2":
        assert float(value) == ours.penalty(w) == 0
        return
    value.backward()
    assert_close(ours.penalty(w), float(value.detach()), "penalty", 1e-6)  # Keras's factor of L1 is in single precision
    assert_close(ours.gradient(w), expected.grad, "gradient", 1e-6)


def test_dropout_of_everything():
    x = np.ones((2, 3))
    theirs = np.asarray(keras.layers.Dropout(1.0)(x, training=True).detach())
    layer = layers.Dropout(1.0)
    layer.build((3,), dtype="float64")
    np.testing.assert_array_equal(layer.forward(x, training=True)[0], theirs)


# Initialisers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(300, 200), (3, 3, 40, 150), (5, 2, 300, 20)], ids=str)
@pytest.mark.parametrize("name", of(initializers.INITIALIZERS))
def test_initializer(name, shape):
    """Check for equal constants, or for the same extremes, spread and distribution (test of Kolmogorov and Smirnov)."""
    initializer = initializers.INITIALIZERS[name]()
    ours = initializer(shape, np.random.default_rng(0)).ravel()
    same = in_keras(keras.initializers, type(initializer).__name__)(**initializer.get_config())
    theirs = np.asarray(same(shape, dtype="float64").detach()).ravel()
    if np.ptp(theirs) == 0:
        assert np.array_equal(ours, theirs)
        return
    # The largest of 50,000 uniform numbers is within 0.1 % of the limit; that of normal ones is anywhere above 4 sigma.
    bounded = np.abs(theirs).max() < 2.5 * theirs.std()
    assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=2e-3 if bounded else 0.5)
    assert ours.std() == pytest.approx(theirs.std(), rel=0.02)
    assert abs(ours.mean()) < 0.02 * ours.std()
    assert stats.ks_2samp(ours, theirs).pvalue > 1e-4


# Schedules and callbacks ---------------------------------------------------------------------------------------

_RATE = st.floats(1e-4, 1)
_LENGTH = st.integers(1, 60)
SCHEDULES = {
    "CosineDecay": st.fixed_dictionaries(
        {"initial_learning_rate": _RATE, "decay_steps": _LENGTH, "alpha": st.floats(0, 1)}
    ).flatmap(
        lambda plain: st.one_of(
            st.just(plain),
            st.fixed_dictionaries({"warmup_target": _RATE, "warmup_steps": _LENGTH}).map(lambda warm: plain | warm),
        )
    ),
    "ExponentialDecay": st.fixed_dictionaries(
        {
            "initial_learning_rate": _RATE,
            "decay_steps": _LENGTH,
            "decay_rate": st.floats(0.1, 1),
            "staircase": st.booleans(),
        }
    ),
    "InverseTimeDecay": st.fixed_dictionaries(
        {
            "initial_learning_rate": _RATE,
            "decay_steps": _LENGTH,
            "decay_rate": st.floats(0.1, 2),
            "staircase": st.booleans(),
        }
    ),
    "PiecewiseConstantDecay": st.lists(st.integers(0, 60), min_size=1, max_size=4, unique=True).flatmap(
        lambda b: st.fixed_dictionaries(
            {"boundaries": st.just(sorted(b)), "values": st.lists(_RATE, min_size=len(b) + 1, max_size=len(b) + 1)}
        )
    ),
}


@pytest.mark.parametrize("name", of(schedule_classes()))
@settings(max_examples=20)
@given(data=st.data())
def test_schedule(name, data):
    if name not in SCHEDULES:
        pytest.fail(f"nothing is drawn for {name}; add an entry to SCHEDULES")
    arguments = data.draw(SCHEDULES[name])
    ours = schedule_classes()[name](**arguments)
    theirs = in_keras(keras.optimizers.schedules, name)(**arguments)
    for step in range(100):
        assert ours(step) == pytest.approx(float(theirs(step)), rel=1e-9, abs=1e-15), f"step {step}"


class Recorded:
    """What a callback sees of a model: weights that equal the number of the epoch, and the flag that stops training."""

    def __init__(self):
        self.weights, self.stop_training = [np.array(-1)], False

    def get_weights(self):
        return [weight.copy() for weight in self.weights]

    def set_weights(self, weights):
        self.weights = weights


def replay(callback, model, history):
    """Run a callback over a recorded history; return what it did."""
    callback.on_train_begin()
    for epoch, value in enumerate(history):
        model.weights = [np.array(epoch)]
        callback.on_epoch_end(epoch, {"val_loss": value})
        if model.stop_training:
            break
    callback.on_train_end()
    return epoch, callback.stopped_epoch, callback.best, callback.best_epoch, int(model.weights[0])


@settings(max_examples=150)
@given(
    history=st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 1.0]), min_size=6, max_size=12),
    mode=st.sampled_from(["min", "max"]),
    min_delta=st.sampled_from([0, 0.07]),
    patience=st.integers(0, 4),
    baseline=st.sampled_from([None, 0.25, 0.45]),
    restore_best_weights=st.booleans(),
    start_from_epoch=st.integers(0, 3),
)
def test_early_stopping(history, **arguments):
    """Compare the epoch after which it stops, the best epoch, and the epoch whose weights remain."""
    ours, theirs = callbacks.EarlyStopping(**arguments), keras.callbacks.EarlyStopping(**arguments)
    ours.model = recorded = Recorded()
    model = Recorded()
    theirs.set_model(model)
    assert replay(ours, recorded, history) == replay(theirs, model, history)


@settings(max_examples=150)
@given(
    history=st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 1.0]), min_size=6, max_size=16),
    mode=st.sampled_from(["min", "max"]),
    min_delta=st.sampled_from([0, 0.07]),
    patience=st.integers(0, 4),
    cooldown=st.integers(0, 3),
    factor=st.sampled_from([0.1, 0.5]),
    min_lr=st.sampled_from([0.0, 0.02]),
)
def test_reduce_lr_on_plateau(history, **arguments):
    """Compare the learning rate after each epoch."""
    rates = []
    for module in (callbacks, keras.callbacks):
        callback, model = module.ReduceLROnPlateau(**arguments), Recorded()
        model.optimizer = SimpleNamespace(learning_rate=0.1, schedule=None)
        if module is callbacks:
            callback.model = model
        else:
            callback.set_model(model)
        callback.on_train_begin()
        rates.append([])
        for epoch, value in enumerate(history):
            callback.on_epoch_end(epoch, {"val_loss": value})
            rates[-1].append(model.optimizer.learning_rate)
    assert rates[0] == pytest.approx(rates[1])
