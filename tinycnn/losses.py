"""Losses, the numbers that training makes small: one per sample, and its gradient with respect to the prediction."""

import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .core import forms
from .core.backend import Backend, get_backend
from .core.checks import any_array, array, boolean, checked_name, choice, real
from .core.description import Described
from .core.messages import shown
from .core.printing import for_print
from .core.public import listing
from .core.registry import Registry
from .core.targets import as_numbers
from .core.types import Array, Config, Shape
from .core.version import is_ours

#: The reduction of all losses, by its name in Keras.
_MEAN = "sum_over_batch_size"

__dir__ = listing(__name__)


class LossCache(NamedTuple):
    """What the backward pass of a loss needs of the forward pass.

    ``p`` holds the predictions, as probabilities where the loss is about classes. ``targets`` are in the form that the
    kernels take. ``y_pred`` holds the predicted probabilities if backward needs them, and is None otherwise.
    """

    p: Array
    targets: Array
    y_pred: Array | None


class Loss(Described):
    """Base of all losses.

    A loss works on a batch: :meth:`forward` gives one number per sample, and :meth:`backward` gives the gradient of
    their weighted sum. The division by N happens in that sum and nowhere else: for a mean, each weight is 1/N.

    A loss of your own defines ``check_targets``, ``forward`` and ``backward``.

    A loss with an attribute ``from_logits`` takes either probabilities or logits. A model makes a copy of it with
    ``from_logits=True`` to fuse its final softmax with the loss.

    Parameters
    ----------
    name : str, optional
        What errors call the loss; by default Keras's name for the class.
    reduction : {"sum_over_batch_size", "mean"}
        Both are the mean over the batch; Keras's other reductions do not exist here.
    """

    name: str = "loss"
    _form = forms.LOSS
    _added: ClassVar = {"reduction": _MEAN}

    def __init__(self, name: str | None = None, reduction: str = _MEAN) -> None:
        self.name = checked_name(type(self).name if name is None else name)
        self.reduction = choice(reduction, (_MEAN, "mean"), "reduction")

    def get_config(self) -> Config:
        config = super().get_config()
        if is_ours(type(self)) and config.get("name") == type(self).name:
            del config["name"]  # files of format 1 do not have it
        return config

    def check_targets(self, y: Any, n: int, output_shape: Shape) -> Array:
        """Return the targets in the form that :meth:`forward` takes, or raise an error that says what is wrong.

        Parameters
        ----------
        y : array-like
            The targets of ``n`` samples.
        n : int
            The number of samples.
        output_shape : tuple of int
            The shape of the prediction for one sample.

        Raises
        ------
        ValueError
            If the targets do not fit the predictions.
        """
        raise NotImplementedError(f"{type(self).__name__} must define check_targets(y, n, output_shape)")

    def forward(self, y_pred: Array, y_true: Array, backend: Backend) -> tuple[Array, Any]:
        """Return the loss of each sample, an (N,) array, and the cache for :meth:`backward`.

        The cache has an attribute ``p``, the predictions that metrics are given.
        """
        raise NotImplementedError(f"{type(self).__name__} must define forward(y_pred, y_true, backend)")

    def backward(self, cache: Any, weights: Array, backend: Backend) -> Array:
        """Return the gradient of ``sum_n weights[n] * loss[n]`` with respect to ``y_pred``."""
        raise NotImplementedError(f"{type(self).__name__} must define backward(cache, weights, backend)")

    def __call__(self, y_true: Any, y_pred: Any) -> float:
        """Return the mean loss of a batch of predictions; the order of the arguments is Keras's.

        Parameters
        ----------
        y_true : array-like
            The targets, one for each sample.
        y_pred : (N, …) array-like
            The predictions.

        Raises
        ------
        ValueError
            If the shapes do not fit or a target is out of range.
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
    """Base of the losses ``-sum_k t_k log p_k`` over the classes k.

    A subclass says in which form it takes the targets t.

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits (any numbers) and not probabilities (the result of a softmax). A model fuses a
        final softmax with this loss in both cases, so that the gradient with respect to the logits is ``p - t``.
    **base
        ``name`` and ``reduction``: see :class:`Loss`.
    """

    #: Probabilities are kept at least this far from 0, as in Keras, so that they have a logarithm.
    clip = 1e-7
    #: The names of the kernels for forward and for backward.
    kernel_names: ClassVar[tuple[str, str]]

    def __init__(self, from_logits: bool = False, **base: Any) -> None:
        super().__init__(**base)
        self.from_logits = boolean(from_logits, "from_logits")

    def check_targets(self, y: Any, n: int, output_shape: Shape) -> Array:
        if len(output_shape) != 1:
            raise ValueError(
                f"{self.name} needs predictions of shape (N, classes), but the model gives (N, "
                f"{', '.join(map(str, output_shape))}). Add a Flatten or a global pooling layer before the first Dense "
                "or at the end."
            )
        return self.check_classes(y, n, output_shape[0])

    def check_classes(self, y: Any, n: int, classes: int) -> Array:
        """Return checked targets for predictions of shape (n, classes); see :meth:`check_targets`."""
        raise NotImplementedError(f"{type(self).__name__} must define check_classes(y, n, classes)")

    def prepared(self, y_true: Array, dtype: Any) -> Array:
        """Return a batch of checked targets in the form that the kernels take."""
        return y_true

    def forward(self, y_pred: Array, y_true: Array, backend: Backend) -> tuple[Array, LossCache]:
        kernel: Callable[..., tuple[Array, Array]] = getattr(backend.kernels, self.kernel_names[0])
        targets = backend.own(self.prepared(y_true, y_pred.dtype))
        if self.from_logits:
            losses, p = kernel(y_pred, targets)
            return losses, LossCache(p, targets, None)
        # Probabilities are the softmax of their own logarithms. The kernel also divides by their sum if that is not 1.
        losses, p = kernel(np.log(np.clip(y_pred, self.clip, 1)), targets)
        return losses, LossCache(p, targets, y_pred)

    def backward(self, cache: LossCache, weights: Array, backend: Backend) -> Array:
        dlogits: Array = getattr(backend.kernels, self.kernel_names[1])(cache.p, cache.targets, weights)
        if cache.y_pred is None:
            return dlogits
        inside = (cache.y_pred > self.clip) & (cache.y_pred < 1)
        return np.where(inside, dlogits / np.clip(cache.y_pred, self.clip, 1), 0).astype(dlogits.dtype, copy=False)


class SparseCategoricalCrossentropy(Crossentropy):
    """The loss ``-log p[true class]`` for labels that are integers.

    Labels are of shape (N,) or (N, 1), and predictions of shape (N, classes).

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits (any numbers) and not probabilities (the result of a softmax). A model fuses a
        final softmax with this loss in both cases, so that the gradient with respect to the logits is ``p - y``, with
        y the one-hot row of the label.
    **base
        ``name`` and ``reduction``: see :class:`Loss`.

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
    """The loss ``-sum_k t_k log p_k`` for targets t that are one-hot rows or rows of probabilities.

    Targets and predictions are of shape (N, classes).

    Source: Szegedy et al., "Rethinking the Inception architecture for computer vision", 2016, section 7 (smoothing).

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits: see :class:`SparseCategoricalCrossentropy`.
    label_smoothing : float in [0, 1]
        The share s that is taken from the targets and spread over all K classes: ``t * (1 - s) + s / K``.
    **base
        ``name`` and ``reduction``: see :class:`Loss`.

    Examples
    --------
    >>> from tinycnn import losses
    >>> loss = losses.CategoricalCrossentropy()
    >>> round(loss([[0, 1]], [[0.25, 0.75]]), 4)
    0.2877
    """

    name = "categorical_crossentropy"
    kernel_names = "categorical_cross_entropy_forward", "categorical_cross_entropy_backward"

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, **base: Any) -> None:
        super().__init__(from_logits, **base)
        self.label_smoothing = real(label_smoothing, "label_smoothing", 0, 1)

    def check_classes(self, y: Any, n: int, classes: int) -> Array:
        return check_rows(y, n, classes)

    def prepared(self, y_true: Array, dtype: Any) -> Array:
        rows = np.ascontiguousarray(y_true, dtype)
        if not self.label_smoothing:
            return rows
        return rows * rows.dtype.type(1 - self.label_smoothing) + rows.dtype.type(self.label_smoothing / rows.shape[1])


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

    def __init__(self, reduction: str = _MEAN, name: str | None = None) -> None:
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


