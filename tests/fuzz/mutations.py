"""Make wrong inputs from good ones, by changing any bytes, or by changes that keep the outer form of a format right."""

import copy
import gzip
import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

Mutation = Callable[[bytes, random.Random, Sequence[bytes]], bytes]

#: Longer inputs find nothing more, and take longer.
MAX_LENGTH = 1 << 18
NUMBERS = (0, 1, 2, 7, 8, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63)
#: Texts that may replace a JSON value; they are written into the file unchanged.
VALUES = (
    *("null", "true", "false", "0", "-1", "1", "2", "3", "17", "255", "65536", "2147483648", "9223372036854775807"),
    *("9223372036854775808", "1" + "0" * 30, "1" + "0" * 400, "1" + "0" * 5000, "-0.0", "0.5", "1e308", "1e999"),
    *("1e-320", "NaN", "Infinity", '""', '"x"', '"/"', '"../../x"', '"\\u0000"', '"\\ud800"', '"\\u001b[2J"'),
    *('"' + "y" * 3000 + '"', "[]", "[0]", "[[]]", "[1, 2]", "[1, 2, 3]", "[-1]", "[null]", '["a"]', "{}", '{"a": 1}'),
    *('{"class_name": "Adam", "config": {}}', '{"class_name": "ReLU", "config": 3}', "[" * 40 + "]" * 40),
    *("[" * 3000 + "]" * 3000, '{"a":' * 50 + "1" + "}" * 50, '"float64"', '"same"', '"softmax"', '"Dense"', "[0, 0]"),
)  # fmt: skip


