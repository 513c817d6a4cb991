"""Metrics of Keras's that the engine does not have: mean absolute error, precision, recall, area under the curve."""

from typing import Any

import numpy as np

from ..core.checks import integer, real
from ..core.messages import shown
from ..core.types import Array
from ..metrics import Metric


class MeanAbsoluteError(Metric):
    """The mean of ``abs(y - t)`` over all predicted numbers y and their targets t.

    Parameters
    ----------
    name : str, optional
        The metric's key in the logs.
    """

    name = "mean_absolute_error"
    direction = "min"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        if y_true.shape != y_pred.shape:
            raise ValueError(
                f"metric {self.name!r} takes targets of the predictions' shape {y_pred.shape}; got shape {y_true.shape}"
            )
        return np.abs(np.subtract(y_pred, y_true, dtype=np.float64))


class _Counting(Metric):
    """Base of the metrics that count right and wrong answers to yes-or-no questions.

    Targets have the shape of the predictions; labels of shape (N,) are accepted for one output.
    """

    direction = "max"

    def thresholds(self) -> Array:
        """Return the numbers that an output must exceed to say yes."""
        raise NotImplementedError

    def reset(self) -> None:
        super().reset()
        #: For each threshold: right and wrong yes, wrong and right no.
        self.counts = np.zeros((4, len(self.thresholds())), np.int64)

    def update(self, y_true: Array, y_pred: Array) -> None:
        if y_pred.shape != y_true.shape and y_pred.size == y_true.size:
            y_true = y_true.reshape(y_pred.shape)
        if y_true.shape != y_pred.shape:
            raise ValueError(
                f"metric {self.name!r} takes targets of the predictions' shape {y_pred.shape}, 0 and 1 or one-hot "
                f"rows; got shape {y_true.shape}"
            )
        true = y_true.reshape(-1) > 0.5
        # Sorted once, the outputs above a threshold are counted by its place among them.
        for row, values in ((0, y_pred.reshape(-1)[true]), (1, y_pred.reshape(-1)[~true])):
            above = len(values) - np.searchsorted(np.sort(values), self.thresholds(), side="right")
            self.counts[row] += above
            self.counts[2 + row] += len(values) - above

    def get_state(self) -> dict[str, Any]:
        return {"counts": self.counts.tolist()}

    def set_state(self, state: dict[str, Any]) -> None:
        self.counts = np.array(state["counts"], np.int64)


class Precision(_Counting):
    """The share of right answers among those that say yes; 0 if none does.

    Parameters
    ----------
    threshold : float
        What an output must exceed to say yes.
    name : str, optional
        The metric's key in the logs.
    """

    name = "precision"

    def __init__(self, threshold: float = 0.5, name: str | None = None) -> None:
        self.threshold = real(threshold, "threshold", 0, 1)
        super().__init__(name)

    def thresholds(self) -> Array:
        return np.array([self.threshold])

    def result(self) -> float:
        return self._share(self.counts[0, 0], self.counts[1, 0])

    def _share(self, right: Any, wrong: Any) -> float:
        return float(right / (right + wrong)) if right + wrong else 0.0


class Recall(Precision):
    """The share of the samples with the answer yes for which the network says yes; 0 if there are none.

    Parameters
    ----------
    threshold, name
        As for :class:`Precision`.
    """

    name = "recall"

    def result(self) -> float:
        return self._share(self.counts[0, 0], self.counts[2, 0])


class AUC(_Counting):
    """The area under the curve of the share of right yes over that of wrong yes, at many thresholds.

    Parameters
    ----------
    num_thresholds : int
        How many thresholds there are, from 0 to 1.
    name : str, optional
        The metric's key in the logs.
    """

    name = "auc"

    def __init__(self, num_thresholds: int = 200, name: str | None = None) -> None:
        self.num_thresholds = integer(num_thresholds, "num_thresholds", minimum=2)
        super().__init__(name)

    def thresholds(self) -> Array:
        inside = np.arange(1, self.num_thresholds - 1) / (self.num_thresholds - 1)
        return np.array([-1e-7, *inside, 1 + 1e-7])

    def result(self) -> float:
        right, wrong, missed, left = self.counts
        x, y = (yes / np.maximum(yes + no, 1) for yes, no in ((wrong, left), (right, missed)))
        return float(np.sum((x[:-1] - x[1:]) * (y[:-1] + y[1:]) / 2))


METRICS: dict[str, type[Metric]] = {cls.__name__: cls for cls in (MeanAbsoluteError, Precision, Recall, AUC)}


def threshold_of(value: Any) -> float:
    """Return the one threshold that Keras's argument ``thresholds`` stands for; None is one half."""
    several = value if isinstance(value, list | tuple) else [value]
    if len(several) != 1:
        raise ValueError(f"thresholds must be one number here; got {shown(value)}")
    return 0.5 if several[0] is None else several[0]
