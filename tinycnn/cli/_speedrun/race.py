"""The watch of a speedrun: it starts before the process does, and stops when the process tells its accuracy."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

#: How a process of this engine is started; target, seed and threads follow.
OURS = (sys.executable, "-P", "-m", "tinycnn.cli._speedrun.runner")


class Lap(NamedTuple):
    """One run.

    Attributes
    ----------
    seed : int
    seconds : float
        From the start of the process to its message.
    accuracy : float
        Of the test images.
    parts : mapping
        Seconds of the parts as the process itself measured them.
    warnings : str
        What the process printed to standard error.
    """

    seed: int
    seconds: float
    accuracy: float
    parts: Mapping[str, float]
    warnings: str = ""


def environment() -> dict[str, str]:
    """Return the environment of a process that runs this very tinycnn, whatever lies in the current folder."""
    here = str(Path(__file__).parents[3])
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))}


def lap(command: Sequence[str], seed: int, environment: Mapping[str, str] | None = None) -> Lap:
    """Start a process, and return when it has told its accuracy in a line of JSON and has ended.

    Parameters
    ----------
    command : sequence of str
    seed : int
        The seed that the command names.
    environment : mapping, optional
        Environment variables in place of this process's.

    Raises
    ------
    ChildProcessError
        If the process fails; the message has what it printed last.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
        )
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            seconds = time.perf_counter() - started
            process.wait()
        finally:  # also after Ctrl-C
            process.kill()
            process.stdout.close()
            process.wait()
        errors.seek(0)
        said = errors.read()
    if process.returncode != 0 or not line.startswith("{"):
        last = [text for text in said.splitlines() if text.strip()][-1:]
        raise ChildProcessError(
            f"the run with seed {seed} ended without a result: {''.join(last) or 'it printed nothing'}"
        )
    told: dict[str, Any] = json.loads(line)
    return Lap(seed, seconds, float(told["accuracy"]), told["seconds"], said)
