"""A convolution with the batch normalisation and the pooling behind it, against the reference's kernels in turn."""

import json

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_kernels_threads import run_python

from tinycnn.kernels import cpu, reference
from tinycnn.kernels.geometry import Window

fused = cpu.fused
NO_PADS = (0, 0, 0, 0)
EPSILON = 1e-3
TOLERANCE = {"float32": 1e-4, "float64": 1e-11}
POOLS = (
    None,
    Window((2, 2), (2, 2), NO_PADS),
    Window((3, 2), (2, 1), (1, 0, 0, 1)),
    Window((1, 2), (3, 2), NO_PADS),
)
COMPILED = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="plain Python has one thread")


def close(found, expected, tolerance, size=1.0):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max(initial=0) <= tolerance * max(size, np.abs(expected).max(initial=0))


def in_turn(x, w, b, window, groups, relu, pool, gamma, beta):
    """Return y, winners, what is normalised, and its statistics, as the definitions give them."""
    z = reference.conv2d_forward(x, w, b, window.strides, window.pads, window.dilation, groups)
    z = reference.relu_forward(z) if relu else z
    y, mean, variance = reference.batch_norm_forward(z, gamma, beta, EPSILON)
    if pool is None:
        return y, None, z, mean, variance
    return *reference.max_pool2d_forward(y, pool.size, pool.strides, pool.pads), z, mean, variance


def back_in_turn(dy, argmax, z, x, w, window, groups, relu, pool, gamma, mean, variance):
    """Return dx, dw, db, dgamma and dbeta, as the definitions give them."""
    if pool is not None:
        dy = reference.max_pool2d_backward(dy, argmax, z.shape[1:3], pool.size, pool.strides, pool.pads)
    dz, dgamma, dbeta = reference.batch_norm_backward(dy, z, gamma, mean, variance, EPSILON)
    dz = reference.relu_backward(dz, z) if relu else dz
    geometry = window.strides, window.pads, window.dilation, groups
    dx = reference.conv2d_backward_input(dz, w, x.shape[1:3], *geometry)
    return dx, *reference.conv2d_backward_weights(dz, x, window.size, *geometry), dgamma, dbeta


@st.composite
def stages(draw):
    """Draw a convolution, half of them such that Winograd's algorithm can do, and what stands behind it."""
    size = draw(st.tuples(st.integers(4, 9), st.integers(4, 9)))
    pads = draw(st.tuples(*[st.integers(0, 2)] * 4))
    if draw(st.booleans()):
        window, groups = Window((3, 3), (1, 1), pads), 1
        algorithm = draw(st.sampled_from(["auto", "direct", "winograd"]))
    else:
        kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        window = Window(kernel, draw(st.tuples(*[st.integers(1, 2)] * 2)), pads)
        groups, algorithm = draw(st.sampled_from([1, 2])), draw(st.sampled_from(["auto", "direct"]))
    channels, filters = (groups * draw(st.integers(1, 20)) for _ in range(2))
    x_shape = draw(st.sampled_from([16, 17, 21])), *size, channels
    result = window.output_size(size)
    pool = draw(st.sampled_from([pool for pool in POOLS if pool is None or min(pool.output_size(result)) > 0]))
    return x_shape, filters, window, groups, algorithm, draw(st.booleans()), pool


