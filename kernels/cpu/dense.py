"""The fully connected layer: three matrix products by the micro-kernel. See ``reference.dense`` for the meaning.

Each product is cut into blocks of its result, which are a panel of two vectors wide if the weights are large. A block
first copies the numbers that it reads again and again next to each other (Goto & van de Geijn, "Anatomy of
high-performance matrix multiplication", 2008, section 4): where they are, they compete for a few lines of the nearest
cache.
"""

import functools

import numpy as np

from .. import aligned
from .._arguments import check_fit, several
from .machine.arrays import deliver, operand, pieces, sum_rows, target
from .machine.jit import helper
from .machine.memory import copy, fused_multiply_add
from .machine.micro_kernel import DEPTH, micro_kernel, pack, packed_size, product
from .machine.parallel import parallel, worker_count
from .machine.transpose import transpose
from .machine.vectors import VECTOR_BYTES

__all__ = ["dense_backward_input", "dense_backward_weights", "dense_forward"]

TALL, LOW = 128, 32  # rows of a block that packs its panel of w, and of one that reads a narrow w in place
DEEP = 64  # rows of a block of dw
ONCE = 8  # up to so many rows, a panel of w is read once, and packing it is not worth it
LARGE = 1 << 18  # numbers of w, above which it does not stay in the nearer caches
SUMMED = 512  # columns of dy that a block sums for db
ACROSS, DOWN = 4, 16  # panels of a block of dx, and rows of it that are computed at a time


def dense_forward(x, w, b, out=None, work=None):
    """Compute ``x @ w + b``; see :func:`reference.dense_forward`."""
    x, w = operand("x", x, 2), operand("w", w, 2, x.dtype)
    check_fit("x", x, 1, "w", w, 0)
    b = np.zeros(w.shape[1], x.dtype) if b is None else operand("b", b, 1, x.dtype, w.shape[1:])
    y = target("out", out, (len(x), w.shape[1]), x.dtype, (x, w, b))
    if not (x.size and w.size):
        y[...] = b
        return deliver(y, out)
    (N, K), F, panel = x.shape, w.shape[1], _panel(x)
    if N <= ONCE and w.size >= LARGE:
        sums = (work or aligned.empty)((pieces(K, DEPTH), N, F), x.dtype)
        _deep_piece.launch(len(sums), x, w, sums)
        _add_pieces.launch(1, sums.reshape(len(sums), -1), b, y.reshape(-1))
        return deliver(y, out)
    block = TALL if panel < F else LOW
    blocks = pieces(N, block) * pieces(F, panel)
    panels = (work or aligned.empty)((worker_count(blocks), DEPTH * panel), x.dtype)
    _forward.launch(
        blocks, micro_kernel(x.dtype), x.reshape(-1), w.reshape(-1), b, y.reshape(-1), N,
        K, F, block, panel, offsets(block, K), offsets(DEPTH, 1), panels.reshape(-1),
    )  # fmt: skip
    return deliver(y, out)


def dense_backward_input(dy, w, out=None, work=None):
    """Compute ``dy @ w.T``, with panels of w transposed; see :func:`reference.dense_backward_input`."""
    dy, w = operand("dy", dy, 2), operand("w", w, 2, dy.dtype)
    check_fit("dy", dy, 1, "w", w, 1)
    dx = target("out", out, (len(dy), len(w)), dy.dtype, (dy, w))
    if not (dy.size and w.size):
        dx[...] = 0
        return deliver(dx, out)
    (N, F), K, panel = dy.shape, len(w), _panel(dy)
    blocks = pieces(K, ACROSS * panel)
    panels = (work or aligned.empty)((worker_count(blocks), F * ACROSS * panel), dy.dtype)
    _input_gradient.launch(
        blocks, micro_kernel(dy.dtype), dy.reshape(-1), w.reshape(-1), dx.reshape(-1), N, K, F, panel,
        offsets(N, F), offsets(F, 1), panels.reshape(-1), np.zeros(ACROSS * panel, dy.dtype),
    )  # fmt: skip
    return deliver(dx, out)


