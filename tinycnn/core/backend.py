"""Choose the kernels: ``reference`` (NumPy, the textbook), ``cpu`` (Numba, parallel; the default), ``cuda`` (a GPU)."""

import importlib
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, cached_property
from types import ModuleType
from typing import Any

import numpy as np

from ..kernels import aligned
from ..kernels.loading import no_collection
from .messages import shown, unknown
from .overlay import Overlay
from .starting import choose_threads, kernel_cache
from .types import Array

#: The backends that run on every machine. Their arrays are NumPy's.
BACKENDS = ("reference", "cpu")
#: The backends that need a device, on which their arrays lie. They are used only if they are asked for.
DEVICE_BACKENDS = ("cuda",)


@dataclass(frozen=True)
class Backend:
    """A set of kernels, and the kind of array that they work on.

    Attributes
    ----------
    name : str
        ``"reference"``, ``"cpu"`` or ``"cuda"``.
    overlay : Overlay or None
        The functions of a learner's own that take the places of kernels.
    """

    name: str
    overlay: Overlay | None = None

    @cached_property
    def kernels(self) -> ModuleType:
        """The module of the kernel functions; it is imported when it is first used, because importing Numba is slow."""
        kernels = _load(self.name)
        return kernels if self.overlay is None else self.overlay.over(kernels)

    def has_to_compile(self) -> bool:
        """Return whether the kernels have yet to be compiled, as before the first run after an installation."""
        if self.name != "cpu":
            return False
        return importlib.import_module("tinycnn.kernels.cpu.machine.jit").has_to_compile()

    @cached_property
    def on_device(self) -> bool:
        """Whether this backend's arrays lie on a device, so that reading one means waiting for the device."""
        return self.name in DEVICE_BACKENDS

    def __reduce__(self) -> tuple[Any, ...]:
        # What is cached is not copied, because it holds a module, which cannot be copied.
        return Backend, (self.name, self.overlay)

    def array(self, values: Any, dtype: str | None = None) -> Array:
        """Return a new C-ordered array of this backend."""
        with np.errstate(under="ignore"):  # what is too small for its dtype is 0, whatever np.seterr says
            return self.kernels.upload(values, dtype) if self.on_device else aligned.copy(np.asarray(values, dtype))

    def own(self, array: Any) -> Array:
        """Return the array itself if this backend's kernels take it; copy a NumPy array to the device otherwise."""
        return self.array(array) if self.on_device and isinstance(array, np.ndarray) else array

    def empty(self, shape: Any, dtype: Any) -> Array:
        """Return an uninitialised array, like :func:`numpy.empty`."""
        return self.kernels.empty(shape, dtype) if self.on_device else aligned.empty(shape, dtype)

    def full(self, shape: Any, value: float, dtype: Any) -> Array:
        """Return a new array that is filled with one number, like :func:`numpy.full`."""
        array = self.empty(shape, dtype)
        array[...] = value
        return array

    def to_numpy(self, array: Any) -> Array:
        """Return the same values as a NumPy array, which is the array itself if it is one already."""
        return array.to_numpy() if self.on_device else array

    def owns(self, value: Any) -> bool:
        """Return whether a value is an array that this backend's kernels take."""
        return isinstance(value, self.kernels.DeviceArray if self.on_device else np.ndarray)

    def check(self, array: Any, name: str) -> None:
        """Raise TypeError unless ``array`` is one that this backend's kernels take."""
        if not self.owns(array):
            wanted = "arrays on its device, which backend.array(x) makes" if self.on_device else "NumPy arrays"
            cure = "x.to_numpy()" if hasattr(type(array), "to_numpy") else "np.asarray(x)"
            hint = "" if self.on_device else f". Convert it with {cure}"
            raise TypeError(f"{name}: backend {self.name!r} takes {wanted}; got {type(array).__name__}{hint}")


#: The backend that is active.
_current: ContextVar[Backend] = ContextVar("tinycnn_backend", default=Backend("cpu"))  # noqa: B039  (it is immutable)


class BackendUnavailableError(OSError):
    """Raised when a backend cannot run on this machine; the message says what is missing and how to get it."""


def unavailable(name: str) -> str | None:
    """Return why a backend cannot run on this machine, and the cure; return None if it can."""
    if name not in DEVICE_BACKENDS:
        return None
    try:
        return _load(name).problem()
    except ImportError as error:
        return str(error)


