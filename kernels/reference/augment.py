"""Changes of images that leave their class as it is: warping, blurring, hiding a part. Shapes: x, y (N, H, W, C)."""

import numpy as np

from ._out import deliver

__all__ = ["blur_images", "cut_out_images", "warp_images"]


def warp_images(x, maps, out=None, work=None):
    """Move every image's pixels by an affine map, with bilinear interpolation between pixels.

    ``y[n,i,j,c] = sum_{a,b in {0,1}} weight * x[n, floor(u) + a, floor(v) + b, c]`` with
    ``(u, v) = maps[n] @ (i, j, 1)``. The weight of the pixel at (row, column) is ``1 - |u - row|`` times
    ``1 - |v - column|``; pixels outside the image count as 0, and pixels with the weight 0 do not count.

    Parameters
    ----------
    x : (N, H, W, C) array
    maps : (N, 2, 3) array
        Each maps a pixel of the result to the place in x, in pixels, that its value comes from.
    out : (N, H, W, C) array, optional
        It must not be x itself.
    work : ignored here

    Returns
    -------
    (N, H, W, C) array
    """
    N, H, W, _ = x.shape
    i, j = np.meshgrid(np.arange(H), np.arange(W), indexing="ij")
    places = maps @ np.stack([i, j, np.ones_like(i)]).reshape(3, -1).astype(x.dtype)
    u, v = places.reshape(N, 2, H, W).transpose(1, 0, 2, 3)
    y = np.zeros_like(x)
    for a in (0, 1):
        for b in (0, 1):
            row, column = np.floor(u) + a, np.floor(v) + b
            weight = (1 - np.abs(u - row)) * (1 - np.abs(v - column))
            weight = np.where((row >= 0) & (row < H) & (column >= 0) & (column < W), weight, 0)
            rows, columns = (np.clip(k, 0, s - 1).astype(int) for k, s in ((row, H), (column, W)))
            counted = weight[..., None] != 0
            np.add(y, weight[..., None] * x[np.arange(N)[:, None, None], rows, columns], out=y, where=counted)
    return deliver(y, out)


def blur_images(x, sigmas, out=None, work=None):
    """Average each pixel with its neighbours, with Gaussian weights: first down the columns, then along the rows.

    ``g[k] = exp(-k*k / (2*sigma*sigma)) / sum`` for ``|k| <= ceil(3*sigma)``. Beyond the border the border's pixels are
    repeated. A sigma of 0 leaves the image as it is.

    Parameters
    ----------
    x : (N, H, W, C) array
    sigmas : (N,) array
        The standard deviation of each image's Gaussian, in pixels.
    out : (N, H, W, C) array, optional
        It must not be x itself.
    work : ignored here

    Returns
    -------
    (N, H, W, C) array
    """
    y = x.copy()
    for image, sigma in zip(y, sigmas, strict=True):
        weights = gaussian_weights(float(sigma)).astype(x.dtype)
        for axis in (0, 1):
            image[...] = blur_axis(image, weights, axis)
    return deliver(y, out)


def gaussian_weights(sigma):
    """Return ``g[-R] … g[R]`` with ``R = ceil(3*sigma)``, a (2R + 1,) array whose sum is 1."""
    radius = int(np.ceil(3 * sigma))
    k = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * np.square(k / sigma)) if radius else np.ones(1)
    return weights / weights.sum()


def blur_axis(image, weights, axis):
    """Return one image's weighted average along one axis, with the border's pixels repeated beyond it."""
    radius, length = len(weights) // 2, image.shape[axis]
    total = np.zeros_like(image)
    for k, weight in enumerate(weights, start=-radius):
        total += weight * image.take(np.clip(np.arange(length) + k, 0, length - 1), axis=axis)
    return total


def cut_out_images(x, boxes, out=None, work=None):
    """Set a rectangle of each image to 0.

    ``y[n,i,j,c] = 0`` where ``top <= i < bottom`` and ``left <= j < right``, else ``x[n,i,j,c]``.
    Source: DeVries & Taylor, "Improved regularization of convolutional neural networks with cutout", 2017.

    Parameters
    ----------
    x : (N, H, W, C) array
    boxes : (N, 4) int64 array
        ``(top, bottom, left, right)`` of each image's rectangle, in pixels; it may reach beyond the image.
    out : (N, H, W, C) array, optional
        It may be x itself.
    work : ignored here

    Returns
    -------
    (N, H, W, C) array
    """
    H, W = x.shape[1:3]
    top, bottom, left, right = (edge[:, None] for edge in boxes.T)
    rows, columns = np.arange(H), np.arange(W)
    hidden_rows, hidden_columns = (top <= rows) & (rows < bottom), (left <= columns) & (columns < right)
    hidden = hidden_rows[:, :, None] & hidden_columns[:, None, :]
    return deliver(np.where(hidden[..., None], 0, x), out)
