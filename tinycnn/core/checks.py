"""Check arguments: each function returns the value in its normal form, or raises an error that names the argument."""

import functools
import inspect
import math
import numbers
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

from .messages import SHOWN, shown
from .types import Array, Config, Shape

P = ParamSpec("P")
R = TypeVar("R")

#: The largest whole number that any argument may have: the limit for the length of an array, and for a seed.
LARGEST = 2**63 - 1


def scalar(value: Any) -> Any:
    """Return the number in an array without axes, of NumPy's or of another library's; anything else as it is."""
    if getattr(value, "shape", None) == () and not isinstance(value, np.generic) and hasattr(value, "item"):
        return value.item()
    return value


def finite_as(values: Array, dtype: Any) -> Array:
    """Return for each number whether it is finite once it is converted to a dtype."""
    if values.itemsize <= np.dtype(dtype).itemsize:
        return np.isfinite(values)
    with np.errstate(over="ignore"):
        return np.isfinite(values.astype(dtype))


def choice(value: Any, options: Iterable[str], name: str) -> str:
    """Return one of a few words in lower case; it may be given in upper case."""
    options = tuple(options)
    if not isinstance(value, str) or value.lower() not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}; got {shown(value)}")
    return value.lower()


def integer(value: Any, name: str, minimum: int = 1, maximum: int = LARGEST) -> int:
    """Return a whole number from ``minimum`` to ``maximum``; True and False are not numbers."""
    value = scalar(value)
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
    """Return a finite number in ``[minimum, maximum]`` that is greater than ``above`` and less than ``below``."""
    value = scalar(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number; got {shown(value)}")
    try:
        number = float(value)
    except OverflowError:  # an integer or a fraction may be larger than every float
        number = math.inf
    if not (math.isfinite(number) and minimum <= number <= maximum and above < number < below):
        low = f"> {above:g}" if above > minimum else f">= {minimum:g}"
        high = f"< {below:g}" if below < maximum else f"<= {maximum:g}"
        wanted = " and ".join(bound for bound in (low, high) if "inf" not in bound) or "finite"
        raise ValueError(f"{name} must be {wanted}; got {shown(value)}")
    return number


def boolean(value: Any, name: str) -> bool:
    """Return True or False, given as Python's or NumPy's; a string, for instance, is probably in the wrong place."""
    value = scalar(value)
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False; got {shown(value)}")
    return bool(value)


def pair(value: Any, name: str, minimum: int = 1) -> tuple[int, int]:
    """Return a pair of integers, none below ``minimum``; a single integer stands for both."""
    value = scalar(value)
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        value = (value, value)
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(f"{name} must be an integer or a pair of integers; got {shown(value)}")
    return integer(value[0], f"{name}[0]", minimum), integer(value[1], f"{name}[1]", minimum)


def shape(value: Any, name: str) -> Shape:
    """Return the shape of one sample: positive integers, without the batch axis."""
    value = scalar(value)
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        value = (value,)
    if not isinstance(value, tuple | list) or not value:
        raise TypeError(f"{name} must be a tuple of positive integers without the batch axis; got {shown(value)}")
    unknown = [length is None for length in value]
    if any(unknown[1:]) or (unknown[0] and len(value) == 3):
        raise TypeError(
            f"{name}: the sizes must be fixed; got {shown(value)}. Give the shape of one sample in numbers, for "
            "example (28, 28, 1), without the batch axis, and resize images of other sizes"
        )
    if unknown[0]:
        raise TypeError(
            f"{name} must be the shape of one sample, without the batch axis; got {shown(value)}. Leave out the None"
        )
    return tuple(integer(length, f"{name}[{axis}]") for axis, length in enumerate(value))


def optional_name(value: Any) -> str | None:
    """Return None, or the name that :func:`checked_name` returns."""
    return None if value is None else checked_name(value)


def checked_name(value: Any) -> str:
    """Return a name for a layer, model or metric: printable text without a slash (weights are ``layer/parameter``)."""
    if not isinstance(value, str) or not value or "/" in value or not value.isprintable() or len(value) > SHOWN:
        raise ValueError(
            f"name must be a non-empty string of at most {SHOWN} printable characters without '/'; got {shown(value)}"
        )
    return value


def items(value: Any, name: str, wanted: str) -> list[Any]:
    """Return the items of a list or of any other iterable, except text and dicts, as a list."""
    if not isinstance(value, str | bytes | dict):
        try:
            return list(value)
        except Exception:  # a user's object may fail in any way
            pass
    raise TypeError(f"{name} must be a list of {wanted}; got {shown(value)}")


def any_array(value: Any, name: str) -> Array:
    """Return an array, of numbers or of anything else; masked values are missing, and no array shows that."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        where = tuple(map(int, np.argwhere(np.ma.getmaskarray(value))[0]))
        at = where[0] if len(where) == 1 else where
        raise ValueError(f"{name} is masked at index {at}; leave out what is masked, or fill it with its method filled")
    try:
        return np.asarray(value)
    except Exception as error:  # rows of different lengths; or a user's object, which may fail in any way
        raise ValueError(f"{name} must be an array of numbers, with rows of one length; got {shown(value)}") from error


def array(value: Any, name: str) -> Array:
    """Return an array of numbers, of any dtype and shape."""
    found = any_array(value, name)
    if found.dtype.kind not in "fiub":
        got = f"an array of dtype {found.dtype}" if isinstance(value, np.ndarray) else shown(value)
        raise TypeError(f"{name} must be an array of numbers; got {got}")
    return found


def verbosity(verbose: Any) -> int:
    """Return 0, 1 or 2; Keras's "auto" is 1."""
    if isinstance(verbose, str) and verbose == "auto":
        return 1
    verbose = scalar(verbose)
    if not isinstance(verbose, numbers.Integral | np.bool_) or int(verbose) not in (0, 1, 2):
        raise ValueError(f"verbose must be 'auto', 0, 1 or 2; got {shown(verbose)}")
    return int(verbose)


def function(value: Any, name: str) -> Callable[..., Any]:
    """Return a function, or any other object that can be called."""
    if not callable(value):
        raise TypeError(f"{name} must be a function; got {shown(value)}")
    return value


def word(value: Any, name: str) -> str:
    """Return text that is not empty."""
    if not isinstance(value, str) or not value:
        raise TypeError(f"{name} must be a non-empty string; got {shown(value)}")
    return value


def arguments(value: Any, name: str) -> Config:
    """Return the arguments of a constructor, as a configuration holds them."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise TypeError(f"{name} must be a dict from the names of arguments to their values; got {shown(value)}")
    return value


def float_dtype(value: Any, name: str) -> str:
    """Return ``"float32"`` or ``"float64"``, given a name, a NumPy type or a NumPy dtype."""
    try:
        found = np.dtype(value).name if value is not None else ""
    except Exception:
        found = ""
    if found not in ("float32", "float64"):
        raise ValueError(f"{name} must be 'float32' or 'float64'; got {shown(value)}")
    return found


def path(value: Any, name: str = "path") -> Path:
    """Return the path of a file or folder, given as text or as a path object."""
    try:
        text = os.fspath(value)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a string or a pathlib.Path; got {shown(value)}")
    if not text or "\0" in text:
        raise ValueError(f"{name} must be the name of a file or folder; got {shown(text)}")
    return Path(text)


def also_called(other: str, name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let callers of a function give its argument ``name`` under another keyword, too."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        position = list(inspect.signature(function).parameters).index(name)

        @functools.wraps(function)
        def call(*args: P.args, **named: P.kwargs) -> R:
            if other in named:
                if name in named or len(args) > position:
                    raise TypeError(f"{name} and {other} are two names of one argument; give one of them")
                named[name] = named.pop(other)
            return function(*args, **named)

        return call

    return decorate


def save_freq(value: Any) -> str | int:
    """Return how often a callback saves: ``"epoch"``, or a number of batches."""
    if not isinstance(value, str):
        return integer(value, "save_freq")
    if value.lower() != "epoch":
        raise ValueError(f"save_freq must be 'epoch' or a number of batches; got {shown(value)}")
    return "epoch"
