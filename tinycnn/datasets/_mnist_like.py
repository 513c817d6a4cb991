"""Prepare a picture of a digit in the way in which MNIST's authors prepared theirs.

The background is fitted, because it may be lit unevenly. Ink is what differs from it; it is cropped, scaled and
put into the centre.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..core.checks import array as checked_array
from ..core.checks import boolean, integer
from ..core.types import Array

#: The side of MNIST's images, and of the box into which a digit is scaled.
SIDE, BOX = 28, 20
#: Larger pictures are made smaller before ink is searched for, which then takes well under a second.
LONGEST = 800
#: The least strength of ink: a share of the background's brightness, and a multiple of its noise.
LEAST_CONTRAST, LEAST_TIMES_NOISE = 0.06, 5.0
#: A region of ink has pixels of this strength, and consists of pixels of that strength; full ink is 1.
STRONG, FAINT = 0.5, 0.2
#: A region with less than this share of the ink is dust.
DUST = 0.03
#: A region that runs along more than this share of the border is a shadow or an edge, if there is other ink.
LONG_CONTACT = 0.08


class NoInkError(ValueError):
    """Nothing in a picture stands out from its background."""


class Prepared(NamedTuple):
    """A prepared image (H, W, 1), float32 in [0, 1], and in words what was done to the picture."""

    image: Array
    done: list[str]


def mnist_like(image: Any, *, size: int = SIDE, box: int = BOX, by_mass: bool = True) -> Array:
    """Prepare a picture of a digit as the digits of MNIST were prepared.

    The network then sees light ink on black, of the size, at the place and with the contrast that it knows:

    1. A smooth background is fitted to the picture, so that uneven light and shadows do not count as ink.
    2. What is darker or lighter than the background is ink, whichever stands out more; dark ink is inverted.
    3. The contrast is stretched: the background becomes 0, and ink becomes 1. Dust is removed, and so are shadows at
       the border.
    4. The ink is cropped and scaled, with its aspect, into a box of 20×20 pixels.
    5. The box is put into a field of 28×28 pixels so that the ink's centre of mass is the centre of the field.

    An image that is like this already is returned as it is.

    Parameters
    ----------
    image : array (H, W), (H, W, 1) or (H, W, 3)
        Bytes from 0 to 255, or floating-point numbers from 0 to 1. :func:`load_image` reads such an array from a file.
    size : int
        The side of the result in pixels.
    box : int
        The side of the box into which the ink is scaled.
    by_mass : bool
        Whether the ink's centre of mass comes to the centre, as in MNIST; otherwise the middle of its box does, as in
        Fashion-MNIST.

    Returns
    -------
    (size, size, 1) float32 array in [0, 1]
        Ready for a network: ``model.predict(mnist_like(image)[None])``. Its values are multiples of 1/255.

    Raises
    ------
    TypeError
        If `image` does not hold numbers, or another argument has the wrong type.
    ValueError
        If `image` has another shape or other values, if the box does not fit into the result, or if nothing in the
        picture stands out from the background.

    Notes
    -----
    Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits",
    http://yann.lecun.com/exdb/mnist/: "The original black and white (bilevel) images from NIST were size normalized to
    fit in a 20x20 pixel box while preserving their aspect ratio. The resulting images contain grey levels as a result
    of the anti-aliasing technique used by the normalization algorithm. the images were centered in a 28x28 image by
    computing the center of mass of the pixels, and translating the image so as to position this point at the center of
    the 28x28 field."

    Examples
    --------
    >>> import numpy as np
    >>> from tinycnn.datasets import mnist_like
    >>> page = np.full((100, 140), 120, np.uint8)  # a grey page
    >>> page[10:50, 20:28] = 0  # with a black stroke in its upper left corner
    >>> digit = mnist_like(page)[..., 0]
    >>> digit.shape, float(digit[0, 0]), float(digit[14, 14])
    ((28, 28), 0.0, 1.0)
    >>> np.flatnonzero(digit.any(axis=1))[[0, -1]]  # the rows between which the ink lies
    array([ 4, 23])
    """
    return prepared(image, size=size, box=box, by_mass=by_mass).image


def prepared(
    image: Any,
    *,
    size: int = SIDE,
    box: int = BOX,
    by_mass: bool = True,
    off: float = 1.0,
    on_black: bool = False,
) -> Prepared:
    """Return what :func:`mnist_like` returns, and what was done to the picture.

    Images whose ink is up to ``off`` pixels off in size and place are returned as they are. With ``on_black`` the
    background is known to be black, as that of a drawing, and not searched for, which takes most of the time.
    """
    size, box, by_mass = integer(size, "size"), integer(box, "box"), boolean(by_mass, "by_mass")
    if box > size:
        raise ValueError(f"box must fit into a result of the size {size}; got {box}")
    pixels = _checked(image)
    if _is_prepared(pixels, size, box, by_mass, off):
        return Prepared(_rounded(pixels), [])
    grey = _grey(_reduced(pixels))
    ink, done = _ink(grey, np.zeros_like(grey) if on_black else _background(grey))
    regions = _regions(ink)
    ink = np.where(_grown(regions), ink, 0)
    rows, columns = (slice(found[0], found[-1] + 1) for found in map(np.flatnonzero, (regions.any(1), regions.any(0))))
    small = _scaled(ink[rows, columns], box)
    height, width = regions[rows, columns].shape
    if (height, width) != small.shape:
        whole = f"{grey.shape[1]}×{grey.shape[0]}"
        done.append(f"{width}×{height} of {whole} pixels scaled to {small.shape[1]}×{small.shape[0]}")
    done.append("centred by mass" if by_mass else "centred")
    return Prepared(_rounded(_placed(small, size, by_mass)), done)


def _checked(image: Any) -> Array:
    """Return the image as float32 (H, W, C) in [0, 1] with one or three channels."""
    pixels = checked_array(image, "image")
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3) or not pixels.size:
        cure = "; give one image of a batch: image[0]" if pixels.ndim == 4 else ""
        if pixels.ndim == 3 and pixels.shape[-1] == 4:
            cure = "; leave out the fourth channel, which says how opaque a pixel is: image[..., :3]"
        raise ValueError(f"image must have the shape (H, W), (H, W, 1) or (H, W, 3); got {np.shape(image)}{cure}")
    low, high = float(pixels.min()), float(pixels.max())
    limit = 255 if pixels.dtype.kind in "iu" else 1
    if not (low >= 0 and high <= limit):  # also False for NaN
        cure = "; divide it by 255" if limit == 1 and 1 < high <= 255 else ""
        kind = "whole numbers" if limit == 255 else "numbers"
        raise ValueError(f"image must hold {kind} from 0 to {limit}; got {low:g} to {high:g}{cure}")
    return np.divide(pixels, limit, dtype=np.float32)


def _is_prepared(pixels: Array, size: int, box: int, by_mass: bool, off: float) -> bool:
    """Return whether an image looks as if it came from the data set or from this module."""
    if pixels.shape != (size, size, 1) or pixels.max() < 0.65:
        return False
    plane = pixels[..., 0]
    if not by_mass:
        return bool(np.median(_frame(plane)) < 0.05)
    rows, columns = np.flatnonzero((plane > 0.3).any(axis=1)), np.flatnonzero((plane > 0.3).any(axis=0))
    longest = max(np.ptp(rows), np.ptp(columns)) + 1
    off_centre = max(abs(centre - size / 2) for centre in _centre_of_mass(plane))
    return bool(abs(longest - box) <= off + 1 and off_centre <= off and np.median(plane) < 0.1)


def _reduced(pixels: Array) -> Array:
    """Return a picture of at most LONGEST pixels on its longer side."""
    height, width = pixels.shape[:2]
    if max(height, width) <= LONGEST:
        return pixels
    scale = LONGEST / max(height, width)
    return _resized(pixels, max(1, round(height * scale)), max(1, round(width * scale)))


def _resized(pixels: Array, height: int, width: int) -> Array:
    """Return an array (H, W, C) in another size, with antialiasing."""
    from PIL import Image

    planes = [
        np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.LANCZOS))
        for plane in np.ascontiguousarray(pixels.transpose(2, 0, 1))
    ]
    return np.stack(planes, axis=-1).clip(0, 1)


def _grey(pixels: Array) -> Array:
    """Return brightness, or the one colour that shows much more than brightness does (red ink on a green board)."""
    if pixels.shape[-1] == 1:
        return pixels[..., 0]
    brightness = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    clearest = pixels[..., int(pixels.std(axis=(0, 1)).argmax())]
    return clearest if clearest.std() > 1.5 * brightness.std() else brightness


def _ink(grey: Array, background: Array) -> tuple[Array, list[str]]:
    """Return how much ink each pixel has, from 0 to 1, and what was done to find that out."""
    from scipy import ndimage

    relief = _relief(grey, background)
    dark = float((relief.astype(np.float64) ** 3).sum()) < 0
    relief = -relief if dark else relief
    noise, peak = _noise_and_peak(relief)
    if peak < 10 * noise and max(grey.shape) > 100:
        # The digit will become much smaller. Noise that would then disappear may disappear now.
        grey = ndimage.gaussian_filter(grey, max(grey.shape) / 250)
        relief = _relief(grey, background) * (-1 if dark else 1)
        noise, peak = _noise_and_peak(relief)
    if not peak > max(LEAST_CONTRAST, LEAST_TIMES_NOISE * noise):
        raise NoInkError("image: nothing in the picture stands out from its background")
    full = float(np.median(relief[relief > STRONG * peak]))
    least = min(3 * noise, FAINT * full)
    done = []
    if dark:
        done.append("inverted, because the ink is darker than the border")
    if np.ptp(background) > 0.05:
        done.append("uneven light evened out")
    ground = float(np.median(background))
    level = ground + (-1 if dark else 1) * full * max(ground, 0.25)
    range_of_ink = f"{255 * ground:.0f}–{255 * min(max(level, 0), 1):.0f}"
    if range_of_ink != "0–255":
        done.append(f"contrast stretched from {range_of_ink} to 0–255")
    return ((relief - least) / (full - least)).clip(0, 1), done


def _relief(grey: Array, background: Array) -> Array:
    """Return how much lighter than the background each pixel is, as a share of it: shade changes both alike."""
    return (grey - background) / np.maximum(background, 0.25)  # black has no shares


def _noise_and_peak(relief: Array) -> tuple[float, float]:
    """Return the standard deviation of the background, and what a few pixels in the ink reach."""
    # A quarter of the pixels are less than 0.3186 standard deviations away. More than half may be ink.
    quarter, rank = relief.size // 4, max(3, relief.size // 5000)
    noise = float(np.partition(np.abs(relief), quarter, axis=None)[quarter]) / 0.3186
    return noise, float(np.partition(relief, -rank, axis=None)[-rank]) if relief.size > rank else 0.0


def _frame(pixels: Array) -> Array:
    """Return the outermost pixels (L,)."""
    return np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])


def _background(grey: Array) -> Array:
    """Return the smooth surface, of degree 2, that most of the border lies on, and whatever continues it inside."""
    height, width = grey.shape
    rows, columns = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
    some = np.ix_(*(np.unique(np.linspace(0, length - 1, 60).round().astype(int)) for length in grey.shape))
    y, x = np.broadcast_arrays(rows[some[0]], columns[some[1]])
    basis = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)
    values = grey[some].astype(np.float64).reshape(-1)
    frame = (np.maximum(abs(x), abs(y)) > 0.85).reshape(-1)
    c = np.array([np.median(values[frame]), 0, 0, 0, 0, 0])
    for phase, steps in enumerate((12, 8)):
        for _ in range(steps):
            off = np.abs(values - basis @ c)
            if phase == 0:
                # It minimises the sum of absolute deviations, which ink on the border hardly moves.
                weight = frame / np.maximum(off, 0.01)
            else:
                weight = off < max(3 * 1.4826 * float(np.median(off[frame])), 0.02)
            normal = (basis.T * weight) @ basis + 1e-6 * np.eye(6)  # not singular, however small the picture is
            before, c = c, np.linalg.solve(normal, (basis.T * weight) @ values)
            if np.array_equal(c, before):
                break  # every further step of this phase would be the same
    surface = c[0] + c[1] * columns + c[3] * columns**2 + (c[2] * rows + c[5] * rows**2)[:, None]
    return (surface + c[4] * rows[:, None] * columns).clip(0, 1).astype(np.float32)


def _regions(ink: Array) -> Array:
    """Return which pixels belong to the digit: regions of ink, without dust and without what runs along the border."""
    from scipy import ndimage

    labels, count = ndimage.label(ink > FAINT, structure=np.ones((3, 3)))
    numbers = np.arange(1, count + 1)
    mass = ndimage.sum_labels(ink, labels, numbers)
    good = ndimage.sum_labels(ink > STRONG, labels, numbers) > 0
    edge = _frame(labels)
    long_contact = np.bincount(edge, minlength=count + 1)[1:] > LONG_CONTACT * len(edge)
    inner = good & ~long_contact
    if mass[inner].sum() > 0.05 * mass.sum():
        good = inner
    good = good & (mass >= DUST * mass[good].sum())
    return np.asarray(np.concatenate([[False], good])[labels])


def _grown(regions: Array) -> Array:
    """Return the regions with the pixels around them, in which their edges fade out."""
    from scipy import ndimage

    return np.asarray(ndimage.binary_dilation(regions, np.ones((3, 3))))


def _scaled(ink: Array, box: int) -> Array:
    """Return ink (H, W) scaled into a square box, with full contrast."""
    scale = box / max(ink.shape)
    height, width = (max(1, round(length * scale)) for length in ink.shape)
    small = _resized(ink[..., np.newaxis], height, width)[..., 0] if (height, width) != ink.shape else ink
    return (small / np.median(small[small > 0.6 * small.max()])).clip(0, 1)  # thin strokes have become grey


def _placed(small: Array, size: int, by_mass: bool) -> Array:
    """Return a black field (size, size, 1) with the ink at its centre."""
    height, width = small.shape
    top, left = (size - height) // 2, (size - width) // 2
    if by_mass:
        row, column = _centre_of_mass(small)
        top = min(max(round(size / 2 - row), 0), size - height)
        left = min(max(round(size / 2 - column), 0), size - width)
    field = np.zeros((size, size, 1), np.float32)
    field[top : top + height, left : left + width, 0] = small
    return field


def _centre_of_mass(plane: Array) -> tuple[float, float]:
    """Return the row and the column of the centre of mass; in MNIST they are size / 2, to half a pixel."""
    down, across = plane.sum(axis=1, dtype=np.float64), plane.sum(axis=0, dtype=np.float64)
    return (float(part @ np.arange(len(part)) / part.sum()) for part in (down, across))  # type: ignore[return-value]


def _rounded(image: Array) -> Array:
    """Return an image whose values are multiples of 1/255, so that a file of bytes holds exactly the same image."""
    return np.rint(image * 255).astype(np.float32) / np.float32(255)
