"""Compare settings of the documents' and of our own networks, on images held out of the training set.

    python benchmarks/choices.py                                       # makes the runs that the records lack
    python benchmarks/choices.py ladder_02 --threads 1 --folder again  # repeats all runs of one question

The last training images (5,000, or 10,000 where accuracies are close) are not trained on. They take the place of the
test set, which decides nothing here. Every answer is trained with the same seeds, and none of these is a seed of the
published results. The record of a question is a file in ``results/choices/``; ``tinycnn report`` shows it.
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
from tinycnn.callbacks import Callback
from tinycnn.cli._arguments import whole_number
from tinycnn.cli._data import Data, load
from tinycnn.cli._results.running import hold_out
from tinycnn.initializers import GlorotUniform, RandomUniform
from tinycnn.layers import (
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Input,
    Layer,
    MaxPooling2D,
)
from tinycnn.models.ours import averaged, golf, normed
from tinycnn.schedules import CosineDecay, OneCycle
from tinycnn.training.callback import Logs

RESULTS = Path(__file__).parents[1] / "results" / "choices"
FIRST_SEED = 100


class Answer(NamedTuple):
    """The changes that an answer makes to the recipe, and the layers if it changes them too.

    With ``decay``, the weights that are tested after each epoch are the running mean of those of all steps, of which
    each step keeps this share.
    """

    changes: Mapping[str, Any] = MappingProxyType({})
    make_layers: Callable[[], list[Layer]] | None = None
    decay: float | None = None


class MeanWeights(Callback):
    """Tests the running mean of the weights after each epoch, and trains on with the weights themselves.

    Source: Polyak & Juditsky, "Acceleration of stochastic approximation by averaging", 1992; with an exponential
    window as in Tarvainen & Valpola, "Mean teachers are better role models", 2017.
    """

    def __init__(self, decay: float, data: Data) -> None:
        self.decay = decay
        self.data = data

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.curve: list[float] = []
        self.mean = self.model.get_weights()

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        for mean, now in zip(self.mean, self.model.get_weights(), strict=True):
            mean += (1 - self.decay) * (now - mean)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        now = self.model.get_weights()
        self.model.set_weights(self.mean)
        self.curve.append(self.model.evaluate(self.data.x_test, self.data.y_test, verbose=0)[1])
        self.model.set_weights(now)


class Question(NamedTuple):
    """A question about a network, and the possible answers by their description."""

    question: str
    runs: int
    answers: dict[str, Answer]
    epochs: int | None = None  # This replaces the recipe's number of epochs if that takes too long.
    held_out: int = 5000
    network: str | None = None  # The network's name if the question has another one.


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


def _five(a: int, b: int, c: int, d: int, e: int) -> list[Layer]:
    """Return the network that the search for golf began with: what is pooled is 24x24 and 8x8, what is averaged 4x4."""
    return [*_normed(a, b), MaxPooling2D(2), *_normed(c, d), MaxPooling2D(2), *normed(e, "same"), *averaged()]


def _beginning() -> list[Layer]:
    """Return that network with as many filters as 10,000 parameters allow."""
    return _five(8, 16, 16, 18, 18)


def _without_normalization() -> list[Layer]:
    """Return that network without batch normalization."""
    return [layer for layer in _beginning() if not isinstance(layer, BatchNormalization)]


def _with_dropout() -> list[Layer]:
    """Return that network with the dropout that the documents' small networks have."""
    pairs = ([layer, Dropout(0.1)] if isinstance(layer, BatchNormalization) else [layer] for layer in _beginning())
    return [layer for pair in pairs for layer in pair]


def _pooled_once() -> list[Layer]:
    """Return convolutions on 12x12 in place of the second pooling, and the mean over 6x6."""
    return [*_normed(8, 16), MaxPooling2D(2), *_normed(16, 18, 18), *averaged()]


def _flattened() -> list[Layer]:
    """Return a network whose dense layer has a weight for each of the 16 last places, and fewer filters for it."""
    front = _five(8, 14, 14, 16, 12)[:-2]
    return [*front, Flatten(), Dense(10, activation="softmax")]


def _depthwise() -> list[Layer]:
    """Return a network whose convolutions, but the first, are a depthwise one and one of 1x1."""
    return golf(12, 24, 32, 32, 36, 40)


def _normed(*filters: int) -> list[Layer]:
    """Return convolutions in a row as the recipes have them."""
    return [layer for count in filters for layer in normed(count)]


def _shortened(make_layers: Callable[[], list[Layer]] | None = None, **changes: Any) -> Answer:
    """Return the recipe of ``cifar10_fast`` or ``fashion_fast`` in ten epochs, with one change or none."""
    return Answer({"epochs": 10, "schedule": OneCycle(0.005, 11, 0.25), **changes}, make_layers)


_ADAM: dict[str, Any] = {"optimizer": "Adam", "optimizer_config": {"learning_rate": 0.001}}
#: An optimizer that also lets the weights decay; a step takes this times the learning rate off them.
_DECAY: dict[str, Any] = {"optimizer": "AdamW", "optimizer_config": {"learning_rate": 0.001, "weight_decay": 0.05}}
#: The augmentation that the search for ``fashion_fast`` began with.
_WITH_SQUARE = Augmentation(shift=0.08, flip=True, cutout=0.25)


