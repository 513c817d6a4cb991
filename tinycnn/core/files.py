"""Read files that anybody may have written, and write files completely or not at all.

Only plain files of a limited size are read, and JSON is parsed without surprises.
"""

import errno
import json
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from .messages import shown

#: How deep lists and objects may be nested. A model's configuration has seven levels.
MAX_DEPTH = 32
#: The end of the temporary name under which a file is written. A crash may leave such a file; it may be deleted.
PART = ".part"


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


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file completely or not at all.

    The bytes go to a temporary file in the same folder, which is flushed to the disk and then renamed. The folder is
    flushed as well, because the new name is part of it. If anything fails before the renaming, an older file of that
    name stays as it was, and no temporary file is left behind.

    Parameters
    ----------
    path : path
        The file to write. Its folder must exist. A file that is replaced keeps its access rights.
    data : bytes

    Raises
    ------
    OSError
        If the file could not be written; the message names the file and the reason.
    """
    path = Path(path)
    try:
        _write_whole(path, data)
    except OSError as error:
        reason = error.strerror or str(error)
        if isinstance(error, FileNotFoundError):
            reason = f"the folder {path.parent} does not exist; create it first"
        raise type(error)(error.errno, f"cannot write {path}: {reason}") from error


def _write_whole(path: Path, data: bytes) -> None:
    # Only part of a long name is used, because a file system limits the length of the temporary name too.
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:50]}.", suffix=PART, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode(path))
        os.replace(temporary, path)
    except BaseException:
        # If the temporary file cannot be deleted either, the first error is still the one to report.
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _flush_folder(path.parent)


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
