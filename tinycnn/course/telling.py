"""What a learner reads about a failure: the smallest case, at most twelve numbers, and the mistake if it is known."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core.types import Array
from .exercise import Case, Exercise
from .judging import Problem, index_text

__all__ = ["call_text", "places", "told"]

#: The most numbers that are shown of a case.
MOST_NUMBERS = 12


def told(exercise: Exercise, case: Case, problem: Problem, got: Any, expected: Any, mistakes: list[str]) -> list[str]:
    """Return the lines that describe a failure.

    Parameters
    ----------
    exercise : Exercise
    case : Case
        The smallest case that fails.
    problem : Problem
    got, expected
        What was returned for it, and what is right.
    mistakes : list of str
        Sentences that name the mistake.
    """
    lines = [_headline(exercise, case, problem, got, expected)]
    in_headline = problem.kind == "value" and not case.impulses and not exercise.results[problem.result].words
    shown = 2 if in_headline else 0
    lines += [] if case.impulses and problem.kind == "value" else list(_arguments(case, shown))
    return lines + mistakes[:1]


def _headline(exercise: Exercise, case: Case, problem: Problem, got: Any, expected: Any) -> str:
    """Return the sentence that says what is wrong."""
    if problem.kind != "value":
        return f"{problem.text}\n{call_text(exercise.name, case)}"
    if len(exercise.results) > 1:
        got, expected = got[problem.result], expected[problem.result]
    result = exercise.results[problem.result]
    if not result.axes:
        what = f" {result.name} =" if len(exercise.results) > 1 else ""
        returned, right = _single(got, expected), _single(expected, got)
        return f"{call_text(exercise.name, case)} returns{what} {returned}; {right} is right."
    if case.impulses:
        return f"{_route(case, result.name, got, expected)}\n{call_text(exercise.name, case)}"
    wrong = int((got != expected).sum())
    more = f" ({wrong} of its {got.size} numbers are wrong)" if wrong > 1 else ""
    place = f"{result.name}{index_text(problem.place)}"
    here, there = got[problem.place], expected[problem.place]
    right = f"{place} is {_single(here, there)}; {_single(there, here)} is right{more}."
    return f"{call_text(exercise.name, case)}\n{right}"


def _route(case: Case, name: str, got: Array, expected: Array) -> str:
    """Return where the ones of a case went, and where they should go."""
    ones = [f"{argument}{index_text(index)}" for argument, index in case.impulses.items()]
    start = f"{ones[0]} = 1" if len(ones) == 1 else f"{ones[0]} = 1, times {' and '.join(ones[1:])} = 1,"
    went, should = places(got), places(expected)
    there = " and ".join(f"{name}{index_text(index)}" for index in should[:2]) or "no element"
    if len(should) > 2:
        there = f"{name}{index_text(should[0])} and {len(should) - 1} more elements"
    if not went:
        return f"{start} went nowhere: {name} is 0 everywhere; it should go to {there}."
    if went == should:
        index = next(index for index in went if got[index] != expected[index])
        here, right = got[index], expected[index]
        return f"{start} makes {name}{index_text(index)} = {_single(here, right)}; {_single(right, here)} is right."
    here = " and ".join(f"{name}{index_text(index)}" for index in went[:2])
    here += f" and {len(went) - 2} more elements" if len(went) > 2 else ""
    return f"{start} went to {here}; it should go to {there}.{_swapped(went, should)}"


def _swapped(went: list[tuple[int, ...]], should: list[tuple[int, ...]]) -> str:
    """Return a question if the indices are right up to the order of two axes."""
    if len(went) == len(should) == 1 and went != should and sorted(went[0]) == sorted(should[0]):
        return " Are the axes swapped?"
    return ""


def places(array: Array) -> list[tuple[int, ...]]:
    """Return the indices of the elements that are not 0."""
    return [tuple(int(one) for one in index) for index in np.argwhere(array != 0)]


def _arguments(case: Case, shown: int) -> Iterator[str]:
    """Yield the arrays of a case as long as no more than twelve numbers are shown in all."""
    for name, value in case.arguments.items():
        if not isinstance(value, Array):
            continue
        if shown + value.size <= MOST_NUMBERS:
            shown += value.size
            yield f"{name}, of shape {value.shape}, is {_nested(value.tolist())}"
        else:
            yield f"{name} has the shape {value.shape}"


def call_text(name: str, case: Case) -> str:
    """Return a call as the learner would write it, with the names of arrays: ``conv2d(x, w, b, stride=2, pad=0)``."""
    words = [key if isinstance(value, Array) else f"{key}={value}" for key, value in case.arguments.items()]
    shapes = [f"{key} {value.shape}" for key, value in case.arguments.items() if isinstance(value, Array)]
    return f"{name}({', '.join(words)})" + (f" with {', '.join(shapes)}" if shapes and case.impulses else "")


def _single(value: Any, other: Any) -> str:
    """Return a word in quotes, or a number as short as it can be while it looks unlike another."""
    if isinstance(value, str):
        return repr(value)
    if isinstance(value, int | np.integer):
        return str(value)
    return _number(value) if _number(value) != _number(other) else repr(float(value))


def _nested(values: Any) -> str:
    """Return nested lists of numbers in brackets."""
    return f"[{', '.join(map(_nested, values))}]" if isinstance(values, list) else _number(values)


def _number(value: Any) -> str:
    """Return a number as short as it can be; minus zero is zero."""
    return f"{value + 0.0:.6g}"
