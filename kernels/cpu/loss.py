"""Losses, row by row. See ``reference.loss`` for the meaning."""

import math

import numpy as np

from .._arguments import several
from .activation import softmax_row
from .machine.arrays import deliver, operand, row_chunks, target
from .machine.jit import helper
from .machine.parallel import parallel

__all__ = [
    "categorical_cross_entropy_backward",
    "categorical_cross_entropy_forward",
    "mean_squared_error_backward",
    "mean_squared_error_forward",
    "softmax_cross_entropy_backward",
    "softmax_cross_entropy_forward",
]


def softmax_cross_entropy_forward(logits, labels, out=None, work=None):
    """Go over each row once; see :func:`reference.softmax_cross_entropy_forward`. ``out[1]`` may be the logits."""
    logits = operand("logits", logits, 2)
    labels = _labels(labels, logits.shape)
    outs = several(out, 2)
    losses = target("out[0]", outs[0], logits.shape[:1], logits.dtype, (logits,))
    p = target("out[1]", outs[1], logits.shape, logits.dtype, (losses,), same=(logits,))
    if logits.size:
        _forward.launch(*row_chunks(logits.size, logits.shape[1]), logits.reshape(-1), labels, losses, p.reshape(-1))
    return deliver(losses, outs[0]), deliver(p, outs[1])


def softmax_cross_entropy_backward(p, labels, weights, out=None, work=None):
    """Compute element by element; see :func:`reference.softmax_cross_entropy_backward`. ``out`` may be p."""
    p = operand("p", p, 2)
    labels = _labels(labels, p.shape)
    weights = operand("weights", weights, 1, p.dtype, p.shape[:1])
    dlogits = target("out", out, p.shape, p.dtype, (weights,), same=(p,))
    if p.size:
        _backward.launch(*row_chunks(p.size, p.shape[1]), p.reshape(-1), labels, weights, dlogits.reshape(-1))
    return deliver(dlogits, out)


def categorical_cross_entropy_forward(logits, shares, out=None, work=None):
    """Compute row by row; see :func:`reference.categorical_cross_entropy_forward`."""
    logits = operand("logits", logits, 2)
    shares = operand("shares", shares, 2, logits.dtype, logits.shape)
    outs = several(out, 2)
    losses = target("out[0]", outs[0], logits.shape[:1], logits.dtype, (logits, shares))
    p = target("out[1]", outs[1], logits.shape, logits.dtype, (logits, shares, losses))
    if logits.size:
        chunks = row_chunks(logits.size, logits.shape[1])
        _shares_forward.launch(*chunks, logits.reshape(-1), shares.reshape(-1), losses, p.reshape(-1))
    return deliver(losses, outs[0]), deliver(p, outs[1])


def categorical_cross_entropy_backward(p, shares, weights, out=None, work=None):
    """Compute row by row; see :func:`reference.categorical_cross_entropy_backward`. ``out`` may be p."""
    p = operand("p", p, 2)
    shares = operand("shares", shares, 2, p.dtype, p.shape)
    weights = operand("weights", weights, 1, p.dtype, p.shape[:1])
    dlogits = target("out", out, p.shape, p.dtype, (shares, weights), same=(p,))
    if p.size:
        chunks = row_chunks(p.size, p.shape[1])
        _shares_backward.launch(*chunks, p.reshape(-1), shares.reshape(-1), weights, dlogits.reshape(-1))
    return deliver(dlogits, out)


def mean_squared_error_forward(y, targets, out=None, work=None):
    """Sum row by row, in double precision; see :func:`reference.mean_squared_error_forward`."""
    y = operand("y", y, 2)
    targets = operand("targets", targets, 2, y.dtype, y.shape)
    losses = target("out", out, y.shape[:1], y.dtype, (y, targets))
    if y.size:
        _squares_forward.launch(*row_chunks(y.size, y.shape[1]), y.reshape(-1), targets.reshape(-1), losses)
    return deliver(losses, out)


def mean_squared_error_backward(y, targets, weights, out=None, work=None):
    """Compute row by row; see :func:`reference.mean_squared_error_backward`. ``out`` may be y."""
    y = operand("y", y, 2)
    targets = operand("targets", targets, 2, y.dtype, y.shape)
    weights = operand("weights", weights, 1, y.dtype, y.shape[:1])
    dy = target("out", out, y.shape, y.dtype, (weights,), same=(y, targets))
    if y.size:
        share, chunks = y.dtype.type(2 / y.shape[1]), row_chunks(y.size, y.shape[1])
        _squares_backward.launch(*chunks, y.reshape(-1), targets.reshape(-1), weights, share, dy.reshape(-1))
    return deliver(dy, out)


