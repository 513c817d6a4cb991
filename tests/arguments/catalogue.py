"""Every public function, constructor and method with good arguments, or the reason why it is left out.

`public` lists them from the modules themselves, so a new one must be added here before the tests pass.
"""

import contextlib
import importlib
import inspect
import io
import tempfile
import types
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from helpers import installed
from PIL import Image

import tinycnn
from tinycnn import (
    Augmentation,
    Sequential,
    activations,
    callbacks,
    datasets,
    initializers,
    interchange,
    layers,
    losses,
    metrics,
    models,
    onnx,
    optimizers,
    plotting,
    regularizers,
    schedules,
    testing,
)
from tinycnn.layers.weights import Weights
from tinycnn.network.compiling import Compiling
from tinycnn.network.network import Network

#: Whether the package onnx is installed, without which the functions of ``tinycnn.onnx`` only say so.
WITH_ONNX = installed("onnx")
MODULES = (
    *("tinycnn", "tinycnn.layers", "tinycnn.losses", "tinycnn.metrics", "tinycnn.optimizers", "tinycnn.schedules"),
    *("tinycnn.callbacks", "tinycnn.initializers", "tinycnn.regularizers", "tinycnn.activations", "tinycnn.datasets"),
    *(
        "tinycnn.models",
        "tinycnn.testing",
        "tinycnn.plotting",
        "tinycnn.profile",
        "tinycnn.interchange",
        *(["tinycnn.onnx"] if WITH_ONNX else []),
    ),
)
#: Classes that are written in two halves, of which users meet one by name.
HALVES = {"Layer": (layers.Layer, Weights), "Sequential": (Sequential, Network, Compiling)}
#: Values that are right, and begin more than a test of wrong ones should: function, argument, name of the value.
UNTRIED = {("Sequential.fit", "distributed", "True"): "begins an MPI job of one process"}
#: Methods that only tinycnn calls, or that others define for tinycnn to call; the text says where it calls them.
INTERNAL: dict[str, str] = {
    "Layer.create": "called by build",
    "Layer.add_parameter": "called by create",
    "Layer.add_buffer": "called by create",
    "Layer.constant": "called by create",
    "Layer.check_input": "called by forward",
    "Layer.check_gradient": "called by backward",
    "Layer.result": "called by forward",
    "Layer.input_gradient": "called by backward",
    "Layer.add_weight": "always raises",
    "Layer.backward_parameters": "called by training, as backward",
    "ActivatedLayer.*": "a base of layers, with the same methods; called by forward and backward",
    "Conv2D.filters_and_groups": "called by output_shape",
    "DepthwiseConv2D.filters_and_groups": "called by output_shape",
    "Dropout.step_of_mask": "called by forward and backward, and by the steps in lanes",
    "BatchNormalization.gamma_and_beta": "called by forward and backward",
    "BatchNormalization.inference_terms": "called by forward, and by a plan",
    "Optimizer.changes_gradients": "called by fit",
    "Optimizer.check": "called by compile and step",
    "Optimizer.follow": "called by compile, step and save",
    "Optimizer.remember": "called by load_model",
    "Sequential.add_penalty_gradients": "called by fit",
    "Sequential.build_again": "called by check_gradients and BackupAndRestore",
    "Sequential.chains": "called by fit",
    "Sequential.losses_used": "called by trace and checks",
    "Sequential.lent_workspace": "called by predict and evaluate",
    "Sequential.make_chain": "called by compile",
    "Sequential.need_*": "called by everything that needs it",
    "Sequential.not_built": "called by from_config and load_model",
    "Sequential.weight_shapes": "called by load_model",
    "Parameter.*": "made by add_parameter",
    "*.linear_forward": "called by forward",
    "*.linear_backward_input": "called by backward",
    "*.linear_backward_parameters": "called by backward",
    "*.create": "called by build",
    "Crossentropy.*": "a base of losses",
    "*.classes_of": "called by fit",
    "BinaryCrossentropy.forward": "called by train_on_batch",
    "BinaryCrossentropy.backward": "called by train_on_batch",
    "LossCache.*": "what forward gives to backward",
    "*.check_targets": "called by forward",
    "*.check_classes": "called by compile",
    "*.prepared": "called by forward",
    "check_labels": "called by losses",
    "check_rows": "called by losses",
    "check_shares": "called by losses",
    "check_numbers": "called by losses",
    "class_numbers": "called by confusion_matrix",
    "predicted_classes": "called by confusion_matrix",
    "probabilities": "called by confusion_matrix",
    "recall": "called by per_class_accuracy, with what confusion_matrix returns",
    "*.values": "called by update",
    "*.hits": "called by update",
    "Metric.get_state": "called by fit",
    "Metric.add_*": "always raises",
    "*.draw": "called by __call__",
    "*.update_together": "called by step",
    "Optimizer.update": "called by step",
    "SGD.update": "called by step",
    "Adam.update": "called by step",
    "RMSprop.update": "called by step",
    "*.rate": "called by __call__",
    "Callback.*": "called by fit",
    "MonitorCallback.*": "a base of callbacks",
    "*.on_*": "called by fit",
    "*.watches_batches": "called by fit",
    "*.get_state": "called by fit",
    "*.set_state": "called by fit",
    **{f"*.{name}": "called by fit" for name in ("attach", "resume", "interrupted", "detach")},
    "BackupAndRestore.save": "called by fit",
    "ActivationFunction.*": "called by layers",
    "*.describe": "called by get_config",
    "Linear.forward": "called by layers",
    "Linear.backward": "called by layers",
    "*.penalty": "called by parameters",
    "*.gradient": "called by parameters",
    "truncated_normal": "called by initializers",
    "fans": "called by initializers",
    "Layer.forward": "defined by layers",
    "Layer.backward": "defined by layers",
    "Layer.output_shape": "defined by layers",
    "Layer.weight_shapes": "tested with each layer",
    "*.step": "called by train_on_batch",
    "Loss.*": "called by train_on_batch",
    "MeanSquaredError.*": "called by train_on_batch",
    "GradientReport.*": "made by check_gradients",
    "ParameterCount.*": "made by models",
    "Recipe.*": "made by models, and tested with them",
    "Entry.*": "made by profile",
    "Pass.*": "made by profile",
    "Profile.*": "made by profile",
    "NumericError.*": "raised by fit",
    "DataFileError.*": "raised by readers",
    "FolderData.*": "made by from_folder",
    "DownloadError.*": "raised by loaders",
    "assert_layer_contract": "takes a function that makes layers; its arguments are a test's own",
    "model_report": "takes a documented network's name and the time of a gradient check",
}

