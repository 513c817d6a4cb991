"""``tinycnn check --all FOLDER``, and results for Gradescope."""

import argparse
import json
import unicodedata
from pathlib import Path
from typing import Any

from ..core.files import check_destination, write_whole
from ..core.printing import ERR, OUT, say

#: How many columns of a student's name the table shows.
WIDEST = 32


def run_all(args: argparse.Namespace) -> int:
    """Grade a folder, print a table or JSON, and return 0 only if every submission passed."""
    from ..course import classroom

    to_file = args.json not in (None, "-")
    destination = check_destination(args.json) if to_file else None
    number = 0

    def progress(graded: Any) -> None:
        nonlocal number
        number += 1
        if ERR.isatty():
            ERR.say(f"{number}: {_name(graded)}, {graded.submission.chapter}: {_result(graded)}")

    report = classroom.grade_class(
        args.all, args.chapter, seed=args.seed, jobs=args.jobs, limit=args.limit, progress=progress
    )
    text = json.dumps(report.as_json(), indent=2) + "\n"
    if args.json == "-":
        OUT.write(text)
        OUT.flush()
    else:
        _table(report)
    if destination is not None:
        write_whole(destination, text.encode("ascii"))
        say(f"Wrote {destination}")
    return 0 if report.passed else 1


def run_gradescope(args: argparse.Namespace) -> int:
    """Grade one file, write Gradescope's results, and return 0 only if every exercise passed."""
    from ..course import classroom, gradescope

    destination = check_destination(args.gradescope)
    graded = classroom.grade_one(args.file, args.chapter, seed=args.seed, limit=args.limit)
    write_whole(destination, json.dumps(gradescope.results(graded), indent=2).encode("ascii") + b"\n")
    say(f"{args.chapter}: {_result(graded)}")
    say(f"Wrote {destination}")
    return 0 if graded.passed else 1


def _name(graded: Any) -> str:
    from ..course.grading import printable

    name = printable(graded.submission.student)
    return name if _width(name) <= WIDEST else f"{name[: WIDEST // 2]}..."


def _result(graded: Any) -> str:
    """Return how many exercises passed, or a dash if nothing was graded."""
    return f"{graded.score} of {len(graded.exercises)}" if graded.digest else "-"


def _width(text: str) -> int:
    """Return how many columns a terminal needs for a text."""
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _table(report: Any) -> None:
    """Print a line for each student with a column for each chapter, and below why something was not graded."""
    from ..course.grading import printable

    chapters = list(dict.fromkeys(graded.submission.chapter for graded in report.graded))
    cells = {(graded.submission.student, graded.submission.chapter): graded for graded in report.graded}
    students = list(dict.fromkeys(graded.submission.student for graded in report.graded))
    names = {student: _name(cells[student, chapters[0]]) for student in students}
    width = max(len("student"), *map(_width, names.values()))
    say("  ".join([_padded("student", width), *chapters]), wrap=False)
    for student in students:
        row = [_result(cells[student, chapter]).ljust(len(chapter)) for chapter in chapters]
        say("  ".join([_padded(names[student], width), *row]).rstrip(), wrap=False)
    for graded in report.graded:
        if graded.problem and graded.submission.path is not None:
            say(f"{_name(graded)}, {graded.submission.chapter}: {printable(graded.problem)}")
    passed = sum(graded.passed for graded in report.graded)
    say(f"{passed} of {len(report.graded)} submissions passed")


def as_path(text: str) -> str | Path:
    """Return where JSON goes: ``-`` is standard output."""
    return text if text == "-" else Path(text)
