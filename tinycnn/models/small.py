"""Document D, "Assignment 4 Breakdown": networks for MNIST with few parameters, four of them with fewer than 15,000.

Every network is convolutional to the end: its last convolution is linear and leaves ten channels at 1×1, which are
flattened.
"""

from typing import Any

from ..layers import Layer
from ..schedules import InverseEpochDecay
from .blocks import bn_drop, conv, flat_softmax, pool
from .family import Family

FAMILY = Family(
    document="Assignment 4 Breakdown",
    data="mnist",
    epochs=20,
    chosen=("Loss: sparse categorical cross-entropy.", "Seed: 42."),
)
SGD: dict[str, Any] = {"optimizer": "SGD", "optimizer_config": {"learning_rate": 0.01}, "batch_size": 64}
ADAM_BY_EPOCH: dict[str, Any] = {
    "optimizer": "Adam",
    "optimizer_config": {"learning_rate": 0.003},
    "batch_size": 128,
    "schedule": InverseEpochDecay(0.003, 0.319),
}
AS_GO_CRAZY = ("Optimizer, learning rates and batch size: as go_crazy.",)
ALL_AS_GO_CRAZY = ("Optimizer, learning rates, batch size and number of epochs: as go_crazy.",)


@FAMILY.network(
    params=49_220,
    **SGD,
    notes=(
        "The document gives no accuracy, and prints the summary of vanilla under this network's code; the number of "
        "parameters is derived from the code.",
    ),
)
def vanilla_large() -> list[Layer]:
    """Seven convolutions of 3×3 or larger, and one of 1×1 that reduces the channels before the pooling."""
    return [
        conv(16), conv(32), conv(10, 1), pool(2),
        conv(16), conv(32), conv(32), conv(64), conv(10, 4, activation=None), *flat_softmax(),
    ]  # fmt: skip


@FAMILY.network(params=10_524, **SGD, documented={"best_val_accuracy": 0.9823, "last_val_accuracy": 0.9776})
def vanilla() -> list[Layer]:
    """vanilla_large with about half of the filters."""
    return [
        conv(8), conv(16), conv(10, 1), pool(2),
        conv(8), conv(16), conv(16), conv(16), conv(10, 4, activation=None), *flat_softmax(),
    ]  # fmt: skip


@FAMILY.network(
    params=13_880,
    non_trainable=192,
    **ADAM_BY_EPOCH,
    documented={"best_val_accuracy": 0.9945, "last_val_accuracy": 0.9919},
)
def go_crazy() -> list[Layer]:
    """Batch normalization and light dropout after every 3×3 convolution, and a learning rate that falls by epoch."""
    return [
        conv(12), *bn_drop(), conv(20), *bn_drop(), conv(10, 1), pool(2),
        conv(16), *bn_drop(), conv(16), *bn_drop(), conv(16), *bn_drop(), conv(16), *bn_drop(),
        conv(10, 4, activation=None), *flat_softmax(),
    ]  # fmt: skip


@FAMILY.network(
    params=20_010,
    non_trainable=268,
    **ADAM_BY_EPOCH,
    documented={"best_val_accuracy": 0.9943, "last_val_accuracy": 0.9943},
    chosen=AS_GO_CRAZY,
)
def variant_1() -> list[Layer]:
    """Three convolutions before the first 1×1, and a second 1×1 after the pooling."""
    return [
        conv(8), *bn_drop(), conv(16), *bn_drop(), conv(32), *bn_drop(), conv(10, 1), pool(2),
        conv(16), *bn_drop(), conv(32), *bn_drop(), conv(10, 1), *bn_drop(), conv(20), *bn_drop(),
        conv(10, 5, activation=None), *flat_softmax(),
    ]  # fmt: skip


@FAMILY.network(
    params=12_664,
    non_trainable=228,
    **ADAM_BY_EPOCH,
    chosen=ALL_AS_GO_CRAZY,
    notes=('The document gives no accuracy; its verdict is "not worth it".',),
)
def variant_2() -> list[Layer]:
    """One convolution between the first 1×1 and the pooling, and a 3×3 one at the end."""
    return [
        conv(10), *bn_drop(), conv(16), *bn_drop(), conv(10, 1), conv(20), *bn_drop(), pool(2),
        conv(10), *bn_drop(), conv(16), *bn_drop(), conv(10, 1), *bn_drop(), conv(16), *bn_drop(),
        conv(16), *bn_drop(), conv(10, 3, activation=None), *flat_softmax(),
    ]  # fmt: skip


@FAMILY.network(
    params=15_958,
    non_trainable=308,
    **ADAM_BY_EPOCH,
    documented={"best_val_accuracy": 0.9940, "last_val_accuracy": 0.9939},
    chosen=AS_GO_CRAZY,
)
def variant_3() -> list[Layer]:
    """A wide first convolution, followed directly by a 1×1 convolution that reduces its channels."""
    return [
        conv(64), *bn_drop(), conv(10, 1), conv(16), *bn_drop(), conv(16), *bn_drop(), pool(2),
        conv(16), *bn_drop(), conv(16), *bn_drop(), conv(10, 1), *bn_drop(), conv(16), *bn_drop(),
        conv(10, 5, activation=None), *flat_softmax(),
    ]  # fmt: skip


@FAMILY.network(
    params=10_844,
    non_trainable=160,
    **ADAM_BY_EPOCH,
    documented={"val_accuracy": 0.9942},
    chosen=ALL_AS_GO_CRAZY,
    notes=(
        "The document's code compiles SGD and shows no training, so how 0.9942 was reached is unknown; the number of "
        "parameters is derived from the code.",
    ),
)
def variant_4() -> list[Layer]:
    """vanilla's filters with go_crazy's batch normalization and dropout."""
    return [
        conv(8), *bn_drop(), conv(16), *bn_drop(), conv(10, 1), pool(2),
        conv(8), *bn_drop(), conv(16), *bn_drop(), conv(16), *bn_drop(), conv(16), *bn_drop(),
        conv(10, 4, activation=None), *flat_softmax(),
    ]  # fmt: skip
