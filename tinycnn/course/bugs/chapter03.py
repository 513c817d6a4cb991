"""Chapter 3's bug hunt: a gradient that is right for windows which do not overlap."""

import numpy as np


def broken_conv2d_dx(dy, w, H, W, stride, pad):
    KH, KW, C, _ = w.shape
    N, OH, OW, _ = dy.shape
    dxpad = np.zeros((N, H + 2 * pad, W + 2 * pad, C))
    for p in range(KH):
        for q in range(KW):
            rows = slice(p, p + stride * OH, stride)
            columns = slice(q, q + stride * OW, stride)
            dxpad[:, rows, columns] = dy @ w[p, q].T
    return dxpad[:, pad : pad + H, pad : pad + W]
