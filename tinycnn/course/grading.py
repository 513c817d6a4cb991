"""Grade a learner's file: every exercise, on cases that Hypothesis draws and makes as small as they can be."""

import ast
import contextlib
import hashlib
import time
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import hypothesis
import numpy as np
from hypothesis.errors import HypothesisException

from . import hunting, patterns, telling
from .exercise import Case, Chapter, Exercise, Phase
from .handed_in import MOST_SOURCE
from .judging import Problem, problem_of_answer, problem_of_result, same, shortened
from .learner import Answer, Learner

__all__ = ["Outcome", "Report", "grade", "grade_source", "printable"]

#: How many seconds the grading of one exercise may take, and how many of them looking for a smaller case.
IN_ALL, SHRINKING = 120.0, 4.0
#: With how many more cases a mistake is told from others, and for how many seconds at most.
MORE, LOOKING = 40, 2.0
#: How many calls are made again, to see whether a function returns something else then.
AGAIN = 20

_REMEMBERS = (
    "Called again with the same arguments, it returns something else. Is something kept from call to call, or drawn "
    "anew?"
)


class Outcome(NamedTuple):
    """How an exercise ended.

    Attributes
    ----------
    name : str
    passed : bool
    cases : int
        How many cases were tried.
    lines : tuple of str
        What is wrong; nothing if it passed.
    case : Case, optional
        The smallest case that failed.
    place : tuple of int
        The first wrong element of its result.
    result : int
        Which of its results that is, if there are several.
    """

    name: str
    passed: bool
    cases: int
    lines: tuple[str, ...] = ()
    case: Case | None = None
    place: tuple[int, ...] = ()
    result: int = 0


class Report(NamedTuple):
    """The outcomes of a chapter's exercises; ``digest`` is the SHA-256 of the graded bytes of the file at ``path``."""

    chapter: str
    path: Path
    digest: str
    outcomes: tuple[Outcome, ...]

    @property
    def passed(self) -> bool:
        """Whether every exercise passed."""
        return all(outcome.passed for outcome in self.outcomes)


class _Seen(NamedTuple):
    """A call that was made, and what came of it."""

    case: Case
    answer: Answer
    expected: Any
    problem: Problem | None
    #: Whether it was drawn after the first failure, and so whatever came of the calls before.
    later: bool


