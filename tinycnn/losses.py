"""Losses: what training makes small. Each gives a number per sample, and the gradient by the prediction."""

import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .core.backend import Backend, get_backend
from .core.checks import any_array, array, boolean, real
from .core.messages import shown
from .core.registry import Registry
from .core.types import Array, Config, Shape


class LossCache(NamedTuple):
    """``p``: predictions, as probabilities where the loss is about classes; ``targets``, in the form that the kernels
    take; ``y_pred``: what was predicted, where it was not logits."""

    p: Array
    targets: Array
    y_pred: Array | None


class Loss:
    """Base of all losses.

    A loss works on a batch: :meth:`forward` gives one number per sample, :meth:`backward` the gradient of their
    weighted sum. Division by N happens there and nowhere else, through the weights (1/N each for a mean).

    One with an attribute ``from_logits`` takes probabilities or logits, and may be copied with ``from_logits=True``:
    that is how a model fuses its final softmax with it.
    """

    name: str = "loss"

    def check_targets(self, y: Any, n: int, output_shape: Shape) -> Array:
        """Targets in the form that :meth:`forward` takes, or an error that says what is wrong with them."""
        raise NotImplementedError

    def forward(self, y_pred: Array, y_true: Array, backend: Backend) -> tuple[Array, Any]:
        """Loss of each sample (N,), and the cache; cache has the predictions ``p`` that metrics are given."""
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
        prediction = array(y_pred, "y_pred")
        if not prediction.ndim:
            raise ValueError(f"y_pred must hold a prediction for each sample; got {shown(y_pred)}")
        if prediction.dtype not in (np.float32, np.float64):
            prediction = prediction.astype(np.float32)
        targets = self.check_targets(y_true, len(prediction), prediction.shape[1:])
        backend = get_backend()
        per_sample, _ = self.forward(backend.own(np.ascontiguousarray(prediction)), targets, backend)
        return float(backend.to_numpy(per_sample).mean(dtype=np.float64))


class Crossentropy(Loss):
    """Base of the losses ``-sum_k t_k log p_k`` over classes k; subclasses say in which form the targets t come.

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits (anything) or probabilities (a softmax's result). Models fuse a final softmax
        with this loss, so that the gradient by the logits is ``p - t``, whichever way it is asked for.
    """

    #: Probabilities are kept this far from 0, as in Keras, so that a logarithm exists.
    clip = 1e-7
    #: Of forward and backward.
    kernel_names: ClassVar[tuple[str, str]]

    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits = boolean(from_logits, "from_logits")

    def get_config(self) -> Config:
        return {"from_logits": self.from_logits}

    def check_targets(self, y: Any, n: int, output_shape: Shape) -> Array:
        if len(output_shape) != 1:
            raise ValueError(
                f"{self.name} needs predictions of shape (N, classes), but the model gives (N, "
                f"{', '.join(map(str, output_shape))}); a Flatten or a global pooling is missing, before the first "
                "Dense or at the end"
            )
        return self.check_classes(y, n, output_shape[0])

    def check_classes(self, y: Any, n: int, classes: int) -> Array:
        """:meth:`check_targets` for predictions of shape (n, classes)."""
        raise NotImplementedError

    def prepared(self, y_true: Array, dtype: Any) -> Array:
        """A batch of checked targets as the kernels take them."""
        return y_true

    def forward(self, y_pred: Array, y_true: Array, backend: Backend) -> tuple[Array, LossCache]:
        kernel: Callable[..., tuple[Array, Array]] = getattr(backend.kernels, self.kernel_names[0])
        targets = backend.own(self.prepared(y_true, y_pred.dtype))
        if self.from_logits:
            losses, p = kernel(y_pred, targets)
            return losses, LossCache(p, targets, None)
        # Probabilities are the softmax of their own logarithms; this also divides by a sum that is not quite 1.
        losses, p = kernel(np.log(np.clip(y_pred, self.clip, 1)), targets)
        return losses, LossCache(p, targets, y_pred)

    def backward(self, cache: LossCache, weights: Array, backend: Backend) -> Array:
        dlogits: Array = getattr(backend.kernels, self.kernel_names[1])(cache.p, cache.targets, weights)
        if cache.y_pred is None:
            return dlogits
        inside = (cache.y_pred > self.clip) & (cache.y_pred < 1)
        return np.where(inside, dlogits / np.clip(cache.y_pred, self.clip, 1), 0).astype(dlogits.dtype, copy=False)


