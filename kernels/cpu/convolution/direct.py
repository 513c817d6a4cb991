"""One convolution with all that stands around it, image by image: each intermediate result is used while it is near.

Forward, these are zeros around an image, the convolution, bias, ReLU and max-pooling. Backward, they are the same in
reverse, and both gradients of the convolution are computed from the gradient of one image. Everything between the input
and the pooled result lies in a worker's own scratch memory, which stays in the second-level cache; that of a whole
batch would go to memory and back. The kernels of ``conv`` are this without ReLU and pooling, and those of ``fused`` are
this with them.

The convolution itself is a product of :func:`.micro_kernel.product`, of an image with zeros around it (a *canvas*). The
same with Winograd's convolution is :mod:`.winograd`, but for images in lanes, where :mod:`.lane_winograd` stands in the
place of the product.
"""

import itertools

import numpy as np

from ... import aligned
from ..machine.columns import add_parts
from ..machine.jit import helper
from ..machine.lane_kernel import add_lanes, gradients_kernel, weights_kernel
from ..machine.max_pooling import pool_rows, unpool_rows
from ..machine.memory import clear, copy
from ..machine.micro_kernel import micro_kernel, pack, panel_width, product
from ..machine.normalise import back_through_norm, moments_of, normalise_pixel
from ..machine.parallel import parallel, worker_count
from ..machine.vectors import VECTOR_BYTES
from .canvas import add_columns, gate, place
from .direct_plan import panel_columns
from .input_gradient import flip_tap, input_gradient
from .lane_winograd import convolve, tables, tiles_kernel, transformed

PIECES = 16  # into which the sum of the chunks' gradients is cut


