"""Which module reads and writes the files of which other program.

This room knows no other program. The rooms that do are above it; ``tinycnn/__init__.py`` registers each with the name
of its module, which is imported when a file of its kind is met. A module may define ::

    load_model(path, kind, custom_objects, *, compiled, check_finite)  # returns a model of the class `kind`
    load_weights(model, path, *, check_finite)  # changes nothing unless everything fits
    save_weights(model, path)

and leaves out what it does not do.
"""

import importlib
import importlib.util
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from ..core.checks import path as checked_path
from ..core.messages import level_of_caller
from .opening import Seen, not_ours


class Format(NamedTuple):
    """The module for a kind of file; what it needs that tinycnn itself does not; and how the names of files end."""

    module: str
    reads_with: str
    writes_with: str
    extra: str
    endings: tuple[str, ...]


#: The formats by the names of :class:`tinycnn.saving.foreign.Kind`.
FORMATS: dict[str, Format] = {}


def register(
    name: str,
    module: str,
    *,
    reads_with: str = "",
    writes_with: str = "",
    extra: str = "",
    endings: tuple[str, ...] = (),
) -> None:
    """Let a module read and write the files of a kind.

    Parameters
    ----------
    name : str
        The format of a kind in ``foreign``, for instance ``"keras"``.
    module : str
        The module's full name.
    reads_with, writes_with : str, optional
        The packages without which it cannot read or write.
    extra : str, optional
        The extra of tinycnn that installs them.
    endings : tuple of str, optional
        How names of files end that ``save_weights`` writes in this format.
    """
    FORMATS[name] = Format(module, reads_with, writes_with, extra, endings)


def function(name: str, seen: Seen) -> Callable[..., Any]:
    """Return the function that does something with a file of another program, such as ``load_model``.

    Raises
    ------
    ValueError
        If nothing does it, or the package is not installed with which it is done; the message says what to do.
    """
    assert seen.other is not None
    found = FORMATS.get(seen.other.format)
    if found is None:
        raise not_ours(seen)
    if not _installed(found.reads_with):
        raise ValueError(
            f"{seen.path} is {seen.other.text}; reading it needs the package {found.reads_with}: "
            f'pip install "tinycnn[{found.extra}]"'
        )
    wanted: Callable[..., Any] | None = getattr(importlib.import_module(found.module), name, None)
    if wanted is None:
        raise not_ours(seen)
    return wanted


def writer(path: Any) -> Callable[..., None] | None:
    """Return the function that writes weights to a file of this name, or None if the format is tinycnn's own.

    Without the package that the other format needs it is tinycnn's own as well, with a warning, because an error would
    lose what was trained.
    """
    name = checked_path(path).name.lower()
    found = next((f for f in FORMATS.values() if f.endings and name.endswith(f.endings)), None)
    if found is None:
        return None
    if not _installed(found.writes_with):
        warnings.warn(
            f"{path} is written in tinycnn's own format, which only tinycnn reads, because the package "
            f'{found.writes_with} is not installed: pip install "tinycnn[{found.extra}]"',
            stacklevel=level_of_caller(),
        )
        return None
    write: Callable[..., None] = importlib.import_module(found.module).save_weights
    return write


def _installed(package: str) -> bool:
    """Return whether a package can be imported; none is needed if it has no name."""
    return not package or importlib.util.find_spec(package) is not None
