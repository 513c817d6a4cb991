"""Chapter 1: convolution by hand.

The page is docs/course/01-convolution.md. Arrays are images (N, H, W, C), weights (KH, KW, C, F), a bias (F,) and
results (N, OH, OW, F), in float64. ``python -m doctest chapter01.py`` runs the examples below, and
``tinycnn check chapter01 chapter01.py`` grades the functions.
"""

import numpy as np


def output_size(length, kernel, stride, pad):
    """Return how many positions a kernel has along one side of an image.

    Parameters
    ----------
    length : int
        The number of pixels along that side.
    kernel : int
        The number of the kernel's taps along it.
    stride : int
        How many pixels the kernel moves from one position to the next.
    pad : int
        How many zeros are put before the first pixel, and after the last.

    Returns
    -------
    int

    Examples
    --------
    >>> output_size(5, 3, 1, 0)
    3
    >>> output_size(5, 3, 1, 1)
    5
    >>> output_size(6, 3, 2, 0)
    2
    """
    return (length + 2 * pad - kernel) // stride + 1


def pad_image(x, pad):
    """Put ``pad`` rows and columns of zeros around each image: at the top, bottom, left and right.

    Parameters
    ----------
    x : (N, H, W, C) array
    pad : int

    Returns
    -------
    (N, H + 2 * pad, W + 2 * pad, C) array of x's dtype

    Examples
    --------
    >>> pad_image(np.ones((1, 1, 1, 1)), 1)[0, :, :, 0]
    array([[0., 0., 0.],
           [0., 1., 0.],
           [0., 0., 0.]])
    """
    N, H, W, C = x.shape
    padded = np.zeros((N, H + 2 * pad, W + 2 * pad, C), x.dtype)
    padded[:, pad : pad + H, pad : pad + W] = x
    return padded


def conv2d(x, w, b, stride, pad):
    """Convolve images with F filters, by loops over the kernel's taps.

    ``y[n,i,j,f] = b[f] + sum over p, q, c of xpad[n, i*stride + p, j*stride + q, c] * w[p,q,c,f]``

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
    >>> conv2d(x, w, np.array([0.5]), 1, 0)[0, 0, :, 0]
    array([12.5, 23.5])
    """
    KH, KW, _, F = w.shape
    xpad = pad_image(x, pad)
    N, H, W, _ = x.shape
    OH, OW = output_size(H, KH, stride, pad), output_size(W, KW, stride, pad)
    y = np.zeros((N, OH, OW, F), x.dtype) + b
    for p in range(KH):
        for q in range(KW):
            rows = slice(p, p + stride * (OH - 1) + 1, stride)
            columns = slice(q, q + stride * (OW - 1) + 1, stride)
            y += xpad[:, rows, columns] @ w[p, q]
    return y


def counterexample():
    """Return arguments ``(x, w, b, stride, pad)`` for which the page's ``broken_conv2d`` gives a wrong result.

    All arrays together may hold at most 12 numbers.

    Returns
    -------
    tuple of an (N, H, W, C), a (KH, KW, C, F) and an (F,) array of float64, and two ints
    """
    x = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 4, 1)
    w = np.array([1.0, 1.0]).reshape(1, 2, 1, 1)
    return x, w, np.zeros(1), 2, 0
