"""Compare settings that the documents leave open, on images held out of the training set.

    python benchmarks/choices.py                       # asks all questions, skips the runs that are already recorded
    python benchmarks/choices.py ladder_02 --threads 1

The last 5,000 training images are not trained on. They take the place of the test set, which decides nothing here.
Every answer is trained with the same seeds, and none of these is a seed of the published results. The record of a
question is a file in ``results/choices/``; ``tinycnn report`` shows it.
"""

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numba
from curves import complete

import tinycnn
from tinycnn import Sequential, models
from tinycnn.augmentation import Augmentation
from tinycnn.cli._data import Data, load
from tinycnn.cli._results.running import hold_out
from tinycnn.initializers import GlorotUniform, RandomUniform
from tinycnn.layers import Conv2D, Dense, Flatten, Input, Layer, MaxPooling2D
from tinycnn.schedules import CosineDecay

RESULTS = Path(__file__).parents[1] / "results" / "choices"
HELD_OUT = 5000
FIRST_SEED = 100


class Answer(NamedTuple):
    """The changes that an answer makes to the recipe, and the layers if it changes them too."""

    changes: Mapping[str, Any] = MappingProxyType({})
    make_layers: Callable[[], list[Layer]] | None = None


class Question(NamedTuple):
    """A question about a network, and the possible answers by their description."""

    question: str
    runs: int
    answers: dict[str, Answer]
    epochs: int | None = None  # This replaces the recipe's number of epochs if that takes too long.


def _ladder_10(initializer: Any) -> Answer:
    """Return ``ladder_10`` with other initial weights in the layers with relu."""

    def make_layers() -> list[Layer]:
        made = models.build("ladder_10").layers
        configs = [layer.get_config() for layer in made]
        for config in configs:
            if config.get("activation") == "relu":
                config["kernel_initializer"] = initializer
        return [type(layer).from_config(config) for layer, config in zip(made, configs, strict=True)]

    return Answer(make_layers=make_layers)


def _one_filter(initializer: Any) -> Answer:
    """Return ``ladder_02`` with other initial weights in its only filter."""
    return Answer(
        make_layers=lambda: [
            Conv2D(1, 3, activation="relu", kernel_initializer=initializer),
            MaxPooling2D(2),
            Flatten(),
            Dense(10, activation="softmax"),
        ]
    )


_LIMIT = math.sqrt(6 / (9 + 9))
QUESTIONS = {
    "ladder_02": Question(
        "Initial weights of the only filter",
        10,
        {
            f"from {-_LIMIT:.3f} to {_LIMIT:.3f} (Keras's default)": _one_filter(GlorotUniform()),
            f"from 0 to {_LIMIT:.3f}": _one_filter(RandomUniform(0.0, _LIMIT)),
        },
    ),
    "ladder_10": Question(
        "Initial weights of the layers with relu",
        4,
        {
            "glorot_uniform (Keras's default)": _ladder_10("glorot_uniform"),
            "he_uniform": _ladder_10("he_uniform"),
            "he_normal": _ladder_10("he_normal"),
        },
    ),
    "mnist_cnn": Question(
        "Learning rate and augmentation",
        1,
        {
            "0.001 in all epochs": Answer({"schedule": None}),
            "from 0.001 along half a cosine": Answer({"schedule": CosineDecay(0.001, 10)}),
            "from 0.001 along half a cosine, images shifted by up to a fourteenth": Answer(
                {"schedule": CosineDecay(0.001, 10), "augment": Augmentation(shift=1 / 14)}
            ),
        },
    ),
    "fashion_improved": Question(
        "Augmentation",
        1,
        {
            "none": Answer({"schedule": CosineDecay(0.001, 10)}),
            "half of the images mirrored": Answer(
                {"schedule": CosineDecay(0.001, 10), "augment": Augmentation(flip=True)}
            ),
            "half of the images mirrored, all shifted by up to a twentieth": Answer(
                {"schedule": CosineDecay(0.001, 10), "augment": Augmentation(flip=True, shift=0.05)}
            ),
        },
        10,
    ),
}


@cache
def held_out(name: str) -> Data:
    """Return a data set whose test images are the last of its training images."""
    return hold_out(load(name), HELD_OUT)


def train(name: str, question: Question, answer: Answer, seed: int) -> list[float]:
    """Train one answer and return the accuracy on the held-out images after each epoch."""
    recipe = replace(models.recipe(name), **answer.changes)
    data = held_out(recipe.data)
    tinycnn.set_seed(seed)
    model = models.build(name)
    if answer.make_layers is not None:
        model = Sequential([Input(recipe.input_shape), *answer.make_layers()], name=name)
    model.compile(recipe.make_optimizer(), recipe.loss, ["accuracy"])
    history = model.fit(
        data.x_train,
        data.y_train,
        batch_size=recipe.batch_size,
        epochs=question.epochs or recipe.epochs,
        validation_data=(data.x_test, data.y_test),
        callbacks=recipe.make_callbacks(),
        augment=recipe.augment,
        verbose=0,
    )
    return [float(value) for value in history.history["val_accuracy"]]


def ask(name: str, folder: Path = RESULTS) -> None:
    """Train the runs that the question's record lacks."""
    question = QUESTIONS[name]
    about = {
        "name": name,
        "question": question.question,
        "held_out": HELD_OUT,
        "command": f"python benchmarks/choices.py {name}",
    }
    seeds = range(FIRST_SEED, FIRST_SEED + question.runs)
    complete(
        *(folder / f"{name}.json", about, "answers", question.answers, seeds),
        lambda title, seed: train(name, question, question.answers[title], seed),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"questions to ask, of {', '.join(QUESTIONS)} (default: all)")
    parser.add_argument("--threads", type=int, default=2, help="number of threads (default %(default)s)")
    arguments = parser.parse_args()
    numba.set_num_threads(arguments.threads)
    for name in arguments.names or QUESTIONS:
        ask(name)


if __name__ == "__main__":
    main()
