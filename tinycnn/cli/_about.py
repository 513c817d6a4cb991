"""What a record says about where it was made: versions and hardware, no name of the machine or its user."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy

from .. import __version__


def versions() -> dict[str, str]:
    """Of tinycnn, and of everything that computes."""
    own = {"tinycnn": __version__, "python": platform.python_version(), "numpy": numpy.__version__}
    return own | {name: version(name) for name in ("numba", "scipy")}


def machine() -> dict[str, Any]:
    """What the speed depends on."""
    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        processor = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not Linux, or a processor without that line
        pass
    return {"system": platform.platform(), "processor": processor, "cores": os.cpu_count()}
