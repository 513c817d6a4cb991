"""Where batches are cut from: the user's arrays, or copies of them on a device."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.backend import Backend
from ..core.types import Array
from ..core.workspace import Workspace
from .data import take

if TYPE_CHECKING:
    from ..sequential import Sequential

#: Evaluation goes by blocks of this many images whatever ``batch_size`` says: a product's last bits can depend on its
#: number of rows, and ``evaluate`` is to return exactly what ``fit`` logged.
BLOCK = 256
#: Of large images fewer, so that no result between two layers holds more numbers than this; batch_size has no say.
BLOCK_NUMBERS = 2**24
#: What share of a device's free memory a data set may take.
LARGEST_SHARE = 0.5


class Feed:
    """Samples and targets that batches are cut from.

    With a backend on a device, data that fit there are copied there once, in the dtype they have; a batch is then put
    together on the device. Data that do not fit go there batch by batch.

    Parameters
    ----------
    backend : Backend
    x, y : arrays of one length
        Checked.
    dtype : str
        Of batches.
    expected : int
        Bytes of the device's memory that are wanted for other things.
    """

    def __init__(self, backend: Backend, x: Array, y: Array, dtype: str, expected: int = 0) -> None:
        self._backend, self._x, self._y, self._dtype = backend, x, y, dtype
        self._order: Array | None = None
        self._on_device: tuple[Any, Any] | None = None
        self._device_order: Any = None
        if backend.on_device and x.nbytes + y.nbytes <= LARGEST_SHARE * (backend.kernels.free_bytes() - expected):
            self._on_device = backend.array(_plain(x)), backend.array(_plain(y))

    def __len__(self) -> int:
        return len(self._x)

    def begin(self, order: Array | None) -> None:
        """The next batches follow this order of all samples; None is the order they are in."""
        self._order = order
        if self._on_device is not None:
            self._device_order = None if order is None else self._backend.array(order)

    def batch(self, start: int, stop: int, ws: Workspace) -> tuple[Array, Array, Array]:
        """Images, targets for the loss, and the same targets for metrics, which work on the host."""
        index: Any = slice(start, stop) if self._order is None else self._order[start:stop]
        targets = self._y[index]
        if self._on_device is None:
            return take(self._x, index, ws, self._dtype, self._backend), targets, targets
        gather, (x, y) = self._backend.kernels.gather, self._on_device
        images = ws.keep("fit", "x", (len(targets), *x.shape[1:]), self._dtype)
        gathered = ws.keep("fit", "y", targets.shape, np.int64 if self._y.dtype == np.int64 else self._dtype)
        gather(x, self._device_order, start, images)
        return images, gather(y, self._device_order, start, gathered), targets


def _plain(array: Array) -> Array:
    """Contiguous, and of a kind that kernels read."""
    return np.ascontiguousarray(array, np.uint8 if array.dtype == bool else array.dtype)


def block_size(model: "Sequential") -> int:
    """How many images evaluate and predict take at a time: it follows from the network's shapes alone."""
    largest = max(math.prod(shape) for shape in (model.input_shape, *(x.built_output_shape for x in model.layers)))
    return max(1, min(BLOCK, BLOCK_NUMBERS // max(1, largest)))
