"""Objects that can be described by a name: layers, losses, metrics, optimizers, schedules, activations, …

Each family makes a :class:`Registry` of its classes. A description is a name, or ``{"class_name": …, "config": …}``,
which JSON can hold. :meth:`Registry.find` makes an object from a description, and
:func:`tinycnn.core.description.described` makes a description from an object.

Source: the idea that the registry knows no family, and that each family registers itself, is that of thinc
(``thinc/config.py``).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from .checks import arguments
from .messages import shown, unknown
from .own import Form
from .types import Config
from .version import is_ours

T = TypeVar("T")

#: The registry of each family that has been imported.
REGISTRIES: list["Registry[Any]"] = []
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
        REGISTRIES.append(self)

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
            check_form(wanted)
            return wanted
        if callable(wanted):
            raise self._not_an_object(wanted, argument)
        name, config = _name_and_config(wanted)
        cls = self.class_called(name, argument)
        return made(cls, arguments(config, f"config of {argument or self.kind} {name}"))

    def _not_an_object(self, given: Any, argument: str) -> Exception:
        """Return the error for a class or a function in place of an object."""
        if isinstance(given, type):
            return unknown(self.kind, given, self.known, argument)
        form: Form | None = getattr(self.base, "_form", None)
        hint = "" if form is None else f". {form.smallest}"
        where = argument or self.kind
        return TypeError(f"{where}: expected a name or an object, and no function; got {shown(given)}{hint}")

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
        return made(cls, arguments(description["config"], f"config of {self.kind} {description['class_name']}"))

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


def made(cls: type[T], config: Config) -> T:
    """Return an object of a class from the arguments of a description, by the class's own ``from_config`` if any."""
    from_config = getattr(cls, "from_config", None)
    thing = cls(**config) if from_config is None else from_config(config)
    check_form(thing)
    return thing


def _name_and_config(wanted: Any) -> tuple[Any, Any]:
    """Return the two parts of a description; a name alone has no arguments."""
    if isinstance(wanted, dict) and wanted.keys() == {"class_name", "config"}:
        return wanted["class_name"], wanted["config"]
    return wanted, {}


def is_taken(thing: Any) -> bool:
    """Return whether a class of tinycnn's own of the same kind, registered or not, has the name of this thing's."""
    kinds = [base for base in bases() if isinstance(thing, base)]
    return any(is_ours(cls) and cls.__name__ == type(thing).__name__ for base in kinds for cls in _family(base))


def _family(base: type) -> Iterator[type]:
    """Yield a class and all that derive from it."""
    yield base
    derived: list[type] = base.__subclasses__()
    for cls in derived:
        yield from _family(cls)


def check_form(thing: Any) -> None:
    """Raise a TypeError if an object of a user's class lacks what tinycnn calls, or has it as Keras wants it."""
    form: Form | None = getattr(type(thing), "_form", None)
    if form is not None:
        form.check(thing)


def bases() -> tuple[type, ...]:
    """Return the base class of each family."""
    return tuple(registry.base for registry in REGISTRIES)


@contextmanager
def custom_classes(given: Any) -> Iterator[None]:
    """Let descriptions name a user's own classes within this block; None adds none.

    Raises
    ------
    TypeError
        If ``given`` is not a dict from names to classes of a kind that has a registry.
    """
    valid = given is None or (
        isinstance(given, dict)
        and all(isinstance(key, str) for key in given)
        and all(isinstance(cls, type) and issubclass(cls, bases()) for cls in given.values())
    )
    if not valid:
        raise TypeError(
            "custom_objects must be a dict from names to subclasses of "
            f"{', '.join(sorted(base.__name__ for base in bases()))}; got {shown(given)}"
        )
    token = _CUSTOM.set({**_CUSTOM.get(), **(given or {})})
    try:
        yield
    finally:
        _CUSTOM.reset(token)
