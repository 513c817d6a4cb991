"""``tinycnn course start DIR``: write the files of the course that a learner fills in."""

import argparse
from pathlib import Path

from ..core.printing import say
from ._arguments import UsageError

HELP = "Learn how a network works by writing its functions"
EXAMPLE = "tinycnn course start my_course"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to do, and the folder."""
    what = "start: write a file for each chapter into a folder; list: show the chapters"
    parser.add_argument("what", choices=("start", "list"), help=what)
    parser.add_argument("folder", metavar="DIR", type=Path, nargs="?", help="the folder for 'start'")


def run(args: argparse.Namespace) -> int:
    """Write the files, or list the chapters."""
    from .. import course
    from ..course import templates

    if args.what == "list":
        if args.folder is not None:
            raise UsageError("'list' takes no folder; to write the files, use 'tinycnn course start DIR'")
        for name in course.names():
            say(f"{name}  {templates.title(name)}")
        return 0
    if args.folder is None:
        raise UsageError("name a folder: tinycnn course start DIR")
    started = course.start(args.folder)
    for path in started.written:
        say(f"{path}: {templates.title(path.stem)}")
    for path in started.kept:
        say(f"{path} exists and stays as it is")
    if not started.written:
        say("Nothing was written. To begin a chapter anew, rename its file first.")
    else:
        name = started.written[0].stem
        say(f"Fill in the functions, then: tinycnn check {name} {started.written[0]}")
    return 0
