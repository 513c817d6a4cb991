"""What is trained in a speedrun, and how: one network and one schedule for each accuracy.

The choice was made on images held out of the training set, by ``benchmarks/speedrun_choice.py``; the test set only
tells whether the accuracy is reached.
"""

from collections.abc import Callable
from typing import NamedTuple

from ... import set_seed
from ...layers import BatchNormalization, Conv2D, Dense, Flatten, Input, Layer, MaxPooling2D
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


def _small() -> list[Layer]:
    return [
        *_block(8), *_block(16), *_block(32),
        Flatten(), Dense(10, activation="softmax"),
    ]  # fmt: skip


def _block(filters: int) -> list[Layer]:
    """Return a convolution with a normalization, and a pooling."""
    return [Conv2D(filters, 3, activation="relu", padding="same"), BatchNormalization(), MaxPooling2D(2)]


#: The plans by what is written behind ``--target``.
PLANS = {
    "99.0": Plan(0.990, _small, epochs=2, batch_size=128, max_rate=0.01, rise=0.3),
    "99.4": Plan(0.994, _small, epochs=12, batch_size=128, max_rate=0.01, rise=0.3),
}
