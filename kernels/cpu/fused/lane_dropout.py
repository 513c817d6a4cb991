"""Dropout of images in lanes, with the mask that the usual layout has. See ``reference.dropout`` for the meaning."""

import numpy as np

from ...counter_hash import GOLDEN, keep_threshold, key_of
from ..dropout import drop, key_for
from ..machine.arrays import CHUNK, deliver, operand, pieces, target
from ..machine.lane_kernel import LANES
from ..machine.memory import copy
from ..machine.parallel import parallel


def lane_dropout(x, rate, seed, step, out=None):
    """Hash, compare and scale in one pass. Zeros stay zeros, so empty lanes stay empty.

    Parameters
    ----------
    x : (blocks, H, W, C, LANES) array
    rate, seed, step
        As in :func:`reference.dropout`.
    out : array, optional
        It may be x.
    """
    x = operand("x", x, 5)
    y = target("out", out, x.shape, x.dtype, (), same=(x,))
    if x.size:
        count = x[0].size // LANES
        parts, in_place = pieces(x[0].size, CHUNK), np.may_share_memory(x, y)
        scale, threshold = x.dtype.type(1 / (1 - rate)), np.uint64(keep_threshold(rate))
        arguments = x.reshape(-1), in_place, y.reshape(-1), count, parts, scale, threshold, key_of(seed, step)
        _dropout.launch(len(x) * parts, *arguments, renewed=[(7, key_for(seed, step))])
    return deliver(y, out)


@parallel
def _dropout(chunk, worker, x, in_place, y, count, parts, scale, threshold, key):
    """Drop elements of a part of a block, which is copied and then changed in place (see ``activation._gate``)."""
    block, part = chunk // parts, chunk % parts
    first, last = part * count // parts, (part + 1) * count // parts
    start, stop = (block * count + first) * LANES, (block * count + last) * LANES
    if not in_place:
        copy(y, start, x, start, stop - start)
    counter = key + np.uint64(block * LANES * count + first + 1) * GOLDEN
    for i in range(start, stop, LANES):  # an element's neighbours are those of the next images
        drop(y, i, LANES, counter, np.uint64(count) * GOLDEN, scale, threshold)
        counter += GOLDEN
