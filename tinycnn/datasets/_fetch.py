"""Find data files in the folder that the user names or in the cache, or download them from one of several mirrors.

A mirror is not trusted. What it delivers is compared with a checksum that is part of this package. Until then the size
of a download (`MAX_BYTES`) and its duration (`SILENCE`, `PATIENCE`, `SLOWEST`) are limited. A redirection to another
host, or away from HTTPS, counts as a failure like any other, and the next mirror is tried.
"""

from __future__ import annotations

import queue
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from ..core import system
from ..core.files import check_folder, make_folder
from ..core.printing import ERR
from ._own_files import ENVIRONMENT_VARIABLE, users_root

#: The largest download, in bytes. The largest published file is CIFAR-10's, with 170,052,171 bytes.
MAX_BYTES = 256 * 2**20
#: Seconds without a byte after which a mirror counts as failed.
SILENCE = 20.0
#: A download may take PATIENCE seconds, plus one second for every SLOWEST bytes that have arrived.
PATIENCE, SLOWEST = 60.0, 20_000.0
#: How many redirections are followed; all must stay on the mirror's own host.
MAX_REDIRECTIONS = 5
_CHUNK = 64 * 1024


class DownloadError(OSError):
    """A data set is not on this machine and could not be downloaded.

    The message lists what was tried and what the user can do.
    """


def cache_folder() -> Path:
    """Return the system's cache folder for tinycnn, for example ``~/.cache/tinycnn``, without creating it."""
    return system.cache_folder()


def missing_files(folder: Path, names: Iterable[str]) -> list[str]:
    """Return those of `names` that are not files in `folder`."""
    return [name for name in names if not (folder / name).is_file()]


def in_cache(
    title: str, folder: str, names: Iterable[str], fill_cache: Callable[[Path], None], instead: str = "", hint: str = ""
) -> Path:
    """Return the folder of a data set in the cache, and download the data set if necessary.

    Parameters
    ----------
    title
        The data set's name, for messages.
    folder
        The sub-folder of ``TINYCNN_DATA`` and of the cache folder in which its files lie.
    names
        The names of its files.
    fill_cache
        A function that is called with the data set's folder in the cache and makes sure that the published files are
        there. It raises `DownloadError` if it cannot.
    instead
        What the user can use instead of the data set, if there is something.
    hint
        What else the user should know about the files that were found.

    Returns
    -------
    Path
        A folder with every file in `names`.

    Raises
    ------
    DownloadError
        If the data set is not in the cache and no mirror delivered it.
    """
    names = list(names)
    cached = cache_folder() / folder
    try:
        fill_cache(cached)
    except OSError as error:  # a DownloadError, or a cache folder that cannot be created
        looked, root = f"{cached}", users_root()
        if root is not None:
            own = root / folder
            missing = ", ".join(missing_files(own, names))
            looked = f"{root} and {own} (from {ENVIRONMENT_VARIABLE}; missing: {missing}) and {looked}"
        advice = [
            f"put {', '.join(names)} into {cached}",
            f"set {ENVIRONMENT_VARIABLE} to a folder that holds them in {folder}/",
            *([instead] if instead else []),
        ]
        raise DownloadError(
            f"{title} is not on this machine and could not be downloaded.\n"
            f"Looked in: {looked}\n"
            f"{hint}{error}\n"
            "What you can do:\n" + "\n".join(f"  {number}. {line}" for number, line in enumerate(advice, start=1))
        ) from error
    return cached


def fetch(checksums: Mapping[str, str], mirrors: Iterable[str], target: Path) -> None:
    """Make sure that the published files are in a folder, and download missing ones from whichever mirror delivers.

    A file that is there with the right checksum is left alone. Any other file is downloaded under a temporary name,
    with a progress bar, then verified and renamed.

    Parameters
    ----------
    checksums
        For each file name ``"algorithm:hexadecimal digest"``.
    mirrors
        Base URLs that end in a slash, tried in this order. A mirror that has delivered a file is tried first for the
        next one.
    target
        The folder for the files; it is created if necessary.

    Raises
    ------
    DownloadError
        If every mirror failed for a file; the message lists each URL with its error.
    """
    pooch = _pooch()
    order = list(mirrors)
    for name, checksum in checksums.items():
        tried = []
        if (target / name).is_file():
            if _matches(target / name, checksum):
                continue
            tried.append(f"{target / name}: not the published file, its checksum is not {checksum}")
        for mirror in list(order):
            try:
                # pooch would try the folder with Python's function for temporary files, which may not end on Windows.
                make_folder(target)
                check_folder(target)
                pooch.retrieve(f"{mirror}{name}", checksum, fname=name, path=target, downloader=download)
            # OSError comes from the disk, the network or HTTP (the errors of requests derive from it); ValueError means
            # a wrong checksum.
            except (OSError, ValueError) as error:
                tried.append(f"{mirror}{name}: {type(error).__name__}: {error}")
            else:
                order.remove(mirror)
                order.insert(0, mirror)
                break
        else:
            raise DownloadError("\n".join(["Tried:", *(f"  {line}" for line in tried)]))


