"""Read files that anybody may have written, and write files completely or not at all.

Only plain files of a limited size are read, and JSON is parsed without surprises.
"""

import errno
import json
import os
import secrets
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from . import system
from .messages import shown

T = TypeVar("T")

#: How deep lists and objects may be nested. A model's configuration has seven levels.
MAX_DEPTH = 32
#: The end of the temporary name under which a file is written. A crash may leave such a file; it may be deleted.
PART = ".part"
#: How many links may lead to a file one after another, as in Linux.
_MAX_LINKS = 40
#: How many seconds to wait, where it matters, until another program closes a file, and the first and longest pause.
PATIENCE, _FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 0.01, 0.25
#: How many names to try for a temporary file; each is one of four thousand million.
_TRIES = 20
#: What :func:`os.open` is told for a new file: nobody else's, and on Windows without a translation of line ends.
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)


def check_plain_file(path: Path, max_bytes: int) -> int:
    """Return the size of a plain file, after checking that it is one; reading a pipe or a device might never end.

    Raises
    ------
    OSError
        If there is no file of that name, or if it is a folder.
    ValueError
        If it is a pipe or a device, or larger than ``max_bytes``.
    """
    try:
        state = os.stat(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"no such file: {path}") from None
    if stat.S_ISDIR(state.st_mode):
        raise IsADirectoryError(f"{path} is a folder, but a file was expected")
    if not stat.S_ISREG(state.st_mode):
        raise ValueError(f"{path} is not a plain file but a pipe, a device or a socket, which might never end")
    if state.st_size > max_bytes:
        raise ValueError(f"{path} has {state.st_size} bytes, more than the limit of {max_bytes}")
    return state.st_size


def read_whole(path: Path, max_bytes: int) -> bytes:
    """Return the content of a plain file of at most ``max_bytes``; it raises what :func:`check_plain_file` raises."""
    size = check_plain_file(path, max_bytes)
    with path.open("rb") as file:
        return file.read(size)  # not max_bytes, because Python allocates as much memory as it is asked to read


def parse_json(text: str | bytes, *, nan: bool = False) -> Any:
    """Parse JSON as the standard defines it: UTF-8, no key twice, nested at most :data:`MAX_DEPTH` deep.

    Parameters
    ----------
    text : str or bytes
    nan : bool
        Whether to accept NaN and Infinity, which are not JSON but which NumPy and Python write.

    Raises
    ------
    ValueError
        If the text is anything else; the message says what is wrong.

    Examples
    --------
    >>> parse_json('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ...
    ValueError: the key 'a' appears twice in one object
    """
    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
        value = json.loads(text, object_pairs_hook=_object, parse_constant=None if nan else _refuse_constant)
    except RecursionError:
        raise ValueError(f"lists and objects are nested more than {MAX_DEPTH} deep") from None
    _check_depth(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the dict for a JSON object; raise ValueError if a key appears twice."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {shown(key)} appears twice in one object")
        found[key] = value
    return found


def _refuse_constant(name: str) -> None:
    """Raise the error for NaN, Infinity or -Infinity."""
    raise ValueError(f"{name} is not JSON")


def _check_depth(value: Any) -> None:
    """Go through a value level by level; recursion would fail on the deep nesting that is looked for."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [item for item in level if isinstance(item, dict | list)]
        if not level:
            return
        level = [item for group in level for item in (group.values() if isinstance(group, dict) else group)]
    raise ValueError(f"lists and objects are nested more than {MAX_DEPTH} deep")


def write_whole(path: str | os.PathLike[str], data: bytes, *, follow_links: bool = True) -> None:
    """Write a file completely or not at all.

    The bytes go to a temporary file in the same folder, which is flushed to the disk and then renamed. The folder is
    flushed as well, where the system can do that, because the new name is part of it. If anything fails before the
    renaming, an older file of that name stays as it was, and no temporary file is left behind.

    Windows refuses to replace a file that any program has open, such as a virus scanner that looks at each new file.
    The renaming is then tried again for :data:`PATIENCE` seconds.

    Parameters
    ----------
    path : path
        The file to write. Its folder must exist. A file that is replaced keeps its access rights. If it is a link, the
        file that it leads to is written, and the link stays.
    data : bytes
    follow_links : bool
        False replaces a link itself, where nobody but tinycnn should have made the files.

    Raises
    ------
    OSError
        If the file could not be written, or there is something at the path that is not a file, such as a folder, a
        device or a pipe; the message names it and the reason.
    """
    path = Path(path)
    target = check_destination(path) if follow_links or not os.path.islink(path) else path
    try:
        _write_whole(target, data)
    except OSError as error:
        reason = error.strerror or str(error)
        if isinstance(error, FileNotFoundError):
            reason = f"the folder {target.parent} does not exist; create it first"
        raise _cannot_write(path, error, reason) from error


def check_destination(path: str | os.PathLike[str]) -> Path:
    """Return the file that writing to a path would make or replace: where it leads to if it is a link.

    Nothing is changed. The folder of the file need not exist yet.

    Raises
    ------
    OSError
        If there is something at the path that is not a file, or it is a link that leads nowhere.
    """
    target = path = Path(path)
    try:
        for _ in range(_MAX_LINKS):
            if not os.path.islink(target):
                break
            if os.path.realpath(target.parent).startswith("/proc/"):  # as /dev/stdout leads to
                reason = "it is a file that a process has open, and replacing it would hide what else is written there"
                raise OSError(errno.EINVAL, reason)
            target = target.parent / os.readlink(target)
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return target
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno == errno.ELOOP:
            reason = "it is a link that leads back to itself; give another name"
        raise _cannot_write(path, error, reason) from error
    if stat.S_ISDIR(mode):
        raise _cannot_write(path, IsADirectoryError(errno.EISDIR), "it is a folder; give the name of a file in it")
    if not stat.S_ISREG(mode):
        reason = f"it is {_kind(mode)} and not a file; give the name of a file"
        raise _cannot_write(path, OSError(errno.EINVAL), reason)
    return target


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder, and those above it, unless it is there; a link to a folder that is gone makes that folder again.

    Raises
    ------
    OSError
        If it cannot be made; the message names it and the reason.
    """
    try:
        Path(os.path.realpath(path)).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno == errno.ELOOP or os.path.islink(os.path.realpath(path)):
            reason = "it is a link that leads back to itself; give another name"
        elif isinstance(error, FileExistsError):
            reason = f"it is {_kind(os.stat(path).st_mode)} and not a folder; give another name"
        raise type(error)(error.errno, f"cannot make the folder {path}: {reason}") from error


