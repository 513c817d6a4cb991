"""When a mirror fails in any way, the next one is tried, and no partial file is ever used.

The mirrors are a web server on this machine. Each path's first word says how it fails.
"""

import gzip
import hashlib
import http.server
import io
import os
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest

from tinycnn.core import system
from tinycnn.datasets import DownloadError, _fetch, cifar10
from tinycnn.datasets._fetch import fetch

ROOT = Path(__file__).resolve().parents[2]
CERTIFICATE = Path(__file__).parents[1] / "fixtures" / "localhost.pem"
CONTENT = bytes(range(256)) * 1000
#: As published; the tests have smaller ones.
LIMIT = _fetch.MAX_BYTES
CHECKSUM = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Mirror(http.server.BaseHTTPRequestHandler):
    """Answers according to the first word of the path."""

    def do_GET(self):
        self.server.asked.append(self.path)
        word = self.path.split("/")[1]
        if word.isdecimal():
            self.answer(b"sorry", status=int(word))
        else:
            getattr(self, word)()

    def log_message(self, format, *args):
        pass

    def answer(self, body, *, status=200, length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def good(self):
        self.answer(CONTENT)

    def without_length(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(CONTENT)

    def chunked(self):
        self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for begin in range(0, len(CONTENT), 50_000):
            part = CONTENT[begin : begin + 50_000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def wrong(self):
        self.answer(CONTENT[::-1])

    def empty(self):
        self.answer(b"")

    def truncated(self):
        self.answer(CONTENT[:1000], length=len(CONTENT))

    def truncated_without_length(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(CONTENT[:1000])

    def silent(self):
        self.server.closing.wait(30)

    def stops(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:100_000])
        self.server.closing.wait(30)

    def drip(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.one_by_one(CONTENT)

    def drip_header(self):
        self.one_by_one(b"HTTP/1.0 200 OK\r\nX: " + b"x" * 10**6)

    def one_by_one(self, data):
        for byte in data:
            if self.server.closing.wait(0.02):
                return
            self.wfile.write(bytes([byte]))

    def huge(self):
        self.answer(b"", length=10**13)

    def endless(self):
        self.send_response(200)
        self.end_headers()
        while not self.server.closing.is_set():
            self.wfile.write(CONTENT)

    def packed(self):
        self.answer(gzip.compress(bytes(10**7)), Content_Encoding="gzip")

    def not_a_number(self):
        self.answer(CONTENT, length="many")

    def garbage(self):
        self.wfile.write(b"\xff\x00 this is not HTTP\r\n\r\n")

    def hangs_up(self):
        self.connection.shutdown(socket.SHUT_RDWR)

    def moved(self):
        self.answer(b"", status=302, Location="/good/file")

    def moved_for_ever(self):
        self.answer(b"", status=302, Location=self.path)

    def elsewhere(self):
        self.answer(b"", status=302, Location=f"http://localhost:{self.server.server_port}/good/file")

    def to_a_file(self):
        self.answer(b"", status=302, Location=CERTIFICATE.as_uri())

    def to_nowhere(self):
        self.answer(b"", status=302, Location="http://[bad/")

    def to_plain_http(self):
        self.answer(b"", status=302, Location=f"{self.server.plain}/good/file")


class Server(http.server.ThreadingHTTPServer):
    """A server that logs paths in ``asked``; ``closing`` is set when the test ends, so that no handler outlives it."""

    def __init__(self, certificate=None):
        super().__init__(("127.0.0.1", 0), Mirror)
        self.asked, self.closing = [], threading.Event()
        self.url = self.plain = f"http://127.0.0.1:{self.server_port}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self.url = self.url.replace("http", "https")

    def handle_error(self, request, client_address):
        """Ignore errors, because the client closes the connection, as it should."""

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.shutdown()
        self.thread.join()
        self.server_close()


@pytest.fixture(autouse=True)
def impatient(request, monkeypatch):
    """Wait for a short time only where nothing comes: elsewhere, a busy machine may be slow."""
    way = request.node.callspec.params.get("way") if hasattr(request.node, "callspec") else None
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(_fetch, "SILENCE", 0.3 if way in {"silent", "stops"} else 20.0)
    monkeypatch.setattr(_fetch, "PATIENCE", 0.8 if way in {"drip", "drip_header"} else 20.0)
    monkeypatch.setattr(_fetch, "MAX_BYTES", 10 * len(CONTENT))


@pytest.fixture
def server():
    with Server() as server:
        yield server


@pytest.mark.parametrize("way", ["good", "without_length", "chunked", "moved"])
def test_what_is_no_failure(server, tmp_path, way):
    fetch({"file": CHECKSUM}, [f"{server.url}/{way}/"], tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT


FAILURES = {
    "403": "403 Client Error",
    "404": "404 Client Error",
    "410": "410 Client Error",
    "500": "500 Server Error",
    "503": "503 Server Error",
    "wrong": "does not match the known hash",
    "empty": "does not match the known hash",
    "truncated": "stopped after 1000 of 256000 bytes|more expected",
    "truncated_without_length": "does not match the known hash",
    "silent": "timed out",
    "stops": "timed out",
    "drip": "too slow: [0-9]+ bytes in 1 s",
    "drip_header": "no answer within 0.8 s",
    "huge": "announces 10000000000000 bytes, more than the limit",
    "endless": "sends more than the limit",
    "packed": "does not match the known hash",
    "not_a_number": "invalid literal|Content-Length",
    "garbage": "Connection aborted|does not match the known hash",
    "hangs_up": "Connection aborted",
    "moved_for_ever": "redirects more than 5 times",
    "elsewhere": "redirects to another place: http://localhost",
    "to_a_file": "redirects to another place: file:///",
    "to_nowhere": "Invalid IPv6 URL|redirects to another place",
}


def test_every_way_to_fail_is_here():
    ways = {name for name in vars(Mirror) if not name.startswith("_")} - {
        "do_GET",
        "log_message",
        "answer",
        "one_by_one",
    }
    assert ways - {"good", "without_length", "chunked", "moved", "to_plain_http"} == {w for w in FAILURES if w > "9"}


@pytest.mark.parametrize("way", FAILURES)
def test_the_next_mirror_is_tried(server, tmp_path, way):
    begun = time.monotonic()
    fetch({"file": CHECKSUM}, [f"{server.url}/{way}/", f"{server.url}/good/"], tmp_path)
    assert time.monotonic() - begun < 5
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": CONTENT}
    assert server.asked[0] == f"/{way}/file"


@pytest.mark.parametrize("way", FAILURES)
def test_the_failure_is_named_and_leaves_nothing(server, tmp_path, way):
    with pytest.raises(DownloadError, match=FAILURES[way]) as raised:
        fetch({"file": CHECKSUM}, [f"{server.url}/{way}/"], tmp_path)
    assert f"{server.url}/{way}/file: " in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["truncated", "endless", "wrong"])
def test_an_older_file_is_not_replaced_by_half_a_new_one(server, tmp_path, way):
    (tmp_path / "file").write_bytes(b"damaged")
    with pytest.raises(DownloadError, match="not the published file"):
        fetch({"file": CHECKSUM}, [f"{server.url}/{way}/"], tmp_path)
    assert (tmp_path / "file").read_bytes() == b"damaged"


def test_a_mirror_that_is_not_there(server, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{free.getsockname()[1]}/"
        fetch({"file": CHECKSUM}, [gone, "http://no-such-host.invalid/", f"{server.url}/good/"], tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_certificate_that_nobody_vouches_for(server, tmp_path):
    with Server(CERTIFICATE) as https:
        with pytest.raises(DownloadError, match="CERTIFICATE_VERIFY_FAILED"):
            fetch({"file": CHECKSUM}, [f"{https.url}/good/"], tmp_path)
        fetch({"file": CHECKSUM}, [f"{https.url}/good/", f"{server.url}/good/"], tmp_path)
        assert https.asked == []
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_https_is_not_left_for_http(server, tmp_path, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with Server(CERTIFICATE) as https:
        https.plain = server.url
        fetch({"file": CHECKSUM}, [f"{https.url}/good/"], tmp_path)
        with pytest.raises(DownloadError, match="redirects to another place: http:"):
            fetch({"other": CHECKSUM}, [f"{https.url}/to_plain_http/"], tmp_path)
    assert server.asked == []


def test_the_limit_lets_every_published_file_through():
    assert LIMIT > 170_052_171, "CIFAR-10's archive"


# Several processes

_FETCH = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tinycnn.datasets._fetch import fetch
fetch({{"file": {checksum!r}}}, [{mirror!r}], Path({folder!r}))
"""


def start(mirror, folder):
    code = _FETCH.format(root=str(ROOT), checksum=CHECKSUM, mirror=mirror, folder=str(folder))
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


def test_two_processes_at_once_end_with_one_good_file(server, tmp_path, monkeypatch):
    together = threading.Barrier(2, timeout=30)

    def good_for_two(self):
        together.wait()  # neither gets anything before both have asked
        self.answer(CONTENT)

    monkeypatch.setattr(Mirror, "good", good_for_two)
    processes = [start(f"{server.url}/good/", tmp_path) for _ in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": CONTENT}
    assert len(server.asked) == 2


@pytest.mark.needs("signal.SIGKILL")
def test_what_a_killed_process_leaves_is_never_used(server, tmp_path):
    process = start(f"{server.url}/stops/", tmp_path)
    deadline = time.monotonic() + 30
    while not any(path.stat().st_size for path in tmp_path.iterdir()):
        assert time.monotonic() < deadline, "nothing was written"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "file").exists()
    fetch({"file": CHECKSUM}, [f"{server.url}/good/"], tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT


_CIFAR10 = """
import hashlib, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tinycnn.core import system
from tinycnn.datasets import cifar10
system.cache_folder = lambda: Path({folder!r})
cifar10.MIRRORS = ({mirror!r},)
cifar10.ARCHIVE_CHECKSUM = {checksum!r}
cifar10.RECORDS, cifar10.BATCH_BYTES = 10, 10 * 3073
data = bytes(10 * 3073)
cifar10.MEMBERS = {{name: (len(data), hashlib.sha256(data).hexdigest()) for name in cifar10.BATCHES}}
(x, y), _ = cifar10.load_data()
assert x.shape == (50, 32, 32, 3)
"""


def test_two_processes_that_unpack_the_same_archive(server, tmp_path, monkeypatch):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name in cifar10.BATCHES:
            member = tarfile.TarInfo(f"{cifar10.FOLDER}/{name}")
            member.size = 10 * 3073
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    together = threading.Barrier(2, timeout=30)

    def good(self):
        together.wait()
        self.answer(file.getvalue())

    monkeypatch.setattr(Mirror, "good", good)
    monkeypatch.delenv("TINYCNN_DATA", raising=False)
    code = _CIFAR10.format(
        root=str(ROOT),
        folder=str(tmp_path),
        mirror=f"{server.url}/good/",
        checksum=f"sha256:{hashlib.sha256(file.getvalue()).hexdigest()}",
    )
    processes = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {f"cifar-10/{cifar10.FOLDER}/{name}" for name in cifar10.BATCHES}


def test_a_cache_that_cannot_be_written_is_told_with_the_ways_out(server, tmp_path, monkeypatch):
    (tmp_path / "cache").write_bytes(b"a file in the way")
    monkeypatch.setattr(system, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("TINYCNN_DATA", raising=False)
    monkeypatch.setattr(cifar10, "MIRRORS", (f"{server.url}/good/",))
    with pytest.raises(DownloadError, match="What you can do"):
        cifar10.load_data()
