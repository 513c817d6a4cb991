"""The fully connected layer: three matrix products, each cut into blocks of its result. See ``reference.dense``.

Every block is one BLAS call that reads rows of one operand and columns of the other where they lie.
"""

import numpy as np
from numba import prange

from ._arrays import deliver, operand, several, target
from ._jit import kernel
from ._memory import copy, matmul_add

__all__ = ["dense_backward_input", "dense_backward_weights", "dense_forward"]

BLOCK_ROWS, BLOCK_COLUMNS = 64, 64


def dense_forward(x, w, b, out=None, work=None):
    """``x @ w + b`` in blocks; see :func:`reference.dense_forward`."""
    x, w = operand("x", x, 2), operand("w", w, 2, x.dtype)
    if x.shape[1] != w.shape[0]:
        raise ValueError(f"x of shape {x.shape} and w of shape {w.shape} do not fit")
    b = np.zeros(w.shape[1], x.dtype) if b is None else operand("b", b, 1, x.dtype, w.shape[1:])
    y = target("out", out, (len(x), w.shape[1]), x.dtype, (x, w, b))
    _product(x, False, w, False, b, y)
    return deliver(y, out)


def dense_backward_input(dy, w, out=None, work=None):
    """``dy @ w.T`` in blocks; see :func:`reference.dense_backward_input`."""
    dy, w = operand("dy", dy, 2), operand("w", w, 2, dy.dtype)
    if dy.shape[1] != w.shape[1]:
        raise ValueError(f"dy of shape {dy.shape} and w of shape {w.shape} do not fit")
    dx = target("out", out, (len(dy), len(w)), dy.dtype, (dy, w))
    _product(dy, False, w, True, np.zeros(len(w), dy.dtype), dx)
    return deliver(dx, out)


def dense_backward_weights(dy, x, out=None, work=None):
    """``x.T @ dy`` in blocks; see :func:`reference.dense_backward_weights`."""
    dy, x = operand("dy", dy, 2), operand("x", x, 2, dy.dtype)
    if len(dy) != len(x):
        raise ValueError(f"dy of shape {dy.shape} and x of shape {x.shape} do not fit")
    outs = several(out, 2)
    dw = target("out[0]", outs[0], (x.shape[1], dy.shape[1]), dy.dtype, (dy, x))
    db = target("out[1]", outs[1], dy.shape[1:], dy.dtype, (dy, x, dw))
    _product(x, True, dy, False, np.zeros(dy.shape[1], dy.dtype), dw)
    np.sum(dy, axis=0, out=db)
    return deliver(dw, outs[0]), deliver(db, outs[1])


def _product(a, a_flip, b, b_flip, bias, c):
    """``c = op(a) @ op(b) + bias``; a sum of nothing is the bias."""
    depth = a.shape[0] if a_flip else a.shape[1]
    if not c.size or not depth:
        c[...] = bias
        return
    # Few wide blocks read each operand least; at least eight of them keep several threads busy.
    _blocks(a, a_flip, b, b_flip, bias, c, depth, BLOCK_ROWS, BLOCK_COLUMNS)


@kernel(blas=True)
def _blocks(a, a_flip, b, b_flip, bias, c, depth, block_rows, block_columns):
    """One block of c per step: the bias laid down first, the product added."""
    rows, columns = c.shape
    down, across = -(-rows // block_rows), -(-columns // block_columns)
    a_row, b_row = a.shape[1], b.shape[1]
    left, right, result = a.reshape(-1), b.reshape(-1), c.reshape(-1)
    for block in prange(down * across):
        i, j = block // across * block_rows, block % across * block_columns
        m, n = min(block_rows, rows - i), min(block_columns, columns - j)
        for row in range(i, i + m):
            copy(result, row * columns + j, bias, j, n)
        a_start = i if a_flip else i * a_row
        b_start = j * b_row if b_flip else j
        matmul_add(
            m, n, depth, left, a_start, a_row, a_flip, right, b_start, b_row, b_flip, result, i * columns + j, columns
        )
