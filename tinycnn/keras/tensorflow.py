"""The names of TensorFlow's, besides ``tf.keras``, that programs for Keras use: ``tf.random.set_seed`` and its like.

``from tinycnn.keras import tensorflow as tf`` takes the place of ``import tensorflow as tf``.

>>> from tinycnn.keras import tensorflow as tf
>>> tf.random.set_seed(0)
>>> tf.keras.layers.Dense(10, activation=tf.nn.softmax).activation.name
'softmax'
"""

import sys
from collections.abc import Callable
from typing import Any

from ..core.public import listing
from ..core.version import __version__
from . import activations
from ._missing_tensorflow import NAMES
from ._telling import no_attribute
from .utils import set_random_seed


class Names:
    """Some names of one of TensorFlow's modules; asking for another one raises an error that says what to do instead.

    Parameters
    ----------
    module : str
        What the module is called below ``tf``.
    **members
        What it has.
    """

    def __init__(self, module: str, **members: Any) -> None:
        self._module = module
        vars(self).update(members)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"tf.{vars(self).get('_module')} has no attribute {name!r}")
        raise no_attribute(f"tf.{self._module}", name, NAMES[self._module])


def _none(*given: Any, **named: Any) -> list[Any]:
    """Return an empty list: no device is chosen by a program."""
    return []


def _no(*given: Any, **named: Any) -> bool:
    """Return False."""
    return False


_functions: dict[str, Callable[..., Any]] = {
    name: getattr(activations, name) for name in ("elu", "gelu", "leaky_relu", "relu", "sigmoid", "softmax", "tanh")
}

keras = sys.modules[__package__]
nn = Names("nn", **_functions)
random = Names("random", set_seed=set_random_seed)
_devices = {"list_physical_devices": _none, "list_logical_devices": _none}
config = Names("config", experimental=Names("config", **_devices), **_devices)
newaxis = None
test = Names("test", is_gpu_available=_no, is_built_with_cuda=_no)

__all__ = ["__version__", "config", "keras", "newaxis", "nn", "random", "set_random_seed", "test"]
__dir__ = listing(__name__)


def __getattr__(name: str) -> Any:
    if name in NAMES:
        raise no_attribute("tf", name, NAMES[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
