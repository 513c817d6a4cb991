"""A server of the page in this process, and requests to it as the page sends them."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tinycnn.explore import protocol
from tinycnn.explore.guard import Guard
from tinycnn.explore.preparing import Preparation
from tinycnn.explore.server import Stage, listen
from tinycnn.explore.session import Session
from tinycnn.explore.training import Training


class Client:
    """What a browser that has opened the page may ask."""

    def __init__(self, port: int, token: str) -> None:
        self.port, self.token = port, token
        self.origin = f"http://127.0.0.1:{port}"
        self.address = f"{self.origin}/?token={token}"
        self.headers = {"cookie": f"tinycnn-{port}={token}", "x-tinycnn": "1", "origin": self.origin}

    def ask(self, path: str, body: Any = None, method: str | None = None, **headers: str) -> tuple[int, bytes]:
        """Return the status and the body of an answer; a body that is no bytes is sent as JSON."""
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        given = self.headers | headers
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method or ("GET" if body is None else "POST"), path, sent, given)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def json(self, path: str, body: Any = None) -> Any:
        """Return the JSON of an answer that must be good."""
        status, answer = self.ask(path, body)
        assert status == 200, answer
        return json.loads(answer)

    def arrays(self, path: str, body: Any = None) -> Any:
        """Return the description and the arrays of an answer that must be good."""
        status, answer = self.ask(path, body)
        assert status == 200, answer
        return protocol.unpack(answer)

    def error(self, path: str, body: Any = None, status: int = 400, **headers: str) -> str:
        """Return the message of an answer that must be an error."""
        found, answer = self.ask(path, body, **headers)
        assert found == status, answer
        return str(json.loads(answer)["error"])


class Served(NamedTuple):
    """A server: how to ask it, and its training."""

    client: Client
    training: Training


@contextmanager
def serving(session: Session) -> Iterator[Client]:
    """Serve the page of a session within this block."""
    with served_training(session) as served:
        yield served.client


@contextmanager
def served_training(session: Session) -> Iterator[Served]:
    """Serve the page of a session within this block, with a training that the test can look at."""
    with served_stage(session) as (client, stage, _):
        assert stage.training is not None
        yield Served(client, stage.training)


@contextmanager
def served_stage(what: Session | Preparation) -> Iterator[tuple[Client, Stage, threading.Event]]:
    """Serve a page within this block; the event is set when a preparation has failed, which :meth:`Stage.close` raises.

    A page is expected to hear of it.
    """
    import uvicorn

    from tinycnn.explore.connections import configured

    stage, failed = Stage(what), threading.Event()
    with listen(0) as listening:
        port = listening.getsockname()[1]
        guard = Guard(stage, port)
        server = uvicorn.Server(configured(guard, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        stage.begin(failed.set, is_opened=True)
        try:
            yield Client(port, guard.token), stage, failed
        finally:
            stage.leave()
            if stage.training is not None:
                stage.training.close()
            server.should_exit = True
            thread.join(10)
