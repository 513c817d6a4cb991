"""tinycnn: a from-scratch CNN engine in NumPy and Numba that can be read, checked and looked into."""

from ._checkout import find_kernels

find_kernels()

import importlib  # noqa: E402  (the kernels have to be found first)
from types import ModuleType  # noqa: E402

from . import (  # noqa: E402
    activations,
    callbacks,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    regularizers,
    schedules,
)
from .augmentation import Augmentation  # noqa: E402
from .core.backend import get_backend, use_backend  # noqa: E402
from .core.public import listing  # noqa: E402
from .core.seeding import set_seed  # noqa: E402
from .core.version import __version__  # noqa: E402
from .saving import formats  # noqa: E402
from .sequential import Sequential, load_model  # noqa: E402
from .training.non_finite import NumericError  # noqa: E402
from .training.predictor import Predictor  # noqa: E402

#: Imported when first used: they bring matplotlib, pooch or Hypothesis along, which training does not need.
_LAZY = ("datasets", "interchange", "keras", "onnx", "plotting", "profile", "sklearn", "testing")

# Files of other programs, and the modules that read and write them; each is imported when a file of its kind is met.
formats.register(
    "keras",
    "tinycnn.interchange.keras_files",
    writes_with="h5py",
    extra="keras",
    endings=(".weights.h5", ".h5", ".hdf5"),
)
formats.register("safetensors", "tinycnn.interchange.pytorch_files")
formats.register("onnx", "tinycnn.onnx.loading", reads_with="onnx", extra="onnx")

__all__ = [
    "Augmentation",
    "NumericError",
    "Predictor",
    "Sequential",
    "__version__",
    "activations",
    "callbacks",
    "datasets",
    "get_backend",
    "initializers",
    "interchange",
    "keras",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "models",
    "onnx",
    "optimizers",
    "plotting",
    "profile",
    "regularizers",
    "schedules",
    "set_seed",
    "testing",
    "use_backend",
]
__dir__ = listing(__name__)


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        return importlib.import_module(f".{name}", __name__)
    cure = ""
    # ``import tinycnn as tf``, in a program for TensorFlow. ``from tinycnn import course`` asks here first, too.
    if not name.startswith("_") and importlib.util.find_spec(f"{__name__}.{name}") is None:
        from .keras import _missing_tensorflow

        cure = _missing_tensorflow.unknown(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{cure}")
