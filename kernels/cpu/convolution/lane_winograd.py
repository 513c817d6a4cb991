"""Winograd's convolution for sixteen images in the lanes of vectors: :mod:`.winograd_transforms` on whole vectors.

The transforms are sums of neighbouring pixels, channel by channel. An image whose channels are ``C * LANES`` numbers is
nothing else to them, so they are those of :mod:`.winograd_tiles`, without a vector that is masked. The products are
those of :mod:`..machine.lane_kernel`: at each of the 36 points a matrix of vectors (tiles × channels) by one of numbers
(channels × filters), which all lanes share (Lavin & Gray, "Fast algorithms for convolutional neural networks", 2016).

Three tiles are taken at a time, so that what belongs to them stays in the second-level cache. They are read from the
image itself; only those at its border go by a copy with zeros around it. Tiles begin at multiples of four rows, however
an image is cut into parts, so bits depend neither on the parts nor on the width of registers. A NaN stays in its lane;
as with every use of Winograd's algorithm, it makes NaN of all results of the tiles that hold it.

The weight gradient stays with the direct product, whose sums over all pixels need no transform at all.
"""

import functools
import math

import numba
import numpy as np
from numba import carray, types

from ..machine.jit import by_itself, helper
from ..machine.lane_kernel import LANES
from ..machine.memory import call_address, clear, copy, prefetch
from ..machine.micro_kernel import panel_width, product
from ..machine.written import written
from . import winograd_tiles
from .winograd import PIECES, transform_piece
from .winograd_transforms import input_tile, result_tile

POINTS = winograd_tiles.POINTS
TILES = 3  # at a time: as many rows as the product takes at once
FILTERS = 8  # at a time, which makes what lies between products and transform back half as large, or less
#: The fewest channels for which this is faster: forward, and for the input gradient, whose direct product does not
#: multiply the zeros around dy.
FORWARD, BACK = 8, 20
_ANY = 1 << 40  # elements of an array of which only the address is known


