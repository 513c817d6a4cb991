"""Imports NVIDIA's package ``cuda``, whose name the script ``cuda.py`` in this folder has too; to be imported first."""

import sys
from pathlib import Path

_here = str(Path(__file__).resolve().parent)
_path = list(sys.path)
sys.path[:] = [entry for entry in _path if str(Path(entry or ".").resolve()) != _here]
try:
    import cuda.bindings  # noqa: F401
except ImportError:  # then numba-cuda is not there either, and the scripts will say so
    pass
finally:
    sys.path[:] = _path
