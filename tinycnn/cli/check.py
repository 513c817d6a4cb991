"""``tinycnn check CHAPTER FILE``: grade a chapter of the course; ``tinycnn check --all FOLDER``: grade a class."""

import argparse
import warnings
from pathlib import Path
from typing import Any

from .. import course
from ..core.printing import say
from ..core.system import quoted
from ..course.templates import names, title
from . import _class_check
from ._arguments import UsageError, folder_name, whole_number

HELP = "Grade a chapter of the course in your own file"
EXAMPLE = "tinycnn check chapter01 my_course/chapter01.py"

#: How many of a file's digest's digits are shown.
DIGITS = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the chapter, the file and the options."""
    text = f"the chapter, {names()[0]} to {names()[-1]}"
    parser.add_argument("chapter", metavar="CHAPTER", nargs="?", type=_chapter, choices=names(), help=text)
    text = "your file, as 'tinycnn course start' wrote it; it is executed"
    parser.add_argument("file", metavar="FILE", nargs="?", type=Path, help=text)
    hint = "show the next of three hints for what fails first"
    parser.add_argument("--hint", action="store_true", help=hint)
    page = "open the page at the number that is wrong, as your function computes it"
    parser.add_argument("--explore", action="store_true", help=page)
    seed = "which cases are drawn (default: 0)"
    parser.add_argument("--seed", type=whole_number(0, 2**31 - 1), default=0, metavar="N", help=seed)
    every = "grade a class: files, or a folder for each student"
    parser.add_argument("--all", type=folder_name, metavar="FOLDER", help=every)
    text = "with --all: the report as JSON (default: printed)"
    parser.add_argument("--json", type=_class_check.as_path, nargs="?", const="-", metavar="FILE", help=text)
    text = "write Gradescope's results.json"
    parser.add_argument("--gradescope", type=Path, metavar="FILE", help=text)
    jobs = "submissions at a time (default: half as many as cores)"
    parser.add_argument("--jobs", type=whole_number(1, 256), metavar="N", help=jobs)
    limit = "seconds for each submission (default: 300)"
    parser.add_argument("--limit", type=whole_number(1, 86400), default=300, metavar="SECONDS", help=limit)


def _chapter(text: str) -> str:
    """Return the name of a chapter, with two digits if it was written with one: ``chapter1`` is not ``chapter10``."""
    return f"chapter0{text[-1]}" if text[:-1] == "chapter" and text[-1] in "123456789" else text


def run(args: argparse.Namespace) -> int:
    """Print how each exercise ended; return 0 only if all of them passed."""
    _check(args)
    if args.all is not None or args.gradescope is not None:
        course.need_extra()
        return _class_check.run_all(args) if args.all is not None else _class_check.run_gradescope(args)
    report = course.check(args.chapter, args.file, args.seed)
    say(f"{args.chapter}, {title(args.chapter)}: {report.path}")
    say(f"sha256 {report.digest[:DIGITS]}")
    width = max(len(outcome.name) for outcome in report.outcomes)
    for outcome in report.outcomes:
        if outcome.passed:
            cases = f"{outcome.cases} cases" if outcome.cases > 1 else "one case"
            say(f"  passed  {outcome.name.ljust(width)}  {cases}")
        else:
            say(f"  FAILED  {outcome.name}")
            for line in outcome.lines:
                say(f"          {line}", wrap=False)
    passed = sum(outcome.passed for outcome in report.outcomes)
    say(f"{passed} of {len(report.outcomes)} exercises passed")
    if report.passed:
        return 0
    failures = [outcome for outcome in report.outcomes if not outcome.passed]
    if args.explore:
        return _explore(report, failures)
    _tell_more(args, report, failures)
    return 1


def _tell_more(args: argparse.Namespace, report: Any, failures: list[Any]) -> None:
    """Show a hint for what fails first, if one was asked for, and say what else there is."""
    hints_left = _hint(report, failures[0]) if args.hint else True
    if not args.hint:
        say("For a hint, add --hint; there are three for each exercise, one at a time.")
    shown = _first_with_a_place(failures)
    if shown is None:
        return
    what = f"To see the wrong number of {shown.name} on a page"
    if hints_left:
        say(f"{what}, and how it should come about, add --explore.")
        return
    seed = f" --seed {args.seed}" if args.seed else ""
    command = f"tinycnn check {args.chapter} {quoted(str(args.file))}{seed} --explore"
    say(f"{what}, as your function computes it, and how it should come about: {command}")


def _check(args: argparse.Namespace) -> None:
    """Raise UsageError if the arguments do not fit together."""
    if args.all is not None:
        if args.file is not None:
            raise UsageError("--all grades a folder; leave FILE out")
        if args.hint or args.explore or args.gradescope is not None:
            raise UsageError("--hint, --explore and --gradescope are for one file; leave them or --all out")
        return
    if args.chapter is None or args.file is None:
        raise UsageError("name a chapter and your file, or a class's folder with --all FOLDER")
    if args.json is not None or args.jobs is not None:
        raise UsageError("--json and --jobs belong to --all FOLDER")
    if args.gradescope is not None and (args.hint or args.explore):
        raise UsageError("--gradescope shows no hints and no page; leave --hint and --explore out")


def _first_with_a_place(failures: list[Any]) -> Any:
    """Return the first failure whose wrong number the page can show; None if there is none."""
    from . import _failing_case

    return next((failed for failed in failures if not _failing_case.why_not(failed)), None)


def _explore(report: Any, failures: list[Any]) -> int:
    """Open the page at the element that is wrong; return the exit code of a check that failed."""
    from . import _failing_case

    failed = _first_with_a_place(failures)
    if failed is None:
        say(_failing_case.why_not(failures[0]))
        return 1
    from .. import explore

    explore.need_extra()
    page = _failing_case.shown(report.path, _exercise(report, failed), failed)
    say(page.text)
    from ..explore import server

    warnings.filterwarnings("ignore", message=".*unscaled images")  # nobody trains on the numbers of a case
    server.serve(page.session, where=page.where)
    return 1


def _exercise(report: Any, failed: Any) -> Any:
    """Return the exercise that failed."""
    from ..course import chapters

    return next(one for one in chapters.chapter(report.chapter).exercises if one.name == failed.name)


def _hint(report: Any, failed: Any) -> bool:
    """Show the next hint for the first exercise that fails, and return whether there is another one."""
    from ..course import hints

    exercise = _exercise(report, failed)
    number, text = hints.next_hint(report.path.parent, report.chapter, exercise)
    say(f"Hint {number} of {len(exercise.hints)} for {failed.name}: {text}")
    return number < len(exercise.hints)
