"""Objects that can be described by a name: layers, losses, metrics, optimizers, schedules, activations, …

Each family makes a :class:`Registry` of its classes. A description is a name, or ``{"class_name": …, "config": …}``,
which JSON can hold. :meth:`Registry.find` makes an object from a description, and :func:`described` makes a
description from an object.

Source: the idea that the registry knows no family, and that each family registers itself, is that of thinc
(``thinc/config.py``).
"""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import numpy as np

from .checks import arguments
from .messages import shown, unknown
from .printing import for_print
from .types import Config
from .version import is_ours

T = TypeVar("T")

#: The registry of each family that has been imported.
_REGISTRIES: list["Registry[Any]"] = []
#: A user's own classes, by name, while a description is read that may contain them; they are not passed as an argument.
_CUSTOM: ContextVar[Mapping[str, type]] = ContextVar("custom_objects", default=MappingProxyType({}))


class Registry(Generic[T]):
    """All classes of one kind, by the names that descriptions use.

    Parameters
    ----------
    kind : str
        What errors call an object of this kind, for instance ``"loss"``.
    base : class
        The class that all of them derive from.
    known : dict of str to class
        The classes, by the names that errors list. Each can also be found under its own name.
    aliases : dict of str to class, optional
        Further names, which errors do not list.
    any_case : bool
        Whether upper and lower case make no difference in names, as in Keras's names of optimizers.
    advice : dict of str to str, optional
        What to do instead, for names that people look for and that tinycnn does not have. The names are in lower case
        and without underscores.
    """

    def __init__(
        self,
        kind: str,
        base: type[T],
        known: Mapping[str, type[T]],
        aliases: Mapping[str, type[T]] | None = None,
        *,
        any_case: bool = False,
        advice: Mapping[str, str] | None = None,
    ) -> None:
        self.kind, self.base, self.known = kind, base, known
        self._any_case, self._advice = any_case, advice or {}
        self._names = {**known, **(aliases or {}), **{cls.__name__: cls for cls in known.values()}}
        _REGISTRIES.append(self)

    def find(self, wanted: Any, argument: str = "") -> T:
        """Return the object that a name, the name of a class, or a description stands for; an object stands for itself.

        Parameters
        ----------
        wanted
            What was given.
        argument : str, optional
            The name of the argument for which it was given; errors begin with it.

        Raises
        ------
        ValueError
            If the name is unknown; the message suggests the nearest one that is known.
        TypeError
            If the description has arguments that the class does not take.
        """
        if isinstance(wanted, self.base):
            return wanted
        name, config = _name_and_config(wanted)
        cls = self.class_called(name, argument)
        return _made(cls, arguments(config, f"config of {argument or self.kind} {name}"))

    def read(self, description: Any, argument: str) -> T:
        """Return the object that a whole description stands for; a name alone is refused.

        Raises
        ------
        ValueError
            If it is not a description, or the name of its class is unknown.
        TypeError
            If it has arguments that the class does not take.
        """
        if not isinstance(description, Mapping) or not isinstance(description.get("config"), Mapping):
            raise ValueError(
                f"{argument}: a {self.kind} is described by {{'class_name': name, 'config': arguments}}; "
                f"got {shown(description)}"
            )
        cls = self.class_called(description.get("class_name"), argument)
        return _made(cls, arguments(description["config"], f"config of {self.kind} {description['class_name']}"))

    def class_called(self, name: Any, argument: str = "") -> type[T]:
        """Return the class with this name, which within :func:`custom_classes` may be a user's own."""
        known = {**self.known, **self._custom()}
        by_name = {**self._names, **self._custom()}
        if self._any_case:
            known = {key.lower(): cls for key, cls in known.items()}
            by_name = {key.lower(): cls for key, cls in by_name.items()}
        key = name.lower() if self._any_case and isinstance(name, str) else name
        if isinstance(key, str) and key in by_name:
            return by_name[key]
        advice = self._advice.get(name.lower().replace("_", "")) if isinstance(name, str) else None
        if advice is not None:
            raise ValueError(f"{argument or self.kind}: there is no {shown(name)}; {advice}")
        raise unknown(self.kind, name, known, argument)

    def names_exactly(self, name: str, thing: T) -> bool:
        """Return whether a name alone stands for ``thing``: it has the name's class, and the default arguments."""
        cls = self._names.get(name)
        return type(thing) is cls and thing.get_config() == cls().get_config()  # type: ignore[attr-defined]

    def _custom(self) -> dict[str, type[T]]:
        """Return those of a user's classes that are of this kind."""
        return {name: cls for name, cls in _CUSTOM.get().items() if issubclass(cls, self.base)}

    def _is_taken(self, name: str) -> bool:
        """Return whether a class of tinycnn's own of this kind has this name, registered or not."""
        return any(is_ours(cls) and cls.__name__ == name for cls in _family(self.base))


def _made(cls: type[T], config: Config) -> T:
    """Return an object of a class from the arguments of a description, by the class's own ``from_config`` if any."""
    from_config = getattr(cls, "from_config", None)
    return cls(**config) if from_config is None else from_config(config)


