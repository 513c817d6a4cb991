"""What happens when an argument of a layer is changed after the layer was built.

Shapes, weights and seeds follow from the arguments when a layer is built, so most of them are fixed from then on. Those
that are read anew by every forward pass are listed in the class's ``changeable``; they take what the constructor takes.
"""

from functools import cache
from typing import Any

from .. import regularizers
from ..core.description import constructor_arguments
from ..core.messages import shown
from ..core.version import is_ours


class RegularizerOf:
    """An argument that is the regularizer of a parameter; once the parameter is made, it is found there alone.

    Parameters
    ----------
    parameter : str
        The parameter's name in ``params``.
    """

    def __init__(self, parameter: str) -> None:
        self._parameter = parameter

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, layer: Any, owner: type) -> Any:
        if layer is None:
            return self
        parameter = layer.params.get(self._parameter)
        return vars(layer)[f"_{self._name}"] if parameter is None else parameter.regularizer

    def __set__(self, layer: Any, value: Any) -> None:
        vars(layer)[f"_{self._name}"] = found = regularizers.get(value, self._name)
        if self._parameter in layer.params:
            layer.params[self._parameter].regularizer = found


def changed(layer: Any, name: str, value: Any) -> Any:
    """Return the value that an attribute of a built layer gets, in the form that the constructor gives it.

    Raises
    ------
    RuntimeError
        If the attribute is fixed, because something that was made when the layer was built follows from it.
    TypeError, ValueError
        If the constructor does not take the value.
    """
    cls = next(base for base in type(layer).__mro__ if is_ours(base))
    if name == "dtype" or name in _plain_arguments(cls):
        now = getattr(layer, name)
        if name != "dtype" and name not in layer.fixed_arguments:
            taken = [key for key in constructor_arguments(cls) if key not in layer.fixed_arguments]
            arguments = {key: getattr(layer, key) for key in taken}
            value = getattr(cls(**arguments | {name: value}), name)
        if name not in layer.changeable and value is not now and value != now:
            raise RuntimeError(
                f"{layer.label}: {name} is fixed when the layer is built, and it is {shown(now)}; make a new layer, "
                f"and a new model of it, to have {shown(value)}"
            )
    return value


@cache
def _plain_arguments(cls: type) -> frozenset[str]:
    """Return those arguments of one of tinycnn's classes that are plain attributes; properties check what they get."""
    return frozenset(
        name for name in constructor_arguments(cls) if not hasattr(getattr(cls, name, None), "__set__")
    ) - {"name", "trainable"}
