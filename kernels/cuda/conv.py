"""Convolution and its gradients: three matrix products of :mod:`._product`. See ``reference.conv``.

==================  ==========================  ============================  =====================
product             rows m                      columns n                     sum over k
==================  ==========================  ============================  =====================
forward             pixels of the result        filters                       taps (p, q, c)
input gradient      pixels of the input         channels                      taps (p, q, f)
weight gradient     taps (p, q, c)              filters                       pixels of the result
==================  ==========================  ============================  =====================

The functions below say where each number stands. The first versions are in ``steps/`` and should be read before.
"""

import numpy as np

from .._arguments import (
    check_algorithm,
    check_gradient,
    convolution_window,
    group_count,
    integers,
    output_size,
    several,
)
from ._arrays import deliver, operand, scratch, target
from ._device import helper
from ._product import Factors, multiply, quotient
from ._sums import make_column_sums, sum_columns

__all__ = ["conv2d_backward_input", "conv2d_backward_weights", "conv2d_forward"]


def conv2d_forward(x, w, b, strides, pads, dilation, groups, algorithm="auto", out=None, work=None):
    """See :func:`reference.conv2d_forward`; there is one way, whatever ``algorithm`` says."""
    x, w = operand("x", x, 4), operand("w", w, 4, x.dtype)
    (KH, KW, CG, F), (N, H, W, C) = w.shape, x.shape
    check_algorithm(algorithm)
    window, groups = convolution_window((KH, KW), strides, pads, dilation), group_count(groups, C, F, w)
    OH, OW = output_size(window, (H, W))
    b = b if b is None else operand("b", b, 1, x.dtype, (F,))
    y = target("out", out, (N, OH, OW, F), x.dtype, (x, w, b))
    if y.size and w.size:
        size = N * OH * OW, F // groups, KH * KW * CG
        multiply(FORWARD, x, w, b, y, size, groups, F, geometry((H, W, C), (OH, OW, F), window, groups), scratch(work))
    elif y.size:
        y[...] = 0 if b is None else np.broadcast_to(b.to_numpy(), y.shape)
    return deliver(y, out)


