"""Activations, element by element, and softmax over the last axis. Each backward needs only the forward's result."""

import numpy as np

from ._out import deliver


def relu_forward(x, out=None, work=None):
    """``y = max(x, 0)``; NaN stays NaN (Nair & Hinton, "Rectified linear units improve RBMs", 2010).

    ``out`` may be x itself.
    """
    return deliver(np.maximum(x, 0), out)


def relu_backward(dy, y, out=None, work=None):
    """``dx = dy`` where ``y > 0``, else 0: at the kink the slope is taken as 0.

    ``out`` may be dy itself.
    """
    return deliver(np.where(y > 0, dy, 0), out)


def softmax_forward(x, out=None, work=None):
    """``y_k = exp(x_k - m) / sum_j exp(x_j - m)`` with ``m = max_j x_j``, over the last axis.

    Softmax does not change when all its inputs shift together, and after this shift no exponential can overflow.
    ``out`` may be x itself.
    """
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return deliver(e / e.sum(axis=-1, keepdims=True), out)


def softmax_backward(dy, y, out=None, work=None):
    """``dx_k = y_k * (dy_k - sum_j dy_j * y_j)``: the softmax Jacobian ``diag(y) - y y^T`` times dy."""
    return deliver(y * (dy - (dy * y).sum(axis=-1, keepdims=True)), out)
