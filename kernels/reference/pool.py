"""Max-pooling: the largest value of every window, and where it stood.

Shapes: x (N, H, W, C), y (N, OH, OW, C).
"""

import numpy as np

from ..geometry import Window, argmax_dtype
from ._out import deliver, deliver_all
from .conv import tap_slices


def max_pool2d_forward(x, pool_size, strides, pads, out=None, work=None):
    """Largest value of each window; pads count as -inf, so they never win; of equal values the first wins.

    ``y[n,i,j,c] = max_{p,q} xpad[n, i*s + p, j*s + q, c]``. A NaN in a window is its result.

    Parameters
    ----------
    x : (N, H, W, C) array
    pool_size, strides : (int, int)
    pads : (top, bottom, left, right)
        Each smaller than the window, so that every window holds a pixel.
    out : pair of arrays, optional
        ``(y, argmax)``.
    work : ignored here

    Returns
    -------
    y : (N, OH, OW, C) array
    argmax : (N, OH, OW, C) uint8 array (int32 for windows over 256 taps)
        ``p * KW + q`` of the winner.
    """
    KH, KW = pool_size
    window = Window(pool_size, strides, pads)
    OH, OW = window.output_size(x.shape[1:3])
    top, bottom, left, right = pads
    xpad = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=-np.inf)
    taps = np.stack([xpad[:, *tap_slices(p, q, (OH, OW), window)] for p in range(KH) for q in range(KW)])
    # A pixel of -inf must not lose to a pad on the left or above it: pads are set below every number.
    inside = np.pad(np.ones(x.shape[1:3], bool), ((top, bottom), (left, right)))
    real = np.stack([inside[tap_slices(p, q, (OH, OW), window)] for p in range(KH) for q in range(KW)])
    y = taps.max(axis=0)
    winners = ((taps == y) | np.isnan(taps)) & real[:, None, :, :, None]
    return deliver_all((y, winners.argmax(axis=0).astype(argmax_dtype(pool_size))), out)


def max_pool2d_backward(dy, argmax, input_size, pool_size, strides, pads, out=None, work=None):
    """Each output's gradient goes to the pixel that won its window; a pixel that won several adds them up.

    ``dxpad[n, i*s + p, j*s + q, c] += dy[n,i,j,c]`` where ``argmax[n,i,j,c] == p*KW + q``.

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
    KH, KW = pool_size
    N, OH, OW, C = dy.shape
    (H, W), (top, bottom, left, right) = input_size, pads
    window = Window(pool_size, strides, pads)
    dxpad = np.zeros((N, H + top + bottom, W + left + right, C), dy.dtype)
    for p in range(KH):
        for q in range(KW):
            dxpad[:, *tap_slices(p, q, (OH, OW), window)] += np.where(argmax == p * KW + q, dy, 0)
    return deliver(np.ascontiguousarray(dxpad[:, top : top + H, left : left + W]), out)
