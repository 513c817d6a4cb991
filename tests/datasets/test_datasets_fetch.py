"""Finding and downloading the published files, with a web server on this machine in place of the mirrors."""

from __future__ import annotations

import gzip
import http.server
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pooch
import pytest
from helpers import sha256

from tinycnn.datasets import DataFileError, DownloadError, _idx_dataset, cifar10, fashion_mnist, mnist
from tinycnn.datasets._fetch import fetch


class Web:
    """A web server: `pages` maps paths to their content, every other path is a 404, and `asked` logs the requests."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.asked: list[str] = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append(self.path)
                body = web.pages.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def web(monkeypatch) -> Iterator[Web]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    web = Web()
    thread = threading.Thread(target=web.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield web
    web.server.shutdown()
    thread.join()
    web.server.server_close()


pytestmark = pytest.mark.usefixtures("cache")


def no_network(*_: object, **__: object) -> str:
    raise OSError("no network in this test")


def test_fetch_goes_on_to_the_next_mirror_and_stays_there(web: Web, tmp_path: Path) -> None:
    files = {"a": b"first", "b": b"second"}
    web.pages = {f"/good/{name}": data for name, data in files.items()} | {"/lies/a": b"wrong bytes"}
    mirrors = [f"{web.url}/gone/", f"{web.url}/lies/", f"{web.url}/good/"]
    checksums = {name: f"sha256:{sha256(data)}" for name, data in files.items()}

    fetch(checksums, mirrors, tmp_path / "new" / "folder")

    assert {p.name: p.read_bytes() for p in (tmp_path / "new" / "folder").iterdir()} == files
    assert web.asked == ["/gone/a", "/lies/a", "/good/a", "/good/b"]

    fetch(checksums, mirrors, tmp_path / "new" / "folder")
    assert len(web.asked) == 4, "a verified file is downloaded again"


def test_fetch_replaces_a_damaged_file(web: Web, tmp_path: Path) -> None:
    web.pages = {"/a": b"good"}
    (tmp_path / "a").write_bytes(b"bad")
    fetch({"a": f"sha256:{sha256(b'good')}"}, [f"{web.url}/"], tmp_path)
    assert (tmp_path / "a").read_bytes() == b"good"


def test_fetch_reports_every_attempt_and_keeps_nothing_wrong(web: Web, tmp_path: Path) -> None:
    web.pages = {"/lies/a": b"wrong bytes"}
    with pytest.raises(DownloadError) as raised:
        fetch({"a": f"sha256:{sha256(b'good')}"}, [f"{web.url}/gone/", f"{web.url}/lies/"], tmp_path)
    message = str(raised.value)
    assert isinstance(raised.value, OSError)
    assert f"{web.url}/gone/a: HTTPError: 404" in message
    assert f"{web.url}/lies/a: ValueError: SHA256 hash" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "folder"), [(mnist, "mnist"), (fashion_mnist, "fashion-mnist"), (cifar10, "cifar-10")]
)
def test_the_final_message_says_what_was_tried_and_the_ways_out(module, folder, tmp_path, cache, monkeypatch) -> None:
    monkeypatch.setattr(pooch, "retrieve", no_network)
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("TINYCNN_DATA", str(own))

    with pytest.raises(DownloadError) as raised:
        module.load_data()

    message = str(raised.value)
    assert module.title in message
    assert len(module.MIRRORS) >= 2
    for mirror in module.MIRRORS:
        assert f"  {mirror}" in message
    assert message.count("no network in this test") == len(module.MIRRORS)
    assert f"{own / folder}" in message
    assert f"into {cache / folder}" in message
    assert "set TINYCNN_DATA" in message
    # The digits are grey images of 28×28 pixels, which a network for 32×32×3 cannot take.
    assert ("--data digits" in message) == ("digits.load_data" in message) == (module is not cifar10)


def test_a_damaged_file_in_the_cache_is_named_when_it_cannot_be_replaced(cache: Path, monkeypatch) -> None:
    monkeypatch.setattr(pooch, "retrieve", no_network)
    (cache / "mnist").mkdir(parents=True)
    damaged = cache / "mnist" / "train-images-idx3-ubyte.gz"
    damaged.write_bytes(b"damaged")
    with pytest.raises(DownloadError, match="not the published file") as raised:
        mnist.load_data()
    assert str(damaged) in str(raised.value)


@pytest.fixture(scope="module")
def idx_files() -> dict[str, bytes]:
    """Return four files in MNIST's layout, in which image i is filled with its label, i modulo 10."""
    files = {}
    for part, n in (("train", 60_000), ("t10k", 10_000)):
        labels = (np.arange(n) % 10).astype(np.uint8)
        images = struct.pack(">HBB3I", 0, 8, 3, n, 28, 28) + np.repeat(labels, 28 * 28).tobytes()
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(images, 1)
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(struct.pack(">HBBI", 0, 8, 1, n) + labels.tobytes(), 1)
    return files


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


