"""Convolutions with sixteen images in the lanes of a vector, against the reference."""

import numpy as np
import pytest

from tinycnn.kernels import cpu, reference
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
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-13}


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
@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_stage_in_lanes(name, pooled, dtype):
    size, strides, pads, dilation, groups, C, F = GEOMETRIES[name]
    window, pool = Window(size, strides, pads, dilation), Window((2, 2), (2, 2), NO_PADS) if pooled else None
    rng, relu = np.random.default_rng(1), name != "same"
    x, b = drawn(rng, (19, 9, 11, C), dtype), drawn(rng, (F,), dtype)
    w = drawn(rng, (*size, C // groups, F), dtype)
    geometry = strides, pads, dilation, groups

    expected = z = reference.conv2d_forward(x, w, b, *geometry)
    if relu:
        expected = z = reference.relu_forward(z)
    if pooled:
        expected, winners = reference.max_pool2d_forward(z, (2, 2), (2, 2), NO_PADS)
    lanes = fused.to_lanes(x)
    y, argmax = fused.conv2d_stage_forward(lanes, w, b, window, groups, "auto", relu, pool)
    close(fused.from_lanes(y, len(x)), expected, dtype)

    dy = dz = drawn(rng, expected.shape, dtype)
    if pooled:
        dz = reference.max_pool2d_backward(dy, winners, z.shape[1:3], (2, 2), (2, 2), NO_PADS)
    if relu:
        dz = reference.relu_backward(dz, z)
    dx, dw, db = fused.conv2d_stage_backward(
        fused.to_lanes(dy), y, argmax, lanes, w, window, groups, "auto", relu, pool, (True, True)
    )
    close(fused.from_lanes(dx, len(x)), reference.conv2d_backward_input(dz, w, x.shape[1:3], *geometry), dtype)
    for found, right in zip((dw, db), reference.conv2d_backward_weights(dz, x, size, *geometry), strict=True):
        close(found, right, dtype)


def test_images_of_a_block_do_not_touch_one_another():
    rng, window = np.random.default_rng(2), Window((3, 3), (1, 1), NO_PADS)
    x, w = drawn(rng, (20, 6, 6, 2), np.float32), drawn(rng, (3, 3, 2, 5), np.float32)

    def run(images):
        y, _ = fused.conv2d_stage_forward(fused.to_lanes(images), w, None, window, 1, "auto", False, None)
        dx, _, _ = fused.conv2d_stage_backward(
            y, y, np.empty(0, np.uint8), fused.to_lanes(images), w, window, 1, "auto", False, None, (True, False)
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
