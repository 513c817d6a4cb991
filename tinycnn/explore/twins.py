"""Copies of a network on another backend or in another dtype, and numbers in a form for JSON."""

import copy
import math
from typing import Any

import numpy as np

from ..core.backend import Backend
from ..layers import BatchNormalization, Dropout, GaussianNoise, Layer
from ..sequential import Sequential


def twin(model: Sequential, backend: Backend, dtype: str | None = None) -> Sequential:
    """Return a copy of a built network on another backend: the same weights, masks, loss and number of steps.

    Parameters
    ----------
    model : Sequential
        A built model; it stays as it is.
    backend : Backend
        The backend of the copy.
    dtype : {"float32", "float64"}, optional
        The dtype of the copy; by default that of the model.
    """
    model.need_build()
    made = copy.deepcopy(model)
    made.built = False  # so that the backend can be set
    made.backend = backend
    made.build_again(dtype=dtype)
    made.set_weights(model.get_weights())
    if made.compiled:  # the layers have new arrays, which the chain has to refer to
        made.compile("sgd", made.loss)
        made.optimizer.iterations = model.optimizer.iterations
    return made


def run_as_in_prediction(layer: Layer) -> None:
    """Let a layer of a twin compute in training what it does in prediction, and keep what its backward needs.

    Its parameters are trained as before, so that they get gradients.
    """
    if isinstance(layer, Dropout):
        layer.rate = 0.0
    elif isinstance(layer, GaussianNoise):
        layer.stddev = 0.0
    elif isinstance(layer, BatchNormalization):
        layer._trainable = False  # the layer's own flag alone, not that of its parameters


def number(value: Any) -> float | str:
    """Return a number ready for JSON, which has no NaN and no infinity; JavaScript's ``Number`` reads these texts."""
    plain = float(value)
    if math.isfinite(plain):
        return plain
    return "NaN" if math.isnan(plain) else "Infinity" if plain > 0 else "-Infinity"


def largest(array: Any) -> float:
    """Return the largest absolute value among the finite numbers of an array; 0 if there is none."""
    finite = np.abs(array[np.isfinite(array)], dtype=np.float64)
    return float(finite.max(initial=0.0))