def _kind(mode: int) -> str:
    """Return what there is, in words, given the mode that :func:`os.stat` tells."""
    kinds = {stat.S_ISREG: "a file", stat.S_ISDIR: "a folder", stat.S_ISFIFO: "a pipe", stat.S_ISSOCK: "a socket"}
    return next((text for is_kind, text in kinds.items() if is_kind(mode)), "a device")


def _cannot_write(path: Path, error: OSError, reason: str) -> OSError:
    """Return the error for a file that cannot be written, of the same class as the first one."""
    leads_to = f" (a link to {os.readlink(path)})" if os.path.islink(path) else ""
    return type(error)(error.errno or error.args[0], f"cannot write {path}{leads_to}: {reason}")


def _write_whole(path: Path, data: bytes) -> None:
    handle, temporary = _new_file(path.parent, path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mode = _mode(path)
        if system.on_windows() and not mode & stat.S_IWRITE:
            raise PermissionError(errno.EACCES, "it is marked as read-only; clear that mark, or give another name")
        os.chmod(temporary, mode)
        _patiently(lambda: os.replace(temporary, path))
    except BaseException:
        # If the temporary file cannot be deleted either, the first error is still the one to report.
        with suppress(OSError):
            os.unlink(temporary)
        raise
    if system.can_flush_folders():
        _flush_folder(path.parent)


def _new_file(folder: Path, name: str) -> tuple[int, Path]:
    """Make a new file with a temporary name; return its handle and its path.

    :func:`tempfile.mkstemp` is not used, because in a folder that cannot be written to it goes on trying on Windows,
    practically for ever: it takes each refusal for a name that a folder has already.
    """
    for _ in range(_TRIES):
        # Only part of a long name is used, because a file system limits the length of the temporary name too.
        path = folder / f".{name[:50]}.{secrets.token_hex(4)}{PART}"
        with suppress(FileExistsError):
            return os.open(path, _NEW_FILE, 0o600), path
    raise FileExistsError(errno.EEXIST, f"no name for a temporary file is free in {folder}")


def _patiently(operation: Callable[[], T]) -> T:
    """Return what an operation on a file returns, and try again for a while if another program has the file open.

    Only Windows refuses that, and it says no more than that the access is denied.
    """
    begun, pause = time.monotonic(), _FIRST_PAUSE
    while True:
        try:
            return operation()
        except PermissionError as error:
            if system.can_replace_open_files():
                raise
            left = PATIENCE - (time.monotonic() - begun)
            if left <= 0:
                reason = (
                    f"another program has had it open for {PATIENCE:g} s, such as a viewer, a virus scanner or a "
                    "program that synchronizes folders, or you may not change it. Nothing is lost: what was there "
                    "before is still there. Close it in the other program and try again"
                )
                raise PermissionError(error.errno or errno.EACCES, reason) from error
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE)


def append_text(path: str | os.PathLike[str], text: str) -> None:
    """Add text to the end of a file; on Windows, wait a while if another program has it open, such as a spreadsheet.

    Line ends are written as they are, and a file that is not there is made.

    Raises
    ------
    OSError
        If it cannot be written; the message names it and the reason.
    """

    def add() -> None:
        with open(path, "a", newline="", encoding="utf-8") as file:
            file.write(text)

    try:
        _patiently(add)
    except OSError as error:
        raise _cannot_write(Path(path), error, error.strerror or str(error)) from error


def delete(path: str | os.PathLike[str]) -> None:
    """Delete a file if there is one; on Windows, wait a while if another program has it open.

    Raises
    ------
    OSError
        If it cannot be deleted; the message names it and the reason.
    """
    try:
        _patiently(lambda: os.unlink(path))
    except FileNotFoundError:
        return
    except OSError as error:
        raise type(error)(error.errno, f"cannot delete {path}: {error.strerror or error}") from error


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Check that files can be written into a folder, by writing one and deleting it again.

    Raises
    ------
    OSError
        If they cannot; the message names the folder and the reason.
    """
    try:
        handle, path = _new_file(Path(folder), "probe")
        os.close(handle)
        _patiently(lambda: os.unlink(path))
    except OSError as error:
        reason = error.strerror or str(error)
        raise type(error)(error.errno, f"cannot write into the folder {folder}: {reason}") from error


def _flush_folder(folder: Path) -> None:
    """Make the disk store the names of the files in a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot flush a folder.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _mode(path: Path) -> int:
    """Return the access rights of the file that is replaced or, if there is none, those of any new file."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return 0o666 & ~_umask()


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
