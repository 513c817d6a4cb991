"""What a file is, before anything is made of it: a safetensors file of tinycnn, or a file of another program."""

from pathlib import Path
from typing import Any, NamedTuple

from ..core.checks import path as checked_path
from ..core.files import check_plain_file, parse_json
from ..core.messages import shown
from . import foreign

#: The largest file, and the largest header in it, that are read. A file is mapped, so its size alone takes no memory.
MAX_BYTES, MAX_HEADER_BYTES = 4 * 2**30, 64 * 2**20
#: The key in the metadata of tinycnn's own files.
KEY = "tinycnn"


class Seen(NamedTuple):
    """A file that was looked at: its description if it is tinycnn's own, or else what it is."""

    path: Path
    description: str
    other: foreign.Kind | None


def look(path: Any) -> Seen:
    """Return what a file is.

    The header of a safetensors file is read strictly; whether its offsets make sense is left to safetensors.

    Source: https://github.com/huggingface/safetensors, section "Format": eight bytes for a length, then JSON.

    Raises
    ------
    OSError
        If the file cannot be read, or is a folder.
    ValueError
        If it is damaged, or of no kind that has a reader; the message says what it is and what to do.
    """
    path = checked_path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is not a tinycnn model: it is {foreign.folder(path)}")
    size = check_plain_file(path, MAX_BYTES)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        possible = size >= 8 and length <= min(MAX_HEADER_BYTES, size - 8)
        begins = file.read(1) == b"{"
        other = None if possible and begins else foreign.kind(path, size)
        if other is not None:
            return Seen(path, "", other)
        if not possible:
            cut = "; it seems to be a safetensors file that was cut short" if begins else ""
            unknown = f"a file of {size} bytes cannot have a header of {length} (at most {MAX_HEADER_BYTES} are read)"
            cut = cut or "; a model is the file that model.save writes"
            raise ValueError(f"{path} is not a tinycnn model: {unknown + cut}")
        file.seek(8)
        text = file.read(length)
    return _of_header(text, size - 8 - length, path)


def not_ours(seen: Seen) -> ValueError:
    """Return the error for a file of another program where one of tinycnn is needed."""
    return ValueError(f"{seen.path} is not a tinycnn model: it is {seen.other}")


def _of_header(text: bytes, there: int, path: Path) -> Seen:
    """Return what a safetensors file is, given its header and the number of bytes that follow."""
    try:
        header = parse_json(text)
    except ValueError as error:
        raise ValueError(f"{path} is not a tinycnn model: its header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise ValueError(f"{path} is not a tinycnn model: its header is not a JSON object")
    _check_whole(header, there, path)
    metadata = header.get("__metadata__")
    description = metadata.get(KEY) if isinstance(metadata, dict) else None
    if isinstance(description, str):
        return Seen(path, description, None)
    return Seen(path, "", foreign.of_another_program(header))


def _check_whole(header: dict[str, Any], there: int, path: Path) -> None:
    """Raise if a file ends before its arrays do; any other disagreement is left to safetensors."""
    offsets = [entry.get("data_offsets") for entry in header.values() if isinstance(entry, dict)]
    ends = [pair[1] for pair in offsets if isinstance(pair, list) and len(pair) == 2 and type(pair[1]) is int]
    needed = max(ends, default=0)
    if there < needed:
        raise ValueError(
            f"{path} is not a tinycnn model: its arrays take {shown(needed)} bytes, but only {there} are there, so it "
            "was cut short; copy or download it again"
        )
