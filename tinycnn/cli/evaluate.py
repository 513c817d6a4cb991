"""``tinycnn evaluate DIR``: test a trained network on its test set."""

import argparse
from pathlib import Path

from ..core.printing import say
from ..core.table import Table
from ._arguments import add_run_folder, add_threads, set_threads
from ._origin import check_exists, data_name

HELP = "Test a trained network on its test set, class by class"
EXAMPLE = "tinycnn evaluate runs/ladder_03-mnist"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add DIR, --data and --threads."""
    add_run_folder(parser)
    data = "where the folder of pictures is now on which the network was trained, if it has moved"
    parser.add_argument("--data", type=data_name, metavar="FOLDER", help=data)
    add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Print the loss, the accuracy, and the accuracy of each class."""
    import tinycnn

    from . import _origin, _runs

    check_exists(args.data)
    folder: Path = args.folder
    description = _runs.read_description(folder)
    origin = _origin.of_run(description, args.data, folder)
    set_threads(args.threads, description["backend"])
    with tinycnn.use_backend(description["backend"]):
        model = _runs.load_model(folder, len(origin.class_names))
        data = origin.load()
        loss, accuracy = model.evaluate(data.x_test, data.y_test, verbose=0)
        predicted = model.predict(data.x_test).argmax(axis=1)
    say(f"{description['model']} on the test set of {data.title}, {len(data.y_test):,} images")
    say(f"loss      {loss:.4f}\naccuracy  {accuracy:.4f}\n")
    rows = []
    for number, name in enumerate(data.class_names):
        of_class = data.y_test == number
        images, errors = int(of_class.sum()), int((predicted[of_class] != number).sum())
        rows.append((name, f"{images}", f"{errors}", f"{1 - errors / images:.4f}" if images else "none"))
    say(Table(("Class", "Images", "Errors", "Accuracy"), rows, "lrrr", rules=0).for_print())
    return 0
