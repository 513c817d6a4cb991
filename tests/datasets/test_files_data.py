"""Hostile data files that unpack to gigabytes, claim terabytes or point elsewhere are refused within a few MB."""

import gzip
import io
import os
import struct
import tarfile
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from tinycnn.datasets import DataFileError, cifar10, read_idx
from tinycnn.datasets._formats import read_records

BATCH = 20 * 3073


def idx(*shape, data=b""):
    return struct.pack(">HBB", 0, 8, len(shape)) + b"".join(struct.pack(">I", n) for n in shape) + data


def refused(read, message, memory=16 * 2**20):
    """Check that ``read`` raises a DataFileError before it has allocated ``memory`` bytes."""
    tracemalloc.start()
    try:
        with pytest.raises(DataFileError, match=message) as raised:
            read()
        assert tracemalloc.get_traced_memory()[1] < memory
    finally:
        tracemalloc.stop()
    assert len(str(raised.value)) < 1000


def gzip_of_zeros(n_bytes, head=b""):
    """Return a gzip stream of some bytes and many zeros, which is made piece by piece."""
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(head)]
    for begin in range(0, n_bytes, 2**20):
        parts.append(packer.compress(bytes(min(2**20, n_bytes - begin))))
    return b"".join([*parts, packer.flush()])


# IDX


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(2**32 - 1, 2**32 - 1, 28), "announces [0-9]+ bytes, more than the limit"),
        (idx(*[2**32 - 1] * 32), "more than the limit"),
        (idx(*[1] * 255, data=b"x"), "announces 255 dimensions, more than the limit of 32"),
        (idx(0, *[2**32 - 1] * 32), "announces 33 dimensions"),
        (idx(0, *[2**32 - 1] * 3), "more than the limit"),
        (idx(200 * 2**20, data=bytes(10)), "truncated, at most .* found, 209715200 expected"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_an_idx_header_that_claims_too_much(tmp_path, content, message, pack):
    path = tmp_path / "images"
    path.write_bytes(pack(content))
    refused(lambda: read_idx(path), message)


@pytest.mark.parametrize("claimed", [1, 10**6])
def test_a_gzip_bomb_is_unpacked_as_far_as_its_header_says(tmp_path, claimed):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip_of_zeros(60 * 2**20, idx(claimed)))
    assert path.stat().st_size < 2**20
    refused(lambda: read_idx(path), "trailing bytes")


def test_a_gzip_bomb_of_another_shape_than_wanted(tmp_path):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip_of_zeros(60 * 2**20, idx(300 * 2**20)))
    refused(lambda: read_idx(path, shape=(60_000, 28, 28)), r"shape \(314572800,\) found")
    refused(lambda: read_idx(path), "more than the limit of 268435456")


def test_a_gzip_stream_whose_checksum_is_wrong(tmp_path):
    content = bytearray(gzip.compress(idx(1000, data=bytes(1000))))
    content[-8] ^= 1
    (tmp_path / "images").write_bytes(content)
    refused(lambda: read_idx(tmp_path / "images"), "corrupt gzip stream")


@pytest.mark.needs("os.mkfifo")
def test_what_is_not_a_plain_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        refused(lambda path=path: read_idx(path), "not a plain file")
        refused(lambda path=path: read_records(path, count=1, shape=(3, 32, 32)), "not a plain file")


def test_a_file_beyond_the_limit_is_not_opened(tmp_path):
    with (tmp_path / "images").open("wb") as file:
        file.truncate(10 * 2**30)  # takes no room on the disk
    refused(lambda: read_idx(tmp_path / "images"), "more than the limit")
    refused(lambda: read_records(tmp_path / "images", count=10, shape=(3, 32, 32)), "more than the limit")


def test_an_honest_file_takes_no_more_than_its_size(tmp_path):
    data = np.random.default_rng(0).integers(0, 256, 20 * 2**20, np.uint8)
    path = tmp_path / "images"
    path.write_bytes(idx(20, 2**20, data=data.tobytes()))
    tracemalloc.start()
    try:
        read = read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 22 * 2**20
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(read.reshape(-1), data)


# CIFAR-10's archive


