"""Loading code without what makes it slow."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Hold back the garbage collector within a block that makes many objects which all stay.

    Importing Numba and reading compiled kernels does, and the collector would look through them again and again.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
