"""Where data files come from: the folder the user names, the cache, or one of several mirrors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

#: Environment variable naming a folder with ``mnist/``, ``fashion-mnist/`` and ``cifar-10/``.
ENVIRONMENT_VARIABLE = "TINYCNN_DATA"


class DownloadError(OSError):
    """A data set is not on this machine and could not be downloaded. The message lists what was tried and ways out."""


def cache_folder() -> Path:
    """The platform's cache folder for tinycnn, for instance ``~/.cache/tinycnn``; not created here."""
    import pooch  # here, because it imports an HTTP library that most calls have no use for

    return Path(pooch.os_cache("tinycnn"))


def users_folder(folder: str) -> Path | None:
    """Sub-folder `folder` of the folder that ``TINYCNN_DATA`` names, or None when it is unset or empty."""
    root = os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(root).expanduser() / folder if root else None


def missing_files(folder: Path, names: Iterable[str]) -> list[str]:
    """Those of `names` that are not files in `folder`."""
    return [name for name in names if not (folder / name).is_file()]


def locate(title: str, folder: str, names: Iterable[str], fill_cache: Callable[[Path], None]) -> Path:
    """Find the folder that holds a data set, downloading it where necessary.

    A folder counts only when it holds all the files: half of the user's own files are never mixed with half of the
    published ones.

    Parameters
    ----------
    title
        The data set's name, for messages.
    folder
        Where its files lie below ``TINYCNN_DATA`` and below the cache folder.
    names
        The files it consists of.
    fill_cache
        Called with the cached folder to make sure that the published files are there; raises `DownloadError`.

    Returns
    -------
    Path
        A folder with every file in `names`.

    Raises
    ------
    DownloadError
        Neither on this machine nor to be had from a mirror.
    """
    own = users_folder(folder)
    if own and not missing_files(own, names):
        return own
    cached = cache_folder() / folder
    try:
        fill_cache(cached)
    except DownloadError as error:
        looked = f"{cached}"
        if own:
            looked = (
                f"{own} (from {ENVIRONMENT_VARIABLE}; missing: {', '.join(missing_files(own, names))}) and {looked}"
            )
        raise DownloadError(
            f"{title} is not on this machine and could not be downloaded.\n"
            f"Looked in: {looked}\n"
            f"{error}\n"
            f"Ways out:\n"
            f"  1. put {', '.join(names)} into {cached}\n"
            f"  2. set {ENVIRONMENT_VARIABLE} to a folder that holds them in {folder}/\n"
            f"  3. use the digits that tinycnn draws itself: --data digits, or tinycnn.datasets.digits.load_data()"
        ) from error
    return cached


def fetch(checksums: Mapping[str, str], mirrors: Iterable[str], target: Path) -> None:
    """Make sure that the published files are in a folder, from whichever mirror delivers them.

    Files that are there with the right checksum are left alone; others are downloaded to a temporary name, verified,
    and renamed, with a progress bar.

    Parameters
    ----------
    checksums
        File name to ``"algorithm:hexadecimal digest"``.
    mirrors
        Base URLs, ending in a slash, tried in this order; one that has delivered is tried first from then on.
    target
        The folder; made where necessary.

    Raises
    ------
    DownloadError
        Every mirror failed for a file, with each URL and its error.
    """
    import pooch

    order = list(mirrors)
    for name, checksum in checksums.items():
        tried = []
        if (target / name).is_file() and not _matches(target / name, checksum):
            tried.append(f"{target / name}: not the published file, its checksum is not {checksum}")
        for mirror in list(order):
            try:
                pooch.retrieve(f"{mirror}{name}", checksum, fname=name, path=target, progressbar=True)
            # OSError: the disk, the network, HTTP (requests derives its errors from it). ValueError: the checksum.
            except (OSError, ValueError) as error:
                tried.append(f"{mirror}{name}: {type(error).__name__}: {error}")
            else:
                order.remove(mirror)
                order.insert(0, mirror)
                break
        else:
            raise DownloadError("\n".join(["Tried:", *(f"  {line}" for line in tried)]))


def _matches(path: Path, checksum: str) -> bool:
    import pooch

    algorithm, _, digest = checksum.partition(":")
    return bool(pooch.file_hash(str(path), algorithm) == digest)
