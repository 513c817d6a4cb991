"""Remember on what kind of machine the outputs of the pages were written: elsewhere training rounds differently."""

import json
from pathlib import Path

import llvmlite.binding
import numba
import numpy as np

from tinycnn.cli import _about

NOTE = Path(__file__).with_name("written_on.json")


def this_machine() -> dict[str, str]:
    """Return what decides how the kernels and NumPy round."""
    kind = f"{_about.machine()['processor']}, {llvmlite.binding.get_host_cpu_name()}"
    return {"processor": kind, "numpy": np.__version__, "numba": numba.__version__}


def note_this_machine() -> None:
    """Write down that the outputs come from this machine."""
    NOTE.write_text(json.dumps(this_machine(), indent=1) + "\n", "utf-8")


def elsewhere() -> bool:
    """Whether this machine may round differently from the one that wrote the pages."""
    return json.loads(NOTE.read_text("utf-8")) != this_machine()
