"""``tinycnn models``: what there is to train."""

import argparse

HELP = "List the documented networks"
EXAMPLE = "tinycnn models"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    from .. import models

    rows = [("Name", "Parameters", "Data", "Documented accuracy")]
    for recipe in map(models.recipe, models.names()):
        accuracy = recipe.documented_accuracy
        rows.append(
            (recipe.name, f"{recipe.params.total:,}", recipe.data, "none" if accuracy is None else f"{accuracy:.4g}")
        )
    for name, parameters, data, documented in rows:
        print(f"{name:<17}{parameters:>10}  {data:<15}{documented:>19}")
    for recipe in map(models.recipe, models.variations()):
        print(f"\n{recipe.name} is {recipe.variation_of}, trained in another way.", end="")
    print("\n\nThe accuracy is of the document's own run; 'tinycnn summary NAME' tells the rest of what it reports.")
    return 0
