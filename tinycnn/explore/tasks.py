"""Work over many images in a thread of its own, which can be watched and stopped and ends by itself after some time."""

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from typing import Any

from .mine import told

#: After how many seconds a task ends, whether it has seen all images or not.
SECONDS = 120.0


class Task:
    """A piece of work on a set of images.

    Parameters
    ----------
    total : int
        How many images there are.
    seconds : float
        After how many seconds the work ends.

    Attributes
    ----------
    version : int
        The version of the weights that it is about; the work sets it.
    done : int
        How many images it has seen.
    result : Any
        What it has found; None as long as it works.
    error : str or None
        Why it failed.
    cut : str or None
        Why it ended before it had seen all images.
    ended : threading.Event
        Set when it has ended in any way.
    """

    def __init__(self, total: int, seconds: float) -> None:
        self.version = 0
        self.done, self.total = 0, total
        self.result: Any = None
        self.error: str | None = None
        self.cut: str | None = None
        self.ended = threading.Event()
        self._stop = threading.Event()
        self._seconds = seconds

    def stop(self) -> None:
        """End the work after the block of images that it is at."""
        self._stop.set()

    def blocks(self, size: int) -> Iterator[slice]:
        """Yield the images block by block, until all have been seen, time is up, or somebody stops the work."""
        until = time.monotonic() + self._seconds
        while self.done < self.total:
            if self._stop.is_set():
                self.cut = "it was stopped"
            elif time.monotonic() > until and self.done:
                self.cut = f"the limit of {self._seconds:g} seconds was reached"
            if self.cut is not None:
                return
            end = min(self.done + size, self.total)
            yield slice(self.done, end)
            self.done = end

    def run(self, work: Callable[["Task"], Any], turn: threading.Lock) -> None:
        """Do the work when it is its turn, and keep what it returns or why it failed."""
        try:
            with turn:
                self.result = work(self)
        except (Exception, SystemExit) as error:  # a user's own layer or kernel may raise anything; the page shows it
            self.error = told(error)
        finally:
            self.ended.set()

    def is_good(self, version: int) -> bool:
        """Return whether it has seen all images with the weights of this version."""
        return self.ended.is_set() and self.version == version and self.error is None and self.cut is None


class Tasks:
    """The tasks of a session by their keys; one works at a time, so that the machine can still answer.

    Parameters
    ----------
    seconds : float
        After how many seconds a task ends.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._tasks: dict[Hashable, Task] = {}
        self._lock, self._turn = threading.Lock(), threading.Lock()

    def ask(self, key: Hashable, total: int, work: Callable[[Task], Any], version: int, again: bool) -> Task:
        """Return the task of a key, which may have begun just now.

        Parameters
        ----------
        key : hashable
        total : int
            How many images there are.
        work : function of a Task
            Returns the result.
        version : int
            The version of the weights as they are now.
        again : bool
            Whether to begin anew if the weights have changed since, or the last task did not see all images. Without
            it, somebody who waits for a task is never sent to the next one, however often the weights change.
        """
        with self._lock:
            task = self._tasks.get(key)
            if task is None or (again and task.ended.is_set() and not task.is_good(version)):
                task = self._tasks[key] = Task(total, self._seconds)
                thread = threading.Thread(target=task.run, args=(work, self._turn), daemon=True)
                thread.start()
            return task

    def stop(self) -> None:
        """Stop all that are at work."""
        with self._lock:
            for task in self._tasks.values():
                task.stop()
