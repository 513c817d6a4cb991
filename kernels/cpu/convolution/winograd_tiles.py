"""Winograd's convolution of blocks of images: tiles go through the transforms and 36 products of matrices.

See :mod:`.winograd_transforms` for the formulas.
"""

import functools

import numpy as np

from ..machine.columns import add_parts
from ..machine.jit import helper
from ..machine.memory import clear
from ..machine.micro_kernel import panel_width, product
from .winograd_transforms import filter_gradient_tile, filter_tile, gradient_tile, input_tile, result_tile

POINTS = 36
STAGGER = 64  # bytes between the matrices of two points, which would compete for cache lines if powers of two apart
RUN = 64  # tiles at a time; each run reads all transformed filters, which lie in a farther cache
RUN_BYTES = 1_200_000  # of transformed tiles: with more channels a run has fewer tiles
COLUMNS = 64  # filters (and channels, for the weight gradient) at a time: their 36 sums fill half a second-level cache
BLOCKS = 8  # into which the images are cut if there are so many
MOST_IMAGES = 8  # of a block: so many make a run of very small images, and batches of 128 are work for 16 threads


@helper
def whole_panels(columns, itemsize):
    """Return ``columns`` rounded up to whole panels."""
    return -(-columns // panel_width(itemsize)) * panel_width(itemsize)


@helper
def transform_filters(w, w_start, C, F, flipped, u, u_start, first, last, scratch, s_start):
    """Compute rows ``first`` … ``last - 1`` of the 36 packed matrices ``U[e] = (G w G^T)[e]``.

    Row c and column f of U belong to channel c and filter f. With ``flipped``, for the input gradient, the filter is
    turned by 180 degrees, and row f and column c take their places.

    Parameters
    ----------
    w : flat array
        The filters, (3, 3, C, F), begin at ``w[w_start]``.
    w_start, C, F : int
    flipped : bool
    u : flat array
        The matrices begin at ``u[u_start]``.
    u_start, first, last : int
    scratch : flat array
        9 rows of U, from ``scratch[s_start]`` on.
    s_start : int
    """
    rows, columns, row, column = (F, C, 1, F) if flipped else (C, F, F, 1)
    size, panel = filters_step(rows, columns, u.itemsize), panel_width(u.itemsize)
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

    Parameters
    ----------
    micro : int
        :func:`.micro_kernel.micro_kernel`.
    images : flat array
        The first canvas begins at ``images[start]``. Each must hold whole tiles: ``4*ceil(OH/4) + 2`` rows and
        ``4*ceil(OW/4) + 2`` columns.
    start, image_size, canvas_width, C : int
        Distance between canvases, pixels of a canvas's row, channels.
    count : int
    OH, OW : int
        The result's size.
    u : flat array
        What :func:`transform_filters` computed begins at ``u[u_start]``.
    u_start, F : int
    bias : flat array
        It is read from ``bias[b_start]`` on.
    b_start : int
    floor : number
        0 for a ReLU, else minus infinity.
    out : flat array
        The results, (count, OH, OW, F), begin at ``out[out_start]``.
    out_start : int
    run : int
        How many tiles are taken at a time, through all images.
    tile_rows, channel_steps : int64 arrays
        :func:`tables`.
    scratch : flat array
        :func:`forward_scratch` numbers, from ``scratch[s_start]`` on.
    s_start : int
    """
    across = (OW + 3) // 4
    tiles = count * across * ((OH + 3) // 4)
    block = min(F, COLUMNS)
    v_step, m_step = point_step(run, C, out.itemsize), point_step(run, block, out.itemsize)
    zeros, v = s_start, s_start + whole_panels(block, out.itemsize)
    m, none = v + POINTS * v_step, out.dtype.type(-np.inf)
    u_step = filters_step(C, F, out.itemsize)
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
    """Return image, row and column of the first result of tile t."""
    down, across = (OH + 3) // 4, (OW + 3) // 4
    return t // (down * across), t // across % down * 4, t % across * 4


@helper
def point_step(rows, columns, itemsize):
    """Return the distance between the matrices of two points."""
    return whole_panels(rows * columns, itemsize) + STAGGER // itemsize


@helper
def filters_step(C, F, itemsize):
    """Return the distance between the transformed filters of two points."""
    return C * whole_panels(F, itemsize) + STAGGER // itemsize


@helper
def transform_inputs(
    images, start, image_size, canvas_width, C, channel, channels, OH, OW, first, last, v, v_start, v_step, v_row
):
    """Compute ``B^T d B`` of tiles ``first`` … ``last - 1``, for ``channels`` channels from ``channel`` on.

    Parameters
    ----------
    images, start, image_size, canvas_width, C, OH, OW
        As in :func:`convolve_block`.
    channel, channels, first, last : int
    v : flat array
        It receives the values: point e of tile t at ``v[v_start + e*v_step + (t - first)*v_row]``.
    v_start, v_step, v_row : int
    """
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
    """Add to 36 matrices dU what ``count`` images contribute: ``dU[e] += V[e]^T Z[e]``.

    At most ``COLUMNS`` channels and filters are taken at a time, so that their part of dU stays in the second-level
    cache while all images go by.

    Parameters
    ----------
    micro, images, start, image_size, canvas_width, C, count, OH, OW, run
        As in :func:`convolve_block`.
    channel, channels : int
        The first channel, and how many.
    dz : flat array
        The gradient by the result, (count, OH, OW, F), begins at ``dz[dz_start]``.
    dz_start, F : int
    filter, filters : int
        The first filter, and how many.
    du : flat array
        The 36 matrices (channels, filters) begin at ``du[du_start]``.
    du_start : int
    tile_steps, channel_rows : int64 arrays
        :func:`tables`.
    scratch : flat array
        :func:`weights_scratch` numbers, from ``scratch[s_start]`` on.
    s_start : int
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
    """Compute ``A dz A^T`` of tiles ``first`` … ``last - 1``, packed, with a row for each tile.

    Parameters
    ----------
    dz, dz_start, F, filter, filters, OH, OW
        As in :func:`weights_block`.
    first, last : int
    z : flat array
        The matrices of two points are ``z_step`` apart, from ``z[z_start]`` on.
    z_start, z_step : int
    """
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
    """Compute ``dw = G^T dU G`` for rows ``first`` … ``last - 1`` of a block of dU.

    Parameters
    ----------
    du : flat array
        The sum of ``parts`` blocks, which follow one another from ``du[du_start]`` on, is taken.
    du_start, parts : int
    channel, channels, filter, filters : int
        The block's first channel and filter in dw, and how many there are.
    C, F : int
    dw : flat array
        The gradient, (3, 3, C, F), begins at ``dw[dw_start]``.
    dw_start, first, last : int
    """
    size = channels * filters
    for e in range(POINTS):
        add_parts(du, du_start + e * size + first * filters, (last - first) * filters, parts, POINTS * size)
    for c in range(first, last):
        place = dw_start + (channel + c) * F + filter
        filter_gradient_tile(filters, du, du_start + c * filters, 6 * size, size, dw, place, 3 * C * F, C * F, 6, 6)


def preferred(kernel, strides, dilation, groups, C, F, OH, OW, N):
    """Return whether Winograd's convolution is expected to be faster than the direct product, by the shapes alone.

    The transforms cost time linear in the channels, and the products they save are quadratic in them, so there must be
    enough channels. Tiles that reach beyond small images are wasted work: on average 6 of a tile's 16 results must
    exist for a gain of 1.5 in multiplications. And there must be enough tiles to be worth the transform of the filters.
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
    """Return how many tiles are transformed at a time, with C channels each."""
    return max(16, min(RUN, RUN_BYTES // (POINTS * C * itemsize) // 8 * 8))


def images_per_block(N, OH, OW, run):
    """Return how many images to convolve in one call: enough for a run of tiles, and work for all threads."""
    tiles = -(-OH // 4) * -(-OW // 4)
    return max(1, min(-(-run // tiles), N // BLOCKS, MOST_IMAGES))


@functools.cache
def tables(run, channels):
    """Return the tables of :func:`product` for ``run`` rows of ``channels`` numbers: where rows begin, and columns."""
    return np.arange(run, dtype=np.int64) * channels, np.arange(channels, dtype=np.int64)


def filters_size(C, F, itemsize):
    """Return how many numbers the 36 packed matrices of :func:`transform_filters` take: C rows, F columns each."""
    return POINTS * filters_step(C, F, itemsize)


def forward_scratch(run, C, F, itemsize):
    """Return how many numbers of scratch memory :func:`convolve_block` needs."""
    block = min(F, COLUMNS)
    steps = point_step(run, C, itemsize) + point_step(run, block, itemsize)
    return whole_panels(block, itemsize) + POINTS * steps


def weights_scratch(run, C, F, itemsize):
    """Return how many numbers of scratch memory :func:`weights_block` needs."""
    columns = whole_panels(min(F, COLUMNS), itemsize)
    return POINTS * (point_step(run, min(C, COLUMNS), itemsize) + point_step(run, columns, itemsize))
