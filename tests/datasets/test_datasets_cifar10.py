"""CIFAR-10: the archive is opened member by member, and the cache is filled once."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pooch
import pytest
from helpers import sha256

from tinycnn.datasets import DataFileError, DownloadError, cifar10

pytestmark = pytest.mark.usefixtures("cache")


def small_cifar(monkeypatch) -> dict[str, bytes]:
    """Reduce CIFAR-10 to 20 records per file: record i of file k has the label i modulo 10 and pixels of value k."""
    names = list(cifar10.MEMBERS)
    files = {n: b"".join(bytes([i % 10]) + bytes([k]) * 3072 for i in range(20)) for k, n in enumerate(names)}
    files["batches.meta.txt"] = b"airplane\n"
    monkeypatch.setattr(cifar10, "RECORDS", 20)
    monkeypatch.setattr(cifar10, "BATCH_BYTES", 20 * 3073)
    monkeypatch.setattr(cifar10, "MEMBERS", {name: (len(data), sha256(data)) for name, data in files.items()})
    return files


def tar(members: dict[str, bytes], *, links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return buffer.getvalue()


def deliver(archive: bytes, monkeypatch) -> list[str]:
    """Let every download deliver `archive`; the returned list gets the URL of each."""
    asked: list[str] = []

    def retrieve(url: str, known_hash: str, *, fname: str, path: Path, downloader: object) -> None:
        asked.append(url)
        path.mkdir(parents=True, exist_ok=True)
        (path / fname).write_bytes(archive)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    return asked


def test_cifar10_is_downloaded_and_extracted_once(tmp_path: Path, cache: Path, monkeypatch) -> None:
    files = small_cifar(monkeypatch)
    strangers = {"cifar-10-batches-bin/readme.html": b"hello", "../../evil": b"evil", "data_batch_1.bin": b"evil"}
    archive = tar(strangers | {f"cifar-10-batches-bin/{name}": data for name, data in files.items()})
    asked = deliver(archive, monkeypatch)

    for _ in range(2):
        (x_train, y_train), (x_test, y_test) = cifar10.load_data()

    assert asked == [f"{cifar10.MIRRORS[0]}cifar-10-binary.tar.gz"]
    assert (x_train.shape, x_test.shape) == ((100, 32, 32, 3), (20, 32, 32, 3))
    assert (x_train[:, 0, 0, 0] == np.repeat([1, 2, 3, 4, 5], 20)).all()
    assert (x_test == 6).all()
    assert y_train.tolist() == list(range(10)) * 10
    assert y_test.tolist() == list(range(10)) * 2
    on_disk = {p.relative_to(cache).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert on_disk == {f"cifar-10/cifar-10-batches-bin/{name}" for name in files}


@pytest.mark.parametrize(
    "case", ["wrong bytes", "wrong size", "link", "missing", "oversized stranger", "cut", "no tar"]
)
def test_cifar10_refuses_other_archives_by_name(case: str, tmp_path: Path, monkeypatch) -> None:
    files = small_cifar(monkeypatch)
    members = {f"cifar-10-batches-bin/{name}": data for name, data in files.items()}
    batch = "cifar-10-batches-bin/data_batch_3.bin"
    links: dict[str, str] = {}
    fault = f"member '{batch}' is not the published file"
    if case == "wrong bytes":
        members[batch] = bytes(len(members[batch]))
    elif case == "wrong size":
        members[batch] = members[batch][:-1]
    elif case == "link":
        del members[batch]
        links[batch] = "data_batch_1.bin"
    elif case == "missing":
        del members[batch]
        fault = "lacks data_batch_3.bin; download it again"
    elif case == "oversized stranger":
        members = {"stranger": bytes(20 * 3073 + 1)} | members
        fault = "member 'stranger' has 61461 bytes"
    archive = tar(members, links=links)
    if case == "cut":
        archive, fault = archive[: len(archive) // 2], "corrupt archive"
    elif case == "no tar":
        archive, fault = b"<html>", "corrupt archive"
    file = tmp_path / "cifar-10-binary.tar.gz"
    file.write_bytes(archive)

    with pytest.raises(DataFileError, match=fault) as raised:
        cifar10.extract(file, tmp_path / "out")

    assert str(file) in str(raised.value)
    assert not (tmp_path / "out" / "data_batch_3.bin").exists() or case == "cut"


def test_the_six_batches_put_into_the_cache_by_hand_are_enough(cache: Path, monkeypatch) -> None:
    files = small_cifar(monkeypatch)
    folder = cache / "cifar-10" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name in cifar10.BATCHES:
        (folder / name).write_bytes(files[name])
    asked = deliver(b"", monkeypatch)
    (_, y_train), _ = cifar10.load_data()
    assert len(y_train) == 100
    assert asked == []


@pytest.mark.parametrize("form", ["archive", "folder", "files"])
@pytest.mark.parametrize("place", ["cifar-10", "CIFAR10", ""])
def test_the_users_own_files_in_any_form(form: str, place: str, tmp_path: Path, cache: Path, monkeypatch) -> None:
    files = small_cifar(monkeypatch)
    own = tmp_path / "data" / place
    target = own / "cifar-10-batches-bin" if form == "folder" else own
    target.mkdir(parents=True)
    if form == "archive":
        (own / cifar10.ARCHIVE).write_bytes(tar({f"cifar-10-batches-bin/{name}": data for name, data in files.items()}))
    else:
        for name in cifar10.BATCHES:
            (target / name).write_bytes(files[name])
    monkeypatch.setenv("TINYCNN_DATA", str(tmp_path / "data"))
    asked = deliver(b"", monkeypatch)
    (_, y_train), _ = cifar10.load_data()
    assert len(y_train) == 100
    assert asked == []


def test_a_truncated_file_in_the_cache_is_fetched_again(cache: Path, monkeypatch) -> None:
    files = small_cifar(monkeypatch)
    folder = cache / "cifar-10" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "test_batch.bin").write_bytes(b"")
    asked = deliver(tar({f"cifar-10-batches-bin/{name}": data for name, data in files.items()}), monkeypatch)
    cifar10.load_data()
    assert len(asked) == 1
    assert (folder / "test_batch.bin").read_bytes() == files["test_batch.bin"]


def test_a_copy_of_the_python_version_is_named(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    monkeypatch.setenv("TINYCNN_DATA", str(tmp_path))

    def retrieve(*_: object, **__: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    with pytest.raises(DownloadError, match="cifar-10-batches-py is the Python version, a pickle, which is not read"):
        cifar10.load_data()
