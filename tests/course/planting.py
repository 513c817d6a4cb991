"""Plant an error of a beginner in a solution: edits of the source, and words that the grader's message must have."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.append(str(Path(__file__).parents[2]))

from tinycnn.course import chapters, grading
from tinycnn.course.grading import Outcome

SOLUTIONS = Path(__file__).parents[2] / "tinycnn" / "course" / "solutions"


class Planted(NamedTuple):
    """An error: where it is, what it is, the edits that make it, and what the grader has to say."""

    chapter: str
    exercise: str
    what: str
    #: Pairs of a text that is in the function's source once, and what takes its place.
    edits: tuple[tuple[str, str], ...]
    #: It must be in the message.
    says: str

    @property
    def name(self) -> str:
        return f"{self.chapter}-{self.exercise}-{self.what}".replace(" ", "_")


def planted_in(source: str, error: Planted) -> str:
    """Return the source of a solution with an error."""
    start = source.index(f"def {error.exercise}(")
    end = source.find("\n\n\ndef ", start)
    function = source[start : None if end < 0 else end]
    head, quotes, body = function.rpartition('"""')
    changed = body
    for old, new in error.edits:
        assert changed.count(old) == 1, f"{error.name}: {old!r} is there {changed.count(old)} times"
        changed = changed.replace(old, new)
    return source.replace(function, head + quotes + changed).replace(
        "import numpy as np\n", "import numpy as np\n\nKEPT = {}\n", 1
    )


def graded(error: Planted, seed: int = 0) -> tuple[Outcome, float]:
    """Return the outcome of the exercise with the error, and the seconds that it took."""
    chapter = chapters.chapter(error.chapter)
    only = tuple(exercise for exercise in chapter.exercises if exercise.name == error.exercise)
    assert only, f"{error.chapter} has no exercise {error.exercise}"
    source = planted_in((SOLUTIONS / f"{error.chapter}.py").read_text("utf-8"), error)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{error.chapter}.py"
        path.write_text(source, "utf-8")
        begun = time.monotonic()
        report = grading.grade(chapter._replace(exercises=only), path, seed)
        seconds = time.monotonic() - begun
    return report.outcomes[0], seconds


def one(chapter: str, exercise: str, what: str, old: str, new: str, says: str) -> Planted:
    """Return an error that one edit makes."""
    return Planted(chapter, exercise, what, ((old, new),), says)
