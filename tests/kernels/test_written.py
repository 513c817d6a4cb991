"""Intrinsics that are written instruction by instruction: what their parameters become."""

import numba
import numpy as np
import pytest

from tinycnn.kernels.cpu.machine.written import written


def _in_python(x, start, y, factor, negative):
    y[0] = x[start] * (-factor if negative else factor)


@written(_in_python)
def scaled(write, x, y, factor, negative):
    """Write ``y[0] = x[start] * factor``, or the negative of it."""
    builder = write.builder
    factor = builder.select(negative, builder.fneg(factor), factor)
    builder.store(builder.fmul(builder.load(x), factor), y)


@numba.njit
def scale(x, start, y, factor, negative):
    """Call the intrinsic."""
    scaled(x, start, y, factor, negative)


@pytest.mark.parametrize("start", [np.int64(2), np.int32(2), np.uint8(2)], ids=["int64", "int32", "uint8"])
@pytest.mark.parametrize("factor", [np.float32(0.1), 0.1], ids=["float32", "float64"])
def test_an_array_and_its_offset_become_an_address_and_numbers_take_the_type_of_the_first_array(start, factor):
    x, y, z = np.arange(5, dtype=np.float32), np.zeros(1, np.float32), np.zeros(1, np.float32)
    for negative in (False, True):
        scale(x, start, y, factor, negative)
        _in_python(x, int(start), z, np.float32(0.1), negative)
        assert y[0] == z[0] == np.float32(2) * np.float32(-0.1 if negative else 0.1)


def test_arrays_of_different_numbers_are_refused_when_they_are_compiled():
    if numba.config.DISABLE_JIT:
        pytest.skip("nothing is compiled")
    with pytest.raises(numba.TypingError, match="scaled"):
        scale(np.zeros(3, np.float32), 1, np.zeros(1), 2.0, False)
    scale(np.zeros(3), 1, np.zeros(1), 2.0, False)


def test_without_compiled_code_the_plain_function_takes_its_place(monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert written(_in_python)(lambda write, x, y, factor, negative: None) is _in_python