Made = tuple[Callable[..., Any], dict[str, Any]]


def model() -> Sequential:
    """Return a small compiled model on the backend that compiles no kernels."""
    with tinycnn.use_backend("reference"):
        tinycnn.set_seed(0)
        made = Sequential(
            [
                layers.Input((4, 4, 1)),
                layers.Conv2D(2, 3, activation="relu"),
                layers.Flatten(),
                layers.Dense(3, activation="softmax"),
            ]
        )
        made.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"])
        return made


def x() -> Any:
    """Return four images."""
    return np.linspace(0, 1, 64, dtype=np.float32).reshape(4, 4, 4, 1)


def y() -> Any:
    """Return the labels of the four images."""
    return np.array([0, 1, 2, 0])


def built(kind: type[layers.Layer] = layers.Dense, **arguments: Any) -> layers.Layer:
    """Return a built layer that belongs to no model."""
    layer = kind(**(arguments or {"units": 3}))
    layer.build((4,), backend=tinycnn.core.backend.Backend("reference"))
    return layer


@cache
def folder() -> Path:
    """Return a folder for the files that good arguments name."""
    return Path(tempfile.mkdtemp(prefix="arguments-"))


def model_file() -> Path:
    """Return the path of a saved model."""
    path = folder() / "model.safetensors"
    if not path.exists():
        model().save(path)
    return path


def entered(manager: Callable[..., contextlib.AbstractContextManager[Any]]) -> Callable[..., None]:
    """Return a function that enters a ``with`` block and leaves it."""

    def call(**arguments: Any) -> None:
        with manager(**arguments):
            pass

    return call


