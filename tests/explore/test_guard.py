"""The guard lets through what the page has asked for, and nothing else."""

import asyncio
from typing import Any

import pytest

from tinycnn.explore.guard import HEADER, Guard

PORT = 8712
HOST = "127.0.0.1:8712"


async def inner(scope: Any, receive: Any, send: Any) -> None:
    """Answer every request that is let through."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"inside"})


def ask(
    guard: Guard, path: str = "/", method: str = "GET", query: str = "", headers: Any = (), **given: str
) -> tuple[int, dict[str, str]]:
    """Return the status and the headers of an answer; ``given`` are headers, an underscore standing for a hyphen."""
    sent: list[Any] = []
    named = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in given.items()]
    scope = {
        "type": "http",
        "path": path,
        "method": method,
        "query_string": query.encode("latin-1"),
        "headers": [*named, *headers],
    }

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(guard(scope, None, send))
    answer = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answer


@pytest.fixture
def guard() -> Guard:
    return Guard(inner, PORT, token="secret")


@pytest.fixture
def cookie(guard: Guard) -> str:
    return f"{guard.cookie}=secret"


def test_the_address_with_the_secret_opens_the_page_and_sets_a_strict_cookie(guard: Guard) -> None:
    status, answer = ask(guard, query="token=secret", host=HOST)
    assert status == 200
    assert answer["set-cookie"] == f"{guard.cookie}=secret; Path=/; HttpOnly; SameSite=Strict"
    assert "default-src 'none'" in answer["content-security-policy"]
    assert answer["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("host", [HOST, "localhost:8712", "LOCALHOST:8712", "[::1]:8712"])
def test_names_of_this_machine_are_answered(guard: Guard, cookie: str, host: str) -> None:
    assert ask(guard, host=host, cookie=cookie)[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8712", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:8712.evil.example", "[::2]:8712", ""],
)
def test_other_hosts_are_refused_before_anything_else(guard: Guard, cookie: str, host: str) -> None:
    """A page with a name of its own that points to 127.0.0.1 would send it."""
    assert ask(guard, host=host, cookie=cookie, query="token=secret")[0] == 421


def test_a_request_without_or_with_two_hosts_is_refused(guard: Guard, cookie: str) -> None:
    assert ask(guard, cookie=cookie)[0] == 421
    two = [(b"host", HOST.encode()), (b"host", b"evil.example")]
    assert ask(guard, cookie=cookie, headers=two)[0] == 421


@pytest.mark.parametrize("query", ["", "token=", "token=Secret", "token=secre", "token=secrets", "t=secret"])
def test_without_the_secret_nothing_is_shown(guard: Guard, query: str) -> None:
    status, answer = ask(guard, query=query, host=HOST)
    assert status == 403
    assert "set-cookie" not in answer


@pytest.mark.parametrize("text", ["tinycnn-8712=wrong", "tinycnn-8713=secret", "a\x01=;;", "x" * 5000, "tinycnn-8712="])
def test_other_cookies_are_no_secret(guard: Guard, text: str) -> None:
    assert ask(guard, host=HOST, cookie=text)[0] == 403


@pytest.mark.parametrize("other", ["a b", "flag", 'prefs={"theme":"dark"}', "k[0]=1", "ä=1", "long=" + "x" * 9000])
def test_cookies_of_other_programs_harm_nobody(guard: Guard, cookie: str, other: str) -> None:
    """All ports of a machine share their cookies."""
    for text in (f"{other}; {cookie}", f"{cookie}; {other}", f"{other};{cookie}"):
        assert ask(guard, host=HOST, cookie=text)[0] == 200


def test_the_secret_opens_nothing_but_the_page(guard: Guard) -> None:
    given = {HEADER.replace("-", "_"): "1", "host": HOST}
    assert ask(guard, "/api/network", query="token=secret", **given)[0] == 403


def test_requests_for_data_need_the_header_that_only_the_page_can_send(guard: Guard, cookie: str) -> None:
    assert ask(guard, "/api/network", host=HOST, cookie=cookie)[0] == 403
    assert ask(guard, "/api/network", host=HOST, cookie=cookie, x_tinycnn="1")[0] == 200


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "https://127.0.0.1:8712", "http://127.0.0.1:1"]
)
def test_changes_from_elsewhere_are_refused(guard: Guard, cookie: str, origin: str | None) -> None:
    given = {"host": HOST, "cookie": cookie, "x_tinycnn": "1"} | ({} if origin is None else {"origin": origin})
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(guard, "/api/trace", method, **given)[0] == 403
    assert ask(guard, "/api/trace", "POST", **given | {"origin": f"http://{HOST}"})[0] == 200


def test_a_websocket_is_closed(guard: Guard) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(guard({"type": "websocket"}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_every_server_has_a_secret_of_its_own() -> None:
    first, second = Guard(inner, 1), Guard(inner, 1)
    assert first.token != second.token
    assert len(first.token) >= 40
