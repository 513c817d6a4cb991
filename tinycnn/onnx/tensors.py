"""Arrays of an ONNX file, which lie in the file itself or in one beside it. The file may come from anybody."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..core.files import check_plain_file
from ..core.messages import shown
from ..core.types import Array

#: The most numbers that an array may have, as in a model's own file.
MAX_NUMBERS = 2**28
#: The largest file beside the model that is read.
_MAX_EXTERNAL = 4 * 2**30
#: The dtypes that are read, by their number in ONNX, and the field that holds them where they are not raw bytes.
_KINDS: dict[int, tuple[Any, str]] = {
    1: (np.float32, "float_data"),
    2: (np.uint8, "int32_data"),
    3: (np.int8, "int32_data"),
    4: (np.uint16, "int32_data"),
    5: (np.int16, "int32_data"),
    6: (np.int32, "int32_data"),
    7: (np.int64, "int64_data"),
    9: (np.bool_, "int32_data"),
    10: (np.float16, "int32_data"),
    11: (np.float64, "double_data"),
    12: (np.uint32, "uint64_data"),
    13: (np.uint64, "uint64_data"),
}
FLOATS = {1: "float32", 10: "float16", 11: "float64"}
#: Those in which results have fewer digits than here.
NARROW = {10: "float16", 16: "bfloat16"}
_EXTERNAL = 1


def values(tensor: Any, folder: Path) -> Array:
    """Return the array that a ``TensorProto`` holds; it may be a view of the file's bytes.

    Parameters
    ----------
    tensor : onnx.TensorProto
    folder : Path
        The folder of the file. Arrays beside the file are read from this folder only.

    Raises
    ------
    ValueError
        If shape, dtype and contents do not fit together, or the file beside the model is not there.
    """
    name = f"the array {shown(tensor.name)}"
    shape = tuple(tensor.dims)
    if any(length < 0 for length in shape) or math.prod(shape) > MAX_NUMBERS:
        raise ValueError(f"{name} claims the shape {shown(shape)}; an array may hold {MAX_NUMBERS} numbers")
    if tensor.data_type not in _KINDS:
        raise ValueError(f"{name} has numbers of kind {tensor.data_type}; {', '.join(FLOATS.values())} are read")
    if tensor.HasField("segment"):
        raise ValueError(f"{name} is one segment of an array, which no program writes today")
    dtype, field = _KINDS[tensor.data_type]
    count = math.prod(shape)
    if tensor.data_location == _EXTERNAL:
        content = _beside(tensor, count * np.dtype(dtype).itemsize, folder, name)
        return _from_bytes(content, dtype, shape, name)
    if tensor.HasField("raw_data"):
        return _from_bytes(tensor.raw_data, dtype, shape, name)
    return _from_field(getattr(tensor, field), dtype, shape, name)


def _from_bytes(content: bytes, dtype: Any, shape: tuple[int, ...], name: str) -> Array:
    wanted = math.prod(shape) * np.dtype(dtype).itemsize
    if len(content) != wanted:
        raise ValueError(f"{name} of shape {shown(shape)} takes {wanted} bytes, but {len(content)} are there")
    return np.frombuffer(content, np.dtype(dtype).newbyteorder("<")).astype(dtype, copy=False).reshape(shape)


def _from_field(numbers: Any, dtype: Any, shape: tuple[int, ...], name: str) -> Array:
    if len(numbers) != math.prod(shape):
        raise ValueError(f"{name} of shape {shown(shape)} holds {len(numbers)} numbers")
    if dtype is np.float16:  # its bits are stored as whole numbers
        return _whole(numbers, np.uint16, name).view(np.float16).reshape(shape)
    if np.dtype(dtype).kind == "f":
        return np.array(numbers, dtype).reshape(shape)
    return _whole(numbers, dtype, name).reshape(shape)


def _whole(numbers: Any, dtype: Any, name: str) -> Array:
    """Return whole numbers in a dtype that can hold them."""
    found = np.array(numbers, np.uint64 if np.dtype(dtype) == np.uint64 else np.int64)
    fitting = found.astype(dtype)
    if (fitting != found).any():
        raise ValueError(f"{name} holds numbers that are too large for {np.dtype(dtype)}")
    return fitting


def _beside(tensor: Any, wanted: int, folder: Path, name: str) -> bytes:
    """Return the bytes of an array that lies in another file, which has to be in the same folder or below it."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    offset = _count(entries.get("offset", "0"), f"{name}: its offset")
    length = _count(entries.get("length", str(wanted)), f"{name}: its length")
    if length != wanted:
        raise ValueError(f"{name} takes {wanted} bytes, but the file says that {length} are in {shown(location)}")
    parts = location.replace("\\", "/").split("/")
    if not location.isprintable() or location == "" or location[0] in "/\\" or ".." in parts or ":" in parts[0]:
        raise ValueError(f"{name} lies at {shown(location)}, which is not in the folder of the model; it is not read")
    path = Path(os.path.realpath(folder / location))
    if not path.is_relative_to(os.path.realpath(folder)):
        raise ValueError(
            f"{name} lies at {shown(location)}, a link that leads out of the model's folder; it is not read"
        )
    try:
        size = check_plain_file(path, _MAX_EXTERNAL)
    except FileNotFoundError:
        raise ValueError(
            f"{name} lies in the file {shown(location)}, which is not beside the model; copy both into one folder"
        ) from None
    except OSError as error:
        raise ValueError(f"{name} lies at {shown(location)}: {error}") from None
    if offset + length > size:
        raise ValueError(
            f"{name} ends at byte {offset + length} of {shown(location)}, which has {size}; it was cut short"
        )
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def _count(text: str, what: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise ValueError(f"{what} is {shown(text)}, not a number of bytes")
    return int(text)