def preferred(kernel, strides, dilation, groups, C, F, OH, OW, least):
    """Return whether this is expected to be faster than the direct product, by the shapes alone.

    There must be ``least`` channels. For the input gradient C and F change places, and OH and OW are the input's. Of a
    tile's 16 results 13 must exist on average where there are 8 channels, and fewer where more channels make the
    transforms a smaller part of the work. And there must be two rows of tiles, to be shared by threads.
    """
    tiles = -(-OH // 4) * -(-OW // 4)
    enough = min(C, F) >= least and tiles * (15 - min(C, F) // 4) <= OH * OW and OH > 4
    return kernel == (3, 3) and strides == dilation == (1, 1) and groups == 1 and enough


def rows_of_tiles(pooling):
    """Return how many of a stage's rows belong to whole tiles: fewer than four where a pooling goes by two or four."""
    return 4 // math.gcd(4, pooling.row_stride) if pooling.OH else 4


def scratch_size(C, F):
    """Return how many numbers of scratch memory :func:`convolve` needs, for C channels and F filters or the reverse."""
    return LANES * ((1 + POINTS) * max(C, F) + POINTS * (TILES * (max(C, F) + FILTERS) + 2))


@functools.cache
def tables(channels):
    """Return the tables of the product at each point: where the vectors of a tile begin, and those of its channels."""
    return LANES * channels * np.arange(TILES, dtype=np.int64), LANES * np.arange(channels, dtype=np.int64)


def transformed(w, flipped, empty):
    """Return the 36 packed matrices of the filters, or with ``flipped`` those for the input gradient."""
    (C, F), item = w.shape[2:], w.itemsize
    rows, columns = (F, C) if flipped else (C, F)
    u = empty((winograd_tiles.filters_size(rows, columns, item),), w.dtype)
    scratch = empty((PIECES, 9 * columns), w.dtype)
    transform_piece.launch(PIECES, w.reshape(-1), C, F, flipped, u, scratch, of_weights=True)
    return u


@helper
def convolve_tiles(
    micro, image, H, W, C, top, left, rows, columns, u, F, bias, floor, out, rows_at, steps, scratch
):  # fmt: skip
    """Do the work of :func:`convolve`, for flat arrays that begin where they are read."""
    across = (columns + 3) // 4
    tiles = across * ((rows + 3) // 4)
    pixel, result, panel = C * LANES, F * LANES, panel_width(u.itemsize)
    v, v_step, m_step = result + 36 * pixel, (TILES * C + 1) * LANES, (TILES * FILTERS + 1) * LANES  # not powers of two
    m, u_step, none = v + POINTS * v_step, winograd_tiles.filters_step(C, F, u.itemsize), out.dtype.type(-np.inf)
    for i in range(result):
        scratch[i] = bias[i // LANES]
    first = 0
    while first < tiles:
        count = -(-(tiles - first) // -(-(tiles - first) // TILES))  # so that the last ones are not much fewer
        for t in range(count):
            i, j = top + (first + t) // across * 4, left + (first + t) % across * 4
            at = v + t * pixel
            if 0 <= i <= H - 6 and 0 <= j <= W - 6:
                input_tile(pixel, image, (i * W + j) * pixel, W * pixel, pixel, scratch, at, 6 * v_step, v_step, 6, 6)
            else:
                place_tile(image, H, W, pixel, i, j, scratch, result)
                input_tile(pixel, scratch, result, 6 * pixel, pixel, scratch, at, 6 * v_step, v_step, 6, 6)
        for column in range(0, F, FILTERS):
            width = min(FILTERS, F - column)
            at = column // panel * panel * C + column % panel
            for e in range(POINTS):
                if column == 0:
                    ask_for_results(e, first, count, across, rows, columns, result, out)
                product(
                    micro, count, width, C, scratch, v + e * v_step, rows_at, 0, steps, 0, u, e * u_step + at, panel,
                    scratch, 0, -1, none, scratch, m + e * m_step, FILTERS * LANES,
                )  # fmt: skip
            for t in range(count):
                i, j = (first + t) // across * 4, (first + t) % across * 4
                result_tile(
                    width * LANES, scratch, m + t * FILTERS * LANES, 6 * m_step, m_step,
                    out, (i * columns + j) * result + column * LANES, columns * result, result,
                    min(4, rows - i), min(4, columns - j), scratch, column * LANES, floor,
                )  # fmt: skip
        first += count


@helper
def ask_for_results(e, first, count, across, rows, columns, result, out):
    """Ask for a part of the memory of the next results, a third of a tile's row for each of the 36 points.

    Without this the transform back would wait for it: it stores as much as many products in a short time.
    """
    t, r, part = e // 12, e // 3 % 4, e % 3
    i, j = (first + t) // across * 4 + r, (first + t) % across * 4
    if t < count and i < rows:
        size = min(4, columns - j) * result
        begin, end = part * size // 3, (part + 1) * size // 3
        prefetch(out, (i * columns + j) * result + begin, end - begin)


@helper
def place_tile(image, H, W, pixel, top, left, target, start):
    """Write the 6×6 pixels from ``(top, left)`` on, which may be outside an image: there are zeros then."""
    before = min(6, max(0, -left))
    count = max(0, min(6, W - left) - before)
    for i in range(6):
        to, h = start + i * 6 * pixel, top + i
        if h < 0 or h >= H or count == 0:
            clear(target, to, 6 * pixel)
        else:
            clear(target, to, before * pixel)
            copy(target, to + before * pixel, image, (h * W + left + before) * pixel, count * pixel)
            clear(target, to + (before + count) * pixel, (6 - before - count) * pixel)


@functools.cache
def tiles_kernel(dtype):
    """Return the address of :func:`convolve_tiles`, compiled for arrays of a dtype."""
    if numba.config.DISABLE_JIT:
        return 0
    number, index = numba.from_dtype(np.dtype(dtype)), types.intp
    array, table = types.CPointer(number), types.CPointer(types.int64)

    def lane_winograd(
        micro, image, H, W, C, top, left, rows, columns, u, F, bias, floor, out, rows_at, steps, scratch
    ):  # fmt: skip
        convolve_tiles(
            micro, carray(image, _ANY), H, W, C, top, left, rows, columns, carray(u, _ANY), F, carray(bias, _ANY),
            floor, carray(out, _ANY), carray(rows_at, _ANY), carray(steps, _ANY), carray(scratch, _ANY),
        )  # fmt: skip

    signature = types.void(index, array, *[index] * 7, array, index, array, number, array, table, table, array)
    return by_itself(signature, lane_winograd).address


def _convolve_in_python(
    kernel, micro, image, i_start, H, W, C, top, left, rows, columns, u, F, bias, floor, out, start, rows_at, steps,
    scratch, s_start,
):  # fmt: skip
    convolve_tiles(
        micro, image[i_start:], H, W, C, top, left, rows, columns, u, F, bias, floor, out[start:], rows_at, steps,
        scratch[s_start:],
    )  # fmt: skip


@written(_convolve_in_python)
def convolve(
    write, kernel, micro, image, H, W, C, top, left, rows, columns, u, F, bias, floor, out, rows_at, steps, scratch
):
    """Convolve a block of images by 3×3 filters: some rows of the result, whose tiles begin at the first.

    Parameters
    ----------
    kernel, micro : int
        :func:`tiles_kernel` and :func:`.lane_kernel.weights_kernel`.
    image : flat array
        The block, (H, W, C, LANES), begins at ``image[i_start]``.
    i_start, H, W, C : int
    top, left : int
        Where in the block the window of the first result begins. What lies outside the block is zero.
    rows, columns : int
        Of the result.
    u : flat array
        What :func:`transformed` returned.
    F : int
    bias : (F,) array
    floor : number
        0 for a ReLU, else minus infinity.
    out : flat array
        The result begins at ``out[start]``.
    start : int
    rows_at, steps : int64 arrays
        :func:`tables`.
    scratch : flat array
        :func:`scratch_size` numbers from ``scratch[s_start]`` on.
    s_start : int
    """
    arguments = [micro, image, H, W, C, top, left, rows, columns, u, F, bias, floor, out, rows_at, steps, scratch]
    call_address(write.builder, kernel, arguments)
