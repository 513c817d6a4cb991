"""Losses: what training makes small. Each gives a number per sample, and the gradient by the prediction."""

from typing import Any, NamedTuple

import numpy as np

from ._checks import boolean, unknown
from ._types import Array, Config, Shape
from .backend import Backend, get_backend


class LossCache(NamedTuple):
    """``p``: probabilities; ``labels``; ``y_pred``: what was predicted, where it was not logits."""

    p: Array
    labels: Array
    y_pred: Array | None


class Loss:
    """Base of all losses.

    A loss works on a batch: :meth:`forward` gives one number per sample, :meth:`backward` the gradient of their
    weighted sum. Division by N happens there and nowhere else, through the weights (1/N each for a mean).
    """

    name: str

    def check_targets(self, y: Any, n: int, output_shape: Shape) -> Array:
        """Targets in the form that :meth:`forward` takes, or an error that says what is wrong with them."""
        raise NotImplementedError

    def forward(self, y_pred: Array, y_true: Array, backend: Backend) -> tuple[Array, Any]:
        """Loss of each sample (N,), and the cache; cache has the probabilities ``p``."""
        raise NotImplementedError

    def backward(self, cache: Any, weights: Array, backend: Backend) -> Array:
        """Gradient by ``y_pred`` of ``sum_n weights[n] * loss[n]``."""
        raise NotImplementedError

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {}

    def __call__(self, y_true: Any, y_pred: Any) -> float:
        """Mean loss of a batch of predictions (Keras's order of arguments).

        Raises
        ------
        ValueError
            If shapes do not fit or targets are out of range.
        """
        prediction = np.asarray(y_pred)
        if prediction.dtype not in (np.float32, np.float64):
            prediction = prediction.astype(np.float32)
        targets = self.check_targets(y_true, len(prediction), prediction.shape[1:])
        per_sample, _ = self.forward(np.ascontiguousarray(prediction), targets, get_backend())
        return float(per_sample.mean(dtype=np.float64))


class SparseCategoricalCrossentropy(Loss):
    """``-log p[true class]`` for labels that are integers.

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits (anything) or probabilities (a softmax's result). Models fuse a final softmax
        with this loss, so that the gradient by the logits is ``p - y``, whichever way it is asked for.

    Examples
    --------
    >>> from tinycnn import losses
    >>> loss = losses.SparseCategoricalCrossentropy()
    >>> round(loss([1], [[0.25, 0.75]]), 4)
    0.2877
    """

    name = "sparse_categorical_crossentropy"
    #: Probabilities are kept this far from 0, as in Keras, so that a logarithm exists.
    clip = 1e-7

    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits = boolean(from_logits, "from_logits")

    def get_config(self) -> Config:
        return {"from_logits": self.from_logits}

    def check_targets(self, y: Any, n: int, output_shape: Shape) -> Array:
        if len(output_shape) != 1:
            raise ValueError(
                f"{self.name} needs predictions of shape (N, classes), but the model gives (N, "
                f"{', '.join(map(str, output_shape))}); end it with Flatten or Dense"
            )
        return check_labels(y, n, output_shape[0])

    def forward(self, y_pred: Array, y_true: Array, backend: Backend) -> tuple[Array, LossCache]:
        if self.from_logits:
            losses, p = backend.kernels.softmax_cross_entropy_forward(y_pred, y_true)
            return losses, LossCache(p, y_true, None)
        # Probabilities are the softmax of their own logarithms; this also divides by a sum that is not quite 1.
        logits = np.log(np.clip(y_pred, self.clip, 1))
        losses, p = backend.kernels.softmax_cross_entropy_forward(logits, y_true)
        return losses, LossCache(p, y_true, y_pred)

    def backward(self, cache: LossCache, weights: Array, backend: Backend) -> Array:
        dlogits = backend.kernels.softmax_cross_entropy_backward(cache.p, cache.labels, weights)
        if cache.y_pred is None:
            return dlogits
        inside = (cache.y_pred > self.clip) & (cache.y_pred < 1)
        return np.where(inside, dlogits / np.clip(cache.y_pred, self.clip, 1), 0).astype(dlogits.dtype, copy=False)


def check_labels(y: Any, n: int, classes: int) -> Array:
    """Integer class labels as an (n,) int64 array; (n,) and (n, 1) are taken, nothing is broadcast.

    Raises
    ------
    ValueError
        For another shape, a label outside ``0 … classes - 1``, or a number that is not whole.
    """
    labels = np.asarray(y)
    if labels.shape == (n, 1):
        labels = labels[:, 0]
    if labels.shape != (n,):
        one_hot = labels.ndim == 2 and labels.shape == (n, classes)
        hint = "; these look like one-hot rows: use y.argmax(axis=1)" if one_hot else ""
        raise ValueError(f"y: expected {n} integer labels of shape ({n},) or ({n}, 1), got {labels.shape}{hint}")
    whole = labels.dtype.kind in "iub" or (labels.dtype.kind == "f" and np.array_equal(labels, np.floor(labels)))
    if not whole:
        raise ValueError(f"y: expected integer labels, got {labels.dtype} with values that are not whole numbers")
    if n and (labels.min() < 0 or labels.max() >= classes):
        bad = labels[(labels < 0) | (labels >= classes)][0]
        raise ValueError(f"y: label {bad} is outside 0 … {classes - 1}: the model has {classes} outputs")
    return np.ascontiguousarray(labels, dtype=np.int64)


LOSSES: dict[str, type[Loss]] = {cls.name: cls for cls in (SparseCategoricalCrossentropy,)}


def get(loss: Any) -> Loss:
    """A loss from its name, its class name, its configuration, or itself.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if isinstance(loss, Loss):
        return loss
    config: Config = {}
    name = loss
    if isinstance(loss, dict) and loss.keys() == {"class_name", "config"}:
        name, config = loss["class_name"], loss["config"]
    by_name = LOSSES | {cls.__name__: cls for cls in LOSSES.values()}
    if not isinstance(name, str) or name not in by_name:
        raise unknown("loss", name, LOSSES)
    return by_name[name](**config)
