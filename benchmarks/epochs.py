"""Measure how long the epochs of long trainings take, and so the whole trainings, when nothing else computes.

    python benchmarks/epochs.py
    python benchmarks/epochs.py cifar10_cnn --rounds 1 --save

A network is trained by its recipe on its published data set, with augmentation and with validation after each epoch.
The first epoch is not counted, because kernels are compiled and memory is touched in it. The published runs go on
beside other work, so their own times say less. It needs the data sets, which are downloaded if they are missing.
"""

import argparse
import statistics
from typing import Any

import figures
import machine
import numba
import record
import targets

from tinycnn import models
from tinycnn.cli._arguments import model_name
from tinycnn.cli._data import Data, load
from tinycnn.cli._results.running import train

#: For each network, the minutes in which its training must end, and in which it should.
MINUTES = {"cifar10_cnn": (50.0, 45.0), "cifar10_fast": (120.0, 90.0), "fashion_fast": (30.0, 25.0)}


def measure(name: str, data: Data, rounds: int) -> dict[str, Any]:
    """Return the seconds of each counted epoch of a network, with those of its training steps alone."""
    recipe = models.recipe(name)
    _, logbook = train(recipe, 0, data, 1 + rounds, verbose=0)
    return {
        "name": name,
        "epochs": recipe.epochs,
        "images": len(data.x_train),
        "seconds": logbook.seconds[1:],
        "train_seconds": logbook.train_seconds[1:],
    }


def minutes(result: dict[str, Any]) -> float:
    """Return the minutes of a whole training: as many epochs as the recipe has, each as long as the median."""
    return statistics.median(result["seconds"]) * result["epochs"] / 60


def tables(kept: dict[str, Any]) -> str:
    """Return a table of the networks, and which of them end in time."""
    rows = []
    for found in kept["results"]:
        speed = found["images"] / statistics.median(found["train_seconds"])
        seconds = found["seconds"]
        epoch = f"{statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})"
        rows.append([found["name"], epoch, f"{speed:,.0f}", str(found["epochs"]), f"{minutes(found):.1f} min"])
    header = ("network", "an epoch", "images per second", "epochs", "whole training")
    checks = [
        targets.Check(f"{found['name']}, whole training", *MINUTES[found["name"]], minutes(found), " min", at_most=True)
        for found in kept["results"]
        if found["name"] in MINUTES
    ]
    return "\n".join([figures.table(header, rows), *(["", targets.table(checks)] if checks else [])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="*", type=model_name, default=list(MINUTES), help="networks (default: those with a target)"
    )
    record.add_arguments(parser, rounds=2)
    arguments = parser.parse_args()
    numba.set_num_threads(arguments.threads)
    results = [measure(name, load(models.recipe(name).data), arguments.rounds) for name in arguments.names]
    record.report(record.new("epochs", arguments.threads, results), tables, arguments)


if __name__ == "__main__":
    machine.free_blas()
    main()
