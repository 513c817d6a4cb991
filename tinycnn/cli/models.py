"""``tinycnn models``: list the networks that can be trained."""

import argparse

HELP = "List the documented networks"
EXAMPLE = "tinycnn models"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing; the command has no arguments."""


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    from .. import models

    print(f"{'Name':<17}{'Parameters':>10}  {'Data':<15}Documented accuracy")
    for recipe in map(models.recipe, models.names()):
        print(f"{recipe.name:<17}{recipe.params.total:>10,}  {recipe.data:<15}{recipe.documented_text}")
    for recipe in map(models.recipe, models.variations()):
        print(f"\n{recipe.name} is {recipe.variation_of}, trained in another way.", end="")
    print("\n\nThe accuracy is that of the document's own run; 'tinycnn summary NAME' shows what else it reports.")
    return 0