def launch_forward(plan, x, w, b, floor, y, winners, work, norm, moments):
    """Give :func:`forward` its scratch memory and run it.

    The parameters are those of :func:`.choice.launch_forward`; without a normalisation ``norm`` holds three empty
    arrays, and where no moments are asked for, those are two.
    """
    p, canvas, _, pooling, (pixels, taps), _, _, sizes = plan
    empty = work or aligned.empty
    near = max(sizes.canvas, sizes.tiles)
    share = near + (sizes.z if pooling.OH else 0)
    scratch = empty((worker_count(p.chunks), share), x.dtype).reshape(-1)
    weights, row = w.reshape(-1), p.F
    if sizes.weights:
        panels = empty((sizes.weights,), x.dtype)
        size = p.taps * (p.C // p.groups), p.F // p.groups
        pack_group.launch(p.groups, *size, weights, p.F, panels, p.groups, of_weights=True)
        weights, row = panels, 2 * VECTOR_BYTES // x.itemsize
    elif p.winograd:
        weights, (pixels, taps) = transformed(w, False, empty), tables(p.C)
    forward.launch(
        p.chunks, _kernels(p, x.dtype), p, canvas, pooling, x.reshape(-1), weights, row, b, x.dtype.type(floor),
        y.reshape(-1), winners.reshape(-1), pixels, taps, scratch, share, near, *norm, *moments,
    )  # fmt: skip


def launch_backward(plan, dy, y, winners, relu, x, w, dx, dw, db, work, norm):
    """Give :func:`backward` its scratch memory and run it.

    The parameters are those of :func:`.choice.launch_backward`; without a normalisation the tables of ``norm`` are
    empty.
    """
    p, canvas, back, pooling, (pixels, taps), met, slid, sizes = plan
    z = sizes.z if pooling.OH or relu or norm.size else 0
    offsets = tuple(itertools.accumulate((sizes.canvas, z, sizes.panels, max(sizes.back, sizes.tiles), sizes.sums)))
    empty, wants = work or aligned.empty, (dx.size > 0, dw.size > 0)
    CG, FG = p.C // p.groups, p.F // p.groups
    size = p.taps * CG * p.F + p.F  # of dw and db together
    columns, row = panel_columns(p, dy.itemsize)
    scratch = empty((worker_count(p.chunks_backward), offsets[4]), dy.dtype).reshape(-1)
    partial = empty((p.chunks_backward, size if wants[1] else 0), dy.dtype).reshape(-1)
    winograd_back = wants[0] and p.winograd_back
    flipped = empty((sizes.flipped if wants[0] and not winograd_back else 0,), dy.dtype)
    back_tables = met[:2]
    if winograd_back:
        flipped, back_tables = transformed(w, True, empty), tables(p.F)
    elif wants[0]:
        flip_tap.launch(p.taps, w.reshape(-1), flipped, w.shape[1], met[3], columns, row, CG, FG, p.groups)
    backward.launch(
        p.chunks_backward, _kernels(p, dy.dtype), p, canvas, back, pooling, dy.reshape(-1), y.reshape(-1),
        winners.reshape(-1), relu, norm, x.reshape(-1), dx.reshape(-1), wants, pixels, slid[0] if p.lanes > 1 else taps,
        slid[1], *back_tables, met[2], met[4], np.zeros(max(p.C, p.F), dy.dtype), flipped, columns, row,
        partial, scratch, offsets,
    )  # fmt: skip
    if wants[1]:
        add_up.launch(PIECES, partial, p.chunks_backward, size, dw.reshape(-1), db)


def _kernels(p, dtype):
    """Return the addresses of both products and of Winograd's convolution, as :func:`backward` takes them."""
    if p.lanes == 1:
        return micro_kernel(dtype), micro_kernel(dtype), 0
    return weights_kernel(dtype), gradients_kernel(dtype), tiles_kernel(dtype) if p.winograd or p.winograd_back else 0


@parallel
def forward(
    chunk, worker, micro, p, canvas, pooling, x, w, w_row, b, floor, y, winners, pixels, taps, work, share, canvas_size,
    mean, scale, shift, means, squares,
):  # fmt: skip
    """Compute a chunk of the result. The work is cut into parts of the (pooled) rows of one image.

    Parameters
    ----------
    chunk, worker : int
    micro : (int, int, int)
        Addresses of kernels, see :func:`backward`.
    p : Sizes
    canvas : Canvas
        Of x.
    pooling : Pooling
    x, w : flat arrays
        The batch and the weights, packed if ``w_row`` is a panel's width, and transformed for Winograd's convolution.
    w_row : int
        Distance between rows of w.
    b : (F,) array
    floor : number
        0 for a ReLU, else minus infinity.
    y, winners : flat arrays
        They receive the results.
    pixels, taps : int64 arrays
        Tables of the product.
    work : flat array
        Scratch memory: for each worker ``share`` numbers, of which the first ``canvas_size`` are its canvas, or what
        Winograd's convolution needs.
    share, canvas_size : int
    mean, scale, shift : (F * lanes,) arrays
        A normalisation in front of the pooling; empty if there is none.
    means, squares : (N, width) arrays
        They receive the moments of each image of the result; empty if these are not asked for.
    """
    items, start = p.N * p.parts, worker * share
    for item in range(chunk * items // p.chunks, (chunk + 1) * items // p.chunks):
        forward_rows(
            micro, p, canvas, pooling, item // p.parts, item % p.parts, x, w, w_row, b, floor, y, winners, pixels, taps,
            work, start, start + canvas_size, mean, scale, shift,
        )  # fmt: skip
        if means.size:
            size = p.OH * p.OW * p.F
            moments_of(y, item * size, size, means[item], squares[item])


@parallel
def pack_group(g, worker, k, f, matrix, row, panels, groups):
    """Pack the columns of one group in a matrix of weights into panels."""
    pack(k, f, matrix, g * f, row, panels, g * (panels.size // groups))


@helper
def forward_rows(
    micro, p, canvas, pooling, n, part, x, w, w_row, b, floor, y, winners, pixels, taps, work, start, scratch, mean,
    scale, shift,
):  # fmt: skip
    """Compute one part of the result's rows of image n.

    Parameters
    ----------
    micro, p, canvas, pooling, x, w, w_row, b, floor, y, winners, pixels, taps, mean, scale, shift
        As in :func:`forward`.
    n, part : int
        The image, and which of its ``p.parts`` parts.
    work : flat array
        Scratch memory: the canvas from ``start`` on, and what is pooled from ``scratch`` on.
    start, scratch : int
    """
    CG, FG, pooled = p.C // p.groups, p.F // p.groups, pooling.OH > 0
    C, F = p.C * p.lanes, p.F * p.lanes  # numbers of a pixel
    rows = pooling.OH if pooled else p.OH
    first, last = cut(p.unit, part, p.parts, rows), cut(p.unit, part + 1, p.parts, rows)
    z, z_start, i, end = y, (n * p.OH + first) * p.OW * F, first, last
    if pooled:
        z, z_start = work, scratch
        i = max(0, first * pooling.row_stride - pooling.top)
        i -= i % 4 if p.winograd else 0
        end = min(p.OH, (last - 1) * pooling.row_stride - pooling.top + pooling.rows)
    image, image_start = x, n * p.H * p.W * C
    if p.winograd:
        convolve(
            micro[2], micro[0], x, image_start, p.H, p.W, p.C, i - canvas.top, -canvas.left, end - i, p.OW, w, p.F, b,
            floor, z, z_start, pixels, taps, work, start,
        )  # fmt: skip
    elif not canvas.in_place:
        place(canvas, x, image_start, p.H, p.W, C, i * p.row_stride, (end - 1) * p.row_stride + p.row_extent,
              work, start)  # fmt: skip
        image, image_start = work, start
    for g in range(0 if p.winograd else p.groups):
        w_start = g * (w.size // p.groups if w_row != p.F else FG)
        product(
            micro[0], (end - i) * p.OW, FG, p.taps * CG, image, image_start + g * CG * p.lanes, pixels, i * p.OW, taps,
            0, w, w_start, w_row, b, g * FG, 0, floor, z, z_start + g * FG * p.lanes, F,
        )  # fmt: skip
    if scale.size:
        for pixel in range((end - i) * p.OW):
            normalise_pixel(F, z, z_start + pixel * F, mean, scale, shift)
    if pooled:
        pool_rows(pooling, z, z_start - i * p.OW * F, p.OH, p.OW, F, first, last, y, winners, n)


@parallel
def backward(
    chunk, worker, micro, p, canvas, back, pooling, dy, y, winners, relu, norm, x, dx, wants, pixels, taps, order,
    back_pixels, back_taps, met_rows, runs, zeros, flipped, columns, flipped_row, partial, work, offsets,
):  # fmt: skip
    """Compute the gradients of a chunk; each chunk adds up a dw and a db of its own.

    The work is cut into bands of the rows of one image: of dz for the gradient by the weights, and of x for that by the
    input. What the second needs of dz above and below its band is computed again.

    Parameters
    ----------
    chunk, worker : int
    micro : (int, int, int)
        The products of images and weights, and of images and gradients, and Winograd's convolution.
    p : Sizes
    canvas, back : Canvas
        Of x, and of dz for the input gradient.
    pooling : Pooling
    dy, y, winners : flat arrays
        The gradient by the stage's results, and these.
    relu : bool
    norm : (4, width) array
        The tables of a normalisation in front of the pooling; empty if there is none.
    x, dx : flat arrays
    wants : (bool, bool)
        Whether the gradients by the input and by the weights are computed.
    pixels, taps : int64 arrays
        Tables of the forward product; the weight gradient exchanges them.
    order : int64 array
        Which row of dw belongs to each of the taps, if there are lanes.
    back_pixels, back_taps, met_rows, runs : int64 arrays
        Tables of the input gradient, see :func:`.direct_plan._met_taps`.
    zeros : array
        The bias of its product, and where sums begin.
    flipped : flat array
        The flipped weights.
    columns, flipped_row : int
        See :func:`.direct_plan.panel_columns`.
    partial : flat array
        A dw and a db for each chunk.
    work : flat array
        Scratch memory: for each worker ``offsets[4]`` numbers. They hold the canvas of x, then from ``offsets[0]`` on
        dz, from ``offsets[1]`` on the panels of dz, from ``offsets[2]`` on its canvas, and from ``offsets[3]`` on the
        sums of each lane, if there are lanes.
    offsets : 5 ints
    """
    F = p.F * p.lanes  # numbers of a pixel
    start, results = worker * offsets[4], p.OH * p.OW * F
    size = p.taps * (p.C // p.groups) * p.F + p.F
    total, total_start = partial, chunk * size
    if p.lanes > 1:
        total, total_start = work, start + offsets[3]
    if wants[1]:
        clear(total, total_start + (size - p.F) * p.lanes, F)
    items = p.N * p.bands
    first_item = chunk * items // p.chunks_backward
    for item in range(first_item, (chunk + 1) * items // p.chunks_backward):
        n, band = item // p.bands, item % p.bands
        rows = band * p.OH // p.bands, (band + 1) * p.OH // p.bands
        x_rows = cut(p.unit_back, band, p.bands, p.H), cut(p.unit_back, band + 1, p.bands, p.H)
        first, last = rows
        if wants[0]:  # row h of x met row i of dz if i * row_stride <= h + top < i * row_stride + row_extent
            first = min(first, max(0, (x_rows[0] + canvas.top - p.row_extent) // p.row_stride + 1))
            last = max(last, min(p.OH, (x_rows[1] - 1 + canvas.top) // p.row_stride + 1))
        dz, dz_start = dy, n * results
        if pooling.OH > 0:
            dz, dz_start = work, start + offsets[0]
            unpool_rows(
                pooling, dy, winners, dy if norm.size else y, relu & (norm.size == 0), n, first, last, p.OH, p.OW, F,
                dz, dz_start,
            )  # fmt: skip
        elif relu and not norm.size:
            dz, dz_start, at = work, start + offsets[0], first * p.OW * F
            gate(dy, y, n * results + at, (last - first) * p.OW * F, dz, dz_start + at)
        if norm.size:
            there, dz, dz_start = pooling.OH > 0, work, start + offsets[0]
            back_through_norm(dy, n * results, y, n * results, results, relu, norm, dz, dz_start, there)
        if wants[1]:
            weight_gradient(
                micro[1], p, canvas, n, rows, dz, dz_start, x, zeros, item == first_item, total,
                total_start, pixels, taps, work, start, start + offsets[1],
            )  # fmt: skip
        if wants[0] and p.winograd_back:
            reach = p.row_extent - 1
            convolve(
                micro[2], micro[0], dz, dz_start, p.OH, p.OW, p.F, x_rows[0] + canvas.top - reach, canvas.left - reach,
                x_rows[1] - x_rows[0], p.W, flipped, p.C, zeros, dz.dtype.type(-np.inf),
                dx, (n * p.H + x_rows[0]) * p.W * p.C * p.lanes, back_pixels, back_taps, work, start + offsets[2],
            )  # fmt: skip
        elif wants[0]:
            input_gradient(
                micro[0], p, canvas, back, n, x_rows, dz, dz_start, dx, back_pixels, back_taps, met_rows, runs, zeros,
                flipped, columns, flipped_row, work, start + offsets[2],
            )  # fmt: skip
    if wants[1] and p.lanes > 1:
        add_lanes(work, total_start, size, work, total_start)
        for row in range(order.size + 1):
            to = order[row] if row < order.size else row
            copy(partial, chunk * size + to * p.F, work, total_start + row * p.F, p.F)


@helper
def cut(unit, part, parts, rows):
    """Return where a part of so many rows begins, of parts that hold ``unit`` rows or a multiple of these."""
    return min(rows, part * (-(-rows // unit)) // parts * unit)


@helper
def weight_gradient(
    micro, p, canvas, n, rows, dz, dz_start, x, zeros, fresh, total, total_start, pixels, taps, work, start, panels
):  # fmt: skip
    """Add what a band of one image gives dw and db: a product whose rows are the taps and whose steps are the pixels.

    Parameters
    ----------
    micro : int
        The product of images and gradients.
    p, canvas, x, zeros, pixels, taps
        As in :func:`backward`.
    n : int
        The image.
    rows : (int, int)
        The band: its first row of dz, and the one behind its last.
    dz : flat array
        The gradient by the convolution's result begins at ``dz[dz_start]``.
    dz_start : int
    fresh : bool
        Whether there is no dw yet.
    total : flat array
        The chunk's dw, in each lane, begins at ``total[total_start]``; its db follows.
    total_start : int
    work : flat array
        Scratch memory: the canvas of x from ``start`` on, and the panels of dz from ``panels`` on.
    start, panels : int
    """
    CG, FG, T = p.C // p.groups, p.F // p.groups, (rows[1] - rows[0]) * p.OW
    C, F, K = p.C * p.lanes, p.F * p.lanes, p.taps * CG
    none, band_start = dz.dtype.type(-np.inf), dz_start + rows[0] * p.OW * F
    # This reads the band from end to end, and so brings it near for the product, which does not.
    add_columns(dz, band_start, T, F, total, total_start + K * F, work, panels)
    image, image_start = x, n * p.H * p.W * C
    if not canvas.in_place:
        place(canvas, x, image_start, p.H, p.W, C, rows[0] * p.row_stride,
              (rows[1] - 1) * p.row_stride + p.row_extent, work, start)  # fmt: skip
        image, image_start = work, start
    for g in range(p.groups):
        factor, factor_start, factor_row = dz, band_start + g * FG * p.lanes, F
        if p.lanes == 1 and panel_width(dz.itemsize) < FG:
            pack(T, FG, dz, factor_start, F, work, panels)
            factor, factor_start, factor_row = work, panels, panel_width(dz.itemsize)
        before, init, init_row = (zeros, 0, 0) if fresh else (total, total_start + g * FG * p.lanes, F)
        product(
            micro, K, FG, T, image, image_start + g * CG * p.lanes, taps, 0, pixels, rows[0] * p.OW, factor,
            factor_start, factor_row, before, init, init_row, none, total, total_start + g * FG * p.lanes, F,
        )  # fmt: skip


@parallel
def add_up(piece, worker, partial, chunks, size, dw, db):
    """Sum a piece of all chunks' gradients, chunk after chunk, and deliver it to dw and db."""
    first, last, weights = piece * size // PIECES, (piece + 1) * size // PIECES, dw.size
    add_parts(partial, first, last - first, chunks, size)
    between = min(max(first, weights), last)
    copy(dw, first, partial, first, between - first)
    copy(db, between - weights, partial, between, last - between)
