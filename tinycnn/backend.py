"""Which kernels run: ``reference`` (NumPy, the textbook) or ``cpu`` (Numba, parallel; the default)."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from ._checks import unknown
from ._types import Array

BACKENDS = ("reference", "cpu")
_current: ContextVar[str] = ContextVar("tinycnn_backend", default="cpu")


@dataclass(frozen=True)
class Backend:
    """A set of kernels and the kind of array they work on.

    Attributes
    ----------
    name : str
    """

    name: str

    @property
    def kernels(self) -> ModuleType:
        """The module with the kernel functions; imported when first asked for (Numba takes a moment)."""
        return _load(self.name)

    def has_to_compile(self) -> bool:
        """Whether the kernels are about to be compiled, as on the first run after an installation."""
        if self.name != "cpu":
            return False
        return not importlib.import_module("tinycnn.kernels.cpu._jit").compiled_before()

    def array(self, values: Any, dtype: str) -> Array:
        """A fresh C-ordered array of this backend."""
        return np.array(values, dtype=dtype, order="C")

    def to_numpy(self, array: Array) -> Array:
        """The same values as a NumPy array (the array itself where it is one)."""
        return array

    def check(self, array: Any, name: str) -> None:
        """Raise TypeError unless ``array`` is one that this backend's kernels take."""
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{name}: backend {self.name!r} takes NumPy arrays; got {type(array).__name__}")


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


@contextmanager
def use_backend(name: str) -> Iterator[Backend]:
    """Build models on another backend inside a ``with`` block; a model keeps the backend it was built on.

    Parameters
    ----------
    name : {"reference", "cpu"}

    Raises
    ------
    ValueError
        If there is no such backend.

    Examples
    --------
    >>> import tinycnn
    >>> with tinycnn.use_backend("reference"):
    ...     tinycnn.get_backend().name
    'reference'
    """
    if not isinstance(name, str) or name not in BACKENDS:
        raise unknown("backend", name, BACKENDS, "name")
    token = _current.set(name)
    try:
        yield get_backend()
    finally:
        _current.reset(token)
