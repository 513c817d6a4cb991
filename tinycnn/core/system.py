"""What the system can do, and what its users type: the one module that tells Windows and macOS from Linux.

Tests pretend to be on another system by setting :data:`PLATFORM`. No other module of the engine asks for the system's
name.
"""

import ctypes
import math
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from .messages import shown

#: The system's name, as in :data:`sys.platform`: ``"linux"``, ``"darwin"`` (macOS) or ``"win32"`` (Windows).
PLATFORM: str = sys.platform
#: Names that Windows gives to devices, in any folder and with any ending.
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(\..*)?", re.IGNORECASE)
#: Characters that no name of a file or folder may hold on Windows.
_REFUSED = re.compile(r'[<>:"|?*\\\x00-\x1f]')


def on_windows() -> bool:
    """Return whether the system is Windows itself; a Linux within it (WSL) is a Linux."""
    return PLATFORM == "win32"


def on_macos() -> bool:
    """Return whether the system is macOS."""
    return PLATFORM == "darwin"


def can_flush_folders() -> bool:
    """Return whether a folder can be opened and flushed to the disk; Windows refuses to open one."""
    return not on_windows()


def can_replace_open_files() -> bool:
    """Return whether a file can be replaced or deleted that a process has open; on Windows it cannot."""
    return not on_windows()


def memory_bytes() -> int | None:
    """Return the bytes of memory of this machine, or None if the system does not tell."""
    if on_windows():
        return _windows_memory()
    sysconf = getattr(os, "sysconf", None)  # Windows does not have it
    try:
        found = [sysconf(name) for name in ("SC_PAGE_SIZE", "SC_PHYS_PAGES")] if sysconf else []
    except (ValueError, OSError):
        return None
    return math.prod(found) if found and min(found) > 0 else None


class _MemoryStatus(ctypes.Structure):
    """The structure MEMORYSTATUSEX, into which Windows writes how much memory there is."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("memory", ctypes.c_uint64),
        ("others", ctypes.c_uint64 * 6),
    )


def _windows_memory() -> int | None:
    """Return the bytes of memory that Windows tells, or None if it does not."""
    libraries: Any = getattr(ctypes, "windll", None)  # only Windows has it
    status = _MemoryStatus(size=ctypes.sizeof(_MemoryStatus))
    if libraries is None or not libraries.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return int(status.memory)


def cache_folder() -> Path:
    r"""Return where this system keeps what programs can make again, in a folder for tinycnn; nothing is created.

    That is ``$XDG_CACHE_HOME/tinycnn`` or ``~/.cache/tinycnn`` on Linux, ``~/Library/Caches/tinycnn`` on macOS, and
    ``%LOCALAPPDATA%\tinycnn\Cache`` on Windows.
    """
    import platformdirs  # imported late, because a fit needs it only before it compiles

    return Path(platformdirs.user_cache_dir("tinycnn", appauthor=False))


def unsetting(variable: str) -> str:
    """Return the command with which a user unsets an environment variable."""
    if on_windows():
        return f"set {variable}= (in PowerShell: Remove-Item Env:{variable})"
    return f"unset {variable}"


def quoted(text: str) -> str:
    """Return an argument of a command in such quotes as the system's shell needs.

    Examples
    --------
    >>> quoted("runs")
    'runs'
    """
    if not on_windows():
        return shlex.quote(text)
    return text if re.fullmatch(r"[\w@+=:./\\~-]+", text) else f'"{text}"'


def check_name(name: str) -> None:
    """Raise ValueError if a file or folder of this name could not be made, or not be found again, on every system.

    A folder may be copied from one system to another. So what Windows does not allow is refused everywhere.

    Parameters
    ----------
    name : str
        The name itself, without the folders above it.

    Examples
    --------
    >>> check_name("run 2.")
    Traceback (most recent call last):
    ...
    ValueError: 'run 2.' ends in a dot or a space, which Windows drops; give another name
    """
    refused = _REFUSED.search(name)
    if refused:
        reason = f"has the character {refused[0]!r}, which no name of a file or folder may hold on Windows"
    elif _DEVICES.fullmatch(name):
        reason = "is the name of a device on Windows, so no file or folder can have it there"
    elif name != name.rstrip(". "):
        reason = "ends in a dot or a space, which Windows drops"
    else:
        return
    raise ValueError(f"{shown(name)} {reason}; give another name")
