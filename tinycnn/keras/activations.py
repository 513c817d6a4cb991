"""Activation functions under Keras's names: to give to layers, and to call with an array."""

from typing import Any

import numpy as np

from .. import activations as engine
from ..core.backend import get_backend
from ..core.checks import array
from ..core.public import listing
from ..core.types import Array
from ..layers.base import Layer
from ._telling import looked_up

#: What Keras has and tinycnn does not: the nearest one.
_NEAREST = {
    **dict.fromkeys(("selu", "celu", "softplus", "mish", "exponential", "squareplus"), "elu is the nearest"),
    **dict.fromkeys(("silu", "swish", "hard_silu", "hard_swish"), "gelu is the nearest"),
    **dict.fromkeys(("relu6", "threshold", "glu", "sparse_plus", "hard_shrink", "soft_shrink"), "relu is the nearest"),
    **dict.fromkeys(("hard_sigmoid", "log_sigmoid", "sparse_sigmoid"), "sigmoid is the nearest"),
    **dict.fromkeys(("softsign", "hard_tanh", "tanh_shrink"), "tanh is the nearest"),
    **dict.fromkeys(("log_softmax", "sparsemax"), "softmax is the nearest"),
}


class ActivationOfArrays:
    """An activation as a function of an array, as layers take it too.

    Parameters
    ----------
    name : str
        One of the names in :data:`tinycnn.activations.ACTIVATIONS`.

    Examples
    --------
    >>> from tinycnn.keras import activations
    >>> activations.relu([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """

    def __init__(self, name: str) -> None:
        self.__name__ = self.__qualname__ = name
        self.__doc__ = engine.ACTIVATIONS[name].__doc__

    def __call__(self, x: Any, **constants: Any) -> Array:
        """Return the function of every number; softmax works on each last axis."""
        given = array(x, "x")
        if not np.issubdtype(given.dtype, np.floating):
            given = given.astype(np.float32)
        backend, function = get_backend(), engine.ACTIVATIONS[self.__name__](**constants)
        return backend.to_numpy(function.forward(backend.kernels, backend.own(np.ascontiguousarray(given)))).copy()

    def __repr__(self) -> str:
        return f"<activation {self.__name__}>"


elu, gelu, leaky_relu, linear, relu, sigmoid, softmax, tanh = (
    ActivationOfArrays(name) for name in ("elu", "gelu", "leaky_relu", "linear", "relu", "sigmoid", "softmax", "tanh")
)


def spelled(activation: Any) -> Any:
    """Return what the engine's layers take for an activation: a name for a function of this name, whoever defined it.

    A layer such as ``LeakyReLU(0.1)`` stands for the activation that it applies.
    """
    if isinstance(activation, Layer):
        return getattr(activation, "activation", activation)
    name = getattr(activation, "__name__", None)
    if callable(activation) and not isinstance(activation, type | engine.ActivationFunction) and isinstance(name, str):
        plain = name.removesuffix("_v2")  # TensorFlow's tf.nn.softmax is called softmax_v2
        if plain in (*engine.ACTIVATIONS, *_NEAREST):
            activation = plain
    if isinstance(activation, str) and activation in _NEAREST:
        raise ValueError(f"activation: tinycnn has no {activation!r}; {_NEAREST[activation]}, write it instead")
    return activation


def get(identifier: Any) -> Any:
    """Return the activation that a name, a function or a configuration stands for; None is ``linear``."""
    return engine.get(spelled(identifier))


def serialize(activation: Any) -> Any:
    """Return the name of an activation, or its configuration if it has other constants than the usual ones."""
    return get(activation).describe()


deserialize = get

__all__ = [
    "deserialize",
    "elu",
    "gelu",
    "get",
    "leaky_relu",
    "linear",
    "relu",
    "serialize",
    "sigmoid",
    "softmax",
    "tanh",
]
__dir__ = listing(__name__)
__getattr__ = looked_up(__name__, __all__, _NEAREST)
