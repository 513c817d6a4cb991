"""The command line: ``tinycnn COMMAND``, with one file for each command.

A command is a module with ``HELP``, ``EXAMPLE``, ``add_arguments(parser)`` and ``run(args)``, which returns the exit
code. Modules that are slow to import (Numba, matplotlib, the data sets) are imported inside ``run``.
"""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

from . import evaluate, gradcheck, models, predict, profile, report, reproduce, summary, train
from ._arguments import UsageError

__all__ = ["main"]

_COMMANDS: dict[str, ModuleType] = {
    "models": models,
    "summary": summary,
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "gradcheck": gradcheck,
    "profile": profile,
    "reproduce": reproduce,
    "report": report,
}
_EXAMPLE = "tinycnn train ladder_03 --data digits --epochs 3"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments without the program's name; by default those of the process.

    Returns
    -------
    int
        0 if the command succeeded; 1 if it failed or found a wrong gradient; 2 if the arguments are not valid; 130 if
        it was stopped with Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that cannot show "×" shows "?" instead, and the program does not end with an error.
            stream.reconfigure(errors="replace")
    try:
        args = _parser().parse_args(argv)
    except SystemExit as stop:  # argparse ends this way, also after --help
        return int(stop.code or 0)
    try:
        return args.run(args)
    except UsageError as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:
        # The program that reads the output, such as head, has closed it. Without this, Python would report an error
        # again when it flushes the output at exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError, TypeError, KeyError, FloatingPointError, MemoryError) as error:
        return _fail(_text(error), 1)


def run_as_process(argv: Sequence[str] | None = None) -> int:
    """Run :func:`main` as the last thing that the process does, and ignore Ctrl-C once the command is finished.

    Everything is written by then, and Ctrl-C while Python shuts down would only print a traceback.
    """
    try:
        code = main(argv)
    except KeyboardInterrupt:  # it came when the command itself could not catch it
        code = 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Lists commands in one column with the options, so that they need no second line."""

    def _format_action(self, action: argparse.Action) -> str:
        if isinstance(action, argparse._SubParsersAction):
            return "".join(map(super()._format_action, action._get_subactions()))
        return super()._format_action(action)


class _Parser(argparse.ArgumentParser):
    """A parser that shows an example below the options, and reports an error in one line, without the usage."""

    def __init__(self, *, example: str, **settings: Any) -> None:
        super().__init__(
            epilog=f"example:\n  {example}",
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
            **settings,
        )

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> _Parser:
    """Build the parser of all commands."""
    from ..core.version import __version__

    parser = _Parser(
        prog="tinycnn", description="Train, test and inspect small convolutional neural networks.", example=_EXAMPLE
    )
    parser.add_argument("--version", action="version", version=f"tinycnn {__version__}")
    commands = parser.add_subparsers(
        title="commands ('tinycnn COMMAND --help' explains each)", metavar="COMMAND", required=True
    )
    for name, module in _COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=f"{module.HELP}.", example=module.EXAMPLE)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def _text(error: Exception) -> str:
    """Return the message of an error that the library raised on purpose."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])  # str() of a KeyError adds quotes
    return str(error)


def _fail(message: str, code: int) -> int:
    """Print an error and return the exit code."""
    print(f"tinycnn: {message}", file=sys.stderr)
    return code
