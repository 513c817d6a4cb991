"""Connections of the page's server: as many as a browser needs, and none that only waits keeps a newer one out.

Any program on this machine can open connections and say nothing. Each takes one of the few hundred files that a process
may have open, and without a limit a thousand of them would leave none for the page's reader.
"""

import asyncio
import logging
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .guard import Guard

#: How many connections are open at a time. A browser has six, and one for each stream of events.
MOST = 100
#: How many seconds a connection may take to say what it wants.
HEAD_SECONDS = 10.0
#: How many seconds are given to the other side to take an answer that was sent before its request had been read.
PARTING_SECONDS = 2.0
#: How many connections may wait to be accepted. asyncio accepts as many at once, before one that waits can be closed.
BACKLOG = 32


class _Parting:
    """A transport that, while the other side may still be sending, ends its own side first and is closed later.

    The kernel resets a connection that is closed while bytes of it are unread or still arrive, and a reset makes the
    other side throw away the answer that it was about to read. So what arrives is dropped until the other side has
    ended too, or its time is over (RFC 9112, section 9.6).
    """

    def __init__(self, transport: asyncio.Transport, protocol: "Connection") -> None:
        self._transport, self._protocol = transport, protocol
        self.has_ended = False

    def __getattr__(self, name: str) -> Any:
        """Leave everything else to the transport that this one stands for."""
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Return whether nothing more can be sent."""
        return self.has_ended or self.is_gone()

    def is_gone(self) -> bool:
        """Return whether the connection takes no place any more."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Close the connection now, or once the other side has ended too."""
        if self.is_closing():
            return
        if not self._protocol.is_sent_to:
            self._transport.close()
            return
        self.has_ended = True
        self._transport.write_eof()
        self._transport.resume_reading()
        self._protocol.loop.call_later(PARTING_SECONDS, self._transport.close)


class Connection(H11Protocol):
    """A connection that is closed if it asks for nothing in time, or if a newer one needs its place."""

    transport: _Parting  # type: ignore[assignment]

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._patience: asyncio.TimerHandle | None = None
        self._since = 0.0

    @property
    def is_sent_to(self) -> bool:
        """Whether more of a request may arrive: its body has not ended, or it is no request that could be read."""
        return self.conn.their_state in (h11.SEND_BODY, h11.ERROR)

    @property
    def is_gone(self) -> bool:
        """Whether the connection takes no place any more."""
        return self.transport.is_gone()

    @property
    def waits(self) -> bool:
        """Whether no request is being answered: the head of the next one has not, or not all, arrived."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, and close the connection that has waited longest if there are too many."""
        super().connection_made(_Parting(transport, self))  # type: ignore[arg-type]
        self._since = self.loop.time()
        self._be_patient()
        there = [one for one in self.connections if isinstance(one, Connection) and not one.is_gone]
        if len(there) > MOST:
            # This one itself waits, so that there always is one.
            min((one for one in there if one.waits), key=lambda one: one._since).transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read what has arrived; the time for a head runs from its first byte to its last."""
        if self.transport.has_ended:
            return
        super().data_received(data)
        if not self.waits:
            self._stop_waiting()
        elif self._patience is None:
            self._be_patient()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._since = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection has gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _be_patient(self) -> None:
        self._patience = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        if self.waits:
            self.transport.abort()


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether a message says more than that the server has ended before all answers did, as Ctrl-C asks for."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError) and not str(record.msg).startswith("Cancel ")


def configured(guard: Guard, **more: Any) -> uvicorn.Config:
    """Return how the page is served; ``more`` are further settings of uvicorn."""
    settings: dict[str, Any] = {"lifespan": "off", "log_level": "warning", "access_log": False, "ws": "none"}
    settings |= {"server_header": False, "proxy_headers": False, "timeout_graceful_shutdown": 1}
    settings |= {"http": Connection, "loop": "asyncio", "backlog": BACKLOG}
    # Its own way to set up logging closes the handlers of the whole program, and some close the stream that they have.
    settings |= {"log_config": None}
    config = uvicorn.Config(guard, **settings | more)
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    return config
