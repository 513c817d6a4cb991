"""Keras's way to call the engine's classes: arguments by place, old names, and what is accepted without a meaning.

The engine's classes stay what they are, because what runs as one kernel and what a file says goes by the exact class.
So ``keras.layers.Conv2D`` is no class of its own but a :class:`Spelling` of the engine's: calling it makes an object of
the engine's class, ``isinstance`` asks for that class, and deriving from it derives from that class.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..core.description import constructor_arguments
from ..core.messages import unexpected
from ._telling import PAGE, Missing, is_one_of, not_so, told

#: A rule for an argument that the engine does not have. It gets the class's name, the argument's and the value, and
#: returns what is to be added to the engine's arguments, or raises.
Rule = Callable[[str, str, Any], dict[str, Any]]


def only(*allowed: Any, cure: str) -> Rule:
    """Return the rule for an argument that may have these values alone, which say what is so anyway."""

    def rule(kind: str, name: str, value: Any) -> dict[str, Any]:
        if is_one_of(value, *allowed):
            return {}
        raise not_so(kind, name, value, cure)

    return rule


def ignored(why: str) -> Rule:
    """Return the rule for an argument that is accepted and said to mean nothing; None is not worth a word."""

    def rule(kind: str, name: str, value: Any) -> dict[str, Any]:
        if value is not None:
            told(f"{kind}: {name} has no effect: {why}")
        return {}

    return rule


def silent(kind: str, name: str, value: Any) -> dict[str, Any]:
    """Accept an argument that makes no difference to any result."""
    return {}


def now(new: str, change: Callable[[Any], Any] | None = None) -> Rule:
    """Return the rule for an argument that has another name now."""

    def rule(kind: str, name: str, value: Any) -> dict[str, Any]:
        return {new: value if change is None else change(value)}

    return rule


class Spelling:
    """A class of the engine's, called as in Keras.

    Parameters
    ----------
    cls : class
        The engine's class.
    order : sequence of str
        The arguments that Keras takes by place; by default those of the engine's class.
    rules : dict of str to Rule
        The arguments that the engine does not have, or has under another name.
    changes : dict of str to callable
        What to do with the values of arguments that the engine has.
    defaults : dict
        Defaults of Keras's that are not the engine's.
    """

    def __init__(
        self,
        cls: type,
        order: tuple[str, ...] = (),
        rules: Mapping[str, Rule] | None = None,
        changes: Mapping[str, Callable[[Any], Any]] | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        self.cls = cls
        self.order = order or _places(cls)
        self.rules, self.changes, self.defaults = rules or {}, changes or {}, defaults or {}
        self.__name__ = self.__qualname__ = cls.__name__
        self.__module__, self.__doc__ = cls.__module__, cls.__doc__

    def __call__(self, *given: Any, **named: Any) -> Any:
        found = self.translated(given, named)
        self.check(found)
        return self.cls(**found)

    def translated(self, given: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        """Return the engine's arguments for those of a call, or raise an error that says how to write it."""
        kind = self.__name__
        if len(given) > len(self.order):
            raise TypeError(
                f"{kind} takes {len(self.order)} arguments by place, {', '.join(self.order)}; got {len(given)}"
            )
        for name in self.order[: len(given)]:
            if name in named:
                raise TypeError(f"{kind}: {name} is given twice, by place and by name")
        wanted = {**self.defaults, **dict(zip(self.order, given, strict=False)), **named}
        found: dict[str, Any] = {}
        origin: dict[str, str] = {}
        for name, value in wanted.items():
            rule = self.rules.get(name)
            for key, one in ({name: value} if rule is None else rule(kind, name, value)).items():
                if key in found:
                    raise TypeError(f"{kind}: {name} and {origin[key]} both stand for {key}; give one of them")
                origin[key] = name
                found[key] = self.changes[key](one) if key in self.changes else one
        return found

    def check(self, found: dict[str, Any]) -> None:
        """Raise a TypeError that suggests the nearest argument if the engine's class does not take one of these."""
        known = set(constructor_arguments(self.cls)) - set(getattr(self.cls, "fixed_arguments", ()))
        unknown = [name for name in found if name not in known]
        if unknown:
            raise TypeError(f"{unexpected(self.cls, unknown)} See {PAGE}")

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.cls)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (self.cls,)

    def __instancecheck__(self, thing: Any) -> bool:
        return isinstance(thing, self.cls)

    def __subclasscheck__(self, cls: type) -> bool:
        return issubclass(cls, self.cls)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "cls" not in vars(self):
            raise AttributeError(name)
        return getattr(self.cls, name)

    def __repr__(self) -> str:
        return f"<{self.__name__} of tinycnn, called as in Keras>"


def engine_class(thing: Any) -> Any:
    """Return the class that a spelling stands for; what is missing says so; anything else stands for itself."""
    if isinstance(thing, Missing):
        thing()  # it raises the error
    return thing.cls if isinstance(thing, Spelling) else thing


def _places(cls: type) -> tuple[str, ...]:
    """Return the arguments that a class takes by place."""
    found = inspect.signature(cls).parameters.values()
    return tuple(one.name for one in found if one.kind is one.POSITIONAL_OR_KEYWORD)