def _labels(labels, shape):
    """Return labels as jitted code takes them: int64, one for each row, each the number of a class."""
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
        raise TypeError(f"labels must be a NumPy array of integers; got {_kind(labels)}")
    if labels.shape != shape[:1]:
        raise ValueError(f"labels must have shape {shape[:1]}, one for each row; got {labels.shape}")
    if labels.size and not 0 <= labels.min() <= labels.max() < shape[1]:
        index = np.flatnonzero((labels < 0) | (labels >= shape[1]))[0]
        raise ValueError(
            f"labels must lie in 0 to {shape[1] - 1} for {shape[1]} classes; got {labels[index]} at index {index}. "
            "Subtract 1 if your classes are numbered from 1"
        )
    return operand("labels", labels.astype(np.int64, copy=False), 1, np.int64)


def _kind(value):
    """Return what an error says of a value: its type, and an array's dtype."""
    return f"an array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__


@parallel
def _forward(chunk, worker, per_chunk, logits, labels, losses, p):
    """Compute a chunk of rows. The true class's logit is read before p, which may be the same memory, is written."""
    rows = losses.size
    classes = logits.size // rows
    for row in range(chunk * per_chunk, min(rows, (chunk + 1) * per_chunk)):
        start, stop = row * classes, (row + 1) * classes
        true = logits[start + labels[row]]
        largest, total = softmax_row(logits[start:stop], p[start:stop])
        losses[row] = math.log(total) - (true - largest)


@parallel
def _backward(chunk, worker, per_chunk, p, labels, weights, dlogits):
    """Compute a chunk of rows of the gradient."""
    rows = weights.size
    classes = p.size // rows
    one = p.dtype.type(1)
    for row in range(chunk * per_chunk, min(rows, (chunk + 1) * per_chunk)):
        weight, start, true = weights[row], row * classes, row * classes + labels[row]
        for k in range(start, start + classes):
            dlogits[k] = weight * (p[k] - one if k == true else p[k])


@parallel
def _shares_forward(chunk, worker, per_chunk, logits, shares, losses, p):
    """Compute losses and probabilities of a chunk of rows."""
    rows = losses.size
    classes = logits.size // rows
    for row in range(chunk * per_chunk, min(rows, (chunk + 1) * per_chunk)):
        start, stop = row * classes, (row + 1) * classes
        largest, total = softmax_row(logits[start:stop], p[start:stop])
        losses[row] = surprise_row(logits[start:stop], shares[start:stop], largest, total)


@helper
def surprise_row(logits, shares, largest, total):
    """Return the cross-entropy of one row."""
    nothing = logits.dtype.type(0)
    log_total, loss = math.log(total), nothing
    for k in range(logits.size):
        if shares[k] != nothing:
            loss += shares[k] * (log_total - (logits[k] - largest))
    return loss


@parallel
def _shares_backward(chunk, worker, per_chunk, p, shares, weights, dlogits):
    """Compute a chunk of rows of the gradient."""
    rows = weights.size
    classes = p.size // rows
    for row in range(chunk * per_chunk, min(rows, (chunk + 1) * per_chunk)):
        start, stop = row * classes, (row + 1) * classes
        whole = p.dtype.type(0)
        for k in range(start, stop):
            whole += shares[k]
        for k in range(start, stop):
            dlogits[k] = weights[row] * (p[k] * whole - shares[k])


@parallel
def _squares_forward(chunk, worker, per_chunk, y, targets, losses):
    """Compute the losses of a chunk of rows. A sum is in double precision, because a row may be an image."""
    rows = losses.size
    width = y.size // rows
    for row in range(chunk * per_chunk, min(rows, (chunk + 1) * per_chunk)):
        total = 0.0
        for d in range(row * width, (row + 1) * width):
            error = y[d] - targets[d]
            total += error * error
        losses[row] = total / width


@parallel
def _squares_backward(chunk, worker, per_chunk, y, targets, weights, share, dy):
    """Compute a chunk of rows of the gradient; ``share`` is 2 divided by a row's length."""
    rows = weights.size
    width = y.size // rows
    for row in range(chunk * per_chunk, min(rows, (chunk + 1) * per_chunk)):
        start, stop = row * width, (row + 1) * width
        difference_row(y[start:stop], targets[start:stop], weights[row] * share, dy[start:stop])


@helper
def difference_row(y, targets, scale, dy):
    """Compute the gradient of one row."""
    for d in range(y.size):
        dy[d] = scale * (y[d] - targets[d])
