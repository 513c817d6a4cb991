"""What a record says about where it was made: versions and hardware, no name of the machine or its user."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..core.version import versions as core_versions


def versions() -> dict[str, str]:
    """Of tinycnn, and of everything that computes."""
    return core_versions() | {"scipy": version("scipy")}


def machine() -> dict[str, Any]:
    """What the speed depends on."""
    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        processor = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not Linux, or a processor without that line
        pass
    return {"system": platform.platform(), "processor": processor, "cores": os.cpu_count()}
