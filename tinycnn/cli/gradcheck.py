"""``tinycnn gradcheck NAME``: check whether a network's gradients are right."""

import argparse

from ..core.printing import say
from ._arguments import add_model_name

HELP = "Check a network's gradients against finite differences"
EXAMPLE = "tinycnn gradcheck ladder_02"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add NAME."""
    add_model_name(parser)


def run(args: argparse.Namespace) -> int:
    """Print the report; return 1 if a gradient is wrong."""
    from .. import testing

    report = testing.model_report(args.name)
    say(str(report))
    return 0 if report.ok else 1