def check_labels(y: Any, n: int, classes: int) -> Array:
    """Return integer class labels as an (n,) int64 array.

    Labels of shape (n,) and (n, 1) are accepted; nothing is broadcast.

    Raises
    ------
    ValueError
        If the labels have another shape, are not whole numbers or do not lie in ``0 … classes - 1``.
    """
    labels = any_array(y, "y")
    if labels.shape == (n, 1):
        labels = labels[:, 0]
    if labels.shape != (n,):
        hint = ""
        if labels.ndim == 2 and len(labels) == n and (labels.shape[1] == classes or _is_one_hot(labels)):
            hint = ". These look like one-hot rows: use y.argmax(axis=1), or the loss categorical_crossentropy."
        elif labels.shape == (1, n):
            hint = ". Use y[0]."
        raise ValueError(f"y: expected {n} integer labels of shape ({n},) or ({n}, 1); got shape {labels.shape}{hint}")
    labels = as_numbers(labels, "y")
    if labels.dtype.kind not in "iubf":
        raise ValueError(f"y: expected integer labels; got values of dtype {labels.dtype}")
    broken = labels != np.floor(labels) if labels.dtype.kind == "f" else np.zeros(n, bool)
    if broken.any():
        at = int(broken.argmax())
        cure = "; for targets that are no classes, use the loss mean_squared_error"
        if np.isnan(labels[at]):
            cure = "; it is missing: leave out samples without a label, keep = ~np.isnan(y); x, y = x[keep], y[keep]"
        raise ValueError(f"y: labels must be whole numbers; got {labels[at]} at index {at}{cure}")
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        at = int(outside.argmax())
        text = f"y: labels must lie in 0 … {classes - 1} for {classes} outputs; got {labels[at]} at index {at}. "
        raise ValueError(for_print(text + _cure_for_labels(labels, classes)))
    return np.ascontiguousarray(labels, dtype=np.int64)


