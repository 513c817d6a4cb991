"""Arguments that several commands share, and their checks."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

DATA = ("mnist", "fashion_mnist", "cifar10", "digits")


class UsageError(ValueError):
    """The arguments make no sense together; the exit code is 2."""


def add_model_name(parser: argparse.ArgumentParser) -> None:
    """The positional NAME of a documented network."""
    parser.add_argument(
        "name", metavar="NAME", type=_model_name, help="a documented network; 'tinycnn models' lists them"
    )


def add_run_folder(parser: argparse.ArgumentParser) -> None:
    """The positional DIR that a training left."""
    left = "the folder that 'tinycnn train' left, such as runs/ladder_03-mnist"
    parser.add_argument("folder", metavar="DIR", type=folder_name, help=left)


def add_threads(parser: argparse.ArgumentParser) -> None:
    """The option --threads."""
    parser.add_argument("--threads", type=whole_number(1, 256), metavar="N", help="threads of the cpu backend")


def set_threads(count: int | None, backend: str) -> int:
    """Tell Numba how many threads to use, one per core where ``count`` is None; returns how many there are.

    Raises
    ------
    UsageError
        If Numba was imported before and cannot have so many any more.
    """
    if backend != "cpu":
        return 1
    if count is not None and "numba" not in sys.modules:
        # More threads than cores are possible only if Numba learns of them before it is imported.
        os.environ["NUMBA_NUM_THREADS"] = str(count)
    import numba

    if count is not None:
        try:
            numba.set_num_threads(count)
        except ValueError as error:
            raise UsageError(f"--threads {count}: {error}") from error
    return int(numba.get_num_threads())


def folder_name(text: str) -> Path:
    """An argument's type: a folder. A variable of the shell's that is not set is none, least of all the current one."""
    if not text:
        raise argparse.ArgumentTypeError("the name of a folder is empty; the current folder is called '.'")
    return Path(text)


def whole_number(minimum: int, maximum: int = 2**63 - 1) -> Callable[[str], int]:
    """An argument's type: a whole number in a range."""

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


def _model_name(text: str) -> str:
    from .. import models

    try:
        return models.recipe(text).name
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
