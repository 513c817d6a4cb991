"""The parts that an HDF5 file is made of: bytes at addresses, headers of objects, links, and texts that lie elsewhere.

Every address is compared with the file before it is followed, and the number of parts is limited, because they may go
round in a circle.

Source: "HDF5 File Format Specification Version 3.0"; the sections are named where they are needed.
"""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..core.messages import shown

#: The most messages, nodes and links that are looked at in one file, where 256 bytes of text or of a message count as
#: one more; a network of a thousand layers has fewer.
MAX_PARTS = 200_000
UNDEFINED = 2**64 - 1
#: Messages of an object header by their numbers (section IV.A.2).
SPACE, LINK_INFO, TYPE, LINK, EXTERNAL, LAYOUT = 0x01, 0x02, 0x03, 0x06, 0x07, 0x08
FILTERS, ATTRIBUTE, CONTINUATION, SYMBOL_TABLE, ATTRIBUTE_INFO = 0x0B, 0x0C, 0x10, 0x11, 0x15


class Message(NamedTuple):
    """A message of an object header: its number, its flags, and its bytes."""

    kind: int
    flags: int
    data: bytes


class Parts:
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

    def view(self, address: int, count: int) -> memoryview:
        """Return those of some bytes at an address that are there, without a copy."""
        return self._data[address : address + count]

    def _numbers(self, layout: str, address: int) -> tuple[Any, ...]:
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
            sizes = self._numbers("BB", 13)
            base, _, end, _, _, address = self._numbers("QQQQQQ", at)
        elif version in (2, 3):
            sizes = self._numbers("BB", 9)
            base, _, end, address = self._numbers("QQQQ", 12)
        else:
            raise ValueError(f"its version of HDF5 ({version}) is not known here")
        if sizes != (8, 8) or base != start:
            raise ValueError("its addresses are not those of a file that Keras writes")
        if end > start + len(self._data):
            raise ValueError(
                f"it is cut short: it says that it has {shown(end)} bytes, and has {start + len(self._data)}"
            )
        return address

    # Headers of objects -----------------------------------------------------------------------------------------

    def messages(self, address: int) -> list[Message]:
        """Return the messages of an object header of either version."""
        if self._bytes(address, 4) == b"OHDR":
            return list(self._second_version(address))
        version, _, _, _, size = self._numbers("BBHII", address)
        if version != 1:
            raise ValueError(f"it is damaged: there is no header of an object at {shown(address)}")
        found, blocks = [], [(address + 16, size)]
        for begin, length in blocks:
            at, end = begin, begin + length
            while at + 8 <= end:
                kind, size, flags = self._numbers("HHB", at)
                message = self._message(kind, flags, self._bytes(at + 8, size))
                found.append(message)
                if kind == CONTINUATION:
                    blocks.append(part(message.data, "QQ"))
                at += 8 + size
        return found

    def _second_version(self, address: int) -> Iterator[Message]:
        version, flags = self._numbers("BB", address + 4)
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
                kind, size, message_flags = self._numbers("BHB", at)
                message = self._message(kind, message_flags, self._bytes(at + head, size))
                yield message
                if kind == CONTINUATION:
                    begin, length = part(message.data, "QQ")
                    if self._bytes(begin, 4) != b"OCHK":
                        raise ValueError(f"it is damaged: a header does not go on at {shown(begin)}")
                    blocks.append((begin + 4, length - 8))
                at += head + size

    def _message(self, kind: int, flags: int, data: bytes) -> Message:
        self._count(1 + len(data) / 256)
        if flags & 2 and kind in (SPACE, TYPE, LAYOUT, ATTRIBUTE):
            raise ValueError("it shares types between objects, which Keras does not")
        return Message(kind, flags, data)

    # Groups -----------------------------------------------------------------------------------------------------

    def links(self, messages: list[Message], path: str) -> dict[str, int]:
        """Return the address of everything in a group, by name."""
        found: dict[str, int] = {}
        for message in messages:
            pairs: Iterator[tuple[str, int]] = iter(())
            if message.kind == SYMBOL_TABLE:
                tree, heap = part(message.data, "QQ")
                pairs = self._symbols(tree, heap)
            elif message.kind == LINK:
                pairs = iter([self._link(message.data)])
            elif message.kind == LINK_INFO and has_heap(message.data):
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
        length, _, names = self._numbers("QQQ", heap + 8)
        nodes = [tree]
        for node in nodes:
            self._count()
            signature, kind, _, used = self._numbers("4sBBH", node)
            if signature == b"TREE" and kind == 0:
                children = self._numbers(f"{2 * used + 1}Q", node + 24)[1::2]
                self._count(used)
                nodes += children
            elif signature == b"SNOD":
                (count,) = self._numbers("H", node + 6)
                for number in range(count):
                    self._count()
                    name, address, cache = self._numbers("QQI", node + 8 + 40 * number)
                    if cache == 2:
                        raise ValueError("it has a soft link, which is not followed")
                    yield self._name(names, length, name), address
            else:
                raise ValueError(f"it is damaged: there is no part of a group at {shown(node)}")

    def _name(self, names: int, length: int, at: int) -> str:
        """Return the name at a place in a heap."""
        if at >= length:
            raise ValueError("it is damaged: a name lies outside of its heap")
        return decoded(self._bytes(names + at, min(length - at, 1024)).partition(b"\0")[0])

    def _link(self, data: bytes) -> tuple[str, int]:
        """Return name and address in a message with a link (section IV.A.2.g)."""
        version, flags = part(data, "BB")
        at = 2
        if version != 1:
            raise ValueError(f"it has a link of the unknown version {version}")
        if flags & 8:
            (kind,) = part(data, "B", at)
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
        return decoded(name), part(data, "Q", at + width + length)[0]

    # Texts ------------------------------------------------------------------------------------------------------

    def elsewhere(self, reference: bytes) -> bytes:
        """Return text of any length, which lies in a global heap (section III.E)."""
        length, address, number = part(reference, "IQI")
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
        signature, _, _, _, _, size = self._numbers("4sBBBBQ", address)
        if signature != b"GCOL":
            raise ValueError(f"it is damaged: there is no text at {shown(address)}")
        at, end = address + 16, address + size
        while at + 16 <= end:
            self._count()
            number, _, _, length = self._numbers("HHIQ", at)
            if number == 0:
                return
            yield number, self._data[at + 16 : at + 16 + length]
            at += 16 + -(-length // 8) * 8


def has_heap(info: bytes) -> bool:
    """Return whether a message of information on links or attributes says that they are elsewhere, in a heap."""
    version, flags = part(info, "BB")
    return bool(version == 0 and part(info, "Q", 2 + (8 if flags & 1 else 0))[0] != UNDEFINED)


def part(data: bytes, layout: str, at: int = 0) -> tuple[Any, ...]:
    """Return numbers in a message, as :mod:`struct` lays them out."""
    try:
        return struct.unpack_from("<" + layout, data, at)
    except struct.error:
        raise ValueError("it is damaged: a part of a header is too short") from None


def decoded(data: bytes) -> str:
    """Return text in UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it has text that is not UTF-8") from None
