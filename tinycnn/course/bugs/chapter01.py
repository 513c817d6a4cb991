"""Chapter 1's bug hunt: a convolution that is right in most tests."""

import numpy as np


def broken_conv2d(x, w, b, stride, pad):
    KH, KW, _, F = w.shape
    xpad = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    OH = (xpad.shape[1] - KH) // stride + 1
    OW = (xpad.shape[2] - KW) // stride + 1
    y = np.zeros((len(x), OH, OW, F)) + b
    for p in range(KH):
        for q in range(KW):
            rows = slice(p, p + stride * OH, stride)
            y += (xpad[:, rows, q : q + OW] @ w[p, q])[:, :OH]
    return y
