"""Kernels of a learner's own in place of the reference's: how they are found, called and checked.

A learner's function has the name and the parameters of a kernel in ``kernels/reference``, and computes the same. It may
leave out the parameters that have a default (``algorithm``, ``out``, ``work``), and it never has to fill ``out``: it
returns a new array, which is checked and then copied to where the layer wants it. Arrays that a function must not
change are given to it as read-only views, so that a change raises an error at the line that makes it.
"""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from .messages import shown
from .own import OwnReturnError, calculates_otherwise, kind_of
from .types import Array, Shape

Function = Callable[..., Any]

#: The kernels that return nothing, and the arguments that they change.
IN_PLACE = {
    "adam_update": ("parameter", "m", "v"),
    "move_average": ("moving",),
    "rmsprop_update": ("parameter", "mean_square", "mean", "velocity"),
    "sgd_update": ("parameter", "velocity"),
}
#: The parameters that a learner's function is never given: where the result goes, and scratch memory.
MEMORY = ("out", "work")
#: How similar to a kernel's name another one has to be so that it is taken for a mistake.
NEARLY = 0.8
#: For how many kinds of arguments a function remembers what it has to return.
REMEMBERED = 256


class Form(NamedTuple):
    """What a result has to be: an array of this shape and dtype."""

    shape: Shape
    dtype: np.dtype

    def __str__(self) -> str:
        return f"an array of {self.dtype} with shape {self.shape}"


class Overlay:
    """Functions of a learner's own that take the places of kernels.

    Two overlays are equal if they have the same functions. A copy is the overlay itself, because nothing in it changes.

    Parameters
    ----------
    source : module or any object with functions
        Its public functions whose names are those of kernels count. What it has imported from the reference does not.
    reference : module
        The kernels whose places they take.

    Attributes
    ----------
    title : str
        What messages call the source.
    functions : dict of str to function
        The learner's functions, by the names of kernels.

    Raises
    ------
    TypeError
        If a function has other parameters than the kernel of its name.
    ValueError
        If there is no function with the name of a kernel, or one whose name nearly is one.
    """

    def __init__(self, source: Any, reference: ModuleType) -> None:
        file = getattr(source, "__file__", None)
        self.title = Path(file).name if isinstance(file, str) else getattr(source, "__name__", type(source).__name__)
        self.functions = _functions(source, self.title, {name: getattr(reference, name) for name in reference.__all__})
        for name, function in self.functions.items():
            _check_parameters(described(name, function), function, getattr(reference, name))

    def over(self, reference: ModuleType) -> ModuleType:
        """Return a module with the reference's kernels, and these functions in place of those of the same name."""
        kernels = ModuleType(f"{reference.__name__}, with functions of {self.title}", reference.__doc__)
        vars(kernels).update({name: getattr(reference, name) for name in reference.__all__}, __all__=reference.__all__)
        for name, function in self.functions.items():
            setattr(kernels, name, _OwnKernel(name, function, getattr(reference, name)))
        return kernels

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Overlay) and self.functions == other.functions

    def __hash__(self) -> int:
        return hash(tuple(self.functions))  # a callable object need not have a hash

    def __copy__(self) -> "Overlay":
        return self

    def __deepcopy__(self, memo: Any) -> "Overlay":
        return self

    def __repr__(self) -> str:
        return f"<{', '.join(self.functions)} of {self.title}>"


def described(name: str, function: Function) -> str:
    """Return what errors call a learner's function: its name, its file and its line."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return name if code is None else f"{name} ({Path(code.co_filename).name}, line {code.co_firstlineno})"


def _functions(source: Any, title: str, kernels: Mapping[str, Function]) -> dict[str, Function]:
    """Return the functions of a source that take a kernel's place; raise if a name nearly is one, or there are none."""
    found = {}
    for name in dir(source):
        near = [name] if name in kernels else difflib.get_close_matches(name, kernels, n=1, cutoff=NEARLY)
        function = getattr(source, name, None) if near and not name.startswith("_") else None
        if not callable(function) or isinstance(function, type):
            continue
        if near == [name]:
            if inspect.unwrap(function) is not inspect.unwrap(kernels[name]):
                found[name] = function
        elif not isinstance(source, ModuleType) or getattr(function, "__module__", None) == source.__name__:
            raise ValueError(
                f"overlay: {described(name, function)} is not the name of a kernel; did you mean {near[0]!r}? If it is "
                f"a function that only helps others, call it _{name}"
            )
    if not found:
        hint = "; give the module itself, after importing it" if isinstance(source, str | Path) else ""
        raise ValueError(
            "overlay must be a module or an object with a function that has the name of a kernel, such as relu_forward "
            f"(kernels/reference has them all); got {title if isinstance(source, ModuleType) else shown(source)}, which"
            f" has none{hint}"
        )
    return found


def _check_parameters(label: str, function: Function, kernel: Function) -> None:
    """Raise TypeError unless a function takes the parameters of a kernel; those with a default may be left out."""
    expected = inspect.signature(kernel).parameters
    try:
        given = inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise TypeError(
            f"overlay: {label} does not say which parameters it takes; write def {label}({', '.join(expected)})"
        ) from None
    optional = [name for name, one in expected.items() if one.default is not one.empty]
    wanted = [name for name in expected if name in given or name not in optional]
    by_place = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    if list(given) == wanted and all(one.kind in by_place or name in MEMORY for name, one in given.items()):
        needed = [name for name in MEMORY if name in given and given[name].default is inspect.Parameter.empty]
        if needed:
            raise TypeError(
                f"overlay: {label} is never given {needed[0]}; write {needed[0]}=None, and return a new array"
            )
        return
    wrong = [
        *(f"it does not take {name}" for name in wanted if name not in given),
        *(f"the kernel has no parameter {name}" for name in given if name not in expected),
    ]
    may = f", where {', '.join(optional)} may be left out" if optional else ""
    raise TypeError(
        f"overlay: {label} must take ({', '.join(expected)}), as the reference does{may}; got "
        f"{inspect.signature(function)}: {', '.join(wrong) or 'the order differs, or one can only be given by keyword'}"
    )