class SparseCategoricalCrossentropy(Crossentropy):
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
    kernel_names = "softmax_cross_entropy_forward", "softmax_cross_entropy_backward"

    def check_classes(self, y: Any, n: int, classes: int) -> Array:
        return check_labels(y, n, classes)


class CategoricalCrossentropy(Crossentropy):
    """``-sum_k t_k log p_k`` for targets t that are one-hot rows, or probabilities.

    Source: Szegedy et al., "Rethinking the Inception architecture for computer vision", 2016, section 7 (smoothing).

    Parameters
    ----------
    from_logits : bool
        As for :class:`SparseCategoricalCrossentropy`.
    label_smoothing : float in [0, 1]
        Take this share from the targets and spread it over all K classes: ``t * (1 - s) + s / K``.

    Examples
    --------
    >>> from tinycnn import losses
    >>> loss = losses.CategoricalCrossentropy()
    >>> round(loss([[0, 1]], [[0.25, 0.75]]), 4)
    0.2877
    """

    name = "categorical_crossentropy"
    kernel_names = "categorical_cross_entropy_forward", "categorical_cross_entropy_backward"

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        super().__init__(from_logits)
        self.label_smoothing = real(label_smoothing, "label_smoothing", 0, 1)

    def get_config(self) -> Config:
        return super().get_config() | {"label_smoothing": self.label_smoothing}

    def check_classes(self, y: Any, n: int, classes: int) -> Array:
        return check_rows(y, n, classes)

    def prepared(self, y_true: Array, dtype: Any) -> Array:
        rows = np.ascontiguousarray(y_true, dtype)
        if not self.label_smoothing:
            return rows
        return rows * rows.dtype.type(1 - self.label_smoothing) + rows.dtype.type(self.label_smoothing / rows.shape[1])


class MeanSquaredError(Loss):
    """``mean((y - t)**2)`` over everything that the model gives for a sample, whatever its shape.

    The mean over a batch is Keras's. Keras itself takes the mean over the last axis first, and so has more than one
    number per sample where a result has more than one axis.

    Source: Bishop, "Pattern recognition and machine learning", 2006, section 1.5.5.

    Examples
    --------
    >>> from tinycnn import losses
    >>> losses.MeanSquaredError()([[0, 1]], [[0.5, 2]])
    0.625
    """

    name = "mean_squared_error"

    def check_targets(self, y: Any, n: int, output_shape: Shape) -> Array:
        return check_numbers(y, (n, *output_shape))

    def forward(self, y_pred: Array, y_true: Array, backend: Backend) -> tuple[Array, LossCache]:
        cache = LossCache(y_pred, backend.own(np.ascontiguousarray(y_true, y_pred.dtype)), None)
        return backend.kernels.mean_squared_error_forward(*_flat(cache)), cache

    def backward(self, cache: LossCache, weights: Array, backend: Backend) -> Array:
        return backend.kernels.mean_squared_error_backward(*_flat(cache), weights).reshape(cache.p.shape)


def _flat(cache: LossCache) -> tuple[Array, Array]:
    """Predictions and targets as (N, D)."""
    shape = len(cache.p), math.prod(cache.p.shape[1:])
    return cache.p.reshape(shape), cache.targets.reshape(shape)


