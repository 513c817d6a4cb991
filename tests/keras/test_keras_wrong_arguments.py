"""Every function and class of Keras's names with every argument wrong in sixty ways.

A call works, or raises one of the documented exceptions with a message that names the argument, as elsewhere
(tests/sequential/test_bad_arguments.py).
"""

import contextlib

import numpy as np
import pytest
from arguments import values
from arguments.trying import attempt
from PIL import Image

import tinycnn
from tinycnn import keras
from tinycnn.keras.preprocessing.image import ImageDataGenerator

X, Y = np.random.default_rng(0).random((6, 4, 4, 1)).astype("float32"), np.arange(6) % 2


def model():
    found = keras.Sequential([keras.layers.Flatten(input_shape=(4, 4, 1)), keras.layers.Dense(2, "softmax")])
    found.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return found


def on_model(method):
    return lambda **given: getattr(model(), method)(**given)


def on_generator(method):
    return lambda **given: getattr(ImageDataGenerator(validation_split=0.5), method)(**given)


FIT = {"batch_size": 2, "epochs": 1, "verbose": 0, "callbacks": [], "validation_split": 0.0, "validation_data": None}
FIT |= {"shuffle": True, "class_weight": None, "sample_weight": None, "initial_epoch": 0, "steps_per_epoch": 1}
FIT |= {"validation_freq": 1, "validation_steps": None}
GENERATOR = {
    "featurewise_center": False,
    "samplewise_center": False,
    "rotation_range": 1.0,
    "width_shift_range": 0.1,
    "height_shift_range": [1.0],
    "brightness_range": (0.5, 1.0),
    "shear_range": 1.0,
    "zoom_range": (0.9, 1.0),
    "channel_shift_range": 0.1,
    "fill_mode": "wrap",
    "cval": 0.0,
    "horizontal_flip": True,
    "vertical_flip": False,
    "rescale": 0.5,
    "preprocessing_function": None,
    "validation_split": 0.5,
    "interpolation_order": 1,
}
WARPING = {"fill_mode": "wrap", "interpolation": "bilinear", "fill_value": 0.0, "seed": 1}
CASES = {
    "utils.to_categorical": (keras.utils.to_categorical, {"x": [0, 1], "num_classes": 2}),
    "utils.normalize": (keras.utils.normalize, {"x": [[1.0, 2.0]]}),
    "utils.set_random_seed": (keras.utils.set_random_seed, {"seed": 1}),
    "utils.plot_model": (keras.utils.plot_model, {"to_file": "m.png", "show_shapes": True, "rankdir": "TB", "dpi": 40}),
    "utils.load_img": (
        keras.utils.load_img,
        {
            "path": "p.png",
            "color_mode": "rgb",
            "target_size": (3, 3),
            "interpolation": "nearest",
            "keep_aspect_ratio": False,
        },
    ),
    "utils.img_to_array": (keras.utils.img_to_array, {"img": X[0]}),
    "utils.array_to_img": (keras.utils.array_to_img, {"x": X[0], "scale": True}),
    "utils.save_img": (keras.utils.save_img, {"path": "q.png", "x": X[0]}),
    "utils.image_dataset_from_directory": (
        lambda **given: keras.utils.image_dataset_from_directory(verbose=False, **given),
        {
            "directory": "pictures",
            "labels": "inferred",
            "label_mode": "int",
            "class_names": None,
            "batch_size": 2,
            "image_size": (3, 3),
            "shuffle": True,
            "seed": 1,
            "validation_split": 0.5,
            "subset": "training",
            "interpolation": "nearest",
            "follow_links": False,
            "crop_to_aspect_ratio": False,
        },
    ),
    "models.load_model": (
        keras.models.load_model,
        {"filepath": "m.safetensors", "custom_objects": {}, "compile": True},
    ),
    "models.model_from_json": (keras.models.model_from_json, {"json_string": "", "custom_objects": None}),
    "models.clone_model": (keras.models.clone_model, {"model": None}),
    "models.save_model": (keras.models.save_model, {"model": None, "filepath": "n.safetensors", "overwrite": True}),
    "Sequential.fit": (on_model("fit"), {"x": X, "y": Y, **FIT}),
    "Sequential.fit_generator": (on_model("fit_generator"), {"generator": [(X, Y)], "steps_per_epoch": 1, "epochs": 1}),
    "Sequential.evaluate": (on_model("evaluate"), {"x": X, "y": Y, "verbose": 0, "steps": 1, "return_dict": True}),
    "Sequential.predict": (on_model("predict"), {"x": X, "batch_size": 2, "steps": 1}),
    "Sequential.compile": (
        on_model("compile"),
        {"optimizer": "sgd", "loss": "mse", "metrics": ["mae"], "loss_weights": None},
    ),
    "Sequential.train_on_batch": (on_model("train_on_batch"), {"x": X, "y": Y, "return_dict": True}),
    "Sequential.get_layer": (on_model("get_layer"), {"index": 0}),
    "Sequential.build": (
        lambda **given: keras.Sequential([keras.layers.Flatten()]).build(**given),
        {"input_shape": (4,)},
    ),
    "Sequential.save": (on_model("save"), {"filepath": "s.safetensors", "overwrite": True}),
    "layers.Conv2D": (
        keras.layers.Conv2D,
        {
            "filters": 2,
            "kernel_size": 2,
            "strides": 1,
            "padding": "same",
            "data_format": "channels_last",
            "activation": "relu",
            "kernel_initializer": "zeros",
            "kernel_regularizer": "l2",
            "kernel_constraint": "max_norm",
            "dtype": "float32",
        },
    ),
    "layers.SeparableConv2D": (
        keras.layers.SeparableConv2D,
        {
            "filters": 2,
            "kernel_size": 2,
            "strides": 1,
            "depth_multiplier": 1,
            "use_bias": True,
            "pointwise_initializer": "ones",
        },
    ),
    "layers.Permute": (keras.layers.Permute, {"dims": (2, 1, 3)}),
    "layers.Resizing": (
        keras.layers.Resizing,
        {"height": 2, "width": 2, "interpolation": "nearest", "crop_to_aspect_ratio": False},
    ),
    "layers.RandomFlip": (keras.layers.RandomFlip, {"mode": "vertical", "seed": 1}),
    "layers.RandomRotation": (keras.layers.RandomRotation, {"factor": 0.1, **WARPING}),
    "layers.RandomZoom": (keras.layers.RandomZoom, {"height_factor": 0.1, "width_factor": None, **WARPING}),
    "layers.RandomTranslation": (keras.layers.RandomTranslation, {"height_factor": 0.1, "width_factor": 0.1}),
    "layers.RandomContrast": (keras.layers.RandomContrast, {"factor": 0.1, "value_range": (0, 1)}),
    "layers.Input": (keras.layers.Input, {"shape": (3,)}),
    "optimizers.Adadelta": (keras.optimizers.Adadelta, {"learning_rate": 1.0, "rho": 0.9, "epsilon": 1e-3}),
    "optimizers.Adagrad": (keras.optimizers.Adagrad, {"initial_accumulator_value": 0.1, "epsilon": 1e-3}),
    "optimizers.Nadam": (keras.optimizers.Nadam, {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.5}),
    "optimizers.Adamax": (keras.optimizers.Adamax, {"learning_rate": 0.1, "beta_1": 0.5, "weight_decay": 0.1}),
    "metrics.AUC": (keras.metrics.AUC, {"num_thresholds": 9, "name": "x"}),
    "metrics.Precision": (keras.metrics.Precision, {"name": "x"}),
    "constraints.MaxNorm": (keras.constraints.MaxNorm, {"max_value": 1, "axis": 0}),
    "constraints.MinMaxNorm": (keras.constraints.MinMaxNorm, {"min_value": 0.1, "max_value": 1, "rate": 0.5}),
    "callbacks.TensorBoard": (keras.callbacks.TensorBoard, {"log_dir": "logs", "update_freq": "epoch"}),
    "callbacks.ModelCheckpoint": (keras.callbacks.ModelCheckpoint, {"filepath": "x", "period": 2}),
    "image.ImageDataGenerator": (ImageDataGenerator, GENERATOR),
    "image.flow": (
        on_generator("flow"),
        {
            "x": X,
            "y": Y,
            "batch_size": 2,
            "shuffle": True,
            "seed": 1,
            "sample_weight": None,
            "subset": "training",
            "save_to_dir": None,
        },
    ),
    "image.fit": (on_generator("fit"), {"x": X, "augment": True, "rounds": 1, "seed": 1}),
    "image.flow_from_directory": (
        on_generator("flow_from_directory"),
        {
            "directory": "pictures",
            "classes": None,
            "target_size": (3, 3),
            "color_mode": "rgb",
            "class_mode": "binary",
            "batch_size": 2,
            "shuffle": True,
            "seed": 1,
            "subset": None,
            "interpolation": "nearest",
            "follow_links": False,
        },
    ),
    "backend.set_image_data_format": (keras.backend.set_image_data_format, {"data_format": "channels_last"}),
}
#: Arguments that messages call by another word: a batch of the generator.
OTHER = ("generator",)
NEED_A_MODEL = {"utils.plot_model": "model", "models.clone_model": "model", "models.save_model": "model"}


