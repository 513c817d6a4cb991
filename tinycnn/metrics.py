"""What is watched while training: sums over samples, exact for any batch size; and what to count afterwards."""

from typing import Any

import numpy as np

from .core.checks import any_array, array, checked_name, integer
from .core.messages import shown
from .core.registry import Registry, described
from .core.types import Array, Config

#: Of a confusion matrix, which is a square of them.
MAX_CLASSES = 10_000


class Metric:
    """A figure gathered batch by batch.

    Subclasses define :meth:`values`, :attr:`direction` if one is better, and :meth:`get_config` if they have settings.

    Parameters
    ----------
    name : str, optional
        Its key in the logs; by default Keras's name of the class.

    Attributes
    ----------
    direction : {"max", "min"} or None
        Whether large or small is good, for callbacks that watch the figure with ``mode="auto"``; None: they ask.
    """

    name: str = "metric"
    direction: str | None = None

    def __init__(self, name: str | None = None) -> None:
        self.name = checked_name(type(self).name if name is None else name)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.total = 0.0
        self.count = 0

    def update(self, y_true: Array, y_pred: Array) -> None:
        """Add a batch: targets as the loss checked them, predictions (probabilities, where it is about classes)."""
        values = array(self.values(array(y_true, "y_true"), array(y_pred, "y_pred")), f"values of {self.name!r}")
        self.total += float(values.sum(dtype=np.float64))
        self.count += values.size

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """One number per sample."""
        raise NotImplementedError

    def result(self) -> float:
        """The mean over all samples so far; NaN before the first."""
        return self.total / self.count if self.count else float("nan")

    def get_state(self) -> dict[str, Any]:
        """What was gathered so far, ready for JSON: a fit that goes on in the middle of an epoch needs it."""
        return {"total": self.total, "count": self.count}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`get_state` gave."""
        self.total, self.count = state["total"], state["count"]

    def get_config(self) -> Config:
        """The constructor's arguments, ready for JSON."""
        return {"name": self.name}


class ClassAccuracy(Metric):
    """Share of samples whose largest prediction is their class, whether the loss takes labels or one-hot rows.

    This is what ``metrics=["accuracy"]`` means. (Keras's class ``Accuracy`` is another figure: equal numbers.)

    Examples
    --------
    >>> import numpy as np
    >>> from tinycnn import metrics
    >>> accuracy = metrics.ClassAccuracy()
    >>> accuracy.update(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]]))
    >>> accuracy.update(np.array([[0, 1]]), np.array([[0.1, 0.9]]))
    >>> round(accuracy.result(), 4)
    0.6667
    """

    name = "accuracy"
    direction = "max"
    #: Whether targets have to be rows, or labels; None takes either.
    rows: bool | None = None

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return self.hits(self._classes(y_true, y_pred), y_pred)

    def hits(self, classes: Array, y_pred: Array) -> Array:
        """Whether each sample's prediction is right."""
        return y_pred.argmax(axis=-1) == classes

    def _classes(self, y_true: Array, y_pred: Array) -> Array:
        """Class numbers from labels (N,) or from rows like the predictions (N, …, classes)."""
        if y_true.shape == y_pred.shape[:-1] and self.rows is not True:
            return y_true
        if y_true.shape == y_pred.shape and self.rows is not False and y_true.shape[-1] > 1:
            return y_true.argmax(axis=-1)
        wanted = "labels" if self.rows is False else "one-hot rows" if self.rows else "labels or one-hot rows"
        raise ValueError(
            f"metric {self.name!r} takes {wanted} of several classes; got targets of shape {y_true.shape} for "
            f"predictions of shape {y_pred.shape}"
        )


class SparseCategoricalAccuracy(ClassAccuracy):
    """:class:`ClassAccuracy` for labels only."""

    name = "sparse_categorical_accuracy"
    rows = False


class CategoricalAccuracy(ClassAccuracy):
    """:class:`ClassAccuracy` for one-hot rows, or rows of probabilities whose largest is the class."""

    name = "categorical_accuracy"
    rows = True