@pytest.mark.parametrize(("module", "folder"), [(mnist, "mnist"), (fashion_mnist, "fashion-mnist")])
def test_idx_data_sets_are_downloaded_once(module, folder, idx_files, web: Web, cache, monkeypatch) -> None:
    web.pages = {f"/{name}": data for name, data in idx_files.items()}
    monkeypatch.setattr(module, "MIRRORS", (f"{web.url}/gone/", f"{web.url}/"))
    monkeypatch.setattr(module, "CHECKSUMS", {name: f"sha256:{sha256(data)}" for name, data in idx_files.items()})

    (x_train, y_train), (x_test, y_test) = module.load_data()

    assert (x_train.shape, y_train.shape) == ((60_000, 28, 28), (60_000,))
    assert (x_test.shape, y_test.shape) == ((10_000, 28, 28), (10_000,))
    assert {x_train.dtype, x_test.dtype, y_train.dtype, y_test.dtype} == {np.dtype(np.uint8), np.dtype(np.int64)}
    for x, y in ((x_train, y_train), (x_test, y_test)):
        assert (x == y[:, None, None]).all()
    assert len(web.asked) == 5
    assert sorted(p.name for p in (cache / folder).iterdir()) == sorted(idx_files)


def test_the_users_folder_comes_first_and_needs_no_checksum(tmp_path: Path, idx_files, monkeypatch) -> None:
    monkeypatch.setattr(pooch, "retrieve", no_network)
    monkeypatch.setenv("TINYCNN_DATA", str(tmp_path))
    write_files(tmp_path / "mnist", idx_files)
    (_, y_train), _ = mnist.load_data()
    assert y_train[:11].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0]


def test_half_of_the_users_files_are_not_mixed_with_published_ones(tmp_path, idx_files, cache, monkeypatch) -> None:
    monkeypatch.setattr(mnist, "CHECKSUMS", {name: f"sha256:{sha256(data)}" for name, data in idx_files.items()})
    monkeypatch.setenv("TINYCNN_DATA", str(tmp_path))
    write_files(tmp_path / "mnist", {"train-images-idx3-ubyte.gz": b"never read"})
    write_files(cache / "mnist", idx_files)
    (x_train, _), _ = mnist.load_data()
    assert x_train[9, 0, 0] == 9


@pytest.mark.parametrize(
    ("swap", "fault"),
    [
        (("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"), r"\(10000, 28, 28\) found, \(60000, 28, 28\)"),
        (("train-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz"), r"\(10000,\) found, \(60000,\) expected"),
    ],
)
def test_users_files_of_another_structure_are_refused_by_name(tmp_path, idx_files, monkeypatch, swap, fault) -> None:
    monkeypatch.setenv("TINYCNN_DATA", str(tmp_path))
    write_files(tmp_path / "mnist", idx_files | {swap[0]: idx_files[swap[1]]})
    with pytest.raises(DataFileError, match=fault) as raised:
        mnist.load_data()
    assert str(tmp_path / "mnist" / swap[0]) in str(raised.value)


