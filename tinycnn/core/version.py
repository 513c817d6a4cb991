"""What this package is called and which version of it this is."""

from importlib.metadata import version
from platform import python_version
from typing import Any

__version__ = "0.1.0"

#: How the full name of every module of tinycnn begins; a class from any other module is somebody else's.
PACKAGE = "tinycnn."


def is_ours(thing: Any) -> bool:
    """Return whether a class or a function is defined in tinycnn itself.

    Examples
    --------
    >>> from tinycnn import layers
    >>> is_ours(layers.Dense), is_ours(int)
    (True, False)
    """
    return str(getattr(thing, "__module__", "")).startswith(PACKAGE)


def versions() -> dict[str, str]:
    """Return the versions of everything that the bits of a result depend on, apart from the machine."""
    return {"tinycnn": __version__, "python": python_version()} | {name: version(name) for name in ("numpy", "numba")}
