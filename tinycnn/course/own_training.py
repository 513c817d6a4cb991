"""Train a network on the learner's functions, after its first steps were compared with the reference's."""

import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ..core.backend import use_backend
from ..core.types import Array
from ..initializers import GlorotUniform
from ..layers import Conv2D, Dense, Flatten, Input, MaxPooling2D
from ..optimizers import Adam
from ..sequential import Sequential
from .own_kernels import OwnFunction, kernels, solutions

__all__ = ["AIM", "ALLOWED", "FIRST", "Data", "Difference", "Trained", "compared", "load_data", "trained"]

#: How many steps are compared, and by how much the loss of one may differ.
FIRST, ALLOWED = 20, 1e-4
#: The images per step, how many of the training images are used, and the share of test images to be read.
BATCH, IMAGES, AIM = 32, 6000, 0.85


class Data(NamedTuple):
    """Images with values from 0 to 1, (N, 28, 28, 1), and their labels (N,)."""

    x: Array
    y: Array
    x_test: Array
    y_test: Array


class Difference(NamedTuple):
    """How the losses of the first steps compare with the reference's.

    Attributes
    ----------
    largest : float
        The largest difference of a loss.
    step : int or None
        The first step whose loss differs by too much, counted from 1.
    own, right : float
        The two losses of this step, or of the last.
    alone : dict of str to int
        The functions that make a difference when all others are the solutions', and at which step.
    seconds : float
        How long the steps took with the learner's functions.
    """

    largest: float
    step: int | None
    own: float
    right: float
    alone: dict[str, int]
    seconds: float


class Trained(NamedTuple):
    """A training: the share of test images that were read correctly, the number of steps, and its seconds."""

    accuracy: float
    steps: int
    seconds: float


def load_data() -> Data:
    """Return the digits, the images of the training as many as are used."""
    from ..datasets import digits

    (x, y), (x_test, y_test) = digits.load_data()
    return Data(x[:IMAGES, :, :, None] / 255, y[:IMAGES], x_test[..., None] / 255, y_test)


def _network(functions: Mapping[str, OwnFunction] | None) -> Sequential:
    """Return the network on some functions, or on the reference, always with the same initial weights."""
    overlay = None if functions is None else kernels(functions)
    with use_backend("reference", overlay=overlay):
        model = Sequential(
            [
                Input((28, 28, 1)),
                Conv2D(8, 3, activation="relu", kernel_initializer=GlorotUniform(seed=1)),
                MaxPooling2D(2),
                Conv2D(16, 3, activation="relu", kernel_initializer=GlorotUniform(seed=2)),
                MaxPooling2D(2),
                Flatten(),
                Dense(10, activation="softmax", kernel_initializer=GlorotUniform(seed=3)),
            ],
            dtype="float64",  # as in the grader, so that a function may forget the dtype of its arguments
        )
        model.compile(Adam(0.005), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _batches(data: Data) -> Iterator[tuple[Array, Array]]:
    for start in range(0, len(data.x), BATCH):
        yield data.x[start : start + BATCH], data.y[start : start + BATCH]


def _losses(functions: Mapping[str, OwnFunction] | None, data: Data) -> Iterator[float]:
    """Yield the losses of the first steps."""
    model = _network(functions)
    for _, (x, y) in zip(range(FIRST), _batches(data), strict=False):
        yield float(model.train_on_batch(x, y)["loss"])


def compared(functions: Mapping[str, OwnFunction], data: Data) -> Difference:
    """Compare the losses of the first steps with the reference's.

    Raises
    ------
    OwnFunctionError
        If a function raises an error, or returns what does not fit.
    """
    right = list(_losses(None, data))
    begun = time.monotonic()
    largest, step, own = _compared(functions, data, right)
    seconds = time.monotonic() - begun
    alone: dict[str, int] = {}
    if step is not None:
        others = solutions()
        for name, function in functions.items():
            if function.path is not None:
                _, when, _ = _compared(others | {name: function}, data, right)
                alone |= {} if when is None else {name: when}
    return Difference(largest, step, own, right[(step or FIRST) - 1], alone, seconds)


def _compared(functions: Mapping[str, OwnFunction], data: Data, right: list[float]) -> tuple[float, int | None, float]:
    """Return the largest difference, the first step whose loss differs by too much, and the last loss that was seen."""
    largest, own = 0.0, 0.0
    for number, (own, expected) in enumerate(zip(_losses(functions, data), right, strict=True), 1):
        if not abs(own - expected) <= ALLOWED:  # NaN is a difference too
            return abs(own - expected), number, own
        largest = max(largest, abs(own - expected))
    return largest, None, own


def trained(functions: Mapping[str, OwnFunction], data: Data) -> Trained:
    """Train the network for one epoch, and read the test images.

    Raises
    ------
    OwnFunctionError
        If a function raises an error, or returns what does not fit.
    """
    begun, model, steps = time.monotonic(), _network(functions), 0
    for x, y in _batches(data):
        model.train_on_batch(x, y)
        steps += 1
    p = model.predict(data.x_test, verbose=0)
    return Trained(float(np.mean(p.argmax(axis=1) == data.y_test)), steps, time.monotonic() - begun)
