"""What ``fit`` prints: a bar in a terminal, a line that moves in a notebook, and one plain line per epoch anywhere."""

import sys
import time
from typing import Any, Protocol

from tqdm import tqdm

from ..core.printing import OUT, degraded, say
from .callback import Logs, value_text

#: Seconds between two looks of the line in a notebook; each look is a message to the browser.
LOOK_SECONDS = 0.5


class Progress:
    """The progress of a fit, shown epoch by epoch.

    Parameters
    ----------
    verbose : {0, 1, 2}
        0 shows nothing; 1 shows a bar if standard output is a terminal, a line that moves if it is a notebook, and
        otherwise only a line for each epoch that is done; 2 shows only these lines.
    epochs : int
        How many epochs there are, for the titles.
    """

    def __init__(self, verbose: int, epochs: int) -> None:
        self._lines = verbose > 0
        self._epochs = epochs
        self._moving: _Moving | None = None
        if verbose == 1:
            self._moving = _Bar() if OUT.isatty() else _NotebookLine() if in_notebook() else None

    def start(self, epoch: int, images: int | None, done: int = 0) -> None:
        """Begin an epoch of ``images`` training images (None if that is not known), of which ``done`` are done."""
        self._started, self._images, self._epoch = time.perf_counter(), 0, epoch
        if self._moving is not None:
            self._moving.start(self._title(), images, done)

    def advance(self, images: int, logs: Logs) -> None:
        """Show that another batch is done; ``logs`` are the means over the epoch so far."""
        self._images += images
        if self._moving is not None:
            self._moving.advance(images, logs)

    def trained(self) -> None:
        """Stop the clock: the last batch is done, and the validation that follows does not count as training."""
        self._seconds = time.perf_counter() - self._started

    def finish(self, logs: Logs) -> None:
        """Print the epoch's line."""
        self.close()
        if self._lines:
            rate = self._images / max(self._seconds, 1e-9)
            say(f"{self._title()}  {self._seconds:.1f} s  {rate:,.0f} images/s  {figures(logs)}")

    def close(self) -> None:
        """Remove what moves."""
        if self._moving is not None:
            self._moving.close()

    def _title(self) -> str:
        """Return the epoch's number, counted from 1, and the number of epochs."""
        width = len(str(self._epochs))
        return f"Epoch {self._epoch + 1:>{width}}/{self._epochs}"


class _Moving(Protocol):
    """What shows the progress within an epoch."""

    def start(self, title: str, images: int | None, done: int) -> None: ...

    def advance(self, images: int, logs: Logs) -> None: ...

    def close(self) -> None: ...


class _Bar:
    """A bar in a terminal."""

    _bar: Any = None

    def start(self, title: str, images: int | None, done: int) -> None:
        self._bar = tqdm(
            total=images,
            initial=done,
            desc=title,
            unit=" images",
            unit_scale=True,
            file=OUT,
            leave=False,
            dynamic_ncols=True,
        )

    def advance(self, images: int, logs: Logs) -> None:
        self._bar.set_postfix_str(degraded(figures(logs), OUT.encoding), refresh=False)
        self._bar.update(images)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class _NotebookLine:
    """A line in a notebook that is written anew at most every :data:`LOOK_SECONDS`, above the lines of the epochs.

    It is a display that the notebook replaces, and not text with carriage returns, which a saved notebook would keep
    all of. There is no need for a widget, which would be missing in a saved notebook.
    """

    def __init__(self) -> None:
        self._display = sys.modules["IPython.display"].display  # the notebook's kernel has imported it
        self._handle: Any = None
        self._begun = time.monotonic()
        self._title, self._open = "", False

    def start(self, title: str, images: int | None, done: int) -> None:
        self._title, self._images, self._done = title, images, done
        self._started, self._at_start, self._open = time.monotonic(), done, True
        self._look = self._started + LOOK_SECONDS
        self._show(title)

    def advance(self, images: int, logs: Logs) -> None:
        self._done += images
        now = time.monotonic()
        if now < self._look:
            return
        self._look = now + LOOK_SECONDS
        rate = (self._done - self._at_start) / max(now - self._started, 1e-9)
        share = f"{self._done:,}" if self._images is None else f"{self._done / self._images:.0%} of {self._images:,}"
        self._show(f"{self._title}  {share} images  {rate:,.0f} images/s  {figures(logs)}")

    def close(self) -> None:
        if self._open:
            self._open = False
            self._show(f"{self._title}  {time.monotonic() - self._begun:.1f} s in all")

    def _show(self, text: str) -> None:
        data = {"text/plain": text}
        if self._handle is None:
            self._handle = self._display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


def in_notebook() -> bool:
    """Return whether standard output is a notebook's, as that of ipykernel is; Jupyter, Colab and VS Code have it."""
    return type(sys.stdout).__module__ == "ipykernel.iostream"


def figures(logs: Logs) -> str:
    """Return the logs as text for people.

    Examples
    --------
    >>> figures({"loss": 0.123456, "accuracy": 0.98, "learning_rate": 0.001})
    'loss 0.1235  accuracy 0.9800  learning_rate 0.001'
    """
    return "  ".join(f"{key} {value_text(key, value)}" for key, value in logs.items())
