"""Step 2: a thread per result, where neighbouring threads work on neighbouring filters.

Only the order of the threads has changed. Now a row of 32 threads reads the same pixel (one fetch for all) and 32
weights that stand side by side, and writes 32 results that do: each piece of memory that is fetched is used whole.
"""

from .._device import THREADS, cuda, kernel, launch


def forward(x, w, pads, out):
    """Compute ``out[n,i,j,f] = sum_{p,q,c} xpad[n, i+p, j+q, c] * w[p,q,c,f]``."""
    blocks = -(-out.size // THREADS)
    launch(_coalesced, blocks, THREADS, x, w, out, (*x.shape, *out.shape[1:], *w.shape[:2]), pads)


@kernel
def _coalesced(x, w, y, shape, pads):
    """Compute one result."""
    N, H, W, C, OH, OW, F, KH, KW = shape
    result = cuda.grid(1)
    if result < N * OH * OW * F:
        pixel, f = result // F, result % F
        n, i, j = pixel // (OH * OW), pixel // OW % OH, pixel % OW
        total = x.dtype.type(0)
        for p in range(KH):
            for q in range(KW):
                h, v = i + p - pads[0], j + q - pads[2]
                if 0 <= h < H and 0 <= v < W:
                    for c in range(C):
                        total += x[((n * H + h) * W + v) * C + c] * w[((p * KW + q) * C + c) * F + f]
        y[result] = total
