"""What the label of an image is to a network: one of its classes, or the number that its single output is to give."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..activations import Sigmoid, Softmax
from ..core.checks import integer, real
from ..core.messages import shown
from ..core.types import Array
from ..inspection.answers import gives_one_number, probabilities
from ..losses import BinaryCrossentropy, Loss, SparseCategoricalCrossentropy
from ..network.final_activation import ends_in, last_that_computes
from ..sequential import Sequential


def loss_for(model: Sequential) -> Loss:
    """Return the loss that fits the end of a model that nobody has compiled."""
    end = last_that_computes(model.layers)
    if (end is not None and ends_in(end, Sigmoid)) or model.output_shape[-1] == 1:
        return BinaryCrossentropy(from_logits=end is None or not ends_in(end, Sigmoid))
    return SparseCategoricalCrossentropy(from_logits=end is None or not ends_in(end, Softmax))


def classes_of(model: Sequential) -> int:
    """Return how many classes a network tells apart: one output stands for two, and a number for none."""
    return 0 if gives_one_number(model) else max(2, model.output_shape[-1])


def checked_labels(model: Sequential, labels: Any, images: int, name: str) -> Array:
    """Return the labels (N,) of a set of images.

    Raises
    ------
    ValueError
        If there is not one label for each image, or if the network gives a number and a target is none.
    """
    found = np.asarray(labels)
    if found.ndim and found.size == len(found) == images:
        found = found.reshape(images)  # a column is as good as a row
        if gives_one_number(model) and not np.isfinite(found).all():
            at = int(np.flatnonzero(~np.isfinite(found))[0])
            raise ValueError(f"data: {name} must hold finite numbers, the targets; got {found[at]} at index {at}")
        return found
    cure = "; of one-hot rows, give y.argmax(axis=1)" if found.ndim == 2 and found.shape[1] > 1 else ""
    raise ValueError(f"data: {name} must hold one label for each of {images} images; got shape {found.shape}{cure}")


def checked_label(model: Sequential, label: Any) -> int | float:
    """Return a label that somebody has asked for.

    Raises
    ------
    TypeError, ValueError
        If it is no class of the network or, for one that gives a number, no finite number.
    """
    if gives_one_number(model):
        number = real(label, "label")
        with np.errstate(over="ignore"):
            fits = np.isfinite(np.dtype(model.dtype).type(number))
        if not fits:
            raise ValueError(f"label must be a number that {model.dtype} can hold; got {shown(label)}")
        return number
    classes = classes_of(model)
    if not 0 <= integer(label, "label", minimum=-(2**31)) < classes:
        raise ValueError(f"label must be a class from 0 to {classes - 1}; got {shown(label)}")
    return int(label)


def assumed_label(model: Sequential, x: Array) -> int | float:
    """Return the label that an image x (1, H, W, C) without one of its own is given.

    That is the most probable class. Of a network that gives a number it is 0: with the squared error, every other
    target has the same gradients but for a factor.
    """
    if gives_one_number(model):
        return 0.0
    predicted = model.predict(x)
    return int((probabilities(model, predicted) if predicted.shape[-1] == 1 else predicted)[0].argmax())


def label_of(model: Sequential, label: Any) -> int | float:
    """Return one label of a data set as Python's number: a class, or whatever a network with one output is to give."""
    value = np.asarray(label).item()
    return float(value) if model.output_shape[-1] == 1 and not float(value).is_integer() else int(value)


def targets_for(model: Sequential, labels: Sequence[int | float]) -> Array:
    """Return labels as a compiled model's loss takes them: numbers, one-hot rows, or rows of one number."""
    if isinstance(model.loss, SparseCategoricalCrossentropy):
        return np.array(labels)
    outputs = model.output_shape[-1]
    if outputs == 1:
        return np.array(labels, model.dtype)[:, np.newaxis]
    return np.eye(outputs, dtype=model.dtype)[np.array(labels, np.intp)]
