"""Batches of a user's own: from an object with a length whose items are batches, such as Keras's ``Sequence``; and, for
evaluation and prediction, from any iterable.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from ..core.messages import shown
from ..core.seeding import Stream, generator
from ..core.types import Array, Config
from ..core.workspace import Workspace
from ..network.network import Network
from .batches import Batch, checked_batch, class_weight_identity
from .data import checked_data, images_for, sample_weights

#: What has a length and items too, but is not asked for batches by their numbers.
_OTHERS = (list, tuple, str, bytes, bytearray, range, memoryview, deque, Mapping)


def is_sequence(source: Any) -> bool:
    """Return whether an object has a length and items, which are batches, and is no array, list, tuple or dict."""
    array = hasattr(source, "dtype") or hasattr(source, "__array__")
    has_both = hasattr(type(source), "__len__") and hasattr(type(source), "__getitem__")
    return has_both and not array and not isinstance(source, _OTHERS)


def is_iterator(source: Any) -> bool:
    """Return whether a source of batches goes on where it was left, as a generator does, and does not begin anew."""
    return hasattr(source, "__next__") and iter(source) is source


def are_batches(source: Any, alone: bool = False) -> bool:
    """Return whether an object holds or yields batches, and is no array.

    Lists are arrays of samples, unless they stand ``alone``, without targets, where targets are needed.
    """
    if is_sequence(source) or hasattr(source, "dtype") or hasattr(source, "__array__"):
        return is_sequence(source)
    others = (str, bytes, bytearray, Mapping, type) if alone else (*_OTHERS, type)
    return hasattr(source, "__iter__") and not isinstance(source, others)


def with_first(source: Any) -> tuple[Any, Any]:
    """Return the first of a user's batches, or None if there is none; and all of them, the first one included."""
    if is_sequence(source):
        return (item(source, 0, "x[0]") if len(source) else None), source
    iterator = iter(source)
    first = next(iterator, None)
    return first, (_again(first, iterator) if iterator is source and first is not None else source)


def _again(first: Any, others: Iterator[Any]) -> Iterator[Any]:
    """Yield a batch that was taken from an iterator, then what is left of it."""
    yield first
    yield from others


def refuse_targets_of_batches(source: Any) -> None:
    """Raise a ValueError if targets were given beside a sequence of batches."""
    if is_sequence(source):
        kind = type(source).__name__
        raise ValueError(f"y was given, but x, a {kind}, holds batches with their targets; leave out y")


def length(source: Any, name: str) -> int:
    """Return how many batches a sequence has, or raise a ValueError if it has none."""
    count = len(source)
    if not count:
        raise ValueError(f"{name} is empty: its length is 0; it must hold at least one batch")
    return count


def item(source: Any, index: int, name: str) -> Any:
    """Return a batch of a sequence; an error that it raises says which one was asked for."""
    try:
        return source[index]
    except Exception as error:
        error.add_note(f"tinycnn asked for {name}: {type(source).__name__}.__getitem__({index})")
        raise


class SequenceBatches:
    """The batches of a sequence, in a new random order for each epoch if wanted.

    ``on_epoch_begin`` and ``on_epoch_end`` of the sequence are called if it has them; it may have another length after
    that. A fit that goes on where an earlier one was interrupted calls them as often as that one did.

    Parameters
    ----------
    model : Network
        Compiled. Its seed and the number of steps that it has taken determine the order of each epoch.
    source : object
        ``source[k]`` is the batch ``(x, y)`` or ``(x, y, sample_weight)``, for k from 0 to ``len(source) - 1``.
    shuffle : bool
        Whether to take the batches in another order in each epoch.
    steps : int or None
        End an epoch after this many batches. As with arrays, the next epoch goes on with the batch after them, unless
        batches are shuffled.
    class_weight : dict or None
        The weight of each class.
    check_finite : bool
        Whether to look for NaN and infinity in the images.
    """

    def __init__(
        self, model: Network, source: Any, shuffle: bool, steps: int | None, class_weight: Any, check_finite: bool
    ) -> None:
        self._model, self._source, self._shuffle = model, source, shuffle
        self._class_weight, self._check_finite = class_weight, check_finite
        count = length(source, "x")
        if steps is not None and steps > count:
            raise ValueError(f"steps_per_epoch is {steps}, but x holds {count} batches; give at most that many")
        self._wanted = steps
        self.steps: int | None = count if steps is None else steps
        self.images: int | None = None
        self.batch_size: int | None = None
        self._begin = self._epochs = 0

    def epoch(self, ws: Workspace, first: int = 0) -> Iterator[Batch]:
        self._epochs += 1
        self._tell("on_epoch_begin")
        count = length(self._source, "x")
        order = np.arange(count)
        if self._shuffle:
            generator(self._model.seed, Stream.SHUFFLE, self._model.optimizer.iterations - first).shuffle(order)
        steps = count if self._wanted is None else min(self._wanted, count)
        for number in range(first, steps):
            index = int(order[(self._begin + number) % count])
            name = f"batch {number} of epoch {self._epochs}, x[{index}]"
            found = item(self._source, index, name)
            yield checked_batch(self._model, found, name, self._class_weight, self._check_finite, ws)
        self._end(steps, count)

    def skip(self, epochs: int, steps: int) -> None:
        """Skip whole epochs without asking for their batches."""
        for _ in range(epochs):
            self._epochs += 1
            self._tell("on_epoch_begin")
            count = length(self._source, "x")
            self._end(count if self._wanted is None else min(self._wanted, count), count)

    def _end(self, steps: int, count: int) -> None:
        """End an epoch that took so many steps of so many batches."""
        if not self._shuffle:
            self._begin = (self._begin + steps) % count
        self._tell("on_epoch_end")

    def _tell(self, name: str) -> None:
        """Call a method of the sequence if it has it."""
        method = getattr(self._source, name, None)
        if callable(method):
            method()

    def identity(self) -> Config:
        return {
            "source": type(self._source).__name__,
            "batches": len(self._source),
            "shuffle": self._shuffle,
            "steps_per_epoch": self._wanted,
        } | class_weight_identity(self._class_weight)


