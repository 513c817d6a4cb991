"""Read HDF5 files as Keras writes them: groups, arrays of numbers that lie in one piece, and attributes.

HDF5's own library is made for files that one trusts: among a thousand copies of a small file with a few bytes changed,
some keep it busy for seconds. This reader knows the part of the format that Keras uses, and checks every address before
it follows it. It refuses the rest, above all what leads to other files or takes more memory than it has bytes in the
file: links, virtual and external arrays, chunks and filters.

Source: "HDF5 File Format Specification Version 3.0"; the sections are named where they are needed.
"""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..core.messages import shown
from ..core.types import Array, Shape

SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: Where a file may begin, behind a block of the user's.
STARTS = (0, 512, 1024, 2048)
#: The most messages, nodes and links that are looked at in one file, where 256 bytes of text or of a message count as
#: one more; a network of a thousand layers has fewer.
MAX_PARTS = 200_000
#: The most dimensions of an array, in HDF5 as well as here.
_MAX_RANK = 32
_UNDEFINED = 2**64 - 1
#: Messages of an object header by their numbers (section IV.A.2).
_SPACE, _LINK_INFO, _TYPE, _LINK, _EXTERNAL, _LAYOUT = 0x01, 0x02, 0x03, 0x06, 0x07, 0x08
_FILTERS, _ATTRIBUTE, _CONTINUATION, _SYMBOL_TABLE, _ATTRIBUTE_INFO = 0x0B, 0x0C, 0x10, 0x11, 0x15
#: Properties of the floating-point numbers of IEEE 754, by their bytes: precision, exponent, mantissa, bias.
_IEEE = {
    2: (0, 16, 10, 5, 0, 10, 15),
    4: (0, 32, 23, 8, 0, 23, 127),
    8: (0, 64, 52, 11, 0, 52, 1023),
}


class Message(NamedTuple):
    """A message of an object header: its number, its flags, and its bytes."""

    kind: int
    flags: int
    data: bytes


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

    def __init__(self, file: "_File", path: str, messages: list[Message]) -> None:
        self._file, self.path, self._messages = file, path, messages
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
            found = self._file.at(found._links()[name], below)
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
            if message.kind == _ATTRIBUTE and self._file.attribute_name(message) == name:
                return self._file.attribute_text(message, name)
            if message.kind == _ATTRIBUTE_INFO and self._file.has_heap(message.data):
                raise ValueError(
                    f"the attributes of {shown(self.path)} are stored in another way than Keras stores them"
                )
        return None

    def _links(self) -> dict[str, int]:
        """Return the address of everything in the group, by name."""
        if self._members is None:
            self._members = self._file.links(self._messages, self.path)
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
    file = _File(memoryview(data)[start:])
    found = file.at(file.root_address(start), "/")
    if not isinstance(found, Group):
        raise ValueError("its root is not a group")
    return found


