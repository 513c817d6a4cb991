"""The learner's file in a process of its own, with limits on its time and memory.

Whatever the learner's code does there (it ends the process, prints "passed", patches a library or loops for ever), the
grader gets arrays or the reason why there are none. It may start no process, and write files in a temporary folder
only. This protects from mistakes and pranks. It is no sandbox against malice: machine code called through ctypes may do
what its user may, so grade strangers' files in a container.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..core import system
from ..core.messages import bytes_text
from . import child

__all__ = ["Answer", "Learner"]

#: How many seconds one call may take; loading the file may take twice as long.
PER_CALL = 5.0
#: How much memory the process may ask for, in bytes, where the system can limit it.
MEMORY = 4 << 30
#: The number of the signal SIGKILL, which no program outlives.
_SIGKILL = 9


class Answer(NamedTuple):
    """What came of a call.

    Attributes
    ----------
    kind : str
        ``returned``, ``loaded``, ``missing`` (there is no such function), ``arguments`` (it takes others), ``error``
        (it raised one), ``timeout``, ``ended`` (the process is gone) or ``garbled`` (it sent what is no answer).
    details : dict
        What belongs to this kind, for instance ``result``.
    printed : str
        The beginning of what was printed.
    """

    kind: str
    details: dict[str, Any]
    printed: str = ""

    @property
    def fatal(self) -> bool:
        """Whether the process had to be left, so that trying many more cases would take long."""
        return self.kind in ("timeout", "ended", "garbled")


class Learner:
    """A learner's file, loaded in a process that is started when it is needed and again after it has ended.

    Parameters
    ----------
    path : Path
        Where the file is; it is named in errors, and its folder is the last one in which modules are looked for.
    source : bytes
        What is loaded.

    Use it in a ``with`` statement, which ends the process.

    Raises
    ------
    OSError
        On Windows, where a process cannot be handed an end of a connection in this way.
    """

    def __init__(self, path: Path, source: bytes) -> None:
        if system.on_windows():
            raise OSError(
                "your functions are run in a process of their own, which is given one end of a connection, and Windows "
                "does not do that in the way that is used here; run this command in WSL, the Linux within Windows"
            )
        self.path, self.source = path, source
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._number = 0
        self._folder = tempfile.TemporaryDirectory(prefix="tinycnn-check-", ignore_cleanup_errors=True)

    def __enter__(self) -> "Learner":
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self._end()
        finally:
            self._folder.cleanup()

    def call(self, name: str, *arguments: Any) -> Answer:
        """Call a function of the file with copies of the arguments, and return what came of it."""
        if self._connection is None:
            loaded = self.load()
            if loaded.kind != "loaded":
                return loaded
        self._number += 1
        message = {"name": name, "arguments": list(arguments), "number": self._number}
        return self._asked(message, PER_CALL, self._number)

    def load(self) -> Answer:
        """Start the process and load the file in it."""
        self._end()
        ours, theirs = socket.socketpair()
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        # One thread, because OpenBLAS reserves address space for each.
        kept |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        kept["TMPDIR"] = self._folder.name  # the only folder in which files may be written
        with theirs:
            # -I: no folder of the learner's and no variable has a say in what is imported.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-B", str(Path(child.__file__)), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                cwd=self._folder.name,
                env=kept,
                start_new_session=True,
            )
        self._connection = ours
        settings = {
            "path": str(self.path),
            "source": np.frombuffer(self.source, np.uint8),
            "folders": [str(self.path.parent), str(Path(__file__).parents[2])],
            "memory": MEMORY,
            "seconds": 600,
        }
        return self._asked(settings, 2 * PER_CALL + 5, None)  # 5: Python and NumPy start on a busy machine

    def _asked(self, message: dict[str, Any], seconds: float, number: int | None) -> Answer:
        """Send a message, and return the answer to it."""
        connection, limit = self._connection, time.monotonic() + seconds
        assert connection is not None
        try:
            connection.settimeout(seconds)
            child.send(connection, message)
            answer = child.receive(_Timed(connection, limit))  # type: ignore[arg-type]
            kind, printed, count = str(answer["kind"]), str(answer["printed"]), int(answer["characters"])
            if answer.get("number") != number:
                raise ValueError("the answer is that to another call")
            if kind not in ("loaded", "returned", "missing", "arguments", "error"):
                raise ValueError("there is no such answer")
        except TimeoutError:
            self._end()
            return Answer("timeout", {"seconds": seconds})
        except (EOFError, BrokenPipeError, ConnectionError):
            return Answer("ended", {"reason": self._end()})
        except (ValueError, KeyError, TypeError, AttributeError):
            self._end()
            return Answer("garbled", {})
        if kind == "error" and number is None:
            self._end()
        cut = f" ... (cut: {count:,} characters in all)" if count > len(printed) else ""
        return Answer(kind, answer, printed + cut)

    def _end(self) -> str:
        """End the process and all that it started, and return how it ended, in words."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        process = self._process
        if process is None:
            return ""
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.2)  # it may just have ended by itself, and then its code says why
        finally:  # also if Ctrl-C is pressed again
            if sys.platform != "win32":  # mypy knows by this that the names are there
                with contextlib.suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
            self._process = None
        code = process.wait()
        if code == -_SIGKILL:
            return f"was ended by the system, perhaps because it needs more than {bytes_text(MEMORY)} of memory"
        if code < 0:
            return f"was ended by the signal {signal.Signals(-code).name}"
        return f"ended with the exit code {code}"


class _Timed:
    """A connection whose reads stop at a moment, however many there are."""

    def __init__(self, connection: socket.socket, limit: float) -> None:
        self._connection, self._limit = connection, limit

    def recv(self, size: int) -> bytes:
        left = self._limit - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv(size)
