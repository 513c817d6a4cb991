"""What has to be decided before Numba's threads start and the first kernel is compiled, where the system matters."""

import functools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import files, system
from .files import make_folder


def _numba_config() -> Any:
    """Return Numba's settings; Numba is imported late, because that takes long."""
    import numba

    return numba.config


@functools.cache
def choose_threads() -> None:
    """On macOS, let Numba start threads of its own, unless the user or an environment variable names another kind.

    Numba would look for OpenMP. Its wheels do not bring that along on macOS, and where another package does, two copies
    of it in one process may end the process. Numba's own threads ("workqueue") must not be entered twice at a time; the
    lock that each launch of a kernel holds sees to that.
    """
    config = _numba_config()
    if system.on_macos() and config.THREADING_LAYER == "default":
        config.THREADING_LAYER = "workqueue"


@contextmanager
def kernel_cache() -> Iterator[None]:
    """Within the block, let compiled kernels be kept where this system keeps caches.

    The kernels themselves know the place that is right on Linux. They choose it when they are imported, so they have to
    be imported within the block. ``NUMBA_CACHE_DIR`` names another place.
    """
    config = _numba_config()
    before = config.CACHE_DIR
    config.CACHE_DIR = _cache_base(before)
    try:
        yield
    finally:
        config.CACHE_DIR = before


def _cache_base(given: str) -> str:
    """Return the folder in which the folder of the kernels lies, or an empty text to leave the choice to them."""
    if not (system.on_windows() or system.on_macos()):
        return given
    base = Path(given or system.cache_folder())
    # Windows tells only when a file is made whether that is possible. Numba tries it with Python's function for
    # temporary files, which goes on trying there (see files._new_file).
    if not system.on_windows() or _is_writable(base):
        return str(base)
    return str(Path(tempfile.gettempdir()) / "tinycnn-cache")


def _is_writable(base: Path) -> bool:
    """Return whether files can be written into a folder and into what earlier versions of the kernels left in it."""
    try:
        make_folder(base)
        for folder in (base, *base.glob("kernels-*")):
            files.check_folder(folder)
    except OSError:
        return False
    return True
