"""Read the files in which the data sets are published, without trusting them.

A file that is not what it claims to be is refused. Nothing is unpickled, and nothing is read or decompressed beyond the
expected size.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from ..core.checks import integer
from ..core.checks import path as checked_path
from ..core.files import check_plain_file
from ..core.messages import shown

Images: TypeAlias = NDArray[np.uint8]
Labels: TypeAlias = NDArray[np.int64]
#: The result of every ``load_data``: ``((x_train, y_train), (x_test, y_test))``.
DataSet: TypeAlias = tuple[tuple[Images, Labels], tuple[Images, Labels]]

#: The largest array, in bytes, that :func:`read_idx` reads; about five times as large as MNIST's training images.
MAX_BYTES = 256 * 2**20

_IDX_UNSIGNED_BYTE = 0x08
_GZIP_MAGIC = b"\x1f\x8b"
_MAX_DIMENSIONS = 32
_MAX_HEADER = 4 + 4 * 255
_CHUNK = 2**20
#: One byte of a deflate stream unpacks to at most this many.
#: Source: https://zlib.net/zlib_tech.html, "Maximum Compression Factor".
_DEFLATE_RATIO = 1032


class DataFileError(ValueError):
    """A data file is truncated, corrupt, or not what its name says. The message names the file and what is wrong."""


def read_idx(
    path: str | os.PathLike[str], *, shape: tuple[int, ...] | None = None, max_bytes: int = MAX_BYTES
) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, gzipped or not.

    The format is: two zero bytes, the type code (8 for unsigned bytes), the number of dimensions, each dimension as a
    big-endian 32-bit integer, then the elements in C order, and nothing after them.

    Parameters
    ----------
    path
        The file. Its content shows whether it is gzipped.
    shape
        The shape that the array must have; None accepts any. It is checked before any element is read.
    max_bytes
        The largest array to read, in bytes.

    Returns
    -------
    ndarray
        A writable uint8 array of the shape in the header.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    DataFileError
        If the content differs from the above, or its gzip stream is corrupt.
    OSError
        If the file is missing or cannot be read.

    Notes
    -----
    Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", section "File formats".
    """
    path = checked_path(path)
    if shape is not None:
        if not isinstance(shape, tuple | list):
            raise TypeError(f"shape must be a tuple of integers; got {shown(shape)}")
        shape = tuple(integer(length, f"shape[{axis}]", minimum=0) for axis, length in enumerate(shape))
    # A file larger than the largest array is refused as well, gzipped or not.
    size = _plain_file(path, integer(max_bytes, "max_bytes", minimum=0) + _MAX_HEADER)
    with path.open("rb") as raw:
        zipped = raw.read(2) == _GZIP_MAGIC
        raw.seek(0)
        if not zipped:
            return _parse_idx(path, raw, shape, max_bytes, size)
        try:
            with gzip.GzipFile(fileobj=raw) as stream:
                return _parse_idx(path, cast(BinaryIO, stream), shape, max_bytes, size * _DEFLATE_RATIO)
        except EOFError as error:
            raise DataFileError(f"{path}: truncated gzip stream ({error})") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataFileError(f"{path}: corrupt gzip stream ({error})") from error


def _plain_file(path: Path, max_bytes: int) -> int:
    """Return the size of a file; raise DataFileError for a pipe, a device or a file beyond the limit."""
    try:
        return check_plain_file(path, max_bytes)
    except ValueError as error:
        raise DataFileError(str(error)) from None


