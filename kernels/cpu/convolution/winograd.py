"""The stages of :mod:`.direct` with Winograd's convolution, for several images at a time.

A few small images together make enough tiles for whole products, so the work is cut into blocks of images. The
transformed filters are computed first, by all threads, and read by all.
"""

import functools
from typing import NamedTuple

import numpy as np

from ... import aligned
from ..machine.arrays import pieces, sum_rows
from ..machine.jit import helper
from ..machine.max_pooling import NO_POOL, Pooling, pool_rows, unpool
from ..machine.memory import clear
from ..machine.micro_kernel import micro_kernel
from ..machine.normalise import back_through_norm, moments_of, normalise_pixel
from ..machine.parallel import parallel, worker_count
from . import winograd_tiles as tiles
from .canvas import SUM_WIDTH, Canvas, add_columns, gate, place
from .winograd_tiles import COLUMNS, POINTS, convolve_block, transform_filters, weights_block, weights_from

CHUNKS = 16  # at most, of a launch
PIECES = 16  # into which the filters' transforms are cut
SUMS_BYTES = 2_400_000  # of all parts' sums for the weight gradient together, approximately: more leave the caches


class Sizes(NamedTuple):
    """What a launch needs to know of shapes, and how the work is cut into pieces."""

    N: int
    H: int
    W: int
    C: int
    OH: int
    OW: int
    F: int
    images: int  # in a block
    blocks: int
    chunks: int
    cuts: int  # into which each image's tiles are cut forward, row by row, where there are few images
    parts: int  # into which the images are cut for the weight gradient: each part has 36 matrices of its own
    run: int  # tiles that are taken at a time, forward and for the weight gradient
    run_back: int  # the same for the input gradient


class WinogradPlan(NamedTuple):
    """All that follows from shapes, computed once for each combination by :func:`plan`."""

    sizes: Sizes
    canvas: Canvas  # of x
    back: Canvas  # of dy, for the input gradient
    pooling: Pooling
    itemsize: int


