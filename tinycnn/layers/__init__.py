"""The layers, and the registry that loading, documentation and the generic tests walk."""

from typing import Any

from ..core.description import described
from ..core.messages import shown
from ..core.parameter import Parameter
from ..core.public import listing
from ..core.registry import Registry, custom_classes
from ..core.types import Config
from .activation import ELU, Activation, LeakyReLU, ReLU, Softmax
from .base import ActivatedLayer, Layer
from .batchnorm import BatchNormalization
from .conv import Conv2D, Convolution2D, DepthwiseConv2D
from .core import Flatten, Input, Rescaling, Reshape, ZeroPadding2D
from .dense import Dense
from .dropout import Dropout, GaussianNoise
from .pool import (
    AveragePooling2D,
    AvgPool2D,
    GlobalAveragePooling2D,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    GlobalMaxPooling2D,
    MaxPool2D,
    MaxPooling2D,
)

#: Every layer by its class name. A layer listed here is gradient-checked, parity-checked and documented.
LAYERS: dict[str, type[Layer]] = {
    cls.__name__: cls
    for cls in (
        Activation,
        AveragePooling2D,
        BatchNormalization,
        Conv2D,
        Dense,
        DepthwiseConv2D,
        Dropout,
        ELU,
        Flatten,
        GaussianNoise,
        GlobalAveragePooling2D,
        GlobalMaxPooling2D,
        LeakyReLU,
        MaxPooling2D,
        ReLU,
        Rescaling,
        Reshape,
        Softmax,
        ZeroPadding2D,
    )
}

__all__ = [
    "LAYERS",
    "ActivatedLayer",
    "AvgPool2D",
    "Convolution2D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "Input",
    "Layer",
    "MaxPool2D",
    "Parameter",
    "deserialize",
    "serialize",
    *LAYERS,
]
__dir__ = listing(__name__)


REGISTRY = Registry("layer", Layer, LAYERS)


def serialize(layer: Layer) -> Config:
    """Return a layer as ``{"class_name": …, "config": …}``, ready for JSON."""
    if not isinstance(layer, Layer):
        raise TypeError(f"layer must be a Layer; got {shown(layer)}")
    return described(layer)


def deserialize(config: Any, custom_objects: dict[str, type] | None = None) -> Layer:
    """Return the layer that :func:`serialize` described; it is not built.

    Parameters
    ----------
    config : dict
        With the keys ``class_name`` and ``config``.
    custom_objects : dict of str to class, optional
        Layers, initializers and so on that are not tinycnn's own, by the names of their classes.

    Raises
    ------
    ValueError
        If the description is malformed or its class unknown.
    TypeError
        If the class does not take the arguments.
    """
    with custom_classes(custom_objects):
        return REGISTRY.read(config, "config")