def check_labels(y: Any, n: int, classes: int) -> Array:
    """Integer class labels as an (n,) int64 array; (n,) and (n, 1) are taken, nothing is broadcast.

    Raises
    ------
    ValueError
        For another shape, a label outside ``0 … classes - 1``, or a number that is not whole.
    """
    labels = any_array(y, "y")
    if labels.shape == (n, 1):
        labels = labels[:, 0]
    if labels.shape != (n,):
        one_hot = labels.ndim == 2 and labels.shape == (n, classes)
        cure = "; these look like one-hot rows: use y.argmax(axis=1), or the loss categorical_crossentropy"
        hint = cure if one_hot else ""
        raise ValueError(f"y: expected {n} integer labels of shape ({n},) or ({n}, 1), got {labels.shape}{hint}")
    whole = labels.dtype.kind in "iub" or (labels.dtype.kind == "f" and np.array_equal(labels, np.floor(labels)))
    if not whole:
        raise ValueError(f"y: expected integer labels, got {labels.dtype} with values that are not whole numbers")
    if n and (labels.min() < 0 or labels.max() >= classes):
        bad = labels[(labels < 0) | (labels >= classes)][0]
        raise ValueError(f"y: label {bad} is outside 0 … {classes - 1}: the model has {classes} outputs")
    return np.ascontiguousarray(labels, dtype=np.int64)


def check_rows(y: Any, n: int, classes: int) -> Array:
    """One-hot rows, or rows of probabilities, (n, classes), in the dtype they came in; nothing is broadcast.

    Raises
    ------
    ValueError
        For another shape, or a row that is not of finite numbers from 0 with the sum 1 (to 0.001).
    """
    rows = any_array(y, "y")
    if rows.shape != (n, classes):
        labels = classes > 1 and rows.shape in ((n,), (n, 1)) and rows.dtype.kind in "iub"
        hint = "; these look like labels: use the loss sparse_categorical_crossentropy" if labels else ""
        raise ValueError(f"y: expected one-hot rows of shape ({n}, {classes}), got {rows.shape}{hint}")
    rows = check_numbers(rows, (n, classes))
    if n and rows.min() < 0:
        raise ValueError(f"y: expected one-hot rows or probabilities, got the negative number {rows.min()}")
    sums = rows.sum(axis=1, dtype=np.float64)
    if not np.all(np.abs(sums - 1) <= 1e-3):
        bad = int(np.argmax(np.abs(sums - 1)))
        raise ValueError(f"y: expected rows with the sum 1 (one-hot, or probabilities), but row {bad} has {sums[bad]}")
    return rows


def check_numbers(y: Any, shape: Shape) -> Array:
    """Finite real numbers of exactly that shape, in the dtype they came in; nothing is broadcast.

    Raises
    ------
    ValueError
        For another shape, NaN or infinity, or what is no real number.
    """
    numbers = any_array(y, "y")
    if numbers.shape != shape:
        hint = f"; y.reshape{shape} may be meant" if numbers.size == math.prod(shape) and numbers.ndim else ""
        raise ValueError(f"y: expected the shape of the predictions, {shape}, got {numbers.shape}{hint}")
    if numbers.dtype.kind not in "iubf":
        raise ValueError(f"y: expected real numbers, got {numbers.dtype}")
    if not np.isfinite(numbers).all():
        raise ValueError("y: expected finite numbers, got NaN or infinity")
    return numbers


LOSSES: dict[str, type[Loss]] = {
    cls.name: cls for cls in (SparseCategoricalCrossentropy, CategoricalCrossentropy, MeanSquaredError)
}

REGISTRY = Registry(
    "loss",
    Loss,
    LOSSES,
    aliases={"mse": MeanSquaredError},
    advice={
        "binarycrossentropy": "end the model with Dense(2, activation='softmax'), which does as well for two classes, "
        "and use sparse_categorical_crossentropy"
    },
)


def get(loss: Any) -> Loss:
    """Return a loss from its name, its class name, its configuration, or itself.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    return REGISTRY.find(loss)
