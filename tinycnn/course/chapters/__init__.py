"""The chapters: one file each, with a ``CHAPTER``, and a file of the same name in ``solutions`` and in ``bugs``."""

import importlib

from ..exercise import Chapter

__all__ = ["chapter"]


def chapter(name: str) -> Chapter:
    """Return a chapter by its name, such as ``chapter01``."""
    found: Chapter = importlib.import_module(f".{name}", __name__).CHAPTER
    return found