@cache
def _load(name: str) -> ModuleType:
    """Import the module of a backend's kernels, and warn if compiled kernels cannot be kept; each is done once."""
    if name != "cpu":
        with no_collection():
            return importlib.import_module(f"tinycnn.kernels.{name}")
    with no_collection(), kernel_cache():
        choose_threads()
        kernels = importlib.import_module("tinycnn.kernels.cpu")
        _warn_without_cache_folder()
    return kernels


def _warn_without_cache_folder() -> None:
    """Warn if there is no folder for compiled kernels, so that every start compiles them."""
    jit = importlib.import_module("tinycnn.kernels.cpu.machine.jit")
    if jit.numba.config.DISABLE_JIT or jit.cache_folder() is not None:
        return
    tried = [str(base) for base in jit._cache_bases()]
    if len(tried) == 1:  # a folder for temporary files is the last resort, if one can be made
        with suppress(OSError):  # there may be no such folder
            tried.append(f"a folder of your own in {tempfile.gettempdir()}")
    warnings.warn(
        f"compiled kernels cannot be kept, so every start compiles them again, which takes up to half a minute: tried "
        f"{' and '.join(tried)}. Set the environment variable NUMBA_CACHE_DIR to a folder that belongs to you and that "
        "nobody else can write to, because the code in it is executed",
        UserWarning,
        stacklevel=2,
    )


def get_backend() -> Backend:
    """Return the backend that a model would use if it were built now.

    Examples
    --------
    >>> import tinycnn
    >>> tinycnn.get_backend().name
    'cpu'
    """
    return _current.get()


def use_backend(name: str | None = None, *, overlay: Any = None) -> AbstractContextManager[Backend]:
    """Build models on another backend inside a ``with`` block; a model keeps the backend it was built on.

    Parameters
    ----------
    name : {"reference", "cpu", "cuda"}
        The backend to use; with an overlay it is ``"reference"``, and may be left out.
    overlay : module, or any object with functions, optional
        Functions of your own that take the places of the reference's kernels. A public function counts if it has the
        name of a kernel in ``kernels/reference``; it takes the same parameters, of which those with a default
        (``algorithm``, ``out``, ``work``) may be left out, and returns new arrays of the same shapes and dtypes. The
        other kernels stay. What it is given it must not change, unless that is what the kernel is for.

    Raises
    ------
    ValueError
        If there is no such backend. If an overlay has no function with the name of a kernel, or one whose name nearly
        is one, or is used on another backend than the reference.
    TypeError
        If a function of an overlay takes other parameters than the kernel.
    BackendUnavailableError
        If ``cuda`` is asked for and numba-cuda, a GPU or a recent enough driver is missing; the message says which.

    Examples
    --------
    >>> import tinycnn
    >>> with tinycnn.use_backend("reference"):
    ...     tinycnn.get_backend().name
    'reference'

    A kernel of your own, in place of one of the reference's:

    >>> from types import SimpleNamespace
    >>> def relu_forward(x):
    ...     return x.clip(0)
    >>> with tinycnn.use_backend(overlay=SimpleNamespace(relu_forward=relu_forward)):
    ...     model = tinycnn.Sequential([tinycnn.layers.Input((3,)), tinycnn.layers.ReLU()])
    >>> model.predict([[-1, 0, 1]])
    array([[0., 0., 1.]], dtype=float32)
    """
    known = BACKENDS + DEVICE_BACKENDS
    if name is None and overlay is not None:
        name = "reference"
    if not isinstance(name, str) or name not in known:
        raise unknown("backend", name, known, "name")
    missing = unavailable(name)
    if missing is not None:
        raise BackendUnavailableError(f"the {name} backend cannot run: {missing}")
    if overlay is None:
        return _using(Backend(name))
    if name != "reference":
        raise ValueError(
            f"overlay: functions of your own go with name='reference', which they replace; got {shown(name)}"
        )
    return _using(Backend(name, Overlay(overlay, _load(name))))


@contextmanager
def _using(backend: Backend) -> Iterator[Backend]:
    """Set the backend inside a ``with`` block, and set the earlier one again at its end."""
    token = _current.set(backend)
    try:
        yield backend
    finally:
        _current.reset(token)