def grade(chapter: Chapter, path: str | Path, seed: int = 0) -> Report:
    """Grade a file.

    Parameters
    ----------
    chapter : Chapter
    path : path
        The learner's file. It is read once; what is graded are the bytes whose digest the report tells.
    seed : int
        Decides which cases are drawn.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    path = Path(path).resolve()
    return grade_source(chapter, path, path.read_bytes(), seed)


def grade_source(chapter: Chapter, path: Path, source: bytes, seed: int = 0) -> Report:
    """Grade what is in a file, whose path is only named, and whose folder is one in which modules are looked for."""
    outcomes = [_printable(outcome) for outcome in _outcomes(chapter, path, source, seed)]
    return Report(chapter.name, path, hashlib.sha256(source).hexdigest(), tuple(outcomes))


def _outcomes(chapter: Chapter, path: Path, source: bytes, seed: int) -> list[Outcome]:
    refused = _refused(source, path, chapter.name)
    if refused:
        return [Outcome(exercise.name, False, 0, (refused,)) for exercise in chapter.exercises]
    lines = source.decode("utf-8").splitlines()
    with Learner(path, source) as learner:
        loaded = learner.load()
        problem = problem_of_answer("the file", loaded, lines)
        if problem is not None:
            told = (problem.text, *_printed(loaded))
            return [Outcome(exercise.name, False, 0, told) for exercise in chapter.exercises]
        return [_grade_one(exercise, learner, lines, seed) for exercise in chapter.exercises]


def printable(text: str) -> str:
    """Return text in which whatever would move a terminal's cursor or turn the direction of letters is written out.

    Examples
    --------
    >>> print(printable(chr(27) + "[2J passed"))
    \\x1b[2J passed
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _printable(outcome: Outcome) -> Outcome:
    lines = (line for text in outcome.lines for line in text.split("\n"))
    return outcome._replace(lines=tuple(map(printable, lines)))


def _refused(source: bytes, path: Path, chapter: str) -> str:
    """Return why a file is not even loaded, or nothing."""
    if path.suffix == ".ipynb":
        return f"{path.name} is a notebook; copy the functions into a file of plain Python, such as {chapter}.py."
    if len(source) > MOST_SOURCE:
        return f"{path.name} has more than {MOST_SOURCE // 1024} KiB, which no solution needs. Is it the right file?"
    try:
        source.decode("utf-8")
        tree = ast.parse(source, str(path))
    except UnicodeDecodeError:
        return f"{path.name} is not text in UTF-8; save it as plain text."
    except SyntaxError as error:
        code = f" ({shortened(error.text.strip())})" if error.text else ""
        return f"line {error.lineno} of {path.name} is not valid Python{code}: {error.msg}."
    except (ValueError, RecursionError, MemoryError) as error:
        return f"{path.name} is not valid Python: {error}."
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{name}" for name in names]
        if any(f"solutions.{chapter}" in name or name.endswith("course.solutions") for name in names):
            return f"line {node.lineno} imports the solutions of this chapter; write the functions yourself."  # type: ignore[attr-defined]
        if any(map(_is_engine, names)):
            return f"line {node.lineno} imports the engine; write the functions with NumPy alone."  # type: ignore[attr-defined]
    return ""


def _is_engine(name: str) -> bool:
    """Return whether a module has what the learner is to write; solutions of other chapters may be used."""
    if name.startswith(("tinycnn.course.solutions.", "tinycnn.course.bugs")):
        return False
    return name.split(".")[0] == "tinycnn" or name.startswith(("kernels.reference", "kernels.cpu", "kernels.cuda"))


def _printed(answer: Answer) -> list[str]:
    return [f"It printed: {answer.printed.strip()}"] if answer.printed.strip() else []


def _grade_one(exercise: Any, learner: Learner, lines: list[str], seed: int) -> Outcome:
    if isinstance(exercise, Exercise):
        return _Grading(exercise, learner, lines, seed).outcome()
    told, case = hunting.lines_of(exercise, learner, lines)
    return Outcome(exercise.name, not told, 1, tuple(told), case)


class _Grading:
    """The grading of one exercise: the calls that were made, until one fails."""

    def __init__(self, exercise: Exercise, learner: Learner, lines: list[str], seed: int) -> None:
        self.exercise, self.learner, self.lines, self.seed = exercise, learner, lines, seed
        self.seen: list[_Seen] = []
        self.limit = time.monotonic() + IN_ALL
        #: Whether no further call is worth its time, and whether a failure is known and only its mistake is looked for.
        self.stopped, self.looking = False, False

    def outcome(self) -> Outcome:
        """Try the phases in order, and describe the smallest case of the first that fails."""
        for phase in self.exercise.phases:
            self._try(phase)
            failed = [seen for seen in self.seen if seen.problem is not None]
            if failed:
                smallest = min(failed, key=lambda seen: seen.case.size)
                if not self.stopped and self._remembers([smallest, *self.seen[-AGAIN:]]):
                    return self._failed(smallest, [_REMEMBERS])
                self._look_further()
                return self._failed(smallest, self._mistakes(smallest) or self._pattern(smallest))
            if time.monotonic() > self.limit:
                text = f"{self.exercise.name} was not graded to its end within {IN_ALL:.0f} s; it is too slow."
                return Outcome(self.exercise.name, False, len(self.seen), (text,))
        return Outcome(self.exercise.name, True, len(self.seen))

    def _look_further(self) -> None:
        """Call the function with more cases, so that of several mistakes that explain small ones, the right is told."""
        self.looking, self.limit = True, time.monotonic() + LOOKING
        if not self.stopped:
            self._try(self.exercise.phases[-1]._replace(tries=MORE))

    def _try(self, phase: Phase) -> None:
        """Call the function with cases of a phase: with all that are listed, or until Hypothesis finds one that fails.

        Hypothesis makes such a case smaller.
        """
        if isinstance(phase.cases, tuple):
            for case in phase.cases:
                self._fails(phase, case)
            return
        settings = hypothesis.settings(
            max_examples=phase.tries,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            verbosity=hypothesis.Verbosity.quiet,
        )
        random = Random(self.seed)
        with contextlib.suppress(HypothesisException):  # no case fails, or only once; self.seen knows
            hypothesis.find(phase.cases, lambda case: self._fails(phase, case), settings=settings, random=random)

    def _fails(self, phase: Phase, case: Case) -> bool:
        """Call the function with one case, and return whether the outcome is wrong."""
        if self.stopped or time.monotonic() > self.limit:
            return False
        answer = self.learner.call(self.exercise.name, *case.arguments.values())
        problem = problem_of_answer(self.exercise.name, answer, self.lines)
        expected = None
        if problem is None:
            expected = self.exercise.right(**case.arguments)
            problem = problem_of_result(
                self.exercise.name, self.exercise.results, case, answer, expected, phase.tolerance
            )
        if problem is not None:
            if not self._failing():
                self.limit = min(self.limit, time.monotonic() + SHRINKING)
            # A process that has to be started anew for each case, and a function that is not there, are told at once.
            self.stopped = answer.fatal or problem.kind == "unwritten"
        self.seen.append(_Seen(case, answer, expected, problem, self.looking))
        return problem is not None and not self.looking

    def _failing(self) -> bool:
        return any(seen.problem is not None for seen in self.seen)

    def _remembers(self, calls: list[_Seen]) -> bool:
        """Return whether the function returns something else when it is called again, as if it kept something."""
        limit = time.monotonic() + LOOKING
        for seen in calls:
            if seen.answer.kind == "returned" and time.monotonic() < limit:
                again = self.learner.call(self.exercise.name, *seen.case.arguments.values())
                if again.kind == "returned" and not same(seen.answer.details["result"], again.details["result"]):
                    return True
        return False

    def _failed(self, worst: _Seen, mistakes: list[str]) -> Outcome:
        """Describe a failure."""
        problem, got = worst.problem, worst.answer.details.get("result")
        assert problem is not None
        if problem.kind == "unwritten":
            lines = [problem.text]
        else:
            lines = telling.told(self.exercise, worst.case, problem, got, worst.expected, mistakes)
            lines += _printed(worst.answer)
        where = problem.place, problem.result
        return Outcome(self.exercise.name, False, len(self.seen), tuple(lines), worst.case, *where)

    def _mistakes(self, smallest: _Seen) -> list[str]:
        """Return the sentences of the mistakes that explain every answer that was seen, if one of them is wrong.

        A wrong dtype, or an argument that was changed, says itself what to do; a second thing would only confuse. If
        nothing was wrong but that arrays did not fit, a mistake has to fail for the same cases.
        """
        if not _says_too_little(smallest.problem):
            return []
        seen = [seen for seen in self.seen if seen.answer.kind == "returned"]
        if not any(_says_too_little(seen.problem) for seen in seen):
            if not seen:
                return []
            seen = self.seen
        return [
            mistake.sentence
            for mistake in self.exercise.misreadings
            if all(_explains(mistake.results, one) for one in seen)
        ]

    def _pattern(self, smallest: _Seen) -> list[str]:
        """Return a sentence on a mistake that no chapter has foreseen, if anything can be said about it."""
        if not _says_too_little(smallest.problem):
            return []
        calls = [(seen.case, seen.problem is not None) for seen in self.seen if seen.later]
        said = patterns.open_slice(self.lines, self.exercise.name) or patterns.pattern(self.exercise, calls)
        return [said] if said else []


def _says_too_little(problem: Problem | None) -> bool:
    """Return whether a problem leaves open which mistake was made."""
    return problem is not None and (problem.kind in ("shape", "type", "value", "nan") or problem.unexplained)


def _explains(results: Any, seen: _Seen) -> bool:
    """Return whether a mistake gives what was returned, or fails where the learner's function failed."""
    try:
        with np.errstate(all="ignore"):
            would = results(**seen.case.arguments)
    except Exception:  # it has no result for this case
        return seen.answer.kind != "returned"
    return seen.answer.kind == "returned" and same(would, seen.answer.details["result"])
