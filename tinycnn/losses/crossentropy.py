"""The crossentropies of several classes, for labels and for one-hot rows."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..core.backend import Backend
from ..core.checks import boolean, real
from ..core.types import Array, Shape
from .base import Loss, LossCache
from .targets import check_labels, check_rows


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

    def classes_of(self, targets: Array) -> Array | None:
        return targets if targets.ndim == 1 else targets.argmax(axis=-1)

    def prepared(self, y_true: Array, dtype: Any) -> Array:
        """Return a batch of checked targets in the form that the kernels take."""
        return y_true

    def forward(self, y_pred: Array, y_true: Array, backend: Backend) -> tuple[Array, LossCache]:
        kernel: Callable[..., tuple[Array, Array]] = getattr(backend.kernels, self.kernel_names[0])
        targets = backend.own(self.prepared(y_true, y_pred.dtype))
        if self.from_logits:
            losses, p = kernel(y_pred, targets)
            return losses, LossCache(p, targets, None)
        # As in Keras, what does not sum to 1 is divided by its sum before it is kept away from 0. Probabilities are the
        # softmax of their own logarithms.
        losses, p = kernel(np.log(np.clip(y_pred / self._sums(y_pred), self.clip, 1)), targets)
        return losses, LossCache(p, targets, y_pred)

    def backward(self, cache: LossCache, weights: Array, backend: Backend) -> Array:
        dlogits: Array = getattr(backend.kernels, self.kernel_names[1])(cache.p, cache.targets, weights)
        if cache.y_pred is None:
            return dlogits
        sums = self._sums(cache.y_pred)
        q = cache.y_pred / sums
        inside = (q > self.clip) & (q < 1)
        dq = np.where(inside, dlogits / np.clip(q, self.clip, 1), 0)
        # The sum changes with each of its terms, unless it was kept away from 0.
        common = np.where(sums > self.clip, np.sum(dq * q, axis=1, keepdims=True), 0)
        return ((dq - common) / sums).astype(dlogits.dtype, copy=False)

    def _sums(self, y_pred: Array) -> Array:
        """Return what each row of probabilities is divided by: its sum, kept away from 0."""
        return np.maximum(np.sum(y_pred, axis=1, keepdims=True), self.clip)


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
