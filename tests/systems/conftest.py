"""A simulated Windows and a simulated macOS, as far as a Linux can behave like them.

What is proved with them is that tinycnn takes the way which is meant for the system, and that this way works where
files that a process has open cannot be replaced. Whether Windows and macOS themselves behave so is not proved.
"""

import os
import sys
from pathlib import Path

import pytest
from pretend_windows import MISSING, MISSING_MODULES

from tinycnn.core import system


def denied(path):
    return PermissionError(13, "Permission denied", str(path))  # as Windows's "access is denied" arrives in Python


def is_open(path):
    """Return whether this process has a file open or mapped into its memory."""
    real = os.path.realpath(path)
    handles = Path("/proc/self/fd")
    opened = [os.path.realpath(handle) for handle in handles.iterdir()]
    mapped = [line.split(maxsplit=5)[-1].strip() for line in Path("/proc/self/maps").read_text("utf-8").splitlines()]
    return real in opened or real in mapped


@pytest.fixture
def windows(monkeypatch):
    """Pretend to be on Windows: nothing replaces or deletes an open file, folders cannot be opened, nobody forks."""
    if not Path("/proc/self/maps").exists():
        pytest.skip("it needs /proc to see which files are open, as Windows itself sees it")
    for name in MISSING:
        monkeypatch.delattr(os, name, raising=False)
    for name in MISSING_MODULES:
        monkeypatch.setitem(sys.modules, name, None)
    replace, unlink, open_ = os.replace, os.unlink, os.open

    def windows_replace(source, target, **named):
        if is_open(source) or is_open(target):
            raise denied(target)
        replace(source, target, **named)

    def windows_unlink(path, **named):
        if is_open(path):
            raise denied(path)
        unlink(path, **named)

    def windows_open(path, flags, *given, **named):
        if os.path.isdir(path):
            raise denied(path)
        return open_(path, flags, *given, **named)

    monkeypatch.setattr(os, "replace", windows_replace)
    monkeypatch.setattr(os, "unlink", windows_unlink)
    monkeypatch.setattr(os, "remove", windows_unlink)
    monkeypatch.setattr(os, "open", windows_open)
    monkeypatch.setattr(system, "PLATFORM", "win32")


class Clock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self):
        self.now, self.pauses = 0.0, []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        assert seconds > 0
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    from tinycnn.core import files

    clock = Clock()
    monkeypatch.setattr(files, "time", clock)
    return clock
