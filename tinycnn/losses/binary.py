"""The binary crossentropy, for questions that are answered with yes or no."""

import math
from typing import Any

import numpy as np

from ..core.backend import Backend
from ..core.checks import boolean, real
from ..core.types import Array, Shape
from .base import Loss, LossCache
from .targets import check_shares


class BinaryCrossentropy(Loss):
    """The loss ``-t log p - (1 - t) log(1 - p)`` of a label t that is 0 or 1, and the predicted probability p of 1.

    A model has one output for two classes, or an output for each of several questions that do not exclude each other.
    The loss of a sample is the mean over its outputs. Targets have the shape of the predictions; labels of shape (N,)
    are accepted for one output. A label between 0 and 1 is the probability that the answer is yes.

    With logits z, ``p = 1 / (1 + exp(-z))``, and the loss is ``max(z, 0) - z t + log(1 + exp(-|z|))``, which is exact
    for any logits. Its gradient with respect to z is ``p - t``.

    Source: Bishop, "Pattern recognition and machine learning", 2006, equations 4.90 and 4.91.

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits (any numbers) and not probabilities (the result of a sigmoid). A model fuses a
        final sigmoid with this loss in both cases, so that the gradient with respect to the logits is ``p - t``.
    label_smoothing : float in [0, 1]
        The share s by which labels are drawn to 1/2: ``t * (1 - s) + s / 2``.
    **base
        ``name`` and ``reduction``: see :class:`Loss`.

    Examples
    --------
    >>> from tinycnn import losses
    >>> loss = losses.BinaryCrossentropy()
    >>> round(loss([1, 0], [[0.75], [0.25]]), 4)
    0.2877
    >>> round(losses.BinaryCrossentropy(from_logits=True)([1], [[0.0]]), 4)
    0.6931
    """

    name = "binary_crossentropy"
    takes_over = "sigmoid"
    accuracy = "binary_accuracy"
    #: Probabilities are kept at least this far from 0 and 1, as in Keras, so that both have a logarithm.
    clip = 1e-7

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, **base: Any) -> None:
        super().__init__(**base)
        self.from_logits = boolean(from_logits, "from_logits")
        self.label_smoothing = real(label_smoothing, "label_smoothing", 0, 1)

    def check_targets(self, y: Any, n: int, output_shape: Shape) -> Array:
        return check_shares(y, (n, *output_shape))

    def classes_of(self, targets: Array) -> Array | None:
        rows = targets.reshape(len(targets), -1)
        if rows.shape[1] == 1:
            return np.round(rows[:, 0]).astype(np.int64)
        one_alone = (rows == rows.max(axis=1, keepdims=True)).sum(axis=1) == 1
        return rows.argmax(axis=1) if one_alone.all() else None

    def forward(self, y_pred: Array, y_true: Array, backend: Backend) -> tuple[Array, LossCache]:
        t = backend.own(self._smoothed(y_true, y_pred.dtype))
        if self.from_logits:
            values = np.maximum(y_pred, 0) - y_pred * t + np.log1p(np.exp(-np.abs(y_pred)))
            cache = LossCache(backend.kernels.sigmoid_forward(y_pred), t, None)
        else:
            p = np.clip(y_pred, self.clip, 1 - self.clip)
            values = -(t * np.log(p) + (1 - t) * np.log(1 - p))
            cache = LossCache(y_pred, t, y_pred)
        return np.mean(values.reshape(len(values), -1), axis=1), cache

    def backward(self, cache: LossCache, weights: Array, backend: Backend) -> Array:
        p, t, y_pred = cache
        outputs = math.prod(p.shape[1:])
        shares = (weights / outputs).reshape(-1, *(1 for _ in p.shape[1:]))
        if y_pred is None:
            return shares * (p - t)
        inside = (y_pred > self.clip) & (y_pred < 1 - self.clip)
        p = np.clip(y_pred, self.clip, 1 - self.clip)
        return np.where(inside, shares * (p - t) / (p * (1 - p)), 0).astype(p.dtype, copy=False)

    def _smoothed(self, y_true: Array, dtype: Any) -> Array:
        """Return a batch of checked labels in a dtype, drawn to 1/2 if that is wanted."""
        t = np.ascontiguousarray(y_true, dtype)
        if not self.label_smoothing:
            return t
        return t * t.dtype.type(1 - self.label_smoothing) + t.dtype.type(self.label_smoothing / 2)
