"""What a direct convolution needs to know before it runs: sizes, tables of offsets and scratch memory."""

import functools
from typing import NamedTuple

import numpy as np

from ... import aligned
from ..machine.arrays import pieces
from ..machine.max_pooling import NO_POOL, Pooling
from ..machine.micro_kernel import packed_size, panel_width
from . import lane_winograd
from .canvas import SUM_WIDTH, Canvas

CHUNKS = 32  # at most, of a launch
ENOUGH = 16  # chunks where there are few images: images are cut until there are as many
CHUNK_PIXELS = 32  # at least, of a block of images that one chunk of the backward sums in lanes
PARTIAL_BYTES = 4_000_000  # of all chunks' weight gradients together, approximately


class Sizes(NamedTuple):
    """What a launch needs to know of shapes, and how the work is cut into pieces."""

    N: int  # images, or blocks of as many images as there are lanes
    lanes: int  # 1, or LANES
    H: int
    W: int
    C: int
    OH: int
    OW: int
    F: int
    taps: int
    groups: int
    row_stride: int
    row_extent: int
    parts: int  # into which each image's output rows are cut, where there are few images
    bands: int  # the same in the backward; images that are not in lanes remain whole
    chunks: int
    chunks_backward: int
    winograd: bool  # whether the forward is Winograd's, see :mod:`.lane_winograd`
    winograd_back: bool  # whether the input gradient is
    unit: int  # rows that parts are made of: those of whole tiles with Winograd's convolution, else 1
    unit_back: int  # the same for bands


class Scratch(NamedTuple):
    """How many numbers of scratch memory each worker needs, and how many a launch needs for weights."""

    canvas: int  # x with zeros around it
    z: int  # before the pooling, and its gradient
    panels: int  # the gradient as a right factor, and sums of its columns
    back: int  # the gradient with zeros around it
    sums: int  # the gradients of weights and biases in each lane
    weights: int  # packed
    flipped: int  # and packed, for the input gradient
    tiles: int  # what Winograd's convolution needs


class Plan(NamedTuple):
    """All that follows from shapes, computed once for each combination by :func:`plan`.

    Jitted code takes its parts one by one, because Numba cannot hand a tuple in a tuple to a parallel loop.
    """

    sizes: Sizes
    canvas: Canvas  # of x
    back: Canvas  # of dy, for the input gradient
    pooling: Pooling
    tables: tuple  # of offsets: pixels and taps of the forward product
    met: tuple  # tables of the input gradient, see :func:`_met_taps`
    slid: tuple  # the taps in the order of the lanes' weight gradient, and where each belongs
    scratch: Scratch


