"""Images moved by affine maps, with Keras's ways to fill what lies beyond the border, and the gradient of that."""

from typing import Any

import numpy as np

from ..core.backend import Backend
from ..core.checks import choice
from ..core.types import Array

#: How Keras calls what lies beyond the border of an image, and how NumPy calls it.
FILL_MODES = {"constant": "constant", "nearest": "edge", "reflect": "symmetric", "wrap": "wrap"}


def affine_maps(
    size: tuple[int, int],
    theta: Array,
    down: Array,
    right: Array,
    shear: Array,
    zoom: tuple[Array, Array],
    mirror: Array,
    upside_down: Array,
) -> Array:
    """Return for each image the map (2, 3) from a pixel (row, column, 1) of the result to where its value comes from.

    As in Keras's ``apply_transform``, the map turns, shifts, shears and zooms about the centre, and flips come last.

    Parameters
    ----------
    size : (H, W)
    theta, shear : (N,) arrays
        Angles in radians; with a positive theta, what is seen turns counterclockwise.
    down, right : (N,) arrays
        Shifts in pixels, of the place that a value comes from.
    zoom : two (N,) arrays
        How many pixels of the image a pixel of the result stands for, in rows and columns.
    mirror, upside_down : (N,) arrays of bool
        Whether to exchange left and right, and top and bottom.
    """
    n, (height, width) = len(theta), size
    turn, move, slant, scale, flip = (np.tile(np.eye(3), (n, 1, 1)) for _ in range(5))
    turn[:, 0, 0] = turn[:, 1, 1] = np.cos(theta)
    turn[:, 0, 1], turn[:, 1, 0] = np.sin(theta), -np.sin(theta)
    move[:, 0, 2], move[:, 1, 2] = down, right
    slant[:, 1, 0], slant[:, 0, 0] = -np.sin(shear), np.cos(shear)
    scale[:, 0, 0], scale[:, 1, 1] = zoom
    flip[:, 0, 0], flip[:, 0, 2] = np.where(upside_down, -1, 1), np.where(upside_down, height - 1, 0)
    flip[:, 1, 1], flip[:, 1, 2] = np.where(mirror, -1, 1), np.where(mirror, width - 1, 0)
    centre, back = np.eye(3), np.eye(3)
    centre[:2, 2] = (height - 1) / 2, (width - 1) / 2
    back[:2, 2] = -centre[:2, 2]
    maps: Array = (centre @ turn @ move @ slant @ scale @ back @ flip)[:, :2]
    return maps


def checked_fill(fill_mode: Any) -> str:
    """Return one of Keras's ways to fill what lies beyond the border."""
    return choice(fill_mode, FILL_MODES, "fill_mode")


def warped(x: Array, maps: Array, fill_mode: str, cval: float, backend: Backend) -> Array:
    """Return images (N, H, W, C) moved by maps (N, 2, 3), in a fresh array of the backend."""
    height, width = x.shape[1:3]
    if fill_mode == "constant":
        moved = backend.kernels.warp_images(x - cval if cval else x, backend.array(maps, x.dtype.name))
        return moved + backend.array(np.asarray(cval), x.dtype.name) if cval else moved
    # The maps reach beyond the border at most as far as at the corners, so a frame of that width is enough.
    before, after = _overshoot(maps, (height, width))
    host = backend.to_numpy(x)
    frame = ((0, 0), (before[0], after[0]), (before[1], after[1]), (0, 0))
    framed = backend.array(np.pad(host, frame, mode=FILL_MODES[fill_mode]), x.dtype.name)  # type: ignore[call-overload]
    shifted = maps.copy()
    shifted[:, :, 2] += before
    return backend.kernels.warp_images(framed, backend.array(shifted, x.dtype.name))[:, :height, :width].copy()


def unwarped(dy: Array, maps: Array, fill_mode: str) -> Array:
    """Return the gradient with respect to the images from that with respect to what :func:`warped` returned."""
    n, height, width, channels = dy.shape
    before, after = _overshoot(maps, (height, width))
    mode: Any = FILL_MODES[fill_mode]
    # For each row and column of the framed image, the one of the image whose value it has.
    rows, columns = (
        np.pad(np.arange(length), (before[axis], after[axis]), mode="edge" if mode == "constant" else mode)
        for axis, length in enumerate((height, width))
    )
    i, j = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    u, v = np.einsum("nab,bij->anij", maps, np.stack([i, j, np.ones_like(i)]).astype(np.float64))
    dx = np.zeros((n, height, width, channels), np.float64)
    image = np.arange(n)[:, None, None]
    for a in (0, 1):
        for b in (0, 1):
            row, column = np.floor(u) + a, np.floor(v) + b
            weight = (1 - np.abs(u - row)) * (1 - np.abs(v - column))
            if mode == "constant":
                weight = np.where((row >= 0) & (row < height) & (column >= 0) & (column < width), weight, 0)
            places = (row + before[0]).astype(int), (column + before[1]).astype(int)
            real = (
                known[np.clip(place, 0, len(known) - 1)] for known, place in zip((rows, columns), places, strict=True)
            )
            np.add.at(dx, (image, *real), weight[..., None] * dy)
    return dx.astype(dy.dtype)


def _overshoot(maps: Array, size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return by how many pixels the maps reach beyond an image: above and left of it, and below and right of it."""
    height, width = size
    corners = np.array([[0, 0, 1], [0, width - 1, 1], [height - 1, 0, 1], [height - 1, width - 1, 1]]).T
    places = maps @ corners
    low = np.ceil(np.maximum(0, -places.min(axis=(0, 2)))).astype(int)
    last = np.array([height - 1, width - 1])
    high = np.ceil(np.maximum(0, places.max(axis=(0, 2)) - last)).astype(int) + 1
    return (int(low[0]), int(low[1])), (int(high[0]), int(high[1]))
