"""Connections that say nothing keep nobody out, and no request at all is answered with an error of the server."""

import io
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
import pytest

from tinycnn import Sequential, layers

pytest.importorskip("starlette", reason="the extra explore is not installed")
pytest.importorskip("uvicorn", reason="the extra explore is not installed")

from serving import Client, serving

from tinycnn.explore import answering, connections
from tinycnn.explore.guard import Guard
from tinycnn.explore.session import Data, Session


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    model = Sequential([layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3, activation="softmax")])
    rng = np.random.default_rng(0)
    x, y = rng.random((12, 8, 8, 1), np.float32), rng.integers(0, 3, 12)
    with serving(Session(model, Data("drawn", ("a", "b", "c"), x, y, x, y))) as found:
        yield found


def connected(stack: ExitStack, client: Client) -> socket.socket:
    return stack.enter_context(socket.create_connection(("127.0.0.1", client.port), timeout=10))


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: x"])
def test_the_page_goes_on_beside_many_connections_that_wait(client: Client, begun: bytes) -> None:
    """They are more than there may be, and none of them is closed by whoever has opened it."""
    with ExitStack() as stack:
        waiting = [connected(stack, client) for _ in range(2 * connections.MOST)]
        for one in waiting:
            one.sendall(begun)
        began = time.monotonic()
        for _ in range(20):
            assert client.json("/api/network")["classes"] == ["a", "b", "c"]
        assert time.monotonic() - began < connections.HEAD_SECONDS / 2
        # The first ones had to go.
        assert waiting[0].recv(10) == b""


def test_a_connection_is_not_closed_while_it_is_answered(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 4)
    with ExitStack() as stack:
        stream = connected(stack, client)
        lines = ["GET /api/training/events HTTP/1.1", f"Host: 127.0.0.1:{client.port}", "X-Tinycnn: 1"]
        lines += [f"Cookie: tinycnn-{client.port}={client.token}", "", ""]
        stream.sendall("\r\n".join(lines).encode())
        assert b" 200 " in stream.recv(1000)
        for _ in range(12):
            connected(stack, client)
        assert client.json("/api/network")["name"]
        client.json("/api/training", {"do": "begin"})
        assert b"event:" in stream.recv(100000)
        client.json("/api/training", {"do": "stop"})


def test_a_head_or_a_body_that_does_not_come_is_not_waited_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(answering, "BODY_SECONDS", 0.5)
    with ExitStack() as stack:
        silent, slow = connected(stack, client), connected(stack, client)
        began = time.monotonic()
        with suppress(OSError):  # it is closed while this sends
            while time.monotonic() - began < 8:
                slow.sendall(b"G")
                time.sleep(0.05)
        assert time.monotonic() - began < 5
        assert gone(silent)
    head = ["POST /api/trace HTTP/1.1", f"Host: 127.0.0.1:{client.port}", "X-Tinycnn: 1", f"Origin: {client.origin}"]
    head += [f"Cookie: tinycnn-{client.port}={client.token}", "Content-Length: 10", "", "{"]
    with ExitStack() as stack:
        half = connected(stack, client)
        half.sendall("\r\n".join(head).encode())
        assert b" 408 " in half.recv(1000)


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/api/trace", "Expect: 100-continue\r\nContent-Length: 200000"),
        ("/api/trace", "Transfer-Encoding: x\r\nContent-Length: 200000"),
        ("/api/trace", "Content-Length: x"),
        ("/api/pictures/upload", "Content-Length: 200000"),
        ("/", "Content-Length: 200000"),
    ],
)
@pytest.mark.parametrize("token", ["its own", "another"])
def test_an_answer_arrives_though_its_request_was_not_read(client: Client, path: str, more: str, token: str) -> None:
    """The body comes after the answer was sent, and the answer is read after that."""
    cookie = f"tinycnn-{client.port}={client.token if token == 'its own' else 'x'}"
    head = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{client.port}", "X-Tinycnn: 1", f"Origin: {client.origin}"]
    head += [f"Cookie: {cookie}", "Connection: close", more, "", ""]
    with ExitStack() as stack:
        stream = connected(stack, client)
        stream.sendall("\r\n".join(head).encode())
        time.sleep(0.1)
        for _ in range(20):
            stream.sendall(b"9" * 10000)
            time.sleep(0.01)
        answer = b""
        while some := stream.recv(100000):
            answer += some
        assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 100")), answer
        assert b"content-length" in answer or answer.endswith(b"received.")