def _is_one_hot(rows: Array) -> bool:
    """Return whether rows hold a single one, and zeros elsewhere."""
    return rows.size > 0 and bool((np.isin(rows, (0, 1)).all(axis=1) & ((rows == 1).sum(axis=1) == 1)).all())


def _cure_for_labels(labels: Array, classes: int) -> str:
    """Return a sentence that says what to do about labels outside ``0 … classes - 1``."""
    if labels.min() < 0:
        return "Classes are numbered from 0: renumber them, or leave out samples whose class is not known."
    if labels.min() >= 1 and labels.max() == classes:
        return "Subtract 1 if your classes are numbered from 1."
    return "Correct the labels, or give the last layer an output for every class."


def check_rows(y: Any, n: int, classes: int) -> Array:
    """Return one-hot rows, or rows of probabilities, of shape (n, classes), in the dtype they came in.

    Nothing is broadcast.

    Raises
    ------
    ValueError
        If the rows have another shape, hold a number that is negative or not finite, or do not sum to 1 within 0.001.
    """
    rows = any_array(y, "y")
    if rows.shape != (n, classes):
        labels = classes > 1 and rows.shape in ((n,), (n, 1))
        hint = ". These look like labels: use the loss sparse_categorical_crossentropy." if labels else ""
        raise ValueError(f"y: expected one-hot rows of shape ({n}, {classes}); got shape {rows.shape}{hint}")
    rows = check_numbers(rows, (n, classes))
    negative = rows < 0
    if negative.any():
        at = _first(negative)
        raise ValueError(f"y: one-hot rows and probabilities must not be negative; got {rows[at]} at index {at}")
    sums = rows.sum(axis=1, dtype=np.float64)
    wrong = np.abs(sums - 1) > 1e-3
    if wrong.any():
        row = int(wrong.argmax())
        hint = ". Divide every row by its sum if the numbers are counts or weights." if sums[row] > 0 else ""
        raise ValueError(
            f"y: every row must sum to 1 (one-hot, or probabilities); row {row} sums to {sums[row]:g}{hint}"
        )
    return rows


def check_numbers(y: Any, shape: Shape) -> Array:
    """Return finite real numbers of exactly this shape, in the dtype they came in. Nothing is broadcast.

    Raises
    ------
    ValueError
        If the array has another shape, or holds NaN, infinity or anything but real numbers.
    """
    numbers = any_array(y, "y")
    if numbers.shape != shape:
        hint = f". Perhaps y.reshape{shape} is meant." if numbers.size == math.prod(shape) and numbers.ndim else ""
        raise ValueError(f"y: expected the shape of the predictions, {shape}; got shape {numbers.shape}{hint}")
    numbers = as_numbers(numbers, "y")
    if numbers.dtype.kind not in "iubf":
        raise ValueError(f"y: targets must be real numbers; got values of dtype {numbers.dtype}")
    finite = np.isfinite(numbers)
    if not finite.all():
        at = _first(~finite)
        raise ValueError(f"y: targets must be finite; got {numbers[at]} at index {at}")
    return numbers


def _first(mask: Array) -> tuple[int, ...]:
    """Return the index of the first True in a mask that has one."""
    return tuple(map(int, np.unravel_index(mask.argmax(), mask.shape)))


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
