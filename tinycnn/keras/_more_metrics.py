"""The metric of Keras's that the engine does not have: the mean absolute error."""

import numpy as np

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
