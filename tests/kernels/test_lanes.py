"""Kernels for sixteen images in the lanes of a vector, against the reference."""

import json

import numba
import numpy as np
import pytest
from hypothesis import assume, settings
from hypothesis import given as given_drawn
from hypothesis import strategies as st
from test_kernels_threads import is_real, placer, run_python

from tinycnn.kernels import cpu, reference
from tinycnn.kernels.cpu.convolution import choice, direct_plan
from tinycnn.kernels.geometry import Window

fused = cpu.fused
NO_PADS = (0, 0, 0, 0)
#: window, strides, pads, dilation, groups, channels, filters
GEOMETRIES = {
    "3x3": ((3, 3), (1, 1), NO_PADS, (1, 1), 1, 1, 8),
    "same": ((3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1, 5, 7),
    "uneven pads": ((2, 4), (1, 1), (0, 1, 2, 1), (1, 1), 1, 3, 11),
    "strides": ((3, 2), (2, 3), (1, 0, 1, 1), (1, 1), 1, 4, 3),
    "dilation": ((2, 3), (1, 1), (1, 1, 0, 2), (2, 2), 1, 2, 9),
    "groups": ((3, 3), (1, 1), NO_PADS, (1, 1), 3, 6, 15),
    "1x1": ((1, 1), (1, 1), NO_PADS, (1, 1), 1, 16, 10),
    "long sums": ((5, 5), (1, 1), (2, 2, 2, 2), (1, 1), 1, 13, 6),
}
#: pads, channels, filters of 3x3 windows
TILED = {
    "no pads": (NO_PADS, 1, 8),
    "same": ((1, 1, 1, 1), 5, 17),
    "uneven pads": ((0, 3, 2, 1), 13, 3),
}
POOLS = {
    "none": None,
    "2x2": Window((2, 2), (2, 2), NO_PADS),
    "overlapping": Window((3, 2), (2, 1), (1, 0, 1, 1)),
    "apart": Window((1, 2), (3, 2), NO_PADS),
}
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-13}
COMPILED = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="the bits are those of compiled kernels")
#: Numbers of images: some do not fill a block, or leave lanes of the last one empty.
IMAGES = [1, 15, 16, 17, 31, 33]