def blind(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Change bytes anywhere, in one to four ways."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        rng.choice(_BLIND)(changed, rng, others)
    return bytes(changed[:MAX_LENGTH])


def _span(data: bytearray, rng: random.Random) -> slice:
    begin = rng.randrange(len(data) + 1)
    return slice(begin, begin + min(1 << rng.randrange(10), len(data)))


def _flip(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice((0, 1, 9, 10, 34, 48, 57, 91, 92, 123, 127, 128, 255))


def _number(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    width, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
    begin = rng.randrange(len(data) + 1) if rng.random() < 0.5 else rng.randrange(min(len(data), 64) + 1)
    data[begin : begin + width] = (rng.choice(NUMBERS) % 256**width).to_bytes(width, order)


def _delete(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    del data[_span(data, rng)]


def _truncate(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _repeat(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    span = _span(data, rng)
    data[span.start : span.start] = data[span] * rng.choice((1, 2, 50))


def _insert(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    begin = rng.randrange(len(data) + 1)
    data[begin:begin] = rng.randbytes(1 << rng.randrange(8))


def _splice(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    other = bytearray(rng.choice(others))
    data[_span(data, rng)] = other[_span(other, rng)]


_BLIND = (_flip, _flip, _set, _number, _number, _delete, _truncate, _repeat, _insert, _splice)


# JSON --------------------------------------------------------------------------------------------------------------


def json_text(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Change values, keys and order of a JSON text in one to three places; sometimes change any bytes instead."""
    if rng.random() < 0.15:
        return blind(data, rng, others)
    return json_value(json.loads(data), rng).encode("utf-8", "surrogatepass")


def json_value(value: Any, rng: random.Random) -> str:
    """Return the text of a JSON value after one to three changes."""
    root = [json.loads(json.dumps(value))]
    marks: list[str] = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        _change_one(root, rng, marks)
    text = json.dumps(root)[1:-1]
    for number, mark in enumerate(marks):
        text = text.replace(f'"\\u0001{number}\\u0001"', mark)
    return text


def _change_one(root: list[Any], rng: random.Random, marks: list[str]) -> None:
    """Change one place, all being equally likely; ``marks`` collects texts that the json module could not write."""
    group, key = rng.choice(list(_places(root)) or [(root, 0)])
    what = rng.random()
    if group is root or what < 0.75:
        group[key] = _changed(group[key], rng, marks)
    elif what < 0.85:
        del group[key]
    elif isinstance(group, list):
        group.insert(key, rng.choice(group))
    elif what < 0.92:
        group[rng.choice(("", "name", "config", "\x00", "k" * 200, f"{key}2"))] = group.pop(key)
    else:
        group[key] = rng.choice(list(group.values()))


def _places(group: Any) -> Iterator[tuple[Any, Any]]:
    """Yield, for each value inside a list or object, the group that contains it and its key there."""
    for key, value in list(group.items() if isinstance(group, dict) else enumerate(group)):
        yield group, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _changed(value: Any, rng: random.Random, marks: list[str]) -> Any:
    if isinstance(value, int | float) and rng.random() < 0.4:
        return rng.choice((value + 1, value - 1, -value, value * 2, value * 10**6, str(value), [value]))
    if isinstance(value, str) and rng.random() < 0.3:
        return rng.choice((value[:-1], value + "s", value.upper(), value * 50, [value], {value: value}))
    marks.append(rng.choice(VALUES))
    return f"\x01{len(marks) - 1}\x01"


# Formats -----------------------------------------------------------------------------------------------------------


def model_file(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Change the configuration, header or numbers of a safetensors file; the length of the header mostly fits again."""
    what = rng.random()
    if what < 0.15:
        return blind(data, rng, others)
    header, body = _split(data)
    if what < 0.65:
        description = json.loads(header["__metadata__"]["tinycnn"])
        header["__metadata__"]["tinycnn"] = json_value(description, rng)
        text = json.dumps(header)
    elif what < 0.85:
        text = json_value(header, rng)
    else:
        text, body = json.dumps(header), blind(body, rng, others)
    return _joined(text, body, rng)


def _split(data: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def _joined(text: str, body: bytes, rng: random.Random) -> bytes:
    encoded = text.encode("utf-8", "surrogatepass")
    length = len(encoded) if rng.random() < 0.97 else rng.choice(NUMBERS)
    return struct.pack("<Q", length % 2**64) + encoded + body


def weights_file(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Change the header or the numbers of a safetensors file that holds nothing but arrays."""
    what = rng.random()
    if what < 0.15:
        return blind(data, rng, others)
    header, body = _split(data)
    if what < 0.7:
        return _joined(json_value(header, rng), body, rng)
    if what < 0.85:  # another name, with everything else in order
        name = rng.choice([key for key in header if key != "__metadata__"])
        header[rng.choice((name[:-1], f"1.{name}", name.replace("0", "3"), "weight", "y" * 3000))] = header.pop(name)
        return _joined(json.dumps(header), body, rng)
    return _joined(json.dumps(header), blind(body, rng, others), rng)


def hdf5(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Change addresses, sizes and texts of an HDF5 file, whose parts begin at multiples of eight; or any bytes."""
    if rng.random() < 0.3:
        return blind(data, rng, others)
    changed = bytearray(data[: len(data) // 8 * 8])
    places = [at for at in range(0, len(changed), 8) if changed[at : at + 8] != bytes(8)]
    for _ in range(rng.choice((1, 1, 2, 3))):
        at, other = rng.choice(places), rng.choice(places)
        what = rng.random()
        if what < 0.4:  # the same as elsewhere: another address, or another part
            changed[at : at + 8] = changed[other : other + 8]
        elif what < 0.6:
            changed[at : at + 8] = (other + rng.choice((0, 0, 8, 16, -8))).to_bytes(8, "little", signed=True)
        elif what < 0.8:
            width = rng.choice((1, 2, 4, 8))
            changed[at : at + width] = (rng.choice(NUMBERS) % 256**width).to_bytes(width, "little")
        else:
            changed[at + rng.randrange(8)] = rng.randrange(256)
    return bytes(changed)


def keras_archive(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Change the configuration or the weights in a Keras archive, and pack it again; or any bytes of it."""
    if rng.random() < 0.15:
        return blind(data, rng, others)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    if rng.random() < 0.6:
        parts["config.json"] = json_text(parts["config.json"], rng, [parts["config.json"]])
    else:
        parts["model.weights.h5"] = hdf5(parts["model.weights.h5"], rng, [parts["model.weights.h5"]])
    if rng.random() < 0.05:
        del parts[rng.choice(list(parts))]
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return made.getvalue()


def state_file(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Change a training state, and correct its checksum."""
    from tinycnn.saving import state_folder as state_files

    if rng.random() < 0.1:
        return blind(data, rng, others)
    header, body = _split(data)
    sealed = json.loads(header["__metadata__"]["tinycnn"])
    seal = sealed.pop("sha256")
    if rng.random() < 0.2:
        body = blind(body, rng, others)
    changed = json_value(sealed, rng)
    inner = f'{{"sha256": "{seal}", {changed[1:]}' if changed.startswith("{") else changed
    header = header | {"__metadata__": {"tinycnn": inner}}  # it must stay the first entry
    if rng.random() < 0.3:
        tensors = {key: entry for key, entry in header.items() if key != "__metadata__"}
        rest = json_value(tensors, rng)
        text = json.dumps({"__metadata__": header["__metadata__"]}, separators=(",", ":"))
        text = f"{text[:-1]},{rest[1:]}" if rest.startswith("{") and len(rest) > 2 else text
    else:
        text = json.dumps(header, separators=(",", ":"))
    made = _joined(text, body, rng)
    digits = state_files._DIGITS
    return made[: digits.start] + state_files._digest(made) + made[digits.stop :]


def idx(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Give an IDX file another header, or change any bytes."""
    if rng.random() < 0.5:
        return blind(data, rng, others)
    ndim = rng.choice((0, 1, 1, 2, 3, 3, 4, 33, 255))
    sizes = [rng.choice((*NUMBERS, 2, 3, 4, 5)) % 2**32 for _ in range(ndim)]
    start = bytes((0, 0, rng.choice((8, 8, 8, 9, 13)), ndim))
    return start + b"".join(struct.pack(">I", size) for size in sizes) + data[rng.randrange(20) :]


def zipped(inner: Mutation) -> Mutation:
    """Return a mutation of a gzip stream: of its content, or of the stream itself."""

    def mutate(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
        if rng.random() < 0.3:
            return blind(data, rng, others)
        content = inner(gzip.decompress(data), rng, [gzip.decompress(other) for other in others])
        packed = gzip.compress(content, rng.choice((0, 1, 9)), mtime=0)
        what = rng.random()
        if what < 0.1:
            return packed + blind(packed, rng, others)
        if what < 0.2:
            # This switches on optional fields of a gzip header: extra, name, comment, and a checksum of the header.
            return packed[:3] + bytes((rng.randrange(256),)) + packed[4:]
        return packed if what < 0.8 else blind(packed, rng, others)

    return mutate


def tar(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Change headers of a tar archive, and correct their checksums."""
    if rng.random() < 0.3:
        return blind(data, rng, others)
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        header = rng.choice(
            [begin for begin in range(0, len(data) - 511, 512) if data[begin + 257 : begin + 262] == b"ustar"]
        )
        _change_tar_header(changed, header, rng)
    return bytes(changed)


#: The offset and the length of the fields of a tar header.
_TAR_FIELDS = (
    (0, 100),
    (100, 8),
    (108, 8),
    (116, 8),
    (124, 12),
    (136, 12),
    (157, 100),
    (257, 8),
    (265, 32),
    (345, 155),
)


def _change_tar_header(data: bytearray, header: int, rng: random.Random) -> None:
    if rng.random() < 0.4:
        data[header + 156] = rng.choice(b"0123456789xgLKSVXDMNA\x00\xff")
    else:
        offset, length = rng.choice(_TAR_FIELDS)
        content = rng.choice(
            (
                *(rng.randbytes(length), b"\x80" + rng.choice(NUMBERS).to_bytes(12, "big"), b"\xff" * length),
                *(b"%011o" % (rng.choice(NUMBERS) % 8**11), b"-1", b"", b"../" * 40, b"/etc/passwd", b"99999999999"),
            )
        )
        data[header + offset : header + offset + length] = content[:length].ljust(length, b"\0")
    if rng.random() < 0.2:
        # This imitates the records of a pax header, or the map of a sparse file.
        record = rng.choice(
            (b"30 size=99999999999999999999\n", b"9 path=\n", b"x", b"22 GNU.sparse.major=1\n", b"-5 a=b\n")
        )
        data[header + 512 : header + 512 + len(record)] = record
    data[header + 148 : header + 156] = b" " * 8
    data[header + 148 : header + 156] = b"%06o\0 " % sum(data[header : header + 512])


def png(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Change chunks of a PNG, and correct their checksums; change any bytes of a JPEG, and sometimes of a PNG."""
    if not data.startswith(b"\x89PNG") or rng.random() < 0.3:
        return blind(data, rng, others)
    chunks = _png_chunks(data)
    for _ in range(rng.choice((1, 1, 2))):
        index = rng.randrange(len(chunks))
        kind, content = chunks[index]
        what = rng.random()
        if kind == b"IHDR" and len(content) == 13 and what < 0.7:
            content = bytearray(content)
            if rng.random() < 0.5:
                begin = rng.choice((0, 4))  # width or height
                content[begin : begin + 4] = (rng.choice(NUMBERS) % 2**32).to_bytes(4, "big")
            else:
                content[rng.randrange(8, 13)] = rng.choice((0, 1, 2, 3, 4, 6, 7, 8, 16, 255))
            content = bytes(content)
        elif kind == b"IDAT" and what < 0.5:
            with suppress(zlib.error):  # the change before may have damaged it
                content = zlib.compress(blind(zlib.decompressobj().decompress(content, MAX_LENGTH), rng, others))
        elif what < 0.8:
            content = blind(content, rng, others)
        else:
            new = rng.choice((b"PLTE", b"tRNS", b"iCCP", b"zTXt", b"iTXt", b"tEXt", b"eXIf", b"acTL", b"fdAT", b"pHYs"))
            chunks.insert(index, (new, rng.choice((b"", rng.randbytes(9), b"a\0\0" + zlib.compress(bytes(10**6))))))
            continue
        chunks[index] = (kind, content)
    made = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    return data[:8] + made


def _png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, begin = [], 8
    while begin < len(data):
        length = int.from_bytes(data[begin : begin + 4], "big")
        chunks.append((data[begin + 4 : begin + 8], data[begin + 8 : begin + 8 + length]))
        begin += 12 + length
    return chunks


# Protobuf ----------------------------------------------------------------------------------------------------------

#: A field: its number and kind as one number, and its content, which is a list of fields if it can be read as one.
_Field = list[Any]


def protobuf(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Change fields of a protobuf message, at any depth, with right lengths; sometimes change any bytes instead."""
    if rng.random() < 0.2:
        return blind(data, rng, others)
    fields = _fields(data) or []
    for _ in range(rng.choice((1, 1, 2, 3))):
        _change_field(fields, rng, others)
    return _packed(fields)[:MAX_LENGTH]


def _change_field(fields: list[_Field], rng: random.Random, others: Sequence[bytes]) -> None:
    places = list(_field_places(fields))
    if not places:
        return
    group, index = rng.choice(places)
    field = group[index]
    what = rng.random()
    if what < 0.12:
        del group[index]
    elif what < 0.24:
        group.insert(rng.randrange(len(group) + 1), copy.deepcopy(rng.choice(group)))
    elif what < 0.32:
        other_group, other_index = rng.choice(places)
        group[index] = copy.deepcopy(other_group[other_index])
    elif what < 0.36:
        field[0] = rng.choice((1, 2, 3, 5, 8, 13, 14, 20)) << 3 | field[0] & 7
    elif isinstance(field[1], list):
        repeated = rng.random() >= 0.3
        field[1] = copy.deepcopy(field[1]) * rng.choice((2, 40)) if repeated else blind(_packed(field[1]), rng, others)
    elif isinstance(field[1], int):
        field[1] = rng.choice((*NUMBERS, field[1] + 1, max(0, field[1] - 1), 3, 4, 2**64 - 1)) % 2**64
    else:
        texts = (
            b"",
            b"N",
            b"../x",
            b"/etc/passwd",
            b"\xff\xfe",
            b"Relu",
            b"Add",
            b"Reshape",
            b"Shape",
            b"Concat",
            b"MatMul",
        )
        field[1] = rng.choice((*texts, field[1] * 3)) if rng.random() < 0.4 else blind(field[1], rng, others)


def _field_places(fields: list[_Field], depth: int = 8) -> Iterator[tuple[list[_Field], int]]:
    """Yield, for each field, the message that contains it and its index there."""
    for index, field in enumerate(fields):
        yield fields, index
        if isinstance(field[1], list) and depth:
            yield from _field_places(field[1], depth - 1)


def _fields(data: bytes) -> list[_Field] | None:
    """Return the fields of a message, or None if these bytes are not one."""
    found: list[_Field] = []
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag >> 3 == 0 or tag & 7 not in (0, 1, 2, 5) or at > len(data):
            return None
        if tag & 7 == 0:
            value, at = _varint(data, at)
            found.append([tag, value])
            continue
        length, at = _varint(data, at) if tag & 7 == 2 else (8 if tag & 7 == 1 else 4, at)
        content, at = data[at : at + length], at + length
        found.append([tag, (_fields(content) or content) if tag & 7 == 2 and length > 1 else content])
    return found if at == len(data) else None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if not data[at - 1] & 128:
            return value, at
    return 0, len(data) + 1


def _packed(fields: list[_Field]) -> bytes:
    made = bytearray()
    for tag, content in fields:
        made += _as_varint(tag)
        if isinstance(content, int):
            made += _as_varint(content)
            continue
        inner = _packed(content) if isinstance(content, list) else content
        made += (_as_varint(len(inner)) if tag & 7 == 2 else b"") + inner
    return bytes(made)


def _as_varint(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes(made + bytes([value]))
