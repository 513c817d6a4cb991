"""The readers accept the published formats exactly, and refuse everything else by name."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tinycnn.datasets import DataFileError, read_idx
from tinycnn.datasets._formats import read_records


def idx(array: np.ndarray, *, type_code: int = 8) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, type_code, array.ndim, *array.shape) + array.tobytes()


ARRAY = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("shape", [(24,), (2, 3, 4), (0, 3)])
def test_read_idx_returns_the_array(tmp_path: Path, pack, shape) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    file = tmp_path / "images"
    file.write_bytes(pack(idx(array)))

    read = read_idx(file, shape=shape)

    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array)
    read[...] = 0  # writable: not a view of immutable bytes


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "header, found 0 bytes"),
        (idx(ARRAY)[:3], "header, found 3 bytes"),
        (b"\x80\x04" + idx(ARRAY)[2:], "starts with 0x8004"),
        (idx(ARRAY, type_code=0x0D), "type code 0x0d found, 0x08"),
        (b"\0\0\x08\0", "announces 0 dimensions"),
        (idx(ARRAY)[:11], "announces 3 dimensions and holds 1"),
        (idx(ARRAY)[:-1], "truncated, 23 data bytes found, 24 expected"),
        (idx(ARRAY) + b"\0", "trailing bytes after the 24"),
        (idx(ARRAY[:1]), r"shape \(1, 3, 4\) found, \(2, 3, 4\) expected"),
        (idx(ARRAY.reshape(2, 12)), r"shape \(2, 12\) found"),
    ],
    ids=["empty", "3 bytes", "magic", "type", "0 dims", "dims cut", "short", "long", "fewer images", "2 dims"],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_read_idx_refuses_other_content_by_name(tmp_path: Path, pack, content, fault) -> None:
    file = tmp_path / "wrong-file"
    file.write_bytes(pack(content))
    with pytest.raises(DataFileError, match=fault) as raised:
        read_idx(file, shape=(2, 3, 4))
    assert str(file) in str(raised.value)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda z: z[:-12], "truncated gzip stream"),
        (lambda z: z[:5], "truncated gzip stream"),
        (lambda z: z[:-8] + bytes([z[-8] ^ 1]) + z[-7:], "corrupt gzip stream"),  # the checksum's first byte
        (lambda z: z[:2] + b"\xff" + z[3:], "corrupt gzip stream"),
        (lambda z: z[:10] + b"\xff" * 20 + z[30:], "corrupt gzip stream"),
        (lambda z: z + b"more", "corrupt gzip stream"),
    ],
    ids=["cut", "header cut", "checksum", "method", "data", "appended"],
)
def test_read_idx_refuses_a_damaged_gzip_stream(tmp_path: Path, damage, fault) -> None:
    file = tmp_path / "damaged.gz"
    file.write_bytes(damage(gzip.compress(idx(ARRAY))))
    with pytest.raises(DataFileError, match=fault) as raised:
        read_idx(file)
    assert str(file) in str(raised.value)


def test_read_idx_does_not_expand_a_bomb(tmp_path: Path) -> None:
    file = tmp_path / "bomb.gz"
    file.write_bytes(gzip.compress(idx(ARRAY) + bytes(64 * 2**20), 1))
    tracemalloc.start()
    with pytest.raises(DataFileError, match="trailing bytes"):
        read_idx(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 2**20


@pytest.mark.parametrize("dims", [(2**32 - 1,) * 3, (2**32 - 1,) * 255, (2**16, 2**14)])
def test_read_idx_refuses_a_huge_announcement_before_reading(tmp_path: Path, dims) -> None:
    file = tmp_path / "huge"
    file.write_bytes(struct.pack(f">HBB{len(dims)}I", 0, 8, len(dims), *dims))
    with pytest.raises(DataFileError, match="more than the limit"):
        read_idx(file)
    file.write_bytes(idx(ARRAY))
    with pytest.raises(DataFileError, match="24 bytes, more than the limit of 23"):
        read_idx(file, max_bytes=23)


def test_read_idx_of_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_idx(tmp_path / "nowhere")


def test_read_records_moves_the_channels_last(tmp_path: Path) -> None:
    planes = np.arange(2 * 3 * 2 * 4, dtype=np.uint8).reshape(2, 3, 2, 4)
    file = tmp_path / "batch.bin"
    file.write_bytes(b"".join(bytes([label]) + image.tobytes() for label, image in zip((9, 0), planes, strict=True)))

    images, labels = read_records(file, count=2, shape=(3, 2, 4))

    assert images.shape == (2, 2, 4, 3)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    assert labels.tolist() == [9, 0]
    for n, h, w, c in np.ndindex(images.shape):
        assert images[n, h, w, c] == planes[n, c, h, w]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (bytes(2 * 13 - 1), "truncated, 25 data bytes found, 26 expected"),
        (bytes(2 * 13 + 1), "trailing bytes"),
        (bytes(13) + b"\x0a" + bytes(12), "label 10 found at index 1, 0 to 9 expected"),
    ],
    ids=["short", "long", "label"],
)
def test_read_records_refuses_other_content_by_name(tmp_path: Path, content, fault) -> None:
    file = tmp_path / "batch.bin"
    file.write_bytes(content)
    with pytest.raises(DataFileError, match=fault) as raised:
        read_records(file, count=2, shape=(3, 2, 2))
    assert str(file) in str(raised.value)
