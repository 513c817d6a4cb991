"""Activations, element by element, and softmax over the last axis.

Each backward needs only the forward's result y, because these functions never turn round; gelu does, and needs x.
"""

import math

import numpy as np

from ._out import deliver

__all__ = [
    "elu_backward",
    "elu_forward",
    "gelu_backward",
    "gelu_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "relu_backward",
    "relu_forward",
    "sigmoid_backward",
    "sigmoid_forward",
    "softmax_backward",
    "softmax_forward",
    "tanh_backward",
    "tanh_forward",
]


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


def leaky_relu_forward(x, negative_slope, out=None, work=None):
    """``y = x`` where ``x > 0``, else ``negative_slope * x`` (Maas, Hannun & Ng, "Rectifier nonlinearities", 2013).

    ``negative_slope`` is not negative; ``out`` may be x itself.
    """
    return deliver(np.where(x > 0, x, negative_slope * x), out)


def leaky_relu_backward(dy, y, negative_slope, out=None, work=None):
    """``dx = dy`` where ``y > 0``, else ``negative_slope * dy``. ``out`` may be dy itself."""
    return deliver(np.where(y > 0, dy, negative_slope * dy), out)


def elu_forward(x, alpha, out=None, work=None):
    """``y = x`` where ``x > 0``, else ``alpha * (exp(x) - 1)``.

    Source: Clevert, Unterthiner & Hochreiter, "Fast and accurate deep network learning by exponential linear units",
    2016, equation 15. ``alpha`` is not negative; ``out`` may be x itself.
    """
    return deliver(np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))), out)


def elu_backward(dy, y, alpha, out=None, work=None):
    """``dx = dy`` where ``y > 0``, else ``dy * (y + alpha)``: the derivative is ``alpha * exp(x) = y + alpha``.

    ``out`` may be dy itself.
    """
    return deliver(np.where(y > 0, dy, dy * (y + alpha)), out)


def sigmoid_forward(x, out=None, work=None):
    """``y = 1 / (1 + exp(-x))``, written with ``exp(-|x|)``, which cannot overflow. ``out`` may be x itself."""
    e = np.exp(-np.abs(x))
    return deliver(np.where(x < 0, e, 1) / (1 + e), out)


def sigmoid_backward(dy, y, out=None, work=None):
    """``dx = dy * y * (1 - y)``. ``out`` may be dy itself."""
    return deliver(dy * (y * (1 - y)), out)


def tanh_forward(x, out=None, work=None):
    """``y = tanh(x)``. ``out`` may be x itself."""
    return deliver(np.tanh(x), out)


def tanh_backward(dy, y, out=None, work=None):
    """``dx = dy * (1 - y**2)``. ``out`` may be dy itself."""
    return deliver(dy * (1 - y * y), out)


def gelu_forward(x, out=None, work=None):
    """``y = x * P(x)``, where ``P(x) = erfc(-x / sqrt(2)) / 2`` is the share of a standard normal below x.

    Source: Hendrycks & Gimpel, "Gaussian error linear units (GELUs)", 2016, section 2 (not its approximations).
    ``out`` may be x itself.
    """
    return deliver(x * normal_share_below(x), out)


def gelu_backward(dy, x, out=None, work=None):
    """``dx = dy * (P(x) + x * exp(-x**2 / 2) / sqrt(2 pi))``: the fraction is the derivative of P. It takes x, not y.

    ``out`` may be dy itself.
    """
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return deliver(dy * (normal_share_below(x) + x * density), out)


def normal_share_below(x):
    """P of :func:`gelu_forward`. The complement erfc keeps its digits where ``1 + erf`` would cancel."""
    from scipy.special import erfc  # here, because importing it takes longer than all of tinycnn

    return 0.5 * erfc(-x / math.sqrt(2))