class SparseTopKCategoricalAccuracy(ClassAccuracy):
    """Share of samples whose label is among the k largest predictions.

    As in Keras's ``in_top_k``, a class counts as among them if fewer than k predictions are *larger*: of equal
    predictions on the border all are in. A sample with a prediction that is not finite is wrong. Where there are no
    more than k classes, all samples are right.

    Parameters
    ----------
    k : int
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from tinycnn import metrics
    >>> top_2 = metrics.SparseTopKCategoricalAccuracy(k=2)
    >>> top_2.update(np.array([0, 2]), np.array([[0.3, 0.5, 0.2], [0.3, 0.5, 0.2]]))
    >>> top_2.result()
    0.5
    """

    name = "sparse_top_k_categorical_accuracy"
    rows = False

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        super().__init__(name)
        self.k = integer(k, "k")

    def get_config(self) -> Config:
        return super().get_config() | {"k": self.k}

    def hits(self, classes: Array, y_pred: Array) -> Array:
        true = np.take_along_axis(y_pred, classes[..., np.newaxis], axis=-1)
        return ((y_pred > true).sum(axis=-1) < self.k) & np.isfinite(y_pred).all(axis=-1)


class TopKCategoricalAccuracy(SparseTopKCategoricalAccuracy):
    """:class:`SparseTopKCategoricalAccuracy` for one-hot rows.

    Parameters
    ----------
    k : int
    name : str, optional
    """

    name = "top_k_categorical_accuracy"
    rows = True


class MeanSquaredError(Metric):
    """``mean((y - t)**2)`` over everything that is predicted; of probabilities and one-hot rows, the Brier score.

    Source: Brier, "Verification of forecasts expressed in terms of probability", 1950.
    """

    name = "mean_squared_error"
    direction = "min"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        if y_true.shape != y_pred.shape:
            raise ValueError(
                f"metric {self.name!r} takes targets of the predictions' shape {y_pred.shape}; got {y_true.shape}"
            )
        return np.square(np.subtract(y_pred, y_true, dtype=np.float64))


METRICS: dict[str, type[Metric]] = {
    cls.name: cls
    for cls in (
        ClassAccuracy,
        CategoricalAccuracy,
        SparseCategoricalAccuracy,
        TopKCategoricalAccuracy,
        SparseTopKCategoricalAccuracy,
        MeanSquaredError,
    )
}

REGISTRY = Registry("metric", Metric, METRICS, aliases={"acc": ClassAccuracy, "mse": MeanSquaredError})


def get(metric: Any) -> Metric:
    """Return a fresh metric from its name, its class name or its configuration, or the metric itself.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        For a class or a function.
    """
    if callable(metric) and not isinstance(metric, Metric):
        hint = "write an instance, with parentheses" if isinstance(metric, type) else "subclass metrics.Metric instead"
        raise TypeError(f"metrics: expected names or Metric objects; got {shown(metric)}; {hint}")
    return REGISTRY.find(metric, "metrics")


def by_name(metrics: Any) -> dict[str, Metric]:
    """Return metrics by their keys in the logs: the word that was used for a metric, or else its name.

    Parameters
    ----------
    metrics : sequence of str or Metric, or one of them

    Raises
    ------
    ValueError
        If a name is unknown, or two metrics have the same one.
    """
    chosen: dict[str, Metric] = {}
    wanted = [metrics] if isinstance(metrics, str | Metric) else metrics
    if not isinstance(wanted, list | tuple):
        raise TypeError(f"metrics must be a list of names or Metric objects; got {shown(metrics)}")
    for metric in wanted:
        resolved = get(metric)
        key = metric if isinstance(metric, str) else resolved.name
        if key in chosen or key in ("loss", "learning_rate", "epoch"):
            raise ValueError(f"two columns of the logs are called {key!r}; give one metric another name, as name=…")
        chosen[key] = resolved
    return chosen


def serialize(metrics: dict[str, Metric]) -> list[Any]:
    """Return what :func:`by_name` makes the same metrics from, ready for JSON: a word where it says everything."""
    if not isinstance(metrics, dict) or not all(isinstance(metric, Metric) for metric in metrics.values()):
        raise TypeError(f"metrics must be a dict of Metric objects by name; got {shown(metrics)}")
    return [key if REGISTRY.names_exactly(key, metric) else described(metric) for key, metric in metrics.items()]


