"""What the page's server answers to the page, and to everybody else."""

import http.client
import posixpath
import re
import socket
import time
import zlib
from collections.abc import Iterator

import numpy as np
import pytest

from tinycnn import Sequential, layers

pytest.importorskip("starlette", reason="the extra explore is not installed")
pytest.importorskip("uvicorn", reason="the extra explore is not installed")

from serving import Client, serving

from tinycnn.explore import server
from tinycnn.explore.session import Data, Session


@pytest.fixture(scope="module")
def session() -> Session:
    model = Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu", name="<img src=x onerror=alert(1)>"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    rng = np.random.default_rng(0)
    x, y = rng.random((12, 8, 8, 1), np.float32), rng.integers(0, 3, 12)
    return Session(model, Data("drawn", ("a", "b", "c"), x, y, x[::-1], y[::-1]))


@pytest.fixture(scope="module")
def client(session: Session) -> Iterator[Client]:
    with serving(session) as found:
        yield found


def test_the_page_and_its_modules_are_served(client: Client) -> None:
    status, body = client.ask("/")
    assert status == 200
    assert b"<!doctype html>" in body
    for path in server.FILES:
        assert client.ask(path)[0] == 200, path


@pytest.mark.parametrize(
    "path",
    ["/../server.py", "/..%2fserver.py", "/%2e%2e/server.py", "/page/main.js", "//etc/passwd", "/main.js/", "/x"],
)
def test_nothing_else_is_served(client: Client, path: str) -> None:
    assert client.ask(path)[0] in (404, 307)
    assert b"Starlette" not in client.ask(path)[1]


def test_without_the_secret_nothing_is_served(client: Client) -> None:
    for path in ("/", "/main.js", "/api/network"):
        assert client.ask(path, cookie="")[0] == 403


def test_the_network_is_described(client: Client, session: Session) -> None:
    found = client.json("/api/network")
    assert found["classes"] == ["a", "b", "c"]
    assert found["sets"] == {"test": 12, "train": 12}
    assert found["layers"][0]["name"] == "<img src=x onerror=alert(1)>"


def test_a_pass_comes_with_the_bits_of_the_engine(client: Client, session: Session) -> None:
    description, arrays = client.arrays("/api/trace", {"image": "test-1", "label": 2, "mode": "prediction"})
    trace = session.model.trace(session.data.x_test[1:2], [2], training=False)
    for number, entry in enumerate(trace):
        np.testing.assert_array_equal(arrays[f"{number}.y"], entry.y[0])
    _, held = client.arrays(f"/api/trace/{description['trace']}/layer/0")
    np.testing.assert_array_equal(held["kernel"], trace[0].parameters["kernel"])
    np.testing.assert_array_equal(held["d_kernel"], trace[0].gradients["kernel"])


def test_images_of_a_set(client: Client, session: Session) -> None:
    _, arrays = client.arrays("/api/images/test?start=10&count=5")
    np.testing.assert_array_equal(arrays["images"], np.rint(session.data.x_test[10:12] * 255))
    assert "no set" in client.error("/api/images/other", status=404)
    assert "start" in client.error("/api/images/test?start=-1")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "must be JSON"),
        (b"{", "must be JSON"),
        (b"\xff", "must be JSON"),
        (b"[]", "must be a JSON object"),
        (b"[" * 50000, "must be JSON"),
        ({}, "texts"),
        ({"image": 3}, "texts"),
        ({"image": "test-0", "label": -1}, "label must be a whole number"),
        ({"image": "test-0", "label": True}, "label must be a whole number"),
        ({"image": "test-0", "label": 7}, "label must be a class"),
        ({"image": "test-0", "mode": "x"}, "mode"),
    ],
)
def test_bad_requests_are_answered_with_a_reason(client: Client, body: object, says: str) -> None:
    assert says in client.error("/api/trace", body)


