"""MNIST and Fashion-MNIST share their layout: four gzipped IDX files, 60,000 + 10,000 grey images of 28×28 pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ._fetch import fetch, locate
from ._formats import DataSet, Images, Labels, checked_labels, read_idx

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
N_TRAIN, N_TEST, SIDE = 60_000, 10_000, 28


def load(title: str, folder: str, checksums: Mapping[str, str], mirrors: Sequence[str]) -> DataSet:
    """Locate (see :func:`._fetch.locate`), read and check the four files.

    Parameters
    ----------
    title, folder
        The data set's name and its folder's.
    checksums
        The four file names, each with ``"sha256:…"``. They hold for downloads and the cache; the user's own files need
        the structure only, so that other data in the same layout can be used.
    mirrors
        Base URLs.

    Returns
    -------
    tuple
        ``((x_train, y_train), (x_test, y_test))``: uint8 (N, 28, 28) and int64 (N,).

    Raises
    ------
    DataFileError
        A file's structure differs.
    DownloadError
        The files are nowhere to be had.
    """
    where = locate(title, folder, tuple(checksums), lambda cached: fetch(checksums, mirrors, cached))
    return _pair(where, TRAIN_IMAGES, TRAIN_LABELS, N_TRAIN), _pair(where, TEST_IMAGES, TEST_LABELS, N_TEST)


def _pair(where: Path, images: str, labels: str, n: int) -> tuple[Images, Labels]:
    # One n for both shapes: image and label counts cannot disagree.
    x = read_idx(where / images, shape=(n, SIDE, SIDE))
    return x, checked_labels(where / labels, read_idx(where / labels, shape=(n,)))
