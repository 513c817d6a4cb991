"""Arguments that several commands share, and the checks of arguments."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from ..core.system import check_name

DATA = ("mnist", "fashion_mnist", "cifar10", "digits")


class UsageError(ValueError):
    """The arguments are not valid, or do not fit together; the exit code is 2."""


def add_model_name(parser: argparse.ArgumentParser) -> None:
    """Add the positional argument NAME, a network that has a recipe."""
    parser.add_argument(
        "name", metavar="NAME", type=model_name, help="a network with a recipe; 'tinycnn models' lists them"
    )


def add_run_folder(parser: argparse.ArgumentParser) -> None:
    """Add the positional argument DIR, the folder of a run."""
    text = "folder that 'tinycnn train' has written, such as runs/ladder_03-mnist"
    parser.add_argument("folder", metavar="DIR", type=folder_name, help=text)


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add the option --threads."""
    text = "threads of the cpu backend (default: one per core)"
    parser.add_argument("--threads", type=whole_number(1, 256), metavar="N", help=text)


def set_threads(count: int | None, backend: str) -> int:
    """Tell Numba how many threads to use, by default one per core, and return how many it uses.

    Raises
    ------
    UsageError
        If Numba was imported before and can no longer use so many threads.
    """
    if backend != "cpu":
        return 1
    if count is not None and "numba" not in sys.modules:
        # Numba allows more threads than cores only if this variable is set before it is imported.
        os.environ["NUMBA_NUM_THREADS"] = str(count)
    import numba

    from ..core.starting import choose_threads
    from ..kernels.threads import thread_count

    choose_threads()
    if count is not None:
        thread_count()  # it starts the threads so that they wait as they should
        try:
            numba.set_num_threads(count)
        except ValueError as error:
            raise UsageError(f"--threads {count}: {error}") from error
    return thread_count()


def folder_name(text: str) -> Path:
    """Return an argument as the name of a folder.

    An empty name is an error and not the current folder, because it usually comes from a shell variable that is not
    set.
    """
    if not text:
        raise argparse.ArgumentTypeError("the name of a folder is empty; the current folder is called '.'")
    return Path(text)


def check_new_folder(folder: Path) -> None:
    """Raise UsageError if a folder would have to be made whose name is not allowed on every system."""
    for path in (folder, *folder.parents):
        if path.name not in ("", "..") and not path.is_dir():
            try:
                check_name(path.name)
            except ValueError as error:
                raise UsageError(f"--out: {error}") from None


def whole_number(minimum: int, maximum: int = 2**63 - 1) -> Callable[[str], int]:
    """Return a function that converts an argument to a whole number in a range."""

    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = minimum - 1
        if not minimum <= number <= maximum:
            upper = f" to {maximum}" if maximum < 2**63 - 1 else ""
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {minimum}{upper}")
        return number

    return convert


def model_names() -> list[str]:
    """Return all names that :func:`model_name` accepts."""
    from .. import models

    return [*models.names(), *models.variations(), *models.beyond()]


def model_name(text: str) -> str:
    """Return an argument as the name of a network."""
    from .. import models

    try:
        return models.recipe(text).name
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
