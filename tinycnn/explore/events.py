"""A row of numbered events that any number of listeners read at their own pace.

Whoever tells an event never waits for a listener. A listener that comes back asks for what came after the last number
that it has seen; if that is no longer kept, it has to ask for the state as a whole.
"""

import threading
from collections import deque
from typing import Any, NamedTuple

#: How many events are kept; a listener that stays away longer asks for the state instead.
MOST = 128


class Event(NamedTuple):
    """What happened: its number, its kind, and the rest, ready for JSON."""

    number: int
    kind: str
    content: dict[str, Any]


class Events:
    """Events in the order in which they were told; the oldest are forgotten.

    Parameters
    ----------
    most : int
        How many are kept.

    Attributes
    ----------
    last : int
        The number of the newest event; 0 before the first one.
    closed : bool
        Whether no more events will come.
    """

    def __init__(self, most: int = MOST) -> None:
        self._held: deque[Event] = deque(maxlen=most)
        self._changed = threading.Condition()
        self.last = 0
        self.closed = False

    def tell(self, kind: str, **content: Any) -> None:
        """Add an event; it must not be changed afterwards."""
        with self._changed:
            self.last += 1
            self._held.append(Event(self.last, kind, content))
            self._changed.notify_all()

    def close(self) -> None:
        """Let all listeners end."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def after(self, number: int) -> list[Event] | None:
        """Return the events with larger numbers; None if some of them are forgotten, or the number is not known yet."""
        with self._changed:
            if number > self.last or (self._held and number < self._held[0].number - 1):
                return None
            return [event for event in self._held if event.number > number]

    def wait(self, number: int, seconds: float) -> list[Event] | None:
        """Return what :meth:`after` returns, as soon as that is not empty or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self.last != number, seconds)
            return self.after(number)
