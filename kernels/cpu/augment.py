"""Changes of images, parallel over the images of a batch; see ``reference.augment`` for the meaning."""

import math

import numpy as np

from .. import aligned
from ..reference.augment import gaussian_weights
from .machine.arrays import deliver, operand, target
from .machine.jit import helper
from .machine.parallel import parallel

__all__ = ["blur_images", "cut_out_images", "warp_images"]


def warp_images(x, maps, out=None, work=None):
    """Compute pixel by pixel, from four weighted sources each; see :func:`reference.warp_images`.

    An image that is only shifted by whole pixels, or mirrored, has one source for each pixel, which is copied.
    """
    x = operand("x", x, 4)
    maps = operand("maps", maps, 3, x.dtype, (len(x), 2, 3))
    y = target("out", out, x.shape, x.dtype, (x, maps))
    _warp.launch(len(x), x, maps, y)
    return deliver(y, out)


def blur_images(x, sigmas, out=None, work=None):
    """Blur columns into a scratch image, and from there rows into the result; see :func:`reference.blur_images`."""
    x = operand("x", x, 4)
    sigmas = operand("sigmas", sigmas, 1, x.dtype, (len(x),))
    y = target("out", out, x.shape, x.dtype, (x, sigmas))
    all_weights = [gaussian_weights(float(sigma)) for sigma in sigmas]
    radii = np.array([len(weights) // 2 for weights in all_weights], np.int64)
    weights = np.zeros((len(x), 2 * int(radii.max(initial=0)) + 1), x.dtype)
    for row, values in zip(weights, all_weights, strict=True):
        row[: len(values)] = values
    _blur.launch(len(x), x, radii, weights, (work or aligned.empty)(x.shape, x.dtype), y)
    return deliver(y, out)


def cut_out_images(x, boxes, out=None, work=None):
    """Copy each pixel, or write 0 within the rectangle; see :func:`reference.cut_out_images`."""
    x = operand("x", x, 4)
    boxes = operand("boxes", boxes, 2, np.dtype(np.int64), (len(x), 4))
    y = target("out", out, x.shape, x.dtype, (), (x,))
    _cut_out.launch(len(x), x, boxes, y)
    return deliver(y, out)


@parallel
def _warp(n, worker, x, maps, y):
    """Warp image n."""
    upright = maps[n, 0, 0] == 1 and maps[n, 0, 1] == 0 and maps[n, 1, 0] == 0 and abs(maps[n, 1, 1]) == 1
    if upright and maps[n, 0, 2] == math.floor(maps[n, 0, 2]) and maps[n, 1, 2] == math.floor(maps[n, 1, 2]):
        _move(x[n], math.floor(maps[n, 0, 2]), math.floor(maps[n, 1, 2]), math.floor(maps[n, 1, 1]), y[n])
    else:
        _interpolate(x, maps, n, y)


@helper
def _move(x, down, right, direction, y):
    """Copy the pixel of one image for each pixel of the result, from left to right or in the other direction."""
    H, W, C = x.shape
    nothing = x.dtype.type(0)
    for i in range(H):
        for j in range(W):
            row, column = i + down, direction * j + right
            inside = 0 <= row < H and 0 <= column < W
            for c in range(C):
                value = x[row, column, c] if inside else nothing
                y[i, j, c] = value if value != 0 else nothing  # a sum that begins with 0 is never -0


@helper
def _interpolate(x, maps, n, y):
    """Compute each pixel of image n from the four that lie around its source."""
    _, H, W, C = x.shape
    one = x.dtype.type(1)
    for i in range(H):
        for j in range(W):
            u = maps[n, 0, 0] * i + maps[n, 0, 1] * j + maps[n, 0, 2]
            v = maps[n, 1, 0] * i + maps[n, 1, 1] * j + maps[n, 1, 2]
            row, column = math.floor(u), math.floor(v)
            down, across = x.dtype.type(u - row), x.dtype.type(v - column)
            for c in range(C):
                y[n, i, j, c] = 0
            for a in range(2):
                for b in range(2):
                    weight = (down if a else one - down) * (across if b else one - across)
                    if weight and 0 <= row + a < H and 0 <= column + b < W:
                        for c in range(C):
                            y[n, i, j, c] += weight * x[n, row + a, column + b, c]


@parallel
def _blur(n, worker, x, radii, weights, half, y):
    """Blur image n, by way of ``half``; it has ``2 * radii[n] + 1`` weights."""
    _, H, W, C = x.shape
    nothing = x.dtype.type(0)
    radius = radii[n]
    for i in range(H):
        for j in range(W):
            for c in range(C):
                half[n, i, j, c] = nothing
            for k in range(2 * radius + 1):
                row = min(max(i + k - radius, 0), H - 1)
                for c in range(C):
                    half[n, i, j, c] += weights[n, k] * x[n, row, j, c]
    for i in range(H):
        for j in range(W):
            for c in range(C):
                y[n, i, j, c] = nothing
            for k in range(2 * radius + 1):
                column = min(max(j + k - radius, 0), W - 1)
                for c in range(C):
                    y[n, i, j, c] += weights[n, k] * half[n, i, column, c]


@parallel
def _cut_out(n, worker, x, boxes, y):
    """Clear the rectangle of image n."""
    _, H, W, C = x.shape
    for i in range(H):
        for j in range(W):
            hidden = boxes[n, 0] <= i < boxes[n, 1] and boxes[n, 2] <= j < boxes[n, 3]
            for c in range(C):
                y[n, i, j, c] = 0 if hidden else x[n, i, j, c]
