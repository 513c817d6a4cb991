"""``tinycnn check CHAPTER FILE``: grade a chapter of the course."""

import argparse
from pathlib import Path
from typing import Any

from ..core.printing import say
from ..course.templates import names, title
from . import _failing_case
from ._arguments import UsageError, whole_number

HELP = "Grade a chapter of the course in your own file"
EXAMPLE = "tinycnn check chapter01 my_course/chapter01.py"

#: How many of a file's digest's digits are shown.
DIGITS = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the chapter, the file and the options."""
    parser.add_argument("chapter", metavar="CHAPTER", choices=names(), help=f"the chapter: {', '.join(names())}")
    text = "your file, such as 'tinycnn course start' has written; it is executed"
    parser.add_argument("file", metavar="FILE", type=Path, help=text)
    hint = "show the next of three hints for the first exercise that fails"
    parser.add_argument("--hint", action="store_true", help=hint)
    page = "open a page on which the right number can be followed to its products, for a convolution that is wrong"
    parser.add_argument("--explore", action="store_true", help=page)
    seed = "which cases are drawn (default: 0)"
    parser.add_argument("--seed", type=whole_number(0, 2**31 - 1), default=0, metavar="N", help=seed)


def run(args: argparse.Namespace) -> int:
    """Print how each exercise ended; return 0 only if all of them passed."""
    from .. import course

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
    failed = next(outcome for outcome in report.outcomes if not outcome.passed)
    if args.explore:
        return _explore(failed)
    if len(failed.place) == 4 and _failing_case.is_convolution(failed.case):
        say("To follow the right number to its products on a page, add --explore.")
    if args.hint:
        _hint(report)
    else:
        say("For a hint, add --hint; there are three for each exercise, one at a time.")
    return 1


def _explore(failed: Any) -> int:
    """Open the page for the case in which an exercise fails; return the exit code of a check that failed."""
    if len(failed.place) != 4 or not _failing_case.is_convolution(failed.case):
        raise UsageError(f"--explore shows wrong numbers of a convolution, and {failed.name} fails in another way")
    from .. import explore

    explore.need_extra()
    model, data = _failing_case.network_of(failed.case)
    say(f"On the page, choose {_failing_case.place_text(failed.place)}. The image has its pads.")
    explore.show(model, data)
    return 1


def _hint(report: Any) -> None:
    """Show the next hint for the first exercise that fails."""
    from ..course import chapters, hints

    failed = next(outcome.name for outcome in report.outcomes if not outcome.passed)
    [exercise] = [one for one in chapters.chapter(report.chapter).exercises if one.name == failed]
    number, text = hints.next_hint(report.path.parent, report.chapter, exercise)
    say(f"Hint {number} of {len(exercise.hints)} for {failed}: {text}")
