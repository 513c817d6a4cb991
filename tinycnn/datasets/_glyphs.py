"""Turn the outlines of digits in 22 typefaces into distance fields.

A *signed distance field* holds, for every point, how far it lies inside (positive) or outside (negative) the outline.
A threshold other than zero makes the stroke bolder or lighter, which is what :mod:`._drawing` needs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._outlines import outline

# The sets are split by family, not only by face, so that no outline of a test family is ever seen in training. DejaVu
# Sans Mono is the only family with a dotted zero, so it belongs in training.
TRAIN_FACES: tuple[str, ...] = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSans-BoldOblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSansMono-Oblique",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "DejaVuSerif-BoldItalic",
    "cmr10",
    "cmb10",
    "cmti10",
    "cmmi10",
)
TEST_FACES: tuple[str, ...] = (
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralItalic",
    "STIXGeneralBolIta",
    "cmss10",
    "cmtt10",
)

#: Samples of the distance field per pixel of the final image.
OVERSAMPLING = 4
#: Side of a distance field, in pixels of the final image: 28, and a margin for the pixels that the distortion reaches.
FIELD_SIDE = 36
#: Longer side of a glyph before distortion, in pixels; MNIST's digits were fitted into a box of this size.
GLYPH_SIDE = 20.0


def fill_outline(polygons: list[NDArray[np.float64]], side: int) -> NDArray[np.bool_]:
    """Rasterise closed polygons under the non-zero winding rule.

    A scan line runs through the pixel centres of a row. An edge crosses it at one x, and changes the winding number of
    every pixel to the right of that x by the edge's direction. The changes are added into the row; their running sum
    is the winding number of every pixel, without a loop over edges or pixels.

    Parameters
    ----------
    polygons
        Arrays (V, 2) of x, y in pixels; y grows downwards. The last vertex is joined to the first.
    side
        The height and width of the mask.

    Returns
    -------
    ndarray
        The mask, bool (side, side), True inside.
    """
    start = np.concatenate(polygons)
    end = np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons])
    (x0, y0), (x1, y1) = start.T, end.T
    centres = np.arange(side)[:, None] + 0.5
    # The interval is half-open, so that a vertex exactly on a scan line is counted by only one of its two edges.
    row, edge = np.nonzero((np.minimum(y0, y1) <= centres) & (centres < np.maximum(y0, y1)))
    x = x0[edge] + (row + 0.5 - y0[edge]) * (x1 - x0)[edge] / (y1 - y0)[edge]
    winding = np.zeros((side, side + 1), np.int64)
    first_inside = np.clip(np.ceil(x - 0.5), 0, side).astype(np.int64)
    np.add.at(winding, (row, first_inside), np.where(y1 > y0, 1, -1)[edge])
    return np.asarray(np.cumsum(winding, axis=1)[:, :side] != 0)


def glyph_polygons(face: str, digit: int) -> list[NDArray[np.float64]]:
    """Return the outline of one digit as polygons in pixels of a distance field, centred and fitted to the glyph box.

    Parameters
    ----------
    face
        A name in :data:`TRAIN_FACES` or :data:`TEST_FACES`.
    digit
        0 to 9.

    Returns
    -------
    list of ndarray
        Arrays (V, 2) of x, y; y grows downwards.
    """
    polygons = [polygon * (1, -1) for polygon in outline(face, digit)]
    points = np.concatenate(polygons)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = GLYPH_SIDE * OVERSAMPLING / (high - low).max()
    middle = FIELD_SIDE * OVERSAMPLING / 2
    return [(p - (low + high) / 2) * scale + middle for p in polygons]


def distance_fields(faces: tuple[str, ...]) -> NDArray[np.float32]:
    """Return the signed distance fields of the ten digits in several typefaces.

    Parameters
    ----------
    faces
        Names as in :data:`TRAIN_FACES`.

    Returns
    -------
    ndarray
        float32 (faces, 10, S, S) with S = ``FIELD_SIDE * OVERSAMPLING``, in pixels of the final image, positive inside.
    """
    from scipy.ndimage import distance_transform_edt

    side = FIELD_SIDE * OVERSAMPLING
    fields = np.empty((len(faces), 10, side, side), np.float32)
    for i, face in enumerate(faces):
        for digit in range(10):
            inside = fill_outline(glyph_polygons(face, digit), side)
            # Distances are measured between sample centres; the outline lies halfway between the last sample inside
            # and the first one outside.
            distance = np.where(inside, distance_transform_edt(inside) - 0.5, 0.5 - distance_transform_edt(~inside))
            fields[i, digit] = distance / OVERSAMPLING
    return fields
