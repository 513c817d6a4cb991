"""Is an answer right? The first thing that is wrong with it, in a sentence that says what to do."""

import difflib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.types import Array
from .child import Other
from .exercise import Case, Result
from .learner import Answer

__all__ = ["Problem", "index_text", "kind_of", "problem_of_answer", "problem_of_result", "same", "shortened"]


#: What NumPy says if a function of math is given an array.
_MATH = "can be converted to Python scalars"
#: The most characters of a line of code that are shown.
MOST_CODE = 100
_SIGNATURE = "'tinycnn course start DIR' writes a file with its signature"


class Problem(NamedTuple):
    """What is wrong.

    Attributes
    ----------
    kind : str
        ``unwritten``, ``error``, ``limit``, ``type``, ``shape``, ``dtype``, ``changed``, ``nan`` or ``value``.
    text : str
        For a wrong value it only names the result.
    result : int
        Which of the results it is about.
    place : tuple of int
        The first wrong element.
    unexplained : bool
        Whether it is an error of shapes, indices or arithmetic, which does not say which mistake was made.
    """

    kind: str
    text: str
    result: int = 0
    place: tuple[int, ...] = ()
    unexplained: bool = False


def shortened(code: str) -> str:
    """Return a line of code that is at most 100 characters long, with dots for what was left out.

    Examples
    --------
    >>> shortened("y = x")
    'y = x'
    >>> len(shortened("y = " + "x" * 200)), shortened("y = " + "x" * 200)[-5:]
    (100, 'x ...')
    """
    return code if len(code) <= MOST_CODE else f"{code[: MOST_CODE - 4]} ..."


def index_text(index: tuple[int, ...]) -> str:
    """Return an index as code has it.

    Examples
    --------
    >>> index_text((0, 1, 0, 2))
    '[0,1,0,2]'
    """
    return f"[{','.join(map(str, index))}]"


def problem_of_answer(name: str, answer: Answer, lines: Sequence[str]) -> Problem | None:
    """Return why a call gave no result, or None if it gave one.

    Parameters
    ----------
    name : str
        The function that was called.
    answer : Answer
    lines : sequence of str
        The lines of the learner's file.
    """
    details = answer.details
    if answer.kind == "missing":
        return Problem("unwritten", _missing(name, details))
    if answer.kind == "arguments":
        text = f"{name} does not take the arguments that it is called with: {details['message']}. {_SIGNATURE}."
        return Problem("error", text)
    if answer.kind == "timeout":
        text = f"{name} was not done after {details['seconds']:.0f} s. Is there a loop that does not end?"
        return Problem("limit", text)
    if answer.kind == "ended":
        recursion = " Does it call itself without an end?" if "SIGSEGV" in details["reason"] else ""
        return Problem("limit", f"{name} returned nothing, because the process {details['reason']}.{recursion}")
    if answer.kind == "garbled":
        text = f"{name} wrote to a file descriptor that it did not open, so its result cannot be read."
        return Problem("limit", text)
    return _problem_of_error(name, details, lines) if answer.kind == "error" else None


def _missing(name: str, details: dict[str, Any]) -> str:
    """Say that a function is missing, and which of those that are there may be meant."""
    if details.get("exists"):
        return f"{name} is not a function. {_SIGNATURE}."
    there = {str(one).lower(): str(one) for one in details.get("functions", ())}
    near = difflib.get_close_matches(name.lower(), there, n=1, cutoff=0.7)
    if near:
        return (
            f"{name} is not in the file, but {there[near[0]]} is; is that the function? Then give it the name {name}."
        )
    return f"{name} is not in the file. {_SIGNATURE}."


