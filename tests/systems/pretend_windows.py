"""A plugin for pytest that takes away what Windows's Python does not have, before any test file is read.

    python -m pytest -p pretend_windows -n 0 -m needs

Then the tests of what is missing have to skip and say why, and no other file may need it to be read. The tests
themselves run on Linux's Python, which would not get far without its own functions, so only those are run that skip.
"""

import contextlib
import os
import signal
import sys

# Other packages tell by sys.platform what there is, so they have to find it while they are imported.
import numba
import platformdirs.macos  # noqa: F401

with contextlib.suppress(ImportError):
    import numba.cuda  # noqa: F401

#: What Windows's Python does not have.
MISSING = ("chown", "fork", "geteuid", "getuid", "mkfifo", "register_at_fork", "sysconf", "uname")
MISSING_MODULES = ("fcntl", "pty", "resource", "termios")
#: The same, that this process itself or the other simulation cannot be without as long as it runs tests.
ALSO_MISSING = ("openpty", "pwrite", "sched_getaffinity", "sched_setaffinity")
ALSO_MISSING_SIGNALS = ("SIGALRM", "SIGKILL", "SIGPROF", "setitimer")


def refuse(*given: object, **named: object) -> None:
    """Answer to the making of a link as Windows does to a user without that right."""
    raise OSError(22, "A required privilege is not held by the client", str(given[0]))


def pytest_configure() -> None:
    """Take it away; the platform's name is tinycnn's own."""
    for name in (*MISSING, *ALSO_MISSING):
        delattr(os, name)
    for name in ALSO_MISSING_SIGNALS:
        delattr(signal, name)
    for name in MISSING_MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    os.symlink = refuse  # type: ignore[assignment]

    from tinycnn.core import system

    system.PLATFORM = "win32"