def test_labels_beyond_nine_are_refused(tmp_path: Path, idx_files, monkeypatch) -> None:
    monkeypatch.setenv("TINYCNN_DATA", str(tmp_path))
    labels = struct.pack(">HBBI", 0, 8, 1, 10_000) + bytes(9_999) + b"\x0a"
    write_files(tmp_path / "mnist", idx_files | {"t10k-labels-idx1-ubyte.gz": gzip.compress(labels)})
    with pytest.raises(DataFileError, match="label 10 found at index 9999"):
        mnist.load_data()


@pytest.mark.parametrize("module", [mnist, fashion_mnist, cifar10])
@pytest.mark.parametrize("kind", ["nowhere", "file"])
def test_a_variable_that_names_no_folder_is_an_error_and_no_download(module, kind, tmp_path, cache, monkeypatch):
    monkeypatch.setattr(pooch, "retrieve", lambda *a, **k: pytest.fail("downloaded"))
    path = tmp_path / "data"
    if kind == "file":
        path.write_bytes(b"")
    monkeypatch.setenv("TINYCNN_DATA", str(path))
    reason = {"nowhere": "which does not exist", "file": "which is not a folder"}[kind]
    with pytest.raises(OSError, match=reason) as raised:
        module.load_data()
    assert f"TINYCNN_DATA names {path}, " in str(raised.value)
    assert "unset TINYCNN_DATA" in str(raised.value)


def published(name: str) -> str:
    return name


def unpacked(name: str) -> str:
    return name.removesuffix(".gz")


def dotted(name: str) -> str:
    return name.removesuffix(".gz").replace("-idx", ".idx")


def dotted_and_packed(name: str) -> str:
    return name.replace("-idx", ".idx")


def capitals(name: str) -> str:
    return name.removesuffix(".gz").upper()


def in_a_folder_of_that_name(name: str) -> str:
    return f"{unpacked(name)}/{unpacked(name)}"


@pytest.mark.parametrize("rename", [published, unpacked, dotted, dotted_and_packed, capitals, in_a_folder_of_that_name])
@pytest.mark.parametrize("place", ["", "mnist", "MNIST", "MNIST/raw"])
def test_copies_are_found_however_they_are_named(rename, place, tmp_path, idx_files, monkeypatch) -> None:
    folder = tmp_path / place
    for name, data in idx_files.items():
        path = folder / rename(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        # The images are not read here; one test above reads a whole copy.
        path.write_bytes(data if rename(name).endswith(".gz") else gzip.decompress(data) if "labels" in name else b"")
    monkeypatch.setenv("TINYCNN_DATA", str(tmp_path))
    files = _idx_dataset._own("mnist", tuple(idx_files))
    assert files == {name: folder / rename(name) for name in idx_files}


def test_an_unpacked_copy_is_read(tmp_path, idx_files, monkeypatch) -> None:
    monkeypatch.setattr(pooch, "retrieve", no_network)
    monkeypatch.setenv("TINYCNN_DATA", str(tmp_path))
    write_files(tmp_path, {dotted(name): gzip.decompress(data) for name, data in idx_files.items()})
    (x_train, y_train), _ = mnist.load_data()
    assert (x_train == y_train[:, None, None]).all()


@pytest.mark.parametrize("owner", ["mnist", "fashion-mnist"])
def test_one_data_set_is_not_taken_for_the_other(owner, tmp_path, idx_files, monkeypatch) -> None:
    """The files of MNIST and Fashion-MNIST have the same names."""
    labels = bytes(_idx_dataset.FIRST_LABELS[owner]) + bytes(9_990)
    files = idx_files | {"t10k-labels-idx1-ubyte.gz": gzip.compress(struct.pack(">HBBI", 0, 8, 1, 10_000) + labels)}
    write_files(tmp_path / "any", files)
    monkeypatch.setenv("TINYCNN_DATA", str(tmp_path / "any"))
    for name in ("mnist", "fashion-mnist"):
        assert (_idx_dataset._own(name, tuple(files)) is not None) == (name == owner)
    # Other data in the same layout count as what the folder is called.
    write_files(tmp_path / "fashion", idx_files)
    monkeypatch.setenv("TINYCNN_DATA", str(tmp_path / "fashion"))
    assert _idx_dataset._own("mnist", tuple(files)) is None
    assert _idx_dataset._own("fashion-mnist", tuple(files)) is not None