def download(url: str, output_file: Any, pooch: Any = None) -> None:
    """Download a file within the limits above, with a progress bar; ``pooch.retrieve`` calls this function.

    Parameters
    ----------
    url
        An address that begins with ``http://`` or ``https://``.
    output_file
        The file to write. It has a temporary name; pooch renames it if the checksum is right.
    pooch
        Not used.

    Raises
    ------
    OSError
        If the mirror cannot be reached, refuses, redirects elsewhere, stops in the middle, is too slow or sends too
        much.
    """
    import urllib3

    try:
        with _in_time(PATIENCE, lambda: _response(url)) as response:
            _receive(response, output_file)
    except urllib3.exceptions.HTTPError as error:  # those that requests does not convert to its own
        raise OSError(str(error)) from error


def _receive(response: Any, output_file: Any) -> None:
    """Write the body of a response to a file, within the limits."""
    begun = time.monotonic()
    announced = int(response.headers.get("Content-Length") or 0)
    if announced > MAX_BYTES:
        raise OSError(f"announces {announced} bytes, more than the limit of {MAX_BYTES}")
    with open(output_file, "wb") as file, _bar(announced) as bar:
        # read1 returns what has arrived, so that a slow mirror is noticed. The content is not decoded, because under an
        # encoding of the server's choice it could unpack to any size.
        while chunk := response.raw.read1(_CHUNK, decode_content=False):
            file.write(chunk)
            bar.update(len(chunk))
            _check_progress(file.tell(), time.monotonic() - begun)
        if file.tell() < announced:
            raise OSError(f"stopped after {file.tell()} of {announced} bytes")


def _bar(size: int) -> Any:
    """Return the bar of a download of ``size`` bytes, or of 0 if that is not known."""
    from tqdm import tqdm

    return tqdm(total=size or None, ncols=79, unit="B", unit_scale=True, file=ERR)


def _pooch() -> Any:
    """Return the module pooch, which is imported late because it imports an HTTP library that most calls do not need.

    In a notebook without widgets, one of its imports would give the advice to install them.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        import pooch
    return pooch


def _in_time(seconds: float, function: Callable[[], Any]) -> Any:
    """Return what a function returns, or raise what it raises; raise OSError if it takes longer than `seconds`.

    The timeouts of sockets do not suffice, because they only limit the time without any data.
    """
    outcome: queue.SimpleQueue[tuple[Any, Exception | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put((function(), None))
        except Exception as error:
            outcome.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = outcome.get(timeout=seconds)
    except queue.Empty:
        raise OSError(f"no answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return result


def _response(url: str) -> Any:
    """Return the mirror's response, after following redirections on its own host."""
    import requests

    here = urlsplit(url)
    for _ in range(MAX_REDIRECTIONS + 1):
        response = requests.get(
            url, stream=True, timeout=SILENCE, allow_redirects=False, headers={"Accept-Encoding": "identity"}
        )
        if not response.is_redirect:
            response.raise_for_status()
            return response
        response.close()
        url = urljoin(url, response.headers["Location"])
        if not _same_host(here, urlsplit(url)):
            raise OSError(f"redirects to another place: {url[:200]}")
    raise OSError(f"redirects more than {MAX_REDIRECTIONS} times")


def _same_host(here: SplitResult, there: SplitResult) -> bool:
    """Return whether a redirection stays on the host, and on HTTPS if it began there."""
    return there.hostname == here.hostname and there.scheme in {here.scheme, "https"}


def _check_progress(received: int, seconds: float) -> None:
    """Raise OSError if a download is too large or too slow."""
    if received > MAX_BYTES:
        raise OSError(f"sends more than the limit of {MAX_BYTES} bytes")
    if seconds > PATIENCE + received / SLOWEST:
        raise OSError(f"too slow: {received} bytes in {seconds:.0f} s")


def _matches(path: Path, checksum: str) -> bool:
    """Return whether a file has this checksum, which is written as in :func:`fetch`."""
    algorithm, _, digest = checksum.partition(":")
    return bool(_pooch().file_hash(str(path), algorithm) == digest)
