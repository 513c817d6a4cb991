"""Pooling: the largest value of every window and where it stood, or the average.

Shapes: x (N, H, W, C), y (N, OH, OW, C). In the formulas s is the stride and xpad is x with its pads.
"""

import numpy as np

from ..geometry import Window, argmax_dtype
from ._out import deliver, deliver_all
from .conv import col2im, im2col, tap_slices

__all__ = ["average_pool2d_backward", "average_pool2d_forward", "max_pool2d_backward", "max_pool2d_forward"]


def max_pool2d_forward(x, pool_size, strides, pads, out=None, work=None):
    """Compute the largest value of each window and say where it stood.

    ``y[n,i,j,c] = max_{p,q} xpad[n, i*s + p, j*s + q, c]``. Pads count as -inf, so they never win; of equal values the
    first wins. If a window holds a NaN, its result is NaN.

    Parameters
    ----------
    x : (N, H, W, C) array
    pool_size, strides : (int, int)
    pads : (top, bottom, left, right)
        Each is smaller than the window, so that every window holds a pixel.
    out : pair of arrays, optional
        ``(y, argmax)``.
    work : ignored here

    Returns
    -------
    y : (N, OH, OW, C) array
    argmax : (N, OH, OW, C) uint8 array (int32 for windows over 256 taps)
        ``p * KW + q`` of the winning tap.
    """
    KH, KW = pool_size
    window = Window(pool_size, strides, pads)
    OH, OW = window.output_size(x.shape[1:3])
    top, bottom, left, right = pads
    xpad = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=-np.inf)
    taps = np.stack([xpad[:, *tap_slices(p, q, (OH, OW), window)] for p in range(KH) for q in range(KW)])
    # A pixel of -inf equals a pad and must not lose to one that comes before it, so pads are kept from winning.
    inside = np.pad(np.ones(x.shape[1:3], bool), ((top, bottom), (left, right)))
    real = np.stack([inside[tap_slices(p, q, (OH, OW), window)] for p in range(KH) for q in range(KW)])
    y = taps.max(axis=0)
    winners = ((taps == y) | np.isnan(taps)) & real[:, None, :, :, None]
    return deliver_all((y, winners.argmax(axis=0).astype(argmax_dtype(pool_size))), out)


def max_pool2d_backward(dy, argmax, input_size, pool_size, strides, pads, out=None, work=None):
    """Send each output's gradient to the pixel that won its window; a pixel that won several windows adds them up.

    ``dxpad[n, i*s + p, j*s + q, c] += dy[n,i,j,c]`` where ``argmax[n,i,j,c] == p*KW + q``, and the pads are cut off.

    Parameters
    ----------
    dy, argmax : (N, OH, OW, C) arrays
    input_size : (H, W)
    pool_size, strides, pads, work
        As in :func:`max_pool2d_forward`.
    out : (N, H, W, C) array, optional

    Returns
    -------
    (N, H, W, C) array
    """
    tap = np.arange(pool_size[0] * pool_size[1]).reshape(*pool_size, 1)
    dcols = np.where(argmax[:, :, :, None, None] == tap, dy[:, :, :, None, None], 0)
    return deliver(col2im(dcols, input_size, Window(pool_size, strides, pads)), out)


def average_pool2d_forward(x, pool_size, strides, pads, out=None, work=None):
    """Compute the average of each window's pixels; pads do not count, so fewer pixels are averaged at an edge.

    ``y[n,i,j,c] = sum_{p,q} xpad[n, i*s + p, j*s + q, c] / count[i,j]``, where ``count[i,j]`` is how many of the
    window's taps meet a pixel. Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998,
    section II.B (there with a trained factor); dividing by the count is TensorFlow's rule.

    Parameters
    ----------
    x : (N, H, W, C) array
    pool_size, strides : (int, int)
    pads : (top, bottom, left, right)
        Each is smaller than the window, so that every window holds a pixel.
    out : (N, OH, OW, C) array, optional
    work : ignored here

    Returns
    -------
    (N, OH, OW, C) array
    """
    window = Window(pool_size, strides, pads)
    return deliver(im2col(x, window).sum(axis=(3, 4)) / pixel_counts(x.shape[1:3], window, x.dtype), out)


def average_pool2d_backward(dy, input_size, pool_size, strides, pads, out=None, work=None):
    """Share each output's gradient out equally among the pixels of its window.

    ``dxpad[n, i*s + p, j*s + q, c] += dy[n,i,j,c] / count[i,j]``, and the pads are cut off.

    Parameters
    ----------
    dy : (N, OH, OW, C) array
    input_size : (H, W)
    pool_size, strides, pads, work
        As in :func:`average_pool2d_forward`.
    out : (N, H, W, C) array, optional

    Returns
    -------
    (N, H, W, C) array
    """
    window = Window(pool_size, strides, pads)
    share = dy / pixel_counts(input_size, window, dy.dtype)
    N, OH, OW, C = dy.shape
    dcols = np.broadcast_to(share[:, :, :, None, None], (N, OH, OW, *pool_size, C))
    return deliver(col2im(dcols, input_size, window), out)


def pixel_counts(input_size, window, dtype):
    """Return how many taps of each window meet a pixel and not a pad: (OH, OW, 1)."""
    return im2col(np.ones((1, *input_size, 1), dtype), window).sum(axis=(0, 3, 4))
