"""A folder with the states of one training: numbered files with checksums, of which the last two are kept.

At whatever moment a process is killed, the folder holds a whole state: a file gets its name only when all of it is on
the disk, and an older one is deleted only after that. If the disk damages a file later, the checksum shows it, and the
state before it is used.
"""

import hashlib
import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy

from ..core.files import PART, delete, make_folder, parse_json, read_whole, write_whole
from ..core.types import Array
from . import model_file

#: How many states are kept.
KEPT = 2
#: Larger files are refused unread; no network that tinycnn is meant for comes near this size.
MAX_BYTES = 2**33
_NAME = re.compile(r"checkpoint-(\d{6,18})\.safetensors")
#: How every file begins after the eight bytes of its header's length; then come the 64 digits of the checksum.
_BEFORE_DIGITS = b'{"__metadata__":{"tinycnn":"{\\"sha256\\": \\"'
_DIGITS = slice(8 + len(_BEFORE_DIGITS), 8 + len(_BEFORE_DIGITS) + 64)
_NO_DIGITS = b"0" * 64

State = tuple[dict[str, Array], dict[str, Any]]


class StateFolder:
    """The states of one training.

    Parameters
    ----------
    folder : path
        The folder; it need not exist yet.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._good: list[Path] = []  # the last files, which are known to be whole

    def prepare(self) -> None:
        """Make the folder, and delete files that a killed process left half written."""
        make_folder(self.folder)
        for path in self.folder.glob(f".checkpoint-*{PART}"):
            with suppress(OSError):
                path.unlink()

    def newest(self) -> tuple[Path, State] | None:
        """Return the last state that is whole, or None if there is none at all.

        Raises
        ------
        ValueError
            If there are states, and all of them are damaged.

        Warns
        -----
        UserWarning
            For each damaged file that was passed over.
        """
        paths = self._paths()
        for index in reversed(range(len(paths))):
            try:
                state = read(paths[index])
            except (ValueError, OSError) as error:
                if index == 0:
                    raise ValueError(f"{error}; there is no state before it. Delete it to begin anew") from error
                warnings.warn(f"{error}; going back to {paths[index - 1].name}", UserWarning, stacklevel=2)
                continue
            self._good = paths[max(0, index + 1 - KEPT) : index + 1]
            return paths[index], state
        return None

    def write(self, arrays: Mapping[str, Array], description: Mapping[str, Any]) -> Path:
        """Add a state, and delete all others except the last one that is whole.

        Raises
        ------
        OSError
            If the file cannot be written; the states before it are still as they were.
        """
        paths = self._paths()
        number = int(_NAME.fullmatch(paths[-1].name)[1]) + 1 if paths else 1  # type: ignore[index]
        path = self.folder / f"checkpoint-{number:06d}.safetensors"
        write_whole(path, sealed(arrays, description))
        self._good = [*self._good, path][-KEPT:]
        for old in paths:
            if old not in self._good:
                delete(old)
        return path

    def clear(self) -> None:
        """Delete all states, the newest one last, so that at no moment an older one is the newest."""
        for path in self._paths():
            delete(path)

    def _paths(self) -> list[Path]:
        """Return the files of all states by their numbers, the newest last."""
        if not self.folder.is_dir():
            return []
        found = {int(match[1]): path for path in self.folder.iterdir() if (match := _NAME.fullmatch(path.name))}
        return [found[number] for number in sorted(found)]


def sealed(arrays: Mapping[str, Array], description: Mapping[str, Any]) -> bytes:
    """Return the bytes of a state's file: safetensors that contain the SHA-256 of the file.

    The checksum is taken with zeros in the places of its own digits.
    """
    data = model_file.packed(arrays, {"sha256": _NO_DIGITS.decode(), **description})
    assert data[8 : _DIGITS.start] == _BEFORE_DIGITS
    return data[: _DIGITS.start] + _digest(data) + data[_DIGITS.stop :]


def read(path: Path) -> State:
    """Return the arrays and the description in a state's file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If anything in it is not as it was written.
    """
    data = read_whole(path, MAX_BYTES)
    if data[8 : _DIGITS.start] != _BEFORE_DIGITS or data[_DIGITS] != _digest(data):
        raise ValueError(f"{path} is damaged, or not the state of a training: its checksum is wrong")
    try:
        header = parse_json(data[8 : 8 + int.from_bytes(data[:8], "little")])
        description = parse_json(header["__metadata__"]["tinycnn"])
        arrays = safetensors.numpy.load(data)
    # safetensors raises AttributeError for a dtype that NumPy does not have.
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not the state of a training: {str(error)[:300]}") from error
    if not isinstance(description, dict):
        raise ValueError(f"{path} is not the state of a training: its description is a {type(description).__name__}")
    return arrays, description


def _digest(data: bytes) -> bytes:
    """Return the SHA-256 of a file's bytes with zeros in place of the checksum, in hexadecimal digits."""
    digest = hashlib.sha256(data[: _DIGITS.start])
    digest.update(_NO_DIGITS)
    digest.update(memoryview(data)[_DIGITS.stop :])
    return digest.hexdigest().encode()