def dense_backward_weights(dy, x, out=None, work=None):
    """Compute ``x.T @ dy``; see :func:`reference.dense_backward_weights`."""
    dy, x = operand("dy", dy, 2), operand("x", x, 2, dy.dtype)
    check_fit("dy", dy, 0, "x", x, 0)
    (N, F), K = dy.shape, x.shape[1]
    outs = several(out, 2)
    dw = target("out[0]", outs[0], (K, F), dy.dtype, (dy, x))
    db = target("out[1]", outs[1], (F,), dy.dtype, (dy, x, dw))
    if not (dy.size and x.size):
        dw[...] = 0
    else:
        empty = work or aligned.empty
        columns = empty((worker_count(pieces(K, DEEP)), N * DEEP), dy.dtype)
        panels = empty((packed_size(N, F, x.itemsize),), x.dtype)
        factor, factor_row = dy.reshape(-1), F
        if panels.size:
            _pack.launch(1, N, F, factor, panels)
            factor, factor_row = panels, _panel(dy)
        _weight_gradient.launch(
            pieces(K, DEEP), micro_kernel(x.dtype), x.reshape(-1), dw.reshape(-1), N, K, F, offsets(DEEP, 1),
            offsets(N, DEEP), columns.reshape(-1), factor, factor_row, np.zeros(F, dy.dtype),
            gives=(dw, DEEP * F) if dw.size >= LARGE else None,
        )  # fmt: skip
    _bias_gradient.launch(pieces(F, SUMMED), dy.reshape(-1), db)
    return deliver(dw, outs[0]), deliver(db, outs[1])


def _panel(array):
    """Return the number of columns of a panel."""
    return 2 * VECTOR_BYTES // array.itemsize


@functools.lru_cache(maxsize=1024)
def offsets(count, distance):
    """Return a table for :func:`.micro_kernel.product`: ``count`` places, ``distance`` numbers apart."""
    return np.arange(count, dtype=np.int64) * distance