def _problem_of_error(name: str, details: dict[str, Any], lines: Sequence[str]) -> Problem:
    """Say which error was raised, and in which line of the learner's file."""
    classes, line = [str(one) for one in details["classes"]], details["line"]
    where = ""
    if isinstance(line, int) and 0 < line <= len(lines):
        where = f" in line {line} ({shortened(lines[line - 1].strip())})"
    message = f": {details['message']}" if details["message"] else ""
    if "NotImplementedError" in classes:
        return Problem("unwritten", f"{name} is not written yet: it raises NotImplementedError.")
    cures = {
        "SystemExit": f"{name} ends the program{where}; return the result instead of calling exit().",
        "KeyboardInterrupt": f"{name} raises KeyboardInterrupt{where}; return the result instead.",
        "RecursionError": f"{name} calls itself without an end{where}; no recursion is needed here.",
        "MemoryError": f"{name} asks for too much memory{where}{message}; look at the shapes that it makes.",
        "EOFError": f"{name} reads from the keyboard{where}; all that it needs is in its arguments.",
        "ModuleNotFoundError": f"{name} imports what is not installed{where}{message}; only NumPy is needed here.",
        "ImportError": f"{name} imports a name that is not there{where}{message}; only NumPy is needed here.",
        "NameError": f"{name} uses a name that has no value{where}{message}. Is it misspelt, or is an import missing?",
    }
    found = next((cures[cls] for cls in classes if cls in cures), None)
    unexplained = found is None and not {"ValueError", "LookupError", "ArithmeticError"}.isdisjoint(classes)
    cure = " The functions of math take one number; those of NumPy take arrays." if _MATH in message else ""
    text = found or f"{name} raises {classes[0]}{where}{message}.{cure}"
    return Problem("error", text, unexplained=unexplained)


def problem_of_result(
    name: str, results: Sequence[Result], case: Case, answer: Answer, expected: Any, tolerance: float
) -> Problem | None:
    """Return the first thing that is wrong with what a function returned, or None if all of it is right.

    Of a wrong result that is computed from another wrong one, it is that other one.
    """
    got = answer.details["result"]
    changed = _changed(name, case, answer)
    if len(results) == 1:
        return changed or _problem_of_one(name, 0, results, got, expected, tolerance)
    if not isinstance(got, tuple | list) or len(got) != len(results):
        names = ", ".join(result.name for result in results)
        return Problem("type", f"{name} must return {len(results)} results, ({names}), but returns {kind_of(got)}.")
    every = (
        _problem_of_one(name, number, results, got[number], expected[number], tolerance)
        for number in range(len(results))
    )
    return changed or _cause([problem for problem in every if problem is not None], results)


def _cause(problems: Sequence[Problem], results: Sequence[Result]) -> Problem | None:
    """Return the first of several problems, or one of the numbers that those of the first are computed from."""
    if not problems:
        return None
    first = problems[0]
    causes = [one for one in problems[1:] if results[one.result].name in results[first.result].computed_from]
    return causes[0] if causes and first.kind in ("value", "nan") else first


def _changed(name: str, case: Case, answer: Answer) -> Problem | None:
    """Compare the arguments after the call with those that were sent."""
    after = answer.details["arguments"]
    for number, (argument, before) in enumerate(case.arguments.items()):
        if isinstance(before, Array) and _bytes(after[number]) != before.tobytes():
            text = f"{name} changes its argument {argument} in place; make a copy, or a new array, and write into that."
            return Problem("changed", text)
    return None


def _bytes(value: Any) -> bytes:
    return value.tobytes() if isinstance(value, Array) else b""


def _problem_of_one(
    name: str, number: int, results: Sequence[Result], got: Any, expected: Any, tolerance: float
) -> Problem | None:
    """Return what is wrong with one result."""
    result = results[number]
    if result.words:
        return _problem_of_word(name, number, result, got, expected)
    if not result.axes:
        kind = _problem_of_real if result.kind == "real" else _problem_of_number
        return kind(name, number, result, got, expected, tolerance)
    if not isinstance(got, Array):
        forgotten = " Is there a return at its end?" if got is None else ""
        shape = _axes(result, expected.shape)
        which = f" for {result.name}" if len(results) > 1 else ""
        text = f"{name} must return an array {shape}{which}, but returns {kind_of(got)}.{forgotten}"
        return Problem("type", text, number)
    if got.shape != expected.shape:
        text = f"{name} returns {result.name} with the shape {got.shape}; {_axes(result, expected.shape)} is right."
        return Problem("shape", text, number)
    if result.dtype == "int64":
        if got.dtype.kind not in "iu":
            text = f"{name} returns {result.name} as {got.dtype}; it must hold whole numbers, of dtype np.int64."
            return Problem("dtype", text, number)
    elif got.dtype != expected.dtype:
        text = (
            f"{name} returns {result.name} as {got.dtype}; its arguments are {expected.dtype}, and so must the result "
            f"be. Give np.zeros and np.empty the dtype of an argument, such as x.dtype, and do not use astype."
        )
        return Problem("dtype", text, number)
    with np.errstate(invalid="ignore", over="ignore"):
        right = abs(got - expected) <= tolerance * max(1.0, float(abs(expected).max(initial=0.0)))
    if right.all():
        return None
    place = tuple(int(index) for index in np.argwhere(~right)[0])
    if np.isnan(got).any():
        place = tuple(int(index) for index in np.argwhere(np.isnan(got))[0])
        where = f"{result.name}{index_text(place)}"
        right = f"{expected[place]:.6g} is right"
        why = "Does an exp overflow, is 0 divided by 0, or memory of np.empty read before it is written?"
        text = f"{name} returns NaN in {where}; {right}. {why}"
        return Problem("nan", text, number, place)
    return Problem("value", f"{name} returns a wrong {result.name}", number, place)


