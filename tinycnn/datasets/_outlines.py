"""Read the outlines of the digits, and flatten their curves into polygons.

The outlines are those of typefaces that matplotlib ships, and lie here as numbers, so that every version of matplotlib
leads to the same images. Each line of the file names a typeface and a digit, and holds an outline as SVG's path data
with the commands M (move), L (line), Q (quadratic curve) and Z (close); y grows upwards, and each part ends where it
began. The licences of the typefaces stand in the file beside it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("digits_outlines.txt")
#: Units of the file per hundredth of the em square, as FreeType has them.
UNITS = 64
#: How far a chord may lie from its curve, in hundredths of the em square; a digit is about seventy of them high.
FLATNESS = 0.5

_Point = tuple[float, float]


@functools.cache
def _path_data() -> dict[tuple[str, int], str]:
    lines = (line.split(" ", 2) for line in FILE.read_text("ascii").splitlines())
    return {(face, int(digit)): path for face, digit, path in lines}


def outline(face: str, digit: int) -> list[NDArray[np.float64]]:
    """Return the outline of one digit as polygons.

    Parameters
    ----------
    face
        One of the typefaces in the file, for example ``"cmr10"``.
    digit
        0 to 9.

    Returns
    -------
    list of ndarray
        Arrays (V, 2) of x, y in hundredths of the em square; y grows upwards. The last vertex is the first.

    Raises
    ------
    KeyError
        If the file has no such typeface.
    """
    polygons: list[list[_Point]] = []
    words = iter(_path_data()[face, digit].split())
    for command in words:
        if command == "M":
            polygons.append([_point(words)])
        elif command == "L":
            polygons[-1].append(_point(words))
        elif command == "Q":
            polygons[-1] += flatten(polygons[-1][-1], _point(words), _point(words))
    return [np.array(polygon) for polygon in polygons]


def _point(words: Iterator[str]) -> _Point:
    return int(next(words)) / UNITS, int(next(words)) / UNITS


def flatten(start: _Point, control: _Point, end: _Point) -> list[_Point]:
    """Return the vertices of a quadratic Bezier curve after its start.

    The curve is halved (de Casteljau) until its control point lies within `FLATNESS` of the chord, as in Anti-Grain
    Geometry, which matplotlib draws with. Halving whole units is exact, so the vertices are the same on every machine.
    """
    first, second = _middle(start, control), _middle(control, end)
    middle = _middle(first, second)
    dx, dy = end[0] - start[0], end[1] - start[1]
    area = abs((control[0] - end[0]) * dy - (control[1] - end[1]) * dx)
    if area**2 <= FLATNESS**2 * (dx**2 + dy**2):
        return [middle, end]
    return [*flatten(start, first, middle)[:-1], *flatten(middle, second, end)]


def _middle(a: _Point, b: _Point) -> _Point:
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
