"""What can be said about mistakes that no chapter has foreseen: slices without an end, and which calls fail."""

import ast
import math
from collections import Counter
from collections.abc import Iterator, Sequence

from ..core.types import Array
from .exercise import Case, Exercise
from .judging import shortened

__all__ = ["open_slice", "pattern"]

#: How likely it may be that the calls that failed have something in common by chance.
BY_CHANCE = 0.0005
#: Lengths that are easily taken for each other.
PAIRS = (("H", "W"), ("KH", "KW"), ("OH", "OW"))


def open_slice(lines: Sequence[str], function: str) -> str:
    """Return a question about the first slice with a step and without an end in a function, or nothing.

    Such a slice has more elements than there are windows. One that is sliced again may have been cut.

    Examples
    --------
    >>> open_slice(["def f(x, p, stride):", "    return x[p::stride]"], "f")[:66]
    'Does the slice in line 2 (return x[p::stride]) go on to the end of'
    >>> open_slice(["def f(x, p, stride, OH):", "    return x[p::stride][:OH]"], "f")
    ''
    """
    try:
        tree = ast.parse("\n".join(lines))
    except SyntaxError:  # a string holds what splitlines takes for the end of a line
        return ""
    defined = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == function)
    body = [node for one in defined for node in ast.walk(one)]
    subscripts = [node for node in body if isinstance(node, ast.Subscript)]
    cut = {id(node.value) for node in subscripts}
    for node in subscripts:
        if id(node) not in cut and any(map(_is_open, ast.walk(node.slice))):
            code = shortened(lines[node.lineno - 1].strip())
            return (
                f"Does the slice in line {node.lineno} ({code}) go on to the end of the array? It needs an end, so "
                "that it has as many rows and columns as there are windows, such as p : p + stride * OH : stride."
            )
    return ""


def _is_open(node: ast.AST) -> bool:
    """Return whether code is a slice such as ``p::stride``; one such as ``::-1`` has its own reasons."""
    return isinstance(node, ast.Slice) and isinstance(node.step, ast.Name) and node.upper is None


def pattern(exercise: Exercise, calls: Sequence[tuple[Case, bool]]) -> str:
    """Return a sentence such as "It fails only where pad > 0", or nothing.

    Parameters
    ----------
    exercise : Exercise
    calls : sequence of (Case, bool)
        Calls that were drawn independently of each other, and whether they failed.
    """
    met, met_and_failed = Counter[str](), Counter[str]()
    failed = sum(failed for _, failed in calls)
    lengths = [dict(_lengths(exercise, case)) for case, _ in calls]
    least = {name: min(one[name] for one in lengths if name in one) for one in lengths for name in one}
    for numbers, (_, wrong) in zip(lengths, calls, strict=True):
        conditions = set(_conditions(numbers, least))
        met.update(conditions)
        met_and_failed.update(conditions if wrong else ())
    rare = BY_CHANCE * math.comb(len(calls), failed)
    always = [one for one in met if met_and_failed[one] == failed and math.comb(met[one], failed) < rare]
    if not always:
        return ""
    best = min(always, key=lambda one: (met[one], one))
    right = len(calls) - met[best]
    return f"It fails only where {best}: {failed} of {met[best]} such calls failed, and none of {right} others did."


def _lengths(exercise: Exercise, case: Case) -> Iterator[tuple[str, int]]:
    """Yield the whole numbers and truth values among the arguments, and the lengths of the axes of what is right."""
    for name, value in case.arguments.items():
        if isinstance(value, int):
            yield name, value
    right = exercise.right(**case.arguments)
    for result, one in zip(exercise.results, right if len(exercise.results) > 1 else (right,), strict=True):
        if isinstance(one, Array):
            yield from ((axis, length) for axis, length in zip(result.axes, one.shape, strict=True) if axis.isalpha())


def _conditions(numbers: dict[str, int], least: dict[str, int]) -> Iterator[str]:
    """Yield what is true of the numbers of one call."""
    for name, value in numbers.items():
        if isinstance(value, bool):
            yield f"{name} is {value}"
        else:
            yield f"{name} {'>' if value > least[name] else 'is'} {least[name]}"
    for one, other in PAIRS:
        if one in numbers and other in numbers and numbers[one] != numbers[other]:
            yield f"{one} and {other} differ"
