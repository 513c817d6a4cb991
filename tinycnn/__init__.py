"""tinycnn: a from-scratch CNN engine in NumPy and Numba that can be read, checked and looked into."""

from ._checkout import find_kernels

find_kernels()

from . import (  # noqa: E402  (the kernels have to be found first)
    callbacks,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    schedules,
)
from .backend import get_backend, use_backend  # noqa: E402
from .checkpoint import load_model  # noqa: E402
from .model import Sequential  # noqa: E402
from .seeding import set_seed  # noqa: E402

__version__ = "0.1.0"

__all__ = [
    "Sequential",
    "__version__",
    "callbacks",
    "get_backend",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "schedules",
    "set_seed",
    "use_backend",
]