def _parse_idx(
    path: Path, stream: BinaryIO, shape: tuple[int, ...] | None, max_bytes: int, available: int
) -> NDArray[np.uint8]:
    """Read the header and the array; the file holds at most ``available`` data bytes, whatever its header says."""
    magic = stream.read(4)
    if len(magic) < 4:
        raise DataFileError(f"{path}: truncated IDX header, found {len(magic)} bytes where the first 4 were expected")
    if magic[:2] != b"\0\0":
        raise DataFileError(f"{path}: not an IDX file, it starts with 0x{magic[:2].hex()} where 0x0000 was expected")
    if magic[2] != _IDX_UNSIGNED_BYTE:
        raise DataFileError(f"{path}: IDX type code 0x{magic[2]:02x} found, 0x08 (unsigned byte) expected")
    ndim = magic[3]
    sizes = stream.read(4 * ndim)
    if ndim == 0 or len(sizes) < 4 * ndim:
        raise DataFileError(f"{path}: IDX header announces {ndim} dimensions and holds {len(sizes) // 4}")
    found = tuple(int.from_bytes(sizes[4 * i : 4 * i + 4], "big") for i in range(ndim))
    if shape is not None and found != shape:
        raise DataFileError(f"{path}: IDX array of shape {found} found, {shape} expected")
    # These are Python integers, which do not overflow, not even for 255 dimensions of 2**32 - 1.
    n_bytes = math.prod(found)
    if ndim > _MAX_DIMENSIONS:
        raise DataFileError(f"{path}: IDX header announces {ndim} dimensions, more than the limit of {_MAX_DIMENSIONS}")
    # Zeros are left out of this product, because NumPy refuses even empty shapes such as (0, 2**32 - 1, 2**32 - 1).
    announced = math.prod(length or 1 for length in found)
    if announced > max_bytes:
        raise DataFileError(f"{path}: IDX header announces {announced} bytes, more than the limit of {max_bytes}")
    if n_bytes > available:
        raise DataFileError(f"{path}: truncated, at most {available} data bytes found, {n_bytes} expected")
    return _read_exactly(path, stream, n_bytes).reshape(found)


def _read_exactly(path: Path, stream: BinaryIO, n_bytes: int) -> NDArray[np.uint8]:
    """Read `n_bytes` and make sure that nothing follows them; a gzip stream verifies its checksum meanwhile."""
    data = np.empty(n_bytes, np.uint8)
    found = 0
    while found < n_bytes:
        read = stream.readinto(data[found : found + _CHUNK])  # type: ignore[attr-defined]
        if not read:
            raise DataFileError(f"{path}: truncated, {found} data bytes found, {n_bytes} expected")
        found += read
    if stream.read(1):
        raise DataFileError(f"{path}: trailing bytes after the {n_bytes} data bytes expected")
    return data


def read_records(path: str | os.PathLike[str], *, count: int, shape: tuple[int, int, int]) -> tuple[Images, Labels]:
    """Read a file of CIFAR-10's binary version: each record is one label byte, then the pixels plane by plane.

    Parameters
    ----------
    path
        The file.
    count
        The number of records that it must hold.
    shape
        The channels, height and width of an image.

    Returns
    -------
    images, labels
        uint8 (count, H, W, C) and int64 (count,).

    Raises
    ------
    DataFileError
        If the file is longer or shorter than expected, or a label is not in 0 … 9.
    OSError
        If the file is missing or cannot be read.

    Notes
    -----
    Source: https://www.cs.toronto.edu/~kriz/cifar.html, section "Binary version".
    """
    path = checked_path(path)
    wanted = count * (1 + math.prod(shape))
    if (size := _plain_file(path, MAX_BYTES)) != wanted:
        fault = "truncated" if size < wanted else "trailing bytes"
        raise DataFileError(f"{path}: {fault}, {size} data bytes found, {wanted} expected")
    with path.open("rb") as stream:
        records = _read_exactly(path, stream, wanted).reshape(count, -1)
    images = records[:, 1:].reshape(count, *shape).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), checked_labels(path, records[:, 0])


def checked_labels(path: Path, labels: NDArray[np.uint8], classes: int = 10) -> Labels:
    """Return labels as int64; raise a `DataFileError` that names the first one outside 0 to ``classes - 1``."""
    wrong = np.flatnonzero(labels >= classes)
    if wrong.size:
        i = int(wrong[0])
        raise DataFileError(f"{path}: label {labels[i]} found at index {i}, 0 to {classes - 1} expected")
    return labels.astype(np.int64)
