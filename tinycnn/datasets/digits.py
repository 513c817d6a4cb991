"""The built-in data set: 14,000 grey 28×28 digits, drawn from typefaces without any file or network.

The digits look like MNIST's (white on black, centred, of the same size) but are not taken from it: every image is a
digit of one of 22 typefaces, slanted, rotated, bent, drawn with another pen, blurred and speckled. The outlines come
with tinycnn. The 2,000 test images come from other families of typefaces than the 12,000 training images, so a model
cannot do well on them by memorising outlines. A linear classifier reaches about 83 % on the test set, a small CNN about
99 %.
"""

from __future__ import annotations

import contextlib
import hashlib
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.files import write_whole
from ..core.public import listing
from . import _drawing, _glyphs, _outlines
from ._fetch import cache_folder
from ._formats import DataSet

__all__ = ["class_names", "load_data", "title"]
__dir__ = listing(__name__)

title = "Digits (drawn from typefaces)"
class_names: tuple[str, ...] = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")

N_TRAIN, N_TEST = 12_000, 2_000
TRAIN_SEED, TEST_SEED = 1, 2
#: Bytes of a cached image: its label followed by its pixels, as in CIFAR-10's binary version.
RECORD_BYTES = 1 + _drawing.SIDE**2
DIGEST_BYTES = hashlib.sha256().digest_size


def load_data() -> DataSet:
    """Draw the digits, or read them from the cache folder if they have been drawn before.

    Drawing takes a few seconds. The images depend only on tinycnn's files and the versions of NumPy and SciPy. If the
    cache is damaged or cannot be written, the digits are drawn again; this is not an error.

    Returns
    -------
    tuple
        ``((x_train, y_train), (x_test, y_test))``: uint8 (12000, 28, 28), int64 (12000,), uint8 (2000, 28, 28),
        int64 (2000,). Each class makes up a tenth of each set, in random order.
    """
    file = cache_folder() / "digits" / f"digits-{_key()}.bin"
    records = _read_cache(file)
    if records is None:
        records = _draw_records()
        data = records.tobytes()
        with contextlib.suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, hashlib.sha256(data).digest() + data)
    images = records[:, 1:].reshape(-1, _drawing.SIDE, _drawing.SIDE).copy()
    labels = records[:, 0].astype(np.int64)
    return (images[:N_TRAIN], labels[:N_TRAIN]), (images[N_TRAIN:], labels[N_TRAIN:])


def _key() -> str:
    """Return a hash of everything that decides what the images look like; any change leads to a new cache file."""
    parts = [version(package) for package in ("numpy", "scipy")]
    files = (__file__, _drawing.__file__, _glyphs.__file__, _outlines.__file__, _outlines.FILE)
    parts += [Path(file).read_text("utf-8") for file in files]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _draw_records() -> NDArray[np.uint8]:
    """Draw both sets and return them as records, uint8 (N, 785): label, then pixels."""
    train = _drawing.draw_set(TRAIN_SEED, _glyphs.TRAIN_FACES, N_TRAIN)
    test = _drawing.draw_set(TEST_SEED, _glyphs.TEST_FACES, N_TEST)
    images = np.concatenate([train[0], test[0]]).reshape(N_TRAIN + N_TEST, -1)
    labels = np.concatenate([train[1], test[1]]).astype(np.uint8)
    return np.hstack([labels[:, None], images])


def _read_cache(file: Path) -> NDArray[np.uint8] | None:
    """Return the cached records, uint8 (N, 785), or None if there are none or they are not as they were written."""
    n_bytes = DIGEST_BYTES + (N_TRAIN + N_TEST) * RECORD_BYTES
    try:
        with file.open("rb") as stream:
            content = stream.read(n_bytes + 1)
    except OSError:
        return None
    digest, data = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if len(content) != n_bytes or hashlib.sha256(data).digest() != digest:
        return None
    return np.frombuffer(data, np.uint8).reshape(-1, RECORD_BYTES)
