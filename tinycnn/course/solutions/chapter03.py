"""Chapter 3: the backward of convolution.

The page is docs/course/03-backward.md. Arrays are images (N, H, W, C), weights (KH, KW, C, F), and results and their
gradients dy (N, OH, OW, F), in float64. ``python -m doctest chapter03.py`` runs the examples below, and
``tinycnn check chapter03 chapter03.py`` grades the functions.
"""

import numpy as np


def conv2d_db(dy):
    """Compute the gradient of the loss with respect to the bias.

    ``db[f] = sum over n, i, j of dy[n,i,j,f]``

    Parameters
    ----------
    dy : (N, OH, OW, F) array
        The gradient with respect to the convolution's result.

    Returns
    -------
    (F,) array of dy's dtype

    Examples
    --------
    >>> conv2d_db(np.ones((2, 3, 3, 1)))
    array([18.])
    """
    return dy.sum(axis=(0, 1, 2))


def conv2d_dw(dy, x, KH, KW, stride, pad):
    """Compute the gradient of the loss with respect to the weights.

    ``dw[p,q,c,f] = sum over n, i, j of xpad[n, i*stride + p, j*stride + q, c] * dy[n,i,j,f]``

    Parameters
    ----------
    dy : (N, OH, OW, F) array
    x : (N, H, W, C) array
        The images that the convolution was given.
    KH, KW, stride, pad : int

    Returns
    -------
    (KH, KW, C, F) array of dy's dtype

    Examples
    --------
    >>> x = np.array([[1.0, 2.0, 3.0]]).reshape(1, 1, 3, 1)
    >>> conv2d_dw(np.array([[1.0, 10.0]]).reshape(1, 1, 2, 1), x, 1, 2, 1, 0)[0, :, 0, 0]
    array([21., 32.])
    """
    (_, OH, OW, F), C = dy.shape, x.shape[3]
    xpad = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    dw = np.zeros((KH, KW, C, F), dy.dtype)
    for p in range(KH):
        for q in range(KW):
            rows, columns = slice(p, p + stride * OH, stride), slice(q, q + stride * OW, stride)
            met = xpad[:, rows, columns].reshape(-1, C)
            dw[p, q] = met.T @ dy.reshape(-1, F)
    return dw


def conv2d_dx(dy, w, H, W, stride, pad):
    """Compute the gradient of the loss with respect to the images.

    ``dxpad[n, i*stride + p, j*stride + q, c] += sum over f of dy[n,i,j,f] * w[p,q,c,f]`` for all i, j, p and q; then
    the pads are cut off.

    Parameters
    ----------
    dy : (N, OH, OW, F) array
    w : (KH, KW, C, F) array
    H, W : int
        The size of the images, which cannot always be told from that of dy.
    stride, pad : int

    Returns
    -------
    (N, H, W, C) array of dy's dtype

    Examples
    --------
    >>> w = np.array([[10.0, 1.0]]).reshape(1, 2, 1, 1)
    >>> conv2d_dx(np.ones((1, 1, 2, 1)), w, 1, 3, 1, 0)[0, 0, :, 0]
    array([10., 11.,  1.])
    """
    (KH, KW, C, _), (N, OH, OW, _) = w.shape, dy.shape
    dxpad = np.zeros((N, H + 2 * pad, W + 2 * pad, C), dy.dtype)
    for p in range(KH):
        for q in range(KW):
            rows, columns = slice(p, p + stride * OH, stride), slice(q, q + stride * OW, stride)
            dxpad[:, rows, columns] += dy @ w[p, q].T
    return dxpad[:, pad : pad + H, pad : pad + W]


def counterexample():
    """Return arguments ``(dy, w, H, W, stride, pad)`` for which the page's ``broken_conv2d_dx`` gives a wrong result.

    All arrays together may hold at most 12 numbers.

    Returns
    -------
    tuple of an (N, OH, OW, F) and a (KH, KW, C, F) array of float64, and four ints
    """
    return np.ones((1, 1, 2, 1)), np.ones((1, 2, 1, 1)), 1, 3, 1, 0
