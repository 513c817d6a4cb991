"""Chapter 4: pooling.

The page is docs/course/04-pooling.md. Arrays are images x (N, H, W, C) and results y (N, OH, OW, C), in float64; argmax
and counts hold whole numbers. ``python -m doctest chapter04.py`` runs the examples below, and
``tinycnn check chapter04 chapter04.py`` grades the functions.
"""

import numpy as np


def max_pool2d(x, KH, KW, stride, pad):
    """Find the largest pixel of every window, and the tap at which it is.

    ``y[n,i,j,c] = max over p, q of xpad[n, i*stride + p, j*stride + q, c]``, where the pads are minus infinity, and
    ``argmax[n,i,j,c] = p*KW + q`` of the largest; of equal pixels the first counts.

    Parameters
    ----------
    x : (N, H, W, C) array
    KH, KW, stride, pad : int
        The pad is smaller than KH and KW, so that every window has a pixel.

    Returns
    -------
    y : (N, OH, OW, C) array of x's dtype
    argmax : (N, OH, OW, C) array of int64

    Examples
    --------
    >>> x = np.array([[1.0, 5.0, 2.0, 2.0]]).reshape(1, 1, 4, 1)
    >>> y, argmax = max_pool2d(x, 1, 2, 2, 0)
    >>> y[0, 0, :, 0]
    array([5., 2.])
    >>> argmax[0, 0, :, 0]
    array([1, 0])
    """
    N, H, W, C = x.shape
    OH, OW = (H + 2 * pad - KH) // stride + 1, (W + 2 * pad - KW) // stride + 1
    xpad = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), constant_values=-np.inf)
    y = np.full((N, OH, OW, C), -np.inf, x.dtype)
    argmax = np.zeros((N, OH, OW, C), np.int64)
    for p in range(KH):
        for q in range(KW):
            rows, columns = slice(p, p + stride * OH, stride), slice(q, q + stride * OW, stride)
            larger = xpad[:, rows, columns] > y
            argmax[larger] = p * KW + q
            y[larger] = xpad[:, rows, columns][larger]
    return y, argmax


def max_pool2d_dx(dy, argmax, H, W, KH, KW, stride, pad):
    """Send each number of dy back to the pixel that was the largest of its window.

    ``dxpad[n, i*stride + p, j*stride + q, c] += dy[n,i,j,c]`` where ``argmax[n,i,j,c] == p*KW + q``; then the pads are
    cut off.

    Parameters
    ----------
    dy : (N, OH, OW, C) array
    argmax : (N, OH, OW, C) array of int64
        What ``max_pool2d`` returned.
    H, W : int
        The size of the images.
    KH, KW, stride, pad : int

    Returns
    -------
    (N, H, W, C) array of dy's dtype

    Examples
    --------
    >>> dy, argmax = np.array([[3.0, 4.0]]).reshape(1, 1, 2, 1), np.array([[1, 0]]).reshape(1, 1, 2, 1)
    >>> max_pool2d_dx(dy, argmax, 1, 4, 1, 2, 2, 0)[0, 0, :, 0]
    array([0., 3., 4., 0.])
    """
    N, OH, OW, C = dy.shape
    dxpad = np.zeros((N, H + 2 * pad, W + 2 * pad, C), dy.dtype)
    for p in range(KH):
        for q in range(KW):
            rows, columns = slice(p, p + stride * OH, stride), slice(q, q + stride * OW, stride)
            won = argmax == p * KW + q
            dxpad[:, rows, columns] += dy * won
    return dxpad[:, pad : pad + H, pad : pad + W]


def window_counts(H, W, KH, KW, stride, pad):
    """Count the pixels of each window; pads are no pixels.

    Parameters
    ----------
    H, W, KH, KW, stride, pad : int

    Returns
    -------
    (OH, OW) array of int64

    Examples
    --------
    >>> window_counts(2, 3, 2, 2, 1, 1)
    array([[1, 2, 2, 1],
           [2, 4, 4, 2],
           [1, 2, 2, 1]])
    """
    OH, OW = (H + 2 * pad - KH) // stride + 1, (W + 2 * pad - KW) // stride + 1
    inside = np.pad(np.ones((H, W), np.int64), pad)
    counts = np.zeros((OH, OW), np.int64)
    for p in range(KH):
        for q in range(KW):
            counts += inside[p : p + stride * OH : stride, q : q + stride * OW : stride]
    return counts


def average_pool2d(x, KH, KW, stride, pad):
    """Compute the average of the pixels of every window; pads do not count.

    ``y[n,i,j,c] = (sum over p, q of xpad[n, i*stride + p, j*stride + q, c]) / counts[i,j]``, where the pads are 0.

    Parameters
    ----------
    x : (N, H, W, C) array
    KH, KW, stride, pad : int
        The pad is smaller than KH and KW.

    Returns
    -------
    (N, OH, OW, C) array of x's dtype

    Examples
    --------
    >>> x = np.array([[1.0, 5.0, 2.0, 3.0]]).reshape(1, 1, 4, 1)
    >>> average_pool2d(x, 1, 2, 2, 0)[0, 0, :, 0]
    array([3. , 2.5])
    """
    N, H, W, C = x.shape
    counts = window_counts(H, W, KH, KW, stride, pad).astype(x.dtype)
    OH, OW = counts.shape
    xpad = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    y = np.zeros((N, OH, OW, C), x.dtype)
    for p in range(KH):
        for q in range(KW):
            y += xpad[:, p : p + stride * OH : stride, q : q + stride * OW : stride]
    return y / counts[:, :, None]


def average_pool2d_dx(dy, H, W, KH, KW, stride, pad):
    """Share each number of dy out among the pixels of its window.

    ``dxpad[n, i*stride + p, j*stride + q, c] += dy[n,i,j,c] / counts[i,j]``; then the pads are cut off.

    Parameters
    ----------
    dy : (N, OH, OW, C) array
    H, W : int
        The size of the images.
    KH, KW, stride, pad : int

    Returns
    -------
    (N, H, W, C) array of dy's dtype

    Examples
    --------
    >>> dy = np.array([[4.0, 6.0]]).reshape(1, 1, 2, 1)
    >>> average_pool2d_dx(dy, 1, 4, 1, 2, 2, 0)[0, 0, :, 0]
    array([2., 2., 3., 3.])
    """
    N, OH, OW, C = dy.shape
    share = dy / window_counts(H, W, KH, KW, stride, pad).astype(dy.dtype)[:, :, None]
    dxpad = np.zeros((N, H + 2 * pad, W + 2 * pad, C), dy.dtype)
    for p in range(KH):
        for q in range(KW):
            dxpad[:, p : p + stride * OH : stride, q : q + stride * OW : stride] += share
    return dxpad[:, pad : pad + H, pad : pad + W]


def counterexample():
    """Return arguments ``(dy, x, size)`` for which the page's ``broken_max_pool2d_dx`` gives a wrong result.

    All arrays together may hold at most 12 numbers. Windows are of size x size pixels and do not overlap.

    Returns
    -------
    tuple of an (N, OH, OW, C) and an (N, H, W, C) array of float64, and an int
    """
    return np.ones((1, 1, 1, 1)), np.zeros((1, 2, 2, 1)), 2
