"""Draw 28×28 images from distance fields: warp, pen, blur and noise all come from one seeded generator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._glyphs import FIELD_SIDE, OVERSAMPLING, distance_fields

SIDE = 28
#: Images that are drawn at a time; this keeps the temporary arrays within a few tens of MB.
BLOCK = 1000
#: Control points per side of the smooth random fields (elastic warp, pen pressure).
KNOTS = 6


def smooth_fields(rng: np.random.Generator, n: int, amplitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw smooth random fields: Gaussian values on a coarse grid, interpolated by cubic B-splines.

    This is the elastic distortion of Simard, Steinkraus and Platt, "Best Practices for Convolutional Neural Networks
    Applied to Visual Document Analysis" (ICDAR 2003), section 2, with a spline in place of their Gaussian filter. The
    spline costs two small matrix products per image.

    Parameters
    ----------
    rng
        The source of the random numbers.
    n
        The number of fields.
    amplitude
        The standard deviation of each field at its control points, (N,).

    Returns
    -------
    ndarray
        (N, 28, 28)
    """
    knots = rng.normal(size=(n, KNOTS, KNOTS)) * amplitude[:, None, None]
    # Pixel i lies at (i / 27) * (KNOTS - 3) + 1, in units of knots, so that every pixel has four neighbouring knots.
    distance = np.abs(np.linspace(1, KNOTS - 2, SIDE)[:, None] - np.arange(KNOTS))
    basis = np.where(distance < 1, 2 / 3 - distance**2 + distance**3 / 2, np.clip(2 - distance, 0, None) ** 3 / 6)
    # Without optimize, einsum does not use BLAS, whose rounding depends on its number of threads.
    rows = np.einsum("ik,nkl->nil", basis, knots)
    return np.asarray(np.einsum("nil,jl->nij", rows, basis))


def draw(
    rng: np.random.Generator, fields: NDArray[np.float32], face: NDArray[np.int64], digit: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Draw digits, each with its own distortion, pen, blur and noise.

    Parameters
    ----------
    rng
        The source of the random numbers.
    fields
        The distance fields of the typefaces to draw from, as :func:`._glyphs.distance_fields` returns them.
    face, digit
        The typeface of each image, as an index into `fields`, and the digit that it shows; (N,).

    Returns
    -------
    ndarray
        uint8 (N, 28, 28), white on black.
    """
    from scipy.ndimage import map_coordinates  # imported here because a cached data set does not need it

    n = len(digit)

    def uniform(low: float, high: float) -> NDArray[np.float64]:
        return rng.uniform(low, high, n)

    def per_image(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values[:, None, None]

    # Compute where in the glyph's field each output pixel looks. The rotation stays below 17 degrees, so that a 6 and
    # a 9 are never confused.
    angle = np.clip(rng.normal(0, 0.13, n), -0.3, 0.3)
    slant = np.clip(rng.normal(0, 0.18, n), -0.4, 0.4)
    height, width = uniform(0.8, 1.1), uniform(0.75, 1.2)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    y = y - per_image(uniform(-2, 2))
    x = x - per_image(uniform(-2, 2))
    cos, sin = per_image(np.cos(angle)), per_image(np.sin(angle))
    v = (cos * y - sin * x) / per_image(height)
    u = (sin * y + cos * x) / per_image(width) + per_image(slant) * v
    elastic = uniform(0.3, 1.6)
    v += smooth_fields(rng, n, elastic)
    u += smooth_fields(rng, n, elastic)

    # All fields are stacked into one tall image, so that one two-dimensional interpolation serves every glyph.
    last = FIELD_SIDE * OVERSAMPLING - 1

    def to_field(t: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip((t + FIELD_SIDE / 2) * OVERSAMPLING - 0.5, 0, last)

    which = (face * 10 + digit)[:, None, None] * (last + 1)
    distance = map_coordinates(fields.reshape(-1, last + 1), [to_field(v) + which, to_field(u)], order=1)

    # Half the pen's width is aimed at a random value. The stroke only becomes bolder, because the hairlines of the
    # serif faces would break, and only by a limited amount, because the counters of the bold faces would fill.
    stem = fields.max(axis=(2, 3))[face, digit]
    bolder = np.clip(uniform(1.0, 2.2) - stem, 0.1, 0.9)
    distance += per_image(bolder) + smooth_fields(rng, n, uniform(0, 0.25))
    # A soft edge is the blur. It is never sharper than one pixel, which is the anti-aliasing.
    softness = uniform(1.0, 2.4)
    image = np.clip(0.5 + distance / per_image(softness), 0, 1) * per_image(uniform(0.7, 1.0))
    image += rng.normal(size=image.shape) * per_image(uniform(0, 0.09))
    return np.asarray(np.rint(np.clip(image, 0, 1) * 255), np.uint8)


def draw_set(seed: int, faces: tuple[str, ...], n: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw a shuffled set in which digits, and within them typefaces, occur equally often.

    Parameters
    ----------
    seed
        With the same libraries, the same seed gives the same bits.
    faces
        The typefaces to draw from.
    n
        The number of images, a multiple of 10.

    Returns
    -------
    images, labels
        uint8 (n, 28, 28) and int64 (n,).
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    digit, face = order % 10, order // 10 % len(faces)
    fields = distance_fields(faces)
    blocks = [draw(rng, fields, face[i : i + BLOCK], digit[i : i + BLOCK]) for i in range(0, n, BLOCK)]
    return np.concatenate(blocks), digit
