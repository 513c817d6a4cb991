"""The room for Keras beside Keras 3 really run: helpers, optimizers, layers, defaults, histories, whole programs."""

import inspect
import os
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from compat_helpers import STEPS, Valley, assert_close, double_precision, require, trajectory

from tinycnn import keras as ours
from tinycnn.core.backend import Backend

torch = require("torch")
os.environ["KERAS_BACKEND"] = "torch"
with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
    patch.setenv("KERAS_HOME", folder)
    keras = require("keras")
torch.set_num_threads(1)
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation"),
    pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`"),
]
ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "tests" / "keras" / "programs"


@pytest.mark.parametrize(
    "arguments",
    [([0, 2, 1],), ([[1], [0]], 4), (np.array([[0, 1], [2, 1]]), 3), (np.array([1, 0], np.uint8), 2), ([3.0, 1.0], 5)],
)
def test_to_categorical(arguments):
    found, expected = ours.utils.to_categorical(*arguments), keras.utils.to_categorical(*arguments)
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("arguments", [([5], 3), ([-4], 3)])
def test_to_categorical_refuses_what_keras_cannot_do_either(arguments):
    with pytest.raises(IndexError):
        keras.utils.to_categorical(*arguments)
    with pytest.raises(ValueError, match="class numbers must lie"):
        ours.utils.to_categorical(*arguments)


@pytest.mark.parametrize(("axis", "order"), [(-1, 2), (1, 1)])
def test_normalize(axis, order):
    x = np.random.default_rng(0).normal(size=(4, 5))
    x[1] = 0
    assert_close(ours.utils.normalize(x, axis, order), keras.utils.normalize(x, axis, order), "normalize")


@pytest.mark.parametrize("name", ["Adadelta", "Adagrad", "Adamax", "Nadam"])
@pytest.mark.parametrize("options", [{}, {"learning_rate": 0.3, "weight_decay": 0.01, "epsilon": 1e-3}])
def test_optimizers_that_the_engine_lacks(name, options):
    with double_precision(keras):
        valley = Valley(3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            optimizer = getattr(ours.optimizers, name)(**options)
        theirs = getattr(keras.optimizers, name)(**options)
        variables = {key: keras.Variable(v.copy(), dtype="float64", name=key) for key, v in valley.start.items()}
        for step, position in enumerate(trajectory(optimizer, valley, Backend("reference"))):
            gradients = [torch.tensor(valley.gradient(k, v.value.detach().numpy(), step)) for k, v in variables.items()]
            theirs.apply(gradients, list(variables.values()))
            for key, v in variables.items():
                # Keras raises powers of the betas in single precision for some of them
                assert_close(position[key], v.value.detach(), f"{key} after step {step + 1}", 1e-6)
        assert step == STEPS - 1


#: Base classes, and what is a function here.
NO_CLASSES = ("Layer", "Optimizer", "Loss", "Metric", "Input", "InputLayer")


def pairs():
    """Yield the name of each class that both have and that is called as in Keras here."""
    for module in ("layers", "optimizers", "losses", "metrics", "callbacks", "regularizers", "constraints"):
        for name in sorted(getattr(ours, module).__all__):
            theirs = getattr(getattr(keras, module), name, None)
            if inspect.isclass(theirs) and name[0].isupper() and name not in NO_CLASSES:
                yield pytest.param(getattr(ours, module), theirs, name, id=f"{module}.{name}")


@pytest.mark.parametrize(("module", "theirs", "name"), list(pairs()))
def test_every_argument_of_keras_has_its_default_here(module, theirs, name):
    """Given all of Keras's defaults by name, the object has the same arguments as without any."""
    ours_class = getattr(module, name)
    parameters = list(inspect.signature(theirs.__init__).parameters.values())[1:]
    needed = {
        "filters": 3,
        "kernel_size": 2,
        "units": 3,
        "rate": 0.5,
        "activation": "relu",
        "pool_size": 2,
        "scale": 0.5,
    }
    needed |= {"target_shape": (4, -1), "dims": (1, 2, 3), "factor": 0.1, "height_factor": 0.1, "width_factor": 0.1}
    needed |= {
        "height": 4,
        "width": 5,
        "stddev": 0.1,
        "filepath": "x",
        "filename": "x",
        "backup_dir": "x",
        "shape": (3,),
    }
    needed |= {"schedule": lambda epoch: 0.1, "input_shape": (3,)}
    plain = {one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD or one.kind is one.KEYWORD_ONLY}
    required = {key: value for key, value in needed.items() if key in plain and _has_no_default(theirs, key)}
    defaults = {one.name: one.default for one in parameters if one.name in plain and one.default is not one.empty}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole, bare = ours_class(**required, **defaults), ours_class(**required)
    if hasattr(whole, "get_config"):
        left_out = {"name"}
        configs = [{k: v for k, v in one.get_config().items() if k not in left_out} for one in (whole, bare)]
        assert repr(configs[0]) == repr(configs[1])
    else:
        kept = [{k: repr(v) for k, v in vars(one).items() if not k.startswith("_f")} for one in (whole, bare)]
        assert kept[0] == kept[1]


def _has_no_default(cls, name):
    parameter = inspect.signature(cls.__init__).parameters[name]
    return parameter.default is parameter.empty


@pytest.mark.parametrize(
    ("name", "arguments", "shape"),
    [
        (
            "SeparableConv2D",
            {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same", "activation": "relu"},
            (9, 8, 3),
        ),
        ("SeparableConv2D", {"filters": 4, "kernel_size": 2, "depth_multiplier": 2}, (6, 6, 2)),
        ("Permute", {"dims": (2, 3, 1)}, (4, 5, 6)),
        ("Resizing", {"height": 5, "width": 9}, (8, 7, 2)),
        ("Resizing", {"height": 13, "width": 3, "interpolation": "nearest"}, (8, 7, 2)),
    ],
)
def test_layers_that_the_engine_lacks(name, arguments, shape):
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype("float32")
    layer, theirs = getattr(ours.layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    layer.build(shape)
    expected = theirs(x)
    if theirs.get_weights():
        theirs.set_weights(layer.get_weights())
        expected = theirs(x)
    assert_close(layer.forward(x)[0], expected.detach().cpu(), name, 1e-5)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("MaxNorm", (0.7, 0)),
        ("MaxNorm", (1.0, [0, 1])),
        ("NonNeg", ()),
        ("UnitNorm", (0,)),
        ("MinMaxNorm", (0.5, 0.9, 0.3, 0)),
    ],
)
def test_constraints(name, arguments):
    w = np.random.default_rng(1).normal(size=(4, 3)).astype("float32")
    found = getattr(ours.constraints, name)(*arguments)(w.copy())
    expected = getattr(keras.constraints, name)(*arguments)(keras.ops.convert_to_tensor(w))
    assert_close(found, expected.detach(), name, 1e-6)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("AUC", {}),
        ("AUC", {"num_thresholds": 7}),
        ("Precision", {}),
        ("Recall", {"thresholds": 0.3}),
        ("MeanAbsoluteError", {}),
    ],
)
def test_metrics_that_the_engine_lacks(name, arguments):
    rng = np.random.default_rng(0)
    found, expected = getattr(ours.metrics, name)(**arguments), getattr(keras.metrics, name)(**arguments)
    for size in (9, 40):
        y_true, y_pred = rng.integers(0, 2, (size, 1)).astype("float32"), rng.random((size, 1)).astype("float32")
        y_pred[:3] = 0.5
        found.update(y_true, y_pred)
        expected.update_state(y_true, y_pred)
    assert found.result() == pytest.approx(float(expected.result()), abs=1e-6)
    again = getattr(ours.metrics, name)(**arguments)
    again.set_state(found.get_state())
    assert again.result() == found.result()


@pytest.mark.parametrize("loss", ["CategoricalCrossentropy", "SparseCategoricalCrossentropy"])
def test_outputs_of_a_sigmoid_are_divided_by_their_sum(loss):
    from tinycnn.keras._more_losses import LOSSES

    rng = np.random.default_rng(1)
    y_pred, labels = rng.random((6, 4)).astype("float32"), rng.integers(0, 4, 6)
    y_true = labels if loss.startswith("Sparse") else np.eye(4, dtype="float32")[labels]
    expected = float(getattr(keras.losses, loss)()(y_true, y_pred))
    if loss.startswith("Sparse"):  # Keras divides by the sum there on some backends only
        expected = float(keras.losses.CategoricalCrossentropy()(np.eye(4, dtype="float32")[labels], y_pred))
    assert LOSSES[f"{loss}OfShares"]()(y_true, y_pred) == pytest.approx(expected, rel=1e-4)


def small(package):
    layers = package.layers
    return package.Sequential(
        [
            package.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu", padding="same"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def test_a_model_trains_as_in_keras():
    """The same weights, the same batches in the same order: the same history, up to rounding in single precision."""
    rng = np.random.default_rng(0)
    x, y = rng.random((60, 8, 8, 1)).astype("float32"), np.arange(60) % 3
    models = small(ours), small(keras)
    models[1].set_weights(models[0].get_weights())
    histories, lines = [], []
    for model in models:
        text = []
        model.summary(print_fn=text.append)  # later, Keras counts the optimizer's variables, too
        lines.append("\n".join(text))
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        arguments = {"validation_split": 0.2, "shuffle": False, "verbose": 0, "epochs": 2, "batch_size": 16}
        histories.append(model.fit(x, y, **arguments))
    found, expected = (one.history for one in histories)
    assert set(found) - {"learning_rate"} == set(expected)
    assert histories[0].epoch == list(histories[1].epoch)
    for key, values in expected.items():
        assert_close(found[key], values, key, 1e-4)
    counts = [re.findall(r"(?:Total|Trainable|Non-trainable) params: ([\d,]+)", text) for text in lines]
    assert counts[0] == counts[1][:3] != []
    scores = [model.evaluate(x, y, verbose=0) for model in models]
    assert_close(scores[0], scores[1], "evaluate", 1e-4)
    batches = [model.train_on_batch(x[:9], y[:9]) for model in models]
    assert len(batches[0]) == len(batches[1]) == 2
    assert_close(models[0].predict(x), models[1].predict(x, verbose=0), "predict", 1e-4)


def test_images_move_as_in_keras():
    """The same amounts give the same images. (Keras 3.15 shifts rows by ``width_shift_range``, tinycnn columns.)"""
    from keras.src.legacy.preprocessing.image import apply_affine_transform

    from tinycnn.keras._warping import affine_maps, warped

    rng = np.random.default_rng(2)
    for mode in ("nearest", "reflect", "constant"):
        x = rng.random((7, 7, 2)).astype("float32")
        theta, shear, zx, zy = 20.0, 10.0, 0.9, 1.2
        one = np.ones(1)
        angles = {"theta": np.deg2rad(theta) * one, "shear": np.deg2rad(shear) * one}
        rest = {"down": 0 * one, "right": 0 * one, "mirror": one < 0, "upside_down": one < 0}
        maps = affine_maps((7, 7), zoom=(zy * one, zx * one), **angles, **rest)
        found = warped(x[None], maps, mode, 0.0, Backend("cpu"))[0]
        expected = apply_affine_transform(x, theta, 0, 0, shear, zx, zy, 0, 1, 2, fill_mode=mode)
        assert found.shape == expected.shape
        if mode != "constant":  # SciPy's constant does not blend with what lies beyond the border
            assert_close(found, expected, mode, 1e-4)


@pytest.mark.parametrize(("name", "axis"), [("width_shift_range", 1), ("height_shift_range", 0)])
def test_keras_exchanges_the_two_shifts_and_tinycnn_does_not(name, axis):
    """docs/keras.md says so; when Keras mends it, this fails, and the page has to be changed."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    x = np.zeros((1, 7, 7, 1), "float32")
    x[0, 3, 3] = 1
    for package, moved in ((ImageDataGenerator, 1 - axis), (ours.preprocessing.image.ImageDataGenerator, axis)):
        generator = package(**{name: [2]}, fill_mode="constant")
        [place] = np.argwhere(generator.flow(x, batch_size=1)[0][0, ..., 0] > 0.5)
        assert abs(place[moved] - 3) == 2
        assert place[1 - moved] == 3


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("RandomRotation", {"factor": (0.1, 0.1), "fill_mode": "reflect"}),
        ("RandomRotation", {"factor": (-0.2, -0.2), "fill_mode": "nearest"}),
        ("RandomTranslation", {"height_factor": (0.2, 0.2), "width_factor": (-0.1, -0.1), "fill_mode": "wrap"}),
        ("RandomZoom", {"height_factor": (0.3, 0.3), "width_factor": (-0.2, -0.2), "fill_mode": "reflect"}),
        ("RandomZoom", {"height_factor": (-0.4, -0.4)}),
        ("RandomContrast", {"factor": (0.0, 0.0)}),
    ],
)
def test_random_layers_with_nothing_left_to_chance(name, arguments):
    """With equal limits the same is done to every image, in both packages."""
    x = np.random.default_rng(0).random((2, 9, 9, 2)).astype("float32")
    layer = getattr(ours.layers, name)(**arguments)
    layer.build((9, 9, 2))
    found = layer.forward(x, training=True)[0]
    expected = getattr(keras.layers, name)(**arguments)(x, training=True).detach()
    assert_close(found, expected, name, 1e-3)


def test_tensorboard_reads_the_event_files(tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard")
    from tinycnn.keras._event_file import EventFile

    file = EventFile(tmp_path)
    for step in range(5):
        file.scalar("epoch_loss", 1 / (1 + step), step)
    found = reader.EventAccumulator(str(tmp_path))
    found.Reload()
    assert [(one.step, pytest.approx(one.value)) for one in found.Scalars("epoch_loss")] == [
        (step, 1 / (1 + step)) for step in range(5)
    ]


#: Programs that run under Keras 3 as they stand.
FOR_KERAS_3 = ("mnist_2017", "mnist_2026")
#: Gives Keras small images, because nothing may be downloaded.
SMALL_DATA = """
import keras, numpy as np
_rng = np.random.default_rng(0)
def _small(*shape):
    def load_data(path=None):
        make = lambda n: (_rng.integers(0, 256, (n, *shape)).astype("uint8"), _rng.integers(0, 10, n).astype("uint8"))
        return make(300), make(200)
    return load_data
keras.datasets.mnist.load_data = _small(28, 28)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", FOR_KERAS_3)
def test_the_programs_of_the_tests_are_programs_for_keras(name, tmp_path):
    text = (PROGRAMS / f"{name}.py").read_text("utf-8")
    text = re.sub(r"^from __future__.*\n", "", text, flags=re.M)
    (tmp_path / "program.py").write_text(SMALL_DATA + text, "utf-8")
    environment = os.environ | {"KERAS_BACKEND": "torch", "KERAS_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "module",
    ["layers", "losses", "metrics", "optimizers", "callbacks", "utils", "activations", "models", "regularizers"],
)
def test_every_name_of_keras_is_there_or_known_to_be_missing(module):
    here = getattr(ours, module)
    for name in dir(getattr(keras, module)):
        if not name.startswith("_") and not inspect.ismodule(getattr(getattr(keras, module), name)):
            assert getattr(here, name) is not None
