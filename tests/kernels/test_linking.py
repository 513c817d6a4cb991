"""Helpers are made machine code of within their callers only, and it is the same code."""

import importlib
import inspect
import io
import pkgutil
import tokenize

import numba
import numpy as np
import pytest
from numba.core import codegen
from numba.extending import register_jitable

from tinycnn.kernels.cpu.machine import linking
from tinycnn.kernels.cpu.machine.jit import FASTMATH, helper
from tinycnn.kernels.cpu.machine.parallel import _entry, parallel

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


def test_the_source_of_what_is_compiled_is_that_of_its_kernel():
    """Numba reads it when it caches the code, and from Python 3.13 on, half a statement there is an error."""
    modules = [importlib.import_module(name) for name in _modules("tinycnn.kernels.cpu")]
    loops = [value for module in modules for value in vars(module).values() if isinstance(value, parallel)]
    assert len(loops) > 20
    for loop in loops:
        made = loop._like(_entry, {}, "digest")
        assert inspect.getsource(made) == inspect.getsource(loop.function)
        tokens = tokenize.generate_tokens(io.StringIO(inspect.getsource(made)).readline)
        assert {"def", loop.function.__name__} <= {token.string for token in tokens}


def _modules(package):
    """Return the names of all modules in a package."""
    path = importlib.import_module(package).__path__
    return [module.name for module in pkgutil.walk_packages(path, f"{package}.")]
