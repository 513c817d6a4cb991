"""Where batches come from: arrays that are shuffled and cut here, or an iterator of the user's own."""

import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..core.backend import Backend
from ..core.checks import integer
from ..core.seeding import Stream, generator
from ..core.types import Array, Config
from ..core.workspace import Workspace
from ..network.network import Network
from .data import Samples, checked_data, sample_weights

#: Keras's default, which ``batch_size=None`` stands for.
USUAL_BATCH = 32
#: Evaluation takes blocks of this many images, whatever ``batch_size`` says: the last bits of a product can depend on
#: its number of rows, and ``evaluate`` has to return exactly what ``fit`` logged.
BLOCK = 256
#: If images are large, a block has fewer of them, so that no result between two layers holds more numbers than this.
BLOCK_NUMBERS = 2**24
#: The largest share of a device's free memory that a data set may take.
LARGEST_SHARE = 0.5


class Batch(NamedTuple):
    """``x`` in the model's dtype, checked targets ``y``, and a weight per sample or None.

    ``x`` belongs to the backend; ``y`` and ``weight`` are on the host, for the metrics. ``targets`` are what the loss
    takes in place of ``y`` if the same targets already lie on a device; with None it takes ``y`` itself.
    """

    x: Array
    y: Array
    weight: Array | None
    targets: Array | None = None

    def shares(self, model: Network) -> Array:
        """Return how much the loss of each image counts in the mean over the batch, for the backend."""
        shares = model.backend.full(len(self.x), 1 / len(self.x), model.dtype)
        if self.weight is not None:
            shares *= model.backend.own(self.weight.astype(model.dtype))
        return shares