@functools.lru_cache(maxsize=1024)
def plan(x_shape, filters, window, groups, pooling=NO_POOL, itemsize=4, lanes=1, winograd=(False, False)):
    """Return the plan of a direct convolution and of the pooling behind it.

    Parameters
    ----------
    x_shape : (N, H, W, C)
    filters : int
    window : Window
    groups : int
    pooling : Pooling
    itemsize : int
        Bytes of a number.
    lanes : int
        How many images stand in the place of one, see :mod:`..machine.lane_kernel`.
    winograd : (bool, bool)
        Whether :mod:`.lane_winograd` computes the forward, and the input gradient.
    """
    N, H, W, C = x_shape
    (KH, KW), (sh, sw), (top, _, left, _), (dh, dw) = window
    OH, OW = window.output_size((H, W))
    eh, ew = window.extent()
    CG = C // groups
    padded = any(window.pads)
    canvas = Canvas((OH - 1) * sh + eh, (OW - 1) * sw + ew, top, left, 1, 1, False) if padded else (
        Canvas(H, W, 0, 0, 1, 1, True)
    )  # fmt: skip
    unit, unit_back = lane_winograd.rows_of_tiles(pooling) if winograd[0] else 1, 4 if winograd[1] else 1
    parts = min(pieces(pooling.OH or OH, unit), pieces(ENOUGH, N)) if N else 1
    weights, bands = KH * KW * CG * filters, 1
    # A chunk's own dw has to be cleared and added up, in lanes for each of them. That is worth it for some pixels of a
    # block in lanes, and for a million multiplications elsewhere, within the cache.
    if lanes > 1:
        bands = max(1, min(pieces(H, unit_back), OH, pieces(ENOUGH, max(1, N)), OH * OW // CHUNK_PIXELS))
        worth_it = N * OH * OW // CHUNK_PIXELS
    else:
        worth_it = N * OH * OW * weights >> 20
    chunks_backward = min(N * bands, CHUNKS, max(4, min(PARTIAL_BYTES // (weights * itemsize + 1), worth_it)))
    sizes = Sizes(
        N,
        lanes,
        H,
        W,
        C,
        OH,
        OW,
        filters,
        KH * KW,
        groups,
        sh,
        eh,
        parts,
        bands,
        min(N * parts, CHUNKS),
        max(1, chunks_backward),
        *winograd,
        unit,
        unit_back,
    )
    tables = tuple(
        lanes * table
        for table in (
            _grid((OH, OW), (sh, sw), canvas.width, C, 1),
            _grid((KH, KW), (dh, dw), canvas.width, C, CG),
        )
    )
    # Of a row of taps, each reads what the one before it has read a pixel earlier, if they come one after another.
    order = np.arange(KH * KW * CG).reshape(KH, KW, CG).swapaxes(1, 2).reshape(-1)
    back, met = _met_taps(sizes, window, itemsize)
    scratch = _scratch(sizes, canvas, back, met, itemsize)
    return Plan(sizes, canvas, back, pooling, tables, met, (tables[1][order], order), scratch)


def panel_columns(p, itemsize):
    """Return how wide the flipped weights of a group are in panels, and the distance of their rows.

    Weights that fit into one panel lie as they are, those of all groups side by side.
    """
    CG, panel = p.C // p.groups, panel_width(itemsize)
    return (CG, p.C) if p.lanes > 1 or panel >= CG else (pieces(CG, panel) * panel, panel)


def _met_taps(p, window, itemsize):
    """Return the canvas of dy for the input gradient, and as tables, which taps of the flipped window meet dy.

    Near a border only some do, and the others would multiply zeros. The rows of taps that a row of x meets are
    neighbours, and so are their weights. The columns that a column of x meets are not, so each range of them has
    weights of its own. That is for images in lanes: elsewhere products of few pixels take longer than those of zeros.

    Returns
    -------
    back : Canvas
    tables : tuple of int64 arrays
        * of each pixel of x its offset on the canvas, in the order of rows, and once more in that of columns;
        * of each range of columns of taps, the offsets of its taps;
        * of each row of x, the first row of taps that it meets and the one behind the last;
        * the ranges: the first column of taps and the one behind the last;
        * of each run of columns of x with the same range: the first and the one behind the last, where the taps of the
          range begin, where its weights begin, and how many steps of the product a row of its taps and all of them are.
    """
    (KH, KW), (dh, dw), FG = window.size, window.dilation, p.F // p.groups
    top, left = (e - 1 - pad for e, pad in zip(window.extent(), window.pads[::2], strict=True))
    height, width = ((count - 1) * s + 1 for count, s in zip((p.OH, p.OW), window.strides, strict=True))
    back = Canvas(height, width, 0, 0, *window.strides, window.strides == (1, 1))
    columns = _met(p.W, KW, dw, left, width)
    if KW > 1 and p.lanes == 1:
        back = back._replace(width=p.W + window.extent()[1] - 1, left=left, in_place=False)
        columns, left = np.full((p.W, 2), (0, KW)), 0
    pixels = (np.arange(p.H)[:, None] - top) * back.width + np.arange(p.W) - left
    ranges, which = np.unique(columns, axis=0, return_inverse=True)
    taps = [_grid((KH, high - low), (dh, dw), back.width, p.F, FG) + low * dw * p.F for low, high in ranges]
    steps = FG * (ranges[:, 1] - ranges[:, 0])
    begin = KH * np.cumsum([0, *steps])
    changes = 1 + np.flatnonzero((columns[1:] != columns[:-1]).any(axis=1))
    bounds = (0, *changes, p.W)
    i = which.reshape(-1)[[*bounds[:-1]]]
    weights = begin[i] * p.groups * panel_columns(p, itemsize)[0]
    runs = np.column_stack((bounds[:-1], bounds[1:], begin[i], weights, steps[i], KH * steps[i]))
    tables = (
        p.lanes * p.F * np.append(pixels, pixels.T),
        p.lanes * np.hstack(taps),
        _met(p.H, KH, dh, top, height),
        ranges,
        runs,
    )
    return back, tuple(np.array(table, np.int64).reshape(-1) for table in tables)


def _met(count, taps, distance, pad, length):
    """Return the first tap and the one behind the last with which each of some pixels meets one of ``length`` others.

    Tap 0 of pixel i reads place ``i - pad`` among these, and each further one ``distance`` places more.
    """
    starts = np.arange(count) - pad
    first = np.clip(-(starts // distance), 0, taps)
    return np.column_stack((first, np.clip((length - 1 - starts) // distance + 1, first, taps)))


def _grid(counts, distances, width, channels, depth):
    """Return the offsets of a grid of pixels of an image, and of the first ``depth`` channels of each.

    Parameters
    ----------
    counts, distances : (int, int)
        Rows and columns of the grid, and how many pixels these are apart.
    width, channels : int
        Pixels of the image's rows, and channels of its pixels.
    depth : int
    """
    rows, columns = (np.arange(count, dtype=np.int64) * d for count, d in zip(counts, distances, strict=True))
    pixels = (rows[:, None] * width + columns) * channels
    return (pixels[..., None] + np.arange(depth)).reshape(-1)


def _scratch(p, canvas, back, met, itemsize):
    """Return the :class:`Scratch` of a plan with these parts."""
    CG, FG, lanes = p.C // p.groups, p.F // p.groups, p.lanes
    packed = packed_size if lanes == 1 else lambda *_: 0
    sizes = Scratch(
        0 if canvas.in_place else canvas.height * canvas.width * p.C * lanes,
        p.OH * p.OW * p.F * lanes,
        max(packed(p.OH * p.OW, FG, itemsize), SUM_WIDTH, p.F * lanes),
        0 if back.in_place else back.height * back.width * p.F * lanes,
        0 if lanes == 1 else (p.taps * CG + 1) * p.F * lanes,
        p.groups * packed(p.taps * CG, FG, itemsize),
        met[1].size * p.groups * panel_columns(p, itemsize)[0],
        lane_winograd.scratch_size(p.C, p.F) if p.winograd or p.winograd_back else 0,
    )
    return Scratch(*(aligned.rounded(size, itemsize) for size in sizes))
