"""Where data files come from: the folder the user names, the cache, or one of several mirrors.

A mirror is not trusted. What it delivers is compared with a checksum that stands in this package, and before that it
can waste neither the disk (`MAX_BYTES`) nor the evening (`SILENCE`, `PATIENCE`, `SLOWEST`), nor send tinycnn elsewhere:
a redirection to another host, or away from HTTPS, is a failure like any other, and the next mirror is tried.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

#: Environment variable naming a folder with ``mnist/``, ``fashion-mnist/`` and ``cifar-10/``.
ENVIRONMENT_VARIABLE = "TINYCNN_DATA"

#: The largest download, in bytes; the largest published file, CIFAR-10's, has 170,052,171.
MAX_BYTES = 256 * 2**20
#: Seconds without a byte after which a mirror is given up.
SILENCE = 20.0
#: A download may take PATIENCE seconds, and one more for each SLOWEST bytes that have come.
PATIENCE, SLOWEST = 60.0, 20_000.0
#: Redirections that are followed, all on the mirror's own host.
MAX_REDIRECTIONS = 5
_CHUNK = 64 * 1024


class DownloadError(OSError):
    """A data set is not on this machine and could not be downloaded. The message lists what was tried and ways out."""


def cache_folder() -> Path:
    """The platform's cache folder for tinycnn, for instance ``~/.cache/tinycnn``; not created here."""
    import pooch  # here, because it imports an HTTP library that most calls have no use for

    return Path(pooch.os_cache("tinycnn"))


def users_folder(folder: str) -> Path | None:
    """Sub-folder `folder` of the folder that ``TINYCNN_DATA`` names, or None when it is unset or empty."""
    root = os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(os.path.expanduser(root)) / folder if root else None  # ~somebody who is not there stays as it is


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
    except OSError as error:  # a DownloadError, or a cache folder that cannot be made
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
                pooch.retrieve(f"{mirror}{name}", checksum, fname=name, path=target, downloader=download)
            # OSError: the disk, the network, HTTP (requests derives its errors from it). ValueError: the checksum.
            except (OSError, ValueError) as error:
                tried.append(f"{mirror}{name}: {type(error).__name__}: {error}")
            else:
                order.remove(mirror)
                order.insert(0, mirror)
                break
        else:
            raise DownloadError("\n".join(["Tried:", *(f"  {line}" for line in tried)]))


def download(url: str, output_file: Any, pooch: Any = None) -> None:
    """Download a file within the limits above, with a progress bar; called by ``pooch.retrieve``.

    Parameters
    ----------
    url
        ``http://`` or ``https://``.
    output_file
        Where to write it: a temporary name, which pooch renames when the checksum is right.
    pooch
        Not used.

    Raises
    ------
    OSError
        The mirror cannot be reached, refuses, redirects elsewhere, stops in the middle, is too slow or sends too much.
    """
    import urllib3

    try:
        with _in_time(PATIENCE, lambda: _response(url)) as response:
            _receive(response, output_file)
    except urllib3.exceptions.HTTPError as error:  # those that requests does not translate
        raise OSError(str(error)) from error


def _receive(response: Any, output_file: Any) -> None:
    from tqdm import tqdm

    begun = time.monotonic()
    announced = int(response.headers.get("Content-Length") or 0)
    if announced > MAX_BYTES:
        raise OSError(f"announces {announced} bytes, more than the limit of {MAX_BYTES}")
    with open(output_file, "wb") as file, tqdm(total=announced or None, ncols=79, unit="B", unit_scale=True) as bar:
        # read1 returns what is there: a slow mirror is noticed. Not decoded: what a server says about its encoding
        # could unpack to any size.
        while chunk := response.raw.read1(_CHUNK, decode_content=False):
            file.write(chunk)
            bar.update(len(chunk))
            _check_progress(file.tell(), time.monotonic() - begun)
        if file.tell() < announced:
            raise OSError(f"stopped after {file.tell()} of {announced} bytes")


def _in_time(seconds: float, function: Callable[[], Any]) -> Any:
    """What a function returns or raises; OSError if it takes longer. Timeouts of sockets count silence only."""
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
    """The mirror's answer, after redirections on its own host."""
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
    """Whether a redirection stays on the host, and on HTTPS where it began there."""
    return there.hostname == here.hostname and there.scheme in {here.scheme, "https"}


def _check_progress(received: int, seconds: float) -> None:
    if received > MAX_BYTES:
        raise OSError(f"sends more than the limit of {MAX_BYTES} bytes")
    if seconds > PATIENCE + received / SLOWEST:
        raise OSError(f"too slow: {received} bytes in {seconds:.0f} s")


def _matches(path: Path, checksum: str) -> bool:
    import pooch

    algorithm, _, digest = checksum.partition(":")
    return bool(pooch.file_hash(str(path), algorithm) == digest)
