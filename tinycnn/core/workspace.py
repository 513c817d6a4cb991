"""Memory that a training run uses again in every step, so that a step allocates nothing that grows with the batch."""

import math
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from ..kernels import aligned
from .types import Array, Shape


class Workspace:
    """Buffers that are used again from step to step.

    There are three kinds, which differ in how long their content stays valid:

    * :meth:`keep`: until the same owner asks again. It is for what backward will read (results, caches).
    * :meth:`flow`: until the call after the next one. It is for an array that passes from one layer to its neighbour.
    * :meth:`scratch`: until a kernel returns.

    Two threads must not use one workspace at the same time; each call of fit, evaluate or predict has its own.

    Attributes
    ----------
    recorded : dict
        Programs that were recorded on this memory (:mod:`tinycnn.training.recorded`). It is emptied when a larger
        buffer takes the place of another.

    Parameters
    ----------
    empty : callable
        Allocates memory, like :func:`numpy.empty`. A backend whose arrays are not NumPy's gives its own function.
    expected : int
        The bytes that a run on a device was estimated to need, for this workspace and for everything else.
    """

    def __init__(self, empty: Callable[..., Any] = aligned.empty, expected: int = 0) -> None:
        self._empty, self.expected = empty, expected
        self._buffers: dict[tuple[Hashable, np.dtype], Array] = {}
        self._views: dict[tuple[Hashable, Shape, np.dtype], Array] = {}
        self._parts: dict[tuple[int, Shape, np.dtype], Array] = {}
        self._turn = 0
        self.recorded: dict[Hashable, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a copy, which has no memory yet: what is in it is of use to nobody else."""
        return self.__dict__ | {"_buffers": {}, "_views": {}, "_parts": {}, "recorded": {}}

    def keep(self, owner: Hashable, name: str, shape: Shape, dtype: np.typing.DTypeLike) -> Array:
        """Return the buffer that belongs to ``(owner, name)``; at its first use it is uninitialised."""
        return self._take((owner, name), shape, np.dtype(dtype))

    def flow(self, shape: Shape, dtype: np.typing.DTypeLike) -> Array:
        """Return one of two buffers in turn: a layer reads its input from one and writes its result to the other."""
        self._turn = 1 - self._turn
        return self._take(("flow", self._turn), shape, np.dtype(dtype))

    def scratch(self) -> "Scratch":
        """Return an allocator for one kernel call; the memory that earlier ones gave out is free again."""
        return Scratch(self)

    def spoil(self) -> None:
        """Overwrite all memory that is free. Tests call this to find code that still relies on such memory."""
        for (key, _), buffer in self._buffers.items():
            if isinstance(key, tuple) and key[0] in ("flow", "scratch"):
                buffer.view(np.uint8).fill(0xFF)  # NaN in every floating dtype

    def nbytes(self) -> int:
        """Return the number of bytes in all buffers together."""
        return sum(buffer.nbytes for buffer in self._buffers.values())

    def _take(self, key: Hashable, shape: Shape, dtype: np.dtype) -> Array:
        """Return a view of the buffer for this key; make a larger buffer if the view does not fit into it."""
        view = self._views.get((key, shape, dtype))
        if view is None:
            count = math.prod(shape)
            buffer = self._buffers.get((key, dtype))
            if buffer is None or buffer.size < count:
                if buffer is not None:
                    self.recorded.clear()
                buffer = self._buffers[key, dtype] = self._new(key, count, dtype)
                self._views = {known: view for known, view in self._views.items() if known[::2] != (key, dtype)}
            view = self._views[key, shape, dtype] = buffer[:count].reshape(shape)
        return view

    def _part(self, start: int, shape: Shape, dtype: np.dtype) -> Array:
        """Return a view of the scratch memory of a dtype from an element on; if that is too small, make a larger one.

        What was given out of the old one stays valid as long as somebody holds it.
        """
        part = self._parts.get((start, shape, dtype))
        if part is None:
            end, key = start + math.prod(shape), ("scratch", dtype.name)
            buffer = self._buffers.get((key, dtype))
            if buffer is None or buffer.size < end:
                room = end
                if buffer is not None:
                    self.recorded.clear()
                    room = max(end, 2 * buffer.size)
                buffer = self._buffers[key, dtype] = self._new(key, room, dtype)
                self._parts = {known: part for known, part in self._parts.items() if known[2] != dtype}
            part = self._parts[start, shape, dtype] = buffer[start:end].reshape(shape)
        return part

    def _new(self, key: Hashable, count: int, dtype: np.dtype) -> Array:
        """Allocate a buffer; if there is not enough memory, the error names the layer that asked for it."""
        try:
            return self._empty(count, dtype)
        except MemoryError as error:
            label = getattr(key[0], "label", None) if isinstance(key, tuple) else None  # only layers have one
            raise MemoryError(f"{label}: {error}" if label else str(error)) from error


class Scratch:
    """An allocator for one kernel call, called like :func:`numpy.empty`.

    Its arrays lie one behind another in the workspace's scratch memory, so that all calls together need no more than
    the one that needs the most.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._used: dict[np.dtype, int] = {}

    def __call__(self, shape: Shape | int, dtype: np.typing.DTypeLike = np.float32) -> Array:
        shape, dtype = (shape,) if isinstance(shape, int) else shape, np.dtype(dtype)
        start = self._used.get(dtype, 0)
        self._used[dtype] = start + aligned.rounded(math.prod(shape), dtype.itemsize)
        return self._workspace._part(start, shape, dtype)