def drawn(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


def close(found, expected, dtype):
    scale = max(1, np.abs(expected).max(initial=0))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max(initial=0) <= TOLERANCE[dtype] * scale


@pytest.mark.parametrize("images", [1, 15, 16, 17, 32, 40])
@pytest.mark.parametrize("size", [(1, 1, 1), (5, 3, 2), (13, 13, 10)])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_into_lanes_and_out_again(images, size, dtype):
    x = drawn(np.random.default_rng(0), (images, *size), dtype)
    lanes = fused.to_lanes(x)
    blocks = -(-images // fused.LANES)
    assert lanes.shape == (blocks, *size, fused.LANES) == fused.lanes_shape(x.shape)
    for n in range(blocks * fused.LANES):
        image = lanes[n // fused.LANES, ..., n % fused.LANES]
        assert np.array_equal(image, x[n] if n < images else np.zeros(size))
    assert np.array_equal(fused.from_lanes(lanes, images), x)
    out = np.empty_like(lanes)
    assert fused.to_lanes(x, out) is out


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("pooled", POOLS)
@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_stage_in_lanes(name, pooled, dtype, monkeypatch):
    monkeypatch.setattr(direct_plan, "CHUNK_PIXELS", 1)  # so that images this small are cut into bands
    direct_plan.plan.cache_clear()
    fused.conv_pool.stage_plan.cache_clear()
    check_stage(GEOMETRIES[name], POOLS[pooled], dtype, "direct", (9, 11), relu=name != "same")


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("pooled", POOLS)
@pytest.mark.parametrize("name", TILED)
def test_a_stage_in_lanes_by_winograds_algorithm(name, pooled, dtype, monkeypatch):
    monkeypatch.setattr(direct_plan, "CHUNK_PIXELS", 1)
    direct_plan.plan.cache_clear()
    fused.conv_pool.stage_plan.cache_clear()
    pads, C, F = TILED[name]
    check_stage(((3, 3), (1, 1), pads, (1, 1), 1, C, F), POOLS[pooled], dtype, "winograd", (9, 11), relu=name != "same")


@settings(deadline=None, max_examples=40)
@given_drawn(
    height=st.integers(1, 14), width=st.integers(1, 14), pads=st.tuples(*[st.integers(0, 4)] * 4),
    C=st.integers(1, 18), F=st.integers(1, 18), pooled=st.booleans(), relu=st.booleans(), images=st.integers(16, 35),
)  # fmt: skip
def test_drawn_stages_in_lanes(height, width, pads, C, F, pooled, relu, images):
    assume(height + pads[0] + pads[1] >= 3 + pooled)
    assume(width + pads[2] + pads[3] >= 3 + pooled)
    geometry = (3, 3), (1, 1), pads, (1, 1), 1, C, F
    pool = POOLS["2x2"] if pooled else None
    check_stage(geometry, pool, np.float64, "winograd", (height, width), relu=relu, images=images)


def check_stage(geometry, pool, dtype, algorithm, image, *, relu, images=19):
    """Compare a stage's results and gradients with the reference's."""
    size, strides, pads, dilation, groups, C, F = geometry
    window, geometry = Window(size, strides, pads, dilation), (strides, pads, dilation, groups)
    rng = np.random.default_rng(1)
    x, b = drawn(rng, (images, *image, C), dtype), drawn(rng, (F,), dtype)
    w = drawn(rng, (*size, C // groups, F), dtype)

    expected = z = reference.conv2d_forward(x, w, b, *geometry)
    if relu:
        expected = z = reference.relu_forward(z)
    if pool:
        expected, winners = reference.max_pool2d_forward(z, *pool[:3])
    lanes = fused.to_lanes(x)
    y, argmax = fused.conv2d_stage_forward(lanes, w, b, window, groups, algorithm, relu, pool)
    close(fused.from_lanes(y, len(x)), expected, dtype)

    dy = dz = drawn(rng, expected.shape, dtype)
    if pool:
        dz = reference.max_pool2d_backward(dy, winners, z.shape[1:3], *pool[:3])
    if relu:
        dz = reference.relu_backward(dz, z)
    backward = fused.to_lanes(dy), y, argmax, lanes, w, window, groups, algorithm, relu, pool
    dx, dw, db = fused.conv2d_stage_backward(*backward, (True, True))
    assert np.array_equal(dx, fused.conv2d_stage_backward(*backward, (True, False))[0])
    assert np.array_equal(dw, fused.conv2d_stage_backward(*backward, (False, True))[1])
    close(fused.from_lanes(dx, len(x)), reference.conv2d_backward_input(dz, w, x.shape[1:3], *geometry), dtype)
    for found, right in zip((dw, db), reference.conv2d_backward_weights(dz, x, size, *geometry), strict=True):
        close(found, right, dtype)


@pytest.mark.parametrize("pads", [NO_PADS, (1, 1, 1, 1), (3, 0, 0, 4)])
def test_an_infinite_weight_stays_where_its_tap_reaches(pads):
    rng, window = np.random.default_rng(4), Window((3, 3), (1, 1), pads)
    w, x = drawn(rng, (3, 3, 2, 5), np.float32), np.zeros((20, 4, 6, 2), np.float32)
    dy = drawn(rng, (20, *window.output_size((4, 6)), 5), np.float32)
    w[0, 2, 1, 3] = np.inf
    expected = reference.conv2d_backward_input(dy, w, (4, 6), (1, 1), pads, (1, 1), 1)
    lanes, none = fused.to_lanes(dy), np.empty(0, np.uint8)
    arguments = lanes, lanes, none, fused.to_lanes(x), w, window, 1, "auto", False, None, (True, False)
    with np.errstate(invalid="ignore"):
        found = fused.from_lanes(fused.conv2d_stage_backward(*arguments)[0], 20)
    assert np.array_equal(np.isfinite(found), np.isfinite(expected))
    assert not np.isfinite(expected).all()
    assert np.isfinite(expected).any()


@pytest.mark.parametrize("algorithm", ["direct", "winograd"])
def test_images_of_a_block_do_not_touch_one_another(algorithm):
    rng, window = np.random.default_rng(2), Window((3, 3), (1, 1), NO_PADS)
    x, w = drawn(rng, (20, 6, 6, 2), np.float32), drawn(rng, (3, 3, 2, 5), np.float32)

    def run(images):
        y, _ = fused.conv2d_stage_forward(fused.to_lanes(images), w, None, window, 1, algorithm, False, None)
        dx, _, _ = fused.conv2d_stage_backward(
            y, y, np.empty(0, np.uint8), fused.to_lanes(images), w, window, 1, algorithm, False, None, (True, False)
        )
        return fused.from_lanes(y, 20), fused.from_lanes(dx, 20)

    other = x.copy()
    other[3], other[17] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        for before, after in zip(run(x), run(other), strict=True):
            same = np.arange(20)[~np.isin(np.arange(20), (3, 17))]
            assert np.array_equal(before[same], after[same])
            assert np.isnan(after[3]).all()
            assert not np.isfinite(after[17]).any()


@pytest.mark.parametrize("size", [6, 8, 10, 12, 24, 28])
def test_there_are_chunks_for_many_threads(size):
    """At batch 128, as many as sixteen threads find work, unless a chunk had too few pixels to sum."""
    shapes = (8, size + 2, size + 2, 8), 16, Window((3, 3), (1, 1), NO_PADS), 1
    for algorithm in ("direct", "auto"):
        sizes = choice.choose(algorithm, *shapes, 4, lanes=16).sizes
        assert sizes.chunks >= 16
        assert sizes.chunks_backward == (16 if size >= 8 else 8)
    assert sizes.winograd == (size in (8, 12, 24, 28))
    assert not sizes.winograd_back


def test_where_winograds_algorithm_is_taken():
    window = Window((3, 3), (1, 1), (1, 1, 1, 1))

    def taken(H=12, C=8, F=16, window=window, groups=1, algorithm="auto"):
        sizes = choice.choose(algorithm, (4, H, 12, C), F, window, groups, 4, lanes=16).sizes
        return sizes.winograd, sizes.winograd_back

    assert taken() == taken(C=19, F=20) == (True, False)
    assert taken(C=20, F=20) == taken(C=31, F=22) == (True, True)
    assert taken(H=4) == taken(H=6) == taken(C=7) == taken(F=7) == taken(groups=2) == (False, False)
    assert taken(window=Window((3, 3), (1, 2), (1, 1, 1, 1))) == taken(algorithm="direct") == (False, False)
    assert taken(H=4, C=1, algorithm="winograd") == (True, True)
    with pytest.raises(ValueError, match="algorithm='winograd' needs a 3x3 window"):
        taken(groups=2, algorithm="winograd")


@COMPILED
def test_bits_of_an_image_do_not_depend_on_how_many_there_are():
    rng, window = np.random.default_rng(3), Window((3, 3), (1, 1), (1, 1, 1, 1))
    lanes, w = fused.to_lanes(drawn(rng, (320, 13, 9, 8), np.float32)), drawn(rng, (3, 3, 8, 9), np.float32)

    def run(x, pool):
        y, argmax = fused.conv2d_stage_forward(x, w, None, window, 1, "winograd", True, pool)
        return y, fused.conv2d_stage_backward(y, y, argmax, x, w, window, 1, "winograd", True, pool, (True, False))[0]

    for pool in POOLS.values():
        for few, many in zip(run(lanes[:1], pool), run(lanes, pool), strict=True):
            assert np.array_equal(few, many[:1])


@pytest.mark.parametrize("images", IMAGES)
@pytest.mark.parametrize("size", [(1, 1, 1), (5, 3, 7), (13, 13, 10)])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_mask_of_dropout_is_that_of_the_usual_layout(images, size, dtype):
    x = drawn(np.random.default_rng(0), (images, *size), dtype)
    lanes = fused.to_lanes(x)
    y = fused.lane_dropout(lanes, 0.4, 2**63 + 5, 77)
    assert np.array_equal(fused.from_lanes(y, images), reference.dropout(x, 0.4, 2**63 + 5, 77))
    assert not y.swapaxes(1, 4)[-1, images % fused.LANES or fused.LANES :].any()
    assert fused.lane_dropout(lanes, 0.4, 2**63 + 5, 77, out=lanes) is lanes
    assert np.array_equal(lanes, y)


def batch_with_rubbish(rng, images, size, dtype):
    """Return a batch, and the same in lanes with numbers in the empty lanes that nobody must see."""
    x = (3 + rng.standard_normal((images, *size))).astype(dtype)
    lanes = fused.to_lanes(x)
    lanes[-1, ..., images % fused.LANES or fused.LANES :] = 1e6
    return x, lanes


def empty_lanes(array, images):
    return array[-1, ..., images % fused.LANES or fused.LANES :]


@pytest.mark.parametrize("images", IMAGES)
@pytest.mark.parametrize("size", [(1, 1, 1), (5, 3, 7), (30, 29, 6)])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_batch_normalisation(images, size, dtype):
    rng, epsilon = np.random.default_rng(5), 1e-3
    x, lanes = batch_with_rubbish(rng, images, size, dtype)
    gamma, beta, dy = drawn(rng, size[-1:], dtype), drawn(rng, size[-1:], dtype), drawn(rng, x.shape, dtype)
    y, mean, variance = fused.lane_norm_forward(lanes, images, gamma, beta, epsilon)
    # The reference's own sums of so many float32 numbers are not good enough.
    exact = [array.astype(np.float64) for array in (x, gamma, beta, dy)]
    expected = reference.batch_norm_forward(*exact[:3], epsilon)
    for found, right in zip((fused.from_lanes(y, images), mean, variance), expected, strict=True):
        close(found, right, dtype)
    dx, dgamma, dbeta = fused.lane_norm_backward(
        fused.to_lanes(dy), lanes, images, gamma, mean, variance, epsilon, by_batch=True
    )
    expected = reference.batch_norm_backward(exact[3], *exact[:2], *expected[1:], epsilon)
    for found, right in zip((fused.from_lanes(dx, images), dgamma, dbeta), expected, strict=True):
        close(found, right, dtype)
    assert not empty_lanes(y, images).any()
    assert not empty_lanes(dx, images).any()


@pytest.mark.parametrize("images", IMAGES)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_batch_normalisation_by_given_statistics(images, dtype):
    rng, epsilon = np.random.default_rng(6), 1e-3
    x, lanes = batch_with_rubbish(rng, images, (5, 3, 7), dtype)
    gamma, beta, mean, dy = (
        drawn(rng, (7,), dtype),
        drawn(rng, (7,), dtype),
        drawn(rng, (7,), dtype),
        drawn(rng, x.shape, dtype),
    )
    variance = np.square(mean) + dtype(0.1)
    x[0] = dy[0] = np.nan  # this stays in its image, though not in the gradients of the parameters
    lanes[0, ..., 0] = np.nan
    y = fused.lane_norm_inference_forward(lanes, images, gamma, beta, mean, variance, epsilon)
    expected = reference.batch_norm_inference_forward(x, gamma, beta, mean, variance, epsilon)
    dx, dgamma, dbeta = fused.lane_norm_backward(
        fused.to_lanes(dy), lanes, images, gamma, mean, variance, epsilon, by_batch=False
    )
    assert np.isnan(dgamma).all()
    assert np.isnan(dbeta).all()
    right = reference.batch_norm_inference_backward(dy, x, gamma, mean, variance, epsilon)[0]
    for found, wanted in ((y, expected), (dx, right)):
        close(fused.from_lanes(found, images)[1:], wanted[1:], dtype)
        assert np.isnan(fused.from_lanes(found, images)[0]).all()
        assert not empty_lanes(found, images).any()


def test_nan_spreads_over_a_batch_that_normalises_itself_and_only_in_its_channel():
    x = drawn(np.random.default_rng(7), (17, 4, 4, 3), np.float32)
    x[3, 0, 0, 1] = np.nan
    ones = np.ones(3, np.float32)
    y, mean, variance = fused.lane_norm_forward(fused.to_lanes(x), 17, ones, ones, 1e-3)
    for array in (mean, variance, fused.from_lanes(y, 17).reshape(-1, 3).sum(axis=0)):
        assert list(np.isnan(array)) == [False, True, False]


def test_nothing_is_lost_where_the_mean_is_large():
    x = (1e4 + np.random.default_rng(8).standard_normal((40, 8, 8, 2))).astype(np.float32)
    ones = np.ones(2, np.float32)
    _, mean, variance = fused.lane_norm_forward(fused.to_lanes(x), 40, ones, ones, 1e-3)
    exact = x.astype(np.float64).reshape(-1, 2)
    assert np.allclose(mean, exact.mean(axis=0), rtol=1e-7)
    assert np.allclose(variance, exact.var(axis=0), rtol=1e-6)


def arguments(dtype=np.float32):
    """Return for each kernel arguments with several blocks and several parts of each."""
    rng, window, pool = np.random.default_rng(9), Window((3, 3), (1, 1), (1, 1, 1, 1)), POOLS["overlapping"]
    x, dy = (fused.to_lanes(drawn(rng, (40, 24, 23, 9), dtype)) for _ in range(2))
    w, gamma, beta = drawn(rng, (3, 3, 9, 5), dtype), drawn(rng, (9,), dtype), drawn(rng, (9,), dtype)
    y, argmax = fused.conv2d_stage_forward(x, w, None, window, 1, "direct", True, pool)
    b, direct, winograd = (
        drawn(rng, (5,), dtype),
        (window, 1, "direct", True, pool),
        (window, 1, "winograd", True, pool),
    )
    return {
        "conv2d_stage_forward": (x, w, b, *direct),
        "conv2d_stage_backward": (y, y, argmax, x, w, *direct, (True, True)),
        "conv2d_stage_forward, Winograd": (x, w, b, *winograd),
        "conv2d_stage_backward, Winograd": (y, y, argmax, x, w, *winograd, (True, True)),
        "lane_dropout": (x, 0.3, 1, 2),
        "lane_norm_forward": (x, 40, gamma, beta, 1e-3),
        "lane_norm_inference_forward": (x, 40, gamma, beta, beta, gamma * gamma, 1e-3),
        "lane_norm_backward": (dy, x, 40, gamma, beta, gamma * gamma, 1e-3, True),
    }


def run_kernel(name, given):
    return getattr(fused, name.split(",")[0])(*given)


def bits(results):
    return b"".join(array.tobytes() for array in (results if isinstance(results, tuple) else (results,)))


def kernels_that_depend_on_threads():
    """Return the kernels whose bits differ between numbers of threads; this runs in its own process."""
    different = []
    for name, given in arguments().items():
        found = set()
        for threads in (1, 2, 3, 4):
            numba.set_num_threads(threads)
            found.add(bits(run_kernel(name, given)))
        different += [name] if len(found) > 1 else []
    return different


@COMPILED
def test_bits_do_not_depend_on_the_number_of_threads():
    code = "import json, test_lanes as t; print(json.dumps(t.kernels_that_depend_on_threads()))"
    assert json.loads(run_python(code, NUMBA_NUM_THREADS="4")) == []


@COMPILED
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_bits_do_not_depend_on_where_arrays_lie(dtype):
    """Compiled code could take another path, with other rounding, for another alignment or distance between arrays."""
    for name, given in arguments(dtype).items():
        found = set()
        for trial in range(6):
            place = placer(trial, dtype)
            found.add(bits(run_kernel(name, [place(a) if is_real(a) else a for a in given])))
        assert len(found) == 1, name
