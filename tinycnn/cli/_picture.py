"""A picture from anywhere as a network's input."""

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from .._types import Array, Shape

#: A small file can claim any size; decoding this many pixels takes a second and 300 MB at most.
MAX_PIXELS = 50_000_000


def read(path: Path, input_shape: Shape) -> tuple[Array, list[str]]:
    """Read a PNG or JPEG for a network.

    Transparent parts are laid on black or white, whichever shows the rest; the picture is resized with antialiasing and
    padded to the network's aspect; for a network of grey images, which are all light on black here, a picture with a
    light border is inverted.

    Parameters
    ----------
    path : Path
    input_shape : (H, W, C)

    Returns
    -------
    (H, W, C) float32 array in [0, 1], list of str
        And what was done to the picture, for the user to know.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If it is not a PNG or JPEG, is damaged or too large.
    """
    height, width, channels = input_shape
    done: list[str] = []
    picture = _opened(path)
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = _composited(picture, done)
    picture = picture.convert("L" if channels == 1 else "RGB")
    background = _border(picture)
    if picture.size != (width, height):
        done.append(f"resized from {picture.width}×{picture.height}")
        picture = _resized(picture, width, height, background)
    image = np.asarray(picture, np.float32).reshape(input_shape) / np.float32(255)
    if channels == 1 and background[0] > 127:
        done.append("inverted, because its border is light")
        image = 1 - image
    return image, done


def _opened(path: Path) -> Any:
    """The decoded picture, upright, with 8 bits per channel."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures; the limit here is lower than its own.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as file:
                if file.width * file.height > MAX_PIXELS:
                    raise ValueError(f"{file.width}×{file.height} pixels are more than {MAX_PIXELS:,}")
                file.load()
                picture = ImageOps.exif_transpose(file)
    except Image.UnidentifiedImageError:
        raise ValueError(f"{path} is not a PNG or JPEG picture") from None
    except PermissionError:
        raise
    # What Pillow raises for damaged files, besides errors of the disk.
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
    ) as error:
        raise ValueError(f"{path} cannot be read as a picture: {error}") from error
    if picture.mode.startswith("I"):
        # 16 bits: convert("L") would cut off everything above 255.
        picture = Image.fromarray((np.asarray(picture, np.float64) / 257).clip(0, 255).round().astype(np.uint8))
    return picture


def _composited(picture: Any, done: list[str]) -> Any:
    """On black if what is opaque is light on the whole, else on white."""
    picture = picture.convert("RGBA")
    if picture.getextrema()[3] == (255, 255):
        return picture
    grey, alpha = np.asarray(picture.convert("L"), np.float64), np.asarray(picture.getchannel("A"), np.float64)
    light = bool((grey * alpha).sum() > 127 * alpha.sum())
    done.append(f"laid on {'black' if light else 'white'}, because parts of it are transparent")
    ground = Image.new("RGBA", picture.size, "black" if light else "white")
    return Image.alpha_composite(ground, picture)


def _border(picture: Any) -> tuple[int, ...]:
    """The median colour of the outermost pixels."""
    pixels = np.asarray(picture).reshape(picture.height, picture.width, -1)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return tuple(int(value) for value in np.median(edge, axis=0))


def _resized(picture: Any, width: int, height: int, background: tuple[int, ...]) -> Any:
    """The whole picture with its own aspect, in the middle of its background."""
    scale = min(width / picture.width, height / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    small = picture.resize(size, Image.Resampling.LANCZOS)
    sheet = Image.new(picture.mode, (width, height), background if len(background) > 1 else background[0])
    sheet.paste(small, ((width - size[0]) // 2, (height - size[1]) // 2))
    return sheet
