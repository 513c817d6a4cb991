"""Metrics under Keras's names: classes, functions of arrays, and what ``compile`` takes for them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import metrics as engine
from ..core.checks import any_array, array
from ..core.description import described
from ..core.public import listing
from ..core.types import Array
from ..metrics import Metric
from . import _more_metrics as more
from . import losses
from ._missing import METRICS as _MISSING
from ._spelling import Spelling, engine_class, now, only, silent
from ._telling import looked_up, named_alike, not_here

_RULES = {"dtype": silent, "from_sorted_ids": only(False, cure="leave the argument out")}


_ONE_CURVE = {
    "curve": only("ROC", cure="the ROC curve is the one that there is: leave the argument out"),
    "summation_method": only("interpolation", cure="leave the argument out"),
    "thresholds": only(None, cure="give their number, as num_thresholds"),
    "multi_label": only(False, cure="leave the argument out"),
    "num_labels": only(None, cure="leave the argument out"),
    "label_weights": only(None, cure="leave the argument out"),
    "from_logits": only(False, cure="end the model in a sigmoid or a softmax"),
}
_COUNTED: dict[str, Any] = {
    "thresholds": now("threshold", more.threshold_of),
    "top_k": only(None, cure="TopKCategoricalAccuracy is the nearest"),
    "class_id": only(None, cure="tinycnn.metrics.per_class_accuracy(y, model.predict(x)) tells classes apart"),
}
_ORDER = ("thresholds", "top_k", "class_id", "name")
AUC = Spelling(more.AUC, ("num_thresholds", "curve", "summation_method", "name"), _RULES | _ONE_CURVE)
Precision = Spelling(more.Precision, _ORDER, _RULES | _COUNTED)
Recall = Spelling(more.Recall, _ORDER, _RULES | _COUNTED)
BinaryAccuracy = Spelling(engine.BinaryAccuracy, rules=_RULES)
CategoricalAccuracy = Spelling(engine.CategoricalAccuracy, rules=_RULES)
MeanAbsoluteError = Spelling(more.MeanAbsoluteError, rules=_RULES)
MeanSquaredError = Spelling(engine.MeanSquaredError, rules=_RULES)
SparseCategoricalAccuracy = Spelling(engine.SparseCategoricalAccuracy, rules=_RULES)
SparseTopKCategoricalAccuracy = Spelling(engine.SparseTopKCategoricalAccuracy, rules=_RULES)
TopKCategoricalAccuracy = Spelling(engine.TopKCategoricalAccuracy, rules=_RULES)

_MISSING = _MISSING | {
    "Accuracy": "metrics=['accuracy'] and CategoricalAccuracy are what is usually meant; Keras's class counts numbers "
    "that are equal",
    "BinaryCrossentropy": "the loss is reported by itself, as loss and val_loss",
    **dict.fromkeys(("bce", "BCE"), "the loss is reported by itself, as loss and val_loss"),
    "CategoricalCrossentropy": "the loss is reported by itself, as loss and val_loss",
    "SparseCategoricalCrossentropy": "the loss is reported by itself, as loss and val_loss",
}


def _of_arrays(name: str, cls: type[Metric]) -> Callable[..., Array]:
    """Return a metric as a function of two arrays, which gives the value of each sample."""

    def metric(y_true: Any, y_pred: Any, **arguments: Any) -> Array:
        made, targets = cls(**arguments), any_array(y_true, "y_true")
        values = np.asarray(made.values(targets, array(y_pred, "y_pred")), np.float32)
        return values.reshape(len(values), -1).mean(axis=1) if values.ndim > 1 else values

    metric.__name__ = metric.__qualname__ = name
    metric.__doc__ = f"Return the {name.replace('_', ' ')} of each sample, an (N,) array."
    metric.__module__ = __name__
    return metric


binary_accuracy = _of_arrays("binary_accuracy", engine.BinaryAccuracy)
categorical_accuracy = _of_arrays("categorical_accuracy", engine.CategoricalAccuracy)
sparse_categorical_accuracy = _of_arrays("sparse_categorical_accuracy", engine.SparseCategoricalAccuracy)
top_k_categorical_accuracy = _of_arrays("top_k_categorical_accuracy", engine.TopKCategoricalAccuracy)
sparse_top_k_categorical_accuracy = _of_arrays(
    "sparse_top_k_categorical_accuracy", engine.SparseTopKCategoricalAccuracy
)
mean_absolute_error = mae = MAE = _of_arrays("mean_absolute_error", more.MeanAbsoluteError)
mean_squared_error = mse = MSE = losses.mean_squared_error
binary_crossentropy, categorical_crossentropy = losses.binary_crossentropy, losses.categorical_crossentropy
sparse_categorical_crossentropy = losses.sparse_categorical_crossentropy

#: The words for metrics of this room's own.
_OWN = {one.__name__.lower(): one for one in (AUC, MeanAbsoluteError, Precision, Recall)}
_OWN |= {"mae": MeanAbsoluteError, "mean_absolute_error": MeanAbsoluteError}


def spelled(metrics: Any) -> Any:
    """Return what the engine takes for metrics: a list of names and objects."""
    if metrics is None or isinstance(metrics, str | Metric) or callable(metrics):
        metrics = [] if metrics is None else [metrics]
    elif isinstance(metrics, dict):
        metrics = list(metrics.values())
    if not isinstance(metrics, list | tuple):
        return metrics  # the engine says what is wrong with it
    flat: list[Any] = []
    for one in metrics:
        flat += spelled(one) if isinstance(one, list | tuple) else [_one(one)]
    return flat


def _one(metric: Any) -> Any:
    name = getattr(metric, "__name__", None)
    known = isinstance(name, str) and name in (*engine.METRICS, *_OWN, *_MISSING)
    if known and callable(metric) and not isinstance(metric, type | Metric | Spelling):
        named_alike("metrics", metric)
        metric = name
    if isinstance(metric, str):
        if metric.lower() in _OWN:
            return _OWN[metric.lower()](name=metric)
        if metric not in engine.METRICS and metric in _MISSING:
            raise not_here(f"the metric {metric}", _MISSING[metric])
        lower = {key.lower(): key for key in (*engine.METRICS, "acc", "mse")}
        return lower.get(metric.lower(), metric)
    return engine_class(metric)


def get(identifier: Any) -> Metric:
    """Return the metric that a name, a function or a configuration stands for."""
    return engine.get(_one(identifier))


def serialize(metric: Any) -> dict[str, Any]:
    """Return a description, ``{"class_name": ..., "config": ...}``, which JSON can hold."""
    return described(get(metric))


deserialize = get

__all__ = [
    "AUC",
    "MAE",
    "MSE",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "Recall",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "binary_accuracy",
    "binary_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "deserialize",
    "get",
    "mae",
    "mean_absolute_error",
    "mean_squared_error",
    "mse",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]
__dir__ = listing(__name__)
__getattr__ = looked_up(__name__, __all__, _MISSING)
