"""Changes of images: a thread per pixel value. See ``reference.augment``."""

import math

import numpy as np

from ._arrays import deliver, operand, scratch, target
from ._device import cuda, helper, kernel, spread
from .pool import place

__all__ = ["blur_images", "cut_out_images", "warp_images"]


def warp_images(x, maps, out=None, work=None):
    """See :func:`reference.warp_images`."""
    x = operand("x", x, 4)
    maps = operand("maps", maps, 3, x.dtype, (len(x), 2, 3))
    y = target("out", out, x.shape, x.dtype, (x, maps))
    spread(_warp, x.size, x, maps, y, x.shape[1:])
    return deliver(y, out)


def blur_images(x, sigmas, out=None, work=None):
    """Blur columns into a scratch image, and from there rows into the result; see :func:`reference.blur_images`."""
    x = operand("x", x, 4)
    sigmas = operand("sigmas", sigmas, 1, x.dtype, (len(x),))
    y = target("out", out, x.shape, x.dtype, (x, sigmas))
    half = scratch(work)(x.shape, x.dtype)
    spread(_blur, x.size, x, sigmas, half, x.shape[1:], True)
    spread(_blur, x.size, half, sigmas, y, x.shape[1:], False)
    return deliver(y, out)


def cut_out_images(x, boxes, out=None, work=None):
    """See :func:`reference.cut_out_images`."""
    x = operand("x", x, 4)
    boxes = operand("boxes", boxes, 2, np.int64, (len(x), 4))
    y = target("out", out, x.shape, x.dtype, (boxes,), same=(x,))
    spread(_cut_out, x.size, x, boxes, y, x.shape[1:])
    return deliver(y, out)


@kernel
def _warp(count, x, maps, y, shape):
    """Compute one value from its four sources."""
    H, W, C = shape
    one = x.dtype.type(1)
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        n, i, j, c = place(k, H, W, C)
        u = maps[6 * n] * x.dtype.type(i) + maps[6 * n + 1] * x.dtype.type(j) + maps[6 * n + 2]
        v = maps[6 * n + 3] * x.dtype.type(i) + maps[6 * n + 4] * x.dtype.type(j) + maps[6 * n + 5]
        row, column = np.int64(math.floor(u)), np.int64(math.floor(v))  # on the card, floor returns a float
        down, across = u - x.dtype.type(row), v - x.dtype.type(column)
        total = x.dtype.type(0)
        for a in range(2):
            for b in range(2):
                weight = (down if a else one - down) * (across if b else one - across)
                if weight and 0 <= row + a < H and 0 <= column + b < W:
                    total += weight * x[((n * H + row + a) * W + column + b) * C + c]
        y[k] = total


@helper
def gaussian(distance, sigma):
    """Return a Gaussian weight, not yet divided by the sum of all."""
    return math.exp(-0.5 * (distance / sigma) * (distance / sigma))


@kernel
def _blur(count, x, sigmas, y, shape, vertical):
    """Blur in one direction. Each thread computes its weights again, in float64 like those of the textbook."""
    H, W, C = shape
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        n, i, j, c = place(k, H, W, C)
        sigma = np.float64(sigmas[n])
        radius = np.int64(math.ceil(3.0 * sigma))
        whole = 1.0
        for distance in range(1, radius + 1):
            whole += 2.0 * gaussian(distance, sigma)
        total = x.dtype.type(0)
        for distance in range(-radius, radius + 1):
            weight = gaussian(distance, sigma) / whole if radius else 1.0
            row = min(max(i + distance, 0), H - 1) if vertical else i
            column = j if vertical else min(max(j + distance, 0), W - 1)
            total += x.dtype.type(weight) * x[((n * H + row) * W + column) * C + c]
        y[k] = total


@kernel
def _cut_out(count, x, boxes, y, shape):
    """Copy one value, or write 0 within the rectangle."""
    H, W, C = shape
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        n, i, j, _ = place(k, H, W, C)
        inside = boxes[4 * n] <= i < boxes[4 * n + 1] and boxes[4 * n + 2] <= j < boxes[4 * n + 3]
        y[k] = x.dtype.type(0) if inside else x[k]
