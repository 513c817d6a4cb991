"""Grade a bug hunt: does the broken function really give a wrong result for what the learner returned?"""

from typing import Any

import numpy as np

from ..core.types import Array
from .exercise import Case, Hunt, Result
from .judging import kind_of, problem_of_answer, same
from .learner import Learner
from .telling import MOST_NUMBERS

__all__ = ["lines_of"]


def lines_of(hunt: Hunt, learner: Learner, lines: list[str]) -> tuple[list[str], Case | None]:
    """Return what is wrong with a learner's counterexample, in lines, and the case; no lines if it is one."""
    answer = learner.call(hunt.name)
    problem = problem_of_answer(hunt.name, answer, lines)
    if problem is not None:
        return [problem.text], None
    names = ", ".join(argument.name for argument in hunt.arguments)
    given = answer.details["result"]
    if not isinstance(given, tuple | list) or len(given) != len(hunt.arguments):
        return [f"{hunt.name} must return a tuple of {len(hunt.arguments)}: ({names})."], None
    for argument, value in zip(hunt.arguments, given, strict=True):
        wrong = _wrong_with(argument, value)
        if wrong:
            return [wrong], None
    numbers = sum(value.size for value in given if isinstance(value, Array))
    if numbers > MOST_NUMBERS:
        return [f"The arrays hold {numbers} numbers together; find a counterexample with at most {MOST_NUMBERS}."], None
    case = Case({a.name: value for a, value in zip(hunt.arguments, given, strict=True)})
    return _verdict(hunt, case), case


def _wrong_with(argument: Result, value: Any) -> str:
    """Return what is wrong with one argument of a counterexample, or nothing."""
    name, axes, kind = argument[:3]
    if kind == "real" and not axes:
        number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        return "" if number and np.isfinite(value) else f"{name} must be a finite number."
    if not axes:
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        least = 0 if name == "pad" else 1
        return "" if whole and least <= value <= 100 else f"{name} must be a whole number, at least {least}."
    dtype = argument.dtype
    if not isinstance(value, Array) or value.dtype != dtype or value.ndim != len(axes) or not value.size:
        given = f"{kind_of(value)} of {value.dtype}" if isinstance(value, Array) else kind_of(value)
        return f"{name} must be an array ({', '.join(axes)}) of {dtype}, with at least one number; it is {given}."
    return "" if np.isfinite(value).all() else f"{name} must hold finite numbers."


def _verdict(hunt: Hunt, case: Case) -> list[str]:
    """Run the right and the broken function here, where the learner's code has no say."""
    try:
        right = hunt.right(**{name: _copied(value) for name, value in case.arguments.items()})
    except Exception as error:
        return [f"The arguments do not fit each other: {error}."]
    if not all(map(np.size, right if isinstance(right, tuple) else (right,))):
        return ["The right result has no elements; make the image larger than the kernel."]
    try:
        with np.errstate(all="ignore"):
            broken = hunt.broken(**{name: _copied(value) for name, value in case.arguments.items()})
    except Exception:
        return []  # an error is wrong as well
    if same(right, broken):
        return ["The broken function gives the right result for these arguments, so they are no counterexample."]
    return []


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, Array) else value
