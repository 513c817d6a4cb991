"""What the layers of a pass have kept for backward, ready for JSON: the tape of the page."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core.types import Array
from ..inspection.trace import LayerTrace, Trace

#: The most characters of a value that is no array.
_MOST = 60


def kept_of(trace: Trace) -> list[list[dict[str, Any]]]:
    """Return for each layer what its cache holds.

    Parameters
    ----------
    trace : Trace
        A pass with labels; without them, a pass as in prediction keeps nothing.

    Returns
    -------
    list of list of dict
        For each layer the entries of its cache. An array has its ``name``, its ``shape`` (with the batch axis), its
        ``bytes``, ``of`` (``"x"`` or ``"y"`` if it is the layer's input or result, None otherwise), and ``shared``:
        whether an earlier layer keeps the same numbers, so that a training keeps them once. Anything else has its
        ``name`` and its ``value`` as a text.

    Examples
    --------
    >>> import numpy as np
    >>> from tinycnn import Sequential, layers
    >>> model = Sequential([layers.Input((4, 4, 1)), layers.Conv2D(2, 3, activation="relu"), layers.Conv2D(1, 2)])
    >>> first, second = kept_of(model.trace(np.ones((1, 4, 4, 1))))
    >>> [(entry["name"], entry["of"], entry["bytes"]) for entry in first]
    [('x', 'x', 64), ('kept', 'y', 32)]
    >>> [(entry["name"], entry["shared"]) for entry in second]
    [('x', True)]
    """
    found: list[list[dict[str, Any]]] = []
    before = False  # whether the layer before has kept its result, which is this one's input
    for entry in trace:
        kept: list[dict[str, Any]] = []
        has = {"x": before, "y": False}
        for name, value in _leaves(entry.cache, "cache"):
            if not isinstance(value, np.ndarray):
                kept.append({"name": name, "value": str(value)[:_MOST]})
                continue
            of = _which(value, entry)
            shared = of is not None and has[of]
            if of is not None:
                has[of] = True
            about: dict[str, Any] = {"name": name, "shape": list(value.shape), "bytes": int(value.nbytes)}
            kept.append(about | {"of": of, "shared": shared})
        found.append(kept)
        # A layer that only reshapes has handed on the same numbers.
        before = has["y"] or (has["x"] and _same(entry.x, entry.y))
    return found


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield all that a cache holds, with the names of its fields; those of a cache within it come in its place."""
    if hasattr(value, "_fields"):
        value = value._asdict()
    if isinstance(value, dict):
        for field, item in value.items():
            yield from _leaves(item, str(field))
    elif isinstance(value, tuple | list) and any(isinstance(item, np.ndarray) for item in value):
        for item in value:
            yield from _leaves(item, name)
    elif isinstance(value, np.ndarray) or (value is not None and value != ()):
        yield name, value


def _which(array: Array, entry: LayerTrace) -> str | None:
    """Return whether an array of a cache is the layer's input or its result, by its numbers."""
    if _same(array, entry.x):
        return "x"
    return "y" if _same(array, entry.y) else None


def _same(first: Array, second: Array) -> bool:
    """Return whether two arrays hold the same numbers in the same order, perhaps in another shape."""
    return first.size == second.size and np.array_equal(first.ravel(), second.ravel(), equal_nan=True)
