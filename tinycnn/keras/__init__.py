"""Keras's names: programs for Keras run when their imports are changed to this package.

``from tinycnn import keras``, or ``from tinycnn.keras.layers import Dense``, takes the place of ``keras`` and of
``tensorflow.keras``, of any version. The objects are tinycnn's own. What tinycnn does not have raises an error, when it
is used, that says what to do instead; docs/keras.md lists what differs.

>>> from tinycnn import keras
>>> model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
>>> model.output_shape
(10,)
"""

from ..core.public import listing
from ..initializers import Initializer
from ..layers import Layer
from ..losses import Loss
from ..metrics import Metric
from ..optimizers import Optimizer
from ..regularizers import Regularizer
from . import (
    _old_paths,
    activations,
    backend,
    callbacks,
    constraints,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    preprocessing,
    regularizers,
    schedules,
    utils,
)
from ._missing import MODELS, MODULES
from ._telling import looked_up
from ._versions import KERAS_VERSION
from .layers import Input
from .models import Sequential

#: Which Keras's interface this is, and which tinycnn runs.
__version__ = KERAS_VERSION

_MISSING = MODELS | {path: cure for path, cure in MODULES.items() if "." not in path}

__all__ = [
    "Initializer",
    "Input",
    "Layer",
    "Loss",
    "Metric",
    "Optimizer",
    "Regularizer",
    "Sequential",
    "__version__",
    "activations",
    "backend",
    "callbacks",
    "constraints",
    "datasets",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "preprocessing",
    "regularizers",
    "schedules",
    "tensorflow",
    "utils",
]
__dir__ = listing(__name__)
__getattr__ = looked_up(__name__, __all__, _MISSING)
_old_paths.register(__name__)

from . import tensorflow  # noqa: E402  (its tf.keras is this package, as it is now)