def _name_and_config(wanted: Any) -> tuple[Any, Any]:
    """Return the two parts of a description; a name alone has no arguments."""
    if isinstance(wanted, dict) and wanted.keys() == {"class_name", "config"}:
        return wanted["class_name"], wanted["config"]
    return wanted, {}


def _family(base: type) -> Iterator[type]:
    """Yield a class and all that derive from it."""
    yield base
    derived: list[type] = base.__subclasses__()
    for cls in derived:
        yield from _family(cls)


def described(thing: Any) -> Config:
    """Return the description from which :meth:`Registry.find` makes an equal object, in a form for JSON.

    Raises
    ------
    ValueError
        If the class is a user's own and has the name of one of tinycnn's, for which readers would take it.
    TypeError
        If the class is a user's own and could not be made again from what its ``get_config`` returns.
    """
    cls, config = type(thing), thing.get_config()
    if not is_ours(cls):
        if any(isinstance(thing, registry.base) and registry._is_taken(cls.__name__) for registry in _REGISTRIES):
            raise ValueError(
                f"your own class {cls.__name__} has the name of one of tinycnn's classes, and whoever reads the file "
                "would take it for that one; rename your class"
            )
        from_config = getattr(cls, "from_config", None)
        if from_config is None or is_ours(from_config):  # a user's own knows what to do with the configuration
            _check_complete(cls, config)
    return {"class_name": cls.__name__, "config": config}


def _check_complete(cls: type, config: Config) -> None:
    """Raise unless a user's class takes its configuration, and the configuration has all of its arguments."""
    try:
        inspect.signature(cls).bind(**config)
    except TypeError as error:
        raise TypeError(
            f"{cls.__name__} cannot be saved, because its __init__ does not take what get_config returns: {error}. Let "
            "__init__ take **base and hand it on with super().__init__(**base), or define get_config"
        ) from None
    known = set(constructor_arguments(next(base for base in cls.__mro__ if is_ours(base))))
    lost = [name for name in constructor_arguments(cls) if name not in known and name not in config]
    if lost:
        raise TypeError(
            f"{cls.__name__} cannot be saved, because get_config does not return its argument {lost[0]!r}; define "
            f"get_config so that it returns super().get_config() | {{{lost[0]!r}: self.{lost[0]}}}"
        )


@contextmanager
def custom_classes(given: Any) -> Iterator[None]:
    """Let descriptions name a user's own classes within this block; None adds none.

    Raises
    ------
    TypeError
        If ``given`` is not a dict from names to classes of a kind that has a registry.
    """
    bases = tuple(registry.base for registry in _REGISTRIES)
    valid = given is None or (
        isinstance(given, dict)
        and all(isinstance(key, str) for key in given)
        and all(isinstance(cls, type) and issubclass(cls, bases) for cls in given.values())
    )
    if not valid:
        raise TypeError(
            "custom_objects must be a dict from names to subclasses of "
            f"{', '.join(sorted(base.__name__ for base in bases))}; got {shown(given)}"
        )
    token = _CUSTOM.set({**_CUSTOM.get(), **(given or {})})
    try:
        yield
    finally:
        _CUSTOM.reset(token)


def constructor_config(thing: Any, label: str) -> Config:
    """Return the constructor's arguments of an object that keeps each one under its own name, in a form for JSON.

    Raises
    ------
    TypeError
        If an argument was not kept under its own name, or JSON cannot hold it.
    """
    config: Config = {}
    for name in constructor_arguments(type(thing)):
        if not hasattr(thing, name):
            raise TypeError(f"{label}: cannot be saved, because __init__ does not keep its argument {name!r}")
        config[name] = _plain(getattr(thing, name))
        if not _is_json(config[name]):
            raise TypeError(
                f"{label}: cannot be saved, because JSON does not hold its argument {name!r}, "
                f"{shown(getattr(thing, name))}; define get_config and from_config"
            )
    return config


def constructor_arguments(cls: type) -> list[str]:
    """Return the names of all arguments that a class and its bases take, the class's own first."""
    names: dict[str, None] = {}
    for base in cls.__mro__:
        if "__init__" in base.__dict__ and base is not object:
            for parameter in list(inspect.signature(base.__dict__["__init__"]).parameters.values())[1:]:
                if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                    names.setdefault(parameter.name)
    return list(names)


def _plain(value: Any) -> Any:
    """Return a constructor argument as JSON can hold it."""
    if isinstance(value, Named):
        return value.describe()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _is_json(value: Any) -> bool:
    """Return whether JSON can hold a value."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, str | bool | int | float)


class Named:
    """The base of objects that are described by their class and their constructor's arguments.

    A subclass stores each argument under its own name, and stores nothing else.
    """

    def get_config(self) -> Config:
        """Return the constructor's arguments."""
        return dict(vars(self))

    def describe(self) -> Any:
        """Return the description from which :meth:`Registry.find` makes an equal object, in a form for JSON."""
        return described(self)

    def __repr__(self) -> str:
        given = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return for_print(f"{type(self).__name__}({given})")
