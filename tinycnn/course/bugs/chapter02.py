"""Chapter 2's bug hunt: a convolution as a matrix product that is right for grey images."""

import numpy as np


def broken_conv2d_im2col(x, w, b, stride, pad):
    KH, KW, C, F = w.shape
    xpad = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    OH = (xpad.shape[1] - KH) // stride + 1
    OW = (xpad.shape[2] - KW) // stride + 1
    cols = np.empty((len(x), OH, OW, C, KH, KW))
    for p in range(KH):
        for q in range(KW):
            cols[..., p, q] = xpad[:, p : p + stride * OH : stride, q : q + stride * OW : stride]
    y = cols.reshape(-1, C * KH * KW) @ w.reshape(KH * KW * C, F) + b
    return y.reshape(len(x), OH, OW, F)
