"""Metrics to watch during training, which are exact for any batch size, and counts to make afterwards."""

from typing import Any, NoReturn

import numpy as np

from .core import forms
from .core.checks import any_array, array, checked_name, integer, real
from .core.description import Described, described
from .core.messages import shown
from .core.public import listing
from .core.registry import Registry
from .core.targets import as_numbers
from .core.types import Array

__dir__ = listing(__name__)


#: The most classes that a confusion matrix may have; it holds a number for each pair of classes.
MAX_CLASSES = 10_000


class Metric(Described):
    """Base of all metrics: a figure that is gathered batch by batch.

    Subclasses define :meth:`values`. They also define :attr:`direction` if one direction is better, and
    :meth:`get_config` if they have settings.

    Parameters
    ----------
    name : str, optional
        The metric's key in the logs; by default Keras's name for the class.

    Attributes
    ----------
    direction : {"max", "min"} or None
        Whether large or small values are good, for callbacks that watch the figure with ``mode="auto"``. If it is
        None, these callbacks go by the end of the metric's name, or raise an error.
    """

    name: str = "metric"
    direction: str | None = None
    _form = forms.METRIC

    def __init__(self, name: str | None = None) -> None:
        self.name = checked_name(type(self).name if name is None else name)
        self.reset()

    def reset(self) -> None:
        """Forget everything that was gathered."""
        self.total = 0.0
        self.count = 0

    def update(self, y_true: Array, y_pred: Array) -> None:
        """Add a batch.

        Parameters
        ----------
        y_true : array
            The targets, in the form in which the loss checked them.
        y_pred : array
            The predictions, which are probabilities where the loss is about classes.
        """
        targets = array(as_numbers(any_array(y_true, "y_true"), "y_true"), "y_true")
        values = array(self.values(targets, array(y_pred, "y_pred")), f"values of {self.name!r}")
        self.total += float(values.sum(dtype=np.float64))
        self.count += values.size

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Return one number per sample, or several; :meth:`result` is the mean of all of them."""
        raise NotImplementedError(f"{type(self).__name__} must define values(y_true, y_pred)")

    def result(self) -> float:
        """Return the mean over all samples so far, or NaN before the first one."""
        return self.total / self.count if self.count else float("nan")

    def add_weight(self, *given: Any, **named: Any) -> NoReturn:
        """Raise a TypeError that says how a metric keeps its sums; Keras's metrics have a method of this name."""
        raise TypeError(
            f"metric {type(self).__name__}: there is no add_weight; a metric keeps its sums as attributes, which reset "
            f"sets and get_state returns. {forms.METRIC.smallest}"
        )

    add_variable = add_weight

    def get_state(self) -> dict[str, Any]:
        """Return what was gathered so far, ready for JSON; a fit that resumes in the middle of an epoch needs it."""
        return {"total": self.total, "count": self.count}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`get_state` returned."""
        self.total, self.count = state["total"], state["count"]


class ClassAccuracy(Metric):
    """The share of samples whose largest prediction is their class, for labels as well as for one-hot rows.

    This is what ``metrics=["accuracy"]`` means, except with a binary crossentropy: see :class:`BinaryAccuracy`. A
    single output above 1/2 stands for class 1, and targets are 0 and 1 then. (Keras's class ``Accuracy`` is a different
    figure: it counts numbers that are equal.)

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
    #: Whether targets have to be rows (True) or labels (False); None accepts both.
    rows: bool | None = None

    def values(self, y_true: Array, y_pred: Array) -> Array:
        if self.rows is None and y_true.shape == y_pred.shape and y_pred.shape[-1] == 1:
            others = y_true[~np.isin(y_true, (0, 1))]
            if others.size:
                raise ValueError(
                    f"metric {self.name!r} of a network with one output takes 0 and 1 as targets; got {others[0]:g}; "
                    "for other numbers, watch mean_squared_error"
                )
            return (y_pred > 0.5)[..., 0] == y_true[..., 0]
        return self.hits(self._classes(y_true, y_pred), y_pred)

    def hits(self, classes: Array, y_pred: Array) -> Array:
        """Return for each sample whether its prediction is right."""
        return y_pred.argmax(axis=-1) == classes

    def _classes(self, y_true: Array, y_pred: Array) -> Array:
        """Return class numbers from labels (N, …), or from rows of the predictions' shape (N, …, classes)."""
        if y_true.shape == y_pred.shape[:-1] and self.rows is not True:
            return y_true
        if y_true.shape == y_pred.shape and self.rows is not False and y_true.shape[-1] > 1:
            return y_true.argmax(axis=-1)
        wanted = "labels" if self.rows is False else "one-hot rows" if self.rows else "labels or one-hot rows"
        raise ValueError(
            f"metric {self.name!r} takes {wanted} of several classes; got targets of shape {y_true.shape} for "
            f"predictions of shape {y_pred.shape}"
        )


