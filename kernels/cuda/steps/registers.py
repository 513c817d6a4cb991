"""Step 4: like step 3, but each thread computes DOWN × ACROSS results.

Step 3 takes two numbers from shared memory for each multiplication, and then it waits for shared memory. A thread that
takes DOWN + ACROSS numbers into registers can do DOWN * ACROSS multiplications with them. The sums are a small local
array; as all its indices are known when the kernel is compiled, the compiler keeps it in registers.
"""

from functools import cache

import numpy as np

from .._device import SIMULATED, cuda, kernel, launch

#: The results of a block, how many numbers of a sum are fetched at a time, and the results of a thread.
ROWS, COLUMNS, DEPTH, DOWN, ACROSS = (4, 4, 2, 2, 2) if SIMULATED else (64, 64, 16, 4, 4)
THREADS_DOWN, THREADS_ACROSS = ROWS // DOWN, COLUMNS // ACROSS
THREADS = THREADS_DOWN * THREADS_ACROSS


def forward(x, w, pads, out):
    """Compute ``out[n,i,j,f] = sum_{p,q,c} xpad[n, i+p, j+q, c] * w[p,q,c,f]``."""
    N, OH, OW, F = out.shape
    blocks = -(-F // COLUMNS), -(-N * OH * OW // ROWS)
    shape = (*x.shape, *out.shape[1:], *w.shape[:2])
    launch(_compiled(np.dtype(x.dtype).type), blocks, THREADS, x, w, out, shape, pads)


@cache
def _compiled(number):
    """Return the kernel for one dtype."""
    left_tile, right_tile, results = (DEPTH, ROWS + 1), (DEPTH, COLUMNS), (DOWN, ACROSS)

    @kernel
    def register_tiles(x, w, y, shape, pads):
        N, H, W, C, OH, OW, F, KH, KW = shape
        left = cuda.shared.array(left_tile, number)  # one column more, so that a row's writes go to different banks
        right = cuda.shared.array(right_tile, number)
        sums = cuda.local.array(results, number)
        for i in range(DOWN):
            for j in range(ACROSS):
                sums[i, j] = number(0)
        t, pixels, taps = cuda.threadIdx.x, N * OH * OW, KH * KW * C
        first_pixel, first_filter = cuda.blockIdx.y * ROWS, cuda.blockIdx.x * COLUMNS
        for first in range(0, taps, DEPTH):
            for place in range(t, ROWS * DEPTH, THREADS):
                tap, pixel = first + place % DEPTH, first_pixel + place // DEPTH
                h = pixel // OW % OH + tap // (KW * C) - pads[0]
                v = pixel % OW + tap // C % KW - pads[2]
                inside = pixel < pixels and tap < taps and 0 <= h < H and 0 <= v < W
                address = ((pixel // (OH * OW) * H + h) * W + v) * C + tap % C
                left[place % DEPTH, place // DEPTH] = x[address] if inside else number(0)
            for place in range(t, COLUMNS * DEPTH, THREADS):
                tap, f = first + place // COLUMNS, first_filter + place % COLUMNS
                right[place // COLUMNS, place % COLUMNS] = w[tap * F + f] if tap < taps and f < F else number(0)
            cuda.syncthreads()
            for k in range(DEPTH):
                for i in range(DOWN):
                    value = left[k, t // THREADS_ACROSS + i * THREADS_DOWN]
                    for j in range(ACROSS):
                        sums[i, j] += value * right[k, t % THREADS_ACROSS + j * THREADS_ACROSS]
            cuda.syncthreads()
        for i in range(DOWN):
            pixel = first_pixel + t // THREADS_ACROSS + i * THREADS_DOWN
            for j in range(ACROSS):
                f = first_filter + t % THREADS_ACROSS + j * THREADS_ACROSS
                if pixel < pixels and f < F:
                    y[pixel * F + f] = sums[i, j]

    return register_tiles
