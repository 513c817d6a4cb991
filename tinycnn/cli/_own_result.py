"""A learner's function in the place of a kernel: it gives one of the kernel's results, and the reference the others.

The functions of the course have other names for some arguments than the kernels, other shapes, and one number for the
stride and the pad. What a kernel is not given, such as the stride, is that of the case.
"""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from ..core.backend import Backend
from ..core.own import kind_of
from ..core.types import Array, Shape
from ..course.exercise import Case

#: What a learner's function is never given.
_MEMORY = ("out", "work")


def adapter(
    function: str,
    case: Case,
    result: int,
    shape: Shape,
    kernel: str,
    position: int,
    renamed: Mapping[str, str],
) -> Callable[[ModuleType], Any]:
    """Return what makes an object with one kernel of a learner's module.

    Parameters
    ----------
    function : str
        The learner's function.
    case : Case
        Its arguments: those that are arrays have the shapes in which it is given the kernel's.
    result : int
        Which of its results is asked for, if it returns several.
    shape : tuple of int
        The shape that this result has to have.
    kernel : str
        The kernel whose place it takes.
    position : int
        Which of the kernel's results it gives.
    renamed : dict of str to str
        What the kernel calls arguments that have another name in the case.
    """
    right: Callable[..., Any] = getattr(Backend("reference").kernels, kernel)
    given = inspect.signature(right)
    parameters = [one for one in given.parameters.values() if one.name not in _MEMORY]

    def adapted(module: ModuleType) -> Any:
        from ..explore.mine import KernelFileError

        file = Path(str(module.__file__)).name
        own: Any = getattr(module, function, None)
        if not callable(own):
            raise KernelFileError(f"{file} has no function {function}")

        def in_its_place(*arguments: Any) -> Any:
            there = dict(zip((one.name for one in parameters), arguments, strict=False))
            values = [_like(there.get(renamed.get(name, name), value), value) for name, value in case.arguments.items()]
            expected = right(*arguments)
            found = own(*values)
            number = found[result] if isinstance(found, tuple | list) else found
            if np.shape(number) != shape:
                raise ValueError(f"{function} returned {kind_of(number)}; the right shape is {shape}")
            if not isinstance(expected, tuple):
                return _in_form(number, expected)
            return tuple(_in_form(number, one) if n == position else one for n, one in enumerate(expected))

        in_its_place.__wrapped__ = own  # type: ignore[attr-defined]  # errors are told with lines of this function
        in_its_place.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return SimpleNamespace(__file__=module.__file__, **{kernel: in_its_place})

    return adapted


def _like(value: Any, like: Any) -> Any:
    """Return an argument in the shape and the dtype in which the case has it; the learner may change its numbers."""
    return np.array(value, like.dtype).reshape(like.shape) if isinstance(like, Array) else like


def _in_form(number: Any, expected: Array) -> Array:
    """Return what a learner's function has returned as the kernel returns it.

    Raises
    ------
    ValueError
        If whole numbers do not fit into the bytes in which the engine keeps the winners of windows.
    """
    found = np.asarray(number)
    if expected.dtype.kind == "u" and not 0 <= found.min(initial=0) <= found.max(initial=0) <= 255:
        raise ValueError(f"argmax must hold numbers from 0 to 255; got {found.min()} to {found.max()}")
    return np.array(found, expected.dtype).reshape(expected.shape)
