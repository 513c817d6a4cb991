"""Chapter 2: im2col.

The page is docs/course/02-im2col.md. Arrays are images (N, H, W, C), weights (KH, KW, C, F), a bias (F,) and results
(N, OH, OW, F), in float64. ``python -m doctest chapter02.py`` runs the examples below, and
``tinycnn check chapter02 chapter02.py`` grades the functions.
"""

import numpy as np


def im2col(x, KH, KW, stride, pad):
    """Write every window of the padded images into a row of a matrix.

    The rows are in the order of (n, i, j), and the numbers of a row in that of (p, q, c): row ``(n*OH + i)*OW + j`` and
    column ``(p*KW + q)*C + c`` hold ``xpad[n, i*stride + p, j*stride + q, c]``.

    Parameters
    ----------
    x : (N, H, W, C) array
    KH, KW, stride, pad : int

    Returns
    -------
    (N * OH * OW, KH * KW * C) array of x's dtype

    Examples
    --------
    >>> x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).reshape(1, 2, 3, 1)
    >>> im2col(x, 2, 2, 1, 0)
    array([[1., 2., 4., 5.],
           [2., 3., 5., 6.]])
    """
    N, H, W, C = x.shape
    OH, OW = (H + 2 * pad - KH) // stride + 1, (W + 2 * pad - KW) // stride + 1
    xpad = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    cols = np.zeros((N, OH, OW, KH, KW, C), x.dtype)
    for p in range(KH):
        for q in range(KW):
            rows, columns = slice(p, p + stride * OH, stride), slice(q, q + stride * OW, stride)
            cols[:, :, :, p, q] = xpad[:, rows, columns]
    return cols.reshape(N * OH * OW, KH * KW * C)


def conv2d_im2col(x, w, b, stride, pad):
    """Convolve images with F filters by one matrix product.

    Parameters
    ----------
    x : (N, H, W, C) array
    w : (KH, KW, C, F) array
    b : (F,) array
    stride, pad : int

    Returns
    -------
    (N, OH, OW, F) array of x's dtype

    Examples
    --------
    >>> x = np.array([[1.0, 2.0, 3.0]]).reshape(1, 1, 3, 1)
    >>> w = np.array([[10.0, 1.0]]).reshape(1, 2, 1, 1)
    >>> conv2d_im2col(x, w, np.array([0.5]), 1, 0)[0, 0, :, 0]
    array([12.5, 23.5])
    """
    KH, KW, C, F = w.shape
    N, H, W, _ = x.shape
    OH, OW = (H + 2 * pad - KH) // stride + 1, (W + 2 * pad - KW) // stride + 1
    cols = im2col(x, KH, KW, stride, pad)
    y = cols @ w.reshape(KH * KW * C, F) + b
    return y.reshape(N, OH, OW, F)


def col2im(cols, shape, KH, KW, stride, pad):
    """Add every number of the matrix to the pixel from which im2col would have taken it.

    This is im2col's adjoint: pixels that lie in several windows get a sum, and what belongs to the pads is cut off.

    Parameters
    ----------
    cols : (N * OH * OW, KH * KW * C) array
    shape : (int, int, int, int)
        The shape of the images, (N, H, W, C).
    KH, KW, stride, pad : int

    Returns
    -------
    (N, H, W, C) array of the dtype of cols

    Examples
    --------
    >>> col2im(np.ones((2, 4)), (1, 2, 3, 1), 2, 2, 1, 0)[0, :, :, 0]
    array([[1., 2., 1.],
           [1., 2., 1.]])
    """
    N, H, W, C = shape
    OH, OW = (H + 2 * pad - KH) // stride + 1, (W + 2 * pad - KW) // stride + 1
    taps = cols.reshape(N, OH, OW, KH, KW, C)
    xpad = np.zeros((N, H + 2 * pad, W + 2 * pad, C), cols.dtype)
    for p in range(KH):
        for q in range(KW):
            rows, columns = slice(p, p + stride * OH, stride), slice(q, q + stride * OW, stride)
            xpad[:, rows, columns] += taps[:, :, :, p, q]
    return xpad[:, pad : pad + H, pad : pad + W]


def counterexample():
    """Return arguments ``(x, w, b, stride, pad)`` for which ``broken_conv2d_im2col`` gives a wrong result.

    All arrays together may hold at most 12 numbers.

    Returns
    -------
    tuple of an (N, H, W, C), a (KH, KW, C, F) and an (F,) array of float64, and two ints
    """
    x = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 2, 2)
    w = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 2, 2, 1)
    return x, w, np.zeros(1), 1, 0
