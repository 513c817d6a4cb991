"""Checks of arguments: each returns the value in its normal form or raises an error that names the argument."""

import math
import numbers
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .messages import SHOWN, shown
from .types import Array, Config, Shape

#: The largest whole number that any argument takes: what an array's length, or a seed, can be.
LARGEST = 2**63 - 1


def choice(value: Any, options: Iterable[str], name: str) -> str:
    """One of a few words, in any case."""
    options = tuple(options)
    if not isinstance(value, str) or value.lower() not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}; got {shown(value)}")
    return value.lower()


def integer(value: Any, name: str, minimum: int = 1, maximum: int = LARGEST) -> int:
    """A whole number from ``minimum`` to ``maximum``; True is not a number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer; got {shown(value)}")
    number = int(value)
    if number < minimum:
        raise ValueError(f"{name} must be at least {minimum}; got {shown(value)}")
    if number > maximum:
        raise ValueError(f"{name} must be at most {maximum}; got {shown(value)}")
    return number


def real(
    value: Any,
    name: str,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    *,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """A finite number in ``[minimum, maximum]``, above ``above`` and below ``below``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number; got {shown(value)}")
    try:
        number = float(value)
    except OverflowError:  # an integer or a fraction beyond the largest float
        number = math.inf
    if not (math.isfinite(number) and minimum <= number <= maximum and above < number < below):
        low = f"> {above:g}" if above > minimum else f">= {minimum:g}"
        high = f"< {below:g}" if below < maximum else f"<= {maximum:g}"
        wanted = " and ".join(bound for bound in (low, high) if "inf" not in bound) or "finite"
        raise ValueError(f"{name} must be {wanted}; got {shown(value)}")
    return number


def boolean(value: Any, name: str) -> bool:
    """True or False themselves: a truthy string is more likely a misplaced argument."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False; got {shown(value)}")
    return value


def pair(value: Any, name: str, minimum: int = 1) -> tuple[int, int]:
    """One integer for both directions, or two, none below ``minimum``."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        value = (value, value)
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(f"{name} must be an integer or a pair of integers; got {shown(value)}")
    return integer(value[0], f"{name}[0]", minimum), integer(value[1], f"{name}[1]", minimum)


def shape(value: Any, name: str) -> Shape:
    """The shape of one sample: positive integers, no batch axis."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        value = (value,)
    if not isinstance(value, tuple | list) or not value:
        raise TypeError(f"{name} must be a tuple of positive integers without the batch axis; got {shown(value)}")
    if value[0] is None:
        raise TypeError(f"{name} is the shape of one sample: leave out the batch axis of {shown(value)}")
    return tuple(integer(length, f"{name}[{axis}]") for axis, length in enumerate(value))


def optional_name(value: Any) -> str | None:
    """As :func:`checked_name`, or None."""
    return None if value is None else checked_name(value)


def checked_name(value: Any) -> str:
    """A name for a layer, model or metric: printable text without a slash (weights are ``layer/parameter``)."""
    if not isinstance(value, str) or not value or "/" in value or not value.isprintable() or len(value) > SHOWN:
        raise ValueError(
            f"name must be a non-empty string of at most {SHOWN} printable characters without '/'; got {shown(value)}"
        )
    return value


def items(value: Any, name: str, wanted: str) -> list[Any]:
    """The items of a list, or of anything that can be gone through but text."""
    if not isinstance(value, str | bytes | dict):
        try:
            return list(value)
        except Exception:  # also of a user's object that fails in any way
            pass
    raise TypeError(f"{name} must be a list of {wanted}; got {shown(value)}")


def any_array(value: Any, name: str) -> Array:
    """An array of anything."""
    try:
        return np.asarray(value)
    except Exception as error:  # rows of different lengths; or a user's object, which may fail in any way
        raise ValueError(f"{name} must be an array of numbers; got {shown(value)}") from error


def array(value: Any, name: str) -> Array:
    """Numbers as an array, in whatever dtype and shape."""
    found = any_array(value, name)
    if found.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected an array of numbers, got dtype {found.dtype}")
    return found


def verbosity(verbose: Any) -> int:
    """0, 1 or 2; Keras's "auto" is 1."""
    if isinstance(verbose, str) and verbose == "auto":
        return 1
    if not isinstance(verbose, numbers.Integral) or int(verbose) not in (0, 1, 2):
        raise ValueError(f"verbose must be 0, 1 or 2; got {shown(verbose)}")
    return int(verbose)


def word(value: Any, name: str) -> str:
    """Text that is not empty."""
    if not isinstance(value, str) or not value:
        raise TypeError(f"{name} must be a word; got {shown(value)}")
    return value


def arguments(value: Any, name: str) -> Config:
    """A constructor's arguments, as a configuration holds them."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise TypeError(f"{name} must be a dict of arguments by name; got {shown(value)}")
    return value


def float_dtype(value: Any, name: str) -> str:
    """``"float32"`` or ``"float64"``, from a name, NumPy's type or its dtype."""
    try:
        found = np.dtype(value).name if value is not None else ""
    except Exception:
        found = ""
    if found not in ("float32", "float64"):
        raise ValueError(f"{name} must be 'float32' or 'float64'; got {shown(value)}")
    return found


def path(value: Any, name: str = "path") -> Path:
    """Where a file or folder is: text, or an object that stands for it."""
    try:
        text = os.fspath(value)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a string or a pathlib.Path; got {shown(value)}")
    if not text or "\0" in text:
        raise ValueError(f"{name} must be the name of a file or folder; got {shown(text)}")
    return Path(text)


def save_freq(value: Any) -> str | int:
    """Return how often a callback saves: ``"epoch"``, or a number of batches."""
    return choice(value, ("epoch",), "save_freq") if isinstance(value, str) else integer(value, "save_freq")
