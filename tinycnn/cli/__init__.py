"""The command line: ``tinycnn COMMAND``, one file for each command.

A command is a module with ``HELP``, ``EXAMPLE``, ``add_arguments(parser)`` and ``run(args)``, which returns the exit
code. What takes time to import (Numba, matplotlib, the data sets) is imported inside ``run``.
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
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; by default the process's.

    Returns
    -------
    int
        The exit code: 0 done; 1 failed, or a gradient is wrong; 2 the arguments make no sense; 130 stopped by Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that lacks "×" shows "?" instead of ending the program.
            stream.reconfigure(errors="replace")
    try:
        args = _parser().parse_args(argv)
    except SystemExit as stop:  # argparse's way out, of --help too
        return int(stop.code or 0)
    try:
        return args.run(args)
    except UsageError as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:
        # The reader, head for example, has seen enough. Python would complain again when it flushes at exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError, TypeError, KeyError, FloatingPointError, MemoryError) as error:
        return _fail(_text(error), 1)


def run_as_process(argv: Sequence[str] | None = None) -> int:
    """:func:`main` of a process that ends with it: no Ctrl-C comes between a finished command and its exit code.

    What Python runs at its end would only print a traceback, when everything is written already.
    """
    try:
        code = main(argv)
    except KeyboardInterrupt:  # outside of what the command itself catches
        code = 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code


class _Parser(argparse.ArgumentParser):
    """With an example under the options; one line for an error, instead of all the options and then the error."""

    def __init__(self, *, example: str, **settings: Any) -> None:
        super().__init__(
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **settings,
        )

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> _Parser:
    from ..core.version import __version__

    parser = _Parser(prog="tinycnn", description="Train, test and look into small CNNs.", example=_EXAMPLE)
    parser.add_argument("--version", action="version", version=f"tinycnn {__version__}")
    commands = parser.add_subparsers(title="commands (each has its own --help)", metavar="COMMAND", required=True)
    for name, module in _COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=f"{module.HELP}.", example=module.EXAMPLE)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def _text(error: Exception) -> str:
    """What to say about an error that the library raised on purpose."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])  # str() of a KeyError adds quotes
    return str(error)


def _fail(message: str, code: int) -> int:
    print(f"tinycnn: {message}", file=sys.stderr)
    return code
