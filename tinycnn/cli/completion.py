"""``tinycnn completion SHELL``: print a script with which a shell completes commands, options and names."""

import argparse

from ..core.printing import OUT
from ._arguments import DATA, folder_name, model_name, model_names
from ._origin import data_name

HELP = "Print a script for completion in bash or zsh"
EXAMPLE = "tinycnn completion bash > ~/.local/share/bash-completion/completions/tinycnn"

SHELLS = ("bash", "zsh")
#: The functions of the shells that complete --data: the names of the data sets, and folders.
_DATA_FUNCTION = {
    "bash": f"""_tinycnn_data() {{
  compgen -W "{" ".join(DATA)}" -- $1
  compgen -d -- $1
}}""",
    "zsh": f"""_tinycnn_data() {{
  _alternative 'data:data set:({" ".join(DATA)})' 'folders:folder:_files -/'
}}""",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add SHELL."""
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash or zsh")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    try:
        import shtab
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'tinycnn completion needs shtab, which writes the scripts: pip install "tinycnn[completion]"'
        ) from error
    names = model_names()
    for action in _actions(args.parser):
        if action.type is model_name or action.dest == "names":
            action.choices = names
        elif action.type is data_name:
            action.complete = dict.fromkeys(SHELLS, "_tinycnn_data")  # type: ignore[attr-defined]
        elif action.type is folder_name:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.dest == "images":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    OUT.write(shtab.complete(args.parser, args.shell, preamble=_DATA_FUNCTION))  # type: ignore[arg-type]
    return 0


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the arguments of a parser and of the parsers of its commands."""
    found = []
    for action in parser._actions:
        found.append(action)
        if isinstance(action, argparse._SubParsersAction):
            found += [inner for command in action.choices.values() for inner in _actions(command)]
    return found