class Batches(Protocol):
    """A source of batches, epoch after epoch."""

    #: How many steps an epoch has; None if that is known only at its end.
    steps: int | None
    #: How many images the largest batch has; None if that is not known before the batches come.
    batch_size: int | None

    @property
    def images(self) -> int | None:
        """How many images the next epoch has; None if that is known only at its end."""
        ...

    def epoch(self, ws: Workspace, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of the next epoch, beginning with number ``first``.

        Each batch is valid until the next one is asked for.
        """
        ...

    def skip(self, epochs: int, steps: int) -> None:
        """Skip what an earlier process has trained: ``epochs`` whole epochs, which had ``steps`` batches altogether."""
        ...

    def identity(self) -> Config:
        """Return what must be the same so that an interrupted fit can go on, in a form that JSON can hold."""
        ...


#: Returns which part of a batch of so many images a process computes, where several share each batch.
Mine = Callable[[int], slice]


class SampleSource:
    """Samples and targets from which batches are cut.

    With a backend on a device, data that fit into its memory are copied there once, in the dtype that they have, and
    each batch is put together on the device. Data that do not fit go there batch by batch.

    Parameters
    ----------
    backend : Backend
        The backend to which the batches of images belong.
    x, y : arrays of the same length
        Images and targets that have been checked.
    dtype : str
        The dtype of the batches.
    expected : int
        How many bytes of the device's memory are needed for other things.
    """

    def __init__(self, backend: Backend, x: Array, y: Array, dtype: str, expected: int = 0) -> None:
        self._backend, self._x, self._y, self._dtype = backend, x, y, dtype
        self._order: Array | None = None
        self._on_device: tuple[Any, Any] | None = None
        self._device_order: Any = None
        if backend.on_device and x.nbytes + y.nbytes <= LARGEST_SHARE * (backend.kernels.free_bytes() - expected):
            self._on_device = backend.array(_readable(x)), backend.array(_readable(y))

    def __len__(self) -> int:
        return len(self._x)

    def begin(self, order: Array | None) -> None:
        """Cut the next batches from the samples in this order; None means the order in which they were given."""
        self._order = order
        if self._on_device is not None:
            self._device_order = None if order is None else self._backend.array(order)

    def batch(self, start: int, stop: int, ws: Workspace, mine: Mine | None = None) -> tuple[Array, Array, Array]:
        """Return images, targets for the loss, and the same targets on the host, where metrics work.

        With ``mine``, which a device does not take, the images are only those of a part of the batch.
        """
        index: Any = slice(start, stop) if self._order is None else self._order[start:stop]
        targets = self._y[index]
        if self._on_device is None:
            if mine is not None:
                part = mine(len(targets))
                index = slice(start + part.start, start + part.stop) if self._order is None else index[part]
            return take(self._x, index, ws, self._dtype, self._backend), targets, targets
        gather, (x, y) = self._backend.kernels.gather, self._on_device
        images = ws.keep("fit", "x", (len(targets), *x.shape[1:]), self._dtype)
        gathered = ws.keep("fit", "y", targets.shape, np.int64 if self._y.dtype == np.int64 else self._dtype)
        gather(x, self._device_order, start, images)
        return images, gather(y, self._device_order, start, gathered), targets


def take(x: Array, index: Array | slice, ws: Workspace, dtype: str, backend: Backend) -> Array:
    """Return the chosen samples as a C-ordered batch of ``dtype``, in memory of the workspace."""
    plain = x.dtype == dtype and x.flags.c_contiguous and x.flags.aligned
    if isinstance(index, np.ndarray) and plain and not backend.on_device:
        # Straight to where they are wanted. Other modes would copy in between, and another x is copied whole first.
        return np.take(x, index, 0, ws.keep("fit", "x", (len(index), *x.shape[1:]), dtype), mode="clip")
    chosen = x[index]
    batch = ws.keep("fit", "x", chosen.shape, dtype)
    if backend.on_device:
        batch[...] = chosen.astype(dtype, copy=False)
    else:
        np.copyto(batch, chosen, casting="unsafe")
    return batch


def _readable(array: Array) -> Array:
    """Return an array as kernels read it: contiguous, and with numbers in place of truth values."""
    return np.ascontiguousarray(array, np.uint8 if array.dtype == bool else array.dtype)


class ArrayBatches:
    """Batches that are cut from arrays, in a new random order for each epoch if wanted.

    Parameters
    ----------
    model : Network
        Its seed and the number of steps that it has taken determine the order of each epoch.
    samples : Samples
        The arrays, which have been checked.
    batch_size : int
        The number of images of a batch; the last one of the arrays may have fewer.
    shuffle : bool
        Whether to draw a new order for each epoch.
    steps : int, optional
        End an epoch after this many batches. The next epoch goes on with the batch after them, and with the first one
        after the last. If images are shuffled, each epoch takes the beginning of an order of its own instead.
    """

    def __init__(
        self, model: Network, samples: Samples, batch_size: int, shuffle: bool, steps: int | None = None
    ) -> None:
        self._model, self._samples = model, samples
        self._batch_size, self._shuffle = batch_size, shuffle
        count = len(samples.x)
        self._available = math.ceil(count / batch_size)
        if steps is not None and steps > self._available:
            raise ValueError(
                f"steps_per_epoch is {steps}, but {count} images in batches of {batch_size} make {self._available} "
                "steps; give at most that many"
            )
        self._steps = self._available if steps is None else steps
        self.steps: int | None = self._steps
        self._begin = 0  # the number of the next epoch's first batch
        self._source: SampleSource | None = None
        self.batch_size: int | None = min(batch_size, count)

    @property
    def images(self) -> int | None:
        return sum(len(self._samples.x[self._slice(number)]) for number in range(self._steps))

    def _slice(self, number: int) -> slice:
        """Return which samples batch ``number`` of the epoch takes."""
        start = (self._begin + number) % self._available * self._batch_size
        return slice(start, start + self._batch_size)

    def epoch(self, ws: Workspace, first: int = 0, mine: Mine | None = None) -> Iterator[Batch]:
        """Yield the batches of the next epoch; with ``mine`` each has the images of a part, and all targets."""
        model, (images, labels, weights) = self._model, self._samples
        order = None
        if self._shuffle:
            # The number of steps that had been taken when the epoch began determines its order.
            order = np.arange(len(images))
            generator(model.seed, Stream.SHUFFLE, model.optimizer.iterations - first).shuffle(order)
        if self._source is None:
            self._source = SampleSource(model.backend, images, labels, model.dtype, ws.expected)
        self._source.begin(order)
        for number in range(first, self._steps):
            index: Any = self._slice(number)
            weight = None if weights is None else weights[index if order is None else order[index]]
            x, targets, y = self._source.batch(index.start, index.stop, ws, mine)
            yield Batch(x, y, weight, targets)
        self._advance(self._steps)

    def skip(self, epochs: int, steps: int) -> None:
        self._advance(steps)

    def _advance(self, steps: int) -> None:
        """Move the beginning of the next epoch on by ``steps`` batches."""
        # A shuffled epoch has an order of its own, which follows from the steps that the optimizer has taken.
        if not self._shuffle:
            self._begin = (self._begin + steps) % self._available

    def identity(self) -> Config:
        images, labels, weights = self._samples
        return {
            "images": len(images),
            "batch_size": self._batch_size,
            "shuffle": self._shuffle,
            "steps_per_epoch": self.steps,
            "x": checksum(images),
            "y": checksum(labels),
            "sample_weight": None if weights is None else checksum(weights),
        }


class IteratorBatches:
    """Batches that a user's iterator or iterable yields: ``(x, y)`` or ``(x, y, sample_weight)``.

    An iterable, such as a list or an object whose ``__iter__`` begins anew, is gone through once per epoch. An iterator
    goes on from epoch to epoch, and gives ``steps`` batches to each.

    Parameters
    ----------
    model : Network
        Compiled; it says which images and targets it takes.
    source : iterable
        What the user gave to ``fit``.
    steps : int or None
        The number of batches per epoch; None takes all that the source has.
    class_weight : dict or None
        The weight of each class.
    check_finite : bool
        Whether to look for NaN and infinity in images and targets.
    """

    def __init__(
        self, model: Network, source: Iterable[Any], steps: int | None, class_weight: Any, check_finite: bool
    ) -> None:
        self._model, self._source, self._class_weight = model, source, class_weight
        self._check_finite = check_finite
        self.steps = steps
        self.images: int | None = None
        self.batch_size: int | None = None
        self._epochs = 0

    def epoch(self, ws: Workspace, first: int = 0) -> Iterator[Batch]:
        self._epochs += 1
        # ``iter`` returns an iterator itself, so that it goes on where the last epoch ended.
        source = iter(self._source)
        count = sum(1 for _ in islice(source, first))
        if count == self.steps:
            return
        for item in source:
            name = f"batch {count} of epoch {self._epochs}"
            yield checked_batch(self._model, item, name, self._class_weight, self._check_finite, ws)
            count += 1
            if count == self.steps:
                return
        if self.steps is not None or count == 0:
            wanted = "at least one" if self.steps is None else f"steps_per_epoch={self.steps}"
            raise ValueError(
                f"the batches ran out in epoch {self._epochs} of this fit after {count}; expected {wanted}. Give an "
                "iterable that begins anew each epoch (a list, or a class with __iter__), or a generator that never "
                "ends with steps_per_epoch"
            )

    def skip(self, epochs: int, steps: int) -> None:
        """Skip what an iterator gave to the earlier process; other iterables begin anew each epoch anyway."""
        self._epochs = epochs
        if iter(self._source) is self._source:
            for _ in islice(self._source, steps):
                pass

    def identity(self) -> Config:
        identity: Config = {"source": type(self._source).__name__, "steps_per_epoch": self.steps}
        return identity | class_weight_identity(self._class_weight)


def class_weight_identity(class_weight: Any) -> Config:
    """Return what an identity says of the weights of classes, which a user's batches are given one by one."""
    if not isinstance(class_weight, dict):  # anything else is refused with the first batch
        return {}
    return {"class_weight": {str(label): str(weight) for label, weight in class_weight.items()}}


def checked_batch(model: Network, item: Any, name: str, class_weight: Any, check_finite: bool, ws: Workspace) -> Batch:
    """Return a batch of the user's in the form that training takes, or raise an error that begins with its name."""
    if not isinstance(item, tuple | list) or len(item) not in (2, 3):
        found = f"{type(item).__name__} of {len(item)}" if isinstance(item, tuple | list) else type(item).__name__
        raise TypeError(f"{name}: expected (x, y) or (x, y, sample_weight); got a {found}")
    x, y = checked_data(model, item[0], item[1], check_finite, f"{name}: ")
    if not len(x):
        raise ValueError(f"{name}: x is empty; a batch needs at least one image")
    given = item[2] if len(item) == 3 else None
    weight = sample_weights(model, given, class_weight, y, name=name)
    return Batch(take(x, slice(None), ws, model.dtype, model.backend), y, weight)


def checksum(array: Array) -> int:
    """Return the CRC-32 of an array's numbers, computed in blocks so that a data set is never copied."""
    value = zlib.crc32(array.dtype.str.encode())
    for start in range(0, len(array), 1024):
        value = zlib.crc32(np.ascontiguousarray(array[start : start + 1024]).data, value)
    return value


def images_of(steps: int, batch_size: int | None, images: int, name: str = "steps") -> int:
    """Return how many images there are in so many batches, or raise if there are fewer batches."""
    size = USUAL_BATCH if batch_size is None else integer(batch_size, "batch_size")
    batches = -(-images // size)
    if steps > batches:
        raise ValueError(
            f"{name} must be at most {batches}, the number of batches of {size} in {images} images; got {steps}"
        )
    return steps * size


def block_size(model: Network) -> int:
    """Return how many images evaluate and predict take at a time; it follows from the network's shapes alone."""
    largest = max(math.prod(shape) for shape in (model.input_shape, *(x.built_output_shape for x in model.layers)))
    return max(1, min(BLOCK, BLOCK_NUMBERS // max(1, largest)))
