"""Who may talk to the page's server: a browser on this machine that has opened the address with its secret.

The server listens on 127.0.0.1, but that alone keeps nobody out: any page on the internet can let the browser send
requests to this machine, and with a name of its own that it points to 127.0.0.1 (DNS rebinding) it could read the
answers too. So, before anything else, each request must have

1. a ``Host`` header that names this machine and this port, which a foreign page cannot have,
2. the secret: first in the address (``/?token=…``), from then on in a cookie that the browser sends for no other site
   (``SameSite=Strict``),
3. for ``/api/``, a header that no form and no link can send (:data:`HEADER`),
4. for every change (any method but GET and HEAD), an ``Origin`` that is this server's.

Sources: OWASP, "Cross-Site Request Forgery Prevention Cheat Sheet"; Jackson, Barth, Bortz, Shao & Boneh, "Protecting
browsers from DNS rebinding attacks", 2007.
"""

import hmac
import secrets
from typing import Any
from urllib.parse import parse_qs

#: The header that every request to ``/api/`` has; its value does not matter, because no other site can send it at all.
HEADER = "x-tinycnn"
#: The most bytes of an address that are looked at.
_LONGEST = 4096
#: What a browser may do with the page: run this server's scripts and styles, and talk to nobody but this server.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ANSWER_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class Guard:
    """An ASGI application that hands on to another one only what the page itself has asked for.

    Parameters
    ----------
    app : ASGI application
        What answers the requests that are let through.
    port : int
        The port on which the server listens; it is part of every valid ``Host`` and ``Origin``.
    token : str, optional
        The secret; by default 256 random bits.

    Attributes
    ----------
    token : str
        The secret, which the address to be opened contains.
    """

    def __init__(self, app: Any, port: int, token: str | None = None) -> None:
        self.app, self.token = app, token or secrets.token_urlsafe(32)
        # Cookies are shared by all ports of a machine, so that the name has to tell two servers apart.
        self.cookie = f"tinycnn-{port}"
        names = ("127.0.0.1", "localhost", "[::1]")
        self.hosts = {f"{name}:{port}" for name in names} | (set(names) if port == 80 else set())
        self.origins = {f"http://{host}" for host in self.hosts}

    @property
    def path(self) -> str:
        """The path and the query that open the page."""
        return f"/?token={self.token}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        opened = self._opens(scope)
        refused = self._refusal(scope, opened)
        if refused is not None:
            await _answer(send, *refused)
            return
        cookie = f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict".encode() if opened else None

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                more = [*_ANSWER_HEADERS, *([(b"set-cookie", cookie)] if cookie else [])]
                message = message | {"headers": [*message.get("headers", ()), *more]}
            await send(message)

        await self.app(scope, receive, with_headers)

    def _opens(self, scope: Any) -> bool:
        """Return whether a request has the secret in its address, as the first one does."""
        query = scope.get("query_string", b"")
        if scope["path"] != "/" or len(query) > _LONGEST:
            return False
        given = parse_qs(query.decode("latin-1")).get("token", [""])
        return self._is_token(given[0])

    def _refusal(self, scope: Any, opened: bool) -> tuple[int, str] | None:
        """Return the status and the text that refuse a request, or None if it may pass."""
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        host = headers.get(b"host", [])
        if len(host) != 1 or host[0].decode("latin-1").lower() not in self.hosts:
            return 421, "This server answers only under the address that 'tinycnn explore' has printed."
        if not opened and not self._has_cookie(headers.get(b"cookie", [])):
            return 403, "Open the address that 'tinycnn explore' has printed: it contains the secret of this page."
        if scope["path"].startswith("/api/") and HEADER.encode() not in headers:
            return 403, f"Requests need the header {HEADER}, which only the page itself sends."
        if scope["method"] not in ("GET", "HEAD"):
            origin = headers.get(b"origin", [])
            if len(origin) != 1 or origin[0].decode("latin-1").lower() not in self.origins:
                return 403, "Changes are accepted only from the page itself (Origin)."
        return None

    def _has_cookie(self, cookies: list[bytes]) -> bool:
        """Return whether the cookies of a request hold the secret."""
        # Other programs on this machine may have set cookies of any form, which stand before or after ours.
        pairs = (pair.strip().partition("=") for cookie in cookies for pair in cookie.decode("latin-1").split(";"))
        return any(name == self.cookie and self._is_token(value) for name, _, value in pairs)

    def _is_token(self, given: str) -> bool:
        """Return whether a text is the secret, in a time that tells nothing about it."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())


async def _answer(send: Any, status: int, text: str) -> None:
    """Send a short answer in plain text."""
    body = f"{text}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *_ANSWER_HEADERS]})
    await send({"type": "http.response.body", "body": body})
