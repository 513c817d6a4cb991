"""Import NVIDIA's package ``cuda`` in spite of the script ``cuda.py`` in this folder, which has the same name.

This module must be imported before anything that imports numba-cuda.
"""

import sys
from pathlib import Path

_here = str(Path(__file__).resolve().parent)
_path = list(sys.path)
sys.path[:] = [entry for entry in _path if str(Path(entry or ".").resolve()) != _here]
try:
    import cuda.bindings  # noqa: F401
except ImportError:  # Then numba-cuda is missing too, and the scripts will say so.
    pass
finally:
    sys.path[:] = _path
