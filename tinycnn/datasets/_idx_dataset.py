"""Load MNIST or Fashion-MNIST, which share a layout: four gzipped IDX files, 60,000 + 10,000 grey 28×28 images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ._fetch import fetch, locate
from ._formats import DataSet, Images, Labels, checked_labels, read_idx

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
N_TRAIN, N_TEST, SIDE = 60_000, 10_000, 28


def load(title: str, folder: str, checksums: Mapping[str, str], mirrors: Sequence[str]) -> DataSet:
    """Locate the four files with :func:`._fetch.locate`, then read and check them.

    Parameters
    ----------
    title, folder
        The names of the data set and of its folder.
    checksums
        The four file names, each with ``"sha256:…"``. The checksums apply to downloads and to the cache. The user's own
        files only need the right structure, so that other data in the same layout can be used.
    mirrors
        The base URLs to download from.

    Returns
    -------
    tuple
        ``((x_train, y_train), (x_test, y_test))``: uint8 (N, 28, 28) and int64 (N,).

    Raises
    ------
    DataFileError
        If a file has another structure.
    DownloadError
        If the files are not on this machine and no mirror delivered them.
    """
    where = locate(title, folder, tuple(checksums), lambda cached: fetch(checksums, mirrors, cached))
    return _pair(where, TRAIN_IMAGES, TRAIN_LABELS, N_TRAIN), _pair(where, TEST_IMAGES, TEST_LABELS, N_TEST)


def _pair(where: Path, images: str, labels: str, n: int) -> tuple[Images, Labels]:
    """Read a file of images and the file of their labels, which must both hold `n` of them."""
    x = read_idx(where / images, shape=(n, SIDE, SIDE))
    return x, checked_labels(where / labels, read_idx(where / labels, shape=(n,)))
