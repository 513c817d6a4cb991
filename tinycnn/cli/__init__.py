"""The command line: ``tinycnn COMMAND``, with one file for each command.

A command is a module with ``HELP``, ``EXAMPLE``, ``add_arguments(parser)`` and ``run(args)``, which returns the exit
code. Modules that are slow to import (Numba, matplotlib, the data sets) are imported inside ``run``.
"""

import _thread
import argparse
import contextlib
import difflib
import gc
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

from ..core.launched import let_rank_0_speak_first, started_by_mpi
from ..core.messages import SHOWN, error_text, shown
from ..core.printing import ERR, OUT
from . import (
    check,
    completion,
    course,
    evaluate,
    explore,
    export,
    gradcheck,
    import_onnx,
    models,
    predict,
    profile,
    report,
    reproduce,
    speedrun,
    summary,
    train,
)
from ._arguments import UsageError

__all__ = ["main"]

_COMMANDS: dict[str, ModuleType] = {
    "models": models,
    "summary": summary,
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "explore": explore,
    "export": export,
    "import-onnx": import_onnx,
    "gradcheck": gradcheck,
    "profile": profile,
    "reproduce": reproduce,
    "report": report,
    "speedrun": speedrun,
    "course": course,
    "check": check,
    "completion": completion,
}
#: A negative number is a value and no option.
_NUMBER = re.compile(r"-\d+|-\d*\.\d+")
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
        it was stopped with Ctrl-C or ``kill``.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = _parser()
    try:
        if not argv:
            parser.print_help()
            return 0
        args = parser.parse_args(argv)
    except SystemExit as stop:  # argparse ends this way, also after --help
        return int(stop.code or 0)
    except BrokenPipeError:
        return _reader_gone()
    try:
        return args.run(args)
    except UsageError as error:
        return _fail(f"{error} (see tinycnn {args.command} --help)", 2)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:
        return _reader_gone()
    except (ValueError, OSError, TypeError, KeyError, FloatingPointError, MemoryError, ModuleNotFoundError) as error:
        return _fail(error_text(error), 1)


def run_as_process(argv: Sequence[str] | None = None) -> int:
    """Run :func:`main` as the last thing that the process does, and ignore Ctrl-C once the command is finished.

    Everything is written by then, and Ctrl-C while Python shuts down would only print a traceback. The garbage
    collector has nothing to do any more either, and is kept from looking through all that Numba made.

    ``kill`` does what Ctrl-C does, so that a training is kept and the processes that a command has started end with it.
    Ranks of a job are ended by their launcher, and at once.
    """
    if not started_by_mpi() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.unraisablehook = _press_again
    try:
        code = main(argv)
    except KeyboardInterrupt:  # it came when the command itself could not catch it
        code = 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if signal.getsignal(signal.SIGTERM) is signal.default_int_handler:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        gc.freeze()
    return code


def _press_again(unraisable: Any) -> None:
    """Repeat a Ctrl-C that came where Python can only print it and go on: in what a garbage collection calls."""
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    _thread.start_new_thread(_press, ())  # It could not be raised from here either.


def _press() -> None:
    """Press Ctrl-C for the main thread, after a moment."""
    time.sleep(0.1)
    signal_a_thread = getattr(signal, "pthread_kill", None)
    if signal_a_thread is None:  # as on Windows
        _thread.interrupt_main()
    else:  # A real signal ends a call that waits.
        signal_a_thread(threading.main_thread().ident, signal.SIGINT)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Lists commands in one column with the options, so that they need no second line, and in no colour."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        if sys.version_info[:2] == (3, 14):  # The stream would be asked about colours.
            settings["color"] = False
        super().__init__(*arguments, **settings)

    def _format_action(self, action: argparse.Action) -> str:
        if isinstance(action, argparse._SubParsersAction):
            return "".join(map(super()._format_action, action._get_subactions()))
        return super()._format_action(action)


class _Parser(argparse.ArgumentParser):
    """A parser that shows an example below the options, and reports an error in one line, without the usage."""

    def __init__(self, *, example: str, **settings: Any) -> None:
        if sys.version_info >= (3, 14):  # argparse would ask the stream about colours, which fails if it is detached.
            settings["color"] = False
        super().__init__(
            epilog=f"example:\n  {example}",
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
            **settings,
        )

    def error(self, message: str) -> NoReturn:
        let_rank_0_speak_first()
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse arguments, after refusing options that do not exist; argparse would first miss other arguments."""
        commands = any(isinstance(action, argparse._SubParsersAction) for action in self._actions)
        for word in args or ():
            if word == "--" or (commands and not word.startswith("-")):  # what follows is not for this parser
                break
            name = word.split("=", 1)[0]
            if name.startswith("-") and name != "-" and " " not in name and not _NUMBER.fullmatch(name):
                self._check_option(name)
        return super().parse_known_args(args, namespace)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse arguments; an error about one too many is the command's, so that it names the right --help."""
        found, extra = self.parse_known_args(args, namespace)
        if extra:
            parsers = [a.choices[found.command] for a in self._actions if isinstance(a, argparse._SubParsersAction)]
            parsers[0].error(f"there is no place for {', '.join(map(shown, extra))}")
        return found

    def _check_option(self, name: str) -> None:
        """End with an error if there is no such option; it suggests the nearest option that there is."""
        known = list(self._option_string_actions)
        if name not in known and not (name.startswith("-h") and name.strip("-h") == ""):
            self.error(f"there is no option {shown(name)}{_guess(name, known)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """End with an error if a command or a choice does not exist; it suggests the nearest one that does."""
        if action.choices is None or value in action.choices:
            return
        known = list(action.choices)
        if isinstance(action, argparse._SubParsersAction):
            self.error(f"there is no command {shown(value)}{_guess(value, known) or '; there are ' + ', '.join(known)}")
        text = f"{shown(value)} is not one of {', '.join(map(str, known))}{_guess(value, known)}"
        raise argparse.ArgumentError(action, text)

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is sys.stderr:
            _say_error(message.removesuffix("\n"))
        else:
            OUT.write(message)


def _parser() -> _Parser:
    """Build the parser of all commands."""
    from ..core.version import __version__

    parser = _Parser(
        prog="tinycnn", description="Train, test and inspect small convolutional neural networks.", example=_EXAMPLE
    )
    parser.add_argument("--version", action="version", version=f"tinycnn {__version__}")
    commands = parser.add_subparsers(
        title="commands ('tinycnn COMMAND --help' explains each)", metavar="COMMAND", dest="command", required=True
    )
    for name, module in _COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=f"{module.HELP}.", example=module.EXAMPLE)
        module.add_arguments(command)
        command.set_defaults(run=module.run, parser=parser)
    return parser


def _guess(wrong: str, known: Sequence[str]) -> str:
    """Return a question about the most similar name, or nothing if none is similar."""
    near = difflib.get_close_matches(wrong[:SHOWN].lower(), known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


def _say_error(text: str) -> None:
    """Print an error; lines that are indented are commands to copy, and stay whole in a terminal."""
    for line in text.split("\n"):
        ERR.say(line, wrap=not line.startswith("  "))


def _fail(message: str, code: int) -> int:
    """Print an error, once if several ranks of a job make it, and return the exit code."""
    let_rank_0_speak_first()
    _say_error(f"tinycnn: {message}")
    return code


def _reader_gone() -> int:
    """Return the exit code when the program that reads the output, such as head, has closed it.

    Without this, Python would report an error again when it flushes the output at exit.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
