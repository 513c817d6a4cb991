"""What a layer is given by name or as an object: activations, initializers, regularizers."""

from typing import Any, TypeVar

from ._checks import unknown
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


def find(kind: str, wanted: Any, base: type[T], known: dict[str, type[T]]) -> T:
    """One of ``known``, from its name, its class name, its description, or itself.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if isinstance(wanted, base):
        return wanted
    config: Config = {}
    name = wanted
    if isinstance(wanted, dict) and wanted.keys() == {"class_name", "config"}:
        name, config = wanted["class_name"], wanted["config"]
    by_name = known | {cls.__name__: cls for cls in known.values()}
    if not isinstance(name, str) or name not in by_name:
        raise unknown(kind, name, known)
    return by_name[name](**config)
