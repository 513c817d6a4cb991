"""Convolution by tiled im2col: the receptive fields of a few output rows at a time are copied into a buffer.

One im2col matrix for the whole batch, as in the reference, is KH*KW times the size of the input, and is written to
memory and read back. Here the receptive fields of a tile of output rows are gathered into a small buffer and multiplied
at once, while they lie in the second-level cache, and the buffer is used again (Chetlur et al., "cuDNN: efficient
primitives for deep learning", 2014, section 3.1). The rows of all images are numbered through, r = n*OH + i, so that
tiles fit small images too. The product is BLAS's.

This algorithm exists for comparison with the others: ``Conv2D(algorithm="im2col")``.

The input gradient is a convolution as well: of dy, with ``strides - 1`` zeros between its pixels, by the flipped
weights (Dumoulin & Visin, 2016, section 4.6). The same jitted function does both; its ``spread`` is the distance
between pixels that the zeros make.
"""

import numpy as np

from ... import aligned
from ...threads import one_blas_thread
from ..machine.arrays import pieces
from ..machine.jit import helper
from ..machine.memory import clear, copy, matmul_add
from ..machine.parallel import parallel
from . import direct
from .input_gradient import flip_tap

TILE_BYTES = 400_000  # of gathered receptive fields: with the weights these fit into a second-level cache of 1 MB
CHUNKS = 32  # at most, of a launch; each has a buffer of its own


def forward(x, w, b, y, window, groups, work):
    """Compute y of :func:`reference.conv2d_forward`. A 1×1 convolution reads x in place."""
    top, _, left, _ = window.pads
    _convolve(x, w, b, y, window.strides, window.dilation, (top, left), (1, 1), groups, work)


