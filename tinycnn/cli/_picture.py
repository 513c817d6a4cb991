"""Read any picture as the input of a network."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from PIL import Image, ImageOps

from ..core.types import Array, Shape

#: A small file can claim any size. To decode this many pixels takes at most a second and 440 MB (with transparency).
MAX_PIXELS = 25_000_000
#: The longest side, which is JPEG's own limit. A strip of pixels takes longer to resize than a square with as many.
MAX_SIDE = 65_535


def read(path: Path, input_shape: Shape) -> tuple[Array, list[str]]:
    """Read a PNG or JPEG for a network.

    Transparent parts become black or white, whichever shows the rest better. The picture is resized with antialiasing
    and padded to the network's aspect. If the network takes grey images, which are all light on black in the data sets,
    a picture with a light border is inverted.

    Parameters
    ----------
    path : Path
    input_shape : (H, W, C)

    Returns
    -------
    (H, W, C) float32 array in [0, 1], list of str
        The image, and what was done to the picture, to be shown to the user.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If the file is not a PNG or JPEG, or is damaged or too large.
    """
    height, width, channels = input_shape
    done: list[str] = []
    with _damage_told(path):
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


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """Turn whatever Pillow raises about a file into an error that names the file."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        yield
    except Image.UnidentifiedImageError:
        raise ValueError(f"{path} is not a PNG or JPEG picture") from None
    except PermissionError:
        raise
    # For damaged files Pillow raises SyntaxError, EOFError, IndexError, struct.error, zlib.error and others.
    except Exception as error:
        raise ValueError(f"{path} cannot be read as a picture: {str(error)[:300] or type(error).__name__}") from error


class _Clamped:
    """A file from which no more is read than it has.

    Without this, Python would allocate memory for the size that a chunk claims to have before it reads the chunk.

    Parameters
    ----------
    raw : binary file
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._size = os.fstat(raw.fileno()).st_size
        self.seek, self.tell, self.close = raw.seek, raw.tell, raw.close

    def read(self, size: int = -1) -> bytes:
        """Read at most ``size`` bytes."""
        return self._raw.read(min(size, self._size) if size >= 0 else -1)


def _opened(path: Path) -> Any:
    """Return the decoded picture, upright, with 8 bits per channel."""
    with warnings.catch_warnings():
        # Pillow warns about large pictures, but the limit here is lower than Pillow's.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with path.open("rb") as raw, Image.open(cast(BinaryIO, _Clamped(raw)), formats=("PNG", "JPEG")) as file:
            if file.width * file.height > MAX_PIXELS or max(file.size) > MAX_SIDE:
                limit = f"{MAX_PIXELS:,}, or {MAX_SIDE:,} on a side"
                raise ValueError(f"{file.width}×{file.height} pixels are more than the limit of {limit}")
            file.load()
            picture = ImageOps.exif_transpose(file)
    if picture.mode.startswith("I"):
        # The picture has 16 bits, and convert("L") would cut off everything above 255.
        picture = Image.fromarray((np.asarray(picture, np.float32) / 257).clip(0, 255).round().astype(np.uint8))
    return picture


def _composited(picture: Any, done: list[str]) -> Any:
    """Return a transparent picture on black if its opaque parts are mostly light, otherwise on white."""
    picture = picture.convert("RGBA")
    if picture.getextrema()[3] == (255, 255):
        return picture
    grey, alpha = np.asarray(picture.convert("L")), np.asarray(picture.getchannel("A"))
    # The sum is taken piece by piece, because an array of products would be eight times as large as the picture.
    light = sum(int(np.dot(g, a)) for g, a in zip(_pieces(grey), _pieces(alpha), strict=True)) > 127 * int(alpha.sum())
    done.append(f"laid on {'black' if light else 'white'}, because parts of it are transparent")
    ground = Image.new("RGBA", picture.size, "black" if light else "white")
    return Image.alpha_composite(ground, picture)


def _pieces(pixels: Array) -> Iterator[Array]:
    """Return the pixels in pieces of limited size, as integers."""
    flat = pixels.reshape(-1)
    return (flat[begin : begin + 2**16].astype(np.int64) for begin in range(0, len(flat), 2**16))


def _border(picture: Any) -> tuple[int, ...]:
    """Return the median colour of the outermost pixels."""
    pixels = np.asarray(picture).reshape(picture.height, picture.width, -1)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return tuple(int(value) for value in np.median(edge, axis=0))


def _resized(picture: Any, width: int, height: int, background: tuple[int, ...]) -> Any:
    """Return the whole picture with its own aspect, in the middle of a sheet of the background's colour."""
    scale = min(width / picture.width, height / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    small = picture.resize(size, Image.Resampling.LANCZOS)
    sheet = Image.new(picture.mode, (width, height), background if len(background) > 1 else background[0])
    sheet.paste(small, ((width - size[0]) // 2, (height - size[1]) // 2))
    return sheet
