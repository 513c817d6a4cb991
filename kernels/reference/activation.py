"""Activations: functions of each element by itself, and softmax over the last axis.

A backward kernel turns dy, the gradient of the loss by the result y, into dx, the gradient by the input x. It takes y,
not x: these functions are monotonic, so y determines the slope. The exception is gelu, whose backward takes x.

In every kernel x, y, dy and dx are arrays of one shape, and a new array is returned unless ``out`` (of the same shape)
is given. ``work`` is ignored here.
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
    """Compute ``y = max(x, 0)``; NaN stays NaN. ``out`` may be x itself.

    Source: Nair & Hinton, "Rectified linear units improve RBMs", 2010.
    """
    return deliver(np.maximum(x, 0), out)


def relu_backward(dy, y, out=None, work=None):
    """Compute ``dx = dy`` where ``y > 0``, else 0: the slope at the kink is taken as 0. ``out`` may be dy itself."""
    return deliver(np.where(y > 0, dy, 0), out)


def softmax_forward(x, out=None, work=None):
    """Compute ``y_k = exp(x_k - m) / sum_j exp(x_j - m)`` with ``m = max_j x_j``, over the last axis.

    Softmax does not change when all its inputs shift together, and after this shift no exponential can overflow.
    ``out`` may be x itself.
    """
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return deliver(e / e.sum(axis=-1, keepdims=True), out)


def softmax_backward(dy, y, out=None, work=None):
    """Compute ``dx_k = y_k * (dy_k - sum_j dy_j * y_j)``: the softmax Jacobian ``diag(y) - y y^T`` times dy."""
    return deliver(y * (dy - (dy * y).sum(axis=-1, keepdims=True)), out)


def leaky_relu_forward(x, negative_slope, out=None, work=None):
    """Compute ``y = x`` where ``x > 0``, else ``negative_slope * x``. ``out`` may be x itself.

    ``negative_slope`` must not be negative. Source: Maas, Hannun & Ng, "Rectifier nonlinearities", 2013.
    """
    return deliver(np.where(x > 0, x, negative_slope * x), out)


def leaky_relu_backward(dy, y, negative_slope, out=None, work=None):
    """Compute ``dx = dy`` where ``y > 0``, else ``negative_slope * dy``. ``out`` may be dy itself."""
    return deliver(np.where(y > 0, dy, negative_slope * dy), out)


def elu_forward(x, alpha, out=None, work=None):
    """Compute ``y = x`` where ``x > 0``, else ``alpha * (exp(x) - 1)``. ``out`` may be x itself.

    ``alpha`` must not be negative. Source: Clevert, Unterthiner & Hochreiter, "Fast and accurate deep network learning
    by exponential linear units", 2016, equation 15.
    """
    return deliver(np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))), out)


def elu_backward(dy, y, alpha, out=None, work=None):
    """Compute ``dx = dy`` where ``y > 0``, else ``dy * (y + alpha)``. ``out`` may be dy itself.

    On the left the derivative is ``alpha * exp(x)``, which equals ``y + alpha``.
    """
    return deliver(np.where(y > 0, dy, dy * (y + alpha)), out)


def sigmoid_forward(x, out=None, work=None):
    """Compute ``y = 1 / (1 + exp(-x))``. ``out`` may be x itself.

    It is written with ``exp(-|x|)``, which cannot overflow.
    """
    e = np.exp(-np.abs(x))
    return deliver(np.where(x < 0, e, 1) / (1 + e), out)


def sigmoid_backward(dy, y, out=None, work=None):
    """Compute ``dx = dy * y * (1 - y)``. ``out`` may be dy itself."""
    return deliver(dy * (y * (1 - y)), out)


def tanh_forward(x, out=None, work=None):
    """Compute ``y = tanh(x)``. ``out`` may be x itself."""
    return deliver(np.tanh(x), out)


def tanh_backward(dy, y, out=None, work=None):
    """Compute ``dx = dy * (1 - y**2)``. ``out`` may be dy itself."""
    return deliver(dy * (1 - y * y), out)


def gelu_forward(x, out=None, work=None):
    """Compute ``y = x * P(x)``. ``out`` may be x itself.

    ``P(x) = erfc(-x / sqrt(2)) / 2`` is the probability that a standard normal variable is below x.
    Source: Hendrycks & Gimpel, "Gaussian error linear units (GELUs)", 2016, section 2 (not its approximations).
    """
    return deliver(x * normal_share_below(x), out)


def gelu_backward(dy, x, out=None, work=None):
    """Compute ``dx = dy * (P(x) + x * exp(-x**2 / 2) / sqrt(2 pi))`` from x, not y. ``out`` may be dy itself.

    P is that of :func:`gelu_forward`; ``exp(-x**2 / 2) / sqrt(2 pi)`` is its derivative.
    """
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return deliver(dy * (normal_share_below(x) + x * density), out)


def normal_share_below(x):
    """Return P of :func:`gelu_forward`. The complement erfc keeps its digits where ``1 + erf`` would cancel."""
    from scipy.special import erfc  # Imported here, because it takes longer than importing all of tinycnn.

    return 0.5 * erfc(-x / math.sqrt(2))
