"""Read a picture from a file, or from the bytes of one, that anybody may have made."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np

from ..core.checks import path as checked_path
from ..core.checks import shape as checked_shape
from ..core.files import check_plain_file
from ..core.messages import shown
from ..core.types import Array

#: A small file can claim any size. To decode this many pixels takes at most a second and 440 MB (with transparency).
MAX_PIXELS = 25_000_000
#: The longest side, which is JPEG's own limit. A strip of pixels takes longer to resize than a square with as many.
MAX_SIDE = 65_535
#: The largest file; 25 million uncompressed pixels of 8 bytes fit into it.
MAX_BYTES = 256 * 2**20
#: The formats that are read, by Pillow's names. Others are refused unopened.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
#: The ends of the names of files in these formats.
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)


#: The tag of EXIF that says how a photograph is to be turned; from 5 on its sides change places.
_ORIENTATION = 0x0112
#: The tag of TIFF that says how many bits the numbers of a pixel have.
_BITS = 258
#: Up to which number grey pixels of more than 8 bits range. What has 16 bits, or says its range, needs no guess.
_SIXTEEN_BITS: tuple[float, ...] = (65535.0,)
_WHOLE, _FRACTIONS = (255.0, *_SIXTEEN_BITS), (1.0, 255.0, *_SIXTEEN_BITS)


class Header(NamedTuple):
    """The size of a picture once it is upright, and whether it is grey."""

    height: int
    width: int
    grey: bool


class Picture(NamedTuple):
    """A picture as bytes (H, W, 1) or (H, W, 3), and in words what was done to it."""

    pixels: Array
    done: list[str]


def load_image(
    path: str | os.PathLike[str], shape: tuple[int, int, int] | None = None, *, dtype: str = "float32"
) -> Array:
    """Read a picture from a file, in the shape that a network takes.

    PNG, JPEG, GIF, BMP, WebP, TIFF and PPM files are read, as far as the installed Pillow reads them. A
    photograph is turned upright, 16 bits become 8, and transparent parts become black or white, whichever shows the
    rest better. Of several frames or pages, the first is read. The whole picture is resized with antialiasing and keeps
    its aspect; if that differs from the network's, the rest is filled with the colour of the picture's border.

    Light and dark are not exchanged; :func:`mnist_like` does this, and more, for pictures of digits.

    Parameters
    ----------
    path : str or path
    shape : (H, W, C), optional
        Usually ``model.input_shape``. C is 1 for grey and 3 for red, green and blue. By default the picture keeps its
        size, and C is 1 if the file holds a grey picture and 3 if it holds a coloured one.
    dtype : {"float32", "uint8"}
        ``"float32"`` for numbers from 0 to 1; ``"uint8"`` for bytes from 0 to 255, which are right for a network that
        begins with ``Rescaling(1 / 255)``.

    Returns
    -------
    (H, W, C) array
        One image; ``model.predict`` takes a batch, that is ``load_image(…)[None]``.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If the file is not a picture in one of these formats, or is damaged or too large, or if `shape` is not the
        shape of an image.
    OSError
        If there is no such file, or if it cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> from PIL import Image
    >>> from tinycnn.datasets import load_image
    >>> Image.fromarray(np.full((30, 40, 3), 255, np.uint8)).save("white.png")
    >>> image = load_image("white.png", (28, 28, 1))
    >>> image.shape, image.dtype.name, float(image.min()), float(image.max())
    ((28, 28, 1), 'float32', 1.0, 1.0)
    >>> load_image("white.png").shape
    (30, 40, 3)
    """
    if dtype not in ("float32", "uint8", np.float32, np.uint8):
        raise ValueError(f"dtype must be 'float32' or 'uint8'; got {shown(dtype)}")
    if shape is not None:
        shape = cast(tuple[int, int, int], checked_shape(shape, "shape"))
        if len(shape) != 3 or shape[2] not in (1, 3):
            raise ValueError(
                f"shape must be (H, W, C), with C = 1 for grey or C = 3 for red, green and blue; got {shown(shape)}"
            )
    picture = read(checked_path(path), None if shape is None else shape[2])
    pixels = (picture if shape is None else fitted(picture, shape[0], shape[1])).pixels
    return pixels if dtype in ("uint8", np.uint8) else np.divide(pixels, 255, dtype=np.float32)


def read(path: Path, channels: int | None) -> Picture:
    """Read a picture in its own size, with 1 or 3 channels, or with as many as it has."""
    size = check_plain_file(path, MAX_BYTES)
    with _damage_told(str(path)), path.open("rb") as raw:
        return _decoded(raw, size, channels)


def read_header(path: Path) -> Header:
    """Read the size of a picture, and whether it is grey, without decoding it; it raises what :func:`read` raises."""
    from PIL import Image

    size = check_plain_file(path, MAX_BYTES)
    with _damage_told(str(path)), path.open("rb") as raw, _open(raw, size) as file:
        # Not file.getexif(), which for PNG decodes the pixels, because the tags may come after them.
        lies = Image.Image.getexif(file).get(_ORIENTATION) in (5, 6, 7, 8)
        height, width = (file.width, file.height) if lies else (file.height, file.width)
        return Header(height, width, _is_grey(file.mode))


def read_bytes(content: bytes, channels: int | None, name: str = "the file") -> Picture:
    """Read a picture from the bytes of a file, as :func:`read` does; ``name`` is what errors call it.

    Raises
    ------
    ValueError
        If the bytes are not a picture in one of the formats, or are damaged, or if the picture is too large.
    """
    if len(content) > MAX_BYTES:
        raise ValueError(f"{name} has {len(content)} bytes, more than the limit of {MAX_BYTES}")
    with _damage_told(name):
        return _decoded(io.BytesIO(content), len(content), channels)


def in_channels(picture: Picture, channels: int) -> Picture:
    """Return a picture with 1 or 3 channels, whichever it has."""
    from PIL import Image

    if picture.pixels.shape[2] == channels:
        return picture
    if channels == 3:
        return Picture(np.repeat(picture.pixels, 3, axis=2), picture.done)
    return Picture(np.asarray(Image.fromarray(picture.pixels).convert("L"))[..., np.newaxis], picture.done)


def fitted(picture: Picture, height: int, width: int) -> Picture:
    """Return the whole picture with its own aspect, in the middle of a sheet with the colour of its border."""
    from PIL import Image

    pixels, done = picture
    if pixels.shape[:2] == (height, width):
        return picture
    scale = min(width / pixels.shape[1], height / pixels.shape[0])
    rows, columns = (max(1, round(length * scale)) for length in pixels.shape[:2])
    plain = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    small = np.asarray(plain.resize((columns, rows), Image.Resampling.LANCZOS))
    sheet = np.empty((height, width, pixels.shape[2]), np.uint8)
    sheet[:] = _border(pixels)
    top, left = (height - rows) // 2, (width - columns) // 2
    sheet[top : top + rows, left : left + columns] = small.reshape(rows, columns, -1)
    return Picture(sheet, [*done, f"resized from {pixels.shape[1]}×{pixels.shape[0]}"])


def _border(pixels: Array) -> Array:
    """Return the median colour of the outermost pixels."""
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return np.asarray(np.median(edge, axis=0).astype(np.uint8))


@contextmanager
def _damage_told(name: str) -> Iterator[None]:
    """Turn whatever Pillow raises about a file into an error that names the file."""
    from PIL import Image

    try:
        yield
    except Image.UnidentifiedImageError:
        formats = "PNG, JPEG, GIF, BMP, WebP or TIFF"
        raise ValueError(f"{name} is not a picture that can be read: save it as {formats}") from None
    except Image.DecompressionBombError:  # Pillow's limit is higher, but it looks before anybody else can
        raise ValueError(f"{name} has more pixels than the limit of {MAX_PIXELS:,}; save it smaller") from None
    except PermissionError:
        raise
    # For damaged files Pillow raises SyntaxError, EOFError, IndexError, struct.error, zlib.error and others.
    except Exception as error:
        raise ValueError(f"{name} cannot be read as a picture: {str(error)[:300] or type(error).__name__}") from error


class _Clamped:
    """A file from which no more is read than it has, and not many times over.

    Python would allocate memory for the size that a chunk claims to have before it reads the chunk. A TIFF file may
    have thousands of entries that each claim to be the whole file.

    Parameters
    ----------
    raw : binary file
    size : int
        How many bytes it has.
    """

    def __init__(self, raw: BinaryIO, size: int) -> None:
        self._raw, self._size = raw, size
        self._budget = 16 * size + 2**20
        self.seek, self.tell, self.close = raw.seek, raw.tell, raw.close

    def read(self, size: int = -1) -> bytes:
        """Read at most ``size`` bytes."""
        found = self._raw.read(min(size, self._size) if size >= 0 else -1)
        self._budget -= len(found)
        if self._budget < 0:
            raise ValueError("its parts refer to the same bytes again and again")
        return found


def _decoded(raw: BinaryIO, size: int, channels: int | None) -> Picture:
    """Return the picture in an open file of this size, with 1 or 3 channels, or with as many as it has."""
    done: list[str] = []
    picture = _opened(raw, size, done)
    if channels is None:
        channels = 1 if _is_grey(picture.mode) else 3
    if "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info:
        picture = _composited(picture, done)
    pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return Picture(pixels.reshape(*pixels.shape[:2], channels), done)


@contextmanager
def _open(raw: BinaryIO, size: int) -> Iterator[Any]:
    """Open a picture without decoding it, and refuse one that is too large."""
    # Importing the last two makes them known to Image.open; Image.init() would import every format there is.
    from PIL import Image, TiffImagePlugin, WebPImagePlugin  # noqa: F401

    with warnings.catch_warnings():
        # Pillow warns about large pictures, but the limit here is lower than Pillow's, and about odd metadata.
        warnings.simplefilter("ignore")
        with Image.open(cast(BinaryIO, _Clamped(raw, size)), formats=FORMATS) as file:
            if file.width * file.height > MAX_PIXELS or max(file.size) > MAX_SIDE:
                limit = f"{MAX_PIXELS:,}, or {MAX_SIDE:,} on a side"
                raise ValueError(
                    f"{file.width} by {file.height} pixels are more than the limit of {limit}; save it smaller"
                )
            yield file


def _opened(raw: BinaryIO, size: int, done: list[str]) -> Any:
    """Return the decoded picture, upright, with 8 bits per channel."""
    from PIL import Image, ImageOps

    with _open(raw, size) as file:
        file.load()
        picture = ImageOps.exif_transpose(file)
        if getattr(file, "is_animated", False):
            done.append("the first of several frames")
    if _is_deep(picture.mode):
        picture = Image.fromarray(_eight_bits(np.asarray(picture, np.float64), _limits(file)))
    return picture


def _limits(file: Any) -> tuple[float, ...]:
    """Return up to which number the pixels of a deep grey picture may range, the smallest number first."""
    if file.mode == "F":
        return _FRACTIONS
    # Pillow opens 16 bits as 32 where they are signed, in older versions also those of PNG, and scales those of PGM.
    bits = file.tag_v2.get(_BITS, (16,)) if file.format == "TIFF" else (16,)
    return _WHOLE if max(bits) == 32 else _SIXTEEN_BITS


def _is_deep(mode: str) -> bool:
    """Return whether the pixels of a picture are grey and have more than 8 bits."""
    return mode.startswith("I") or mode == "F"


def _is_grey(mode: str) -> bool:
    """Return whether a picture has no colours."""
    return mode in ("1", "L", "LA", "La") or _is_deep(mode)


def _eight_bits(values: Array, limits: tuple[float, ...]) -> Array:
    """Return numbers as bytes; they range to the first of these limits that is not below them, or to their largest.

    A picture that was resized may go a little beyond its range.
    """
    if not np.isfinite(values).all():
        raise ValueError("it holds NaN or infinity")
    highest = float(values.max())
    limit = next((limit for limit in limits if highest <= 1.01 * limit), highest)
    return (values * (255 / limit)).clip(0, 255).round().astype(np.uint8)


def _composited(picture: Any, done: list[str]) -> Any:
    """Return a transparent picture on black if its opaque parts are mostly light, otherwise on white."""
    from PIL import Image

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
