"""Read HDF5 files as Keras writes them: groups, arrays of numbers that lie in one piece, and attributes.

HDF5's own library is made for files that one trusts: a few wrong bytes can keep it busy for seconds. This reader knows
the part of the format that Keras uses. It refuses the rest, above all what leads to other files or takes more memory
than it has bytes in the file: links, virtual and external arrays, chunks and filters.

Source: "HDF5 File Format Specification Version 3.0"; the sections are named where they are needed.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..core.messages import shown
from ..core.types import Array, Shape
from .hdf5_parts import (
    ATTRIBUTE,
    ATTRIBUTE_INFO,
    EXTERNAL,
    FILTERS,
    LAYOUT,
    SPACE,
    TYPE,
    UNDEFINED,
    Message,
    Parts,
    decoded,
    has_heap,
    part,
)

SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: Where a file may begin, behind a block of the user's.
STARTS = (0, 512, 1024, 2048)
#: The most dimensions of an array, in HDF5 as well as here.
_MAX_RANK = 32
#: Properties of the floating-point numbers of IEEE 754, by their bytes: precision, exponent, mantissa, bias.
_IEEE = {
    2: (0, 16, 10, 5, 0, 10, 15),
    4: (0, 32, 23, 8, 0, 23, 127),
    8: (0, 64, 52, 11, 0, 52, 1023),
}


class Text(NamedTuple):
    """The type of text: ``size`` bytes each, or a reference to text of any length if ``anywhere``."""

    size: int
    anywhere: bool


class Dataset:
    """An array in a file; nothing of it is read before :meth:`read`.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
        As the numbers lie in the file, perhaps with the other order of bytes.
    """

    def __init__(self, shape: Shape, dtype: np.dtype[Any], data: memoryview) -> None:
        self.shape, self.dtype, self._data = shape, dtype, data

    @property
    def nbytes(self) -> int:
        """The number of bytes that the array takes."""
        return len(self._data)

    def read(self) -> Array:
        """Return a copy of the array, in this machine's order of bytes."""
        values = np.frombuffer(self._data, self.dtype).reshape(self.shape)
        return values.astype(self.dtype.newbyteorder("="))


class Group:
    """A group in a file: what lies in it by name, and its attributes."""

    def __init__(self, parts: Parts, path: str, messages: list[Message]) -> None:
        self._parts, self.path, self._messages = parts, path, messages
        self._members: dict[str, int] | None = None

    def __iter__(self) -> Iterator[str]:
        return iter(self._links())

    def __contains__(self, name: str) -> bool:
        return name in self._links()

    def get(self, path: str) -> "Group | Dataset":
        """Return the group or the array at a path below this group, such as ``layers/dense/vars/0``.

        Raises
        ------
        ValueError
            If there is nothing, or what there is cannot be read.
        """
        found: Group | Dataset = self
        for name in path.split("/"):
            if not isinstance(found, Group):
                raise ValueError(f"{shown(path)}: {shown(self.path)} has an array where a group is expected")
            if name not in found:
                raise ValueError(f"there is no {shown(name)} in its group {shown(found.path)}")
            below = f"{found.path.rstrip('/')}/{name}"
            found = _object(self._parts, found._links()[name], below)
        return found

    def group(self, path: str) -> "Group":
        """Return the group at a path; raise ValueError if there is none."""
        found = self.get(path)
        if not isinstance(found, Group):
            raise ValueError(f"{shown(path)} in {shown(self.path)} is an array, and a group is expected")
        return found

    def dataset(self, path: str) -> Dataset:
        """Return the array at a path; raise ValueError if there is none."""
        found = self.get(path)
        if not isinstance(found, Dataset):
            raise ValueError(f"{shown(path)} in {shown(self.path)} is a group, and an array is expected")
        return found

    def text(self, name: str) -> str | list[str] | None:
        """Return the text, or the list of texts, in an attribute; None if there is no such attribute.

        Raises
        ------
        ValueError
            If the attribute holds something else.
        """
        for message in self._messages:
            if message.kind == ATTRIBUTE and _attribute_name(message) == name:
                return _attribute_text(self._parts, message, name)
            if message.kind == ATTRIBUTE_INFO and has_heap(message.data):
                raise ValueError(
                    f"the attributes of {shown(self.path)} are stored in another way than Keras stores them"
                )
        return None

    def _links(self) -> dict[str, int]:
        """Return the address of everything in the group, by name."""
        if self._members is None:
            self._members = self._parts.links(self._messages, self.path)
        return self._members


def root(data: bytes) -> Group:
    """Return the root group of a file.

    Parameters
    ----------
    data : bytes
        The whole file.

    Raises
    ------
    ValueError
        If this is not an HDF5 file, or it begins in a way that is not read; later errors are ValueErrors too.
    """
    start = next((start for start in STARTS if data[start : start + 8] == SIGNATURE), None)
    if start is None:
        raise ValueError("it is not an HDF5 file")
    parts = Parts(memoryview(data)[start:])
    found = _object(parts, parts.root_address(start), "/")
    if not isinstance(found, Group):
        raise ValueError("its root is not a group")
    return found


def _object(parts: Parts, address: int, path: str) -> Group | Dataset:
    """Return the group or the array whose header is at an address (section IV.A)."""
    messages = parts.messages(address)
    kinds = {message.kind for message in messages}
    if LAYOUT not in kinds:
        return Group(parts, path, messages)
    return _dataset(parts, messages, kinds, path)