class BatchSamples:
    """The samples of a user's batches, for evaluation and prediction, in blocks of any size.

    The size of the user's own batches makes no difference to a result.

    Parameters
    ----------
    model : Network
        Built; compiled if targets are wanted.
    source : iterable, or object that holds batches
        An iterator goes on where it was left when samples are asked for again; anything else begins anew.
    check_finite : bool
        Whether to look for NaN and infinity in images and targets.
    name : str
        What errors call the source.
    steps : int, optional
        Take only so many batches.
    steps_name : str
        What errors call ``steps``.
    """

    def __init__(
        self,
        model: Network,
        source: Any,
        check_finite: bool,
        name: str = "x",
        steps: int | None = None,
        steps_name: str = "steps",
    ) -> None:
        self._model, self._source, self._check_finite, self._name = model, source, check_finite, name
        self._steps, self._steps_name = steps, steps_name
        if is_sequence(source):
            self._check_steps(length(source, name))

    def blocks(self, size: int) -> Iterator[tuple[Array, Array, Array | None]]:
        """Yield images, targets and weights (None if all are 1), ``size`` samples at a time."""
        for x, y, weight in _cut(self._batches(), size):
            yield x, y, None if np.all(weight == 1) else weight

    def images(self, size: int) -> Iterator[Array]:
        """Yield images, ``size`` at a time; items may be images alone, or tuples that begin with them."""
        for (x,) in _cut(self._image_batches(), size):
            yield x

    def skip(self, times: int) -> None:
        """Skip what an iterator gave when an earlier process asked for its samples so many times."""
        if is_iterator(self._source) and self._steps is not None:
            for _ in islice(self._source, times * self._steps):
                pass

    def _batches(self) -> Iterator[tuple[Array, ...]]:
        for name, found in self._items():
            if not isinstance(found, tuple | list) or len(found) not in (2, 3):
                raise TypeError(f"{name}: expected (x, y) or (x, y, sample_weight); got {shown(found)}")
            x, y = checked_data(self._model, found[0], found[1], self._check_finite, f"{name}: ")
            weight = sample_weights(self._model, found[2] if len(found) == 3 else None, None, y, name=name)
            yield x.astype(self._model.dtype), y, np.ones(len(y)) if weight is None else weight

    def _image_batches(self) -> Iterator[tuple[Array, ...]]:
        for name, found in self._items():
            x = found[0] if isinstance(found, tuple) and found else found
            yield (images_for(self._model, x, self._check_finite, name).astype(self._model.dtype),)

    def _items(self) -> Iterator[tuple[str, Any]]:
        """Yield each batch with its name."""
        if is_sequence(self._source):
            count = length(self._source, self._name)
            self._check_steps(count)
            for index in range(count if self._steps is None else self._steps):
                name = f"{self._name}[{index}]"
                yield name, item(self._source, index, name)
            return
        count = 0
        for found in islice(iter(self._source), self._steps):
            yield f"batch {count} of {self._name}", found
            count += 1
        self._check_steps(count)
        if not count:
            raise ValueError(f"{self._name} yields no batches; {_NEEDS_MORE}")

    def _check_steps(self, count: int) -> None:
        """Raise if there are fewer batches than steps."""
        if self._steps is not None and count < self._steps:
            cure = "give at most that many" if is_sequence(self._source) else _NEEDS_MORE
            raise ValueError(f"{self._steps_name} is {self._steps}, but {self._name} has {count} batches; {cure}")

    def identity(self) -> Config:
        """Return what must be the same so that an interrupted fit can go on, in a form that JSON can hold."""
        identity: Config = {"source": type(self._source).__name__}
        if is_sequence(self._source):
            identity["batches"] = len(self._source)
        return identity if self._steps is None else identity | {"steps": self._steps}


#: What to do about batches that ran out.
_NEEDS_MORE = (
    "give an iterable that begins anew each time (a list, or a class with __iter__), or a generator that never ends "
    "with the number of batches to take"
)


def _cut(batches: Iterator[tuple[Array, ...]], size: int) -> Iterator[tuple[Array, ...]]:
    """Yield the same samples in blocks of ``size``; the last one may be smaller."""
    waiting: list[tuple[Array, ...]] = []
    count = 0
    for batch in batches:
        waiting.append(batch)
        count += len(batch[0])
        while count >= size:
            joined = tuple(map(np.concatenate, zip(*waiting, strict=True)))
            yield tuple(part[:size] for part in joined)
            waiting = [tuple(part[size:] for part in joined)]
            count -= size
    if count:
        yield tuple(map(np.concatenate, zip(*waiting, strict=True)))
