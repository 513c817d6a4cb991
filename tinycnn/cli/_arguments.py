"""Arguments that several commands share, and their checks."""

import argparse
from collections.abc import Callable

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
    parser.add_argument(
        "folder", metavar="DIR", help="the folder that 'tinycnn train' left, such as runs/ladder_03-mnist"
    )


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