# Arrays ---------------------------------------------------------------------------------------------------------


def _dataset(parts: Parts, messages: list[Message], kinds: set[int], path: str) -> Dataset:
    for kind, what in ((EXTERNAL, "in another file"), (FILTERS, "compressed or filtered")):
        if kind in kinds:
            raise ValueError(f"its array {shown(path)} is {what}, which is not read; write it as Keras does")
    first = {message.kind: message.data for message in reversed(messages)}
    if not {SPACE, TYPE} <= kinds:
        raise ValueError(f"it is damaged: its array {shown(path)} has no shape or no type")
    dtype, shape = _type(first[TYPE])[0], _shape(first[SPACE])
    if not isinstance(dtype, np.dtype):
        if _is_bfloat16(first[TYPE]):
            raise ValueError(
                f"its array {shown(path)} holds bfloat16, which NumPy does not have; in Keras, give the weights to the "
                "same model with the policy float32, and save that one"
            )
        raise ValueError(f"its array {shown(path)} does not hold numbers")
    count = 1
    for length in shape:
        count *= length
    return Dataset(shape, dtype, _stored(parts, first[LAYOUT], count * dtype.itemsize, path))


def _stored(parts: Parts, layout: bytes, needed: int, path: str) -> memoryview:
    """Return the bytes of an array, which the message on its layout tells (section IV.A.2.i)."""
    version, kind = part(layout, "BB")
    if version not in (3, 4):
        raise ValueError(f"its array {shown(path)} has a layout of the unknown version {version}")
    if kind == 2 or kind == 3:
        how = "in chunks" if kind == 2 else "as a view of other arrays"
        raise ValueError(f"its array {shown(path)} is stored {how}, which is not read; write it as Keras does")
    if kind == 0:
        (size,) = part(layout, "H", 2)
        found = memoryview(layout)[4 : 4 + size]
    elif kind == 1:
        address, size = part(layout, "QQ", 2)
        found = parts.view(0, 0) if address == UNDEFINED else parts.view(address, size)
    else:
        raise ValueError(f"its array {shown(path)} has an unknown layout")
    if not len(found) == size == needed:
        raise ValueError(
            f"it is cut short or damaged: its array {shown(path)} takes {shown(needed)} bytes, and it has {len(found)}"
        )
    return found


def _shape(space: bytes) -> Shape:
    """Return the shape in a message (section IV.A.2.b)."""
    version, rank, _ = part(space, "BBB")
    if version not in (1, 2) or rank > _MAX_RANK or (version == 2 and part(space, "B", 3)[0] == 2):
        raise ValueError("it has an array with an unknown kind of shape")
    return part(space, f"{rank}Q", 8 if version == 1 else 4)


def _type(data: bytes) -> tuple[np.dtype[Any] | Text | None, int]:
    """Return the type in a message, None for one that is not read; and its bytes (section IV.A.2.d)."""
    first, low, _, _, size = part(data, "BBBBI")
    kind = first & 15
    order = ">" if low & 1 else "<"
    if kind == 0 and size in (1, 2, 4, 8) and part(data, "HH", 8) == (0, 8 * size):
        return np.dtype(f"{order}{'i' if low & 8 else 'u'}{size}"), size
    if kind == 1 and size in _IEEE and not low & 0x40 and part(data, "HHBBBBI", 8) == _IEEE[size]:
        return np.dtype(f"{order}f{size}"), size
    if kind == 3:
        return Text(size, False), size
    if kind == 9 and low & 15 == 1:
        return Text(16, True), 16
    return None, size


def _is_bfloat16(data: bytes) -> bool:
    """Return whether a type is two bytes of no known meaning, as which Keras writes bfloat16."""
    first, _, _, _, size = part(data, "BBBBI")
    return first & 15 == 5 and size == 2


# Attributes -----------------------------------------------------------------------------------------------------


def _cut(message: Message) -> tuple[bytes, bytes, bytes, bytes]:
    """Return name, type, shape and value of an attribute (section IV.A.2.m)."""
    version, _, *sizes = part(message.data, "BBHHH")
    if version not in (1, 2, 3):
        raise ValueError(f"it has an attribute of the unknown version {version}")
    at, parts = 9 if version == 3 else 8, []
    for size in sizes:
        parts.append(message.data[at : at + size])
        at += -(-size // 8) * 8 if version == 1 else size
    return parts[0], parts[1], parts[2], message.data[at:]


def _attribute_name(message: Message) -> str:
    """Return the name of an attribute."""
    return decoded(_cut(message)[0].partition(b"\0")[0])


def _attribute_text(parts: Parts, message: Message, name: str) -> str | list[str]:
    """Return the text, or the list of texts, that an attribute holds."""
    _, kind, space, value = _cut(message)
    text, size = _type(kind)
    shape = _shape(space)
    if shape == (0,):
        return []  # NumPy gives an empty list numbers as its type
    if not isinstance(text, Text) or len(shape) > 1 or not size:
        raise ValueError(f"its attribute {shown(name)} is not text")
    count = shape[0] if shape else 1
    if count * size > len(value):
        raise ValueError(f"it is damaged: its attribute {shown(name)} is cut short")
    pieces = [value[at : at + size] for at in range(0, count * size, size)]
    texts = [decoded(parts.elsewhere(piece) if text.anywhere else piece.rstrip(b"\0")) for piece in pieces]
    return texts if shape else texts[0]
