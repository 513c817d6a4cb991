"""``tinycnn course start DIR``: write the files of the course that a learner fills in."""

import argparse
from pathlib import Path
from typing import Any

from ..core.printing import say
from ._arguments import UsageError

HELP = "Learn how a network works by writing its functions"
EXAMPLE = "tinycnn course start my_course"

#: A training that takes more seconds is announced.
PATIENCE = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to do, and the folder."""
    what = (
        "start: write a file for each chapter into a folder; train: train a network on your functions of chapters 2 "
        "to 6; list: show the chapters"
    )
    parser.add_argument("what", choices=("start", "train", "list"), help=what)
    parser.add_argument("folder", metavar="DIR", type=Path, nargs="?", help="the folder of your files")


def run(args: argparse.Namespace) -> int:
    """Write the files, train on them, or list the chapters."""
    from .. import course
    from ..course import templates

    if args.what == "list":
        if args.folder is not None:
            raise UsageError("'list' takes no folder; to write the files, use 'tinycnn course start DIR'")
        for name in course.names():
            say(f"{name}  {templates.title(name)}")
        return 0
    if args.folder is None:
        raise UsageError(f"name a folder: tinycnn course {args.what} DIR")
    if args.what == "train":
        return _train(args.folder)
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


def _train(folder: Path) -> int:
    """Train a network on the functions of a folder; return 0 only if it reads enough of the test images."""
    from ..course import own_kernels, own_training

    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; 'tinycnn course start {folder}' makes it, with a file per chapter")
    try:
        functions = own_kernels.gathered(folder)
        if not _say_whose(functions):
            return 1
        data = own_training.load_data()
        difference = own_training.compared(functions, data)
        if difference.step is not None:
            _say_what_differs(functions, difference)
            return 1
        say(
            f"The losses of the first {own_training.FIRST} steps are the reference's; the largest difference is "
            f"{difference.largest:.1e}, and {own_training.ALLOWED:g} would be allowed."
        )
        expected = difference.seconds / own_training.FIRST * -(-len(data.x) // own_training.BATCH)
        if expected > PATIENCE:
            say(f"The training will take about {expected:.0f} s; loops over taps are faster than loops over pixels.")
        trained = own_training.trained(functions, data)
    except own_kernels.OwnFunctionError as error:
        say(f"{error}.")
        return 1
    say(f"{trained.steps} steps and {len(data.x_test):,} test images took {trained.seconds:.1f} s.")
    share = f"{trained.accuracy:.1%} of the test images are read correctly"
    if not trained.accuracy >= own_training.AIM:
        say(f"{share}; the aim is {own_training.AIM:.0%}.")
        return 1
    say(f"{share}. Your functions train the network.")
    return 0


def _say_whose(functions: Any) -> bool:
    """Say where each function comes from; return whether any of them is the learner's own."""
    own = {name: function.path for name, function in functions.items() if function.path is not None}
    if not own:
        say("None of the functions is written yet. Begin with conv2d_im2col in chapter02.py.")
        return False
    for path in dict.fromkeys(own.values()):
        say(f"{path}: {', '.join(name for name, where in own.items() if where == path)}")
    missing = [name for name in functions if name not in own]
    if missing:
        say(f"From the solutions, because they are not written yet: {', '.join(missing)}")
    return True


def _say_what_differs(functions: Any, difference: Any) -> None:
    """Say which step differs first, and which functions make the difference."""
    from ..course import own_kernels, own_training

    say(
        f"Step {difference.step} is the first whose loss differs from the reference's: it is {difference.own:.6g}, and "
        f"{difference.right:.6g} is right ({own_training.ALLOWED:g} would be allowed)."
    )
    for name, step in difference.alone.items():
        path = functions[name].path
        say(f"{name} makes a difference from step {step} on when all other functions are the solutions'. To see why:")
        say(f"  tinycnn check {own_kernels.FUNCTIONS[name]} {path}", wrap=False)
    if not difference.alone:
        say("No function makes a difference by itself when all others are the solutions'; check each chapter.")
