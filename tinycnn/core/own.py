"""Classes of a user's own: whether they define what tinycnn calls, and whether what they return can be used.

A :class:`Form` says it for one family of classes (:mod:`tinycnn.core.forms`). An object is checked when it is given to
tinycnn, and what its methods return is checked where it comes back, so that a mistake is reported for this object and
not for whatever works with its result. Layers have a module of their own, :mod:`tinycnn.layers.own`.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .messages import shown
from .version import is_ours

#: Gets an object, the arguments that its method was called with, and what it returned; returns what is to be used.
Check = Callable[[Any, tuple[Any, ...], Any], Any]


class OwnReturnError(TypeError, ValueError):
    """A method of a user's class returned what it may not return: a wrong type, shape or dtype."""


@dataclass(frozen=True)
class Form:
    """What a user's class of one family has to define.

    Parameters
    ----------
    kind : str
        What errors call an object of the family.
    calls : dict of str to tuple of str
        The methods that tinycnn calls, and the arguments that it gives them; ``name=`` is given by keyword.
    needed : tuple of tuples of str
        Groups of methods; at least one of each group has to be defined.
    keras : dict of str to str
        Methods that Keras calls and tinycnn does not, and the methods that stand for them here.
    smallest : str
        What errors say about the smallest class of the family.
    returns : dict of str to Check
        The checks of what methods return.
    kept : str
        An attribute that the ``__init__`` of the base class sets; empty if there is none.
    foreign : tuple of str
        Arguments that Keras gives these methods, and tinycnn does not.
    """

    kind: str
    calls: Mapping[str, tuple[str, ...]]
    needed: tuple[tuple[str, ...], ...]
    keras: Mapping[str, str]
    smallest: str
    returns: Mapping[str, Check] = field(default_factory=dict)
    kept: str = ""
    foreign: tuple[str, ...] = ()

    def check(self, thing: Any) -> None:
        """Raise a TypeError if an object's class lacks what tinycnn calls, or has it as Keras wants it.

        Of tinycnn's own classes only the base is refused, which defines nothing yet.
        """
        cls = type(thing)
        if is_ours(cls) and "_form" not in vars(cls):
            return
        label = f"{self.kind} {cls.__name__}"
        if self.kept and self.kept not in vars(thing):
            raise TypeError(
                f"the __init__ of {label} does not call super().__init__(); call it first, with the arguments of the "
                f"base class. {self.smallest}"
            )
        for habit, method in self.keras.items():
            if _is_own(cls, habit) and not _is_own(cls, method):
                raise TypeError(
                    f"{label} defines {habit}, as in Keras; in tinycnn the method is {method}. {self.smallest}"
                )
        for group in self.needed:
            if not any(_is_defined(cls, method) for method in group):
                raise TypeError(f"{label} does not define {' or '.join(group)}. {self.smallest}")
        for method, names in self.calls.items():
            if not _takes(getattr(thing, method), names, self.foreign):
                raise TypeError(
                    f"{label}: {method} is called as {method}({', '.join(names)}), and this one does not take these "
                    f"arguments in this order. {self.smallest}"
                )

    def watch(self, cls: type) -> None:
        """Let what the methods of a user's class return be checked from now on."""
        if is_ours(cls):
            return
        for name, check in self.returns.items():
            if inspect.isfunction(vars(cls).get(name)):
                setattr(cls, name, _watched(name, vars(cls)[name], check))


def _is_own(cls: type, method: str) -> bool:
    """Return whether a class has a method that is defined in a user's class."""
    home = next((base for base in cls.__mro__ if method in vars(base)), object)
    return home is not object and not is_ours(home) and callable(getattr(cls, method, None))


def _is_defined(cls: type, method: str) -> bool:
    """Return whether a method comes from a user's class, or from one of tinycnn's other than the family's base."""
    ours = [base for base in cls.__mro__ if is_ours(base)]
    return "_form" not in vars(ours[0]) or _is_own(cls, method)


def _takes(method: Callable[..., Any], names: tuple[str, ...], foreign: tuple[str, ...]) -> bool:
    """Return whether a method takes these arguments, and none of them in the place of another one."""
    by_place = [name for name in names if not name.endswith("=")]
    by_name = [name[:-1] for name in names if name.endswith("=")]
    if not can_be_called(method, *by_place, **dict.fromkeys(by_name)):
        return False
    try:
        found = list(inspect.signature(method).parameters)[: len(by_place)]
    except ValueError:
        return True
    return all(
        name not in foreign and (name not in by_place or name == wanted)
        for name, wanted in zip(found, by_place, strict=False)
    )


def can_be_called(method: Callable[..., Any], *arguments: Any, **named: Any) -> bool:
    """Return whether a method takes these arguments, as far as its signature says."""
    try:
        inspect.signature(method).bind(*arguments, **named)
    except TypeError:
        return False
    except ValueError:  # some functions that are not written in Python have no signature
        pass
    return True


def _watched(name: str, method: Callable[..., Any], check: Check) -> Callable[..., Any]:
    """Return a method that does the same and checks what is returned."""

    @functools.wraps(method)
    def watched(self: Any, *arguments: Any, **named: Any) -> Any:
        returned = method(self, *arguments, **named)
        # If a subclass calls super()'s method, only what the subclass returns is the result.
        if getattr(type(self), name, None) is not watched:
            return returned
        return check(self, arguments, returned)

    return watched


def calculates_otherwise(value: Any) -> bool:
    """Return whether a value is an array of NumPy's with other rules: a masked one, or a matrix."""
    return isinstance(value, np.ma.MaskedArray | np.matrix)


def kind_of(value: Any) -> str:
    """Return in words what a method returned."""
    if hasattr(value, "shape") and hasattr(value, "dtype") and value.shape:
        article = f"a {type(value).__name__}" if calculates_otherwise(value) else "an array"
        return f"{article} of {value.dtype} with shape {tuple(value.shape)}"
    return shown(value)