def input_gradient(dy, w, dx, window, groups, work):
    """Compute dx of :func:`reference.conv2d_backward_input`.

    Input row h met tap p of output row i where ``i*s + p*d = h + top``. With ``p' = KH-1-p`` that is
    ``i*s = h + p'*d - (d*(KH-1) - top)``: a stride of 1, the same dilation, and another pad, which may be negative.
    """
    KH, KW, CG, F = w.shape
    flipped = (work or aligned.empty)((KH, KW, F // groups, CG * groups), dy.dtype)
    size, whole = (CG, CG * groups, CG, F // groups, groups), np.array([0, KW])
    flip_tap.launch(KH * KW, w.reshape(-1), flipped.reshape(-1), KW, whole, *size)
    no_bias = np.zeros(CG * groups, dy.dtype)
    pad = tuple(e - 1 - p for e, p in zip(window.extent(), window.pads[::2], strict=True))
    _convolve(dy, flipped, no_bias, dx, (1, 1), window.dilation, pad, window.strides, groups, work)


def weight_gradient(dy, x, dw, db, window, groups, work):
    """Compute dw and db of :func:`reference.conv2d_backward_weights`; each chunk adds up its own."""
    N, OH, OW, F = dy.shape
    depth = dw.size // F
    rows, tiles, chunks = _tiling(N * OH, OW, depth, x.itemsize)
    empty = work or aligned.empty
    size = depth * F + F  # of dw and db together
    partial = empty((chunks * size,), x.dtype)
    in_place = _reads_in_place(window.size, window.strides, window.pads, x.shape[1:3], (OH, OW))
    cols = empty((chunks, 1 if in_place else rows * OW * depth), x.dtype)
    ones = np.ones(rows * OW, x.dtype)
    top, _, left, _ = window.pads
    with one_blas_thread(in_kernels=True):
        _weight_gradient.launch(
            chunks, x, dy, cols, ones, partial, window.size, window.strides, window.dilation, (top, left), groups, rows,
            tiles, in_place,
        )  # fmt: skip
    direct.add_up.launch(direct.PIECES, partial, chunks, size, dw.reshape(-1), db)


def _convolve(x, w, b, y, strides, dilation, pads, spread, groups, work):
    """Allocate the chunks' buffers and launch :func:`_forward`."""
    OH, OW = y.shape[1:3]
    KH, KW, CG, _ = w.shape
    depth = KH * KW * CG
    rows, tiles, chunks = _tiling(len(y) * OH, OW, depth, y.itemsize)
    in_place = spread == (1, 1) and _reads_in_place((KH, KW), strides, pads, x.shape[1:3], (OH, OW))
    cols = (work or aligned.empty)((chunks, 1 if in_place else rows * OW * depth), y.dtype)
    with one_blas_thread(in_kernels=True):
        _forward.launch(chunks, x, w, b, y, cols, strides, dilation, pads, spread, groups, rows, tiles, in_place)


def _tiling(rows, columns, depth, itemsize):
    """Return rows per tile, number of tiles and number of chunks, which follow from the shapes alone."""
    per_tile = max(1, min(rows, TILE_BYTES // max(1, columns * depth * itemsize)))
    tiles = pieces(rows, per_tile)
    return per_tile, tiles, min(tiles, CHUNKS)


def _reads_in_place(size, strides, pads, input_size, output_size):
    """Return whether the image itself is the im2col matrix: there is one tap, with no strides and no pads."""
    return size == strides == (1, 1) and not any(pads) and input_size == output_size


@parallel
def _forward(chunk, worker, x, w, b, y, cols, strides, dilation, pads, spread, groups, rows, tiles, in_place):
    """For each tile of a chunk, gather, fill the result with the bias and add the product.

    Tiles write to different rows of y.

    Parameters
    ----------
    chunk, worker : int
    x : (N, H, W, C) array
    w : (KH, KW, C // groups, F) array
    b : (F,) array
    y : (N, OH, OW, F) array
    cols : (chunks, …) array
        A buffer for each chunk.
    strides, dilation, pads, spread : (int, int)
        See :func:`gather`.
    groups : int
    rows, tiles : int
        Output rows of a tile, and number of tiles.
    in_place : bool
        Whether x is read in place.
    """
    N, OH, OW, F = y.shape
    KH, KW, CG, _ = w.shape
    depth, FG, chunks = KH * KW * CG, F // groups, cols.shape[0]
    images, weights, result, buffer = x.reshape(-1), w.reshape(-1), y.reshape(-1), cols.reshape(-1)
    start = chunk * cols.shape[1]
    for tile in range(chunk * tiles // chunks, (chunk + 1) * tiles // chunks):
        first, last = tile * rows, min((tile + 1) * rows, N * OH)
        pixels = (last - first) * OW
        for pixel in range(first * OW, last * OW):
            copy(result, pixel * F, b, 0, F)
        for g in range(groups):
            c_start = first * OW * F + g * FG
            if in_place:
                a, a_start, a_row = images, first * OW * CG * groups + g * CG, CG * groups
            else:
                gather(x, buffer, start, first, last, OH, OW, KH, KW, strides, dilation, pads, spread, CG, g * CG)
                a, a_start, a_row = buffer, start, depth
            matmul_add(
                pixels, FG, depth, a, a_start, a_row, False, weights, g * FG, F, False, result, c_start, F
            )  # fmt: skip


@parallel
def _weight_gradient(
    chunk, worker, x, dy, cols, ones, partial, kernel_size, strides, dilation, pads, groups, rows, tiles, in_place
):  # fmt: skip
    """For each tile of a chunk, add ``cols.T @ dy`` to the chunk's own dw, and the column sums of dy to its db.

    Parameters
    ----------
    chunk, worker : int
    x : (N, H, W, C) array
    dy : (N, OH, OW, F) array
    cols : (chunks, …) array
        A buffer for each chunk.
    ones : array
        As many ones as a tile has pixels: a product with them sums columns.
    partial : flat array
        It receives each chunk's dw and db.
    kernel_size, strides, dilation, pads : (int, int)
    groups, rows, tiles : int
    in_place : bool
        As in :func:`_forward`.
    """
    N, OH, OW, F = dy.shape
    KH, KW = kernel_size
    C = x.shape[3]
    CG, FG, chunks = C // groups, F // groups, cols.shape[0]
    depth = KH * KW * CG
    images, gradient, buffer = x.reshape(-1), dy.reshape(-1), cols.reshape(-1)
    start, size = chunk * cols.shape[1], depth * F + F
    dw = chunk * size
    db = dw + depth * F
    clear(partial, dw, size)
    for tile in range(chunk * tiles // chunks, (chunk + 1) * tiles // chunks):
        first, last = tile * rows, min((tile + 1) * rows, N * OH)
        pixels, origin = (last - first) * OW, first * OW * F
        matmul_add(1, F, pixels, ones, 0, pixels, False, gradient, origin, F, False, partial, db, F)
        for g in range(groups):
            if in_place:
                a, a_start, a_row = images, first * OW * C + g * CG, C
            else:
                gather(x, buffer, start, first, last, OH, OW, KH, KW, strides, dilation, pads, (1, 1), CG, g * CG)
                a, a_start, a_row = buffer, start, depth
            matmul_add(
                depth, FG, pixels, a, a_start, a_row, True, gradient, origin + g * FG, F, False,
                partial, dw + g * FG, F,
            )  # fmt: skip


@helper
def gather(x, cols, start, first, last, OH, OW, KH, KW, strides, dilation, pads, spread, count, channel):
    """Copy the receptive fields of output rows ``first`` … ``last - 1`` into a buffer, pixel by pixel.

    Tap (p, q) of pixel (i, j) reads image row ``(i*s + p*d - pad) / spread`` if that is a whole number inside the
    image, else 0; columns likewise.

    Parameters
    ----------
    x : (N, H, W, C) array
    cols : flat array
        The buffer begins at ``cols[start]``; a pixel takes ``KH*KW*count`` numbers.
    start, first, last : int
    OH, OW, KH, KW : int
    strides, dilation, pads, spread : (int, int)
        In each direction the stride, the dilation, the pad before the image, and the distance that zeros put between
        the image's pixels.
    count, channel : int
        How many channels are taken, and which is the first.
    """
    _, H, W, C = x.shape
    image = x.reshape(-1)
    line = KW * count
    one_run = dilation[1] == 1 and spread[1] == 1 and count == C
    for r in range(first, last):
        n, i = r // OH, r % OH
        for p in range(KH):
            row = i * strides[0] + p * dilation[0] - pads[0]
            inside = row >= 0 and row % spread[0] == 0 and row // spread[0] < H
            origin = (n * H + row // spread[0]) * W
            for j in range(OW):
                at = start + (((r - first) * OW + j) * KH + p) * line
                column = j * strides[1] - pads[1]
                if not inside:
                    clear(cols, at, line)
                elif one_run:
                    # The taps inside the image are neighbours in memory, so one copy does, with zeros before and after.
                    before = min(max(0, -column), KW)
                    end = max(before, min(KW, W - column))
                    clear(cols, at, before * C)
                    copy(cols, at + before * C, image, (origin + column + before) * C, (end - before) * C)
                    clear(cols, at + end * C, (KW - end) * C)
                else:
                    for q in range(KW):
                        tap = column + q * dilation[1]
                        if tap >= 0 and tap % spread[1] == 0 and tap // spread[1] < W:
                            copy(cols, at + q * count, image, (origin + tap // spread[1]) * C + channel, count)
                        else:
                            clear(cols, at + q * count, count)
