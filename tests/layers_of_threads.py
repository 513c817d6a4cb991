"""Numba's three kinds of threads, on each of which tests run."""

import os
import sys
from pathlib import Path

import pytest
from helpers import has

LAYERS = ("omp", "tbb", "workqueue")


def on_layer(layer):
    """Return the environment variables with which Numba uses that kind of threads, or skip the test."""
    if layer == "omp" and not has("numba.np.ufunc.omppool"):
        pytest.skip("Numba finds no OpenMP here")
    variables = {"NUMBA_THREADING_LAYER": layer}
    if layer == "tbb":
        # pip puts the library where the loader does not look for it.
        folder = Path(sys.prefix, "lib")
        if not (folder / "libtbb.so.12").exists() and not os.environ.get("TINYCNN_REQUIRE_TBB"):
            pytest.skip("needs pip install tbb, on Linux on x86-64")
        variables["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("LD_LIBRARY_PATH")]))
    return variables