@settings(max_examples=60)
@given(stages(), st.sampled_from(["float32", "float64"]), st.booleans(), st.integers(0, 2**32 - 1))
def test_a_stage_with_a_normalisation_is_its_kernels_in_turn(stage, dtype, bias, seed):
    x_shape, F, window, groups, algorithm, relu, pool = stage
    rng = np.random.default_rng(seed)
    x, w = (rng.standard_normal(s).astype(dtype) for s in (x_shape, (*window.size, x_shape[-1] // groups, F)))
    b, gamma, beta = rng.standard_normal((3, F)).astype(dtype)
    gamma[rng.random(F) < 0.1] = 0  # then all values are equal, and the first one of a window wins
    b = b if bias else None
    found = fused.conv2d_norm_stage_forward(x, w, b, window, groups, algorithm, relu, pool, gamma, beta, EPSILON)
    exact = [None if array is None else array.astype(np.float64) for array in (x, w, b, gamma, beta)]
    expected = in_turn(*exact[:3], window, groups, relu, pool, *exact[3:])
    y, argmax, z, peaks, mean, variance = found
    assert y.dtype == z.dtype == mean.dtype == dtype
    for got, want in zip((y, z, mean, variance), (expected[0], *expected[2:]), strict=True):
        close(got, want, TOLERANCE[dtype])
    if pool is not None:
        at = reference.max_pool2d_backward(np.ones_like(y), argmax, z.shape[1:3], pool.size, pool.strides, pool.pads)
        assert at.sum() == y.size  # each winner lies inside the image
        if dtype == "float64":
            np.testing.assert_array_equal(argmax, expected[1])
        close((peaks - mean) * (gamma / np.sqrt(variance + np.asarray(EPSILON, dtype))) + beta, y, TOLERANCE[dtype])

    dy = rng.standard_normal(y.shape).astype(dtype)
    wants = bool(rng.integers(2)), bool(rng.integers(2))
    gradients = fused.conv2d_norm_stage_backward(
        dy, argmax, z, peaks, x, w, window, groups, algorithm, relu, pool, gamma, mean, variance, EPSILON, wants
    )
    # Which of two nearly equal values wins, and whether one near zero passes the ReLU, is decided as it was found.
    expected = back_in_turn(
        dy.astype(np.float64), argmax, z.astype(np.float64), *exact[:2], window, groups, relu, pool, exact[3],
        expected[3], expected[4],
    )  # fmt: skip
    wanted = wants[0], wants[1], wants[1], True, True
    # Behind a normalisation the gradients of a bias cancel, so they are compared with what they are the sum of.
    sizes = 1.0, 1.0, float(np.abs(dy).sum() / F), 1.0, 1.0
    for got, want, wanted_one, size in zip(gradients, expected, wanted, sizes, strict=True):
        if wanted_one:
            close(got, want, 20 * TOLERANCE[dtype], size)
        else:
            assert got.size == 0


@pytest.mark.parametrize("pool", POOLS[:2])
def test_a_channel_with_a_nan_is_nan_as_in_the_definition(pool):
    rng = np.random.default_rng(0)
    x, w, (b, gamma, beta) = rng.standard_normal((16, 6, 6, 2)), np.zeros((3, 3, 2, 4)), rng.standard_normal((3, 4))
    w[:, :, 0, :2], w[:, :, 1, 2:] = rng.standard_normal((2, 3, 3, 2))
    x[3, 2, 2, 1] = np.inf  # 0 * inf is NaN, so all filters see it; half of them see inf as well
    stage = Window((3, 3), (1, 1), (1, 1, 1, 1)), 1
    with np.errstate(invalid="ignore"):
        y, argmax, *_ = fused.conv2d_norm_stage_forward(x, w, b, *stage, "direct", True, pool, gamma, beta, EPSILON)
        expected, winners, *_ = in_turn(x, w, b, *stage, True, pool, gamma, beta)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
    assert np.isnan(y).all()
    if pool is not None:
        np.testing.assert_array_equal(argmax, winners)


@pytest.mark.parametrize("shape", [(15, 4, 4, 2), (16, 4, 4, 0), (0, 4, 4, 2)])
def test_few_images_are_refused(shape):
    ones = np.ones(3)
    with pytest.raises(ValueError, match="x must hold at least 16 images"):
        fused.conv2d_norm_stage_forward(
            np.ones(shape), np.ones((1, 1, shape[-1], 3)), None, Window((1, 1), (1, 1), NO_PADS), 1, "auto", True,
            None, ones, ones, EPSILON,
        )  # fmt: skip


SCRIPT = """
import hashlib, json
import numpy as np
from tinycnn.kernels import cpu
from tinycnn.kernels.geometry import Window
rng, digests = np.random.default_rng(0), []
for algorithm in "direct", "winograd":
    for pool in None, Window((2, 2), (2, 2), (0, 0, 0, 0)):
        x, w = rng.standard_normal((37, 9, 10, 20), np.float32), rng.standard_normal((3, 3, 20, 24), np.float32)
        gamma, beta = rng.standard_normal((2, 24), np.float32)
        stage = Window((3, 3), (1, 1), (1, 1, 1, 1)), 1, algorithm, True, pool
        y, argmax, z, peaks, *statistics = cpu.fused.conv2d_norm_stage_forward(x, w, beta, *stage, gamma, beta, 1e-3)
        gradients = cpu.fused.conv2d_norm_stage_backward(
            y, argmax, z, peaks, x, w, *stage, gamma, *statistics, 1e-3, (True, True)
        )
        digests += [hashlib.sha256(a.tobytes()).hexdigest() for a in (y, argmax, z, *statistics, *gradients)]
print(json.dumps(digests))
"""


@COMPILED
def test_bits_do_not_depend_on_the_number_of_threads():
    outputs = [json.loads(run_python(SCRIPT, NUMBA_NUM_THREADS=str(n))) for n in (1, 2, 3, 8)]
    assert outputs[1:] == outputs[:1] * 3
