"""What is trained in a speedrun, and how: one network and one schedule for each accuracy.

The choice was made on images held out of the training set, by ``benchmarks/speedrun_choice.py``; the test set only
tells whether the accuracy is reached.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from ... import set_seed
from ...layers import BatchNormalization, Conv2D, Dense, Dropout, Flatten, Input, Layer, MaxPooling2D
from ...optimizers import Adam
from ...schedules import OneCycle
from ...sequential import Sequential


class Plan(NamedTuple):
    """How an accuracy is reached.

    Attributes
    ----------
    accuracy : float
        The share of the test images that has to be classified correctly.
    make_layers : callable
        Returns the network's layers.
    epochs, batch_size : int
    max_rate : float
        The largest learning rate of Adam, whose rate rises and falls once.
    rise : float
        The share of the steps in which it rises.
    """

    accuracy: float
    make_layers: Callable[[], list[Layer]]
    epochs: int
    batch_size: int
    max_rate: float
    rise: float

    def steps(self, images: int) -> int:
        """Return the number of steps in the whole training."""
        return self.epochs * -(-images // self.batch_size)

    def schedule(self, images: int) -> OneCycle:
        """Return the learning rate by step, for so many training images."""
        return OneCycle(self.max_rate, self.steps(images), self.rise)

    def build(self) -> Sequential:
        """Return the network, with weights drawn with the seed that was set."""
        return Sequential([Input((28, 28, 1)), *self.make_layers()], name="speedrun")

    def compiled(self, seed: int, images: int) -> Sequential:
        """Return the network, ready to be trained with a seed on so many images."""
        set_seed(seed)
        model = self.build()
        model.compile(Adam(self.schedule(images)), "sparse_categorical_crossentropy", ["accuracy"])
        return model


def quick(first: int, second: int, units: int) -> list[Layer]:
    """Return a network whose time goes where most is learnt: early pooling, few channels, one wider dense layer."""
    return [*_block(first, 5), *_block(second, 3), *_dense(units), _classes()]


def thorough(first: int, second: int, units: int) -> list[Layer]:
    """Return a network with one convolution more, and with dropout against learning by heart."""
    again = [Conv2D(second, 3, activation="relu"), BatchNormalization()]
    return [*_block(first, 5), *again, *_block(second, 3), Dropout(0.2), *_dense(units), Dropout(0.3), _classes()]


def _block(filters: int, size: int) -> list[Layer]:
    """Return a convolution and a pooling; the normalization behind it has a quarter of the work that it had before."""
    return [Conv2D(filters, size, activation="relu"), MaxPooling2D(2), BatchNormalization()]


def _dense(units: int) -> list[Layer]:
    return [Flatten(), Dense(units, activation="relu"), BatchNormalization()]


def _classes() -> Layer:
    return Dense(10, activation="softmax")


#: The plans by what is written behind ``--target``.
PLANS = {
    "99.0": Plan(0.990, partial(quick, 8, 16, 64), epochs=2, batch_size=64, max_rate=0.02, rise=0.2),
    "99.4": Plan(0.994, partial(thorough, 24, 48, 128), epochs=6, batch_size=96, max_rate=0.01, rise=0.2),
}
