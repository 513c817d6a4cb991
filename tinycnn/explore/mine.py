"""Kernels from a learner's file: they are loaded, loaded again when the file has changed, and their errors located.

The file is executed, so it is only loaded where somebody has named it on purpose, as on the command line.
"""

import importlib.machinery
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

from ..core.backend import Backend
from ..core.overlay import Overlay


class KernelFileError(ValueError):
    """A file of kernels cannot be loaded; the message says what is wrong, and in which line."""


class Place(NamedTuple):
    """A line of a file: the file's name, the number of the line (counted from 1), and its text."""

    file: str
    line: int
    code: str


class _FreshLoader(importlib.machinery.SourceFileLoader):
    """Compiles the source at each load.

    Compiled code that was kept would be taken for current if two edits of the same length fall into one second.
    """

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


class KernelFile:
    """A file with functions that take the places of kernels, as :func:`tinycnn.use_backend` says.

    Parameters
    ----------
    path : path-like
        A Python file. It is executed.
    adapted : callable, optional
        Takes the module, and returns an object with kernels, if the functions of the file have other signatures.

    Attributes
    ----------
    path : Path
        Where the file is.
    backend : Backend
        The reference with the functions of the file. A model that was built on it keeps the functions that it had then.

    Raises
    ------
    KernelFileError
        If there is no such file, if it raises an error, or if its functions cannot take the places of kernels.
    """

    def __init__(self, path: str | os.PathLike[str], adapted: Callable[[ModuleType], Any] = lambda mine: mine) -> None:
        self.path = Path(path).resolve()
        self._adapted = adapted
        self.reload()

    @property
    def kernels(self) -> list[str]:
        """The names of the kernels that the file has functions for."""
        assert self.backend.overlay is not None
        return sorted(self.backend.overlay.functions)

    def changed(self) -> bool:
        """Return whether the file on disk is another one than when it was loaded."""
        try:
            return self._stamp() != self._loaded
        except OSError:
            return True

    def reload(self) -> None:
        """Load the file as it is now. If that fails, ``backend`` stays as it was."""
        try:
            stamp = self._stamp()
        except OSError as error:
            raise KernelFileError(f"kernels: {self.path} cannot be read: {error.strerror}") from None
        if not self.path.is_file():
            raise KernelFileError(
                f"kernels: {self.path} is not a file; name a Python file with functions such as relu_forward"
            )
        module = _executed(self.path)
        try:
            backend = Backend("reference", Overlay(self._adapted(module), Backend("reference").kernels))
        except KernelFileError:
            raise
        except (TypeError, ValueError) as error:
            raise KernelFileError(f"{self.path.name}: {error}") from None
        self.backend, self._loaded = backend, stamp

    def _stamp(self) -> tuple[int, int, int]:
        """Return what changes when the file is written."""
        found = self.path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino


def _executed(path: Path) -> ModuleType:
    """Return a file's module after executing it."""
    name = f"tinycnn_kernels_of_{path.stem}"  # not the plain name, which may be that of an installed package
    spec = importlib.util.spec_from_loader(name, _FreshLoader(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses look for their module there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a learner's code may fail in any way, and must not end the program
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        place = last_place(error, [str(path)])
        where = path.name if place is None else f"{path.name}, line {place.line}"
        raise KernelFileError(f"{where}: {in_words(error)}") from error
    return module


def files_of(overlay: Overlay) -> set[str]:
    """Return the files in which an overlay's functions are defined."""
    codes = (getattr(inspect.unwrap(function), "__code__", None) for function in overlay.functions.values())
    return {code.co_filename for code in codes if code is not None}


def last_place(error: BaseException, files: Iterable[str]) -> Place | None:
    """Return the last line of some files that was being run when an error was raised, or None if there is none."""
    files = set(files)
    if isinstance(error, SyntaxError) and error.filename in files and error.lineno is not None:
        return Place(Path(error.filename).name, error.lineno, (error.text or "").strip())
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in files and frame.lineno is not None:
            return Place(Path(frame.filename).name, frame.lineno, (frame.line or "").strip())
    return None


def place_of_own(error: BaseException) -> Place | None:
    """Return the last line that was being run outside of tinycnn and of what is installed; None if there is none."""
    roots = {str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "kernels"), sys.prefix, sys.base_prefix}
    # What was installed for one user, or is shared by several environments, lies elsewhere.
    roots |= {path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")}
    files = {frame.filename for frame in traceback.extract_tb(error.__traceback__)}
    own = [file for file in files if not file.startswith("<") and not any(_lies_in(file, root) for root in roots)]
    return last_place(error, own)


def _lies_in(file: str, root: str) -> bool:
    """Return whether a file lies in a folder, whatever links lead there."""
    return Path(file).resolve().is_relative_to(Path(root).resolve())


def told(error: BaseException) -> str:
    """Return an error in words and, if code outside of tinycnn was running, the line in which it arose."""
    place = place_of_own(error)
    return in_words(error) if place is None else f"{in_words(error)}\n{place.file}, line {place.line}: {place.code}"


def in_words(error: BaseException) -> str:
    """Return the kind of an error, its message and its notes."""
    if isinstance(error, SyntaxError):  # its line is told elsewhere
        return f"{type(error).__name__}: {error.msg}"
    notes: Any = getattr(error, "__notes__", [])
    message = message_of(error)
    return "\n".join([f"{type(error).__name__}: {message}" if message else type(error).__name__, *map(str, notes)])


def message_of(error: BaseException) -> str:
    """Return an error's message; an exception of a learner's own may fail to give it in any way."""
    try:
        return str(error)
    except Exception:
        return ""