class _OwnKernel:
    """A kernel that calls a learner's function, checks what it returns, and delivers it as every kernel does.

    Parameters
    ----------
    name : str
        The kernel's name.
    function : callable
        The learner's function.
    kernel : callable
        The reference's, which says what the function is given and what it has to return.
    """

    def __init__(self, name: str, function: Function, kernel: Function) -> None:
        functools.update_wrapper(self, function)
        self._function, self._kernel = function, kernel
        self._label, self._signature = described(name, function), inspect.signature(kernel)
        self._taken = [one for one in inspect.signature(function).parameters if one not in MEMORY]
        self._changed = IN_PLACE.get(name, ())
        self._known: dict[tuple[Any, ...], list[Form] | Form] = {}

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        bound = self._signature.bind(*arguments, **named)
        bound.apply_defaults()
        given = {key: value for key, value in bound.arguments.items() if key not in MEMORY}
        out = bound.arguments.get("out")
        returned = self._returned(given)
        if self._changed:
            if returned is not None:
                raise OwnReturnError(
                    f"{self._label} returned {_in_words(returned)}; expected nothing, because it changes "
                    f"{' and '.join(self._changed)} in place, as {self._changed[0]} -= step does"
                )
            return None
        expected = self._expected(given) if out is None else _forms(out)
        results = _checked(self._label, returned, expected)
        if out is None:
            results = [_apart(result, given.values()) for result in results]
            return tuple(results) if isinstance(expected, list) else results[0]
        for result, memory in zip(results, out if isinstance(expected, list) else [out], strict=True):
            memory[...] = result
        return out

    def _returned(self, given: Mapping[str, Any]) -> Any:
        """Return what the learner's function returns; its errors come through, with a note if the reason is known."""
        values = [given[key] if key in self._changed else _read_only(given[key]) for key in self._taken]
        try:
            with np.errstate(all="ignore"):  # as for the reference: NaN and infinity are results like any others
                return self._function(*values)
        except ValueError as error:
            if "read-only" in str(error):
                may = (
                    f"may change only {' and '.join(self._changed)}"
                    if self._changed
                    else "must not change its arguments"
                )
                error.add_note(f"{self._label} {may}; work on a copy, as in x = x.copy()")
            raise

    def _expected(self, given: dict[str, Any]) -> list[Form] | Form:
        """Return the shapes and dtypes of what the reference returns for arguments of this kind."""
        key = tuple((v.shape, v.dtype) if isinstance(v, np.ndarray) else repr(v) for v in given.values())
        if key not in self._known:
            if len(self._known) == REMEMBERED:
                self._known.clear()
            self._known[key] = _forms(self._kernel(**given))
        return self._known[key]


def _read_only(value: Any) -> Any:
    """Return a read-only view of an array; other values stay what they are."""
    if not isinstance(value, np.ndarray):
        return value
    view = value.view()
    view.flags.writeable = False
    return view


def _forms(result: Any) -> list[Form] | Form:
    """Return the form of a result, or a list of forms if a kernel returns several arrays."""
    if isinstance(result, tuple | list):
        return [Form(one.shape, one.dtype) for one in result]
    return Form(result.shape, result.dtype)


def _checked(label: str, returned: Any, expected: list[Form] | Form) -> list[Array]:
    """Return the results as a list of arrays, or raise unless they have the expected forms; nothing is broadcast."""
    if not isinstance(expected, list):
        return [_checked_array(f"{label} returned", returned, expected)]
    if not isinstance(returned, tuple | list) or len(returned) != len(expected):
        raise OwnReturnError(
            f"{label} returned {_in_words(returned)}; expected {len(expected)} results: {', '.join(map(str, expected))}"
        )
    return [
        _checked_array(f"{label}, result {number} of {len(expected)}: returned", one, form)
        for number, (one, form) in enumerate(zip(returned, expected, strict=True), 1)
    ]


def _checked_array(begin: str, value: Any, expected: Form) -> Array:
    """Return one result as an array, or raise unless it has the expected form."""
    array = np.asarray(value) if isinstance(value, np.generic) else value
    cure = ""
    if array is None:
        cure = ". Does the function end with return?"
    elif isinstance(array, np.ndarray) and not calculates_otherwise(array):
        if array.shape == expected.shape and array.dtype == expected.dtype:
            return array
        if array.dtype != expected.dtype:
            cure = f". Compute in the dtype of the arguments, or return result.astype(np.{expected.dtype})"
    raise OwnReturnError(f"{begin} {_in_words(value)}; expected {expected}{cure}")


def _in_words(value: Any) -> str:
    """Return in words what a function returned."""
    if isinstance(value, tuple | list) and 0 < len(value) <= 4:
        return f"{len(value)} results: {', '.join(map(kind_of, value))}"
    return kind_of(value)


def _apart(result: Array, given: Iterable[Any]) -> Array:
    """Return a result as a C-ordered array of its own, which the layer may overwrite."""
    shared = any(isinstance(one, np.ndarray) and np.may_share_memory(result, one) for one in given)
    fine = result.flags.c_contiguous and result.flags.writeable and not shared
    return result if fine else np.array(result, order="C")
