"""Where training batches come from: arrays, cut and shuffled here, or an iterator of the user's."""

import math
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ..core.checks import array, real, shown
from ..core.seeding import Stream, generator
from ..core.types import Array, Config
from ..core.workspace import Workspace
from .data import checked_data, take
from .feed import Feed

if TYPE_CHECKING:
    from ..sequential import Sequential


class Batch(NamedTuple):
    """``x`` in the model's dtype, checked targets ``y``, and a weight per sample or None.

    ``x`` is the backend's; ``y`` and ``weight`` are on the host, for figures. ``targets`` are y for the loss, on the
    device where they lie there already; None stands for y itself.
    """

    x: Array
    y: Array
    weight: Array | None
    targets: Array | None = None


class Batches(Protocol):
    """What an epoch is made of."""

    #: Steps of an epoch; None where only the end will tell.
    steps: int | None
    #: Images of the largest batch; None where only the batches tell.
    batch_size: int | None

    @property
    def images(self) -> int | None:
        """Images of the next epoch; None where only its end will tell."""
        ...

    def epoch(self, ws: Workspace, first: int = 0) -> Iterator[Batch]:
        """The batches of the next epoch, from number ``first`` on; each is valid until the next is asked for."""
        ...

    def skip(self, epochs: int, steps: int) -> None:
        """Whole epochs were trained in an earlier process, that many, with so many steps in all."""
        ...

    def identity(self) -> Config:
        """What has to be the same for a fit to go on, ready for JSON."""
        ...


class ArrayBatches:
    """Batches of arrays that are checked already.

    Parameters
    ----------
    model : Sequential
        Its seed and the steps taken so far give each epoch's order.
    x, y : arrays of one length
    weight : array or None
    batch_size : int
    shuffle : bool
    steps : int, optional
        End an epoch after that many batches. The next one goes on behind them, and after the last batch with the first;
        where images are shuffled, each epoch is the beginning of an order of its own.
    """

    def __init__(
        self,
        model: "Sequential",
        x: Array,
        y: Array,
        weight: Array | None,
        batch_size: int,
        shuffle: bool,
        steps: int | None = None,
    ) -> None:
        self._model, self._x, self._y, self._weight = model, x, y, weight
        self._batch_size, self._shuffle = batch_size, shuffle
        self._available = math.ceil(len(x) / batch_size)
        if steps is not None and steps > self._available:
            raise ValueError(
                f"steps_per_epoch is {steps}, but {len(x)} images in batches of {batch_size} make {self._available} "
                "steps"
            )
        self._steps = self._available if steps is None else steps
        self.steps: int | None = self._steps
        self._begin = 0  # the number of the next epoch's first batch
        self._feed: Feed | None = None
        self.batch_size: int | None = min(batch_size, len(x))

    @property
    def images(self) -> int | None:
        return sum(len(self._x[self._slice(number)]) for number in range(self._steps))

    def _slice(self, number: int) -> slice:
        """Where the batch of that number within the epoch stands."""
        start = (self._begin + number) % self._available * self._batch_size
        return slice(start, start + self._batch_size)

    def epoch(self, ws: Workspace, first: int = 0) -> Iterator[Batch]:
        order = None
        if self._shuffle:
            # The steps taken when the epoch began give its order.
            order = np.arange(len(self._x))
            generator(self._model.seed, Stream.SHUFFLE, self._model.optimizer.iterations - first).shuffle(order)
        if self._feed is None:
            self._feed = Feed(self._model.backend, self._x, self._y, self._model.dtype, ws.expected)
        self._feed.begin(order)
        for number in range(first, self._steps):
            index: Any = self._slice(number)
            weight = None if self._weight is None else self._weight[index if order is None else order[index]]
            x, targets, y = self._feed.batch(index.start, index.stop, ws)
            yield Batch(x, y, weight, targets)
        self._advance(self._steps)

    def skip(self, epochs: int, steps: int) -> None:
        self._advance(steps)

    def _advance(self, steps: int) -> None:
        # A shuffled epoch's order follows from the steps that the optimizer has taken.
        if not self._shuffle:
            self._begin = (self._begin + steps) % self._available

    def identity(self) -> Config:
        return {
            "images": len(self._x),
            "batch_size": self._batch_size,
            "shuffle": self._shuffle,
            "steps_per_epoch": self.steps,
            "x": checksum(self._x),
            "y": checksum(self._y),
            "sample_weight": None if self._weight is None else checksum(self._weight),
        }