@pytest.fixture(autouse=True)
def folder(tmp_path):
    """Work in a folder with some pictures, on the backend that compiles nothing."""
    for label in ("a", "b"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for number in range(2):
            Image.fromarray(np.full((3, 3, 3), 9, np.uint8)).save(tmp_path / "pictures" / label / f"{number}.png")
    Image.fromarray(np.full((3, 3, 3), 9, np.uint8)).save(tmp_path / "p.png")
    with contextlib.chdir(tmp_path), tinycnn.use_backend("reference"):
        yield


@pytest.mark.parametrize("name", CASES)
def test_wrong_arguments(name):
    call, good = CASES[name]
    good = {key: value.copy() if isinstance(value, np.ndarray | list) else value for key, value in good.items()}
    if name in NEED_A_MODEL:
        good[NEED_A_MODEL[name]] = model()
    if name == "models.model_from_json":
        good["json_string"] = model().to_json()
    if name == "models.load_model":
        model().save("m.safetensors")
    first = attempt(name, call, good, "", None)
    assert first.error is None, first
    outcomes = [attempt(name, call, good, one, value, label) for one in good for label, value in values.VALUES.items()]
    assert sum(outcome.error is not None for outcome in outcomes) > len(outcomes) / 3
    for wrong in ("is_internal", "takes_nan", "is_unnamed"):
        found = [str(outcome) for outcome in outcomes if getattr(outcome, wrong) and outcome.argument not in OTHER]
        assert not found, f"{wrong}:\n" + "\n".join(found[:12])
