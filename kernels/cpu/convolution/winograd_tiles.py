"""Winograd's convolution of blocks of images: tiles through the transforms and 36 products of matrices.

See :mod:`.winograd_transforms` for the formulas.
"""

import functools

import numpy as np

from ..machine.jit import helper
from ..machine.memory import clear
from ..machine.micro_kernel import panel_width, product
from .winograd_transforms import filter_gradient_tile, filter_tile, gradient_tile, input_tile, result_tile

POINTS = 36
STAGGER = 64  # bytes between the matrices of two points: powers of two apart, they would compete for cache lines
RUN = 64  # tiles at a time: each reads all transformed filters, which lie in a farther cache
RUN_BYTES = 1_200_000  # of transformed tiles: with more channels fewer tiles
COLUMNS = 64  # filters, and for the weight gradient channels, at a time: their 36 sums take half a second-level cache
BLOCKS = 8  # of images, where there are so many: work for as many threads


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
