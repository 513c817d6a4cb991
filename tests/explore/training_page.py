"""A server of the page with a training, in this process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from serving import Client

from tinycnn.explore.guard import Guard
from tinycnn.explore.routes_training import routes
from tinycnn.explore.server import application, listen
from tinycnn.explore.session import Session
from tinycnn.explore.training import Training


class Served(NamedTuple):
    """A server: how to ask it, and its training."""

    client: Client
    training: Training


@contextmanager
def served_training(session: Session) -> Iterator[Served]:
    """Serve the page of a session within this block, with a training that the test can look at."""
    import uvicorn

    training, app = Training(session), application(session)
    app.router.routes[:0] = routes(training)
    with listen(0) as listening:
        port = listening.getsockname()[1]
        guard = Guard(app, port)
        server = uvicorn.Server(uvicorn.Config(guard, lifespan="off", log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield Served(Client(port, guard.token), training)
        finally:
            training.close()
            server.should_exit = True
            thread.join(10)
