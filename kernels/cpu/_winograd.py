"""Winograd's convolution F(4×4, 3×3): 36 multiplications where the definition takes 144.

Sixteen neighbouring results of a 3×3 convolution depend on a tile of 6×6 numbers. In one dimension, 4 results of a
filter of 3 taps are the coefficients of a product of polynomials, and that can be had from its values at 6 points:
transform tile and filter to their values there, multiply point by point, transform back. Applied to rows and columns:

    Y = A^T [ (G g G^T) * (B^T d B) ] A

The sum over channels comes before the transform back, so that at each of the 36 points stands one product of matrices,
(tiles × channels) by (channels × filters), and all transforms together are a small part of the work. Sources: Winograd,
"Arithmetic complexity of computations", 1980; Lavin & Gray, "Fast algorithms for convolutional neural networks", 2016.

The input gradient is the same convolution of dy by the filter turned round. The weight gradient is the transposed
algorithm, ``dg = G^T [ (A dY A^T) * (B^T d B) ] G`` or F(3×3, 4×4); it sums over tiles before it transforms back.

The points are 0, ±1/√2, ±√2 and infinity. Rounding is amplified by the spread of their powers: the usual 0, ±1, ±2
reach 8 where these reach 2.8, and as pairs ±p they also share the sums over even and over odd powers. The largest error
against float64, relative to the largest result, is 1e-6 to 3e-6 in float32 and 2e-15 to 6e-15 in float64, at 32 to 128
channels; the direct product's is 0.3e-6 to 1.3e-6. A NaN or an infinity makes NaN of all results of its tiles, not only
of those whose window it lies in.
"""

import functools

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ._jit import helper
from ._memory import address, clear
from ._tiles import panel_width, product
from ._vectors import VectorWriter

_INDEX = ir.IntType(64)

POINTS = 36
P = 0.5**0.5  # the points are ±P and ±2P; of their squares, 1/2 and 2, the product is 1
STAGGER = 64  # bytes between the matrices of two points: powers of two apart, they would compete for cache lines
RUN = 64  # tiles at a time: each reads all transformed filters, which lie in a farther cache
RUN_BYTES = 1_200_000  # of transformed tiles: with more channels fewer tiles
COLUMNS = 64  # filters, and for the weight gradient channels, at a time: their 36 sums take half a second-level cache
BLOCKS = 8  # of images, where there are so many: work for as many threads


def values_of_inputs(d):
    """``B^T d``: 6 neighbouring inputs. The row of point p has the coefficients of the others' polynomial."""
    even, odd = (d[4] - d[2] * 2.0, d[4] - d[2] * 0.5), (d[3] - d[1] * 2.0, d[3] - d[1] * 0.5)
    return [
        d[4] - d[2] * 2.5 + d[0],
        even[0] + odd[0] * P,
        even[0] - odd[0] * P,
        even[1] + odd[1] * (2 * P),
        even[1] - odd[1] * (2 * P),
        d[5] - d[3] * 2.5 + d[1],
    ]


def values_of_filter(g):
    """``G g``: the polynomial of 3 taps at each point, divided by the distances of that point from the others."""
    even, odd = (g[0] + g[2] * 0.5, g[0] + g[2] * 2.0), (g[1] * P, g[1] * (2 * P))
    return [
        g[0],
        (even[0] + odd[0]) * (-2 / 3),
        (even[0] - odd[0]) * (-2 / 3),
        (even[1] + odd[1]) * (1 / 6),
        (even[1] - odd[1]) * (1 / 6),
        g[2],
    ]


def values_of_gradient(y):
    """``A y``: the polynomial of 4 gradients at each point."""
    even, odd = (y[0] + y[2] * 0.5, y[0] + y[2] * 2.0), (y[1] + y[3] * 0.5, y[1] + y[3] * 2.0)
    return [
        y[0],
        even[0] + odd[0] * P,
        even[0] - odd[0] * P,
        even[1] + odd[1] * (2 * P),
        even[1] - odd[1] * (2 * P),
        y[3],
    ]


