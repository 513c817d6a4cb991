"""Step 1: a thread per result, where neighbouring threads work on neighbouring pixels.

The F results of a pixel stand next to each other (NHWC), so neighbouring threads write F numbers apart, and read C
numbers apart. Memory is served in pieces of 32 bytes, and a thread uses four bytes of each piece that is fetched.
"""

from .._device import THREADS, cuda, kernel, launch


def forward(x, w, pads, out):
    """Compute ``out[n,i,j,f] = sum_{p,q,c} xpad[n, i+p, j+q, c] * w[p,q,c,f]``."""
    N, OH, OW, F = out.shape
    launch(_naive, (-(-N * OH * OW // THREADS), F), THREADS, x, w, out, (*x.shape, *out.shape[1:], *w.shape[:2]), pads)


@kernel
def _naive(x, w, y, shape, pads):
    """Compute one result."""
    N, H, W, C, OH, OW, F, KH, KW = shape
    pixel, f = cuda.grid(1), cuda.blockIdx.y
    if pixel < N * OH * OW:
        n, i, j = pixel // (OH * OW), pixel // OW % OH, pixel % OW
        total = x.dtype.type(0)
        for p in range(KH):
            for q in range(KW):
                h, v = i + p - pads[0], j + q - pads[2]
                if 0 <= h < H and 0 <= v < W:
                    for c in range(C):
                        total += x[((n * H + h) * W + v) * C + c] * w[((p * KW + q) * C + c) * F + f]
        y[pixel * F + f] = total