@pytest.fixture(autouse=True)
def small(monkeypatch):
    data = bytes(BATCH)
    monkeypatch.setattr(cifar10, "BATCH_BYTES", BATCH)
    monkeypatch.setattr(cifar10, "MAX_UNPACKED", 8 * BATCH)
    digest = cifar10.hashlib.sha256(data).hexdigest()
    monkeypatch.setattr(cifar10, "MEMBERS", dict.fromkeys(cifar10.BATCHES, (BATCH, digest)))


def tar(*members, batches=True):
    """Return an archive with these (TarInfo, content) and, after them, the six good batches."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name in cifar10.BATCHES if batches else ():
            member = tarfile.TarInfo(f"{cifar10.FOLDER}/{name}")
            member.size = BATCH
            archive.addfile(member, io.BytesIO(bytes(BATCH)))
    return file.getvalue()


def member(name, **attributes):
    made = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(made, key, value)
    return made


def everything_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize(
    "name",
    [
        *("../evil", "../../etc/evil", "/tmp/evil", f"{cifar10.FOLDER}/../evil", f"{cifar10.FOLDER}/../../evil"),
        *(f"./{cifar10.FOLDER}/data_batch_1.bin", f"../{cifar10.FOLDER}/data_batch_1.bin", "a\\..\\evil", "C:\\evil"),
    ],
)
def test_no_name_in_the_archive_becomes_a_path(tmp_path, name):
    (tmp_path / "a.tar.gz").write_bytes(tar((member(name), b"evil" * 100)))
    cifar10.extract(tmp_path / "a.tar.gz", tmp_path / "deep" / "out")
    assert everything_in(tmp_path) == {"a.tar.gz", "deep", "deep/out", *(f"deep/out/{n}" for n in cifar10.BATCHES)}
    assert (tmp_path / "deep" / "out" / "data_batch_1.bin").read_bytes() == bytes(BATCH)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE]
)
def test_what_is_not_a_plain_file_in_the_archive_is_refused(tmp_path, kind):
    wanted = member(f"{cifar10.FOLDER}/data_batch_1.bin", type=kind, linkname="/etc/passwd")
    (tmp_path / "a.tar.gz").write_bytes(tar((wanted, b"")))
    refused(lambda: cifar10.extract(tmp_path / "a.tar.gz", tmp_path / "out"), "is not the published file")
    assert everything_in(tmp_path) == {"a.tar.gz"}


def test_links_to_elsewhere_are_not_followed(tmp_path):
    """A link, followed by a file "inside" it, is the classical way out of a folder."""
    link = member(cifar10.FOLDER, type=tarfile.SYMTYPE, linkname="/tmp")
    (tmp_path / "a.tar.gz").write_bytes(tar((link, b"")))
    cifar10.extract(tmp_path / "a.tar.gz", tmp_path / "out")
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


@pytest.mark.needs("links")
def test_a_link_in_the_place_of_a_file_is_replaced_not_followed(tmp_path):
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "data_batch_1.bin").symlink_to(tmp_path / "precious")
    (tmp_path / "a.tar.gz").write_bytes(tar())
    cifar10.extract(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (tmp_path / "precious").read_bytes() == b"precious"


def raw_tar(name, kind, size, content):
    """Return a member whose header says ``size``, whatever follows it."""
    header = bytearray(tarfile.TarInfo(name).tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    header[156:157] = kind
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + content


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K", b"S", b"0"], ids=repr)
@pytest.mark.parametrize("size", [200 * 2**20, 2**62, 2**87])
def test_a_header_that_claims_too_much_is_not_believed(tmp_path, kind, size):
    """tarfile reads extended headers and long names as a whole, whatever size they claim."""
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip_of_zeros(20 * 2**20, raw_tar("name", kind, size, b"30 mtime=1\n")))
    refused(lambda: cifar10.extract(path, tmp_path / "out"), "corrupt archive|has [0-9]+ bytes")


def test_a_tar_bomb_of_many_small_members(tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(raw_tar("name", b"0", 0, b"") * 20_000))
    refused(lambda: cifar10.extract(path, tmp_path / "out"), "corrupt archive")