@parallel
def _forward(item, worker, micro, x, w, b, y, N, K, F, block, panel, rows, steps, panels):
    """Compute a block of y, going through x and w ``DEPTH`` numbers at a time.

    Parameters
    ----------
    item, worker : int
        The item is the block's number.
    micro : int
        :func:`.micro_kernel.micro_kernel`.
    x, w, b, y : flat arrays
    N, K, F : int
        x is (N, K), w is (K, F).
    block, panel : int
        Rows and columns of a block.
    rows, steps : int64 arrays
        :func:`offsets`.
    panels : flat array
        Scratch memory: a panel of w for each worker.
    """
    across = -(-F // panel)
    n, f = item // across * block, item % across * panel
    height, width, buffer = min(block, N - n), min(panel, F - f), worker * DEPTH * panel
    for k in range(0, K, DEPTH):
        depth = min(DEPTH, K - k)
        factor, start, row = w, k * F + f, F
        if panel < F and height > ONCE:
            factor, start, row = panels, buffer, panel
            for s in range(depth):
                copy(panels, buffer + s * panel, w, (k + s) * F + f, width)
        first, first_start, first_row = (b, f, 0) if k == 0 else (y, n * F + f, F)
        product(
            micro, height, width, depth, x, n * K + k, rows, 0, steps, 0, factor, start, row,
            first, first_start, first_row, x.dtype.type(-np.inf), y, n * F + f, F,
        )  # fmt: skip


@parallel
def _deep_piece(piece, worker, x, w, sums):
    """Compute what ``DEPTH`` numbers of each row of x add to y, for few rows.

    Nearly all of the time goes into reading w, so it is read once and in its order. Each sum is that of a block of the
    other products, to the bit.

    Parameters
    ----------
    piece, worker : int
        The piece's number.
    x, w : (N, K) and (K, F) arrays
    sums : (pieces, N, F) array
        What each piece adds.
    """
    sums[piece] = 0
    for k in range(piece * DEPTH, min(x.shape[1], (piece + 1) * DEPTH)):
        for n in range(x.shape[0]):
            add_multiple(x[n, k], w[k], sums[piece, n])


@helper
def add_multiple(factor, row, total):
    """Compute ``total += factor * row``, rounded once."""
    for f in range(total.size):
        total[f] = fused_multiply_add(factor, row[f], total[f])


@parallel
def _add_pieces(item, worker, sums, b, y):
    """Add up bias and pieces in their order, which is that of :func:`_forward`."""
    for i in range(y.size):
        y[i] = b[i % b.size]
    for piece in range(sums.shape[0]):
        add_row(sums[piece], y)


@helper
def add_row(row, y):
    """Compute ``y += row``."""
    for i in range(y.size):
        y[i] += row[i]


@parallel
def _input_gradient(item, worker, micro, dy, w, dx, N, K, F, panel, rows, steps, panels, zeros):
    """Compute a block of dx: a few of its panels, for which that part of w is transposed.

    The rows of dx lie far apart, each on another page of memory. So few rows are computed at a time, and as much of
    each as the block has.

    Parameters
    ----------
    item, worker : int
        The item is the block's number.
    micro : int
        :func:`.micro_kernel.micro_kernel`.
    dy, w, dx : flat arrays
    N, K, F : int
        dy is (N, F), w is (K, F).
    panel : int
        Columns of a panel.
    rows, steps : int64 arrays
        :func:`offsets`.
    panels : flat array
        Scratch memory: the transposed part of w for each worker.
    zeros : array
        The initial values of the product.
    """
    block = ACROSS * panel
    k, start = item * block, worker * F * block
    width = min(block, K - k)
    for column in range(0, width, panel):
        transpose(w, (k + column) * F, min(panel, width - column), F, F, panels, start + column * F, panel)
    for n in range(0, N, DOWN):
        product(
            micro, min(DOWN, N - n), width, F, dy, 0, rows, n, steps, 0, panels, start, panel, zeros, 0, 0,
            dy.dtype.type(-np.inf), dx, n * K + k, K,
        )  # fmt: skip


@parallel
def _pack(item, worker, N, F, dy, panels):
    """Pack dy into panels."""
    pack(N, F, dy, 0, F, panels, 0)


@parallel
def _weight_gradient(item, worker, micro, x, dw, N, K, F, rows, steps, columns, dy, dy_row, zeros):
    """Compute a block of dw: some of its rows, for which those columns of x are copied next to each other.

    Parameters
    ----------
    item, worker : int
        The item is the block's number.
    micro : int
        :func:`.micro_kernel.micro_kernel`.
    x, dw : flat arrays
    N, K, F : int
        x is (N, K), dy is (N, F).
    rows, steps : int64 arrays
        :func:`offsets`.
    columns : flat array
        Scratch memory: some columns of x for each worker.
    dy : flat array
        dy, packed if ``dy_row`` is a panel's width.
    dy_row : int
    zeros : (F,) array
        The initial values of the product.
    """
    k, start = item * DEEP, worker * N * DEEP
    height = min(DEEP, K - k)
    for n in range(N):
        copy(columns, start + n * DEEP, x, n * K + k, height)
    product(
        micro, height, F, N, columns, start, rows, 0, steps, 0, dy, 0, dy_row, zeros, 0, 0, x.dtype.type(-np.inf),
        dw, k * F, F,
    )  # fmt: skip


@parallel
def _bias_gradient(item, worker, dy, db):
    """Sum a block of dy's columns."""
    first = item * SUMMED
    sum_rows(dy, db.size, first, db[first : min(db.size, first + SUMMED)])