def _dropping(rate: float) -> Callable[[], list[Layer]]:
    """Return what makes the layers of ``fashion_fast`` with this share of dropout."""

    def make_layers() -> list[Layer]:
        made = models.build("fashion_fast").layers
        return [
            Dropout(rate) if isinstance(layer, Dropout) else type(layer).from_config(layer.get_config())
            for layer in made
        ]

    return make_layers


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
    "golf_10k": Question(
        "Each idea taken away, or another one tried",
        2,
        {
            "five convolutions": Answer(make_layers=_beginning),
            "no augmentation": Answer({"augment": None}, _beginning),
            "images shifted, not rotated": Answer({"augment": Augmentation(shift=0.08)}, _beginning),
            "a learning rate of 0.001 in all epochs": Answer({"schedule": None}, _beginning),
            "a third of the epochs": Answer({"schedule": OneCycle(0.015, 12, 0.25), "epochs": 10}, _beginning),
            "no batch normalization": Answer(make_layers=_without_normalization),
            "dropout of a tenth behind every batch normalization": Answer(make_layers=_with_dropout),
            "without the second pooling, so that a value sees 18x18 pixels": Answer(make_layers=_pooled_once),
            "a dense layer on all 4x4 places in place of the mean, and fewer filters": Answer(make_layers=_flattened),
            "depthwise convolutions, and more filters": Answer(make_layers=_depthwise),
            "weights averaged over the last steps": Answer(make_layers=_beginning, decay=0.998),
        },
        held_out=10_000,
    ),
    "cifar10_fast": Question(
        "In ten of the 40 epochs",
        1,
        {
            "Adam": _shortened(**_ADAM),
            "Adam, and weights that decay": _shortened(**_DECAY),
            "Adam, no square cut out": _shortened(**_ADAM, augment=Augmentation(shift=0.125, flip=True)),
        },
        held_out=10_000,
    ),
    "fashion_fast": Question(
        "In ten epochs",
        1,
        {
            "Adam": _shortened(_dropping(0.1), **_ADAM, augment=_WITH_SQUARE),
            "Adam, and weights that decay": _shortened(_dropping(0.1), **_DECAY, augment=_WITH_SQUARE),
            "Adam, no square cut out": _shortened(_dropping(0.1), **_ADAM, augment=Augmentation(shift=0.08, flip=True)),
            "Adam, images mirrored, not shifted, no square cut out": _shortened(
                _dropping(0.1), **_ADAM, augment=Augmentation(flip=True)
            ),
        },
        held_out=10_000,
    ),
    # What is best in few epochs has too little augmentation and dropout for many.
    "fashion_fast_whole": Question(
        "In all 28 epochs",
        1,
        {
            "Adam, images mirrored, dropout of a tenth": Answer(
                {**_ADAM, "augment": Augmentation(flip=True)}, _dropping(0.1)
            ),
            "a square cut out, dropout of a quarter": Answer(
                {**_ADAM, "augment": Augmentation(flip=True, cutout=0.25)}, _dropping(0.25)
            ),
            "a square cut out, shifted by a pixel, dropout of a quarter, weights that decay": Answer(
                {**_DECAY, "augment": Augmentation(flip=True, shift=0.04, cutout=0.25)}, _dropping(0.25)
            ),
        },
        held_out=10_000,
        network="fashion_fast",
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
def held_out(name: str, count: int) -> Data:
    """Return a data set whose test images are the last of its training images."""
    return hold_out(load(name), count)


def train(name: str, question: Question, answer: Answer, seed: int) -> list[float]:
    """Train one answer and return the accuracy on the held-out images after each epoch."""
    name = question.network or name
    recipe = replace(models.recipe(name), **answer.changes)
    data = held_out(recipe.data, question.held_out)
    tinycnn.set_seed(seed)
    model = models.build(name)
    if answer.make_layers is not None:
        model = Sequential([Input(recipe.input_shape), *answer.make_layers()], name=name)
    model.compile(recipe.make_optimizer(), recipe.loss, ["accuracy"])
    mean = None if answer.decay is None else MeanWeights(answer.decay, data)
    history = model.fit(
        data.x_train,
        data.y_train,
        batch_size=recipe.batch_size,
        epochs=question.epochs or recipe.epochs,
        validation_data=(data.x_test, data.y_test),
        callbacks=[*recipe.make_callbacks(), *([] if mean is None else [mean])],
        augment=recipe.augment,
        verbose=0,
    )
    return [float(value) for value in (history.history["val_accuracy"] if mean is None else mean.curve)]


def ask(name: str, folder: Path = RESULTS) -> None:
    """Train the runs that the question's record lacks."""
    question = QUESTIONS[name]
    about = {
        "name": question.network or name,
        "question": question.question,
        "held_out": question.held_out,
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
    most = numba.get_num_threads()
    parser.add_argument("--threads", type=whole_number(1, most), default=most, help="number of threads (default: all)")
    parser.add_argument(
        "--folder", type=Path, default=RESULTS, help="where the records are; an empty folder asks everything again"
    )
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in QUESTIONS:
            parser.error(f"there is no question {name!r}; there are {', '.join(QUESTIONS)}")
    numba.set_num_threads(arguments.threads)
    for name in arguments.names or QUESTIONS:
        ask(name, arguments.folder)


if __name__ == "__main__":
    main()
