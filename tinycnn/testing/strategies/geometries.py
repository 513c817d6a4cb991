"""Strategies for the geometry of convolutions and poolings."""

from typing import NamedTuple

from hypothesis import strategies as st

from ...core.types import Shape
from ...kernels.geometry import Pads, Pair, Window
from ._values import Draw


class ConvGeometry(NamedTuple):
    """The sizes of a convolution; :func:`conv_geometries` draws them."""

    batch: int
    input_size: Pair
    output_size: Pair
    channels: int
    filters: int
    groups: int
    kernel_size: Pair
    strides: Pair
    dilation: Pair
    pads: Pads

    @property
    def input_shape(self) -> Shape:
        """The shape (N, H, W, C) of the batch."""
        return (self.batch, *self.input_size, self.channels)

    @property
    def kernel_shape(self) -> Shape:
        """The shape (KH, KW, C // groups, F) of the kernel."""
        return (*self.kernel_size, self.channels // self.groups, self.filters)


class PoolGeometry(NamedTuple):
    """The sizes of a pooling; :func:`pool_geometries` draws them."""

    batch: int
    input_size: Pair
    output_size: Pair
    channels: int
    pool_size: Pair
    strides: Pair
    pads: Pads

    @property
    def input_shape(self) -> Shape:
        """The shape (N, H, W, C) of the batch."""
        return (self.batch, *self.input_size, self.channels)


@st.composite
def conv_geometries(
    draw: Draw,
    *,
    max_batch: int = 3,
    max_kernel: int = 4,
    max_stride: int = 3,
    max_dilation: int = 2,
    max_group: int = 3,
    max_channels: int = 3,
    max_output: int = 4,
    pads: bool = True,
) -> ConvGeometry:
    """Draw convolutions of every kind, with strides, dilation, groups, and pads that differ from side to side.

    Kernel size, strides, dilation, pads and the *output* size are drawn. The input size follows from them, with up to
    ``stride - 1`` additional rows and columns that no window reaches.

    Parameters
    ----------
    max_batch, max_kernel, max_stride, max_dilation, max_group, max_channels, max_output : int
        The largest values to draw. ``max_channels`` is for one group, and holds for the filters as well.
    pads : bool
        Whether to draw padding.

    Returns
    -------
    strategy of ConvGeometry
    """
    sizes = [_draw_axis(draw, max_kernel, max_stride, max_dilation, max_output, pads) for _ in range(2)]
    kernel, stride, dilation, output, length, before, after = zip(*sizes, strict=True)
    groups = draw(st.integers(1, max_group))
    return ConvGeometry(
        batch=draw(st.integers(1, max_batch)),
        input_size=length,
        output_size=output,
        channels=groups * draw(st.integers(1, max_channels)),
        filters=groups * draw(st.integers(1, max_channels)),
        groups=groups,
        kernel_size=kernel,
        strides=stride,
        dilation=dilation,
        pads=(before[0], after[0], before[1], after[1]),
    )


@st.composite
def pool_geometries(
    draw: Draw,
    *,
    max_batch: int = 3,
    max_pool: int = 4,
    max_stride: int = 3,
    max_channels: int = 4,
    max_output: int = 4,
) -> PoolGeometry:
    """Draw poolings whose windows lie side by side, overlap or lie apart, with pads that are smaller than the window.

    Parameters
    ----------
    max_batch, max_pool, max_stride, max_channels, max_output : int
        The largest values to draw.

    Returns
    -------
    strategy of PoolGeometry
    """
    sizes = [_draw_axis(draw, max_pool, max_stride, 1, max_output, True) for _ in range(2)]
    kernel, stride, _, output, length, before, after = zip(*sizes, strict=True)
    return PoolGeometry(
        batch=draw(st.integers(1, max_batch)),
        input_size=length,
        output_size=output,
        channels=draw(st.integers(1, max_channels)),
        pool_size=kernel,
        strides=stride,
        pads=(before[0], after[0], before[1], after[1]),
    )


def _draw_axis(draw: Draw, max_kernel: int, max_stride: int, max_dilation: int, max_output: int, pads: bool) -> Shape:
    """Draw (kernel, stride, dilation, output, input, pad before, pad after) for one axis."""
    kernel = draw(st.integers(1, max_kernel))
    stride = draw(st.integers(1, max_stride))
    dilation = draw(st.integers(1, max_dilation)) if kernel > 1 else 1
    output = draw(st.integers(1, max_output))
    extent = dilation * (kernel - 1) + 1
    padded = stride * (output - 1) + extent + draw(st.integers(0, stride - 1))
    # The pads are smaller than the window, so that no window covers pads alone, and they leave at least one pixel.
    most = min(extent - 1, padded - 1) if pads else 0
    before = draw(st.integers(0, most))
    after = draw(st.integers(0, min(extent - 1, padded - 1 - before) if pads else 0))
    window = Window((kernel, 1), (stride, 1), (before, after, 0, 0), (dilation, 1))
    length = padded - before - after
    assert window.output_size((length, 1))[0] == output
    return kernel, stride, dilation, output, length, before, after
