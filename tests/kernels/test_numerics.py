"""The bits of the fast products: when they may change, and how wrong they are."""

import hashlib

import numba
import numpy as np
import pytest
from numba.core.registry import cpu_target

from tinycnn.core.version import NUMERICS
from tinycnn.kernels import cpu
from tinycnn.kernels.geometry import Window

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="the bits are those of compiled kernels")

#: The first digits of the SHA-256 of each result below. They are the same on every processor, because a fused
#: multiply-add rounds once everywhere, and because no sum depends on the width of vectors. In Winograd's transforms and
#: in normalisations the compiler fuses where the processor can.
VERSION = 4
BITS = {
    "dense_forward": "d34a9fd4a4ec",
    "dense_backward_input": "808f28d75d1b",
    "dense_backward_weights": "f76c519e16ca",
    "direct, 3 to 10 channels, forward": "48ebd3e9b83d",
    "direct, 3 to 10 channels, dx": "c00c9caeec6e",
    "direct, 3 to 10 channels, dw": "02c1c41f0920",
    "direct, 40 to 33 channels, forward": "c1213477ce0b",
    "direct, 40 to 33 channels, dx": "3d24f8569ca0",
    "direct, 40 to 33 channels, dw": "5c163156a522",
    "winograd, 16 to 20 channels, forward": "d9516b8d3dbe",
    "winograd, 16 to 20 channels, dx": "b482af8aac48",
    "winograd, 16 to 20 channels, dw": "381b11bf7664",
    "in lanes, forward": "09c1644a37ef",
    "in lanes, dx": "1adbae871056",
    "in lanes, dw": "f23f2ccc062d",
    "in lanes, bands of rows, forward": "b14d578c7c60",
    "in lanes, bands of rows, dx": "ae2690129253",
    "in lanes, bands of rows, dw": "7e6e226b19e5",
    "in lanes, winograd, forward": "3ae9d89b12a1",
    "in lanes, winograd, dx": "bde3e7fe8240",
    "with a normalisation, direct, forward": "a67c3afaaecc",
    "with a normalisation, direct, variance": "54c998defe99",
    "with a normalisation, direct, dx": "7853f267a6f9",
    "with a normalisation, direct, dgamma": "0c435edd23a3",
    "with a normalisation, winograd, forward": "44faa0c8ea83",
    "with a normalisation, winograd, variance": "a5cb921350f1",
    "with a normalisation, winograd, dx": "c24b27f600d6",
    "with a normalisation, winograd, dgamma": "38a2f98299f6",
}


def drawn(*shape, seed=0):
    """Return numbers that are exact in float32, so that they are the same everywhere."""
    return (np.random.default_rng(seed).integers(-(2**20), 2**20, shape) / 2**20).astype(np.float32)


def results():
    """Yield names and results of products with more than one block of steps, and with vectors that are cut off."""
    x, w, dy = drawn(300, 600), drawn(600, 37, seed=1), drawn(300, 37, seed=2)
    yield "dense_forward", cpu.dense_forward(x, w, drawn(37, seed=3))
    yield "dense_backward_input", cpu.dense_backward_input(dy, w)
    yield "dense_backward_weights", cpu.dense_backward_weights(dy, x)[0]
    unit = (1, 1), (0, 0, 0, 0), (1, 1), 1
    for algorithm, C, F in (("direct", 3, 10), ("direct", 40, 33), ("winograd", 16, 20)):
        x, w, dy = drawn(5, 19, 19, C), drawn(3, 3, C, F, seed=1), drawn(5, 17, 17, F, seed=2)
        name = f"{algorithm}, {C} to {F} channels, "
        yield name + "forward", cpu.conv2d_forward(x, w, None, *unit, algorithm=algorithm)
        yield name + "dx", cpu.conv2d_backward_input(dy, w, (19, 19), *unit, algorithm=algorithm)
        yield name + "dw", cpu.conv2d_backward_weights(dy, x, (3, 3), *unit, algorithm=algorithm)[0]
    w, window, wants = drawn(3, 3, 3, 11, seed=1), Window((3, 3), (1, 1), (0, 0, 0, 0)), (True, True)
    for name, size in (("in lanes, ", 9), ("in lanes, bands of rows, ", 20)):
        lanes = cpu.fused.to_lanes(drawn(20, size, size, 3))
        y, none = cpu.fused.conv2d_stage_forward(lanes, w, None, window, 1, "auto", True, None)
        yield name + "forward", y
        dx, dw, _ = cpu.fused.conv2d_stage_backward(y, y, none, lanes, w, window, 1, "auto", True, None, wants)
        yield name + "dx", dx
        yield name + "dw", dw
    lanes, w, none = cpu.fused.to_lanes(drawn(20, 13, 14, 9)), drawn(3, 3, 9, 11, seed=1), np.empty(0, np.uint8)
    y, _ = cpu.fused.conv2d_stage_forward(lanes, w, None, window, 1, "winograd", True, None)
    yield "in lanes, winograd, forward", y
    arguments = y, y, none, lanes, w, window, 1, "winograd", True, None
    yield "in lanes, winograd, dx", cpu.fused.conv2d_stage_backward(*arguments, (True, False))[0]
    x, pool, (gamma, beta) = drawn(20, 9, 10, 17), Window((2, 2), (2, 2), (0, 0, 0, 0)), drawn(2, 33, seed=2)
    w = drawn(3, 3, 17, 33, seed=1)
    for algorithm in ("direct", "winograd"):
        stage = window, 1, algorithm, True, pool
        y, argmax, z, peaks, *statistics = cpu.fused.conv2d_norm_stage_forward(x, w, None, *stage, gamma, beta, 0.001)
        gradients = cpu.fused.conv2d_norm_stage_backward(
            y, argmax, z, peaks, x, w, *stage, gamma, *statistics, 0.001, (True, True)
        )
        named = {"forward": y, "variance": statistics[1], "dx": gradients[0], "dgamma": gradients[3]}
        for name, array in named.items():
            yield f"with a normalisation, {algorithm}, {name}", array


def test_bits_change_only_with_the_numerics_version():
    found = {name: hashlib.sha256(array.tobytes()).hexdigest()[:12] for name, array in results()}
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    fuses = "+fma" in features.split(",")
    alike = {name: bits for name, bits in BITS.items() if "winograd" not in name and "normalisation" not in name}
    expected = BITS if fuses else alike
    cure = "if results were meant to change, raise NUMERICS in core/version.py and take these digests"
    assert {name: found[name] for name in expected} == expected, cure
    assert found.keys() == BITS.keys()
    assert VERSION == NUMERICS


@pytest.mark.parametrize("terms", [10_000, 9_216])
def test_sums_of_many_terms_are_nearly_as_good_as_float32_can_be(terms):
    x, w = drawn(64, terms), drawn(terms, 40, seed=1)
    exact = x.astype(np.float64) @ w.astype(np.float64)
    for result in (
        cpu.dense_forward(x, w, None),
        cpu.dense_backward_weights(w, np.ascontiguousarray(x.T))[0],
        cpu.dense_backward_input(x, np.ascontiguousarray(w.T)),
        cpu.conv2d_forward(x.reshape(64, 1, 1, terms), w.reshape(1, 1, terms, 40), None, (1, 1), (0,) * 4, (1, 1), 1)[
            :, 0, 0
        ],
    ):
        assert np.abs(result - exact).max() / np.abs(exact).max() < 5e-7
