"""Texts for people: how errors show values, suggest names, and write sizes."""

import difflib
import inspect
import numbers
import re
import sys
from collections.abc import Iterable
from typing import Any

from .printing import for_print
from .version import PACKAGE

#: The most characters of a value that an error shows. The value may be a whole data set, or come from a hostile file.
SHOWN = 100


def shown(value: Any) -> str:
    """Return ``repr(value)`` for an error message: one line, not too long, and never an error itself.

    Examples
    --------
    >>> shown("relu"), len(shown("x" * 10**6))
    ("'relu'", 100)
    """
    if isinstance(value, numbers.Integral) and int(value).bit_length() > 63:
        return f"a number of {int(value).bit_length()} bits"  # Python refuses to write out more than 4300 digits
    if isinstance(value, str | bytes):
        value = value[:SHOWN]
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a user's object may fail in any way, and lists may be nested too deeply
        text = f"<{type(value).__name__}>"
    return for_print(text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…")


def unknown(kind: str, name: Any, known: Iterable[str], argument: str = "") -> ValueError:
    """Return the error for a name that does not exist; it suggests the nearest name that does.

    Parameters
    ----------
    kind : str
        What the name should have named, for instance ``"layer"``.
    name
        What was given instead.
    known : iterable of str
        All names that exist.
    argument : str, optional
        The name of the argument for which it was given, if that is not obvious; the error begins with it.

    Examples
    --------
    >>> unknown("layer", "Conv2", ["Conv2D", "Dense"])
    ValueError("unknown layer 'Conv2'; did you mean 'Conv2D'? Known: Conv2D, Dense")
    """
    names = sorted(known)
    asked = name[:SHOWN].lower() if isinstance(name, str) else ""
    near = difflib.get_close_matches(asked, [n.lower() for n in names], n=1, cutoff=0.5)
    list_of = next((f"did you mean {n!r}? Known" for n in names if near and n.lower() == near[0]), "known")
    where = f"{argument}: " if argument else ""
    if isinstance(name, type):
        list_of = f"write an instance, with parentheses, or a name; {list_of}"
    return ValueError(for_print(f"{where}unknown {kind} {shown(name)}; {list_of}: {', '.join(names)}"))


def unexpected(cls: type, given: Iterable[str]) -> TypeError:
    """Return the error for arguments that a class does not take; it suggests the nearest argument that the class takes.

    Examples
    --------
    >>> from tinycnn import layers
    >>> unexpected(layers.Conv2D, ["stride"])
    TypeError("Conv2D takes no argument 'stride'; did you mean 'strides'?")
    """
    known = {
        name
        for base in cls.__mro__
        for name, parameter in inspect.signature(vars(base).get("__init__", cls)).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY) and name != "self"
    } - set(getattr(cls, "fixed_arguments", ()))
    wrong = next(iter(given))[:SHOWN]
    if wrong in known:  # a subclass takes it, and has handed it on
        return TypeError(f"the base class of {cls.__name__} takes no argument {wrong!r}; do not pass it to super()")
    near = difflib.get_close_matches(wrong, sorted(known), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(sorted(known))}"
    return TypeError(f"{cls.__name__} takes no argument {wrong!r}; {hint}")


def bytes_text(count: float) -> str:
    """Return a number of bytes as text, in the unit that a person would use.

    Examples
    --------
    >>> bytes_text(999), bytes_text(256_728)
    ('999 B', '250.7 KiB')
    """
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def error_text(error: BaseException) -> str:
    """Return what an error says, without the quotes and numbers that Python adds.

    Examples
    --------
    >>> error_text(KeyError("no such image")), error_text(OSError(2, "No such file", "a.png"))
    ('no such image', 'a.png: No such file')
    >>> error_text(MemoryError())
    'MemoryError'
    """
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])  # str() of a KeyError adds quotes
    return str(error) or type(error).__name__


def snake_case(name: str) -> str:
    """Return the name that Keras gives to a layer of a class.

    Examples
    --------
    >>> snake_case("BatchNormalization"), snake_case("Conv2D"), snake_case("MaxPooling2D"), snake_case("ReLU")
    ('batch_normalization', 'conv2d', 'max_pooling2d', 're_lu')
    """
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    name = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
    return name.replace("_2d", "2d")


def level_of_caller() -> int:
    """Return the ``stacklevel`` with which a warning of the calling function names the user's line."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(PACKAGE):
        level, frame = level + 1, frame.f_back
    return level
