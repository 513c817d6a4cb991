"""What a network says about all images of a set: its mistakes, and the images that excite one of its filters most.

This takes seconds or minutes. It is done once for each version of the weights; see :mod:`tinycnn.explore.tasks`.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from ..core.types import Array, Shape
from ..inspection import answers
from ..inspection.receptive_field import field_by_geometry
from ..kernels.threads import one_blas_thread
from ..layers import Layer
from ..training.step import walk_forward
from .labels import classes_of, label_of, targets_for
from .pictures import FastAnswers
from .session import Session
from .tasks import SECONDS, Task, Tasks

#: How many images are taken at a time: as many as make a layer's result this large, and never more than a block.
BLOCK, BLOCK_NUMBERS = 256, 4_000_000
#: How many of the images that excite a filter most are kept.
MOST_EXCITING = 24
#: Probabilities are kept this far from 0, so that they have a logarithm; the engine's losses do the same.
SMALLEST = 1e-7


class Answers(NamedTuple):
    """What the network says about the first N images of a set; each array has one number for each image."""

    true: Array
    predicted: Array
    p_predicted: Array
    p_true: Array

    @property
    def loss(self) -> Array:
        """The crossentropy ``-log p[true class]`` of each image (N,)."""
        return -np.log(np.maximum(self.p_true.astype(np.float64), SMALLEST))


class Numbers(NamedTuple):
    """What a network that gives a number says about the first N images of a set: (N,) arrays."""

    target: Array
    answer: Array
    loss: Array


class Excited(NamedTuple):
    """The images that excite each filter of a layer most: (K, F) arrays, from the strongest to the weakest.

    Attributes
    ----------
    value : array
        The filter's largest result for the image; -inf if it is not finite.
    image : array of int
        The number of the image.
    place : array of int
        Where in the layer's map that result is, counted row by row.
    """

    value: Array
    image: Array
    place: Array


class Survey:
    """What a session's network says about its sets of images.

    Parameters
    ----------
    session : Session
    fast : FastAnswers
        The session's.
    seconds : float
        After how many seconds a task ends.
    """

    def __init__(self, session: Session, fast: FastAnswers, seconds: float = SECONDS) -> None:
        self._session, self._fast, self._tasks = session, fast, Tasks(seconds)

    def answers(self, which: str, again: bool = False) -> Task:
        """Return the task whose result is :class:`Answers` for the set ``"test"`` or ``"train"``.

        Of a network that gives a number, it is :class:`Numbers`.

        ``again`` begins a new task if the last one is out of date; see :meth:`tinycnn.explore.tasks.Tasks.ask`.

        Raises
        ------
        ValueError
            If there is no such set, or the labels are not classes of the network.
        """
        images, labels = images_of(self._session, which)
        classes = classes_of(self._session.model)
        if classes and len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(
                f"the labels of the {which} set go from {labels.min()} to {labels.max()}, but the network has "
                f"{classes} classes"
            )
        work = partial(self._answer if classes else self._number, images=images, labels=labels)
        return self._tasks.ask(("answers", which), len(images), work, self._session.version, again)

    def excited(self, which: str, layer: int, again: bool = False) -> Task:
        """Return the task whose result is :class:`Excited` for a layer, given by its number.

        ``again`` begins a new task if the last one is out of date; see :meth:`tinycnn.explore.tasks.Tasks.ask`.

        Raises
        ------
        ValueError
            If there is no such set, or no such layer.
        """
        images, _ = images_of(self._session, which)
        if not 0 <= layer < len(self._session.model.layers):
            raise ValueError(f"layer must be from 0 to {len(self._session.model.layers) - 1}; got {layer}")
        work = partial(self._excite, images=images, layer=layer)
        return self._tasks.ask(("excited", which, layer), len(images), work, self._session.version, again)

    def stop(self) -> None:
        """Stop all tasks."""
        self._tasks.stop()

    def _answer(self, task: Task, images: Array, labels: Array) -> Answers:
        """Return what the network says about the images that there is time for."""
        found = Answers(*(np.empty(0, kind) for kind in (np.int64, np.int64, np.float64, np.float64)))
        blocks = [found]
        for block, p in self._blocks(task, images):
            true, rows = labels[block].astype(np.int64), np.arange(len(p))
            predicted = p.argmax(axis=1)
            blocks.append(Answers(true, predicted, p[rows, predicted], p[rows, true]))
        return Answers(*map(np.concatenate, zip(*blocks, strict=True)))

    def _number(self, task: Task, images: Array, labels: Array) -> Numbers:
        """Return which numbers the network gives for the images that there is time for."""
        blocks = [Numbers(*(np.empty(0) for _ in Numbers._fields))]
        for block, outputs in self._blocks(task, images):
            model = self._session.model
            targets = targets_for(model, [label_of(model, label) for label in labels[block]])
            with self._session.lock:
                checked = model.loss.check_targets(targets, len(targets), model.output_shape)
                losses, _ = model.loss.forward(model.backend.own(outputs), checked, model.backend)
            blocks.append(Numbers(targets[:, 0], outputs[:, 0], model.backend.to_numpy(losses)))
        return Numbers(*map(np.concatenate, zip(*blocks, strict=True)))

    def _blocks(self, task: Task, images: Array) -> Iterator[tuple[slice, Array]]:
        """Yield blocks of the images that there is time for, and their probabilities or numbers."""
        predictor, task.version = self._fast.predictor()
        model = self._session.model
        shapes = [model.input_shape, *(layer.built_output_shape for layer in model.layers)]
        for block in task.blocks(_block_size(shapes)):
            found = predictor(images[block].astype(model.dtype))
            found = found if self._session.gives_one_number else answers.probabilities(model, found)
            if np.isnan(found).any():  # no class is the most probable one then
                raise FloatingPointError(
                    f"the network gives NaN for {int(np.isnan(found).any(axis=1).sum())} of the first {len(found)} "
                    "images, so it answers nothing; Look inside shows in which layer that begins"
                )
            yield block, found

    def _excite(self, task: Task, images: Array, layer: int) -> Excited:
        """Return the images that excite each filter of a layer most, among those that there is time for."""
        with self._session.lock:
            task.version = self._session.version
            chain = copy.deepcopy(list(self._session.model.layers[: layer + 1]))
        backend, dtype, F = chain[-1].backend, chain[-1].dtype, chain[-1].built_output_shape[-1]
        best = Excited(*(np.empty((0, F), kind) for kind in (np.float64, np.int64, np.int64)))
        shapes = [images.shape[1:], *(one.built_output_shape for one in chain)]
        for block in task.blocks(_block_size(shapes)):
            y = backend.array(images[block], dtype)
            with one_blas_thread():
                for passed in walk_forward(chain, y, training=False):
                    y = passed.y
            y = backend.to_numpy(y)
            best = _best(best, y.reshape(len(y), -1, F), block.start)
        return best


def images_of(session: Session, which: str) -> tuple[Array, Array]:
    """Return the images and the labels of a set.

    Raises
    ------
    ValueError
        If there is no such set.
    """
    if session.data is None or which not in ("test", "train"):
        there = "'test' and 'train'" if session.data is not None else "none; start the page with --data NAME"
        raise ValueError(f"there is no set of images {which[:40]!r}; there are {there}")
    data = session.data
    return (data.x_test, data.y_test) if which == "test" else (data.x_train, data.y_train)


def worst(found: Answers | Numbers, by: str, count: int) -> Array:
    """Return the numbers of the images with the largest loss, or of the mistakes of which the network is surest.

    Parameters
    ----------
    found : Answers or Numbers
    by : {"loss", "sure"}
        Numbers have no mistakes, and are always ordered by their loss.
    count : int
        The largest number of images.
    """
    if by == "loss" or isinstance(found, Numbers):
        return _largest(found.loss)[:count]
    mistakes = np.flatnonzero(found.predicted != found.true)
    return mistakes[_largest(found.p_predicted[mistakes])][:count]


def confusion(found: Answers, classes: int) -> Array:
    """Return how many images of each class (rows) the network takes for which (columns)."""
    counts = np.zeros((classes, classes), np.int32)
    np.add.at(counts, (found.true, found.predicted), 1)
    return counts


def behind(found: Answers, true: int, predicted: int, count: int) -> Array:
    """Return the numbers of the images behind a cell of the confusion matrix, the surest answers first."""
    inside = np.flatnonzero((found.true == true) & (found.predicted == predicted))
    return inside[_largest(found.p_predicted[inside])][:count]


def seen_at(layers: Sequence[Layer], place: int, channel: int) -> tuple[list[int], list[int] | None]:
    """Return where in a layer's result a place is, and the rectangle of the image that is seen from there.

    Parameters
    ----------
    layers : sequence of Layer
        All layers up to this one.
    place : int
        The place in the map, counted row by row.
    channel : int

    Returns
    -------
    list of int, [row, column, height, width] or None
        The index in the result; None if it is not known what the layer sees.
    """
    shape = layers[-1].built_output_shape
    index = (*(int(at) for at in np.unravel_index(place, shape[:-1])), channel) if len(shape) > 1 else (channel,)
    try:
        field = field_by_geometry(layers, index)
    except ValueError:
        return list(index), None
    if field.ndim != 2 or not field.any():
        return list(index), None
    rows, columns = (np.flatnonzero(field.any(axis=axis)) for axis in (1, 0))
    size = (int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)
    return list(index), [int(rows[0]), int(columns[0]), *size]


def _largest(values: Array) -> Array:
    """Return the order from the largest value to the smallest; of equal ones the first comes first, NaN comes last."""
    return np.argsort(-values, kind="stable")


def _block_size(shapes: Sequence[Shape]) -> int:
    """Return how many images are taken at a time."""
    return max(1, min(BLOCK, BLOCK_NUMBERS // max(1, *map(math.prod, shapes))))


def _best(best: Excited, y: Array, first: int) -> Excited:
    """Return the strongest of the images so far and of a block with the results y (B, places, F)."""
    place = y.argmax(axis=1)
    value = np.take_along_axis(y, place[:, np.newaxis], axis=1)[:, 0].astype(np.float64)
    value[~np.isfinite(value)] = -np.inf
    image = np.broadcast_to(np.arange(first, first + len(y))[:, np.newaxis], value.shape)
    joined = [np.concatenate(pair) for pair in zip(best, (value, image, place), strict=True)]
    order = np.argsort(-joined[0], axis=0, kind="stable")[:MOST_EXCITING]
    return Excited(*(np.take_along_axis(array, order, axis=0) for array in joined))
