"""Memory that a training run uses again and again, so that a step allocates nothing that grows with the batch."""

import math
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from .types import Array, Shape


class Workspace:
    """Buffers that live from step to step.

    Three kinds, by how long what they hold is needed:

    * :meth:`keep`: until the same owner asks again: what backward will read (results, caches).
    * :meth:`flow`: until the call after the next: an array on its way from one layer to its neighbour.
    * :meth:`scratch`: until a kernel returns.

    Not for two threads at once: each fit, evaluate or predict call has its own.

    Parameters
    ----------
    empty : callable
        Gives memory, like :func:`numpy.empty`: a backend's own, where arrays are not NumPy's.
    expected : int
        Bytes that a run on a device will take, this workspace's and others, as far as they were reckoned before.
    """

    def __init__(self, empty: Callable[..., Any] = np.empty, expected: int = 0) -> None:
        self._empty, self.expected = empty, expected
        self._buffers: dict[tuple[Hashable, np.dtype], Array] = {}
        self._views: dict[tuple[Hashable, Shape, np.dtype], Array] = {}
        self._turn = 0

    def keep(self, owner: Hashable, name: str, shape: Shape, dtype: np.typing.DTypeLike) -> Array:
        """The buffer that belongs to ``(owner, name)``, uninitialised at its first use."""
        return self._take((owner, name), shape, np.dtype(dtype))

    def flow(self, shape: Shape, dtype: np.typing.DTypeLike) -> Array:
        """One of two buffers in turn: a layer reads its input from one and writes its result to the other."""
        self._turn = 1 - self._turn
        return self._take(("flow", self._turn), shape, np.dtype(dtype))

    def scratch(self) -> "Scratch":
        """A fresh allocator for one kernel call; what it gave out before is free again."""
        return Scratch(self)

    def spoil(self) -> None:
        """Overwrite what is free: a test calls this where memory goes to others, and sees who relied on it."""
        for (key, _), buffer in self._buffers.items():
            if isinstance(key, tuple) and key[0] in ("flow", "scratch"):
                buffer.view(np.uint8).fill(0xFF)  # NaN in every floating dtype

    def nbytes(self) -> int:
        """Bytes held by all buffers together."""
        return sum(buffer.nbytes for buffer in self._buffers.values())

    def _take(self, key: Hashable, shape: Shape, dtype: np.dtype) -> Array:
        view = self._views.get((key, shape, dtype))
        if view is None:
            count = math.prod(shape)
            buffer = self._buffers.get((key, dtype))
            if buffer is None or buffer.size < count:
                buffer = self._buffers[key, dtype] = self._new(key, count, dtype)
                self._views = {known: view for known, view in self._views.items() if known[::2] != (key, dtype)}
            view = self._views[key, shape, dtype] = buffer[:count].reshape(shape)
        return view

    def _new(self, key: Hashable, count: int, dtype: np.dtype) -> Array:
        try:
            return self._empty(count, dtype)
        except MemoryError as error:
            label = getattr(key[0], "label", None) if isinstance(key, tuple) else None  # of a layer
            raise MemoryError(f"{label}: {error}" if label else str(error)) from error


class Scratch:
    """Called like :func:`numpy.empty`: the n-th array of every kernel call is the n-th buffer of the workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._count = 0

    def __call__(self, shape: Shape | int, dtype: np.typing.DTypeLike = np.float32) -> Array:
        self._count += 1
        shape = (shape,) if isinstance(shape, int) else shape
        return self._workspace._take(("scratch", self._count), shape, np.dtype(dtype))