def _problem_of_number(
    name: str, number: int, result: Result, got: Any, expected: int, tolerance: float
) -> Problem | None:
    """Return what is wrong with a result that must be a whole number."""
    if isinstance(got, float | np.floating):
        return Problem("type", f"{name} must return a whole number, but returns the float {got!r}; use //.", number)
    if isinstance(got, bool) or not isinstance(got, int | np.integer):
        return Problem("type", f"{name} must return a whole number, but returns {kind_of(got)}.", number)
    return None if int(got) == expected else Problem("value", f"{name} returns a wrong {result.name}", number)


def _problem_of_real(
    name: str, number: int, result: Result, got: Any, expected: float, tolerance: float
) -> Problem | None:
    """Return what is wrong with a result that must be a number."""
    if isinstance(got, bool) or not isinstance(got, int | float | np.integer | np.floating):
        forgotten = " Is there a return at its end?" if got is None else ""
        text = f"{name} must return one number, {result.name}, but returns {kind_of(got)}.{forgotten}"
        return Problem("type", text, number)
    if np.isnan(got):
        return Problem("nan", f"{name} returns NaN for {result.name}. Is 0 divided by 0?", number)
    if abs(got - expected) <= tolerance * max(1.0, abs(expected)):
        return None
    return Problem("value", f"{name} returns a wrong {result.name}", number)


def _problem_of_word(name: str, number: int, result: Result, got: Any, expected: str) -> Problem | None:
    """Return what is wrong with a result that must be one of some words."""
    if not isinstance(got, str) or got not in result.words:
        words = ", ".join(map(repr, result.words))
        text = f"{name} must return one of the words {words}, but returns {kind_of(got)}."
        return Problem("type", text, number)
    return None if got == expected else Problem("value", f"{name} returns a wrong {result.name}", number)


def same(would: Any, got: Any) -> bool:
    """Return whether two results are equal up to rounding; ``would`` is one that could be right."""
    if isinstance(would, tuple | list):
        return isinstance(got, tuple | list) and len(got) == len(would) and all(map(same, would, got))
    if isinstance(would, str):
        return bool(would == got)
    if not isinstance(would, int | float | np.ndarray | np.generic):
        return kind_of(would) == kind_of(got)
    if not isinstance(got, int | float | np.ndarray | np.generic) or np.shape(would) != np.shape(got):
        return False
    return bool(np.allclose(would, got, rtol=1e-9, atol=1e-9, equal_nan=True))


def _axes(result: Result, shape: tuple[int, ...]) -> str:
    """Return a shape with the letters of its axes: ``(N, OH, OW, F) = (1, 2, 2, 1)``."""
    comma = "," if len(result.axes) == 1 else ""
    return f"({', '.join(result.axes)}{comma}) = {shape}"


def kind_of(value: Any) -> str:
    """Return what a value is, in words."""
    if value is None:
        return "None"
    if isinstance(value, Other):
        return value.kind
    if isinstance(value, Array):
        return f"an array of shape {value.shape}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, np.generic):
        return f"one number, {value.item()!r}"
    return f"{type(value).__name__} {value!r}"[:80]
