"""Which kernels run: ``reference`` (NumPy, the textbook), ``cpu`` (Numba, parallel; the default), ``cuda`` (a GPU)."""

import importlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, cached_property
from types import ModuleType
from typing import Any

import numpy as np

from .messages import unknown
from .types import Array

#: What every machine has; their arrays are NumPy's.
BACKENDS = ("reference", "cpu")
#: What also needs a device; their arrays are there. Never chosen unless asked for.
DEVICE_BACKENDS = ("cuda",)
_current: ContextVar[str] = ContextVar("tinycnn_backend", default="cpu")


@dataclass(frozen=True)
class Backend:
    """A set of kernels and the kind of array they work on.

    Attributes
    ----------
    name : str
    """

    name: str

    @cached_property
    def kernels(self) -> ModuleType:
        """The module with the kernel functions; it is imported when first asked for, because Numba takes a moment."""
        return _load(self.name)

    def has_to_compile(self) -> bool:
        """Whether the kernels are about to be compiled, as on the first run after an installation."""
        if self.name != "cpu":
            return False
        return importlib.import_module("tinycnn.kernels.cpu.machine.jit").has_to_compile()

    @cached_property
    def on_device(self) -> bool:
        """Whether arrays of this backend lie on a device, so that reading one has to wait for the device."""
        return self.name in DEVICE_BACKENDS

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy needs the name alone; what is cached holds a module, which cannot be copied.
        return Backend, (self.name,)

    def array(self, values: Any, dtype: str | None = None) -> Array:
        """A fresh C-ordered array of this backend."""
        return self.kernels.upload(values, dtype) if self.on_device else np.array(values, dtype=dtype, order="C")

    def own(self, array: Any) -> Array:
        """The array itself where this backend's kernels take it, else a copy of a NumPy array for them."""
        return self.array(array) if self.on_device and isinstance(array, np.ndarray) else array

    def empty(self, shape: Any, dtype: Any) -> Array:
        """Memory, like :func:`numpy.empty`."""
        return self.kernels.empty(shape, dtype) if self.on_device else np.empty(shape, dtype)

    def full(self, shape: Any, value: float, dtype: Any) -> Array:
        """A fresh array with one number everywhere, like :func:`numpy.full`."""
        array = self.empty(shape, dtype)
        array[...] = value
        return array

    def to_numpy(self, array: Any) -> Array:
        """The same values as a NumPy array (the array itself where it is one)."""
        return array.to_numpy() if self.on_device else array

    def owns(self, value: Any) -> bool:
        """Whether something is an array that this backend's kernels take."""
        return isinstance(value, self.kernels.DeviceArray if self.on_device else np.ndarray)

    def check(self, array: Any, name: str) -> None:
        """Raise TypeError unless ``array`` is one that this backend's kernels take."""
        if not self.owns(array):
            wanted = "arrays on its device, which backend.array(x) makes" if self.on_device else "NumPy arrays"
            raise TypeError(f"{name}: backend {self.name!r} takes {wanted}; got {type(array).__name__}")


class BackendUnavailableError(OSError):
    """A backend cannot run here; the message says what is missing and how to get it."""


def unavailable(name: str) -> str | None:
    """Why a backend cannot run here, and the cure; None if it can."""
    if name not in DEVICE_BACKENDS:
        return None
    try:
        return _load(name).problem()
    except ImportError as error:
        return str(error)


@cache
def _load(name: str) -> ModuleType:
    return importlib.import_module(f"tinycnn.kernels.{name}")


def get_backend() -> Backend:
    """The backend that a model built now would use.

    Examples
    --------
    >>> import tinycnn
    >>> tinycnn.get_backend().name
    'cpu'
    """
    return Backend(_current.get())


def use_backend(name: str) -> AbstractContextManager[Backend]:
    """Build models on another backend inside a ``with`` block; a model keeps the backend it was built on.

    Parameters
    ----------
    name : {"reference", "cpu", "cuda"}

    Raises
    ------
    ValueError
        If there is no such backend.
    BackendUnavailableError
        For ``cuda`` without numba-cuda, a GPU or a driver that is new enough; the message names what is missing.

    Examples
    --------
    >>> import tinycnn
    >>> with tinycnn.use_backend("reference"):
    ...     tinycnn.get_backend().name
    'reference'
    """
    known = BACKENDS + DEVICE_BACKENDS
    if not isinstance(name, str) or name not in known:
        raise unknown("backend", name, known, "name")
    missing = unavailable(name)
    if missing is not None:
        raise BackendUnavailableError(f"the {name} backend cannot run: {missing}")
    return _using(name)


@contextmanager
def _using(name: str) -> Iterator[Backend]:
    token = _current.set(name)
    try:
        yield get_backend()
    finally:
        _current.reset(token)
