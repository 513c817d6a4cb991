"""Find the user's own copies of the published files, however they are named.

Copies are found gunzipped or not, with dots in place of dashes (``train-images.idx3-ubyte``), in capitals or not, in
the folder that ``TINYCNN_DATA`` names or in its sub-folder for the data set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..core.system import unsetting

#: The environment variable that names a folder with ``mnist/``, ``fashion-mnist/`` and ``cifar-10/``.
ENVIRONMENT_VARIABLE = "TINYCNN_DATA"


def users_root() -> Path | None:
    """Return the folder that ``TINYCNN_DATA`` names, or None if that is unset or empty.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is no such folder. To download a data set would not be what the user meant.
    """
    text = os.environ.get(ENVIRONMENT_VARIABLE)
    if not text:
        return None
    root = Path(os.path.expanduser(text))  # "~name" of an unknown user stays as it is
    cure = f"correct it, or unset it to use the cache folder and downloads: {unsetting(ENVIRONMENT_VARIABLE)}"
    if not root.exists():
        raise FileNotFoundError(f"{ENVIRONMENT_VARIABLE} names {text}, which does not exist; {cure}")
    if not root.is_dir():
        raise NotADirectoryError(f"{ENVIRONMENT_VARIABLE} names {text}, which is not a folder; {cure}")
    return root


def sub_folders(root: Path, folder: str) -> Iterator[Path]:
    """Yield the folders of a data set: ``fashion-mnist``, ``FashionMNIST`` and the like, with torchvision's ``raw``."""
    named = [path for path in sorted(root.iterdir()) if _plain(path.name) == _plain(folder) and path.is_dir()]
    named.sort(key=lambda path: path.name != folder)
    for path in named:
        yield path
        if (path / "raw").is_dir():
            yield path / "raw"


def find(folder: Path, names: Sequence[str]) -> dict[str, Path] | None:
    """Return the file for each published name, or None if one is missing.

    The published name itself comes first. A folder may stand around a file and have its name, as in Kaggle's copy.
    """
    inside = sorted(folder.iterdir())
    found = {}
    for name in names:
        exact = folder / name
        similar = [path for path in inside if _stem(path.name) == _stem(name)]
        similar += [path for outer in similar if outer.is_dir() for path in sorted(outer.iterdir())]
        files = [path for path in (exact, *similar) if _stem(path.name) == _stem(name) and path.is_file()]
        if not files:
            return None
        found[name] = files[0]
    return found


def _stem(name: str) -> str:
    """Return a file's name without the differences that do not matter."""
    return name.lower().removesuffix(".gz").replace(".", "-").replace("_", "-")


def _plain(name: str) -> str:
    """Return a folder's name without the differences that do not matter."""
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")
