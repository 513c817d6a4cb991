"""Data sets in the form that the networks take."""

from typing import NamedTuple

import numpy as np

from ..core.types import Array, Shape
from ..models.recipe import INPUT_SHAPES
from ._arguments import UsageError


class Data(NamedTuple):
    """A data set; its images are float32 (N, H, W, C) in [0, 1]."""

    name: str  # of a data set, or the path of a folder of pictures
    title: str
    class_names: tuple[str, ...]
    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array


def load(name: str) -> Data:
    """Load a data set by the name of its module."""
    from .. import datasets

    module = datasets.get(name)
    (x_train, y_train), (x_test, y_test) = module.load_data()
    return Data(name, module.title, tuple(module.class_names), scaled(x_train), y_train, scaled(x_test), y_test)


def scaled(images: Array) -> Array:
    """Return images of bytes (N, H, W[, C]) as float32 (N, H, W, C) in [0, 1]."""
    images = images[..., np.newaxis] if images.ndim == 3 else images
    return np.divide(images, 255, dtype=np.float32)


def check_fit(model: str, input_shape: Shape, data: str) -> None:
    """Raise UsageError if a data set's images do not have the network's shape, before anything is downloaded."""
    shape = (28, 28, 1) if data == "digits" else INPUT_SHAPES[data]
    if shape != input_shape:
        raise UsageError(
            f"{model} takes images of {_text(input_shape)}, but those of {data} are {_text(shape)}; "
            "choose another --data or another network"
        )


def _text(shape: Shape) -> str:
    """Return a shape as text."""
    return "×".join(map(str, shape))
