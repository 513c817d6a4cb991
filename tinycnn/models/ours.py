"""Networks of our own, which no document has: as few parameters as possible, or as much as a laptop's hour gives.

The three for MNIST play parameter golf. All convolutions before a pooling see few channels, so most parameters go
where images are small and a filter's receptive field covers a good part of a digit; the mean over the last image takes
the place of a wide dense layer. ``benchmarks/choices.py`` compares settings on images held out of the training set.
"""

from typing import Any

from ..augmentation import Augmentation
from ..layers import BatchNormalization, Dense, Dropout, GlobalAveragePooling2D, Layer
from ..schedules import OneCycle
from .blocks import conv, pool
from .family import Family

FAMILY = Family(
    document="",
    optimizer="Adam",
    optimizer_config={"learning_rate": 0.001},
)


GOLF: dict[str, Any] = {
    "data": "mnist",
    "epochs": 30,
    "batch_size": 128,
    "schedule": OneCycle(0.015, 32, 0.25),
    "augment": Augmentation(shift=0.08, rotation=10),
}


def normed(filters: int, padding: str = "valid") -> list[Layer]:
    """Return a convolution of 3x3 and a batch normalization whose statistics follow the training closely."""
    return [conv(filters, padding=padding), BatchNormalization(momentum=0.9)]


def averaged() -> list[Layer]:
    """Return the end of a network that has one number for each channel, and one dense layer for the classes."""
    return [GlobalAveragePooling2D(), Dense(10, activation="softmax")]


def five_convolutions(a: int, b: int, c: int, d: int, e: int) -> list[Layer]:
    """Return the network of golf with so many filters: what is pooled is 24x24 and 8x8, what is averaged 4x4."""
    return [
        *normed(a), *normed(b), pool(2),
        *normed(c), *normed(d), pool(2),
        *normed(e, "same"), *averaged(),
    ]  # fmt: skip


@FAMILY.network(params=9_606, non_trainable=152, **GOLF)
def golf_10k() -> list[Layer]:
    """Two convolutions, two more on half the size, and one on a quarter of it."""
    return five_convolutions(8, 16, 16, 18, 18)


@FAMILY.network(params=7_464, non_trainable=132, **GOLF)
def golf_8k() -> list[Layer]:
    """golf_10k with fewer filters."""
    return five_convolutions(8, 12, 16, 16, 14)


@FAMILY.network(params=4_656, non_trainable=104, **GOLF)
def golf_5k() -> list[Layer]:
    """golf_8k with fewer filters still."""
    return five_convolutions(6, 10, 12, 12, 12)


@FAMILY.network(
    params=1_132_106,
    non_trainable=1_728,
    data="cifar10",
    batch_size=128,
    epochs=40,
    schedule=OneCycle(0.005, 44, 0.25),
    augment=Augmentation(shift=0.125, flip=True, cutout=0.25),
    runs=1,
)
def cifar10_fast() -> list[Layer]:
    """Six convolutions on three sizes, without a wide dense layer: most arithmetic is in Winograd's convolutions."""
    return [*_stage(32, 64), *_stage(128, 128), *_stage(256, 256), *averaged()]


@FAMILY.network(
    params=398_362,
    non_trainable=1_056,
    data="fashion_mnist",
    batch_size=128,
    epochs=50,
    schedule=OneCycle(0.005, 52, 0.25),
    augment=Augmentation(shift=0.08, flip=True, cutout=0.25),
)
def fashion_fast() -> list[Layer]:
    """fashion_improved without its dense layer, whose parameters go into wider convolutions."""
    return [*_stage(32, 48), *_stage(80, 96), *_stage(128, 144), *averaged()]


def _stage(first: int, second: int) -> list[Layer]:
    """Return two convolutions that keep the size, a pooling, and dropout of whole channels' values."""
    return [*normed(first, "same"), *normed(second, "same"), pool(2), Dropout(0.1)]