def conv2d_backward_input(dy, w, input_size, strides, pads, dilation, groups, algorithm="auto", out=None, work=None):
    """Let each pixel gather from the windows that hold it; see :func:`reference.conv2d_backward_input`."""
    dy, w = operand("dy", dy, 4), operand("w", w, 4, dy.dtype)
    (KH, KW, CG, F), (H, W) = w.shape, integers("input_size", input_size, 2, 1)
    (count,) = integers("groups", (groups,), 1, 1)
    C = CG * count
    check_algorithm(algorithm)
    window, groups = convolution_window((KH, KW), strides, pads, dilation), group_count(groups, C, F, w)
    check_gradient(dy, window, (H, W), F)
    dx = target("out", out, (len(dy), H, W, C), dy.dtype, (dy, w))
    if dy.size and w.size:
        size = len(dy) * H * W, CG, KH * KW * (F // groups)
        shape = geometry((H, W, C), dy.shape[1:], window, groups)
        multiply(INPUT_GRADIENT, dy, w, None, dx, size, groups, C, shape, scratch(work))
    else:
        dx[...] = 0
    return deliver(dx, out)


def conv2d_backward_weights(dy, x, kernel_size, strides, pads, dilation, groups, algorithm="auto", out=None, work=None):
    """See :func:`reference.conv2d_backward_weights`."""
    dy, x = operand("dy", dy, 4), operand("x", x, 4, dy.dtype)
    (N, H, W, C), F = x.shape, dy.shape[-1]
    kernel_size = integers("kernel_size", kernel_size, 2, 1)
    check_algorithm(algorithm)
    window, groups = convolution_window(kernel_size, strides, pads, dilation), group_count(groups, C, F)
    check_gradient(dy, window, (H, W), F, N)
    outs = several(out, 2)
    dw = target("out[0]", outs[0], (*kernel_size, C // groups, F), x.dtype, (dy, x))
    db = target("out[1]", outs[1], (F,), x.dtype, (dy, x))
    if dy.size and x.size:
        size = dw.size // F, F // groups, dy.size // F
        shape = geometry((H, W, C), dy.shape[1:], window, groups)
        multiply(WEIGHT_GRADIENT, x, dy, None, dw, size, groups, F, shape, scratch(work))
        bias_gradient(dy, db, scratch(work))
    else:
        dw[...] = db[...] = 0
    return deliver(dw, outs[0]), deliver(db, outs[1])


def bias_gradient(dy, db, work):
    """Compute ``db[f]``, the sum of the gradients of all results of filter f."""
    sum_columns(_gradients, dy, dy, dy, dy, (work(db.shape, db.dtype), db), 1, work)


def geometry(image, result, window, groups):
    """Return the integers that the functions below are given, always in this order."""
    (H, W, C), (OH, OW, F) = image, result
    (KH, KW), (down, across), (top, _, left, _), (dh, dw) = window
    return (H, W, C, C // groups, OH, OW, F, F // groups, KH, KW, down, across, top, left, dh, dw)


# Where the numbers of the products stand ------------------------------------------------------------------------


@helper
def window_of(geometry, group, m):
    """Return, for result pixel m, row and column of its window's first tap, and where in x that would be."""
    H, W, C, CG, OH, OW = geometry[0], geometry[1], geometry[2], geometry[3], geometry[4], geometry[5]
    line = quotient(m, OW)
    n = quotient(line, OH)
    i = (line - n * OH) * geometry[10] - geometry[12]
    j = (m - line * OW) * geometry[11] - geometry[13]
    return i, j, ((n * H + i) * W + j) * C + group * CG


@helper
def tap_of(geometry, group, k):
    """Return how far tap k = (p, q, c) lies from the first one, in rows, in columns, and in x."""
    W, C, CG, KW = geometry[1], geometry[2], geometry[3], geometry[9]
    pixel = quotient(k, CG)
    p = quotient(pixel, KW)
    i, j = p * geometry[14], (pixel - p * KW) * geometry[15]
    return i, j, (i * W + j) * C + k - pixel * CG


@helper
def pixel_under(x, geometry, window, tap):
    """Return the pixel under a tap of a window; 0 outside the image. Either of the two may vary faster."""
    i, j = window[0] + tap[0], window[1] + tap[1]
    if i >= 0 and i < geometry[0] and j >= 0 and j < geometry[1]:
        return x[window[2] + tap[2]]
    return x.dtype.type(0)


@helper
def weight(w, geometry, group, k, n):
    """Return the weight of tap k and filter n of a group."""
    return w[k * geometry[6] + group * geometry[7] + n]


@helper
def pixel_of(geometry, group, m):
    """Return input pixel m's row and column in the padded image, and where in dy its image and group begin."""
    H, W, OH, OW, F, FG = geometry[0], geometry[1], geometry[4], geometry[5], geometry[6], geometry[7]
    line = quotient(m, W)
    n = quotient(line, H)
    return line - n * H + geometry[12], m - line * W + geometry[13], n * OH * OW * F + group * FG


@helper
def back_tap_of(geometry, group, k):
    """Return how far tap k = (p, q, f) lies from the first one, in rows and in columns, and the filter."""
    KW, FG = geometry[9], geometry[7]
    pixel = quotient(k, FG)
    p = quotient(pixel, KW)
    return p * geometry[14], (pixel - p * KW) * geometry[15], k - pixel * FG


@helper
def gradient_over(dy, geometry, pixel, tap):
    """Return dy of the window that has this pixel under that tap; 0 if there is none."""
    i, j = pixel[0] - tap[0], pixel[1] - tap[1]
    if i < 0 or j < 0:
        return dy.dtype.type(0)
    row, column = quotient(i, geometry[10]), quotient(j, geometry[11])
    on_grid = row * geometry[10] == i and column * geometry[11] == j
    if on_grid and row < geometry[4] and column < geometry[5]:
        return dy[pixel[2] + (row * geometry[5] + column) * geometry[6] + tap[2]]
    return dy.dtype.type(0)


@helper
def turned_weight(w, geometry, group, k, n):
    """Return the weight of tap k = (p, q, f) and channel n."""
    CG, F, FG = geometry[3], geometry[6], geometry[7]
    pixel = quotient(k, FG)
    return w[(pixel * CG + n) * F + group * FG + k - pixel * FG]


@helper
def pixel_under_row(x, geometry, tap, window):
    """Return :func:`pixel_under` where the rows are taps."""
    return pixel_under(x, geometry, window, tap)


FORWARD = Factors(window_of, tap_of, pixel_under, weight)
INPUT_GRADIENT = Factors(pixel_of, back_tap_of, gradient_over, turned_weight, along=True)
WEIGHT_GRADIENT = Factors(tap_of, window_of, pixel_under_row, weight)  # dy is laid out like weights: pixel k, filter n


@make_column_sums
def _gradients(a, b, mean, scale, i, c):
    """Return the term of db."""
    return 0.0, np.float64(a[i])
