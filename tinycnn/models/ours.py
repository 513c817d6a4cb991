"""Networks of our own, which no document has: as few parameters as possible, or as accurate as in a laptop's two hours.

The three for MNIST play parameter golf. All convolutions but the first are depthwise ones, each with one of 1x1 that
mixes the channels: that takes few parameters for many filters. The mean over the last image takes the place of a wide
dense layer. ``benchmarks/choices.py`` compares settings on images held out of the training set.

Source of convolutions in two parts: Howard et al., "MobileNets", 2017.
"""

from typing import Any

from ..augmentation import Augmentation
from ..layers import (
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    GlobalAveragePooling2D,
    Layer,
)
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
    "chosen": (
        "Kind of network: depthwise convolutions. They were compared as golf_8k, with ten others of up to 10,000 "
        "parameters. The best of these was ahead by less than two runs of one network differ, and it has more "
        "parameters than golf_8k: 'without the second pooling, so that a value sees 18x18 pixels'.",
    ),
}


def normed(filters: int, padding: str = "valid") -> list[Layer]:
    """Return a convolution of 3x3 and a batch normalization whose statistics follow the training closely."""
    return [conv(filters, padding=padding), BatchNormalization(momentum=0.9)]


def averaged() -> list[Layer]:
    """Return the end of a network that has one number for each channel, and one dense layer for the classes."""
    return [GlobalAveragePooling2D(), Dense(10, activation="softmax")]


def thin(filters: int, padding: str = "valid") -> list[Layer]:
    """Return a convolution in two parts: one of 3x3 in each channel by itself, and one of 1x1 that mixes channels."""
    return [
        DepthwiseConv2D(3, padding=padding),
        Conv2D(filters, 1, activation="relu"),
        BatchNormalization(momentum=0.9),
    ]


def golf(a: int, b: int, c: int, d: int, e: int, f: int) -> list[Layer]:
    """Return the network of golf with so many filters: what is pooled is 24x24 and 8x8, what is averaged 4x4."""
    return [
        *normed(a), *thin(b), pool(2),
        *thin(c), *thin(d), pool(2),
        *thin(e, "same"), *thin(f, "same"), *averaged(),
    ]  # fmt: skip


@FAMILY.network(params=9_722, non_trainable=416, **GOLF)
def golf_10k() -> list[Layer]:
    """golf_8k with more filters."""
    return golf(16, 28, 36, 36, 44, 48)


@FAMILY.network(params=7_430, non_trainable=352, **GOLF)
def golf_8k() -> list[Layer]:
    """Two convolutions, two more on half the size, and two on a quarter of it, all but the first in two parts."""
    return golf(12, 24, 32, 32, 36, 40)


@FAMILY.network(params=4_812, non_trainable=268, **GOLF)
def golf_5k() -> list[Layer]:
    """golf_8k with fewer filters."""
    return golf(8, 18, 24, 24, 28, 32)


@FAMILY.network(
    params=1_132_106,
    non_trainable=1_728,
    data="cifar10",
    batch_size=128,
    epochs=40,
    schedule=OneCycle(0.005, 44, 0.25),
    augment=Augmentation(shift=0.125, flip=True, cutout=0.25),
    optimizer="AdamW",
    optimizer_config={"learning_rate": 0.001, "weight_decay": 0.05},
    runs=1,
    chosen=(
        "Optimizer: Adam, and weights that decay. In ten epochs on held-out images, 'Adam, no square cut out' was "
        "ahead by a few of 10,000 images; what hides a part of each image is meant for more epochs.",
    ),
)
def cifar10_fast() -> list[Layer]:
    """Six convolutions on three sizes, without a wide dense layer: most arithmetic is in Winograd's convolutions."""
    return [*_stage(32, 64, 0.1), *_stage(128, 128, 0.1), *_stage(256, 256, 0.1), *averaged()]


@FAMILY.network(
    params=398_362,
    non_trainable=1_056,
    data="fashion_mnist",
    batch_size=128,
    epochs=28,
    schedule=OneCycle(0.005, 30, 0.25),
    augment=Augmentation(flip=True, shift=0.04, cutout=0.25),
    optimizer="AdamW",
    optimizer_config={"learning_rate": 0.001, "weight_decay": 0.05},
    runs=1,
    chosen=(
        "Optimizer, augmentation and dropout: a square cut out, shifted by a pixel, dropout of a quarter, weights that "
        "decay.",
        "In ten epochs, 'Adam, images mirrored, not shifted, no square cut out' was best. A first training with that "
        "had less on the test set than fashion_improved, and nearly all of the training images right; so the settings "
        "were compared again in all epochs, and the figures are those of the second training.",
    ),
)
def fashion_fast() -> list[Layer]:
    """fashion_improved without its dense layer, whose parameters go into wider convolutions."""
    return [*_stage(32, 48, 0.25), *_stage(80, 96, 0.25), *_stage(128, 144, 0.25), *averaged()]


def _stage(first: int, second: int, rate: float) -> list[Layer]:
    """Return two convolutions that keep the size, a pooling, and dropout."""
    return [*normed(first, "same"), *normed(second, "same"), pool(2), Dropout(rate)]
