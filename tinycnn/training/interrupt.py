"""Letting Ctrl-C act between two steps, and never inside one.

Nothing is written here: the loop tells the callbacks (``Callback.interrupted``), and
:class:`tinycnn.callbacks.BackupAndRestore` writes the state.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

#: Ctrl-C, and what ``kill`` sends: the commands make the latter act as Ctrl-C, a program of its own may do so too.
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """A note of whether Ctrl-C was pressed, and whether the state is being kept since."""

    pressed = False
    keeping = False

    def check(self, keep: Callable[[], None] | None = None) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed; to be called where nothing is half done.

        Before that, ``keep()`` is called, which pressing again does not interrupt.
        """
        if self.pressed:
            if keep is not None:
                self.keeping = True
                keep()
            raise KeyboardInterrupt


@contextmanager
def deferred_interrupt() -> Iterator[Interrupt]:
    """Make Ctrl-C wait inside the block until :meth:`Interrupt.check` is called; pressed twice, it acts at once.

    Whoever presses it again while the state is written wants the end, not to lose the state, and waits for it.

    Weights are updated one parameter after another, so an interrupt at any moment could leave half a step behind.
    Python delivers signals to the main thread only; in another thread this block changes nothing. A signal that has
    another handler than Ctrl-C usually has is left alone.
    """
    interrupt = Interrupt()
    replaced: list[int] = []
    if threading.current_thread() is threading.main_thread():
        replaced = [one for one in SIGNALS if signal.getsignal(one) is signal.default_int_handler]

    def note(number: int, frame: FrameType | None) -> None:
        if interrupt.pressed and not interrupt.keeping:
            signal.default_int_handler(number, frame)
        interrupt.pressed = True

    for one in replaced:
        signal.signal(one, note)
    try:
        yield interrupt
    finally:
        for one in replaced:
            signal.signal(one, signal.default_int_handler)
