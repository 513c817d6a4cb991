"""A training that ends after some seconds and some batches, and shows all the time how far it is."""

import math
import time
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

from .. import callbacks
from ..core.printing import OUT, say

#: Seconds between two lines where standard output is no terminal.
LINE_SECONDS = 2.5
#: With so many batches after the first one, the time of all of them can be told.
MEASURED = 3


class Moment(callbacks.Callback):
    """Stop a fit when its time is over and it has taken enough batches, and show on the way how far it is.

    The time counts from the end of the first batch, which may have to compile kernels. If the batches take longer than
    the time, it says as soon as it knows for how long.

    Parameters
    ----------
    seconds : float
        The time.
    batches : int
        The least number of batches.
    tell : function
        Is told how far it is as well: a text, and a share from 0 to 1 or, before the first batch is done, None.
    """

    def __init__(self, seconds: float, batches: int, tell: Callable[[str, float | None], None]) -> None:
        self._seconds, self._least, self._tell = seconds, batches, tell
        self._pace = ""  # how long the batches take, if that is longer than was said
        self._taken, self._begun, self._before, self._line = 0, 0.0, 0.0, 0.0
        self._fastest = math.inf  # of the first batches, some of which may have compiled something
        self._bar: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Show that the first batch is on its way."""
        first = "the first batch compiles what is not compiled yet"
        self._tell(f"Training: {first}. The first time on a machine, this can take minutes", None)
        if OUT.isatty():
            form = "{desc} {percentage:3.0f}%|{bar}| {postfix}"
            self._bar = tqdm(total=1.0, desc="Training", bar_format=form, file=OUT, leave=False, dynamic_ncols=True)
            self._bar.set_postfix_str(first)
        else:
            say(f"Training: {first}")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Show how far it is, and stop if that is the end."""
        now = time.perf_counter()
        self._taken += 1
        if self._taken == 1:
            self._begun = self._line = now
        elif self._taken <= MEASURED + 1:
            self._fastest = min(self._fastest, now - self._before)
        self._before = now
        passed = now - self._begun
        if self._taken == MEASURED + 1:
            self._tell_time(self._fastest)
        self.model.stop_training = passed > self._seconds and self._taken >= self._least
        logs = logs or {}
        accuracy = f", accuracy {logs['accuracy']:.1%}" if "accuracy" in logs else ""
        batches = "batch" if self._taken == 1 else "batches"
        text = f"{self._taken} {batches}, {passed:.0f} s, loss {logs.get('loss', 0.0):.3f}{accuracy}"
        share = min(1.0, passed / self._seconds, self._taken / self._least)
        self._show(share, now, text)
        self._tell(f"{text}. {self._pace}".removesuffix(". "), share)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _tell_time(self, each: float) -> None:
        """Say how long the batches take, if that is longer than was said."""
        whole = each * (self._least - 1)
        if whole <= 1.2 * self._seconds:
            return
        if self._bar is not None:
            self._bar.clear()  # the line is printed in its place
        self._pace = f"A batch takes {each:.1f} s here, so the {self._least} batches take about {whole:.0f} s"
        say(self._pace)

    def _show(self, share: float, now: float, text: str) -> None:
        """Show the share of the time and of the batches that is done, whichever is smaller."""
        if self._bar is not None:
            self._bar.n = share
            self._bar.set_postfix_str(text)
        elif now - self._line >= LINE_SECONDS:
            self._line = now
            say(text)
