"""In float32, the error of each kernel against float64 stays within the bound that docs/accuracy.md states for it."""

import re
from pathlib import Path

import numpy as np
import pytest
from test_kernels_threads import is_real, large_arguments

from tinycnn.kernels import cpu, reference

PAGE = Path(__file__).parents[2] / "docs" / "accuracy.md"
#: Bounds by backend: a row of the page is ``| `kernel` | cpu | reference |``, "exact" standing for 0.
ROW = re.compile(r"^\| `(\w+)` \| (\S+) \| (\S+) \|$", re.MULTILINE)


def bounds():
    """Return the bounds that the page states."""
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    return {name: tuple(0.0 if cell == "exact" else float(cell) for cell in cells) for name, *cells in rows}


def results(kernel, arguments, dtype):
    """Return every floating array that a kernel returns or changes in place."""
    arguments = [a.astype(dtype) if is_real(a) else a for a in arguments]
    result = kernel(*arguments)
    outputs = arguments if result is None else result if isinstance(result, tuple) else (result,)
    return [np.asarray(o) for o in outputs if np.asarray(o).dtype.kind == "f"]


def test_every_kernel_has_a_bound():
    assert sorted(bounds()) == sorted(reference.__all__)


@pytest.mark.parametrize("name", reference.__all__)
def test_bound(name):
    """The error is the largest one over the largest result, with sums over 10,000 numbers and more."""
    arguments = large_arguments()[name]
    exact = results(getattr(reference, name), arguments, np.float64)
    for backend, bound in zip((cpu, reference), bounds()[name], strict=True):
        for found, true in zip(results(getattr(backend, name), arguments, np.float32), exact, strict=True):
            error = np.abs(found - true).max() / np.abs(true).max()
            assert error <= bound, f"{backend.__name__}: {error:.2g}"
