"""Descriptions: how an object is written down, so that :class:`tinycnn.core.registry.Registry` finds an equal one.

The rule is the same for every class: ``__init__`` keeps each argument under its own name, and ``get_config`` returns
them. A user's class that breaks the rule is found when it is saved, because it is then made again from what was
written.
"""

import copy
import functools
import inspect
import math
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from .messages import shown
from .own import Form
from .printing import for_print
from .registry import bases, custom_classes, is_taken, made
from .types import Config
from .version import is_ours

#: The user's classes that are described while a description is made, by name.
_MET: ContextVar[dict[str, type]] = ContextVar("classes_met")
#: Stands for an argument that an object does not keep.
_NOTHING: Any = type("_Nothing", (), {"__repr__": lambda self: "nothing", "__deepcopy__": lambda self, memo: self})()
#: What to do if an object cannot be made again.
_CURE = (
    "Let __init__ take **base and hand it on with super().__init__(**base), or define get_config, and from_config if "
    "need be, so that from_config(get_config()) makes an equal object"
)


def described(thing: Any) -> Config:
    """Return the description from which :meth:`Registry.find` makes an equal object, in a form for JSON.

    The object is made again from its description at once, because a mistake can be corrected now, and not when the file
    is read.

    Raises
    ------
    ValueError
        If the class is a user's own and has the name of one of tinycnn's, for which readers would take it; or if an
        attribute has been set to what the constructor does not take.
    TypeError
        If the class is a user's own and what would be made from the description is not equal.
    """
    cls = type(thing)
    met: dict[str, type] = {}
    token = _MET.set(met)
    try:
        config = thing.get_config()
        if is_ours(cls):
            _check_values(thing, config, met)
        else:
            if is_taken(thing):
                raise ValueError(
                    f"your own class {cls.__name__} has the name of one of tinycnn's classes, and whoever reads the "
                    "file would take it for that one; rename your class"
                )
            config = _complete(thing, config)
            met[cls.__name__] = cls
            config = _tried(thing, config, met)
    finally:
        _MET.reset(token)
    _MET.get({}).update(met)
    return {"class_name": cls.__name__, "config": config}


def _complete(thing: Any, config: Any) -> Config:
    """Return the configuration of an object of a user's class in a form for JSON, or raise if it lacks an argument."""
    cls = type(thing)
    if not isinstance(config, dict):
        raise TypeError(f"{cls.__name__} cannot be saved: get_config must return a dict; got {shown(config)}")
    config = {key: _plain(value) for key, value in config.items()}
    for key, value in config.items():
        if not isinstance(key, str) or not _is_json(value):
            raise TypeError(
                f"{cls.__name__} cannot be saved: get_config returns what JSON does not hold, {shown(key)}: "
                f"{shown(value)}; return numbers, text, lists and dicts, and define from_config to make them into more"
            )
    surplus = sorted(getattr(thing, "_surplus", ()))
    lost = [name for name in (*constructor_arguments(cls, own=True), *surplus) if name not in config]
    if lost and lost[0].startswith("*") and not _has_own(cls, "from_config"):
        raise TypeError(
            f"{cls.__name__} cannot be saved, because get_config does not return its arguments {lost[0]!r}; let "
            "__init__ take arguments with names, or define get_config and from_config"
        )
    if lost and not _has_own(cls, "from_config"):  # a user's own knows what to do with the configuration
        raise TypeError(
            f"{cls.__name__} cannot be saved, because get_config does not return its argument {lost[0]!r}; define "
            f"get_config so that it returns super().get_config() | {{{lost[0]!r}: self.{lost[0]}}}"
        )
    return config


def _check_values(thing: Any, config: Config, met: Mapping[str, type]) -> None:
    """Raise unless the constructor of one of tinycnn's classes takes what the attributes have been set to since."""
    try:
        _made_again(thing, config, met)
    except (TypeError, ValueError) as error:
        kind = type(thing).__name__
        raise type(error)(f"{kind} cannot be saved, because a file with it could not be loaded: {error}") from error


def _tried(thing: Any, config: Config, met: Mapping[str, type]) -> Config:
    """Return a configuration, or that part of it which ``__init__`` takes, or raise if it makes an object that differs.

    What differs may be the configuration, or an argument of a base.
    """
    cls = type(thing)
    try:
        again, taken = _made_again(thing, config, met), config
    except Exception as error:  # whatever a user's constructor raises
        try:
            taken = _taken(thing, config, met)
            again = _made_again(thing, taken, met)
        except Exception:  # the first error is the one to report
            raise TypeError(
                f"{cls.__name__} cannot be saved, because it cannot be made again from what get_config returns: "
                f"{error}. {_CURE}"
            ) from error
    _check_equal(thing, again, config)
    return taken


