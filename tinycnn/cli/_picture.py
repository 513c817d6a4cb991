"""A picture from anywhere as a network's input."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from PIL import Image, ImageOps

from ..core.types import Array, Shape

#: A small file can claim any size; decoding this many pixels takes a second and 440 MB at most (with transparency).
MAX_PIXELS = 25_000_000
#: Of a side: JPEG's own limit. A strip of millions of pixels takes longer to resize than a square of as many.
MAX_SIDE = 65_535


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
    """Whatever Pillow raises about a file becomes an error that names it."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        yield
    except Image.UnidentifiedImageError:
        raise ValueError(f"{path} is not a PNG or JPEG picture") from None
    except PermissionError:
        raise
    # For damaged files Pillow raises SyntaxError, EOFError, IndexError, struct.error, zlib.error, …: there is no list.
    except Exception as error:
        raise ValueError(f"{path} cannot be read as a picture: {str(error)[:300] or type(error).__name__}") from error


class _Clamped:
    """A file that is not asked for more than it has: Python takes memory for what a chunk claims before it reads.

    Parameters
    ----------
    raw : binary file
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._size = os.fstat(raw.fileno()).st_size
        self.seek, self.tell, self.close = raw.seek, raw.tell, raw.close

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes."""
        return self._raw.read(min(size, self._size) if size >= 0 else -1)


def _opened(path: Path) -> Any:
    """The decoded picture, upright, with 8 bits per channel."""
    with warnings.catch_warnings():
        # Pillow warns of large pictures; the limit here is lower than its own.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with path.open("rb") as raw, Image.open(cast(BinaryIO, _Clamped(raw)), formats=("PNG", "JPEG")) as file:
            if file.width * file.height > MAX_PIXELS or max(file.size) > MAX_SIDE:
                limit = f"{MAX_PIXELS:,}, or {MAX_SIDE:,} on a side"
                raise ValueError(f"{file.width}×{file.height} pixels are more than {limit}")
            file.load()
            picture = ImageOps.exif_transpose(file)
    if picture.mode.startswith("I"):
        # 16 bits: convert("L") would cut off everything above 255.
        picture = Image.fromarray((np.asarray(picture, np.float32) / 257).clip(0, 255).round().astype(np.uint8))
    return picture


def _composited(picture: Any, done: list[str]) -> Any:
    """On black if what is opaque is light on the whole, else on white."""
    picture = picture.convert("RGBA")
    if picture.getextrema()[3] == (255, 255):
        return picture
    grey, alpha = np.asarray(picture.convert("L")), np.asarray(picture.getchannel("A"))
    # Piece by piece: an array of products would be eight times as large as the picture.
    light = sum(int(np.dot(g, a)) for g, a in zip(_pieces(grey), _pieces(alpha), strict=True)) > 127 * int(alpha.sum())
    done.append(f"laid on {'black' if light else 'white'}, because parts of it are transparent")
    ground = Image.new("RGBA", picture.size, "black" if light else "white")
    return Image.alpha_composite(ground, picture)


def _pieces(pixels: Array) -> Iterator[Array]:
    flat = pixels.reshape(-1)
    return (flat[begin : begin + 2**16].astype(np.int64) for begin in range(0, len(flat), 2**16))


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
