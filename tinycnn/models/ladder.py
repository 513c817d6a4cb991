"""Document C, the MNIST ladder: a notebook that adds one idea at a time.

For 00, 03, 04, 05, 08 and 09 the notebook gives the accuracy of the best epoch, whose weights it restored. The others
it trained a second time, for a number of epochs that it had picked on the test set, and gives the accuracy of the last
epoch.

The notebook used one EarlyStopping object for all its models. The object kept its best value from run to run, so that 7
of the 13 runs got back the weights of their first epoch. Here each training gets a callback of its own
(:meth:`~tinycnn.models.Recipe.make_callbacks`).
"""

from ..initializers import RandomUniform
from ..layers import Conv2D, Dense, Dropout, Flatten, Layer
from .blocks import classify, conv, pool
from .family import ADAM, Family

FAMILY = Family(
    document="The MNIST ladder (a notebook that adds one idea at a time)",
    data="mnist",
    epochs=10,
    batch_size=128,
    **ADAM,
    chosen=("Activation of the last layer: softmax.",),
)
HIDDEN_RELU = ("Activation of the hidden dense layer: relu, like the convolutions'.",)
SECOND_RUN = (
    "The documented accuracy is the last epoch's of a second run, whose number of epochs had been picked on the test "
    "set.",
)
POSITIVE_FILTER = (
    "Initial weight of the only filter: drawn evenly from 0 to 1.73. Keras's default, from -1.73 to 1.73, makes every "
    "second network dead: pixels are not negative, so relu of a negative multiple is 0 everywhere, and every gradient "
    "too.",
)


@FAMILY.network(
    params=7_852,
    restore_best=True,
    documented={"best_val_accuracy": 0.927, "errors_in_first_100": 4},
    chosen=POSITIVE_FILTER,
)
def ladder_00() -> list[Layer]:
    """One filter that sees one pixel, so that the network is in effect a linear classifier."""
    return [_positive_filter(1, 1.73), pool(1), *classify()]


@FAMILY.network(
    params=1_972,
    documented={"last_val_accuracy": 0.918, "errors_in_first_100": 6},
    chosen=POSITIVE_FILTER,
    notes=SECOND_RUN,
)
def ladder_01() -> list[Layer]:
    """Pooling, which leaves a quarter of the weights."""
    return [_positive_filter(1, 1.73), pool(2), *classify()]


@FAMILY.network(
    params=1_710,
    documented={"last_val_accuracy": 0.920, "errors_in_first_100": 4},
    chosen=(
        "Initial weights of the only filter: drawn evenly from 0 to 0.577. Keras's default, from -0.577 to 0.577, now "
        "and then makes a filter that relu silences for most pixels.",
    ),
    notes=SECOND_RUN,
)
def ladder_02() -> list[Layer]:
    """A filter that sees 3×3 pixels."""
    return [_positive_filter(3, 0.57735), pool(2), *classify()]


@FAMILY.network(
    params=54_410,
    restore_best=True,
    documented={
        "best_val_accuracy": 0.983,
        "errors_in_first_100": 3,
        "val_accuracy_by_epoch": (0.9596, 0.9730, 0.9778, 0.9790, 0.9801, 0.9800, 0.9810, 0.9813, 0.9818, 0.9828),
    },
)
def ladder_03() -> list[Layer]:
    """Thirty-two filters."""
    return [conv(32), pool(2), *classify()]


@FAMILY.network(
    params=542_230,
    restore_best=True,
    documented={"best_val_accuracy": 0.987, "errors_in_first_100": 2},
    chosen=HIDDEN_RELU,
)
def ladder_04() -> list[Layer]:
    """A hidden dense layer with dropout."""
    return [conv(32), pool(2), *_hidden_then_classify()]