def results(m):
    """``A^T m``: from values at the points to 4 neighbouring results."""
    near, far = m[1] + m[2], m[3] + m[4]
    near_odd, far_odd = m[1] - m[2], m[3] - m[4]
    return [
        m[0] + near + far,
        (near_odd + far_odd * 2.0) * P,
        near * 0.5 + far * 2.0,
        (near_odd + far_odd * 8.0) * (P / 2) + m[5],
    ]


def filter_gradient(u):
    """``G^T u``: from values at the points to the gradients of 3 taps."""
    near, far = (u[1] + u[2]) * (-2 / 3), (u[3] + u[4]) * (1 / 6)
    near_odd, far_odd = (u[1] - u[2]) * (-2 / 3 * P), (u[3] - u[4]) * (1 / 3 * P)
    return [u[0] + near + far, near_odd + far_odd, near * 0.5 + far * 2.0 + u[5]]


def both_ways(transform, size, read):
    """A transform of the columns, then of the rows, of a square of ``size``: yields (row, column, value)."""
    columns = [transform([read(i, j) for i in range(size)]) for j in range(size)]
    for i in range(len(columns[0])):
        for j, value in enumerate(transform([column[i] for column in columns])):
            yield i, j, value


class _Vector:
    """Arithmetic that writes instructions, so that the formulas above also serve as their own compiler."""

    def __init__(self, builder, value):
        self.builder, self.value = builder, value

    def __add__(self, other):
        return _Vector(self.builder, self.builder.fadd(self.value, other.value, ("contract",)))

    def __sub__(self, other):
        return _Vector(self.builder, self.builder.fsub(self.value, other.value, ("contract",)))

    def __mul__(self, factor):
        factors = ir.Constant(self.value.type, [factor] * self.value.type.count)
        return _Vector(self.builder, self.builder.fmul(self.value, factors, ("contract",)))


class _TileWriter(VectorWriter):
    """Reads vectors that the formulas can be applied to, from tiles that may stick out of an image."""

    def load(self, place):
        return _Vector(self.builder, super().load(place))

    def inside(self, i, j, height, width):
        """Whether row i and column j lie within a tile's part of the image."""
        builder = self.builder
        return builder.and_(
            builder.icmp_signed(">", height, ir.Constant(_INDEX, i)),
            builder.icmp_signed(">", width, ir.Constant(_INDEX, j)),
        )


def tile_transform(transform, size, part=False):
    """An intrinsic that applies a transform to one square of channels, both ways.

    Its arguments: the number of channels; the source, where its square begins, and the distances between the square's
    rows and columns; the same of the target. With ``part``, also how many rows and columns of the source exist; the
    others count as zero.
    """

    @intrinsic
    def whole_tile(typingctx, count, source, s_start, s_row, s_column, target, t_start, t_row, t_column, height, width):
        index = types.intp
        signature = types.void(index, source, index, index, index, target, index, index, index, index, index)
        if source.dtype != target.dtype:
            return None

        def generate(context, builder, signature, args):
            count, source, s_start, s_row, s_column, target, t_start, t_row, t_column, height, width = args
            write = _TileWriter(builder, signature.args[1].dtype)
            source = address(context, builder, signature.args[1], source, s_start)
            target = address(context, builder, signature.args[5], target, t_start)

            def body(channel):
                def read(i, j):
                    place = write.place(source, s_row, s_column, i, j, channel)
                    return write.load_if(write.inside(i, j, height, width), place) if part else write.load(place)

                for i, j, value in both_ways(transform, size, read):
                    write.store(value.value, write.place(target, t_row, t_column, i, j, channel))

            write.loop(count, body)
            return context.get_dummy_value()

        return signature, generate

    def python_form(count, source, s_start, s_row, s_column, target, t_start, t_row, t_column, height, width):
        def read(i, j):
            place = s_start + i * s_row + j * s_column
            inside = not part or (i < height and j < width)
            return source[place : place + count] if inside else np.zeros(count, source.dtype)

        for i, j, value in both_ways(transform, size, read):
            place = t_start + i * t_row + j * t_column
            target[place : place + count] = value

    return python_form if numba.config.DISABLE_JIT else whole_tile


