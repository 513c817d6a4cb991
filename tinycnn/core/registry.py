"""What a layer is given by name or as an object: activations, initializers, regularizers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TypeVar

from .checks import arguments, shown, unknown
from .types import Config
from .version import is_ours

C = TypeVar("C")
T = TypeVar("T", bound="Named")


def class_name(thing: Any) -> str:
    """The name of a thing's class in a description, by which its reader will find that class.

    Raises
    ------
    ValueError
        For a class of a user's own that is called as one of tinycnn's of its kind: it would be taken for that.
    """
    cls: type = type(thing)
    if not is_ours(cls):
        kinds = [base for base in cls.__mro__ if is_ours(base) and base is not Named]
        if any(is_ours(known) and known.__name__ == cls.__name__ for known in _family(kinds[-1])):
            raise ValueError(
                f"a class of your own is called {cls.__name__}, as one of tinycnn's, and would be taken for that: "
                "choose another name"
            )
    return cls.__name__


def _family(base: type) -> Iterator[type]:
    """A class and all that derive from it."""
    yield base
    derived: list[type] = base.__subclasses__()
    for cls in derived:
        yield from _family(cls)


class Named:
    """Base of things that are described by their class and their constructor's arguments.

    A subclass keeps each argument under its own name, and nothing else.
    """

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return dict(vars(self))

    def describe(self) -> Any:
        """What :func:`find` makes an equal one from; ready for JSON."""
        return {"class_name": class_name(self), "config": self.get_config()}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in self.get_config().items())})"


def find(kind: str, wanted: Any, base: type[T], known: dict[str, type[T]], name: str = "") -> T:
    """One of ``known``, from its name, its class name, its description, or itself.

    Parameters
    ----------
    kind : str
        What is looked for, for errors.
    wanted
    base : class
        Of all of the kind.
    known : dict of str to class
    name : str, optional
        The argument's, for errors, where it is not the kind.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If its description has arguments that it does not take.
    """
    if isinstance(wanted, base):
        return wanted
    called, config = described(wanted)
    by_name = known | {cls.__name__: cls for cls in known.values()} | custom(base)
    if not isinstance(called, str) or called not in by_name:
        raise unknown(kind, called, known | custom(base), name)
    return by_name[called](**arguments(config, f"config of {name or kind} {called}"))


#: A user's classes by name, while a description is read that may hold them; what reads it need not hand them down.
_CUSTOM: ContextVar[Mapping[str, type]] = ContextVar("custom_objects", default=MappingProxyType({}))


@contextmanager
def custom_classes(given: Any) -> Iterator[None]:
    """Within this block descriptions may name these classes too; None adds none.

    Raises
    ------
    TypeError
        For anything but a dict of names to classes of a kind that descriptions name.
    """
    from .. import layers, losses, metrics, optimizers, schedules
    from ..activations import ActivationFunction
    from ..initializers import Initializer
    from ..regularizers import Regularizer

    bases = (
        *(layers.Layer, losses.Loss, metrics.Metric, optimizers.Optimizer, schedules.LearningRateSchedule),
        *(ActivationFunction, Initializer, Regularizer),
    )
    good = given is None or (
        isinstance(given, dict)
        and all(isinstance(key, str) for key in given)
        and all(isinstance(cls, type) and issubclass(cls, bases) for cls in given.values())
    )
    if not good:
        raise TypeError(
            "custom_objects must be a dict of names to subclasses of "
            f"{', '.join(base.__name__ for base in bases)}; got {shown(given)}"
        )
    token = _CUSTOM.set({**_CUSTOM.get(), **(given or {})})
    try:
        yield
    finally:
        _CUSTOM.reset(token)


def custom(base: type[C]) -> dict[str, type[C]]:
    """The user's classes of one kind, within :func:`custom_classes`."""
    return {name: cls for name, cls in _CUSTOM.get().items() if issubclass(cls, base)}


def described(wanted: Any) -> tuple[Any, Any]:
    """Name and configuration, from a description or from a name alone."""
    if isinstance(wanted, dict) and wanted.keys() == {"class_name", "config"}:
        return wanted["class_name"], wanted["config"]
    return wanted, {}
