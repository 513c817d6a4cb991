"""What this room says: warnings that show the line of the user's program, and errors that name the page."""

import difflib
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from ..core.messages import shown
from ..core.version import PACKAGE

#: Where every difference from Keras is described.
PAGE = "docs/keras.md"


class NotHereError(NotImplementedError):
    """A name of Keras's was used that tinycnn does not have; the message says what to do instead."""


class NoAttributeError(NotHereError, AttributeError):
    """An attribute of Keras's that an object of tinycnn's does not have, as ``hasattr`` should find out, too."""


def told(text: str) -> None:
    """Warn about something that is accepted and means nothing, or another thing, here; show the user's own line."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(f"{text} (see {PAGE})", UserWarning, stacklevel=level)


def not_here(name: str, cure: str) -> NotHereError:
    """Return the error for something of Keras's that does not exist here."""
    return NotHereError(f"{name} is not part of tinycnn; {cure}. {PAGE} lists what differs from Keras")


def no_attribute(owner: str, name: str, cure: str) -> NoAttributeError:
    """Return the error for an attribute of Keras's that an object of tinycnn's does not have."""
    return NoAttributeError(f"{owner}.{name} is not part of tinycnn; {cure}. {PAGE} lists what differs from Keras")


def not_so(label: str, argument: str, value: Any, cure: str) -> ValueError:
    """Return the error for an argument that has a value which means nothing here."""
    return ValueError(f"{label}: {argument}={shown(value)} is not possible in tinycnn; {cure}. See {PAGE}")


def named_alike(argument: str, function: Any) -> None:
    """Warn if a function of a program's own is taken for what tinycnn has under its name; those of libraries are it."""
    if str(getattr(function, "__module__", "")).partition(".")[0] not in (
        PACKAGE.rstrip("."),
        "keras",
        "tensorflow",
        "tf_keras",
    ):
        told(
            f"{argument}: the function {function.__name__} is not called; because of its name, tinycnn's own "
            f"{function.__name__} is computed"
        )


def is_one_of(value: Any, *allowed: Any) -> bool:
    """Return whether a value is one of some plain ones, and of its type; objects of other types are not compared."""
    return any(one is value or (type(one) is type(value) and one == value) for one in allowed)


class Missing:
    """A name of Keras's that tinycnn does not have.

    Programs import more than they use, so that importing it does no harm; using it raises the error.

    Parameters
    ----------
    name : str
    cure : str
        What to do instead, as a part of a sentence.
    """

    def __init__(self, name: str, cure: str) -> None:
        self.__name__, self._cure = name, cure

    def __call__(self, *given: Any, **named: Any) -> NoReturn:
        raise not_here(self.__name__, self._cure)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> NoReturn:
        raise not_here(self.__name__, self._cure)

    def __instancecheck__(self, thing: Any) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise not_here(f"{self.__name__}.{name}", self._cure)

    def __repr__(self) -> str:
        return f"<{self.__name__} of Keras, which is not part of tinycnn>"


def looked_up(module: str, known: Iterable[str], missing: dict[str, str]) -> Callable[[str], Any]:
    """Return the function ``__getattr__`` of a module.

    It gives a :class:`Missing` for the names in ``missing``, and an error with the nearest name for all others.

    Parameters
    ----------
    module : str
        The module's ``__name__``.
    known : iterable of str
        What the module has.
    missing : dict of str to str
        The names of Keras's that it does not have, and what to do instead.
    """
    short = module.removeprefix(PACKAGE)
    known = sorted(known)

    def find(name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if name in missing:
            return Missing(f"{short}.{name}", missing[name])
        near = difflib.get_close_matches(name, [*known, *missing], n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}."
        # In ``from module import name`` Python would replace an AttributeError by an error without this text.
        importing = _is_import(sys._getframe(1))
        raise (ImportError if importing else AttributeError)(f"{short} has no {name}; {hint} See {PAGE}")

    return find


def _is_import(frame: Any) -> bool:
    """Return whether the statement that a frame executes is ``from ... import name``."""
    import dis

    return dis.opname[frame.f_code.co_code[frame.f_lasti]] == "IMPORT_FROM"
