"""Winograd's convolution is compared with the definition in float64: rounding, odd sizes, borders, NaN."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinycnn.kernels import cpu
from tinycnn.kernels.cpu.convolution import winograd_tiles as winograd
from tinycnn.kernels.cpu.fused.conv_pool import stage_plan
from tinycnn.kernels.cpu.machine.micro_kernel import micro_kernel
from tinycnn.kernels.geometry import Window
from tinycnn.kernels.reference import conv as reference

BOUND = {np.float32: 1e-5, np.float64: 1e-13}  # largest error, relative to the largest result
WINDOW = ((1, 1), (1, 1, 1, 1), (1, 1), 1)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@numba.njit(error_model="numpy")
def filters_driver(w, C, F, flipped, u, scratch):
    rows = F if flipped else C
    for first in range(0, rows, 2):  # in pieces, as in parallel loops
        winograd.transform_filters(w, 0, C, F, flipped, u, 0, first, min(rows, first + 2), scratch, 3)


@numba.njit(error_model="numpy")
def forward_driver(
    micro, canvas, size, width, C, N, unit, OH, OW, u, F, bias, floor, out, run, rows, channels, scratch
):
    for n in range(0, N, unit):
        winograd.convolve_block(
            micro, canvas, n * size, size, width, C, min(unit, N - n), OH, OW, u, 0, F, bias, 0, floor, out,
            n * OH * OW * F, run, rows, channels, scratch, 5,
        )  # fmt: skip


@numba.njit(error_model="numpy")
def weights_driver(micro, canvas, size, width, C, N, unit, OH, OW, dz, F, du, dw, run, tiles, channels, scratch):
    block = winograd.COLUMNS
    for c in range(0, C, block):
        for f in range(0, F, block):
            cs, fs = min(block, C - c), min(block, F - f)
            du[:] = 0
            half = 36 * cs * fs
            for n in range(0, N, unit):  # every other unit goes to a second part of the sum
                winograd.weights_block(
                    micro, canvas, n * size, size, width, C, c, cs, min(unit, N - n), OH, OW, dz, n * OH * OW * F, F, f,
                    fs, du, n // unit % 2 * half, run, tiles, channels, scratch, 5,
                )  # fmt: skip
            winograd.weights_from(du, 0, 2, c, cs, F, f, fs, C, dw, 0, 0, cs // 2)
            winograd.weights_from(du, 0, 2, c, cs, F, f, fs, C, dw, 0, cs // 2, cs)


def on_canvas(x):
    """Return each image with a border of one zero, enlarged to whole tiles."""
    N, H, W, C = x.shape
    canvas = np.zeros((N, -(-H // 4) * 4 + 2, -(-W // 4) * 4 + 2, C), x.dtype)
    canvas[:, 1 : H + 1, 1 : W + 1] = x
    return canvas


def unset(size, dtype):
    """Return scratch memory that is NaN wherever it has not been written."""
    return np.full(size + 5, np.nan, dtype)


def forward(x, w, b, floor=-np.inf, unit=2, run=8, flipped=False):
    """Return the convolution, or with ``flipped`` the input gradient for x = dy, by the functions under test."""
    C, F = w.shape[3:1:-1] if flipped else w.shape[2:]
    canvas, item = on_canvas(x), x.itemsize
    N, OH, OW, _ = x.shape
    u = unset(winograd.filters_size(C, F, item), x.dtype)
    scratch = unset(winograd.forward_scratch(run, C, F, item) + 9 * F, x.dtype)
    filters_driver(w.reshape(-1), *w.shape[2:], flipped, u, scratch)
    out = np.empty((N, OH, OW, F), x.dtype)
    forward_driver(
        micro_kernel(x.dtype), canvas.reshape(-1), canvas[0].size, canvas.shape[2], C, N, unit, OH, OW, u, F, b,
        x.dtype.type(floor), out.reshape(-1), run, *winograd.tables(run, C), scratch,
    )  # fmt: skip
    return out


def weights(dz, x, unit=2, run=8):
    """Return the weight gradient by the functions under test."""
    (N, OH, OW, F), C = dz.shape, x.shape[3]
    canvas, row = on_canvas(x), min(C, winograd.COLUMNS)
    dw = np.empty((3, 3, C, F), x.dtype)
    du = np.empty(2 * 36 * row * min(F, winograd.COLUMNS), x.dtype)
    weights_driver(
        micro_kernel(x.dtype), canvas.reshape(-1), canvas[0].size, canvas.shape[2], C, N, unit, OH, OW, dz.reshape(-1),
        F, du, dw.reshape(-1), run, *winograd.tables(run, row),
        unset(winograd.weights_scratch(run, C, F, x.itemsize), x.dtype),
    )  # fmt: skip
    return dw


def drawn(seed, *shapes, dtype):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def assert_near(actual, expected, bound):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=bound * max(1e-3, np.abs(expected).max()))


sizes, channels = st.integers(1, 13), st.sampled_from([1, 3, 5, 16, 17, 32, 33, 65])
geometries = given(
    N=st.integers(1, 5), OH=sizes, OW=sizes, C=channels, F=channels, unit=st.integers(1, 3),
    run=st.sampled_from([1, 3, 8, 16]), seed=st.integers(0, 99),
)  # fmt: skip


@dtypes
@settings(deadline=None, max_examples=40)
@geometries
def test_forward(dtype, N, OH, OW, C, F, unit, run, seed):
    x, w, b = drawn(seed, (N, OH, OW, C), (3, 3, C, F), (F,), dtype=dtype)
    expected = reference.conv2d_forward(*(a.astype(np.float64) for a in (x, w, b)), *WINDOW)
    assert_near(forward(x, w, b, unit=unit, run=run), expected, BOUND[dtype])
    assert_near(forward(x, w, b, 0, unit=unit, run=run), np.maximum(expected, 0), BOUND[dtype])


@dtypes
@settings(deadline=None, max_examples=40)
@geometries
def test_input_gradient(dtype, N, OH, OW, C, F, unit, run, seed):
    dy, w = drawn(seed, (N, OH, OW, F), (3, 3, C, F), dtype=dtype)
    expected = reference.conv2d_backward_input(dy.astype(np.float64), w.astype(np.float64), (OH, OW), *WINDOW)
    assert_near(forward(dy, w, np.zeros(C, dtype), unit=unit, run=run, flipped=True), expected, BOUND[dtype])


@dtypes
@settings(deadline=None, max_examples=40)
@geometries
def test_weight_gradient(dtype, N, OH, OW, C, F, unit, run, seed):
    dz, x = drawn(seed, (N, OH, OW, F), (N, OH, OW, C), dtype=dtype)
    expected = reference.conv2d_backward_weights(dz.astype(np.float64), x.astype(np.float64), (3, 3), *WINDOW)[0]
    assert_near(weights(dz, x, unit=unit, run=run), expected, BOUND[dtype])


@dtypes
@pytest.mark.parametrize("shape", [(4, 28, 28, 32, 64), (8, 7, 7, 128, 128)])
def test_stated_accuracy(dtype, shape):
    N, H, W, C, F = shape
    x, w, b, dz = drawn(1, (N, H, W, C), (3, 3, C, F), (F,), (N, H, W, F), dtype=dtype)
    bound = 4e-6 if dtype == np.float32 else 1e-14
    assert_near(forward(x, w, b), reference.conv2d_forward(*(a.astype(np.float64) for a in (x, w, b)), *WINDOW), bound)
    expected = reference.conv2d_backward_weights(dz.astype(np.float64), x.astype(np.float64), (3, 3), *WINDOW)[0]
    assert_near(weights(dz, x), expected, bound)


@pytest.mark.parametrize("floor", [0.0, -np.inf])
def test_nan_surfaces(floor):
    x, w, b, dz = drawn(2, (2, 7, 9, 5), (3, 3, 5, 17), (17,), (2, 7, 9, 17), dtype=np.float32)
    clean = forward(x, w, b, floor)
    x[1, 4, 6, 2] = np.nan
    y = forward(x, w, b, floor)
    assert np.isnan(y[1, 3:6, 5:8]).all()
    np.testing.assert_array_equal(y[0], clean[0])
    assert np.isnan(weights(dz, x)[:, :, 2]).all()
    dz[0, 6, 8, 3] = np.nan
    assert np.isnan(weights(dz, np.ones_like(x))[..., 3]).all()


@pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT), reason="the product's Python form is BLAS, whose sums depend on sizes"
)
def test_bits_do_not_depend_on_how_the_batch_is_cut():
    x, w, b = drawn(3, (7, 9, 6, 33), (3, 3, 33, 65), (65,), dtype=np.float32)
    expected = forward(x, w, b, unit=7, run=16)
    for unit, run in [(1, 8), (2, 3), (3, 24)]:
        np.testing.assert_array_equal(forward(x, w, b, unit=unit, run=run), expected)


def test_scratch_and_outputs_are_used_within_their_bounds():
    """Each array ends where its memory ends, and a foreign value after it stays as it is."""
    x, w, b = drawn(4, (3, 6, 5, 17), (3, 3, 17, 33), (33,), dtype=np.float32)
    memory = np.full(3 * 6 * 5 * 33 + 64, 7, np.float32)
    canvas = on_canvas(x)
    u = np.full(winograd.filters_size(17, 33, 4) + 64, 7, np.float32)
    size = winograd.forward_scratch(8, 17, 33, 4)
    scratch = np.full(5 + size + 64, 7, np.float32)
    filters_driver(w.reshape(-1), 17, 33, False, u, np.empty(3 + 9 * 33, np.float32))
    forward_driver(
        micro_kernel(x.dtype), canvas.reshape(-1), canvas[0].size, canvas.shape[2], 17, 3, 3, 6, 5, u, 33, b,
        np.float32(-np.inf), memory, 8, *winograd.tables(8, 17), scratch,
    )  # fmt: skip
    for array in (memory, u, scratch):
        assert (array[-64:] == 7).all()


def test_preferred_by_shape():
    def preferred(kernel=(3, 3), strides=(1, 1), dilation=(1, 1), groups=1, C=32, F=64, OH=28, OW=28, N=64):
        return winograd.preferred(kernel, strides, dilation, groups, C, F, OH, OW, N)

    assert preferred()
    assert preferred(OH=7, OW=7)
    for other in [
        {"kernel": (5, 5)}, {"strides": (1, 2)}, {"dilation": (2, 1)}, {"groups": 2}, {"C": 3}, {"F": 8},
        {"OH": 2, "OW": 2}, {"OH": 7, "OW": 7, "N": 1},
    ]:  # fmt: skip
        assert not preferred(**other), other


def test_block_sizes():
    assert winograd.run_length(32, 4) == 64
    assert winograd.run_length(4096, 8) == 16
    assert winograd.images_per_block(128, 7, 7, 64) == winograd.images_per_block(64, 7, 7, 64) == 8
    assert winograd.images_per_block(24, 7, 7, 64) == 3
    assert winograd.images_per_block(1, 7, 7, 64) == winograd.images_per_block(64, 28, 56, 64) == 1


POOLS = {
    "none": None,
    "2x2": Window((2, 2), (2, 2), (0, 0, 0, 0)),
    "4x4": Window((4, 4), (4, 4), (0, 0, 1, 0)),
    "overlapping": Window((3, 3), (2, 2), (0, 0, 0, 0)),
    "with a pad": Window((2, 2), (2, 2), (1, 0, 0, 0)),
    "by three": Window((3, 3), (3, 3), (0, 0, 0, 0)),
}


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("height", [13, 16, 19, 34])
@pytest.mark.parametrize("normalised", [False, True])
def test_an_image_alone_is_cut_into_rows_and_has_the_bits_that_it_has_in_a_batch(pool, height, normalised):
    rng = np.random.default_rng(3)
    x, w = rng.standard_normal((9, height, 9, 5), np.float32), rng.standard_normal((3, 3, 5, 6), np.float32)
    terms = *rng.uniform(0.5, 2, (4, 6)).astype(np.float32), 0.001
    stage = Window((3, 3), (1, 1), (1, 1, 1, 1)), 1, "winograd", True, POOLS[pool], terms if normalised else None
    batch = cpu.fused.conv2d_stage_forward(x, w, None, *stage)
    for n in (1, 3):
        plan = stage_plan(x[:n].shape, 4, 6, *stage[:3], POOLS[pool])
        assert plan.sizes.cuts == (1 if height < 16 or pool in list(POOLS)[3:] else 4 if height > 32 else 2)
        few = cpu.fused.conv2d_stage_forward(x[:n].copy(), w, None, *stage)
        for whole, part in zip(batch, few, strict=True):
            np.testing.assert_array_equal(part, whole[:n])
