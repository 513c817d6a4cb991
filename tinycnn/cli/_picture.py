"""Turn a picture of the user's into the input of a network."""

from pathlib import Path

import numpy as np

from .. import datasets
from ..core.types import Array, Shape
from ..datasets import _image_file, _mnist_like

#: By how many pixels the digits of the data set ``digits`` may differ in size and place from those of MNIST.
DIGITS_ARE_OFF = 6.0
#: A folder with more pictures is refused, because their charts would be no use to anybody.
MOST = 1000


def read(path: Path, input_shape: Shape, way: str = "none") -> tuple[Array, list[str]]:
    """Read a picture for a network.

    Parameters
    ----------
    path : Path
    input_shape : (H, W, C)
    way : {"mnist", "digits", "fashion_mnist", "none"}
        As which data the picture is prepared; all but ``"none"`` make square grey images.

    Returns
    -------
    (H, W, C) float32 array in [0, 1], list of str
        The image, and what was done to the picture, to be shown to the user.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If the file is not a picture, or is damaged or too large.
    """
    height, width, channels = input_shape
    # Ink in colour is searched for in all colours.
    picture = _image_file.read(path, channels if way == "none" else None)
    if way != "none":
        box = height if way == "fashion_mnist" else round(height * _mnist_like.BOX / _mnist_like.SIDE)
        try:
            by_mass, off = way != "fashion_mnist", DIGITS_ARE_OFF if way == "digits" else 1.0
            image, done = _mnist_like.prepared(picture.pixels, size=height, box=box, by_mass=by_mass, off=off)
            return image, [*picture.done, *done]
        except _mnist_like.NoInkError as error:
            picture = _image_file.read(path, channels)
            picture.done.append(f"not prepared, because {str(error).removeprefix('image: ')}")
    pixels, done = _image_file.fitted(picture, height, width)
    return np.divide(pixels, 255, dtype=np.float32), done


def way_for(way: str, data: str | None, input_shape: Shape) -> str:
    """Return how pictures are prepared for a network, by the data that it was trained on if that is known."""
    height, width, channels = input_shape
    if way != "auto":
        if way != "none" and (height != width or channels != 1):
            raise ValueError(f"--prepare {way} makes square grey images, but the network takes {input_shape}")
        return way
    if data is None:
        # Nothing else with ten classes has this shape so often. The output says what was done, and how to turn it off.
        return "mnist" if input_shape == (_mnist_like.SIDE, _mnist_like.SIDE, 1) else "none"
    return data if data in ("mnist", "digits", "fashion_mnist") else "none"


def in_folder(folder: Path) -> list[Path]:
    """Return the pictures that lie in a folder, by name.

    Raises
    ------
    ValueError
        If there are none, or too many.
    """
    inside = sorted(folder.iterdir())
    found = [path for path in inside if is_picture(path)]
    if not found:
        below = [path.name for path in inside if path.is_dir() and any(map(is_picture, path.iterdir()))]
        more = f"; its sub-folders {', '.join(below[:5])} have some: name one of them" if below else ""
        raise ValueError(f"{folder} is a folder without pictures{more}")
    if len(found) > MOST:
        raise ValueError(f"{folder} has {len(found)} pictures, more than the limit of {MOST}; name some of them")
    return found


def is_picture(path: Path) -> bool:
    """Return whether a file has the name of a picture; macOS puts its own data into files that begin with a point."""
    return path.suffix.lower() in _image_file.SUFFIXES and not path.name.startswith(".") and path.is_file()


def class_names(data: str | None, outputs: int) -> tuple[str, ...]:
    """Return the names of a data set's classes, or numbers if the data set is not known."""
    return tuple(datasets.get(data).class_names) if data else tuple(map(str, range(outputs)))
