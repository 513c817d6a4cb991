"""Between scikit-learn's rows of numbers and the images that a network takes."""

import math
from typing import Any

import numpy as np

from ..core.checks import shape as checked_shape
from ..core.types import Array, Shape

#: Images whose numbers go from 0 to 1 hold none that is larger than this, even if resizing overshot.
_BRIGHT = 2.0


def as_rows(X: Any) -> tuple[Any, Shape | None]:
    """Return X as scikit-learn checks it, with a row for each sample, and the shape of one sample if X holds images.

    Images are (N, H, W) or (N, H, W, C). What holds rows already is returned as it is, with None.
    """
    found = X
    if not hasattr(X, "shape"):
        try:
            found = np.asarray(X)
        except ValueError:  # rows of different lengths, about which scikit-learn says what is wrong
            return X, None
    shape = tuple(found.shape)
    if len(shape) <= 2:
        return X, None
    if len(shape) > 4:
        raise ValueError(
            f"X must be images, (N, H, W) or (N, H, W, C), or rows of pixels, (N, features); got the shape {shape}"
        )
    return np.asarray(found).reshape(shape[0], math.prod(shape[1:])), _with_channels(shape[1:])


def input_shape(given: Shape | None, wanted: Any, features: int) -> Shape:
    """Return the shape of one sample that a network gets.

    Parameters
    ----------
    given : tuple of int or None
        The shape of the images in X; None if X holds rows.
    wanted : tuple of int or None
        The parameter ``image_shape``.
    features : int
        How many numbers a sample has.

    Returns
    -------
    tuple of int
        (H, W, C), or (features,) if rows are not those of a square picture and nothing says what they are.

    Raises
    ------
    TypeError, ValueError
        If ``image_shape`` is not the shape of an image, or not that of these samples.
    """
    if wanted is None:
        side = math.isqrt(features)
        return given or ((side, side, 1) if side * side == features else (features,))
    shape = checked_shape(wanted, "image_shape")
    if len(shape) not in (2, 3):
        raise ValueError(f"image_shape must be (H, W) or (H, W, C); got {shape}")
    shape = _with_channels(shape)
    if given is not None and given != shape:
        raise ValueError(f"image_shape={shape}, but X holds images of the shape {given}; leave image_shape out")
    if math.prod(shape) != features:
        raise ValueError(
            f"image_shape={shape} has {math.prod(shape)} pixels and channels, but X has {features} features; give the "
            "(H, W, C) of the images in X"
        )
    return shape


def as_images(rows: Array, shape: Shape, bytes_too: bool) -> Array:
    """Return rows as samples (N, \\*shape); bytes are divided by 255 unless the network does that itself."""
    images = rows.reshape(len(rows), *shape)
    if rows.dtype == np.uint8 and not bytes_too:
        return np.divide(images, 255, dtype=np.float32)
    return images


def largest(rows: Array) -> float | None:
    """Return the largest number that a network is trained on, or None if these are bytes."""
    return None if rows.dtype == np.uint8 else float(rows.max())


def check_scale(rows: Array, trained: float | None) -> None:
    """Raise ValueError if numbers have another scale than those that a network was trained on.

    Parameters
    ----------
    rows : (N, features) array
        Samples for a network that does not divide bytes by 255 itself.
    trained : float or None
        What :func:`largest` said of the samples it was trained on.
    """
    if trained is None and rows.dtype != np.uint8 and rows.size and rows.max() > _BRIGHT:
        raise ValueError(
            f"X holds numbers up to {rows.max():g} of the dtype {rows.dtype}, but this classifier was trained on bytes "
            "that were divided by 255; give X as bytes (X.astype('uint8')), or divide it by 255"
        )
    if trained is not None and trained > _BRIGHT and rows.dtype == np.uint8:
        raise ValueError(
            f"X holds bytes, which are divided by 255, but this classifier was trained on numbers up to {trained:g} of "
            "another dtype; give X as it was then, for example X.astype('float32')"
        )


def check_same(given: Shape | None, trained: Shape) -> None:
    """Raise ValueError if images have another shape than those that a network was trained on."""
    if given is not None and given != trained:
        raise ValueError(f"X holds images of the shape {given}, but this classifier was trained on {trained}")


def _with_channels(shape: Shape) -> Shape:
    """Return (H, W, C) for (H, W) too."""
    return (*shape, 1) if len(shape) == 2 else shape