def test_what_is_not_there_is_not_found(client: Client) -> None:
    assert "no image" in client.error("/api/trace", {"image": "test-99"}, 404)
    assert "choose the image again" in client.error("/api/trace/999/layer/0", status=404)
    assert "choose the image again" in client.error("/api/trace/999/image/0", status=404)
    description, _ = client.arrays("/api/trace", {"image": "test-1"})
    assert "no image 1 in this pass" in client.error(f"/api/trace/{description['trace']}/image/1", status=404)


def head_of_a_request(client: Client, length: int) -> bytes:
    """Return the head of a request whose body follows, or never comes."""
    lines = (
        "POST /api/trace HTTP/1.1",
        f"Host: 127.0.0.1:{client.port}",
        f"Cookie: tinycnn-{client.port}={client.token}",
        "X-Tinycnn: 1",
        f"Origin: {client.origin}",
        f"Content-Length: {length}",
        "",
        "",
    )
    return "\r\n".join(lines).encode()


def test_a_large_body_is_refused_before_it_is_held(client: Client) -> None:
    assert "limit" in client.error("/api/trace", b" " * (64 * 2**10 + 1), 413)
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as connection:
        connection.sendall(head_of_a_request(client, 10**12))
        assert b" 413 " in connection.recv(1000)


def test_a_browser_that_leaves_in_the_middle_harms_nobody(client: Client) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", client.port), timeout=30) as connection:
            connection.sendall(head_of_a_request(client, 100) + b"{")
    assert client.json("/api/network")["name"]


def test_a_port_in_use_is_named() -> None:
    with server.listen(0) as first:
        port = first.getsockname()[1]
        with pytest.raises(OSError, match=rf"port {port} cannot be used: .*Leave --port out"):
            server.listen(port)


def test_without_a_wish_a_free_port_is_found() -> None:
    with server.listen(None) as first, server.listen(None) as second:
        assert first.getsockname()[0] == second.getsockname()[0] == "127.0.0.1"
        assert first.getsockname()[1] != second.getsockname()[1]


def test_answers_over_a_kept_connection_do_not_wait_for_acknowledgements(client: Client) -> None:
    """With Nagle's algorithm on, the body of an answer waits 40 ms for the acknowledgement of its headers."""
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
    took = []
    for _ in range(60):
        begin = time.perf_counter()
        connection.request("GET", "/api/network", headers=client.headers)
        answer = connection.getresponse()
        answer.read()
        took.append(time.perf_counter() - begin)
    connection.close()
    # A new connection is acknowledged at once for its first packets.
    assert min(np.median(took[at : at + 10]) for at in range(20, 60, 10)) < 0.03


def without_comments(text: str) -> str:
    """Return a file of the page without comments and indentation, which are there for its readers."""
    return re.sub(r"/\*.*?\*/|^\s*//[^\n]*|^\s+", "", text, flags=re.DOTALL | re.MULTILINE)


def test_the_code_of_the_page_is_small() -> None:
    """What the first view imports has at most 150 kB; the other views are loaded when they are shown."""
    needed, left = set(), ["/", "/main.js", "/inside.js", *(path for path in server.FILES if path.endswith(".css"))]
    while left:
        path = left.pop()
        if path in needed:
            continue
        needed.add(path)
        text = server.FILES[path].read_text("utf-8")
        found = re.findall(r"""^(?:import|export)[^;]*?from "(\.[^"]+)";""", text, re.MULTILINE)
        left += [posixpath.normpath(posixpath.join(posixpath.dirname(path), one)) for one in found]
    assert "/arithmetic/convolution.js" in needed
    assert "/train.js" not in needed
    code = [without_comments(server.FILES[path].read_text("utf-8")) for path in needed]
    assert sum(len(text.encode()) for text in code) <= 150_000


def test_the_whole_page_is_small_on_its_way() -> None:
    """All views together, as a network would carry them."""
    whole = b"".join(path.read_bytes() for path in sorted(set(server.FILES.values())))
    assert len(zlib.compress(whole, 9)) <= 150_000
