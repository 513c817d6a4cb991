"""What a layer is given by name or as an object: activations, initializers, regularizers."""

from typing import Any, TypeVar

from ._checks import arguments, unknown
from ._types import Config

T = TypeVar("T", bound="Named")


class Named:
    """Base of things that are described by their class and their constructor's arguments.

    A subclass keeps each argument under its own name, and nothing else.
    """

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return dict(vars(self))

    def describe(self) -> Any:
        """What :func:`find` makes an equal one from; ready for JSON."""
        return {"class_name": type(self).__name__, "config": self.get_config()}

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
    by_name = known | {cls.__name__: cls for cls in known.values()}
    if not isinstance(called, str) or called not in by_name:
        raise unknown(kind, called, known, name)
    return by_name[called](**arguments(config, f"config of {name or kind} {called}"))


def described(wanted: Any) -> tuple[Any, Any]:
    """Name and configuration, from a description or from a name alone."""
    if isinstance(wanted, dict) and wanted.keys() == {"class_name", "config"}:
        return wanted["class_name"], wanted["config"]
    return wanted, {}
