"""Reading what anybody may have written: only plain files, of a stated size, and JSON without surprises."""

import json
import os
import stat
from pathlib import Path
from typing import Any

from .messages import shown

#: Levels of lists and objects in each other; a model's configuration has seven.
MAX_DEPTH = 32


def check_plain_file(path: Path, max_bytes: int) -> int:
    """The size of a file, once it is known to be one: a pipe or a device would never end.

    Raises
    ------
    OSError
        If there is nothing of that name, or a folder.
    ValueError
        If it is a pipe or a device, or larger than ``max_bytes``.
    """
    try:
        state = os.stat(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"no such file: {path}") from None
    if stat.S_ISDIR(state.st_mode):
        raise IsADirectoryError(f"{path} is a folder, where a file was expected")
    if not stat.S_ISREG(state.st_mode):
        raise ValueError(f"{path} is not a plain file")
    if state.st_size > max_bytes:
        raise ValueError(f"{path} has {state.st_size} bytes, more than the limit of {max_bytes}")
    return state.st_size


def read_whole(path: Path, max_bytes: int) -> bytes:
    """The content of a plain file of at most ``max_bytes``; raises as :func:`check_plain_file`."""
    size = check_plain_file(path, max_bytes)
    with path.open("rb") as file:
        return file.read(size)  # Python takes memory for all that is asked for, so not max_bytes


def parse_json(text: str | bytes, *, nan: bool = False) -> Any:
    """JSON as the standard has it: no key twice, UTF-8, nested at most :data:`MAX_DEPTH` deep.

    Parameters
    ----------
    text : str or bytes
    nan : bool
        Whether NaN and Infinity, which are not JSON, are taken; NumPy and Python write them.

    Raises
    ------
    ValueError
        With what is wrong.

    Examples
    --------
    >>> parse_json('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ...
    ValueError: the key 'a' stands twice in one object
    """
    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
        value = json.loads(text, object_pairs_hook=_object, parse_constant=None if nan else _refuse_constant)
    except RecursionError:
        raise ValueError(f"nested more than {MAX_DEPTH} deep") from None
    _check_depth(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {shown(key)} stands twice in one object")
        found[key] = value
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check_depth(value: Any) -> None:
    """Level by level, not by recursion, which is what deep nesting breaks."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [item for item in level if isinstance(item, dict | list)]
        if not level:
            return
        level = [item for group in level for item in (group.values() if isinstance(group, dict) else group)]
    raise ValueError(f"nested more than {MAX_DEPTH} deep")