_LAYER_BASE = {"name": "a", "input_shape": (4, 4, 1), "trainable": True}
_CONVOLUTION = {
    "kernel_size": 3,
    "strides": 1,
    "padding": "same",
    "dilation_rate": 1,
    "activation": "relu",
    "use_bias": True,
    "bias_initializer": "zeros",
    "bias_regularizer": None,
}
_POOLING = {"pool_size": 2, "strides": 2, "padding": "valid", **_LAYER_BASE}
_OPTIMIZER = {"weight_decay": None, "clipnorm": 1.0, "clipvalue": None, "global_clipnorm": None}
_MONITOR = {"monitor": "loss", "verbose": 0, "mode": "auto"}

#: The constructors by module, with a good value for each of their arguments.
_LOSS_BASE = {"name": "a", "reduction": "mean"}
CONSTRUCTORS: dict[Any, dict[str, Any]] = {
    Sequential: {"layers": (), "name": "a", "dtype": "float32"},
    Augmentation: {"shift": 0.1, "flip": True, "rotation": 5.0, "blur": 0.5, "cutout": 0.2},
    layers.Layer: _LAYER_BASE,
    layers.Input: {"shape": (4, 4, 1)},
    layers.Activation: {"activation": "relu", **_LAYER_BASE},
    layers.AveragePooling2D: _POOLING,
    layers.MaxPooling2D: _POOLING,
    layers.BatchNormalization: {
        "axis": -1,
        "momentum": 0.9,
        "epsilon": 1e-3,
        "center": True,
        "scale": True,
        "beta_initializer": "zeros",
        "gamma_initializer": "ones",
        "moving_mean_initializer": "zeros",
        "moving_variance_initializer": "ones",
        "beta_regularizer": "l2",
        "gamma_regularizer": None,
        **_LAYER_BASE,
    },
    layers.Conv2D: {
        "filters": 2,
        "groups": 1,
        "kernel_initializer": "zeros",
        "kernel_regularizer": "l2",
        "algorithm": "auto",
        **_CONVOLUTION,
        **_LAYER_BASE,
    },
    layers.DepthwiseConv2D: {
        "depth_multiplier": 1,
        "depthwise_initializer": "zeros",
        "depthwise_regularizer": "l2",
        **_CONVOLUTION,
        **_LAYER_BASE,
    },
    layers.Dense: {
        "units": 3,
        "activation": "relu",
        "use_bias": True,
        "kernel_initializer": "zeros",
        "bias_initializer": "zeros",
        "kernel_regularizer": "l2",
        "bias_regularizer": None,
        **_LAYER_BASE,
    },
    layers.Dropout: {"rate": 0.5, "seed": 1, **_LAYER_BASE},
    layers.GaussianNoise: {"stddev": 0.5, "seed": 1, **_LAYER_BASE},
    layers.ELU: {"alpha": 1.0, **_LAYER_BASE},
    layers.LeakyReLU: {"negative_slope": 0.1, **_LAYER_BASE},
    layers.ReLU: _LAYER_BASE,
    layers.Softmax: {"axis": -1, **_LAYER_BASE},
    layers.Flatten: _LAYER_BASE,
    layers.Reshape: {"target_shape": (2, -1), **_LAYER_BASE},
    layers.Rescaling: {"scale": 2.0, "offset": 0.0, **_LAYER_BASE},
    layers.ZeroPadding2D: {"padding": 1, **_LAYER_BASE},
    layers.GlobalAveragePooling2D: {"keepdims": False, **_LAYER_BASE},
    layers.GlobalMaxPooling2D: {"keepdims": False, **_LAYER_BASE},
    losses.Loss: _LOSS_BASE,
    losses.CategoricalCrossentropy: {"from_logits": False, "label_smoothing": 0.1, **_LOSS_BASE},
    losses.BinaryCrossentropy: {"from_logits": False, "label_smoothing": 0.1, **_LOSS_BASE},
    losses.SparseCategoricalCrossentropy: {"from_logits": False, **_LOSS_BASE},
    losses.MeanSquaredError: _LOSS_BASE,
    metrics.Metric: {"name": "a"},
    metrics.ClassAccuracy: {"name": "a"},
    metrics.BinaryAccuracy: {"name": "a", "threshold": 0.5},
    metrics.CategoricalAccuracy: {"name": "a"},
    metrics.SparseCategoricalAccuracy: {"name": "a"},
    metrics.MeanSquaredError: {"name": "a"},
    metrics.TopKCategoricalAccuracy: {"k": 2, "name": "a"},
    metrics.SparseTopKCategoricalAccuracy: {"k": 2, "name": "a"},
    optimizers.Optimizer: {"learning_rate": 0.1, **_OPTIMIZER},
    optimizers.SGD: {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, **_OPTIMIZER},
    optimizers.Adam: {"learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-7, **_OPTIMIZER},
    optimizers.AdamW: {
        "learning_rate": 0.1,
        "beta_1": 0.9,
        "beta_2": 0.99,
        "epsilon": 1e-7,
        **_OPTIMIZER,
        "weight_decay": 0.1,
    },
    optimizers.RMSprop: {
        "learning_rate": 0.1,
        "rho": 0.9,
        "momentum": 0.1,
        "epsilon": 1e-7,
        "centered": True,
        **_OPTIMIZER,
    },
    schedules.LearningRateSchedule: {},
    schedules.Constant: {"learning_rate": 0.1},
    schedules.CosineDecay: {
        "initial_learning_rate": 0.1,
        "decay_steps": 10,
        "alpha": 0.0,
        "warmup_target": 0.2,
        "warmup_steps": 3,
    },
    schedules.ExponentialDecay: {
        "initial_learning_rate": 0.1,
        "decay_steps": 10,
        "decay_rate": 0.5,
        "staircase": True,
    },
    schedules.InverseEpochDecay: {"initial_learning_rate": 0.1, "decay_rate": 0.5, "digits": 3},
    schedules.InverseTimeDecay: {
        "initial_learning_rate": 0.1,
        "decay_steps": 10,
        "decay_rate": 0.5,
        "staircase": True,
    },
    schedules.OneCycle: {
        "max_learning_rate": 0.1,
        "total_steps": 10,
        "pct_start": 0.3,
        "div_factor": 25.0,
        "final_div_factor": 100.0,
    },
    schedules.PiecewiseConstantDecay: {"boundaries": [2, 4], "values": [0.1, 0.2, 0.3]},
    callbacks.History: {},
    callbacks.TerminateOnNaN: {},
    callbacks.LambdaCallback: dict.fromkeys(
        (
            *("on_epoch_begin", "on_epoch_end", "on_train_begin", "on_train_end"),
            *("on_train_batch_begin", "on_train_batch_end"),
        ),
        print,
    ),
    callbacks.LearningRateScheduler: {"schedule": lambda epoch, rate: rate, "verbose": 0},
    callbacks.CSVLogger: {"filename": "a.csv", "separator": ",", "append": False},
    callbacks.BackupAndRestore: {"backup_dir": "a", "save_freq": "epoch", "save_seconds": 1.0},
    callbacks.EarlyStopping: {
        **_MONITOR,
        "min_delta": 0,
        "patience": 0,
        "baseline": 0.5,
        "restore_best_weights": False,
        "start_from_epoch": 0,
    },
    callbacks.ModelCheckpoint: {
        **_MONITOR,
        "filepath": "a",
        "save_best_only": False,
        "save_weights_only": False,
        "save_freq": "epoch",
        "initial_value_threshold": 0.5,
    },
    callbacks.ReduceLROnPlateau: {
        **_MONITOR,
        "factor": 0.5,
        "patience": 1,
        "min_delta": 0.1,
        "cooldown": 0,
        "min_lr": 0.0,
    },
    initializers.Initializer: {},
    initializers.VarianceScaling: {
        "scale": 1.0,
        "mode": "fan_in",
        "distribution": "uniform",
        "seed": 0,
    },
    initializers.Constant: {"value": 1.0},
    initializers.RandomUniform: {"minval": 0.0, "maxval": 1.0, "seed": 0},
    initializers.RandomNormal: {"mean": 0.0, "stddev": 1.0, "seed": 0},
    initializers.TruncatedNormal: {"mean": 0.0, "stddev": 1.0, "seed": 0},
    **{
        cls: {}
        for cls in (
            *(initializers.Zeros, initializers.Ones),
            *(activations.GELU, activations.Linear, activations.ReLU, activations.Sigmoid, activations.Softmax),
            *(activations.Tanh, regularizers.Regularizer),
        )
    },
    **{
        cls: {"seed": 0}
        for cls in (
            *(initializers.GlorotNormal, initializers.GlorotUniform, initializers.HeNormal, initializers.HeUniform),
            *(initializers.LecunNormal, initializers.LecunUniform),
        )
    },
    activations.ELU: {"alpha": 1.0},
    activations.LeakyReLU: {"negative_slope": 0.1},
    regularizers.L1: {"l1": 0.1},
    regularizers.L2: {"l2": 0.1},
    regularizers.L1L2: {"l1": 0.1, "l2": 0.1},
}


def _forward_and_backward(kind: type[layers.Layer], arguments: dict[str, Any]) -> Iterator[tuple[str, Made]]:
    """Yield the methods of a layer, each to be called on a new layer; all of them take images here."""
    own = {key: value for key, value in arguments.items() if key not in _LAYER_BASE}

    def fresh() -> layers.Layer:
        layer = kind(**own)
        layer.build((4, 4, 1), backend=tinycnn.core.backend.Backend("reference"))
        return layer

    def backward(**given: Any) -> Any:
        layer = fresh()
        result, cache = layer.forward(x(), training=True)
        return layer.backward(**{"dy": result, "cache": cache, **given})

    result = fresh().forward(x(), training=True)[0]
    name = kind.__name__
    yield f"{name}.forward", (lambda **given: fresh().forward(**given), {"x": x()})
    yield f"{name}.backward", (backward, {"dy": result})
    yield f"{name}.output_shape", (lambda **given: kind(**own).output_shape(**given), {"input_shape": (4, 4, 1)})
    yield f"{name}.weight_shapes", (lambda **given: kind(**own).weight_shapes(**given), {"input_shape": (4, 4, 1)})
    yield f"{name}.build", (lambda **given: kind(**own).build(**given), {"input_shape": (4, 4, 1), "dtype": "float32"})


def _set(obj: Any, name: str) -> Callable[..., None]:
    return lambda **given: setattr(obj, name, given[name])


def made() -> dict[str, Made]:
    """Return the functions to call, by name, each with good arguments."""
    found: dict[str, Made] = {}
    for cls, arguments in CONSTRUCTORS.items():
        module = cls.__module__.split(".")[1]
        found[f"{module}.{cls.__name__}"] = (cls, dict(arguments))
        if issubclass(cls, layers.Layer) and cls is not layers.Layer:
            found |= {f"layers.{name}": case for name, case in _forward_and_backward(cls, arguments)}
        if issubclass(cls, schedules.LearningRateSchedule) and arguments:
            found[f"schedules.{cls.__name__}.__call__"] = (cls(**arguments), {"step": 3})
    return found | _functions() | (_onnx() if WITH_ONNX else {}) | _model_methods() | _plotting()


def _functions() -> dict[str, Made]:
    accuracy = metrics.ClassAccuracy()
    backend = tinycnn.core.backend.Backend("reference")
    probabilities = np.full((4, 3), 1 / 3, np.float32)
    return {
        "load_model": (
            tinycnn.load_model,
            {"filepath": model_file(), "custom_objects": {}, "compile": True, "check_finite": True},
        ),
        "set_seed": (tinycnn.set_seed, {"seed": 1}),
        "use_backend": (
            entered(tinycnn.use_backend),
            {"name": "reference", "overlay": types.SimpleNamespace(relu_forward=lambda x: x)},
        ),
        "get_backend": (tinycnn.get_backend, {}),
        "layers.serialize": (layers.serialize, {"layer": layers.Flatten()}),
        "layers.deserialize": (
            layers.deserialize,
            {"config": layers.serialize(layers.Flatten()), "custom_objects": {}},
        ),
        "Layer.from_config": (layers.Dense.from_config, {"config": layers.Dense(3).get_config()}),
        "losses.get": (losses.get, {"loss": "mse"}),
        "metrics.get": (metrics.get, {"metric": "accuracy"}),
        "metrics.by_name": (metrics.by_name, {"metrics": ["accuracy"]}),
        "metrics.serialize": (metrics.serialize, {"metrics": {"accuracy": accuracy}}),
        "metrics.confusion_matrix": (
            metrics.confusion_matrix,
            {"y_true": y(), "y_pred": probabilities, "num_classes": 3},
        ),
        "metrics.per_class_accuracy": (
            metrics.per_class_accuracy,
            {"y_true": y(), "y_pred": probabilities, "num_classes": 3},
        ),
        "Metric.update": (metrics.ClassAccuracy().update, {"y_true": y(), "y_pred": probabilities}),
        "optimizers.get": (optimizers.get, {"optimizer": "adam"}),
        "Optimizer.learning_rate": (_set(optimizers.SGD(), "learning_rate"), {"learning_rate": 0.1}),
        "Layer.get_weights": (built().get_weights, {}),
        "Layer.set_weights": (built().set_weights, {"weights": built().get_weights()}),
        "Layer.trainable": (_set(layers.Dense(3), "trainable"), {"trainable": False}),
        "Sequential.trainable": (_set(model(), "trainable"), {"trainable": False}),
        "schedules.serialize": (schedules.serialize, {"schedule": schedules.Constant(0.1)}),
        "schedules.deserialize": (
            schedules.deserialize,
            {"description": schedules.serialize(schedules.Constant(0.1))},
        ),
        "schedules.from_config": (
            schedules.Constant.from_config,
            {"config": schedules.Constant(0.1).get_config()},
        ),
        "initializers.get": (initializers.get, {"initializer": "zeros"}),
        "regularizers.get": (regularizers.get, {"regularizer": "l2"}),
        "activations.get": (activations.get, {"activation": "relu"}),
        "datasets.get": (datasets.get, {"name": "digits"}),
        "datasets.load": (datasets.load, {"name": "digits"}),
        "datasets.names": (datasets.names, {}),
        "datasets.load_image": (datasets.load_image, {"path": _picture_file(), "shape": (8, 8, 1)}),
        "datasets.from_folder": (
            datasets.from_folder,
            {
                "path": _picture_folder(),
                "image_size": (8, 6),
                "color_mode": "rgb",
                "validation_split": 0.5,
                "seed": 1,
                "follow_links": False,
            },
        ),
        "datasets.mnist_like": (datasets.mnist_like, {"image": np.eye(30), "size": 28, "box": 20}),
        "datasets.read_idx": (datasets.read_idx, {"path": _idx_file(), "shape": (3,), "max_bytes": 100}),
        "models.build": (models.build, {"name": "ladder_01", "input_shape": (8, 8, 3), "classes": 3}),
        "interchange.save_pytorch": (
            interchange.save_pytorch,
            {"model": model(), "path": folder() / "new.safetensors", "names": ["0", "3"]},
        ),
        "interchange.load_pytorch": (
            interchange.load_pytorch,
            {"model": model(), "path": _pytorch_file(), "names": ["0", "3"], "check_finite": True},
        ),
        "interchange.pytorch_source": (interchange.pytorch_source, {"model": model()}),
        "models.recipe": (models.recipe, {"name": "ladder_01"}),
        "models.beyond": (models.beyond, {}),
        "models.names": (models.names, {}),
        "models.variations": (models.variations, {}),
        "Augmentation.__call__": (
            Augmentation(shift=0.1),
            {"x": x(), "seed": 1, "step": 0, "backend": backend},
        ),
    }


def _check_gradients(subject: Any, **given: Any) -> Any:
    """Check a layer that no earlier call has built."""
    fresh = layers.Dense(2) if isinstance(subject, layers.Dense) else subject
    return testing.check_gradients(fresh, **given)


def _picture_file() -> Path:
    """Return a small picture."""
    path = folder() / "picture.png"
    Image.fromarray(np.eye(8, dtype=np.uint8)).save(path)
    return path


def _picture_folder() -> Path:
    """Return a folder with a folder of two pictures for each of two classes."""
    root = folder() / "pictures"
    for name in ("one", "two"):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(2):
            Image.fromarray(np.full((8, 6), number, np.uint8)).save(root / name / f"{number}.png")
    return root


def _idx_file() -> Path:
    path = folder() / "idx"
    path.write_bytes(b"\0\0\x08\1\0\0\0\3abc")
    return path


def _onnx() -> dict[str, Made]:
    path = folder() / "model.onnx"
    onnx.export(model(), path)
    return {
        "onnx.export": (
            onnx.export,
            {
                "model": model(),
                "path": folder() / "new.onnx",
                "layout": "NCHW",
                "dtype": "float32",
                "class_names": ["a", "b", "c"],
                "preprocessing": "none",
            },
        ),
        "onnx.load": (
            onnx.load,
            {"path": path, "layout": "auto", "input_shape": model().input_shape, "check_finite": True},
        ),
    }


def _pytorch_file() -> Path:
    path = folder() / "pytorch.safetensors"
    interchange.save_pytorch(model(), path)
    return path


def _model_methods() -> dict[str, Made]:
    def on_model(name: str) -> Callable[..., Any]:
        def call(**given: Any) -> Any:
            with contextlib.redirect_stdout(io.StringIO()):
                return getattr(model(), name)(**given)

        return call

    fit = {
        "x": x(),
        "y": y(),
        "batch_size": 2,
        "epochs": 1,
        "verbose": 0,
        "callbacks": [],
        "validation_split": 0.0,
        "validation_data": (x(), y()),
        "shuffle": True,
        "class_weight": None,
        "sample_weight": None,
        "initial_epoch": 0,
        "steps_per_epoch": None,
        "validation_steps": 1,
        "check_finite": True,
        "augment": None,
        "fuse": True,
        "distributed": False,
    }
    good: dict[str, dict[str, Any]] = {
        "add": {"layer": layers.Softmax()},
        "compile": {"optimizer": "sgd", "loss": "mse", "metrics": ["mse"]},
        "fit": fit,
        "train_on_batch": {"x": x(), "y": y(), "sample_weight": None, "class_weight": None, "return_dict": True},
        "test_on_batch": {"x": x(), "y": y(), "sample_weight": None, "return_dict": True},
        "predict_on_batch": {"x": x()},
        "evaluate": {
            "x": x(),
            "y": y(),
            "verbose": 0,
            "sample_weight": None,
            "return_dict": False,
            "check_finite": True,
            "steps": 1,
            "batch_size": 2,
        },
        "predict": {"x": x(), "batch_size": 2, "check_finite": True, "steps": 1},
        "trace": {"x": x(), "y": y(), "training": False},
        "summary": {"plan": False},
        "get_layer": {"name": "dense"},
        "set_weights": {"weights": model().get_weights()},
        "save": {"filepath": folder() / "saved.safetensors"},
        "save_weights": {"filepath": folder() / "weights.safetensors"},
        "load_weights": {"filepath": model_file(), "check_finite": True},
        **{name: {} for name in ("count_params", "count_trainable_params", "weights", "get_weights", "get_config")},
        "parameters": {},
        "predictor": {},
    }
    found = {f"Sequential.{name}": (on_model(name), arguments) for name, arguments in good.items()}
    fresh = {"input_shape": (4, 4, 1)}
    found["Sequential.build"] = (lambda **given: Sequential([layers.Flatten()]).build(**given), fresh)
    config = model().get_config()
    found["Predictor.__call__"] = (lambda **given: model().predictor()(**given), {"x": x(), "check_finite": True})
    found["Predictor.__init__"] = (tinycnn.Predictor, {"model": model()})
    found["Sequential.from_config"] = (Sequential.from_config, {"config": config, "custom_objects": {}})
    return found


def _plotting() -> dict[str, Made]:
    from matplotlib.figure import Figure

    from tinycnn import profile

    def ax() -> Any:
        return Figure().subplots()

    def trace() -> Any:
        return model().trace(x(), y())

    more = [layers.MaxPooling2D(2), layers.Dropout(0.5), layers.BatchNormalization()]
    pooled = Sequential([layers.Input((4, 4, 1)), *more])
    probabilities = np.full((4, 3), 1 / 3)
    names = ["a", "b", "c"]
    figures = {"loss": [1.0, 0.5], "val_loss": [1.0, 0.6]}
    cases: dict[str, Made] = {
        "history": (plotting.history, {"history": figures, "ax": None, "figsize": (4, 3)}),
        "confusion_matrix": (
            plotting.confusion_matrix,
            {"y_true": y(), "y_pred": probabilities, "class_names": names, "ax": ax(), "figsize": None},
        ),
        "per_class_accuracy": (
            plotting.per_class_accuracy,
            {"y_true": y(), "y_pred": probabilities, "class_names": names, "ax": ax(), "figsize": None},
        ),
        "predictions": (
            plotting.predictions,
            {
                "x": x(),
                "y_true": y(),
                "probabilities": probabilities,
                "which": "best",
                "class_names": names,
                "count": 2,
                "ax": None,
                "figsize": (4, 3),
            },
        ),
        "samples_per_class": (
            plotting.samples_per_class,
            {"x": x(), "y": y(), "class_names": names, "count": 2, "ax": None, "figsize": (4, 3)},
        ),
        "filters": (
            plotting.filters,
            {"model_or_layer": model(), "layer": "conv2d", "count": 2, "channels": None, "ax": None, "figsize": (4, 3)},
        ),
        "feature_maps": (
            plotting.feature_maps,
            {"model": model(), "image": x()[0], "layer": "conv2d", "count": 2, "ax": None, "figsize": (4, 3)},
        ),
        "gradient_flow": (
            plotting.gradient_flow,
            {"trace_or_model": model(), "x": x(), "y": y(), "ax": ax(), "figsize": None},
        ),
        "saliency": (plotting.saliency, {"model": model(), "image": x()[0], "label": 1, "ax": None, "figsize": (4, 3)}),
        "receptive_field": (
            plotting.receptive_field,
            {
                "model": model(),
                "layer": "conv2d",
                "position": (0, 0),
                "image": x()[0],
                "measured": False,
                "ax": ax(),
                "figsize": None,
            },
        ),
        "gradient_flows": (plotting.gradient_flows, {"traces": {"a": trace()}, "ax": None, "figsize": (4, 3)}),
        "one_output": (
            plotting.one_output,
            {
                "model": model(),
                "image": x()[0],
                "layer": "conv2d",
                "position": (0, 0, 1),
                "channels": 2,
                "ax": None,
                "figsize": (4, 3),
            },
        ),
        "pooling_winners": (
            plotting.pooling_winners,
            {"model": pooled, "image": x()[0], "layer": 0, "channel": 0, "ax": None, "figsize": (4, 3)},
        ),
        "dropout_mask": (
            plotting.dropout_mask,
            {
                "trace_or_model": pooled,
                "x": x(),
                "layer": "dropout",
                "image": 0,
                "channel": 0,
                "ax": None,
                "figsize": (4, 3),
            },
        ),
        "batch_statistics": (
            plotting.batch_statistics,
            {"trace_or_model": pooled, "x": x(), "layer": 2, "ax": None, "figsize": (4, 3)},
        ),
        "dead_units": (plotting.dead_units, {"trace_or_model": model(), "x": x(), "ax": None, "figsize": (4, 3)}),
        "im2col": (
            plotting.im2col,
            {"image": np.ones((3, 3)), "kernel": np.ones((2, 2)), "strides": 1, "padding": "valid"},
        ),
    }
    found = {f"plotting.{name}": case for name, case in cases.items()}
    found["profile.flops"] = (profile.flops, {"layer": built()})
    found["profile.profile"] = (profile.profile, {"model": model(), "batch_size": 2, "repeats": 1, "fuse": True})
    found["testing.check_gradients"] = (
        _check_gradients,
        {
            "subject": layers.Dense(2),
            "x": np.ones((2, 3)),
            "training": True,
            "seed": 0,
            "rtol": 1e-5,
            "atol": 1e-6,
            "max_elements": 5,
        },
    )
    double = Sequential([layers.Input((3,)), layers.Dense(2, activation="softmax")], dtype="float64")
    double.compile("sgd", "sparse_categorical_crossentropy")
    found["testing.check_directional"] = (
        testing.check_directional,
        {"model": double, "x": np.ones((2, 3)), "y": np.array([0, 1]), "seed": 0, "rtol": 1e-4},
    )
    return found


def public() -> Iterator[str]:
    """Yield all public functions and methods, as ``name`` or ``Class.method``."""
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        names = getattr(module, "__all__", None) or [
            name for name, value in vars(module).items() if getattr(value, "__module__", "") == module_name
        ]
        for name in names:
            value = getattr(module, name)
            if name.startswith("_") or not callable(value) or not hasattr(value, "__module__"):
                continue
            if inspect.isclass(value):
                halves = HALVES.get(value.__name__, (value,))
                own = [name for cls in halves for name in vars(cls)]
                yield from (f"{value.__name__}.{n}" for n in ("__init__", *own) if _is_method(value, n))
            elif inspect.isfunction(value):
                yield name


def _is_method(cls: type, name: str) -> bool:
    return (name == "__init__" or not name.startswith("_")) and inspect.isroutine(inspect.getattr_static(cls, name))
