"""The page's server: a Starlette application behind a guard, on this machine alone."""

import os
import socket
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from ..core.printing import say
from . import routes_gradients, routes_kernels, routes_pictures, routes_training
from .answering import answered, as_json, packed, read_json, trace_and, whole_number
from .guard import Guard
from .pictures import as_bytes
from .preparing import Preparation
from .session import Session
from .training import Training

PAGE = Path(__file__).parent / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
#: The files that are served are those that were there at the start, by their paths; no path is ever put together.
FILES = {f"/{path.relative_to(PAGE).as_posix()}": path for path in sorted(PAGE.rglob("*")) if path.suffix in _TYPES} | {
    "/": PAGE / "index.html"
}
#: The port that is tried first, so that an address can be kept.
PORT = 8712
#: How many seconds a request may go on after Ctrl-C.
PATIENCE = 2.0
#: The most images in one answer.
MOST_IMAGES = 200


def application(session: Session, training: Training) -> Starlette:
    """Return the application that answers the page's requests, without its guard."""

    @answered
    async def network(request: Request) -> Response:
        return as_json(session.describe())

    @answered
    async def images(request: Request) -> Response:
        start = whole_number(request.query_params.get("start", "0"), "start", 0, 2**31)
        count = whole_number(request.query_params.get("count", "40"), "count", 1, MOST_IMAGES + 1)
        return packed({}, {"images": as_bytes(session.images(request.path_params["which"], start, count))})

    @answered
    async def trace(request: Request) -> Response:
        asked = await read_json(request)
        image, label, mode = asked.get("image"), asked.get("label"), asked.get("mode", "prediction")
        if not isinstance(image, str) or not isinstance(mode, str):
            raise ValueError("image and mode must be texts")
        if label is not None:
            label = label if session.gives_one_number else whole_number(label, "label", 0, 2**31)
        return packed(*await run_in_threadpool(session.trace, image, label, mode))

    @answered
    async def layer(request: Request) -> Response:
        return packed(*await run_in_threadpool(session.layer, *trace_and("layer", request)))

    @answered
    async def image(request: Request) -> Response:
        return packed(*await run_in_threadpool(session.image_of, *trace_and("image", request)))

    return Starlette(
        routes=[
            *(Route(path, _file) for path in FILES),
            Route("/api/network", network),
            Route("/api/images/{which}", images),
            Route("/api/trace", trace, methods=["POST"]),
            Route("/api/trace/{trace}/layer/{layer}", layer),
            Route("/api/trace/{trace}/image/{image}", image),
            *routes_gradients.routes(session),
            *routes_kernels.routes(session),
            *routes_pictures.routes(session),
            *routes_training.routes(training),
        ]
    )


def waiting_application(preparation: Preparation) -> Starlette:
    """Return the application that answers until there is a network: the page, and how far the network is."""

    async def network(request: Request) -> Response:
        return as_json({"preparing": preparation.describe()})

    async def nothing_yet(request: Request) -> Response:
        return as_json({"error": "there is no network yet; it is still being made"}, 503)

    return Starlette(
        routes=[
            *(Route(path, _file) for path in FILES),
            Route("/api/network", network),
            Route("/api/{path:path}", nothing_yet, methods=["GET", "POST"]),
        ]
    )


async def _file(request: Request) -> Response:
    """Return one of the files of the page."""
    path = FILES[request.url.path]
    return FileResponse(path, media_type=_TYPES[path.suffix])


class Stage:
    """An ASGI application that stands for a network which is still being made, and then for the page of its session.

    Parameters
    ----------
    what : Session or Preparation

    Attributes
    ----------
    training : Training or None
        That of the session, when there is one.
    """

    def __init__(self, what: Session | Preparation) -> None:
        self._session: Session | None = None
        self.training: Training | None = None
        self._preparation = what if isinstance(what, Preparation) else None
        if isinstance(what, Preparation):
            self._app = waiting_application(what)
        else:
            self._show(what)

    def begin(self, end: Callable[[], None], is_opened: bool) -> None:
        """Begin to make the network, if there is none; ``end`` is called if that fails: see :class:`Preparation`."""
        if self._preparation is not None:
            self._preparation.begin(self._show, end, is_opened)

    def _show(self, session: Session) -> None:
        """Answer as the page of a session from now on."""
        self._session, self.training = session, Training(session)
        self._app = application(session, self.training)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        await self._app(scope, receive, send)

    def leave(self) -> None:
        """Let everything end that a server would wait for."""
        if self._preparation is not None:
            self._preparation.leave()
        if self.training is not None:
            self.training.events.close()

    def close(self) -> None:
        """Wait until everything has ended, and raise what a preparation has failed with.

        The process ends at once if something is still computing, such as a learner's kernel in an endless loop. Python
        would wait for its thread for ever.
        """
        self.leave()
        if self._preparation is not None and not self._preparation.has_ended(PATIENCE):
            _end_at_once("The network was still being made; that is left behind.")
        if self._session is not None and self.training is not None:
            self.training.close()
            if not self._session.lock.acquire(timeout=PATIENCE):
                _end_at_once("A layer or a kernel was still running; it is left behind.")
            self._session.lock.release()
        if self._preparation is not None and self._preparation.failure is not None:
            raise self._preparation.failure


def _end_at_once(text: str) -> None:
    """Say why, and end the process without waiting for anything."""
    say(text)
    sys.stdout.flush()
    os._exit(130)


def listen(port: int | None) -> socket.socket:
    """Return a socket that listens on 127.0.0.1.

    Parameters
    ----------
    port : int or None
        None takes :data:`PORT` or, if that is in use, any free port.

    Raises
    ------
    OSError
        If the port that was asked for cannot be had.
    """
    for wanted in (port,) if port is not None else (PORT, 0):
        # With TCP named, asyncio turns Nagle's algorithm off for each connection; otherwise the body of an answer waits
        # 40 ms for the browser's delayed acknowledgement of the headers.
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", wanted))
            listening.listen(128)
            return listening
        except OSError as error:
            listening.close()
            reason = error
    raise OSError(f"port {port} cannot be used: {reason.strerror}. Leave --port out to get a free one")


def serve(what: Session | Preparation, port: int | None = None, browser: bool = True, where: str = "") -> None:
    """Serve the page until Ctrl-C, and print its address.

    Parameters
    ----------
    what : Session or Preparation
        What the page shows. A preparation's work begins when the page can be opened, which shows how far it is, and
        then the session. If the work fails, the page says why, and the server ends.
    port : int, optional
        By default 8712 or, if that is in use, any free port.
    browser : bool
        Whether to open the address in a browser.
    where : str
        What is selected first, as it stands in the page's address behind the ``#``.

    Raises
    ------
    OSError
        If the port is in use.
    Exception
        What the preparation has failed with.
    """
    import uvicorn

    from .connections import configured

    stage = Stage(what)

    class Server(uvicorn.Server):
        """Ends what it would wait for first."""

        def handle_exit(self, *signal: Any) -> None:
            stage.leave()
            super().handle_exit(*signal)

        def end(self) -> None:
            self.should_exit = True

    with listen(port) as listening:
        number = listening.getsockname()[1]
        guard = Guard(stage, number)
        address = f"http://127.0.0.1:{number}{guard.path}" + (f"#{where}" if where else "")
        say(f"The page is at\n\n  {address}\n\nCtrl-C ends it.")
        server = Server(configured(guard))
        is_opened = browser and webbrowser.open(address)
        try:
            stage.begin(server.end, is_opened)
            server.run(sockets=[listening])
        finally:
            stage.close()