@FAMILY.network(
    params=323_734,
    restore_best=True,
    documented={"best_val_accuracy": 0.992, "errors_in_first_100": 0},
    chosen=HIDDEN_RELU,
)
def ladder_05() -> list[Layer]:
    """Filters of 9×9 pixels."""
    return [conv(32, 9), pool(2), *_hidden_then_classify()]


@FAMILY.network(
    params=264_214,
    documented={"last_val_accuracy": 0.991, "errors_in_first_100": 0},
    chosen=HIDDEN_RELU,
    notes=SECOND_RUN,
)
def ladder_06() -> list[Layer]:
    """Filters of 11×11 pixels."""
    return [conv(32, 11), pool(2), *_hidden_then_classify()]


@FAMILY.network(
    params=162_422,
    epochs=9,
    documented={"last_val_accuracy": 0.990, "errors_in_first_100": 0},
    chosen=HIDDEN_RELU,
    notes=SECOND_RUN,
)
def ladder_07() -> list[Layer]:
    """Half the filters of ladder_05."""
    return [conv(16, 9), pool(2), *_hidden_then_classify()]


@FAMILY.network(
    params=217_782,
    restore_best=True,
    documented={"best_val_accuracy": 0.993, "errors_in_first_100": 0},
    chosen=HIDDEN_RELU,
)
def ladder_08() -> list[Layer]:
    """A second convolution after ladder_05's pooling."""
    return [conv(32, 9), pool(2), conv(32), pool(1), *_hidden_then_classify()]


@FAMILY.network(
    params=64_182,
    restore_best=True,
    documented={
        "best_val_accuracy": 0.993,
        "errors_in_first_100": 1,
        "val_accuracy_by_epoch": (0.9748, 0.9850, 0.9865, 0.9885, 0.9885, 0.9909, 0.9921, 0.9924, 0.9931, 0.9921),
    },
    chosen=HIDDEN_RELU,
)
def ladder_09() -> list[Layer]:
    """A second pooling, which leaves under a third of the weights of ladder_08."""
    return [conv(32, 9), pool(2), conv(32), pool(2), *_hidden_then_classify()]


@FAMILY.network(
    params=35_030,
    epochs=7,
    documented={
        "last_val_accuracy": 0.993,
        "errors_in_first_100": 0,
        "val_accuracy_by_epoch": (0.9714, 0.9819, 0.9858, 0.9863, 0.9903, 0.9913, 0.9931),
    },
    chosen=(*HIDDEN_RELU, "Initial weights of the layers with relu: glorot_uniform (Keras's default)."),
    notes=SECOND_RUN,
)
def ladder_10() -> list[Layer]:
    """A third convolution."""
    return [conv(32, 9), pool(2), conv(32), pool(2), conv(32), pool(1), *_hidden_then_classify()]


@FAMILY.network(params=22_410, documented={"last_val_accuracy": 0.990, "errors_in_first_100": 1}, notes=SECOND_RUN)
def ladder_11() -> list[Layer]:
    """ladder_10 without its hidden dense layer and dropout."""
    return [conv(32, 9), pool(2), conv(32), pool(2), conv(32), pool(1), *classify()]


@FAMILY.network(
    params=51_030,
    epochs=9,
    documented={"last_val_accuracy": 0.991, "errors_in_first_100": 0},
    chosen=HIDDEN_RELU,
    notes=SECOND_RUN,
)
def ladder_12() -> list[Layer]:
    """ladder_10 with the second convolution padded."""
    return [conv(32, 9), pool(2), conv(32, padding="same"), pool(2), conv(32), pool(1), *_hidden_then_classify()]


def _hidden_then_classify() -> list[Layer]:
    """Return a hidden dense layer with its dropout, and the layer with the ten probabilities."""
    return [Flatten(), Dense(100, activation="relu"), Dropout(0.5), Dense(10, activation="softmax")]


def _positive_filter(size: int, limit: float) -> Layer:
    """Return a convolution with one filter whose initial weights are positive."""
    return Conv2D(1, size, activation="relu", kernel_initializer=RandomUniform(0.0, limit))
