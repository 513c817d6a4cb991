"""Convolution by im2col: copy every receptive field into a row, and convolution becomes one matrix product.

Shapes: x (N, H, W, C), w (KH, KW, C // groups, F), b (F,), y (N, OH, OW, F). In the formulas s is the stride and d the
dilation, in the direction concerned, and xpad is x with zeros around each image.
Source: Chellapilla, Puri & Simard, "High performance convolutional neural networks for document processing", 2006,
section 2.
"""

import numpy as np

from ..geometry import Window
from ._out import deliver, deliver_all

__all__ = ["conv2d_backward_input", "conv2d_backward_weights", "conv2d_forward"]


def conv2d_forward(x, w, b, strides, pads, dilation, groups, algorithm="auto", out=None, work=None):
    """Cross-correlate a batch with F filters (what deep learning calls convolution: the filter is not flipped).

    ``y[n,i,j,f] = b[f] + sum_{p,q,c} xpad[n, i*s + p*d, j*s + q*d, c] * w[p,q,c,f]``

    With ``groups`` = G, channels and filters are cut into G parts each, and the filters of part g see only the channels
    of part g.

    Parameters
    ----------
    x : (N, H, W, C) array
    w : (KH, KW, C // groups, F) array
    b : (F,) array or None
        None stands for no bias.
    strides, dilation : (int, int)
    pads : (top, bottom, left, right)
        Rows and columns of zeros that are added around each image; the four sides may differ.
    groups : int
        It divides both C and F.
    algorithm, work : ignored here
        The textbook has one way; see the other backends for what they offer.
    out : (N, OH, OW, F) array, optional

    Returns
    -------
    (N, OH, OW, F) array
    """
    KH, KW, CG, F = w.shape
    cols = im2col(x, Window((KH, KW), strides, pads, dilation))
    N, OH, OW = cols.shape[:3]
    y = np.empty((N, OH, OW, F), x.dtype)
    for channels, filters in group_slices(groups, CG, F // groups):
        rows = cols[..., channels].reshape(N * OH * OW, KH * KW * CG)
        matrix = w[..., filters].reshape(KH * KW * CG, F // groups)
        y[..., filters] = (rows @ matrix).reshape(N, OH, OW, F // groups)
    if b is not None:
        y += b
    return deliver(y, out)


def conv2d_backward_input(dy, w, input_size, strides, pads, dilation, groups, algorithm="auto", out=None, work=None):
    """Compute the gradient of the loss by the input: each output pixel sends its gradient back along its window's taps.

    ``dxpad[n, i*s + p*d, j*s + q*d, c] += sum_f dy[n,i,j,f] * w[p,q,c,f]``, and the pads are cut off.

    Parameters
    ----------
    dy : (N, OH, OW, F) array
    w : (KH, KW, C // groups, F) array
    input_size : (H, W)
        It is needed because several input sizes can give the same output size.
    strides, pads, dilation, groups, algorithm, work
        As in :func:`conv2d_forward`.
    out : (N, H, W, C) array, optional

    Returns
    -------
    (N, H, W, C) array
    """
    KH, KW, CG, F = w.shape
    N, OH, OW, _ = dy.shape
    dcols = np.empty((N, OH, OW, KH, KW, CG * groups), dy.dtype)
    for channels, filters in group_slices(groups, CG, F // groups):
        rows = dy[..., filters].reshape(N * OH * OW, F // groups)
        matrix = w[..., filters].reshape(KH * KW * CG, F // groups)
        dcols[..., channels] = (rows @ matrix.T).reshape(N, OH, OW, KH, KW, CG)
    return deliver(col2im(dcols, input_size, Window((KH, KW), strides, pads, dilation)), out)


def conv2d_backward_weights(dy, x, kernel_size, strides, pads, dilation, groups, algorithm="auto", out=None, work=None):
    """Compute the gradients of the loss by the weights and by the bias.

    ``dw[p,q,c,f] = sum_{n,i,j} xpad[n, i*s + p*d, j*s + q*d, c] * dy[n,i,j,f]``, ``db[f] = sum_{n,i,j} dy[n,i,j,f]``

    Parameters
    ----------
    dy : (N, OH, OW, F) array
    x : (N, H, W, C) array
    kernel_size : (KH, KW)
    strides, pads, dilation, groups, algorithm, work
        As in :func:`conv2d_forward`.
    out : pair of arrays, optional
        ``(dw, db)``.

    Returns
    -------
    dw : (KH, KW, C // groups, F) array
    db : (F,) array
    """
    KH, KW = kernel_size
    F, CG = dy.shape[-1], x.shape[-1] // groups
    cols = im2col(x, Window(kernel_size, strides, pads, dilation))
    dw = np.empty((KH, KW, CG, F), x.dtype)
    for channels, filters in group_slices(groups, CG, F // groups):
        rows = cols[..., channels].reshape(-1, KH * KW * CG)
        dw[..., filters] = (rows.T @ dy[..., filters].reshape(len(rows), F // groups)).reshape(KH, KW, CG, F // groups)
    return deliver_all((dw, dy.sum(axis=(0, 1, 2))), out)


def im2col(x, window):
    """Return every receptive field of a zero-padded batch: (N, H, W, C) → (N, OH, OW, KH, KW, C).

    ``cols[n,i,j,p,q,c] = xpad[n, i*s + p*d, j*s + q*d, c]``. The loops go over the taps (p, q): the pixels that one tap
    meets over all window positions are a strided slice of the padded image.
    """
    (KH, KW), (OH, OW) = window.size, window.output_size(x.shape[1:3])
    top, bottom, left, right = window.pads
    xpad = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    cols = np.empty((len(x), OH, OW, KH, KW, x.shape[-1]), x.dtype)
    for p in range(KH):
        for q in range(KW):
            cols[:, :, :, p, q] = xpad[:, *tap_slices(p, q, (OH, OW), window)]
    return cols


def col2im(cols, input_size, window):
    """Return the adjoint of :func:`im2col`: every window adds its pixels back to where it took them from.

    ``xpad[n, i*s + p*d, j*s + q*d, c] += cols[n,i,j,p,q,c]``, and the pads are cut off.
    """
    N, OH, OW, KH, KW, C = cols.shape
    (H, W), (top, bottom, left, right) = input_size, window.pads
    xpad = np.zeros((N, H + top + bottom, W + left + right, C), cols.dtype)
    for p in range(KH):
        for q in range(KW):
            xpad[:, *tap_slices(p, q, (OH, OW), window)] += cols[:, :, :, p, q]
    return np.ascontiguousarray(xpad[:, top : top + H, left : left + W])


def tap_slices(p, q, output_size, window):
    """Return two slices: the rows and the columns of the padded image that tap (p, q) meets, over all windows."""
    return tuple(
        slice(tap * d, tap * d + s * (count - 1) + 1, s)
        for tap, count, s, d in zip((p, q), output_size, window.strides, window.dilation, strict=True)
    )


def group_slices(groups, channels, filters):
    """Yield for each group its slice of the channels and its slice of the filters."""
    for g in range(groups):
        yield slice(g * channels, (g + 1) * channels), slice(g * filters, (g + 1) * filters)
