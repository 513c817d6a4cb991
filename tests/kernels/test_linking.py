"""Helpers are made machine code of within their callers only, and it is the same code."""

import numba
import numpy as np
import pytest
from numba.core import codegen
from numba.extending import register_jitable

from tinycnn.kernels.cpu.machine import linking
from tinycnn.kernels.cpu.machine.jit import FASTMATH, helper

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")

X = np.linspace(-1, 3, 1001, dtype=np.float32)


def kernel_of(decorate):
    """Return a jitted function that calls a helper, which calls another one; no two share what is compiled."""

    @decorate
    def innermost(x, i):
        return x[i] * x[i] + x[i]

    @decorate
    def inner(x, n):
        if n < 0:
            raise ValueError("n must not be negative")
        total = x.dtype.type(0)
        for i in range(n):
            total += innermost(x, i)
        return total

    @numba.njit(error_model="numpy", fastmath=FASTMATH)
    def kernel(x, n):
        return inner(x, n) / n

    return kernel


@pytest.fixture
def loaded(monkeypatch):
    """The names of the functions that Numba makes machine code of."""
    names = []
    add_module = codegen.JITCPUCodegen._add_module

    def noted(self, module):
        names.extend(function.name for function in module.functions if not function.is_declaration)
        add_module(self, module)

    monkeypatch.setattr(codegen.JITCPUCodegen, "_add_module", noted)
    return names


def test_this_version_of_numba_has_what_it_takes():
    assert linking.OPTIONS


def test_a_helper_is_no_code_by_itself_and_gives_the_same_bits(loaded):
    linked = kernel_of(helper)(X, 1000)
    assert any("kernel" in name for name in loaded)
    assert not any("inner" in name for name in loaded)
    as_usual = kernel_of(register_jitable(error_model="numpy", fastmath=FASTMATH))(X, 1000)
    assert any("inner" in name for name in loaded)
    assert linked == as_usual
    assert linked == pytest.approx(float(np.mean(X[:1000].astype(np.float64) ** 2 + X[:1000])), rel=1e-5)


def test_an_error_in_a_helper_reaches_python():
    with pytest.raises(ValueError, match="n must not be negative"):
        kernel_of(helper)(X, -1)


@pytest.mark.parametrize("missing", ["_optimize_final_module", "_finalize_final_module", "_library_class"])
def test_a_numba_without_what_it_takes_is_noticed(monkeypatch, missing):
    for owner in (codegen.JITCodeLibrary, codegen.JITCPUCodegen):
        for base in owner.__mro__:
            if missing in vars(base):
                monkeypatch.delattr(base, missing)
    assert not linking._is_possible()