def _made_again(thing: Any, config: Config, met: Mapping[str, type]) -> Any:
    """Return the object that a configuration makes, which may name the user's classes that were met."""
    with custom_classes({name: one for name, one in met.items() if issubclass(one, bases())}):
        return made(type(thing), copy.deepcopy(config))


def _taken(thing: Any, config: Config, met: Mapping[str, type]) -> Config:
    """Return a configuration without the arguments that ``__init__`` gives its base by itself.

    These are ``kernel_size`` in ``super().__init__(filters, 3, **base)``, and ``name`` if a class in the middle does
    not take it. They are those that are equal without having been given.
    """
    kinds = {one.kind for one in inspect.signature(type(thing).__init__).parameters.values()}
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        raise TypeError("arguments without a name may be more than what is handed on, and would be lost")
    own = {*constructor_arguments(type(thing), own=True), *getattr(thing, "_surplus", ())}
    found = _made_again(thing, {name: value for name, value in config.items() if name in own}, met).get_config()
    return {name: value for name, value in config.items() if name in own or _plain(found.get(name)) != value}


def _check_equal(thing: Any, again: Any, config: Config) -> None:
    """Raise unless an object that was made again has this configuration too, and the same arguments of its bases."""
    cls = type(thing)
    try:
        found = {key: _plain(value) for key, value in again.get_config().items()}
    except Exception as error:  # whatever a user's get_config raises
        raise TypeError(f"{cls.__name__} cannot be saved, because its get_config fails: {error}. {_CURE}") from error
    for name in {**config, **found, **dict.fromkeys(constructor_arguments(cls, bases=True))}:
        if name in config or name in found:
            saved, loaded = (one.get(name) for one in (config, found))
        else:
            saved, loaded = (_plain(kept_argument(one, name)) for one in (thing, again))
        if _is_json(saved) and _is_json(loaded) and saved != loaded:
            if name not in config:
                raise TypeError(
                    f"{cls.__name__} cannot be saved, because its __init__ does not take {name!r}, which is "
                    f"{shown(saved)} and would be {shown(loaded)} after loading. {_CURE}"
                )
            raise TypeError(
                f"{cls.__name__} cannot be saved: its argument {name!r} would be {shown(loaded)} after loading, "
                f"instead of {shown(saved)}. Keep each argument under its own name as it was given, or define "
                "get_config so that it returns what __init__ has to be given"
            )
        kinds, kinds_again = (list(_kinds_in(kept_argument(one, name))) for one in (thing, again))
        if kinds and kinds != kinds_again:
            raise TypeError(
                f"{cls.__name__} cannot be saved: its argument {name!r} is or holds an object of {kinds[0].__name__}, "
                f"and would be {shown(loaded)} after loading. Make it an object again in __init__: "
                f"activations.get(activation), and likewise get of other modules; or layers.deserialize(layer) if "
                "isinstance(layer, dict), and likewise for schedules"
            )


def _kinds_in(value: Any) -> Iterator[type]:
    """Yield the classes of the objects that a description stands for, in lists, tuples and dicts too."""
    if isinstance(value, bases()):
        yield type(value)
    elif isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _kinds_in(item)


def constructor_config(thing: Any, label: str = "") -> Config:
    """Return the constructor's arguments of an object that keeps each one under its own name, in a form for JSON.

    If the class of the object has a ``get_config`` of a user's own, arguments that are not kept in this way are left to
    it.

    Raises
    ------
    TypeError
        If an argument was not kept under its own name, or JSON cannot hold it.
    """
    cls, label = type(thing), label or type(thing).__name__
    config: Config = {}
    for name in constructor_arguments(cls):
        value = kept_argument(thing, name)
        plain = _plain(value)
        if value is not _NOTHING and _is_json(plain):
            if not (is_ours(cls) and name in cls._added and plain == cls._added[name]):
                config[name] = plain
        elif _has_own(cls, "get_config"):
            continue
        elif value is _NOTHING:
            raise TypeError(
                f"{label}: cannot be saved, because __init__ does not keep its argument {name!r}; add "
                f"self.{name} = {name}, or define get_config"
            )
        else:
            raise TypeError(
                f"{label}: cannot be saved, because JSON does not hold its argument {name!r}, {shown(value)}; "
                "define get_config and from_config"
            )
    return config