input_tile = tile_transform(values_of_inputs, 6)
filter_tile = tile_transform(values_of_filter, 3)
gradient_tile = tile_transform(values_of_gradient, 4, part=True)
filter_gradient_tile = tile_transform(filter_gradient, 6)


@intrinsic
def result_tile(
    typingctx, count, source, s_start, s_row, s_column, target, t_start, t_row, t_column, height, width, bias, b_start,
    floor,
):  # fmt: skip
    """From values at the points to results: bias added, nothing below the floor, and the part in the image stored."""
    index = types.intp
    signature = types.void(
        index, source, index, index, index, target, index, index, index, index, index, bias, index, source.dtype
    )
    if not source.dtype == target.dtype == bias.dtype:
        return None

    def generate(context, builder, signature, args):
        count, source, s_start, s_row, s_column, target, t_start, t_row, t_column, height, width = args[:11]
        bias, b_start, floor = args[11:]
        write = _TileWriter(builder, signature.args[1].dtype)
        source = address(context, builder, signature.args[1], source, s_start)
        target = address(context, builder, signature.args[5], target, t_start)
        bias = address(context, builder, signature.args[11], bias, b_start)
        floor = write.spread(floor)
        zero = ir.Constant(_INDEX, 0)

        def body(channel):
            offset = write.load(write.place(bias, zero, zero, 0, 0, channel))

            def read(i, j):
                return write.load(write.place(source, s_row, s_column, i, j, channel))

            for i, j, value in both_ways(results, 6, read):
                with builder.if_then(write.inside(i, j, height, width)):
                    value = write.at_least((value + offset).value, floor)
                    write.store(value, write.place(target, t_row, t_column, i, j, channel))

        write.loop(count, body)
        return context.get_dummy_value()

    return signature, generate


def _result_tile_in_python(
    count, source, s_start, s_row, s_column, target, t_start, t_row, t_column, height, width, bias, b_start, floor
):
    def read(i, j):
        place = s_start + i * s_row + j * s_column
        return source[place : place + count]

    for i, j, value in both_ways(results, 6, read):
        if i < height and j < width:
            value = value + bias[b_start : b_start + count]
            place = t_start + i * t_row + j * t_column
            target[place : place + count] = np.where(value < floor, floor, value)


if numba.config.DISABLE_JIT:
    result_tile = _result_tile_in_python


