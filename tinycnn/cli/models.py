"""``tinycnn models``: list the networks that can be trained."""

import argparse

from ..core.printing import say
from ..core.table import Table

HELP = "List the networks that have a recipe"
EXAMPLE = "tinycnn models"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing; the command has no arguments."""


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    from .. import models

    rows = [
        (recipe.name, f"{recipe.params.total:,}", recipe.data, recipe.documented_text)
        for recipe in map(models.recipe, models.names())
    ]
    headings = ("Name", "Parameters", "Data", "Documented accuracy")
    say(f"{Table(headings, rows, 'lrll', rules=0).for_print()}\n")
    say("The accuracy is that of the document's own run; 'tinycnn summary NAME' shows what else it reports.\n")
    for recipe in map(models.recipe, models.variations()):
        say(f"{recipe.name} is {recipe.variation_of}, trained in another way.")
    own = [
        (recipe.name, f"{recipe.params.total:,}", recipe.data, str(recipe.epochs))
        for recipe in map(models.recipe, models.beyond())
    ]
    say(f"\n{Table(('Our own', 'Parameters', 'Data', 'Epochs'), own, 'lrlr', rules=0).for_print()}")
    return 0
