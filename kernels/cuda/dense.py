"""The fully connected layer: three matrix products of :mod:`._product`. See ``reference.dense``."""

import numpy as np

from .._arguments import check_fit, several
from ._arrays import deliver, operand, scratch, target
from ._device import helper
from ._product import Factors, multiply
from .conv import bias_gradient

__all__ = ["dense_backward_input", "dense_backward_weights", "dense_forward"]


def dense_forward(x, w, b, out=None, work=None):
    """See :func:`reference.dense_forward`."""
    x, w = operand("x", x, 2), operand("w", w, 2, x.dtype)
    (N, inputs), outputs = x.shape, w.shape[1]
    check_fit("x", x, 1, "w", w, 0)
    b = b if b is None else operand("b", b, 1, x.dtype, (outputs,))
    y = target("out", out, (N, outputs), x.dtype, (x, w, b))
    if y.size and inputs:
        multiply(FORWARD, x, w, b, y, (N, outputs, inputs), 1, outputs, (inputs, outputs), scratch(work))
    elif y.size:
        y[...] = 0 if b is None else np.broadcast_to(b.to_numpy(), y.shape)
    return deliver(y, out)


def dense_backward_input(dy, w, out=None, work=None):
    """See :func:`reference.dense_backward_input`."""
    dy, w = operand("dy", dy, 2), operand("w", w, 2, dy.dtype)
    (N, outputs), inputs = dy.shape, w.shape[0]
    check_fit("dy", dy, 1, "w", w, 1)
    dx = target("out", out, (N, inputs), dy.dtype, (dy, w))
    if dy.size and w.size:
        multiply(INPUT_GRADIENT, dy, w, None, dx, (N, inputs, outputs), 1, inputs, (outputs, outputs), scratch(work))
    else:
        dx[...] = 0
    return deliver(dx, out)


def dense_backward_weights(dy, x, out=None, work=None):
    """See :func:`reference.dense_backward_weights`."""
    dy, x = operand("dy", dy, 2), operand("x", x, 2, dy.dtype)
    (N, inputs), outputs = x.shape, dy.shape[1]
    check_fit("dy", dy, 0, "x", x, 0)
    outs = several(out, 2)
    dw = target("out[0]", outs[0], (inputs, outputs), x.dtype, (dy, x))
    db = target("out[1]", outs[1], (outputs,), x.dtype, (dy, x))
    if dy.size and x.size:
        multiply(WEIGHT_GRADIENT, x, dy, None, dw, (inputs, outputs, N), 1, outputs, (inputs, outputs), scratch(work))
        bias_gradient(dy, db, scratch(work))
    else:
        dw[...] = db[...] = 0
    return deliver(dw, outs[0]), deliver(db, outs[1])


# The geometry is the length of a row of a, and that of a row of b.


@helper
def row_of(geometry, group, m):
    """Return where row m begins."""
    return m * geometry[0], 0, 0


@helper
def column_of(geometry, group, m):
    """Return where column m begins."""
    return m, 0, 0


@helper
def at(a, geometry, row, step):
    """Return the number to which row and step lead."""
    return a[row[0] + step[0]]


@helper
def across(b, geometry, group, k, n):
    """Return the number in row k and column n."""
    return b[k * geometry[1] + n]


@helper
def turned(b, geometry, group, k, n):
    """Return the number in row n and column k: the product is with the transposed matrix."""
    return b[n * geometry[1] + k]


FORWARD = Factors(row_of, column_of, at, across)
INPUT_GRADIENT = Factors(row_of, column_of, at, turned, along=True)
WEIGHT_GRADIENT = Factors(column_of, row_of, at, across)
