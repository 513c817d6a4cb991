"""What a record says about where it was made: versions and hardware, but no name of the machine or its user."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..core.version import versions as core_versions


def versions() -> dict[str, str]:
    """Return the versions of tinycnn and of all packages that compute."""
    return core_versions() | {"scipy": version("scipy")}


def machine() -> dict[str, Any]:
    """Return the properties of the machine on which the speed depends."""
    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        processor = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not Linux, or a processor that has no such line
        pass
    return {"system": platform.platform(), "processor": processor, "cores": os.cpu_count()}
