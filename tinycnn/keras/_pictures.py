"""Pictures as Keras's programs handle them: read from files as Pillow's images, and turned into arrays and back."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..core.checks import array, boolean, choice, pair
from ..core.checks import path as checked_path
from ..core.files import write_whole
from ..core.types import Array
from ..datasets import _image_file
from ._telling import is_one_of, not_so

#: Keras's names for the ways to find values between pixels.
INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "hamming": Image.Resampling.HAMMING,
    "box": Image.Resampling.BOX,
    "lanczos": Image.Resampling.LANCZOS,
}
_CHANNELS_LAST = "images are (H, W, C) here: leave the argument out"


def channels_of(color_mode: Any, name: str) -> int:
    """Return how many channels a colour mode of Keras's has: 1 for grey, 3 for colours."""
    if is_one_of(color_mode, "rgba"):
        raise not_so(name, "color_mode", color_mode, "transparent parts become black or white: write 'rgb'")
    return {"grayscale": 1, "rgb": 3}[choice(color_mode, ("grayscale", "rgb"), "color_mode")]


def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
    *,
    grayscale: bool = False,
) -> Image.Image:
    """Read a picture from a file as an image of Pillow's.

    Damaged files and files of more than 25 million pixels are refused; photographs are turned upright.

    Parameters
    ----------
    path : path
        The file: PNG, JPEG, GIF, BMP, WebP, TIFF or PPM.
    color_mode : {"rgb", "grayscale"}
        The kind of pixels.
    target_size : (H, W), optional
        The size to give it; by default its own.
    interpolation : {"nearest", "bilinear", "bicubic", "hamming", "box", "lanczos"}
        How that is done.
    keep_aspect_ratio : bool
        Whether to cut off what does not fit instead of stretching the picture.
    grayscale : bool
        True is ``color_mode="grayscale"`` of Keras 2.
    """
    channels = channels_of("grayscale" if boolean(grayscale, "grayscale") else color_mode, "load_img")
    pixels = _image_file.read(checked_path(path), channels).pixels
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    if target_size is None:
        return image
    height, width = pair(target_size, "target_size")
    way = INTERPOLATIONS[choice(interpolation, INTERPOLATIONS, "interpolation")]
    box = None
    if boolean(keep_aspect_ratio, "keep_aspect_ratio"):
        wide, high = min(image.width, image.height * width / height), min(image.height, image.width * height / width)
        left, top = (image.width - wide) / 2, (image.height - high) / 2
        box = (left, top, left + wide, top + high)
    return image.resize((width, height), way, box)


def img_to_array(img: Any, data_format: Any = None, dtype: Any = None) -> Array:
    """Return a picture as an array (H, W, C), float32 by default, with the values that it has.

    Parameters
    ----------
    img : image of Pillow's, or array
        A grey one gets an axis for its only channel.
    data_format : None or "channels_last"
        Channels are last.
    dtype : str, optional
        By default ``"float32"``.
    """
    if not is_one_of(data_format, None, "channels_last"):
        raise not_so("img_to_array", "data_format", data_format, _CHANNELS_LAST)
    with np.errstate(over="ignore"):
        pixels = array(img, "img").astype("float32" if dtype is None else dtype)
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    if pixels.ndim != 3:
        raise ValueError(f"img must be one picture, (H, W) or (H, W, C); got shape {pixels.shape}")
    return pixels


def array_to_img(x: Any, data_format: Any = None, scale: bool = True, dtype: Any = None) -> Image.Image:
    """Return an array (H, W, C) as an image of Pillow's.

    Parameters
    ----------
    x : (H, W, 1) or (H, W, 3) array
        The values.
    data_format : None or "channels_last"
        Channels are last.
    scale : bool
        Whether to stretch the values to 0 to 255; otherwise they must lie there.
    dtype : ignored
        Images have bytes.
    """
    if not is_one_of(data_format, None, "channels_last"):
        raise not_so("array_to_img", "data_format", data_format, _CHANNELS_LAST)
    pixels = array(x, "x").astype(np.float64)
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        raise ValueError(f"x must be one picture, (H, W, 1) or (H, W, 3); got shape {pixels.shape}")
    if boolean(scale, "scale"):
        pixels = pixels - pixels.min()
        pixels = pixels * (255 / pixels.max()) if pixels.max() else pixels
    values = pixels.clip(0, 255).astype(np.uint8)
    return Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)


def save_img(
    path: Any, x: Any, data_format: Any = None, file_format: str | None = None, scale: bool = True, **arguments: Any
) -> None:
    """Write an array (H, W, C) to a file as a picture, whole or not at all; the name's ending says in which format."""
    import io

    where, content = checked_path(path), io.BytesIO()
    kinds = Image.registered_extensions()
    if file_format is None and where.suffix.lower() not in kinds:
        raise ValueError(f"path must end in the ending of a format, such as .png; got {where.name!r}")
    kind = kinds[where.suffix.lower()] if file_format is None else file_format
    array_to_img(x, data_format, scale).save(content, kind, **arguments)
    write_whole(where, content.getvalue())


def pictures_in(folder: Path, follow_links: bool) -> list[Path]:
    """Return the pictures in a folder and the folders in it, by name; hidden ones do not count."""
    found: list[Path] = []
    for one in sorted(folder.iterdir(), key=lambda path: path.name):
        if one.name.startswith(".") or (one.is_symlink() and one.is_dir() and not follow_links):
            continue
        if one.is_dir():
            found += pictures_in(one, follow_links)
        elif one.suffix.lower() in _image_file.SUFFIXES and one.is_file():
            found.append(one)
    return found
