"""``tinycnn summary NAME``: show a network's layers, recipe and documented results."""

import argparse
from typing import Any

from ..core.printing import say
from ._arguments import add_model_name

HELP = "Show a network's layers, recipe and documented results"
EXAMPLE = "tinycnn summary ladder_10"

_TITLES = {
    "train_accuracy": "train accuracy",
    "train_loss": "train loss",
    "val_loss": "validation loss",
    "val_accuracy": "validation accuracy",
    "best_val_accuracy": "validation accuracy, best epoch",
    "last_val_accuracy": "validation accuracy, last epoch",
    "val_accuracy_by_epoch": "validation accuracy by epoch",
    "per_class_accuracy": "accuracy by class",
    "errors_in_first_100": "errors in the first 100 test images",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add NAME and --plan."""
    add_model_name(parser)
    parser.add_argument("--plan", action="store_true", help="show which layers run as one in training")


def run(args: argparse.Namespace) -> int:
    """Print the layers, the recipe and the documented results."""
    from .. import models
    from ..schedules import InverseEpochDecay

    recipe = models.recipe(args.name)
    model = models.build(args.name)
    if args.plan:
        model.compile(recipe.make_optimizer(), recipe.loss)
    model.summary(plan=args.plan)
    settings = ", ".join(f"{key} {value}" for key, value in recipe.optimizer_config.items())
    say(f"\nRecipe, from {recipe.document!r}" if recipe.document else "\nRecipe of our own")
    _line("data", recipe.data)
    _line("epochs", recipe.epochs)
    _line("batch size", recipe.batch_size)
    _line("optimizer", f"{recipe.optimizer} ({settings})".replace("learning_rate", "learning rate"))
    if recipe.schedule is not None:
        by_epoch = isinstance(recipe.schedule, InverseEpochDecay)
        _line("learning rate", recipe.schedule if by_epoch else f"{recipe.schedule}, by epoch")
    if recipe.augment is not None:
        changes = {key: value for key, value in recipe.augment.get_config().items() if value}
        _line("augmentation", ", ".join(f"{key} {value}" for key, value in changes.items()))
    _line("loss", recipe.loss)
    _line("seed", recipe.seed)
    _line("weights kept", "those of the best epoch" if recipe.restore_best else "those of the last epoch")
    why = ", because the document leaves it open" if recipe.document else ""
    _list(f"Chosen here{why}", recipe.chosen)
    _list("Documented", [f"{_TITLES.get(key, key)}: {_figures(value)}" for key, value in recipe.documented.items()])
    _list("Notes", recipe.notes)
    return 0


def _line(title: str, value: Any) -> None:
    """Print a setting."""
    say(f"  {title:<14}{value}")


def _list(title: str, lines: Any) -> None:
    """Print a list with a title, if it has any lines."""
    if lines:
        say("\n".join([f"\n{title}", *(f"  - {line}" for line in lines)]))


def _figures(value: Any) -> str:
    """Return a documented figure, or several, as text."""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
