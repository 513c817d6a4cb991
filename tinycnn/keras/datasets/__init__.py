"""Data sets in the form that Keras gives them: labels are uint8, and those of CIFAR-10 have the shape (N, 1)."""

from ...core.public import listing
from .._missing import MODULES
from .._telling import looked_up
from . import cifar10, fashion_mnist, mnist

_MISSING = {path.removeprefix("datasets."): cure for path, cure in MODULES.items() if path.startswith("datasets.")}

__all__ = ["cifar10", "fashion_mnist", "mnist"]
__dir__ = listing(__name__)
__getattr__ = looked_up(__name__, __all__, _MISSING)
