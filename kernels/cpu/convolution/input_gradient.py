"""The input gradient of a direct convolution, which leaves out the taps that meet only zeros.

It is a convolution as well: of dy, with ``strides - 1`` zeros between its pixels, by the flipped weights (Dumoulin &
Visin, 2016, section 4.6). Input row h met tap p of output row i where ``i*s + p*d = h + top``. With ``p' = KH-1-p``
that is ``i*s = h + p'*d - (d*(KH-1) - top)``: a stride of 1, the same dilation, and another pad.
"""

import numpy as np

from ..machine.jit import helper
from ..machine.memory import clear
from ..machine.micro_kernel import product
from ..machine.parallel import parallel
from ..machine.transpose import transpose
from .canvas import place


@parallel
def flip_tap(tap, worker, w, flipped, KW, ranges, columns, row, CG, FG, groups):
    """Turn the weights of one tap: ``flipped[tap, f, g*CG + c] = w[taps-1-tap, c, g*FG + f]``.

    They are put among those of each range of columns of taps, in panels if ``row`` is the width of one.
    """
    F, taps, panel, start = FG * groups, w.size // (CG * FG * groups), min(row, CG), 0
    for i in range(0, ranges.size, 2):
        low, high = ranges[i : i + 2]
        depth = taps // KW * (high - low) * FG
        if low <= tap % KW < high:
            step = (tap // KW * (high - low) + tap % KW - low) * FG
            for g in range(groups):
                for c in range(0, CG, panel):
                    at = start + (g * columns + c) * (1 if row == CG * groups else depth) + step * row
                    source = ((taps - 1 - tap) * CG + c) * F + g * FG
                    transpose(w, source, min(panel, CG - c), FG, F, flipped, at, row)
        start += depth * groups * columns


@helper
def input_gradient(
    micro, p, canvas, back, n, rows, dz, dz_start, dx, pixels, taps, met_rows, runs, zeros, flipped, columns,
    flipped_row, work, work_start,
):  # fmt: skip
    """Compute a band of dx of one image: a convolution of its dz by the flipped weights.

    Pixels that meet the same taps, and lie at equal distances, form one product.

    Parameters
    ----------
    micro, p, canvas, back, dx, zeros, flipped, columns, flipped_row
        As in :func:`.direct.backward`.
    n : int
        The image.
    rows : (int, int)
        The band: its first row, and the one behind its last.
    dz : flat array
        The gradient by the convolution's result begins at ``dz[dz_start]``.
    dz_start : int
    pixels, taps, met_rows, runs : int64 arrays
        Tables, see :func:`.direct_plan._met_taps`.
    work : flat array
        The canvas of dz begins at ``work[work_start]``.
    work_start : int
    """
    CG, FG, C, F = p.C // p.groups, p.F // p.groups, p.C * p.lanes, p.F * p.lanes
    image, image_start, none = dz, dz_start, dz.dtype.type(-np.inf)
    if not back.in_place:
        image, image_start, before = work, work_start, p.row_extent - 1 - canvas.top
        place(back, dz, dz_start, p.OH, p.OW, F, max(0, rows[0] - before),
              min(back.height, rows[1] - 1 - before + p.row_extent), work, work_start)  # fmt: skip
    panel, h = min(CG, flipped_row), rows[0]
    while h < rows[1]:
        low, high, end = met_rows[2 * h], met_rows[2 * h + 1], h + 1
        while end < rows[1] and met_rows[2 * end] == low and met_rows[2 * end + 1] == high:
            end += 1
        for r in range(0, runs.size, 6):
            first, last, tap, weights, steps, depth = runs[r : r + 6]
            # By rows, or by columns where these are longer; all rows together if they are whole.
            lines, count, at, to, apart = end - h, last - first, h * p.W + first, p.W, 1
            pixel = at
            if count == p.W:
                lines, count = 1, lines * count
            elif count < lines:
                lines, count, at, to, apart = count, lines, p.W * p.H + first * p.H + h, 1, p.W
            next_at = p.H if apart > 1 else p.W
            for line in range(lines):
                out = (n * p.H * p.W + pixel + line * to) * C
                for g in range(p.groups):
                    for c in range(0, CG, panel):
                        width = min(panel, CG - c)
                        if low == high or not steps:
                            for i in range(count):
                                clear(dx, out + i * apart * C + (g * CG + c) * p.lanes, width * p.lanes)
                            continue
                        product(
                            micro, count, width, (high - low) * steps, image, image_start + g * FG * p.lanes, pixels,
                            at + line * next_at, taps, tap + low * steps, flipped,
                            weights + (g * columns + c) * (1 if flipped_row == p.C else depth)
                            + low * steps * flipped_row, flipped_row, zeros, 0, 0, none,
                            dx, out + (g * CG + c) * p.lanes, apart * C,
                        )  # fmt: skip
        h = end
