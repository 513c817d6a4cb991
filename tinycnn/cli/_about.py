"""What a record says about where it was made: versions and hardware, but no name of the machine or its user."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..core.version import versions as core_versions

#: The root of the checkout, if this is one, and what of it computes.
_ROOT = Path(__file__).parents[2]
_COMPUTES = ("tinycnn", "kernels", "pyproject.toml")


def versions() -> dict[str, str]:
    """Return the versions of tinycnn and of all packages that compute."""
    return core_versions() | {"scipy": version("scipy")}


def machine() -> dict[str, Any]:
    """Return the properties of the machine on which the speed depends."""
    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    first = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))}
    if "model name" in first:
        # Cloud machines hide the name's number, so that only family and model tell one generation from another.
        numbers = [f"{key.split()[-1]} {first[key]}" for key in ("cpu family", "model") if key in first]
        processor = ", ".join([first["model name"], *numbers])
    return {"system": platform.platform(), "processor": processor, "cores": os.cpu_count()}


def commit() -> str | None:
    """Return the commit that computes, with a remark if its files were changed since; None outside a checkout."""
    if not (_ROOT / ".git").exists():
        return None
    try:
        found = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", *_COMPUTES)
    except (OSError, subprocess.SubprocessError):  # no git, or not a repository that it can read
        return None
    return f"{found} with changes" if changed else found


def _git(*arguments: str) -> str:
    """Return what git prints in the checkout."""
    # Within a hook of another repository, git's own variables would name that one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *arguments],
        cwd=_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=30,
        check=True,
    )
    return done.stdout.strip()