@functools.lru_cache(maxsize=1024)
def plan(x_shape, filters, window, pooling=NO_POOL, itemsize=4):
    """Return the plan of a 3×3 convolution with stride 1 and of the pooling behind it.

    Parameters
    ----------
    x_shape : (N, H, W, C)
    filters : int
    window : Window
    pooling : Pooling
    itemsize : int
        Bytes of a number.
    """
    N, H, W, C = x_shape
    OH, OW = window.output_size((H, W))
    top, _, left, _ = window.pads
    run, run_back = tiles.run_length(C, itemsize), tiles.run_length(filters, itemsize)
    images = tiles.images_per_block(N, OH, OW, run)
    blocks = pieces(N, images)
    chunks, cuts = min(blocks, CHUNKS), 1
    alone = pooling.rows == pooling.row_stride and pooling.top == 0 and pooling.row_stride in (0, 1, 2, 4)
    if alone and N < tiles.BLOCKS:
        cuts = {0: 1, 1: 2}.get(OH // 16, 4)  # of two rows of tiles at least
    parts = min(chunks, max(2, SUMS_BYTES // (POINTS * C * filters * itemsize)))
    sizes = Sizes(N, H, W, C, OH, OW, filters, images, blocks, chunks, cuts, parts, run, run_back)
    canvas = Canvas(_whole_tiles(OH), _whole_tiles(OW), top, left, 1, 1, False)
    back = Canvas(_whole_tiles(H), _whole_tiles(W), 2 - top, 2 - left, 1, 1, False)
    return WinogradPlan(sizes, canvas, back, pooling, itemsize)


def _whole_tiles(results):
    """Return the rows or columns of a canvas from which so many results are computed, four at a time."""
    return pieces(results, 4) * 4 + 2


def launch_forward(plan, x, w, b, floor, y, winners, work, norm, moments):
    """Give :func:`forward` its scratch memory and run it.

    The parameters are those of :func:`.choice.launch_forward`; without a normalisation ``norm`` holds three empty
    arrays, and where no moments are asked for, those are two.
    """
    p, canvas, _, pooling, itemsize = plan
    empty = work or aligned.empty
    z = p.images * p.OH * p.OW * p.F if pooling.OH else 0
    offsets = tuple(aligned.rounded(size, itemsize) for size in (p.images * canvas.height * canvas.width * p.C, z))
    share = sum(offsets) + aligned.rounded(tiles.forward_scratch(p.run, p.C, p.F, itemsize), itemsize)
    chunks = min(p.blocks * p.cuts, CHUNKS)
    scratch = empty((worker_count(chunks), share), x.dtype)
    u = empty((tiles.filters_size(p.C, p.F, itemsize),), x.dtype)
    filter_scratch = empty((PIECES, 9 * p.F), x.dtype)
    transform_piece.launch(PIECES, w.reshape(-1), p.C, p.F, False, u, filter_scratch, of_weights=True)
    forward.launch(
        chunks, micro_kernel(x.dtype), chunks, p, canvas, pooling, x.reshape(-1), b, x.dtype.type(floor), y.reshape(-1),
        winners.reshape(-1), u, *tiles.tables(p.run, p.C), scratch.reshape(-1), share, offsets, *norm,
        *moments,
    )  # fmt: skip


def launch_backward(plan, dy, y, winners, relu, x, w, dx, dw, db, work, norm):
    """Give :func:`input_gradient` and :func:`weight_gradient` their scratch memory and run what is asked for.

    The parameters are those of :func:`.choice.launch_backward`; without a normalisation the tables of ``norm`` are
    empty.
    """
    p, canvas, back, pooling, itemsize = plan
    empty, wants = work or aligned.empty, (dx.size > 0, dw.size > 0)
    gated = relu or pooling.OH > 0 or norm.size > 0
    dz = empty((p.N * p.OH * p.OW * p.F,), dy.dtype) if gated else dy.reshape(-1)
    biases = empty((p.chunks, p.F), dy.dtype)
    canvas_size = aligned.rounded(p.images * back.height * back.width * p.F if wants[0] else 0, itemsize)
    products = tiles.forward_scratch(p.run_back, p.F, p.C, itemsize) if wants[0] else 0
    share = canvas_size + aligned.rounded(max(products, SUM_WIDTH, p.F), itemsize)
    scratch = empty((worker_count(p.chunks), share), dy.dtype).reshape(-1)
    u = empty((tiles.filters_size(p.F, p.C, itemsize) if wants[0] else 0,), dy.dtype)
    if wants[0]:
        filter_scratch = empty((PIECES, 9 * p.C), dy.dtype)
        transform_piece.launch(PIECES, w.reshape(-1), p.C, p.F, True, u, filter_scratch)
    input_gradient.launch(
        p.chunks, micro_kernel(dy.dtype), p, back, pooling, dy.reshape(-1), y.reshape(-1), winners.reshape(-1), relu,
        norm, dz, dx.reshape(-1), wants, np.zeros(p.C, dy.dtype), *tiles.tables(p.run_back, p.F), u, biases.reshape(-1),
        scratch, share, canvas_size,
    )  # fmt: skip
    if not wants[1]:
        return
    canvas_size = aligned.rounded(p.images * canvas.height * canvas.width * p.C, itemsize)
    share = canvas_size + aligned.rounded(tiles.weights_scratch(p.run, p.C, p.F, itemsize), itemsize)
    squares = pieces(p.C, COLUMNS) * pieces(p.F, COLUMNS)
    scratch = empty((worker_count(p.parts * squares), share), dy.dtype).reshape(-1)
    du = empty((p.parts * POINTS * p.C * p.F,), dy.dtype)
    weight_gradient.launch(
        p.parts * squares, micro_kernel(dy.dtype), p, canvas, x.reshape(-1), dz, du,
        *tiles.tables(p.run, min(p.C, COLUMNS)), scratch, share, canvas_size,
    )  # fmt: skip
    deliver_weights.launch(PIECES, p, du, biases.reshape(-1), dw.reshape(-1), db)


@parallel
def transform_piece(piece, worker, w, C, F, flipped, u, scratch):
    """Compute some of the rows of the filters' 36 matrices."""
    rows = F if flipped else C
    first, last = piece * rows // PIECES, (piece + 1) * rows // PIECES
    transform_filters(w, 0, C, F, flipped, u, 0, first, last, scratch.reshape(-1), piece * scratch.shape[1])


@parallel
def forward(
    chunk, worker, micro, chunks, p, canvas, pooling, x, b, floor, y, winners, u, rows, steps, work, share, offsets,
    mean, scale, shift, means, squares,
):  # fmt: skip
    """Compute a chunk of the result, one block of images after another, or some rows of one image.

    Parameters
    ----------
    chunk, worker, chunks : int
    micro : int
        :func:`.micro_kernel.micro_kernel`.
    p : Sizes
    canvas : Canvas
        Of x.
    pooling : Pooling
    x : flat array
    b : (F,) array
    floor : number
        0 for a ReLU, else minus infinity.
    y, winners : flat arrays
        They receive the results.
    u : flat array
        The transformed filters.
    rows, steps : int64 arrays
        :func:`.winograd_tiles.tables`.
    work : flat array
        Scratch memory: for each worker ``share`` numbers. They hold ``offsets[0]`` numbers of canvases, then
        ``offsets[1]`` numbers of what is pooled, then what :func:`.winograd_tiles.convolve_block` needs.
    share : int
    offsets : (int, int)
    mean, scale, shift : (F,) arrays
        A normalisation in front of the pooling; empty if there is none.
    means, squares : (blocks, width) arrays
        They receive the moments of each block of the result; empty if these are not asked for.
    """
    start, size = worker * share, canvas.height * canvas.width * p.C
    items, down = p.blocks * p.cuts, -(-p.OH // 4)
    for item in range(chunk * items // chunks, (chunk + 1) * items // chunks):
        block, cut = item // p.cuts, item % p.cuts
        first = block * p.images
        count = min(p.images, p.N - first)
        top, bottom = 4 * (cut * down // p.cuts), 4 * ((cut + 1) * down // p.cuts)
        rows_here = min(bottom, p.OH) - top
        place_all(canvas, x, first * p.H * p.W * p.C, count, p.H, p.W, p.C, top, bottom + 2, work, start)
        z, z_start = y, (first * p.OH + top) * p.OW * p.F
        if pooling.OH > 0:
            z, z_start = work, start + offsets[0]
        convolve_block(
            micro, work, start + top * canvas.width * p.C, size, canvas.width, p.C, count, rows_here, p.OW, u, 0, p.F,
            b, 0, floor, z, z_start, p.run, rows, steps, work, start + offsets[0] + offsets[1],
        )  # fmt: skip
        if means.size:
            moments_of(y, z_start, count * p.OH * p.OW * p.F, means[block], squares[block])
        if scale.size:
            for pixel in range(count * rows_here * p.OW):
                normalise_pixel(p.F, z, z_start + pixel * p.F, mean, scale, shift)
        if pooling.OH > 0:
            pooled = top // pooling.row_stride
            end = pooling.OH if cut == p.cuts - 1 else bottom // pooling.row_stride
            for i in range(count):
                image = z_start + (i * p.OH - top) * p.OW * p.F
                pool_rows(pooling, z, image, p.OH, p.OW, p.F, pooled, end, y, winners, first + i)


@helper
def place_all(canvas, images, start, count, H, W, C, first, last, work, canvases):
    """Put rows ``first`` … ``last - 1`` of ``count`` images on canvases, one after another."""
    for i in range(count):
        target = canvases + i * canvas.height * canvas.width * C
        place(canvas, images, start + i * H * W * C, H, W, C, first, last, work, target)


@parallel
def input_gradient(
    chunk, worker, micro, p, back, pooling, dy, y, winners, relu, norm, dz, dx, wants, zeros, rows, steps, u, biases,
    work, share, canvas_size,
):  # fmt: skip
    """Compute a chunk of dz, if that is not dy, of its sums for db, and of dx if it is asked for.

    Parameters
    ----------
    chunk, worker : int
    micro : int
        :func:`.micro_kernel.micro_kernel`.
    p : Sizes
    back : Canvas
        Of dz.
    pooling : Pooling
    dy, y, winners : flat arrays
        The gradient by the stage's results, and these.
    relu : bool
    norm : (4, width) array
        The tables of a normalisation in front of the pooling; empty if there is none.
    dz : flat array
        The gradient by the convolution's result; it is dy if nothing stands behind the convolution.
    dx : flat array
    wants : (bool, bool)
        Whether the gradients by the input and by the weights are computed.
    zeros : (C,) array
        The bias of the convolution that gives dx.
    rows, steps : int64 arrays
        :func:`.winograd_tiles.tables`.
    u : flat array
        The transformed filters, flipped.
    biases : flat array
        A db for each chunk.
    work : flat array
        Scratch memory: for each worker ``share`` numbers, of which the first ``canvas_size`` are its canvases.
    share, canvas_size : int
    """
    start, none = worker * share, dy.dtype.type(-np.inf)
    clear(biases, chunk * p.F, p.F)
    results = p.OH * p.OW
    for block in range(chunk * p.blocks // p.chunks, (chunk + 1) * p.blocks // p.chunks):
        first = block * p.images
        count, dz_start = min(p.images, p.N - first), first * results * p.F
        if relu or pooling.OH > 0 or norm.size:
            gradient_before(p, pooling, dy, y, winners, relu, norm, first, count, dz, dz_start)
        if wants[1]:
            add_columns(dz, dz_start, count * results, p.F, biases, chunk * p.F, work, start + canvas_size)
        if wants[0]:
            place_all(back, dz, dz_start, count, p.OH, p.OW, p.F, 0, back.height, work, start)
            convolve_block(
                micro, work, start, back.height * back.width * p.F, back.width, p.F, count, p.H, p.W, u, 0, p.C,
                zeros, 0, none, dx, first * p.H * p.W * p.C, p.run_back, rows, steps, work, start + canvas_size,
            )  # fmt: skip


@helper
def gradient_before(p, pooling, dy, y, winners, relu, norm, first, count, dz, dz_start):
    """Compute dz of a block of images, back through the pooling, the normalisation and the ReLU.

    Parameters
    ----------
    p, pooling, dy, y, winners, relu, norm, dz
        As in :func:`input_gradient`.
    first, count : int
        The block's first image and number of images.
    dz_start : int
        Where in dz the block begins.
    """
    size = p.OH * p.OW * p.F
    if pooling.OH > 0:
        gated, result = relu & (norm.size == 0), dy if norm.size else y
        for i in range(count):
            unpool(pooling, dy, winners, result, gated, first + i, p.OH, p.OW, p.F, dz, dz_start + i * size)
    elif not norm.size:
        gate(dy, y, first * size, count * size, dz, dz_start)
    if norm.size:
        back_through_norm(dy, first * size, y, first * size, count * size, relu, norm, dz, dz_start, pooling.OH > 0)


@parallel
def weight_gradient(item, worker, micro, p, canvas, x, dz, du, rows, steps, work, share, canvas_size):
    """Sum dU, the gradient of the transformed filters, over a part of the images, for a square of channels and filters.

    Parameters
    ----------
    item, worker : int
        The item says which part of the images and which square.
    micro : int
        :func:`.micro_kernel.micro_kernel`.
    p : Sizes
    canvas : Canvas
        Of x.
    x, dz, du : flat arrays
    rows, steps : int64 arrays
        :func:`.winograd_tiles.tables`.
    work : flat array
        Scratch memory: for each worker ``share`` numbers, of which the first ``canvas_size`` are its canvases.
    share, canvas_size : int
    """
    start, size = worker * share, canvas.height * canvas.width * p.C
    part, across = item % p.parts, -(-p.F // COLUMNS)
    c, f = item // p.parts // across * COLUMNS, item // p.parts % across * COLUMNS
    channels, filters = min(COLUMNS, p.C - c), min(COLUMNS, p.F - f)
    total = square(p, c, f) + part * POINTS * channels * filters
    clear(du, total, POINTS * channels * filters)
    for block in range(part * p.blocks // p.parts, (part + 1) * p.blocks // p.parts):
        first = block * p.images
        count = min(p.images, p.N - first)
        place_all(canvas, x, first * p.H * p.W * p.C, count, p.H, p.W, p.C, 0, canvas.height, work, start)
        weights_block(
            micro, work, start, size, canvas.width, p.C, c, channels, count, p.OH, p.OW, dz,
            first * p.OH * p.OW * p.F, p.F, f, filters, du, total, p.run, rows, steps, work, start + canvas_size,
        )  # fmt: skip


@helper
def square(p, c, f):
    """Return where dU of the square from channel c and filter f begins; all parts' matrices stand together."""
    return p.parts * POINTS * (c * p.F + min(COLUMNS, p.C - c) * f)


@parallel
def deliver_weights(piece, worker, p, du, biases, dw, db):
    """Add up the parts' sums for some of each square's rows, and go back from the points to the taps.

    The first piece also adds up the chunks' sums for db.
    """
    if piece == 0:
        sum_rows(biases, p.F, 0, db)
    for c in range(0, p.C, COLUMNS):
        for f in range(0, p.F, COLUMNS):
            channels, filters = min(COLUMNS, p.C - c), min(COLUMNS, p.F - f)
            weights_from(
                du, square(p, c, f), p.parts, c, channels, p.F, f, filters, p.C, dw, 0,
                piece * channels // PIECES, (piece + 1) * channels // PIECES,
            )  # fmt: skip
