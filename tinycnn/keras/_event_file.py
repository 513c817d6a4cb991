"""Event files, which TensorBoard shows: records of numbers by tag and step, written without TensorBoard.

A file is a row of records: the length (8 bytes), a checksum of it, the record, and a checksum of that. A record is a
message ``Event`` of protocol buffers, whose fields are written here by hand, because there are five of them.

Source: tensorflow/core/lib/io/record_writer.h and tensorflow/core/util/event.proto, tensorflow/core/framework/
summary.proto.
"""

import os
import socket
import struct
import time
from pathlib import Path

_POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), bits reversed


def _table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _table()


def masked_crc(data: bytes) -> int:
    """Return the checksum of a record: CRC-32C, rotated by 15 bits, plus a constant.

    The CRC-32C of the digits 1 to 9 is 0xe3069283, its published check value.

    Examples
    --------
    >>> hex(masked_crc(b"123456789"))
    '0xc78ab0e5'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def _bytes_field(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _event(content: bytes, step: int | None = None) -> bytes:
    when = _varint(1 << 3 | 1) + struct.pack("<d", time.time())
    return when + (b"" if step is None else _varint(2 << 3) + _varint(step)) + content


class EventFile:
    """A new event file in a folder; each number is written at once.

    Parameters
    ----------
    folder : Path
        It must exist.
    """

    _count = 0

    def __init__(self, folder: Path) -> None:
        # The name is TensorBoard's own, which it looks for; the count keeps two files of one second apart.
        EventFile._count += 1
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{EventFile._count}"
        self.path = folder / name
        self._write(_event(_bytes_field(3, b"brain.Event:2")))

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Write one number."""
        number = _bytes_field(1, tag.encode()) + _varint(2 << 3 | 5) + struct.pack("<f", value)
        self._write(_event(_bytes_field(5, _bytes_field(1, number)), step))

    def _write(self, event: bytes) -> None:
        length = struct.pack("<Q", len(event))
        record = length + struct.pack("<I", masked_crc(length)) + event + struct.pack("<I", masked_crc(event))
        with self.path.open("ab") as file:
            file.write(record)