class IteratorBatches:
    """Batches that a user's iterator or iterable yields: ``(x, y)`` or ``(x, y, sample_weight)``.

    An iterable (a list, or an object whose ``__iter__`` begins anew) is gone through once an epoch. An iterator goes
    on from epoch to epoch, ``steps`` batches each.

    Parameters
    ----------
    model : Sequential
    source : iterable
    steps : int or None
    class_weight : array or None
        Weight of each class.
    check_finite : bool
    """

    def __init__(
        self, model: "Sequential", source: Iterable[Any], steps: int | None, class_weight: Any, check_finite: bool
    ) -> None:
        self._model, self._source, self._class_weight = model, source, class_weight
        self._check_finite = check_finite
        self.steps = steps
        self.images: int | None = None
        self.batch_size: int | None = None
        self._epochs = 0

    def epoch(self, ws: Workspace, first: int = 0) -> Iterator[Batch]:
        self._epochs += 1
        # An iterator is its own ``iter``: it goes on where the last epoch ended.
        source = iter(self._source)
        count = sum(1 for _ in islice(source, first))
        if count == self.steps:
            return
        for item in source:
            yield self._checked(item, count, ws)
            count += 1
            if count == self.steps:
                return
        if self.steps is not None or count == 0:
            wanted = "at least one" if self.steps is None else f"steps_per_epoch={self.steps}"
            raise ValueError(
                f"the batches ran out in epoch {self._epochs} of this fit after {count}, wanted {wanted}: give an "
                "iterable that begins anew each epoch (a list, or a class with __iter__), or a generator that never "
                "ends with steps_per_epoch"
            )

    def skip(self, epochs: int, steps: int) -> None:
        """Go past what an iterator gave to the earlier process; an iterable begins anew each epoch anyway."""
        self._epochs = epochs
        if iter(self._source) is self._source:
            for _ in islice(self._source, steps):
                pass

    def identity(self) -> Config:
        identity: Config = {"source": type(self._source).__name__, "steps_per_epoch": self.steps}
        if isinstance(self._class_weight, dict):  # anything else is refused with the first batch
            identity["class_weight"] = {str(label): str(weight) for label, weight in self._class_weight.items()}
        return identity

    def _checked(self, item: Any, number: int, ws: Workspace) -> Batch:
        name = f"batch {number} of epoch {self._epochs}"
        if not isinstance(item, tuple | list) or len(item) not in (2, 3):
            several = f"{type(item).__name__} of {len(item)}" if isinstance(item, tuple | list) else type(item).__name__
            raise TypeError(f"{name}: expected (x, y) or (x, y, sample_weight), got a {several}")
        x, y = checked_data(self._model, item[0], item[1], self._check_finite, f"{name}: ")
        if not len(x):
            raise ValueError(f"{name}: x is empty")
        given = item[2] if len(item) == 3 else None
        weight = sample_weights(given, self._class_weight, y, self._model.output_shape[-1], name=name)
        return Batch(take(x, slice(None), ws, self._model.dtype, self._model.backend), y, weight)


def checksum(array: Array) -> int:
    """CRC-32 of an array's numbers, in blocks, so that no copy of a data set is made."""
    value = zlib.crc32(array.dtype.str.encode())
    for start in range(0, len(array), 1024):
        value = zlib.crc32(np.ascontiguousarray(array[start : start + 1024]).data, value)
    return value


def sample_weights(given: Any, class_weight: Any, y: Array, classes: int, name: str = "fit") -> Array | None:
    """The weight of each sample from ``sample_weight`` and ``class_weight``; None where all are 1.

    Raises
    ------
    TypeError, ValueError
        For weights of another length, negative or not finite, or classes without a weight.
    """
    weight = None
    if given is not None:
        weight = array(given, f"{name}: sample_weight").astype(np.float64)
        if weight.shape != (len(y),):
            raise ValueError(f"{name}: sample_weight must have shape ({len(y)},), got {weight.shape}")
        if not (np.isfinite(weight).all() and (weight >= 0).all()):
            raise ValueError(f"{name}: sample_weight must be finite and not negative")
    if class_weight is not None:
        labels = y if y.ndim == 1 else y.argmax(axis=-1)
        by_class = _class_weights(class_weight, labels, classes)[labels]
        weight = by_class if weight is None else weight * by_class
    return weight


def _class_weights(class_weight: Any, labels: Array, classes: int) -> Array:
    if not isinstance(class_weight, dict):
        raise TypeError(f"class_weight must be a dict from class to weight; got {type(class_weight).__name__}")
    table = np.full(classes, np.nan)
    for label, weight in class_weight.items():
        if not isinstance(label, int | np.integer) or not 0 <= label < classes:
            raise ValueError(f"class_weight: {shown(label)} is not a class from 0 to {classes - 1}")
        table[label] = real(weight, f"class_weight of class {label}", 0)
    missing = np.flatnonzero(np.isnan(table) & (np.bincount(labels, minlength=classes) > 0))
    if len(missing):
        raise ValueError(f"class_weight has no weight for class {', '.join(map(str, missing))}, which the labels hold")
    return table