def test_who_does_not_stop_sending_is_not_listened_to_for_ever(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PARTING_SECONDS", 0.5)
    with ExitStack() as stack:
        stream = connected(stack, client)
        stream.sendall(b"nothing that HTTP knows\r\n\r\n")
        began = time.monotonic()
        with suppress(OSError):
            while time.monotonic() - began < 8:
                stream.sendall(b"G")
                time.sleep(0.05)
        assert time.monotonic() - began < 5


def test_connections_that_end_take_places_too(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 4)
    monkeypatch.setattr(connections, "PARTING_SECONDS", 30.0)
    with ExitStack() as stack:
        ending = []
        for _ in range(8):
            ending.append(connected(stack, client))
            ending[-1].sendall(b"nothing that HTTP knows\r\n\r\n")
            assert b" 400 " in ending[-1].recv(1000)
        with suppress(ConnectionError):  # the first of these may still find somebody
            ending[0].sendall(b"G")
        time.sleep(0.1)
        with pytest.raises(ConnectionError):
            ending[0].sendall(b"G")


def gone(connection: socket.socket) -> bool:
    """Return whether the other side has closed a connection."""
    try:
        return connection.recv(10) == b""
    except ConnectionError:
        return True


PATHS = [
    "/",
    "/main.js",
    "/api/network",
    "/api/images/{}",
    "/api/trace",
    "/api/trace/{}/layer/{}",
    "/api/trace/{}/layer/{}/check",
    "/api/trace/{}/image/{}",
    "/api/slope",
    "/api/kernels",
    "/api/pictures",
    "/api/pictures/drawing",
    "/api/pictures/upload",
    "/api/pictures/worst",
    "/api/pictures/confusion",
    "/api/pictures/cell",
    "/api/pictures/exciting",
    "/api/pictures/looking",
    "/api/training",
    "/api/{}",
    "/{}",
    "//{}",
    "/api/trace/{}",
]
PARTS = [
    "0",
    "1",
    "-1",
    "9" * 5000,
    "9" * 30,
    "00",
    "1e3",
    "nan",
    "x",
    "%00",
    "%ff",
    "%ed%a0%80",
    "a" * 9000,
    "..",
    "%2e%2e%2f",
]
PARTS += [
    "test",
    "train",
    "own-1",
    "test-0",
    "test-" + "9" * 5000,
    "%f0%9f%98%80",
    "{}",
    "%25",
    "\u0665".encode().hex(),
]
KEYS = (
    "start count which by true predicted set layer filter label way image height width channels centred keep name again"
)
VALUES: list[Any] = [
    None,
    True,
    0,
    1,
    -1,
    2**70,
    1e308,
    0.5,
    "",
    "x",
    "\ud800",
    "test-0",
    "reload",
    "compare",
    [],
    [0],
    {},
]
VALUES += [
    [[[]]],
    {"a": 1},
    "training",
    "prediction",
    "x" * 3000,
    [0] * 9,
    "begin",
    "rate",
    "rewind",
    "fork",
    "step",
    "3.y",
]
NAMES = [
    "image",
    "label",
    "mode",
    "trace",
    "array",
    "index",
    "do",
    "rate",
    "step",
    "change",
    "value",
    "lane",
    "batch_size",
    "epochs",
    "shuffle",
    "fresh",
]
BODIES = [
    b"",
    b"{",
    b"\xff\xfe",
    b"9" * 5000,
    b'{"image": ' + b"9" * 5000 + b"}",
    b"[" * 3000,
    b"null",
    b'"\\ud800"',
    b"\0",
]
HEADERS = {
    "range": ["bytes=0-1", "bytes=9-1", "bytes=-", "x", "bytes=0-,1-2,3-", "bytes=" + "9" * 5000 + "-"],
    "last-event-id": ["x", "-1", "9" * 5000],
    "cookie": ["", "=", "\xff=1"],
    "upgrade": ["websocket"],
    "connection": ["upgrade"],
    "transfer-encoding": ["x"],
    "expect": ["x", "100-continue"],
    "if-none-match": ["x"],
    "accept-encoding": ["\xff"],
    "content-type": ["multipart/form-data", "\xff"],
}


def drawn(rng: np.random.Generator) -> tuple[str, Any, str | None, dict[str, str]]:
    """Return a path, a body, a method and headers."""

    def one(of: Any) -> Any:
        return of[rng.integers(len(of))]

    path = one(PATHS)
    while "{}" in path:
        path = path.replace("{}", one([part for part in PARTS if part != "{}"]), 1)
    if rng.random() < 0.5:
        path += "?" + "&".join(f"{one(KEYS.split())}={one(PARTS)}" for _ in range(rng.integers(1, 5)))
    body = None
    if rng.random() < 0.6:
        body = one(BODIES) if rng.random() < 0.3 else {one(NAMES): one(VALUES) for _ in range(rng.integers(1, 5))}
    headers = {name: one(HEADERS[name]) for name in HEADERS if rng.random() < 0.05}
    method = one(["GET", "POST", "HEAD", "PUT", "OPTIONS"]) if rng.random() < 0.2 else None
    return path.replace(" ", ""), body, method, headers


@pytest.mark.parametrize("seed", range(8))
def test_no_request_is_an_error_of_the_server(client: Client, seed: int) -> None:
    rng = np.random.default_rng(seed)
    seen = set()
    for _ in range(60):
        path, body, method, headers = drawn(rng)
        if path.startswith("/api/training/events"):
            continue
        status, answer = client.ask(path, body, method, **headers)
        assert status < 500, (path[:200], body, method, headers, answer)
        seen.add(status)
    assert {200, 400, 404} <= seen
    assert client.json("/api/network")["name"]
    client.json("/api/training", {"do": "stop"})


@pytest.mark.parametrize("end", ["", "/check"])
def test_a_number_of_many_digits_is_refused(client: Client, end: str) -> None:
    for path in (f"/api/trace/{'9' * 5000}/layer/0{end}", f"/api/trace/0/layer/{'9' * 5000}{end}"):
        assert "must be a whole number" in client.error(path)


def test_the_handlers_of_the_program_are_not_closed() -> None:
    """The handlers of absl, which TensorFlow brings, close the stream that was standard error when it was imported."""
    closed = []

    class Handler(logging.StreamHandler):  # type: ignore[type-arg]
        def close(self) -> None:
            closed.append(self)
            super().close()

    handler = Handler(io.StringIO())
    connections.configured(Guard(lambda *_: None, 1, "x"))  # type: ignore[arg-type]
    assert closed == []
    handler.close()


def test_half_a_character_is_answered(client: Client) -> None:
    assert "no image" in client.error("/api/trace", {"image": "\ud800"}, 404)
    assert "do must be one of" in client.error("/api/training", {"do": "\ud800"})
