"""What a chapter consists of: exercises, each with its cases, its right results, and the mistakes that it can name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.types import Array

if TYPE_CHECKING:  # grading needs Hypothesis, and a plain installation, which has the commands too, is without it
    from hypothesis.strategies import SearchStrategy

__all__ = ["Case", "Chapter", "Exercise", "Hunt", "Misreading", "Phase", "Result"]


class Case(NamedTuple):
    """The arguments of one call.

    Attributes
    ----------
    arguments : dict
        The values by the names under which messages show them, in the order of the call.
    impulses : dict of str to tuple of int
        For each array that is zero but for a single 1, the index of that 1. It is empty in other cases.
    """

    arguments: dict[str, Any]
    impulses: Mapping[str, tuple[int, ...]] = MappingProxyType({})

    @property
    def size(self) -> tuple[int, int]:
        """How large the case is to a reader: how many numbers it has, and how large they are."""
        arrays = [value for value in self.arguments.values() if isinstance(value, Array)]
        whole = [abs(value) for value in self.arguments.values() if isinstance(value, int)]
        return sum(array.size for array in arrays) + sum(whole), int(sum(_total(array) for array in arrays))


def _total(array: Array) -> float:
    """Return the sum of the absolute values that are finite; a curve that a learner is shown may end in NaN."""
    return float(abs(array[np.isfinite(array)]).sum())


class Phase(NamedTuple):
    """Cases of one kind; the kinds are tried in order, the easiest to read first.

    Attributes
    ----------
    what : str
        What the cases are, in words.
    cases : SearchStrategy or tuple of Case
        What draws a ``Case``; or the cases themselves, all of which are tried.
    tries : int
        How many are drawn.
    tolerance : float
        The largest error relative to the largest number of the right result; 0 if the arithmetic is exact.
    """

    what: str
    cases: "SearchStrategy[Case] | tuple[Case, ...]"
    tries: int
    tolerance: float = 0.0


class Result(NamedTuple):
    """What a function takes or returns: an array, a number or a word.

    Attributes
    ----------
    name : str
    axes : tuple of str
        The letters of an array's axes; without axes it is no array.
    kind : str
        What it is without axes: a ``whole`` number, a ``real`` one, or one of ``words``.
    words : tuple of str
        The words that it may be.
    dtype : str
        What an array consists of: ``float64``, or ``int64`` for places and labels.
    computed_from : tuple of str
        The other results of the function that it is computed from, which make it wrong if they are wrong.
    """

    name: str
    axes: tuple[str, ...] = ()
    kind: str = "whole"
    words: tuple[str, ...] = ()
    dtype: str = "float64"
    computed_from: tuple[str, ...] = ()


class Misreading(NamedTuple):
    """A mistake that can be recognized, because it would give other results: the sentence that names it, and these.

    A mistake is named only if it explains every answer that was seen. Its function may raise any exception where it has
    no result.
    """

    sentence: str
    results: Callable[..., Any]


class Exercise(NamedTuple):
    """A function that the learner writes.

    Attributes
    ----------
    name : str
    right : callable
        Takes the arguments of a case; returns what is right.
    results : tuple of Result
    phases : tuple of Phase
    misreadings : tuple of Misreading
    hints : tuple of three str
    minutes : int
        How long it takes, about.
    """

    name: str
    right: Callable[..., Any]
    results: tuple[Result, ...]
    phases: tuple[Phase, ...]
    misreadings: tuple[Misreading, ...]
    hints: tuple[str, str, str]
    minutes: int


class Hunt(NamedTuple):
    """A broken function, for which the learner finds a counterexample of at most twelve numbers.

    Attributes
    ----------
    name : str
        The learner's function, which takes no arguments and returns those of the broken one.
    broken, right : callable
    arguments : tuple of Result
        What the broken function takes.
    hints, minutes
        As for an exercise.
    """

    name: str
    broken: Callable[..., Any]
    right: Callable[..., Any]
    arguments: tuple[Result, ...]
    hints: tuple[str, str, str]
    minutes: int


Step = Exercise | Hunt


class Chapter(NamedTuple):
    """A chapter: its name (``chapter01``), its title, its page under docs/course/, and its exercises in order."""

    name: str
    title: str
    page: str
    exercises: tuple[Step, ...]