def constructor_arguments(cls: type, *, own: bool = False, bases: bool = False) -> list[str]:
    """Return the names of the arguments that a class takes, its own first.

    The arguments of a base count if ``__init__`` takes any argument (``**base``) and so can hand it on.

    Parameters
    ----------
    cls : class
    own : bool
        Only those that the first ``__init__`` names, and none if that is tinycnn's.
    bases : bool
        Add the arguments of all bases.
    """
    names: dict[str, None] = {}
    for base in cls.__mro__:
        if "__init__" not in base.__dict__ or base is object:
            continue
        if own and is_ours(base):
            break
        parameters = list(inspect.signature(base.__dict__["__init__"]).parameters.values())[1:]
        variadic = [one for one in parameters if one.kind in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
        names.update(dict.fromkeys(one.name for one in parameters if one not in variadic))
        outermost = base is next(one for one in cls.__mro__ if "__init__" in one.__dict__)
        if own or (not variadic and not bases and (outermost or is_ours(base))):
            break  # a user's class in the middle may be passed over, as in Layer.__init__(self, **base)
    return list(names)


def kept_argument(thing: Any, name: str) -> Any:
    """Return what an object keeps under the name of an argument, or ``_NOTHING``; a default of the class is nothing."""
    name = getattr(type(thing), "_kept_as", {}).get(name, name)
    if name in getattr(thing, "__dict__", {}) or hasattr(inspect.getattr_static(type(thing), name, None), "__get__"):
        value = getattr(thing, name, _NOTHING)
        return _NOTHING if inspect.ismethod(value) else value
    return _NOTHING


def _has_own(cls: type, method: str) -> bool:
    """Return whether a method of a class is a user's own."""
    found = getattr(cls, method, None)
    return found is not None and not is_ours(found)


def _plain(value: Any) -> Any:
    """Return a constructor argument as JSON can hold it."""
    if isinstance(value, bases()):
        return value.describe() if isinstance(value, Named) else described(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def _is_json(value: Any) -> bool:
    """Return whether JSON can hold a value; it cannot hold NaN and infinity."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))


def _note_surplus(cls: type) -> None:
    """Let a class whose ``__init__`` takes ``*args`` or ``**base`` note which arguments came in that way."""
    init = vars(cls).get("__init__")
    if not inspect.isfunction(init):
        return
    named, places, variadic = _parameters(init)
    if not variadic:
        return
    following = next(base for base in cls.__mro__[1:] if "__init__" in vars(base))
    _, places_below, variadic_below = _parameters(vars(following)["__init__"])
    most = 0 if following is object else math.inf if variadic_below else places_below

    @functools.wraps(init)
    def noting(self: Any, *given: Any, **more: Any) -> None:
        if type(self).__init__ is noting:  # what a subclass hands on is no argument of the object
            surplus = vars(self).setdefault("_surplus", set())
            surplus.update(more.keys() - named)
            if len(given) - places > most:  # more than could be handed on
                surplus.update(f"*{name}" for name in variadic)
        init(self, *given, **more)

    cls.__init__ = noting  # type: ignore[misc]


def _parameters(init: Any) -> tuple[set[str], int, list[str]]:
    """Return the names of a constructor's arguments, how many can be given by place, and names like ``args``."""
    parameters = list(inspect.signature(init).parameters.values())[1:]
    variadic = [one.name for one in parameters if one.kind in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    places = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return {one.name for one in parameters} - set(variadic), len(places), variadic


class Described:
    """The base of objects that are described by their class and their constructor's arguments.

    A subclass stores each argument under its own name.
    """

    #: What a user's class of this family has to define.
    _form: ClassVar[Form | None] = None
    #: Arguments that did not exist in files of format 1; they are left out where they have these defaults.
    _added: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    #: The attributes of those arguments that are kept under another name.
    _kept_as: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        if not is_ours(cls):
            _note_surplus(cls)
        if cls._form is not None:
            cls._form.watch(cls)

    def get_config(self) -> Config:
        """Return the constructor's arguments, ready for JSON.

        Raises
        ------
        TypeError
            If an argument was not stored under its own name, or JSON cannot hold it.
        """
        return constructor_config(self)


class Named(Described):
    """The base of small objects that other objects are given as arguments."""

    def describe(self) -> Any:
        """Return the description from which :meth:`Registry.find` makes an equal object, in a form for JSON."""
        return described(self)

    def __repr__(self) -> str:
        try:
            config = self.get_config()
        except Exception:  # errors have to show an object even if it cannot be saved
            return f"<{type(self).__name__}>"
        given = ", ".join(f"{key}={value!r}" for key, value in config.items())
        return for_print(f"{type(self).__name__}({given})")
