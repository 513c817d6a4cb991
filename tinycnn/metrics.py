"""What is watched while training: sums over samples, exact for any batch size."""

from typing import Any

import numpy as np

from ._checks import unknown
from ._types import Array


class Metric:
    """A figure gathered batch by batch."""

    name: str

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.total = 0.0
        self.count = 0

    def update(self, y_true: Array, y_pred: Array) -> None:
        """Add a batch."""
        values = self.values(y_true, y_pred)
        self.total += float(values.sum(dtype=np.float64))
        self.count += len(values)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """One number per sample."""
        raise NotImplementedError

    def result(self) -> float:
        """The mean over all samples so far; NaN before the first."""
        return self.total / self.count if self.count else float("nan")


class SparseCategoricalAccuracy(Metric):
    """Share of samples whose largest prediction is their label.

    Examples
    --------
    >>> import numpy as np
    >>> from tinycnn import metrics
    >>> accuracy = metrics.SparseCategoricalAccuracy()
    >>> accuracy.update(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]]))
    >>> accuracy.result()
    0.5
    """

    name = "accuracy"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return y_pred.argmax(axis=-1) == y_true


METRICS: dict[str, type[Metric]] = {
    "accuracy": SparseCategoricalAccuracy,
    "acc": SparseCategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
}


def get(metric: Any) -> Metric:
    """A fresh metric from its name, or the metric itself.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if isinstance(metric, Metric):
        return metric
    if not isinstance(metric, str) or metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    return METRICS[metric]()
