"""Sixteen images side by side in each vector: the way into that layout, and the way out.

See :mod:`..machine.lane_kernel` for what it is good for.
"""

from ..machine.arrays import CHUNK, deliver, operand, pieces, target
from ..machine.lane_kernel import LANES
from ..machine.memory import clear
from ..machine.parallel import parallel
from ..machine.transpose import transpose


def lanes_shape(shape):
    """Return the shape of images of a shape, (N, H, W, C), in lanes; those of the last block may stay empty."""
    return pieces(shape[0], LANES), *shape[1:], LANES


def to_lanes(x, out=None):
    """Lay out images as ``(blocks, H, W, C, LANES)``; lanes without an image are zero.

    Parameters
    ----------
    x : (N, H, W, C) array
    out : array, optional
    """
    x = operand("x", x, 4)
    y = target("out", out, lanes_shape(x.shape), x.dtype, (x,))
    if y.size:
        count = y[0].size // LANES
        parts = pieces(y[0].size, CHUNK)
        _to_lanes.launch(len(y) * parts, x.reshape(-1), y.reshape(-1), len(x), count, parts)
    return deliver(y, out)


def from_lanes(x, images, out=None):
    """Lay out images as ``(images, H, W, C)`` again; empty lanes of the last block are left out.

    Parameters
    ----------
    x : (blocks, H, W, C, LANES) array
    images : int
    out : array, optional
    """
    x = operand("x", x, 5)
    y = target("out", out, (images, *x.shape[1:4]), x.dtype, (x,))
    if y.size:
        count = y[0].size
        parts = pieces(x[0].size, CHUNK)
        _from_lanes.launch(len(x) * parts, x.reshape(-1), y.reshape(-1), images, count, parts)
    return deliver(y, out)


@parallel
def _to_lanes(item, worker, x, y, N, count, parts):
    """Transpose a part of the numbers of one block's images; each image has ``count``."""
    block, part = item // parts, item % parts
    first, last = part * count // parts, (part + 1) * count // parts
    images = min(LANES, N - block * LANES)
    start = (block * count + first) * LANES
    if images < LANES:
        clear(y, start, (last - first) * LANES)
    transpose(x, block * LANES * count + first, images, last - first, count, y, start, LANES)


@parallel
def _from_lanes(item, worker, x, y, N, count, parts):
    """Transpose a part of one block's numbers back to its images."""
    block, part = item // parts, item % parts
    first, last = part * count // parts, (part + 1) * count // parts
    images = min(LANES, N - block * LANES)
    start = (block * count + first) * LANES
    transpose(x, start, last - first, images, LANES, y, block * LANES * count + first, count)