class BinaryAccuracy(Metric):
    """The share of right answers to yes-or-no questions: an output above the threshold says yes.

    This is what ``metrics=["accuracy"]`` means with a binary crossentropy. Targets have the shape of the predictions;
    labels of shape (N,) are accepted for one output. With several outputs every output counts, whereas Keras's word
    "accuracy" then compares the largest one.

    Parameters
    ----------
    name : str, optional
        The metric's key in the logs.
    threshold : float
        What an output must exceed to say yes.

    Examples
    --------
    >>> import numpy as np
    >>> from tinycnn import metrics
    >>> accuracy = metrics.BinaryAccuracy()
    >>> accuracy.update(np.array([0, 1, 1, 0]), np.array([[0.1], [0.9], [0.2], [0.4]]))
    >>> accuracy.result()
    0.75
    """

    name = "binary_accuracy"
    direction = "max"

    def __init__(self, name: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = real(threshold, "threshold")

    def values(self, y_true: Array, y_pred: Array) -> Array:
        if y_true.shape == y_pred.shape[:1] and y_pred.shape[1:] == (1,):
            y_true = y_true[:, np.newaxis]
        if y_true.shape != y_pred.shape or not y_pred.ndim:
            raise ValueError(
                f"metric {self.name!r} takes targets of the predictions' shape {y_pred.shape}; got shape {y_true.shape}"
            )
        right = (y_pred > self.threshold) == y_true
        return right.reshape(len(right), -1).mean(axis=1) if len(right) else np.zeros(0)


class SparseCategoricalAccuracy(ClassAccuracy):
    """The accuracy of :class:`ClassAccuracy`, for labels only."""

    name = "sparse_categorical_accuracy"
    rows = False


class CategoricalAccuracy(ClassAccuracy):
    """The accuracy of :class:`ClassAccuracy`, for one-hot rows only.

    Rows of probabilities are accepted too; the largest probability of a row is its class.
    """

    name = "categorical_accuracy"
    rows = True


class SparseTopKCategoricalAccuracy(ClassAccuracy):
    """The share of samples whose label is among the k largest predictions.

    As in Keras's ``in_top_k``, a class counts as one of them if fewer than k predictions are *larger*, so several equal
    predictions in the last place all count. A sample with a prediction that is not finite counts as wrong. With at
    most k classes, every other sample counts as right.

    Parameters
    ----------
    k : int
        How many of the largest predictions count.
    name : str, optional
        The metric's key in the logs.

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

    def hits(self, classes: Array, y_pred: Array) -> Array:
        true = np.take_along_axis(y_pred, classes[..., np.newaxis], axis=-1)
        return ((y_pred > true).sum(axis=-1) < self.k) & np.isfinite(y_pred).all(axis=-1)


class TopKCategoricalAccuracy(SparseTopKCategoricalAccuracy):
    """The share of :class:`SparseTopKCategoricalAccuracy`, for one-hot rows.

    Parameters
    ----------
    k : int
        How many of the largest predictions count.
    name : str, optional
        The metric's key in the logs.
    """

    name = "top_k_categorical_accuracy"
    rows = True


class MeanSquaredError(Metric):
    """The mean of ``(y - t)**2`` over all predicted numbers y and their targets t.

    For probabilities and one-hot rows this is the Brier score, divided by the number of classes.

    Source: Brier, "Verification of forecasts expressed in terms of probability", 1950.
    """

    name = "mean_squared_error"
    direction = "min"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        if y_true.shape != y_pred.shape:
            raise ValueError(
                f"metric {self.name!r} takes targets of the predictions' shape {y_pred.shape}; got shape {y_true.shape}"
            )
        return np.square(np.subtract(y_pred, y_true, dtype=np.float64))


METRICS: dict[str, type[Metric]] = {
    cls.name: cls
    for cls in (
        ClassAccuracy,
        BinaryAccuracy,
        CategoricalAccuracy,
        SparseCategoricalAccuracy,
        TopKCategoricalAccuracy,
        SparseTopKCategoricalAccuracy,
        MeanSquaredError,
    )
}

#: The words that mean another metric with a binary crossentropy.
_ACCURACY = ("accuracy", "acc")

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
        hint = (
            "write an instance, with parentheses"
            if isinstance(metric, type)
            else f"subclass metrics.Metric instead. {forms.METRIC.smallest}"
        )
        raise TypeError(f"metrics: expected names or Metric objects; got {shown(metric)}; {hint}")
    return REGISTRY.find(metric, "metrics")


def by_name(metrics: Any, accuracy: str = "accuracy") -> dict[str, Metric]:
    """Return metrics by their keys in the logs: the word that was used for a metric, or else its name.

    Parameters
    ----------
    metrics : sequence of str or Metric, or one of them
    accuracy : str
        The name of the metric that the word "accuracy" stands for, which depends on the loss.

    Raises
    ------
    ValueError
        If a name is unknown, or two metrics have the same one.
    """
    chosen: dict[str, Metric] = {}
    wanted = [metrics] if isinstance(metrics, str | Metric) or callable(metrics) else metrics
    if not isinstance(wanted, list | tuple):
        raise TypeError(f"metrics must be a list of names or Metric objects; got {shown(metrics)}")
    for metric in wanted:
        resolved = get(metric)
        key = metric if isinstance(metric, str) else resolved.name
        if isinstance(metric, str) and type(resolved) is ClassAccuracy and metric in _ACCURACY:
            resolved = METRICS[accuracy](name=resolved.name)
        if key in chosen or key in ("loss", "learning_rate", "epoch"):
            raise ValueError(f"two columns of the logs are called {key!r}; give one metric another name, as name=...")
        chosen[key] = resolved
    return chosen


def serialize(metrics: dict[str, Metric], accuracy: str = "accuracy") -> list[Any]:
    """Return a description for JSON from which :func:`by_name` makes the same metrics: a name where that is enough.

    Parameters
    ----------
    metrics : dict of str to Metric
        By their keys in the logs.
    accuracy : str
        The name of the metric that the word "accuracy" stands for, which depends on the loss.
    """
    if not isinstance(metrics, dict) or not all(isinstance(metric, Metric) for metric in metrics.values()):
        raise TypeError(f"metrics must be a dict of Metric objects by name; got {shown(metrics)}")
    return [key if _says_all(key, metric, accuracy) else described(metric) for key, metric in metrics.items()]


def _says_all(key: str, metric: Metric, accuracy: str) -> bool:
    """Return whether :func:`by_name` makes a metric from its key alone."""
    if key in _ACCURACY and accuracy != ClassAccuracy.name:
        return (
            type(metric) is METRICS[accuracy] and metric.get_config() == METRICS[accuracy](name="accuracy").get_config()
        )
    return REGISTRY.names_exactly(key, metric)


# After training ------------------------------------------------------------------------------------------------


def confusion_matrix(y_true: Any, y_pred: Any, num_classes: int | None = None) -> Array:
    """Count the samples of each class (row) that were taken for each class (column).

    Parameters
    ----------
    y_true : (N,) or (N, 1) integers
        The true classes.
    y_pred : (N,) or (N, 1) integers, or (N, classes) probabilities
        The predicted classes, or probabilities, the largest of which is the predicted class. A single column of floats
        holds the probabilities of class 1.
    num_classes : int, optional
        The number of rows and columns. By default there are as many as columns of probabilities, and enough for the
        largest class number.

    Returns
    -------
    (classes, classes) array of int
        The counts.

    Raises
    ------
    ValueError
        If an argument does not fit; the message names it.

    Examples
    --------
    >>> from tinycnn import metrics
    >>> metrics.confusion_matrix([0, 0, 1], [0, 1, 1]).tolist()
    [[1, 1], [0, 1]]
    """
    true, predicted = class_numbers(y_true, "y_true"), predicted_classes(y_pred, "y_pred")
    columns = (2 if _is_of_one_output(y_pred) else np.shape(y_pred)[1]) if np.ndim(y_pred) == 2 else 1
    if len(true) != len(predicted):
        raise ValueError(f"y_true and y_pred must be equally long; got {len(true)} and {len(predicted)}")
    needed = max(columns, int(true.max()) + 1, int(predicted.max()) + 1)
    if num_classes is not None and integer(num_classes, "num_classes", maximum=MAX_CLASSES) < needed:
        raise ValueError(
            f"num_classes must be at least {needed}, the number of classes in y_true and y_pred; got {num_classes}. "
            "Leave it out to count the classes."
        )
    counts = np.zeros((num_classes or needed,) * 2, np.int64)
    np.add.at(counts, (true, predicted), 1)
    return counts


def per_class_accuracy(y_true: Any, y_pred: Any, num_classes: int | None = None) -> Array:
    """Return the share of each class's samples that were classified correctly (the class's recall).

    Parameters
    ----------
    y_true, y_pred, num_classes
        The arguments of :func:`confusion_matrix`.

    Returns
    -------
    (classes,) array
        The shares, with NaN for a class without samples.

    Raises
    ------
    ValueError
        If an argument does not fit; the message names it.

    Examples
    --------
    >>> from tinycnn import metrics
    >>> metrics.per_class_accuracy([0, 0, 1], [0, 1, 1]).tolist()
    [0.5, 1.0]
    """
    return recall(confusion_matrix(y_true, y_pred, num_classes))


def recall(counts: Array) -> Array:
    """Return the share of each row of a confusion matrix that lies on the diagonal, or NaN for an empty row."""
    samples = counts.sum(axis=1)
    return np.divide(counts.diagonal(), samples, out=np.full(len(counts), np.nan), where=samples > 0)


def class_numbers(values: Any, name: str) -> Array:
    """Return class numbers as (N,) integers, from whole numbers of shape (N,) or (N, 1).

    ``name`` is what errors call the argument.
    """
    found = any_array(values, name)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1 or not found.size:
        raise ValueError(f"{name} must hold class numbers, at least one, in shape (N,) or (N, 1); got {found.shape}")
    found = as_numbers(found, name)
    if found.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold class numbers, integers from 0; got values of dtype {found.dtype}")
    outside = (found < 0) | (found >= MAX_CLASSES)
    if outside.any():
        at = int(outside.argmax())
        raise ValueError(
            f"{name} must hold class numbers, integers from 0 to {MAX_CLASSES - 1}; got {found[at]} at index {at}"
        )
    return found.astype(np.int64)


def predicted_classes(values: Any, name: str) -> Array:
    """Return class numbers (N,), from class numbers or from probabilities (N, classes) or (N, 1)."""
    found = any_array(values, name)
    if found.ndim == 2 and (found.shape[1] > 1 or _is_of_one_output(found)):
        return probabilities(found, name).argmax(axis=1)
    return class_numbers(found, name)


def _is_of_one_output(values: Any) -> bool:
    """Return whether these are the predictions (N, 1) of a network with one output, and not the numbers of classes."""
    found = np.asarray(values)
    return found.ndim == 2 and found.shape[1] == 1 and found.dtype.kind == "f"


def probabilities(values: Any, name: str) -> Array:
    """Return an (N, classes) array of finite numbers in [0, 1]; ``name`` is what errors call the argument.

    A single column of floats holds the probabilities of class 1, and those of class 0 are put before it.
    """
    array = any_array(values, name)
    if _is_of_one_output(array):
        array = np.hstack([1 - array, array])
    if array.ndim != 2 or array.shape[1] < 2 or array.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} must be numbers of shape (N, classes), for two or more classes; got {array.dtype} of shape "
            f"{array.shape}"
        )
    if not len(array):
        raise ValueError(f"{name} must hold probabilities of at least one sample; got shape {array.shape}")
    outside = ~(np.isfinite(array) & (array >= 0) & (array <= 1 + 1e-5))
    if outside.any():
        row, column = map(int, np.unravel_index(outside.argmax(), array.shape))
        raise ValueError(
            f"{name} must hold probabilities, from 0 to 1; got {array[row, column]} at index ({row}, {column}). "
            "A model that ends in softmax predicts probabilities."
        )
    return array
