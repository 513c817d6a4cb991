"""Turn targets into numbers: arrays of Python objects, as tables give them, hold whatever they hold."""

import numbers

import numpy as np

from .messages import shown
from .types import Array

#: What to do about labels that are text.
NUMBER_THEM = "Number the classes, for example with names, y = np.unique(labels, return_inverse=True)."


def as_numbers(found: Array, name: str) -> Array:
    """Return an array of real numbers as it is, and one of objects or text as the numbers that it holds.

    Raises
    ------
    ValueError
        If something in it is no number; the message names the first such thing and its index.
    """
    if found.dtype.kind in "UST":
        raise ValueError(f"{name}: expected numbers; got values of dtype {found.dtype}. {NUMBER_THEM}")
    if found.dtype.kind != "O":
        return found
    for index, item in np.ndenumerate(found):
        if not isinstance(item, numbers.Real | np.bool_):
            at = index[0] if len(index) == 1 else index
            raise ValueError(f"{name}: expected numbers; got {shown(item)} at index {at}. {_cure(item)}")
    whole = all(isinstance(item, numbers.Integral | np.bool_) for item in found.flat)
    try:
        return found.astype(np.int64 if whole else np.float64)
    except OverflowError as error:
        raise ValueError(f"{name}: a number is too large: {error}") from error


def _cure(item: object) -> str:
    """Return a sentence that says what to do about something that is no number."""
    if isinstance(item, str | bytes):
        return NUMBER_THEM
    if item is None or type(item).__name__ in ("NAType", "NaTType"):
        return "It is missing: leave out samples without a target."
    return "Give one number for each sample, or an array of numbers."
