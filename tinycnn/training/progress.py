"""What ``fit`` prints: a bar in a terminal, one plain line per epoch anywhere else."""

import sys
import time
from typing import Any

import numpy as np
from tqdm import tqdm

from .callback import Logs


class Progress:
    """The progress of a fit, shown epoch by epoch.

    Parameters
    ----------
    verbose : {0, 1, 2}
        0 shows nothing; 1 shows a bar if standard output is a terminal, and lines otherwise; 2 always shows lines.
    epochs : int
        How many epochs there are, for the titles.
    """

    def __init__(self, verbose: int, epochs: int) -> None:
        self._lines = verbose > 0
        # There is no standard output if it was closed, or in a program that has windows instead of a terminal.
        self._bars = verbose == 1 and sys.stdout is not None and sys.stdout.isatty()
        self._epochs = epochs
        self._bar: Any = None

    def start(self, epoch: int, images: int | None, done: int = 0) -> None:
        """Begin an epoch of ``images`` training images (None if that is not known), of which ``done`` are done."""
        self._started, self._images, self._epoch = time.perf_counter(), 0, epoch
        if self._bars:
            self._bar = tqdm(
                total=images,
                initial=done,
                desc=self._title(),
                unit=" images",
                unit_scale=True,
                file=sys.stdout,
                leave=False,
                dynamic_ncols=True,
            )

    def advance(self, images: int, logs: Logs) -> None:
        """Show that another batch is done; ``logs`` are the means over the epoch so far."""
        self._images += images
        if self._bar is not None:
            self._bar.set_postfix_str(figures(logs), refresh=False)
            self._bar.update(images)

    def trained(self) -> None:
        """Stop the clock: the last batch is done, and the validation that follows does not count as training."""
        self._seconds = time.perf_counter() - self._started

    def finish(self, logs: Logs) -> None:
        """Print the epoch's line."""
        self.close()
        if self._lines:
            rate = self._images / max(self._seconds, 1e-9)
            print(f"{self._title()}  {self._seconds:.1f} s  {rate:,.0f} images/s  {figures(logs)}", flush=True)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _title(self) -> str:
        """Return the epoch's number, counted from 1, and the number of epochs."""
        width = len(str(self._epochs))
        return f"Epoch {self._epoch + 1:>{width}}/{self._epochs}"


def figures(logs: Logs) -> str:
    """Return the logs as text for people.

    Examples
    --------
    >>> figures({"loss": 0.123456, "accuracy": 0.98, "learning_rate": 0.001})
    'loss 0.1235  accuracy 0.9800  learning_rate 0.001'
    """
    formats = {"learning_rate": "g"}
    return "  ".join(
        f"{key} {value:{formats.get(key, '.4f')}}" if isinstance(value, int | float | np.number) else f"{key} {value}"
        for key, value in logs.items()  # a callback may add values of any type
    )
