"""Load MNIST or Fashion-MNIST, which share a layout: four gzipped IDX files, 60,000 + 10,000 grey 28×28 images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ._fetch import fetch, in_cache
from ._formats import DataFileError, DataSet, Images, Labels, checked_labels, read_idx
from ._own_files import find, sub_folders, users_root

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
N_TRAIN, N_TEST, SIDE = 60_000, 10_000, 28
#: The data sets have the same file names. In a folder that both might use, the first test labels tell them apart.
FIRST_LABELS = {"mnist": (7, 2, 1, 0, 4, 1, 4, 9, 5, 9), "fashion-mnist": (9, 2, 1, 1, 6, 1, 4, 6, 5, 7)}
INSTEAD = "use the digits that tinycnn draws itself: --data digits, or tinycnn.datasets.digits.load_data()"


def load(title: str, folder: str, checksums: Mapping[str, str], mirrors: Sequence[str]) -> DataSet:
    """Find the four files, or download them, then read and check them.

    A folder is used only if it holds all four, so that the user's own files are never mixed with published ones.

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
    files = _own(folder, tuple(checksums))
    if files is None:
        where = in_cache(title, folder, checksums, lambda cached: fetch(checksums, mirrors, cached), INSTEAD)
        files = {name: where / name for name in checksums}
    train = _pair(files[TRAIN_IMAGES], files[TRAIN_LABELS], N_TRAIN)
    return train, _pair(files[TEST_IMAGES], files[TEST_LABELS], N_TEST)


def _own(folder: str, names: Sequence[str]) -> dict[str, Path] | None:
    """Return the user's own files, or None; files that lie directly in the user's folder may be of another data set."""
    root = users_root()
    if root is None:
        return None
    for own in sub_folders(root, folder):
        if files := find(own, names):
            return files
    files = find(root, names)
    return files if files and _belongs(files[TEST_LABELS], root, folder) else None


def _belongs(labels: Path, root: Path, folder: str) -> bool:
    """Return whether files in the user's folder are of this data set, by their test labels or by the folder's name."""
    try:
        first = tuple(int(label) for label in read_idx(labels)[:10])
    except DataFileError:
        first = ()  # the same error is raised again, with the file's name, when the data set is read
    for name, published in FIRST_LABELS.items():
        if first == published:
            return name == folder
    return ("fashion" in root.name.lower()) == (folder == "fashion-mnist")


def _pair(images: Path, labels: Path, n: int) -> tuple[Images, Labels]:
    """Read a file of images and the file of their labels, which must both hold `n` of them."""
    x = read_idx(images, shape=(n, SIDE, SIDE))
    return x, checked_labels(labels, read_idx(labels, shape=(n,)))
