"""``tinycnn check CHAPTER FILE``: grade a chapter of the course."""

import argparse
from pathlib import Path
from typing import Any

from ..core.printing import say
from ..course.templates import names, title
from ._arguments import whole_number

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
    if args.hint:
        _hint(report)
    else:
        say("For a hint, add --hint; there are three for each exercise, one at a time.")
    return 1


def _hint(report: Any) -> None:
    """Show the next hint for the first exercise that fails."""
    from ..course import chapters, hints

    failed = next(outcome.name for outcome in report.outcomes if not outcome.passed)
    [exercise] = [one for one in chapters.chapter(report.chapter).exercises if one.name == failed]
    number, text = hints.next_hint(report.path.parent, report.chapter, exercise)
    say(f"Hint {number} of {len(exercise.hints)} for {failed}: {text}")
