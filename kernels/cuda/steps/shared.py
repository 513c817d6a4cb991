"""Step 3: the product ``cols @ w``, by square tiles in shared memory.

A convolution is a product of the im2col matrix (a row per pixel of the result, a column per tap) and the weights. A
block of SIDE × SIDE threads computes a square of results. In each round every thread fetches one number of the left
and one of the right tile; then all wait for each other, and each number is used SIDE times from shared memory, which is
many times faster than the card's memory. The im2col matrix itself is never built.
"""

from functools import cache

import numpy as np

from .._device import SIMULATED, cuda, kernel, launch

SIDE = 2 if SIMULATED else 16


def forward(x, w, pads, out):
    """Compute ``out[n,i,j,f] = sum_{p,q,c} xpad[n, i+p, j+q, c] * w[p,q,c,f]``."""
    N, OH, OW, F = out.shape
    blocks = -(-F // SIDE), -(-N * OH * OW // SIDE)
    shape = (*x.shape, *out.shape[1:], *w.shape[:2])
    launch(_compiled(np.dtype(x.dtype).type), blocks, (SIDE, SIDE), x, w, out, shape, pads)


@cache
def _compiled(number):
    """Return the kernel for one dtype: the compiler has to know how much shared memory it takes."""
    tile = (SIDE, SIDE)

    @kernel
    def shared_tiles(x, w, y, shape, pads):
        N, H, W, C, OH, OW, F, KH, KW = shape
        left = cuda.shared.array(tile, number)
        right = cuda.shared.array(tile, number)
        across, down = cuda.threadIdx.x, cuda.threadIdx.y
        pixel, f = cuda.blockIdx.y * SIDE + down, cuda.blockIdx.x * SIDE + across
        n, i, j = pixel // (OH * OW), pixel // OW % OH, pixel % OW
        taps = KH * KW * C
        total = number(0)
        for first in range(0, taps, SIDE):
            tap = first + across
            p, q, c = tap // (KW * C), tap // C % KW, tap % C
            h, v = i + p - pads[0], j + q - pads[2]
            inside = pixel < N * OH * OW and tap < taps and 0 <= h < H and 0 <= v < W
            left[down, across] = x[((n * H + h) * W + v) * C + c] if inside else number(0)
            tap = first + down
            right[down, across] = w[tap * F + f] if tap < taps and f < F else number(0)
            cuda.syncthreads()  # the tiles are complete
            for k in range(SIDE):
                total += left[down, k] * right[k, across]
            cuda.syncthreads()  # the tiles are no longer needed
        if pixel < N * OH * OW and f < F:
            y[pixel * F + f] = total

    return shared_tiles
