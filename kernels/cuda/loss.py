"""Losses: a thread per row, or a block if rows are long. See ``reference.loss`` for the formulas.

Labels are checked while they are still on the host; a label outside the classes gives NaN here.
"""

import math

import numpy as np

from .._arguments import several
from ._arrays import deliver, operand, target
from ._device import MOST_BLOCKS, THREADS, cuda, helper, kernel, launch, spread
from ._sums import block_sum
from .activation import largest_of

__all__ = [
    "categorical_cross_entropy_backward",
    "categorical_cross_entropy_forward",
    "mean_squared_error_backward",
    "mean_squared_error_forward",
    "softmax_cross_entropy_backward",
    "softmax_cross_entropy_forward",
]


def softmax_cross_entropy_forward(logits, labels, out=None, work=None):
    """See :func:`reference.softmax_cross_entropy_forward`."""
    logits, labels = operand("logits", logits, 2), operand("labels", labels, 1, np.int64, logits.shape[:1])
    losses, p, outs = _results(logits, (logits, labels), out)
    spread(_cross_entropy, len(logits), logits, labels, losses, p, logits.shape[1])
    return deliver(losses, outs[0]), deliver(p, outs[1])


def softmax_cross_entropy_backward(p, labels, weights, out=None, work=None):
    """See :func:`reference.softmax_cross_entropy_backward`. ``out`` may be p."""
    p, labels = operand("p", p, 2), operand("labels", labels, 1, np.int64, p.shape[:1])
    weights = operand("weights", weights, 1, p.dtype, p.shape[:1])
    dlogits = target("out", out, p.shape, p.dtype, (labels, weights), same=(p,))
    spread(_cross_entropy_gradient, p.size, p, labels, weights, dlogits, p.shape[1] or 1)
    return deliver(dlogits, out)


def categorical_cross_entropy_forward(logits, shares, out=None, work=None):
    """See :func:`reference.categorical_cross_entropy_forward`."""
    logits = operand("logits", logits, 2)
    shares = operand("shares", shares, 2, logits.dtype, logits.shape)
    losses, p, outs = _results(logits, (logits, shares), out)
    spread(_shared_cross_entropy, len(logits), logits, shares, losses, p, logits.shape[1])
    return deliver(losses, outs[0]), deliver(p, outs[1])


def categorical_cross_entropy_backward(p, shares, weights, out=None, work=None):
    """See :func:`reference.categorical_cross_entropy_backward`. ``out`` may be p."""
    p = operand("p", p, 2)
    shares = operand("shares", shares, 2, p.dtype, p.shape)
    weights = operand("weights", weights, 1, p.dtype, p.shape[:1])
    dlogits = target("out", out, p.shape, p.dtype, (shares, weights), same=(p,))
    spread(_shared_cross_entropy_gradient, len(p), p, shares, weights, dlogits, p.shape[1])
    return deliver(dlogits, out)


def mean_squared_error_forward(y, targets, out=None, work=None):
    """Add up each row by a block; see :func:`reference.mean_squared_error_forward`."""
    y = operand("y", y, 2)
    targets = operand("targets", targets, 2, y.dtype, y.shape)
    losses = target("out", out, y.shape[:1], y.dtype, (y, targets))
    if len(y):
        launch(_squared_error, min(len(y), MOST_BLOCKS), THREADS, y, targets, losses, *y.shape)
    return deliver(losses, out)


def mean_squared_error_backward(y, targets, weights, out=None, work=None):
    """See :func:`reference.mean_squared_error_backward`. ``out`` may be y."""
    y = operand("y", y, 2)
    targets = operand("targets", targets, 2, y.dtype, y.shape)
    weights = operand("weights", weights, 1, y.dtype, y.shape[:1])
    dy = target("out", out, y.shape, y.dtype, (targets, weights), same=(y,))
    spread(_squared_error_gradient, y.size, y, targets, weights, y.dtype.type(2 / max(1, y.shape[1])), dy, y.shape[1])
    return deliver(dy, out)


def _results(logits, inputs, out):
    """Return memory for the losses and the probabilities."""
    outs = several(out, 2)
    losses = target("out[0]", outs[0], logits.shape[:1], logits.dtype, inputs)
    return losses, target("out[1]", outs[1], logits.shape, logits.dtype, inputs), outs


@helper
def shifted_softmax(x, start, classes, largest, p):
    """Compute p of one row; return the sum of the exponentials."""
    total = x.dtype.type(0)
    for k in range(start, start + classes):
        p[k] = math.exp(x[k] - largest)
        total += p[k]
    for k in range(start, start + classes):
        p[k] /= total
    return total


@kernel
def _cross_entropy(rows, logits, labels, losses, p, classes):
    """Compute p and the loss of one row."""
    for row in range(cuda.grid(1), rows, cuda.gridsize(1)):
        start = row * classes
        largest = largest_of(logits, start, classes)
        total = shifted_softmax(logits, start, classes, largest, p)
        label = labels[row]
        if 0 <= label < classes:
            losses[row] = math.log(total) - (logits[start + label] - largest)
        else:
            losses[row] = math.nan


@kernel
def _cross_entropy_gradient(count, p, labels, weights, dlogits, classes):
    """Compute the gradient of one element."""
    one = p.dtype.type(1)
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        row = i // classes
        dlogits[i] = (p[i] - one if i - row * classes == labels[row] else p[i]) * weights[row]


@kernel
def _shared_cross_entropy(rows, logits, shares, losses, p, classes):
    """Compute p and the loss of one row."""
    for row in range(cuda.grid(1), rows, cuda.gridsize(1)):
        start = row * classes
        largest = largest_of(logits, start, classes)
        logarithm = math.log(shifted_softmax(logits, start, classes, largest, p))
        loss = logits.dtype.type(0)
        for k in range(start, start + classes):
            if shares[k] != 0:
                loss += shares[k] * (logarithm - (logits[k] - largest))
        losses[row] = loss


@kernel
def _shared_cross_entropy_gradient(rows, p, shares, weights, dlogits, classes):
    """Compute the gradient of one row."""
    for row in range(cuda.grid(1), rows, cuda.gridsize(1)):
        start = row * classes
        whole = p.dtype.type(0)
        for k in range(start, start + classes):
            whole += shares[k]
        for k in range(start, start + classes):
            dlogits[k] = weights[row] * (p[k] * whole - shares[k])


_LINE = (THREADS,)


@kernel
def _squared_error(y, targets, losses, rows, columns):
    """Compute the loss of one row by a block."""
    line = cuda.shared.array(_LINE, np.float64)
    for row in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
        total = 0.0
        for k in range(cuda.threadIdx.x, columns, THREADS):
            distance = np.float64(y[row * columns + k] - targets[row * columns + k])
            total += distance * distance
        total = block_sum(line, total)
        if cuda.threadIdx.x == 0:
            losses[row] = total / columns


@kernel
def _squared_error_gradient(count, y, targets, weights, factor, dy, columns):
    """Compute the gradient of one element."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        dy[i] = weights[i // columns] * factor * (y[i] - targets[i])
