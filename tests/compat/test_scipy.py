"""Compare the convolution kernels with SciPy's ``correlate2d``, which slides one image over another."""

import numpy as np
import pytest
from compat_helpers import assert_close, every_convolution, require
from hypothesis import given, settings
from hypothesis import strategies as st

from tinycnn.kernels import cpu, reference

signal = require("scipy.signal")

BACKENDS = pytest.mark.parametrize("kernels", [reference, cpu], ids=["reference", "cpu"])


def spread(image, steps):
    """Return the image with ``step - 1`` zeros between neighbours."""
    wide = np.zeros([(length - 1) * step + 1 for length, step in zip(image.shape, steps, strict=True)])
    wide[:: steps[0], :: steps[1]] = image
    return wide


def padded(image, pads):
    return np.pad(image, (pads[:2], pads[2:]))


def pairs(g):
    """Yield (channel, its number within the group, filter) for all channels that a filter reads."""
    inside, filters = g.channels // g.groups, g.filters // g.groups
    for f in range(g.filters):
        for c in range(inside):
            yield f // filters * inside + c, c, f


@BACKENDS
@settings(max_examples=60)
@given(g=every_convolution(), seed=st.integers(0, 2**16))
def test_convolution(kernels, g, seed):
    """Compare forward and both gradients; dx and dw are correlations too, with dy spread out by the stride."""
    rng = np.random.default_rng(seed)
    x, w, b = rng.normal(size=g.input_shape), rng.normal(size=g.kernel_shape), rng.normal(size=g.filters)
    geometry = g.strides, g.pads, g.dilation, g.groups
    y = kernels.conv2d_forward(x, w, b, *geometry)
    dy = rng.normal(size=y.shape)
    dx = kernels.conv2d_backward_input(dy, w, g.input_size, *geometry)
    dw, db = kernels.conv2d_backward_weights(dy, x, g.kernel_size, *geometry)

    (H, W), (top, _, left, _) = g.input_size, g.pads
    y_expected, dx_expected, dw_expected = np.zeros_like(y), np.zeros_like(x), np.zeros_like(w)
    y_expected += b
    for n in range(g.batch):
        for channel, c, f in pairs(g):
            image, filter_ = padded(x[n, :, :, channel], g.pads), spread(w[:, :, c, f], g.dilation)
            everywhere = signal.correlate2d(image, filter_, mode="valid")
            y_expected[n, :, :, f] += everywhere[:: g.strides[0], :: g.strides[1]]
            # Rows and columns that no window reached have no gradient; zeros fill dy up to its size without a stride.
            wide = spread(dy[n, :, :, f], g.strides)
            wide = np.pad(wide, [(0, e - s) for e, s in zip(everywhere.shape, wide.shape, strict=True)])
            dimage = signal.convolve2d(wide, filter_, mode="full")
            dx_expected[n, :, :, channel] += dimage[top : top + H, left : left + W]
            taps = signal.correlate2d(image, wide, mode="valid")
            dw_expected[:, :, c, f] += taps[:: g.dilation[0], :: g.dilation[1]]
    assert_close(y, y_expected, "y")
    assert_close(dx, dx_expected, "dx")
    assert_close(dw, dw_expected, "dw")
    assert_close(db, dy.sum(axis=(0, 1, 2)), "db")
