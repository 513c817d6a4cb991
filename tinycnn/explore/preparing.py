"""A page that is there before its network is: the work that makes it, and how far that has come.

Nothing here knows about HTTP.
"""

import contextvars
import threading
from collections.abc import Callable
from typing import Any, Protocol

from ..core.messages import error_text
from .session import Session

#: How many seconds a page that is open, or is being opened, may take to hear that the work has failed.
FAREWELL_SECONDS = 10.0


class Tell(Protocol):
    """Says how far the work is: in a text and, if that is known, as a share from 0 to 1."""

    def __call__(self, text: str, share: float | None = None) -> None: ...


class LeftError(Exception):
    """Ends the work, because nobody waits for it any more."""


class Preparation:
    """Work in a thread of its own that ends with a session, and what is told of it meanwhile.

    Parameters
    ----------
    title : str
        What the work is, in a sentence.
    make : function
        Does the work, and returns the session. Its argument is a function with which it says how far it is; that raises
        :class:`LeftError` when nobody waits any more.

    Attributes
    ----------
    failure : Exception, SystemExit or None
        What the work has ended with in place of a session.

    Examples
    --------
    >>> from tinycnn import Sequential, layers
    >>> def make(tell):
    ...     tell("half of it is done", 0.5)
    ...     return Session(Sequential([layers.Input((4, 4)), layers.Flatten(), layers.Dense(2)]))
    >>> preparation = Preparation("A network is made first", make)
    >>> preparation.make(preparation.tell).model.output_shape
    (2,)
    >>> preparation.describe()["text"]
    'half of it is done'
    """

    def __init__(self, title: str, make: Callable[[Tell], Session]) -> None:
        self.make = make
        self.failure: Exception | SystemExit | None = None
        self._title = title
        self._told: tuple[str, float | None] = ("", None)
        self._left, self._heard = threading.Event(), threading.Event()
        self._is_awaited = False
        self._thread: threading.Thread | None = None

    def begin(self, done: Callable[[Session], None], failed: Callable[[], None], is_opened: bool) -> None:
        """Start the work.

        Parameters
        ----------
        done : function
            Is called with the session, in the work's thread.
        failed : function
            Is called in the same thread if there is none, as soon as a page has heard why, or cannot be expected to.
        is_opened : bool
            Whether a page is being opened that will want to hear it.
        """
        self._is_awaited = is_opened
        # A new thread would not know which backend was chosen.
        context = contextvars.copy_context()
        work = (self._live, done, failed)
        self._thread = threading.Thread(target=context.run, args=work, name="preparation", daemon=True)
        self._thread.start()

    def tell(self, text: str, share: float | None = None) -> None:
        """Take note of how far the work is; in the work's thread.

        Raises
        ------
        LeftError
            If nobody waits any more.
        """
        if self._left.is_set():
            raise LeftError
        self._told = text, share

    def describe(self) -> dict[str, Any]:
        """Return what a page shows, ready for JSON: title, text, share (or None), and whether the work has failed."""
        self._is_awaited = True
        failure = self.failure
        if failure is None:
            text, share = self._told
            return {"title": self._title, "text": text, "share": share, "failed": False}
        self._heard.set()
        return {"title": self._title, "text": error_text(failure), "share": None, "failed": True}

    def leave(self) -> None:
        """Let the work end, because nobody waits any more."""
        self._left.set()
        self._heard.set()

    def has_ended(self, seconds: float) -> bool:
        """Wait for the end of the work at most some seconds, and return whether it has come."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self._thread is None or not self._thread.is_alive()

    def _live(self, done: Callable[[Session], None], failed: Callable[[], None]) -> None:
        """Do the work, and hand on what comes of it."""
        try:
            session = self.make(self.tell)
        except LeftError:
            return
        except (Exception, SystemExit) as error:
            self.failure = error
            if self._is_awaited:
                self._heard.wait(FAREWELL_SECONDS)
            failed()
        else:
            done(session)