@helper
def whole_panels(columns, itemsize):
    """``columns`` rounded up to whole panels."""
    return -(-columns // panel_width(itemsize)) * panel_width(itemsize)


@helper
def transform_filters(w, w_start, C, F, flipped, u, u_start, first, last, scratch, s_start):
    """Rows ``first`` to ``last`` of the 36 packed matrices ``U[e] = (G w G^T)[e]`` from w (3, 3, C, F).

    Row c and column f of U belong to channel c and filter f; with ``flipped``, for the input gradient, the filter is
    turned by 180 degrees and row f, column c take their places. Scratch: 9 rows of U.
    """
    rows, columns, row, column = (F, C, 1, F) if flipped else (C, F, F, 1)
    size, panel = rows * whole_panels(columns, u.itemsize), panel_width(u.itemsize)
    for r in range(first, last):
        for tap in range(9):
            source, place = w_start + tap * C * F + r * row, s_start + (8 - tap if flipped else tap) * columns
            for k in range(columns):
                scratch[place + k] = w[source + k * column]
        for k in range(0, columns, panel):
            place = u_start + k * rows + r * panel
            filter_tile(
                min(panel, columns - k), scratch, s_start + k, 3 * columns, columns, u, place, 6 * size, size, 3, 3
            )


@helper
def convolve_block(
    micro, images, start, image_size, canvas_width, C, count, OH, OW, u, u_start, F, bias, b_start, floor, out,
    out_start, run, tile_rows, channel_steps, scratch, s_start,
):  # fmt: skip
    """Convolve ``count`` images, each on a canvas of zeros, by transformed filters.

    Canvases are ``image_size`` numbers apart from ``images[start]`` on, their rows ``canvas_width`` pixels long. Each
    must hold whole tiles: ``4*ceil(OH/4) + 2`` rows and ``4*ceil(OW/4) + 2`` columns. ``run`` tiles are taken at a
    time, through all images; the tables are those of :func:`tables`. ``out`` is (count, OH, OW, F) from ``out_start``.
    """
    across = (OW + 3) // 4
    tiles = count * across * ((OH + 3) // 4)
    block = min(F, COLUMNS)
    v_step, m_step = point_step(run, C, out.itemsize), point_step(run, block, out.itemsize)
    zeros, v = s_start, s_start + whole_panels(block, out.itemsize)
    m, none = v + POINTS * v_step, out.dtype.type(-np.inf)
    u_step = C * whole_panels(F, out.itemsize)
    clear(scratch, zeros, block)
    for first in range(0, tiles, run):
        last = min(tiles, first + run)
        transform_inputs(images, start, image_size, canvas_width, C, 0, C, OH, OW, first, last, scratch, v, v_step, C)
        for column in range(0, F, block):
            width = min(block, F - column)
            for e in range(POINTS):
                product(
                    micro, last - first, width, C, scratch, v + e * v_step, tile_rows, 0, channel_steps, 0,
                    u, u_start + e * u_step + column * C, panel_width(u.itemsize), scratch, zeros, 0, none,
                    scratch, m + e * m_step, block,
                )  # fmt: skip
            for t in range(first, last):
                n, i, j = tile_place(t, OH, OW)
                place = out_start + ((n * OH + i) * OW + j) * F + column
                result_tile(
                    width, scratch, m + (t - first) * block, 6 * m_step, m_step, out, place, OW * F, F,
                    min(4, OH - i), min(4, OW - j), bias, b_start + column, floor,
                )  # fmt: skip


@helper
def tile_place(t, OH, OW):
    """Image, row and column of the first result of tile t."""
    down, across = (OH + 3) // 4, (OW + 3) // 4
    return t // (down * across), t // across % down * 4, t % across * 4


@helper
def point_step(rows, columns, itemsize):
    """Distance between the matrices of two points."""
    return whole_panels(rows * columns, itemsize) + STAGGER // itemsize


@helper
def transform_inputs(
    images, start, image_size, canvas_width, C, channel, channels, OH, OW, first, last, v, v_start, v_step, v_row
):
    """``B^T d B`` of tiles ``first`` to ``last``, of ``channels`` channels from ``channel`` on."""
    for t in range(first, last):
        n, i, j = tile_place(t, OH, OW)
        place = start + n * image_size + (i * canvas_width + j) * C + channel
        input_tile(
            channels, images, place, canvas_width * C, C, v, v_start + (t - first) * v_row, 6 * v_step, v_step, 6, 6
        )


@helper
def weights_block(
    micro, images, start, image_size, canvas_width, C, channel, channels, count, OH, OW, dz, dz_start, F, filter,
    filters, du, du_start, run, tile_steps, channel_rows, scratch, s_start,
):  # fmt: skip
    """Add to ``du``, 36 matrices of (channels, filters), what ``count`` images contribute: ``dU[e] += V[e]^T Z[e]``.

    Channels from ``channel`` and filters from ``filter`` on, at most ``COLUMNS`` of each: so much of dU stays in the
    second-level cache while all images go by. Images as in :func:`convolve_block`; dz is (count, OH, OW, F).
    """
    across = (OW + 3) // 4
    tiles = count * across * ((OH + 3) // 4)
    row = min(C, COLUMNS)
    v_step = point_step(run, row, du.itemsize)
    z_step = point_step(run, whole_panels(filters, du.itemsize), du.itemsize)
    v, z, none = s_start, s_start + POINTS * v_step, du.dtype.type(-np.inf)
    for first in range(0, tiles, run):
        last = min(tiles, first + run)
        transform_inputs(
            images, start, image_size, canvas_width, C, channel, channels, OH, OW, first, last, scratch, v, v_step, row
        )
        transform_gradient(dz, dz_start, F, filter, filters, OH, OW, first, last, scratch, z, z_step)
        for e in range(POINTS):
            place = du_start + e * channels * filters
            product(
                micro, channels, filters, last - first, scratch, v + e * v_step, channel_rows, 0, tile_steps, 0,
                scratch, z + e * z_step, panel_width(du.itemsize), du, place, filters, none, du, place, filters,
            )  # fmt: skip


@helper
def transform_gradient(dz, dz_start, F, filter, filters, OH, OW, first, last, z, z_start, z_step):
    """``A dz A^T`` of tiles ``first`` to ``last``, packed: a row for each tile."""
    panel = panel_width(z.itemsize)
    for t in range(first, last):
        n, i, j = tile_place(t, OH, OW)
        place = dz_start + ((n * OH + i) * OW + j) * F + filter
        for column in range(0, filters, panel):
            gradient_tile(
                min(panel, filters - column), dz, place + column, OW * F, F,
                z, z_start + column * (last - first) + (t - first) * panel, 6 * z_step, z_step,
                min(4, OH - i), min(4, OW - j),
            )  # fmt: skip


@helper
def weights_from(du, du_start, parts, channel, channels, F, filter, filters, C, dw, dw_start, first, last):
    """``dw = G^T dU G`` for rows ``first`` to ``last`` of a block of dU, the sum of ``parts`` that follow one another.

    The block's channels begin at ``channel`` and its filters at ``filter`` of dw (3, 3, C, F).
    """
    size = channels * filters
    for c in range(first, last):
        for e in range(POINTS):
            place = du_start + e * size + c * filters
            for part in range(1, parts):
                for f in range(place, place + filters):
                    du[f] += du[f + part * POINTS * size]
        place = dw_start + (channel + c) * F + filter
        filter_gradient_tile(filters, du, du_start + c * filters, 6 * size, size, dw, place, 3 * C * F, C * F, 6, 6)


def preferred(kernel, strides, dilation, groups, C, F, OH, OW, N):
    """Whether Winograd's convolution is expected to be faster than the direct product; by the shapes alone.

    Transforms are linear in the channels, the products they save are quadratic: it takes enough channels. Tiles that
    stick out of small images are work in vain: of the 16 results of a tile 6 must exist, on the average, for a gain of
    1.5 in multiplications. And the filters' transform needs enough tiles to be worth it.
    """
    tiles = -(-OH // 4) * -(-OW // 4)
    return (
        kernel == (3, 3)
        and strides == dilation == (1, 1)
        and groups == 1
        and min(C, F) >= 16
        and tiles * 6 <= OH * OW
        and N * tiles >= 32
    )


def run_length(C, itemsize):
    """How many tiles are transformed at a time, C channels of each."""
    return max(16, min(RUN, RUN_BYTES // (POINTS * C * itemsize) // 8 * 8))


def images_per_block(N, OH, OW, run):
    """How many images to convolve in one call: enough for a run of tiles, but not so many that threads have no work."""
    tiles = -(-OH // 4) * -(-OW // 4)
    return max(1, min(-(-run // tiles), N // BLOCKS))


@functools.cache
def tables(run, channels):
    """The tables of :func:`product` for ``run`` rows of ``channels`` numbers: where rows begin, and columns."""
    return np.arange(run, dtype=np.int64) * channels, np.arange(channels, dtype=np.int64)


def filters_size(C, F, itemsize):
    """How many numbers the 36 packed matrices of :func:`transform_filters` take: C rows, F columns each."""
    return POINTS * C * whole_panels(F, itemsize)


def forward_scratch(run, C, F, itemsize):
    """Numbers of scratch memory for :func:`convolve_block`."""
    block = min(F, COLUMNS)
    steps = point_step(run, C, itemsize) + point_step(run, block, itemsize)
    return whole_panels(block, itemsize) + POINTS * steps


def weights_scratch(run, C, F, itemsize):
    """Numbers of scratch memory for :func:`weights_block`."""
    columns = whole_panels(min(F, COLUMNS), itemsize)
    return POINTS * (point_step(run, min(C, COLUMNS), itemsize) + point_step(run, columns, itemsize))
