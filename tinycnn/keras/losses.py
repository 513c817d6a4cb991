"""Losses under Keras's names: classes, functions of arrays, and what ``compile`` takes for a loss."""

from typing import Any

import numpy as np

from .. import losses as engine
from ..core.backend import get_backend
from ..core.checks import array
from ..core.description import described
from ..core.messages import shown
from ..core.public import listing
from ..core.types import Array
from ..losses import Loss
from ._missing import LOSSES as _MISSING
from ._spelling import Rule, Spelling, engine_class, only, silent
from ._telling import looked_up, named_alike

_RULES: dict[str, Rule] = {
    "axis": only(-1, cure="classes are on the last axis: leave the argument out"),
    "dtype": silent,
    "ignore_class": only(None, cure="give the samples of that class a sample_weight of 0"),
}


def _reduction(value: Any) -> Any:
    """Return a reduction by its name today; ``AUTO`` of Keras 2 is the mean over the batch."""
    return "sum_over_batch_size" if value in (None, "auto") and value is not None else value


_CHANGES = {"reduction": _reduction}

BinaryCrossentropy = Spelling(
    engine.BinaryCrossentropy, ("from_logits", "label_smoothing", "axis", "reduction", "name"), _RULES, _CHANGES
)
CategoricalCrossentropy = Spelling(
    engine.CategoricalCrossentropy, ("from_logits", "label_smoothing", "axis", "reduction", "name"), _RULES, _CHANGES
)
SparseCategoricalCrossentropy = Spelling(
    engine.SparseCategoricalCrossentropy,
    ("from_logits", "ignore_class", "reduction", "axis", "name"),
    _RULES,
    _CHANGES,
)
MeanSquaredError = Spelling(engine.MeanSquaredError, ("reduction", "name"), _RULES, _CHANGES)


class LossOfArrays:
    """A loss as a function of two arrays, as ``compile`` takes it too.

    Parameters
    ----------
    cls : class
        One of :data:`tinycnn.losses.LOSSES`.

    Examples
    --------
    >>> from tinycnn.keras import losses
    >>> losses.categorical_crossentropy([[0, 1]], [[0.25, 0.75]]).round(4).tolist()
    [0.2877]
    """

    def __init__(self, cls: type[Loss]) -> None:
        self._cls = cls
        self.__name__ = self.__qualname__ = cls.name
        self.__doc__ = cls.__doc__

    def __call__(self, y_true: Any, y_pred: Any, from_logits: bool = False, **arguments: Any) -> Array:
        """Return the loss of each sample, an (N,) array."""
        given = {"from_logits": from_logits, **arguments} if from_logits else arguments
        axis = given.pop("axis", -1)
        if axis != -1:
            raise ValueError(f"{self.__name__}: axis must be -1, because classes are last; got {shown(axis)}")
        loss, prediction = self._cls(**given), array(y_pred, "y_pred")
        if not np.issubdtype(prediction.dtype, np.floating):
            prediction = prediction.astype(np.float32)
        if not prediction.ndim:
            raise ValueError(f"y_pred must hold a prediction for each sample; got {shown(y_pred)}")
        targets = loss.check_targets(y_true, len(prediction), prediction.shape[1:])
        backend = get_backend()
        values, _ = loss.forward(backend.own(np.ascontiguousarray(prediction)), targets, backend)
        return backend.to_numpy(values).copy()

    def __repr__(self) -> str:
        return f"<loss {self.__name__}>"


binary_crossentropy = bce = BCE = LossOfArrays(engine.BinaryCrossentropy)
categorical_crossentropy = LossOfArrays(engine.CategoricalCrossentropy)
sparse_categorical_crossentropy = LossOfArrays(engine.SparseCategoricalCrossentropy)
mean_squared_error = mse = MSE = LossOfArrays(engine.MeanSquaredError)


class Reduction:
    """The names of Keras 2 for what is done with the losses of a batch; here it is always their mean."""

    AUTO = "auto"
    SUM_OVER_BATCH_SIZE = "sum_over_batch_size"
    NONE = "none"
    SUM = "sum"


def spelled(loss: Any) -> Any:
    """Return what the engine takes for a loss: a function stands for the loss of its name, a list of one for its item.

    Raises
    ------
    ValueError
        If there are several losses.
    """
    if isinstance(loss, list | tuple | dict) and not (isinstance(loss, dict) and "class_name" in loss):
        several = list(loss.values()) if isinstance(loss, dict) else list(loss)
        if len(several) != 1:
            raise ValueError(f"a model has one output and one loss here; got {len(several)} losses")
        loss = several[0]
    name = getattr(loss, "__name__", None)
    if callable(loss) and not isinstance(loss, type | Loss | Spelling) and name in (*engine.LOSSES, *_MISSING):
        named_alike("loss", loss)
        loss = name
    if isinstance(loss, str):
        lower = {key.lower(): key for key in (*engine.LOSSES, "mse")} | {"bce": "binary_crossentropy"}
        loss = lower.get(loss.lower(), loss)
        if loss in _MISSING:
            raise ValueError(f"loss: tinycnn has no {loss!r}; {_MISSING[loss]}")
    return engine_class(loss)


def get(identifier: Any) -> Loss:
    """Return the loss that a name, a function or a configuration stands for."""
    return engine.get(spelled(identifier))


def serialize(loss: Any) -> dict[str, Any]:
    """Return a description, ``{"class_name": ..., "config": ...}``, which JSON can hold."""
    return described(get(loss))


deserialize = get

__all__ = [
    "BCE",
    "MSE",
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Loss",
    "MeanSquaredError",
    "Reduction",
    "SparseCategoricalCrossentropy",
    "bce",
    "binary_crossentropy",
    "categorical_crossentropy",
    "deserialize",
    "get",
    "mean_squared_error",
    "mse",
    "serialize",
    "sparse_categorical_crossentropy",
]
__dir__ = listing(__name__)
__getattr__ = looked_up(__name__, __all__, _MISSING)
