"""The mean squared error."""

import math
from typing import Any

import numpy as np

from ..core.backend import Backend
from ..core.types import Array, Shape
from .base import MEAN, Loss, LossCache
from .targets import check_numbers


class MeanSquaredError(Loss):
    """The loss ``mean((y - t)**2)``, the mean over all numbers y that the model predicts for a sample.

    Targets t have the shape of the predictions, whatever it is. The mean over a batch is the same as in Keras. Keras
    itself takes the mean over the last axis first, and so has several numbers per sample where predictions have
    several axes.

    Source: Bishop, "Pattern recognition and machine learning", 2006, section 1.5.5.

    Parameters
    ----------
    reduction, name
        As in :class:`Loss`, in Keras's order.

    Examples
    --------
    >>> from tinycnn import losses
    >>> losses.MeanSquaredError()([[0, 1]], [[0.5, 2]])
    0.625
    """

    name = "mean_squared_error"

    def __init__(self, reduction: str = MEAN, name: str | None = None) -> None:
        super().__init__(name, reduction)

    def check_targets(self, y: Any, n: int, output_shape: Shape) -> Array:
        return check_numbers(y, (n, *output_shape))

    def forward(self, y_pred: Array, y_true: Array, backend: Backend) -> tuple[Array, LossCache]:
        cache = LossCache(y_pred, backend.own(np.ascontiguousarray(y_true, y_pred.dtype)), None)
        return backend.kernels.mean_squared_error_forward(*_flat(cache)), cache

    def backward(self, cache: LossCache, weights: Array, backend: Backend) -> Array:
        return backend.kernels.mean_squared_error_backward(*_flat(cache), weights).reshape(cache.p.shape)


def _flat(cache: LossCache) -> tuple[Array, Array]:
    """Return predictions and targets as matrices of shape (N, D)."""
    shape = len(cache.p), math.prod(cache.p.shape[1:])
    return cache.p.reshape(shape), cache.targets.reshape(shape)
