"""Draw the pictures of one run, narrow enough for a telephone."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from ... import plotting

#: The width of a picture in inches; a telephone shows it a little larger than that.
_WIDTH = 4.0


def curves(history: Mapping[str, Sequence[float]]) -> Figure:
    """Draw loss and accuracy by epoch, one above the other."""
    figure = Figure(figsize=(_WIDTH, 5.2), layout="constrained")
    panels = plotting.history(history, figure.subplots(2, 1))
    handles, names = panels[-1].get_legend_handles_labels()
    panels[-1].get_legend().remove()
    figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)
    return figure


def confusion(answers: Any) -> Figure:
    """Draw the confusion matrix."""
    data, figure = answers.data, Figure(figsize=(_WIDTH, 4.2))
    return _figure(plotting.confusion_matrix(data.y_test, answers.probabilities, data.class_names, figure))


def per_class(answers: Any) -> Figure:
    """Draw the accuracy of each class."""
    data = answers.data
    figure = Figure(figsize=(_WIDTH, min(max(3.6, 1 + 0.16 * len(data.class_names)), 20)))
    return _figure(plotting.per_class_accuracy(data.y_test, answers.probabilities, data.class_names, figure))


def surest(answers: Any, which: str) -> Figure:
    """Draw the correct predictions ("best") or the mistakes ("worst") of which the network is most certain."""
    data, figure = answers.data, Figure(figsize=(_WIDTH, 5.4))
    arguments = (data.x_test, data.y_test, answers.probabilities, which, data.class_names, 9)
    return _figure(plotting.predictions(*arguments, ax=figure))


def first_100(answers: Any) -> Figure:
    """Draw the first 100 test images with the mistakes in red."""
    data = answers.data
    arguments = (data.x_test, data.y_test, answers.probabilities, "first_100", data.class_names)
    return _figure(plotting.predictions(*arguments, ax=Figure()))


def filters(answers: Any) -> Figure:
    """Draw the filters of the first convolution."""
    return _figure(plotting.filters(answers.model, count=32, ax=Figure(figsize=(_WIDTH, 3.6))))


def _figure(ax: Any) -> Figure:
    """Return the figure of Axes."""
    figure: Figure = ax.figure
    return figure
