"""Checks of arguments: each returns the value in its normal form or raises an error that names the argument."""

import difflib
import math
import numbers
from collections.abc import Iterable
from typing import Any

from ._types import Shape


def unknown(kind: str, name: Any, known: Iterable[str]) -> ValueError:
    """The error for a name that does not exist, with the nearest that does.

    Examples
    --------
    >>> unknown("layer", "Conv2", ["Conv2D", "Dense"])
    ValueError("unknown layer 'Conv2'; did you mean 'Conv2D'? Known: Conv2D, Dense")
    """
    names = sorted(known)
    near = difflib.get_close_matches(str(name).lower(), [n.lower() for n in names], n=1, cutoff=0.5)
    hint = next((f" did you mean {n!r}?" for n in names if near and n.lower() == near[0]), "")
    return ValueError(f"unknown {kind} {name!r};{hint} Known: {', '.join(names)}")


def choice(value: Any, options: Iterable[str], name: str) -> str:
    """One of a few words, in any case."""
    options = tuple(options)
    if not isinstance(value, str) or value.lower() not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}; got {value!r}")
    return value.lower()


def integer(value: Any, name: str, minimum: int = 1) -> int:
    """A whole number not under ``minimum``; True is not a number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer; got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}; got {value}")
    return int(value)


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
        raise TypeError(f"{name} must be a number; got {value!r}")
    number = float(value)
    if not (math.isfinite(number) and minimum <= number <= maximum and above < number < below):
        low = f"> {above:g}" if above > minimum else f">= {minimum:g}"
        high = f"< {below:g}" if below < maximum else f"<= {maximum:g}"
        wanted = " and ".join(bound for bound in (low, high) if "inf" not in bound) or "finite"
        raise ValueError(f"{name} must be {wanted}; got {value!r}")
    return number


def boolean(value: Any, name: str) -> bool:
    """True or False themselves: a truthy string is more likely a misplaced argument."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False; got {value!r}")
    return value


def pair(value: Any, name: str, minimum: int = 1) -> tuple[int, int]:
    """One integer for both directions, or two, none below ``minimum``."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        value = (value, value)
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(f"{name} must be an integer or a pair of integers; got {value!r}")
    return integer(value[0], f"{name}[0]", minimum), integer(value[1], f"{name}[1]", minimum)


def shape(value: Any, name: str) -> Shape:
    """The shape of one sample: positive integers, no batch axis."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        value = (value,)
    if not isinstance(value, tuple | list) or not value:
        raise TypeError(f"{name} must be a tuple of positive integers without the batch axis; got {value!r}")
    return tuple(integer(length, f"{name}[{axis}]") for axis, length in enumerate(value))


def optional_name(value: Any) -> str | None:
    """A name for a layer or model: text without a slash (weights are stored as ``layer/parameter``)."""
    if value is not None and (not isinstance(value, str) or not value or "/" in value):
        raise ValueError(f"name must be a non-empty string without '/'; got {value!r}")
    return value