# After training ------------------------------------------------------------------------------------------------


def confusion_matrix(y_true: Any, y_pred: Any, num_classes: int | None = None) -> Array:
    """How many samples of each class (row) were taken for which (column).

    Parameters
    ----------
    y_true : (N,) or (N, 1) integers
    y_pred : (N,) or (N, 1) integers, or (N, classes) probabilities
    num_classes : int, optional
        By default as many as there are columns of probabilities, and no fewer than the largest label needs.

    Returns
    -------
    (classes, classes) array of int

    Raises
    ------
    ValueError
        With the name of the argument that does not fit.

    Examples
    --------
    >>> from tinycnn import metrics
    >>> metrics.confusion_matrix([0, 0, 1], [0, 1, 1]).tolist()
    [[1, 1], [0, 1]]
    """
    true, predicted = class_numbers(y_true, "y_true"), predicted_classes(y_pred, "y_pred")
    columns = np.shape(y_pred)[1] if np.ndim(y_pred) == 2 else 1
    if len(true) != len(predicted):
        raise ValueError(f"y_true and y_pred must be equally long; got {len(true)} and {len(predicted)}")
    needed = max(columns, int(true.max()) + 1, int(predicted.max()) + 1)
    if num_classes is not None and integer(num_classes, "num_classes", maximum=MAX_CLASSES) < needed:
        raise ValueError(f"num_classes must be at least {needed}, for the classes there are; got {num_classes}")
    counts = np.zeros((num_classes or needed,) * 2, np.int64)
    np.add.at(counts, (true, predicted), 1)
    return counts


def per_class_accuracy(y_true: Any, y_pred: Any, num_classes: int | None = None) -> Array:
    """Share of each class's samples that were classified correctly (the class's recall).

    Parameters
    ----------
    y_true, y_pred, num_classes
        As for :func:`confusion_matrix`.

    Returns
    -------
    (classes,) array
        NaN for a class without samples.

    Raises
    ------
    ValueError
        With the name of the argument that does not fit.

    Examples
    --------
    >>> from tinycnn import metrics
    >>> metrics.per_class_accuracy([0, 0, 1], [0, 1, 1]).tolist()
    [0.5, 1.0]
    """
    return recall(confusion_matrix(y_true, y_pred, num_classes))


def recall(counts: Array) -> Array:
    """Of a confusion matrix, the share of each row that lies on the diagonal; NaN for an empty row."""
    samples = counts.sum(axis=1)
    return np.divide(counts.diagonal(), samples, out=np.full(len(counts), np.nan), where=samples > 0)


def class_numbers(values: Any, name: str) -> Array:
    """Class numbers (N,), from (N,) or (N, 1) whole numbers; ``name`` is the argument's, for errors."""
    found = any_array(values, name)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1 or not found.size:
        raise ValueError(f"{name} must hold class numbers, shape (N,), at least one; got shape {found.shape}")
    if found.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold class numbers: integers from 0; got {found.dtype}")
    if found.min() < 0 or found.max() >= MAX_CLASSES:
        raise ValueError(
            f"{name} must hold class numbers: integers from 0 to {MAX_CLASSES - 1}; got {found.min()} to {found.max()}"
        )
    return found.astype(np.int64)


def predicted_classes(values: Any, name: str) -> Array:
    """Class numbers (N,), from class numbers or from probabilities (N, classes)."""
    found = any_array(values, name)
    if found.ndim == 2 and found.shape[1] > 1:
        return probabilities(found, name).argmax(axis=1)
    return class_numbers(found, name)


def probabilities(values: Any, name: str) -> Array:
    """An array (N, classes) of finite numbers in [0, 1]."""
    array = any_array(values, name)
    if array.ndim != 2 or array.shape[1] < 2 or array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must be numbers of shape (N, classes); got {array.dtype} of shape {array.shape}")
    if not len(array) or not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1 + 1e-5):
        raise ValueError(f"{name} must hold probabilities, from 0 to 1; a model that ends in softmax predicts them")
    return array
