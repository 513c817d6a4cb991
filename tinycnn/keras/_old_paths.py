"""Modules of earlier versions of Keras, by the paths that programs import: they are modules of this room today."""

import importlib
import sys
from types import ModuleType

from ._missing import MODULES
from ._telling import looked_up

#: Paths below ``keras``, and where their names are now.
_MOVED = {
    "engine.sequential": "models",
    "initializations": "initializers",
    "objectives": "losses",
    "layers.activation": "layers",
    "layers.advanced_activations": "layers",
    "layers.attention": "layers",
    "layers.convolutional": "layers",
    "layers.core": "layers",
    "layers.cudnn_recurrent": "layers",
    "layers.experimental": "layers",
    "layers.experimental.preprocessing": "layers",
    "layers.local": "layers",
    "layers.noise": "layers",
    "layers.normalization": "layers",
    "layers.pooling": "layers",
    "layers.preprocessing": "layers",
    "layers.regularization": "layers",
    "layers.reshaping": "layers",
    "backend.common": "backend",
    "backend.load_backend": "backend",
    "backend.tensorflow_backend": "backend",
    "backend.theano_backend": "backend",
    "callbacks.callbacks": "callbacks",
    "optimizers.legacy": "optimizers",
    "optimizers.schedules": "schedules",
    "optimizers.experimental": "optimizers",
    "optimizers.optimizer_v2": "optimizers",
    "saving": "models",
    "config": "backend",
    "utils.data_utils": "utils",
    "utils.generic_utils": "utils",
    "utils.image_utils": "utils",
    "utils.layer_utils": "utils",
    "utils.np_utils": "utils",
    "utils.io_utils": "utils",
    "utils.conv_utils": "utils",
    "utils.multi_gpu_utils": "utils",
    "utils.training_utils": "utils",
    "utils.vis_utils": "utils",
    "utils.visualize_util": "utils",
}


def register(package: str) -> None:
    """Let all of these paths be imported, and found as attributes of what is above them.

    Parameters
    ----------
    package : str
        The name of the package for Keras.
    """
    for path, cure in MODULES.items():
        _put(package, path, _without(f"{package}.{path}", cure))
    for path, home in _MOVED.items():
        _put(package, path, importlib.import_module(f"{package}.{home}"))


def _put(package: str, path: str, module: ModuleType) -> None:
    above, _, name = f"{package}.{path}".rpartition(".")
    sys.modules.setdefault(f"{package}.{path}", module)
    parent = sys.modules.get(above)
    if parent is not None and name not in vars(parent):
        setattr(parent, name, module)


def _without(name: str, cure: str) -> ModuleType:
    """Return a module in which every name is missing."""
    module = ModuleType(name, f"A module of Keras's that tinycnn does not have: {cure}.")
    module.__path__ = []  # modules below it are looked for among those that are registered

    class _Everything(dict[str, str]):
        def __contains__(self, key: object) -> bool:
            return True

        def __missing__(self, key: str) -> str:
            return cure

    vars(module)["__getattr__"] = looked_up(name, (), _Everything())
    return module
