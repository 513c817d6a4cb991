"""What a recording can leave out, because a browser gets the same bits from the rest.

Copies are exact in any arithmetic: what a ReLU passes on, what wins a max-pooling, and where the gradient of that goes.
Each rule is tried on the arrays themselves, and an array is left out only if every bit agrees.
``page/recorded/filling.js`` does the way back.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.types import Array

#: For each array that is a copy: the name of the first one with these bytes, and its own shape.
Copies = dict[str, tuple[str, list[int]]]


def thinned(layers: Sequence[Mapping[str, Any]], arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays of a pass without those that follow from the others.

    Parameters
    ----------
    layers : list of dict
        The layers as :func:`tinycnn.explore.protocol.describe` describes them.
    arrays : dict of str to array
        What :func:`tinycnn.explore.protocol.of_trace` returned.
    """
    left = dict(arrays)
    for n, layer in enumerate(layers):
        y, z = arrays[f"{n}.y"], arrays.get(f"{n}.z")
        if z is not None and layer["activation"] == {"name": "relu"} and _follows(y, np.where(z <= 0, 0, z)):
            del left[f"{n}.y"]
        if layer["kind"] == "MaxPooling2D" and n:
            x, won = arrays[f"{n - 1}.y"], _winners(layer, arrays[f"{n}.argmax"])
            if _follows(y, x[won]):
                del left[f"{n}.y"]
            below = arrays.get(f"{n - 1}.dy")
            if below is not None and _follows(below, _passed_back(x, won, arrays[f"{n}.dy"])):
                del left[f"{n - 1}.dy"]
    return left


def _winners(layer: Mapping[str, Any], argmax: Array) -> tuple[Any, ...]:
    """Return the indices (h, w, c) of the numbers that won each window."""
    window = layer["window"]
    i, j, c = np.indices(argmax.shape)
    p, q = np.divmod(argmax.astype(np.int64), window["size"][1])
    top, left = window["pads"][0], window["pads"][2]
    return i * window["strides"][0] + p - top, j * window["strides"][1] + q - left, c


def _passed_back(x: Array, won: tuple[Any, ...], dy: Array) -> Array:
    """Return the gradient by the input of a pooling, unless a number wins twice: sums are rounded."""
    dx = np.zeros_like(x)
    dx[won] = dy
    twice = len(np.unique(np.ravel_multi_index(won, x.shape))) < dy.size
    return dx if not twice else dx[:0]


def _follows(array: Array, found: Array) -> bool:
    """Return whether a browser gets every bit of an array; its sums make 0 of -0, and other bits of a NaN."""
    if np.isnan(array).any() or np.signbit(array[array == 0]).any():
        return False
    return array.tobytes() == found.astype(array.dtype).tobytes()


def without_copies(arrays: Mapping[str, Array]) -> tuple[dict[str, Array], Copies]:
    """Return arrays without those that have the same bytes as an earlier one, and which these are."""
    first: dict[tuple[str, bytes], str] = {}
    kept, copies = {}, Copies()
    for name, array in arrays.items():
        known = first.setdefault((array.dtype.str, array.tobytes()), name)
        if known == name:
            kept[name] = array
        else:
            copies[name] = (known, list(array.shape))
    return kept, copies


def as_planes(rows: Array) -> Array:
    """Return rows of numbers (K, n) as bytes (itemsize, K, n) of which deflate leaves little.

    Of each row after the first, only the bits that differ from the row before are there; the bytes with sign and
    exponent stand together, and so do those below.
    """
    found = np.ascontiguousarray(rows).view(np.uint8).reshape(*rows.shape, rows.itemsize)
    changed = found.copy()
    changed[1:] ^= found[:-1]
    return np.ascontiguousarray(changed.transpose(2, 0, 1))
