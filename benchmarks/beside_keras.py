"""Train the same recipes in tinycnn and in Keras, to see what a single run of a document may be expected to reach.

    python benchmarks/beside_keras.py                       # skips the runs that are already recorded
    python benchmarks/beside_keras.py ladder_05 --threads 1

A document reports one run. If the mean of our runs is lower, the reason may be the engine, or the document's run may
have been lucky. Other runs in Keras tell which it is, with the same images, layers, optimizer and epochs, and with as
many seeds. The record of a network is a file in ``results/beside/``; ``tinycnn report`` shows it.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import machine
import numba
from curves import complete
from networks import Job
from peers.on_keras import network

import tinycnn
from tinycnn import models
from tinycnn.cli._arguments import model_name, whole_number
from tinycnn.cli._data import Data, load
from tinycnn.cli._results.beside import OURS
from tinycnn.core.version import NUMERICS

RESULTS = Path(__file__).parents[1] / "results" / "beside"
#: The networks that missed their targets.
NETWORKS = ("ladder_05", "ladder_09", "ladder_10")


def train_ours(name: str, data: Data, seed: int, epochs: int) -> list[float]:
    """Train a network in tinycnn and return the test accuracy after each epoch."""
    recipe = models.recipe(name)
    tinycnn.set_seed(seed)
    model = models.build(name)
    model.compile(recipe.make_optimizer(), recipe.loss, metrics=["accuracy"])
    return _curve(model, data, epochs, recipe.batch_size)


def train_theirs(name: str, data: Data, seed: int, epochs: int) -> list[float]:
    """Train the same network in Keras and return the test accuracy after each epoch."""
    import keras

    recipe = models.recipe(name)
    keras.utils.set_random_seed(seed)
    model, loss = network(Job(name, recipe.batch_size, training=True, threads=1, batches=1))
    model.compile(keras.optimizers.Adam(recipe.optimizer_config["learning_rate"]), loss, metrics=["accuracy"])
    return _curve(model, data, epochs, recipe.batch_size)


def _curve(model: Any, data: Data, epochs: int, batch_size: int) -> list[float]:
    """Call ``fit``, which both frameworks have, and return the test accuracy after each epoch."""
    test = data.x_test, data.y_test
    history = model.fit(
        data.x_train, data.y_train, batch_size=batch_size, epochs=epochs, validation_data=test, verbose=0
    )
    return [float(value) for value in history.history["val_accuracy"]]


def compare(name: str, seeds: range, folder: Path = RESULTS, epochs: int | None = None) -> None:
    """Train the runs that the network's record lacks."""
    import keras

    recipe = models.recipe(name)
    if recipe.schedule is not None or recipe.augment is not None or recipe.optimizer != "Adam":
        raise ValueError(
            f"{name}: Keras can only be given recipes that use Adam with one learning rate and without augmentation; "
            "choose another network"
        )
    data = load(recipe.data)
    trainers = {OURS: train_ours, f"Keras on {keras.backend.backend()}": train_theirs}
    about = {"name": name, "command": f"python benchmarks/beside_keras.py {name}", "numerics": NUMERICS}
    complete(
        *(folder / f"{name}.json", about, "curves", trainers, seeds),
        lambda title, seed: trainers[title](name, data, seed, epochs or recipe.epochs),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "networks",
        nargs="*",
        type=model_name,
        default=NETWORKS,
        help=f"networks to train (default: {', '.join(NETWORKS)})",
    )
    parser.add_argument(
        "--seeds", type=whole_number(1), default=15, help="number of runs of each network (default %(default)s)"
    )
    most = numba.get_num_threads()
    parser.add_argument("--threads", type=whole_number(1, most), default=most, help="number of threads (default: all)")
    arguments = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    machine.keep_to_first_cores(arguments.threads)
    numba.set_num_threads(arguments.threads)
    for name in arguments.networks:
        compare(name, range(arguments.seeds))


if __name__ == "__main__":
    main()
