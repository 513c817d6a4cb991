"""Turn a picture into the input of a network: prepared as the images of a data set were, or only resized."""

from __future__ import annotations

import numpy as np

from ..core.types import Array, Shape
from . import _image_file, _mnist_like
from ._image_file import Picture

#: The data sets whose images a picture can be made like; ``"none"`` only resizes it.
WAYS = ("mnist", "digits", "fashion_mnist", "none")
#: By how many pixels the digits of the data set ``digits`` may differ in size and place from those of MNIST.
DIGITS_ARE_OFF = 6.0


def way_for(data: str | None, input_shape: Shape) -> str:
    """Return as the images of which data set pictures are prepared for a network, if nobody has chosen a way.

    Parameters
    ----------
    data : str or None
        The data set that the network was trained on; None if it is not known.
    input_shape : (H, W, C)
    """
    if data is None:
        # Nothing else with ten classes has this shape so often. Whoever prepares a picture says what was done to it.
        return "mnist" if input_shape == (_mnist_like.SIDE, _mnist_like.SIDE, 1) else "none"
    return data if data in WAYS else "none"


def prepared(picture: Picture, side: int, way: str, on_black: bool = False) -> tuple[Array, list[str]]:
    """Return a picture like the images of a data set, (side, side, 1) float32 in [0, 1], and what was done to it.

    Parameters
    ----------
    picture : Picture
        In colours if it has some: ink is searched for in all of them.
    side : int
        The height and the width of the network's images.
    way : {"mnist", "digits", "fashion_mnist"}
    on_black : bool
        Whether it is known to be drawn on black; otherwise the background is searched for.

    Raises
    ------
    NoInkError
        If nothing in the picture stands out from its background.
    """
    clothes = way == "fashion_mnist"
    box = side if clothes else round(side * _mnist_like.BOX / _mnist_like.SIDE)
    off = DIGITS_ARE_OFF if way == "digits" else 1.0
    image, done = _mnist_like.prepared(
        picture.pixels, size=side, box=box, by_mass=not clothes, off=off, on_black=on_black
    )
    return image, [*picture.done, *done]


def resized(picture: Picture, input_shape: Shape) -> tuple[Array, list[str]]:
    """Return the whole picture in the shape (H, W, C) of a network's images, float32 in [0, 1], with its own aspect."""
    height, width, channels = input_shape
    pixels, done = _image_file.fitted(_image_file.in_channels(picture, channels), height, width)
    return np.divide(pixels, 255, dtype=np.float32), done