class _File:
    """The bytes of a file from its signature on, and how their parts are read."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._parts = 0.0
        self._collections: dict[int, dict[int, memoryview]] = {}

    # Pieces -----------------------------------------------------------------------------------------------------

    def _bytes(self, address: int, count: int) -> bytes:
        """Return bytes at an address, or raise if the file ends before."""
        if address < 0 or count < 0 or address + count > len(self._data):
            raise ValueError(f"it is cut short or damaged: it has no {shown(count)} bytes at {shown(address)}")
        return bytes(self._data[address : address + count])

    def _fields(self, layout: str, address: int) -> tuple[Any, ...]:
        """Return numbers at an address, as :mod:`struct` lays them out."""
        return struct.unpack("<" + layout, self._bytes(address, struct.calcsize("<" + layout)))

    def _count(self, number: float = 1) -> None:
        """Raise if more parts are looked at than a file of Keras has: they may go round in a circle."""
        self._parts += number
        if self._parts > MAX_PARTS:
            raise ValueError(f"it has more than {MAX_PARTS} parts, or they go round in a circle")

    def root_address(self, start: int) -> int:
        """Return the address of the root group's header (sections II.A to II.D)."""
        version = self._bytes(8, 1)[0]
        if version in (0, 1):
            at = 24 if version == 0 else 28
            sizes = self._fields("BB", 13)
            base, _, end, _, _, address = self._fields("QQQQQQ", at)
        elif version in (2, 3):
            sizes = self._fields("BB", 9)
            base, _, end, address = self._fields("QQQQ", 12)
        else:
            raise ValueError(f"its version of HDF5 ({version}) is not known here")
        if sizes != (8, 8) or base != start:
            raise ValueError("its addresses are not those of a file that Keras writes")
        if end > start + len(self._data):
            raise ValueError(
                f"it is cut short: it says that it has {shown(end)} bytes, and has {start + len(self._data)}"
            )
        return address

    # Objects ----------------------------------------------------------------------------------------------------

    def at(self, address: int, path: str) -> Group | Dataset:
        """Return the group or the array whose header is at an address (section IV.A)."""
        messages = self._messages(address)
        kinds = {message.kind for message in messages}
        if _LAYOUT not in kinds:
            return Group(self, path, messages)
        return self._dataset(messages, kinds, path)

    def _messages(self, address: int) -> list[Message]:
        """Return the messages of an object header of either version."""
        if self._bytes(address, 4) == b"OHDR":
            return list(self._second_version(address))
        version, _, _, _, size = self._fields("BBHII", address)
        if version != 1:
            raise ValueError(f"it is damaged: there is no header of an object at {shown(address)}")
        found, blocks = [], [(address + 16, size)]
        for begin, length in blocks:
            at, end = begin, begin + length
            while at + 8 <= end:
                kind, size, flags = self._fields("HHB", at)
                message = self._message(kind, flags, self._bytes(at + 8, size))
                found.append(message)
                if kind == _CONTINUATION:
                    blocks.append(self._part(message.data, "QQ"))
                at += 8 + size
        return found

    def _second_version(self, address: int) -> Iterator[Message]:
        version, flags = self._fields("BB", address + 4)
        if version != 2:
            raise ValueError(f"it is damaged: there is no header of an object at {shown(address)}")
        at = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(self._bytes(at, width), "little")
        head = 6 if flags & 4 else 4
        blocks = [(at + width, size)]
        for begin, length in blocks:
            at, end = begin, begin + length
            while at + head <= end:
                kind, size, message_flags = self._fields("BHB", at)
                message = self._message(kind, message_flags, self._bytes(at + head, size))
                yield message
                if kind == _CONTINUATION:
                    begin, length = self._part(message.data, "QQ")
                    if self._bytes(begin, 4) != b"OCHK":
                        raise ValueError(f"it is damaged: a header does not go on at {shown(begin)}")
                    blocks.append((begin + 4, length - 8))
                at += head + size

    def _message(self, kind: int, flags: int, data: bytes) -> Message:
        self._count(1 + len(data) / 256)
        if flags & 2 and kind in (_SPACE, _TYPE, _LAYOUT, _ATTRIBUTE):
            raise ValueError("it shares types between objects, which Keras does not")
        return Message(kind, flags, data)

    def _part(self, data: bytes, layout: str, at: int = 0) -> tuple[Any, ...]:
        """Return numbers in a message."""
        try:
            return struct.unpack_from("<" + layout, data, at)
        except struct.error:
            raise ValueError("it is damaged: a part of a header is too short") from None

    # Groups -----------------------------------------------------------------------------------------------------

    def has_heap(self, info: bytes) -> bool:
        """Return whether a message of information on links or attributes says that they are elsewhere, in a heap."""
        version, flags = self._part(info, "BB")
        return bool(version == 0 and self._part(info, "Q", 2 + (8 if flags & 1 else 0))[0] != _UNDEFINED)

    def links(self, messages: list[Message], path: str) -> dict[str, int]:
        """Return the address of everything in a group, by name."""
        found: dict[str, int] = {}
        for message in messages:
            pairs: Iterator[tuple[str, int]] = iter(())
            if message.kind == _SYMBOL_TABLE:
                tree, heap = self._part(message.data, "QQ")
                pairs = self._symbols(tree, heap)
            elif message.kind == _LINK:
                pairs = iter([self._link(message.data)])
            elif message.kind == _LINK_INFO and self.has_heap(message.data):
                raise ValueError(f"the group {shown(path)} is stored in another way than Keras stores groups")
            for name, address in pairs:
                if name in found:
                    raise ValueError(f"it is damaged: {shown(name)} is twice in the group {shown(path)}")
                found[name] = address
        return found

    def _symbols(self, tree: int, heap: int) -> Iterator[tuple[str, int]]:
        """Yield name and address of each entry of a symbol table (sections III.A.1, III.B, III.C and III.D)."""
        if self._bytes(heap, 4) != b"HEAP":
            raise ValueError(f"it is damaged: there are no names at {shown(heap)}")
        length, _, names = self._fields("QQQ", heap + 8)
        nodes = [tree]
        for node in nodes:
            self._count()
            signature, kind, _, used = self._fields("4sBBH", node)
            if signature == b"TREE" and kind == 0:
                children = self._fields(f"{2 * used + 1}Q", node + 24)[1::2]
                self._count(used)
                nodes += children
            elif signature == b"SNOD":
                (count,) = self._fields("H", node + 6)
                for number in range(count):
                    self._count()
                    name, address, cache = self._fields("QQI", node + 8 + 40 * number)
                    if cache == 2:
                        raise ValueError("it has a soft link, which is not followed")
                    yield self._name(names, length, name), address
            else:
                raise ValueError(f"it is damaged: there is no part of a group at {shown(node)}")

    def _name(self, names: int, length: int, at: int) -> str:
        """Return the name at a place in a heap."""
        if at >= length:
            raise ValueError("it is damaged: a name lies outside of its heap")
        return _text(self._bytes(names + at, min(length - at, 1024)).partition(b"\0")[0])

    def _link(self, data: bytes) -> tuple[str, int]:
        """Return name and address in a message with a link (section IV.A.2.g)."""
        version, flags = self._part(data, "BB")
        at = 2
        if version != 1:
            raise ValueError(f"it has a link of the unknown version {version}")
        if flags & 8:
            (kind,) = self._part(data, "B", at)
            if kind != 0:
                what = {1: "a soft link", 64: "a link to another file"}.get(kind, "a link of an unknown kind")
                raise ValueError(f"it has {what}, which is not followed")
            at += 1
        at += (8 if flags & 4 else 0) + (1 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        length = int.from_bytes(data[at : at + width], "little")
        name = data[at + width : at + width + length]
        if len(name) != length:
            raise ValueError("it is damaged: a name is cut short")
        return _text(name), self._part(data, "Q", at + width + length)[0]

    # Arrays -----------------------------------------------------------------------------------------------------

    def _dataset(self, messages: list[Message], kinds: set[int], path: str) -> Dataset:
        for kind, what in ((_EXTERNAL, "in another file"), (_FILTERS, "compressed or filtered")):
            if kind in kinds:
                raise ValueError(f"its array {shown(path)} is {what}, which is not read; write it as Keras does")
        first = {message.kind: message.data for message in reversed(messages)}
        if not {_SPACE, _TYPE} <= kinds:
            raise ValueError(f"it is damaged: its array {shown(path)} has no shape or no type")
        dtype, shape = self._type(first[_TYPE])[0], self._shape(first[_SPACE])
        if not isinstance(dtype, np.dtype):
            raise ValueError(f"its array {shown(path)} does not hold numbers")
        count = 1
        for length in shape:
            count *= length
        return Dataset(shape, dtype, self._stored(first[_LAYOUT], count * dtype.itemsize, path))

    def _stored(self, layout: bytes, needed: int, path: str) -> memoryview:
        """Return the bytes of an array, which the message on its layout tells (section IV.A.2.i)."""
        version, kind = self._part(layout, "BB")
        if version not in (3, 4):
            raise ValueError(f"its array {shown(path)} has a layout of the unknown version {version}")
        if kind == 2 or kind == 3:
            how = "in chunks" if kind == 2 else "as a view of other arrays"
            raise ValueError(f"its array {shown(path)} is stored {how}, which is not read; write it as Keras does")
        if kind == 0:
            (size,) = self._part(layout, "H", 2)
            found = memoryview(layout)[4 : 4 + size]
        elif kind == 1:
            address, size = self._part(layout, "QQ", 2)
            found = self._data[0:0] if address == _UNDEFINED else self._data[address : address + size]
        else:
            raise ValueError(f"its array {shown(path)} has an unknown layout")
        if not len(found) == size == needed:
            raise ValueError(
                f"it is cut short or damaged: its array {shown(path)} takes {shown(needed)} bytes, and it "
                f"has {len(found)}"
            )
        return found

    def _shape(self, space: bytes) -> Shape:
        """Return the shape in a message (section IV.A.2.b)."""
        version, rank, _ = self._part(space, "BBB")
        if version not in (1, 2) or rank > _MAX_RANK or (version == 2 and self._part(space, "B", 3)[0] == 2):
            raise ValueError("it has an array with an unknown kind of shape")
        return self._part(space, f"{rank}Q", 8 if version == 1 else 4)

    def _type(self, data: bytes) -> tuple[np.dtype[Any] | Text | None, int]:
        """Return the type in a message, None for one that is not read; and its bytes (section IV.A.2.d)."""
        first, low, _, _, size = self._part(data, "BBBBI")
        kind = first & 15
        order = ">" if low & 1 else "<"
        if kind == 0 and size in (1, 2, 4, 8) and self._part(data, "HH", 8) == (0, 8 * size):
            return np.dtype(f"{order}{'i' if low & 8 else 'u'}{size}"), size
        if kind == 1 and size in _IEEE and not low & 0x40 and self._part(data, "HHBBBBI", 8) == _IEEE[size]:
            return np.dtype(f"{order}f{size}"), size
        if kind == 3:
            return Text(size, False), size
        if kind == 9 and low & 15 == 1:
            return Text(16, True), 16
        return None, size

    # Attributes -------------------------------------------------------------------------------------------------

    def _cut(self, message: Message) -> tuple[bytes, bytes, bytes, bytes]:
        """Return name, type, shape and value of an attribute (section IV.A.2.m)."""
        version, _, *sizes = self._part(message.data, "BBHHH")
        if version not in (1, 2, 3):
            raise ValueError(f"it has an attribute of the unknown version {version}")
        at, parts = 9 if version == 3 else 8, []
        for size in sizes:
            parts.append(message.data[at : at + size])
            at += -(-size // 8) * 8 if version == 1 else size
        return parts[0], parts[1], parts[2], message.data[at:]

    def attribute_name(self, message: Message) -> str:
        """Return the name of an attribute."""
        return _text(self._cut(message)[0].partition(b"\0")[0])

    def attribute_text(self, message: Message, name: str) -> str | list[str]:
        """Return the text, or the list of texts, that an attribute holds."""
        _, kind, space, value = self._cut(message)
        text, size = self._type(kind)
        shape = self._shape(space)
        if shape == (0,):
            return []  # NumPy gives an empty list numbers as its type
        if not isinstance(text, Text) or len(shape) > 1 or not size:
            raise ValueError(f"its attribute {shown(name)} is not text")
        count = shape[0] if shape else 1
        if count * size > len(value):
            raise ValueError(f"it is damaged: its attribute {shown(name)} is cut short")
        pieces = [value[at : at + size] for at in range(0, count * size, size)]
        texts = [_text(self._elsewhere(piece) if text.anywhere else piece.rstrip(b"\0")) for piece in pieces]
        return texts if shape else texts[0]

    def _elsewhere(self, reference: bytes) -> bytes:
        """Return text of any length, which lies in a global heap (section III.E)."""
        length, address, number = self._part(reference, "IQI")
        if not length:
            return b""
        self._count(length / 256)
        if address not in self._collections:
            self._collections[address] = dict(self._collection(address))
        found = self._collections[address].get(number, memoryview(b""))
        if len(found) < length:
            raise ValueError("it is damaged: a text is cut short")
        return bytes(found[:length])

    def _collection(self, address: int) -> Iterator[tuple[int, memoryview]]:
        signature, _, _, _, _, size = self._fields("4sBBBBQ", address)
        if signature != b"GCOL":
            raise ValueError(f"it is damaged: there is no text at {shown(address)}")
        at, end = address + 16, address + size
        while at + 16 <= end:
            self._count()
            number, _, _, length = self._fields("HHIQ", at)
            if number == 0:
                return
            yield number, self._data[at + 16 : at + 16 + length]
            at += 16 + -(-length // 8) * 8


def _text(data: bytes) -> str:
    """Return text in UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it has text that is not UTF-8") from None
