"""Turn a picture of the user's into the input of a network."""

from pathlib import Path

from ..core.types import Array, Shape
from ..datasets import _for_network, _image_file
from ..datasets._mnist_like import NoInkError

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
    # Ink in colour is searched for in all colours.
    picture = _image_file.read(path, input_shape[2] if way == "none" else None)
    if way != "none":
        try:
            return _for_network.prepared(picture, input_shape[0], way)
        except NoInkError as error:
            picture.done.append(f"not prepared, because {str(error).removeprefix('image: ')}")
    return _for_network.resized(picture, input_shape)


def way_for(way: str, data: str | None, input_shape: Shape) -> str:
    """Return how pictures are prepared for a network, by the data that it was trained on if that is known."""
    height, width, channels = input_shape
    if way != "auto":
        if way != "none" and (height != width or channels != 1):
            raise ValueError(f"--prepare {way} makes square grey images, but the network takes {input_shape}")
        return way
    return _for_network.way_for(data, input_shape)


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
