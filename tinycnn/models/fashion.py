"""Document A, "computer-vision homework 13": a plain network for Fashion-MNIST, and an improved one.

The document does not name its data set, but its accuracies by class (the shirt far below the rest) are those of
Fashion-MNIST. It only prints summaries and results, so everything else was chosen for tinycnn.
"""

from ..augmentation import Augmentation
from ..layers import BatchNormalization, Dense, Dropout, Flatten, Layer
from ..schedules import CosineDecay
from .blocks import conv, pool
from .family import ADAM, USUAL_CHOICES, Family

FAMILY = Family(
    document="computer-vision homework 13",
    data="fashion_mnist",
    batch_size=128,
    **ADAM,
    chosen=(*USUAL_CHOICES, "Batch size: 128.", "Seed: 42."),
)
IMPROVED_CHOSEN = (
    "Augmentation: half of the images mirrored.",
    "Epochs: 30.",
    "Learning rate: down from 0.001 along half a cosine, set at the start of each epoch.",
    "Dropout rates: 0.25, 0.25 and 0.25 after the three poolings, 0.5 after the dense layer.",
    "Batch normalization: Keras's defaults (momentum 0.99, epsilon 0.001).",
)
NO_NUMBER = (
    "The document trains the same network a third time, on images augmented with Gaussian blur; it shows that "
    "accuracy in a figure and gives no number."
)


@FAMILY.network(
    params=3_213_002,
    epochs=20,
    documented={
        "train_accuracy": 0.9333,
        "last_val_accuracy": 0.4369,
        "per_class_accuracy": (0.747, 0.964, 0.782, 0.839, 0.699, 0.932, 0.644, 0.942, 0.941, 0.948),
    },
    chosen=("Epochs: 20.", "Learning rate: 0.001."),
    notes=(
        "The validation accuracy 0.4369 is as printed; the document's own accuracies by class average 0.8438, which "
        "is the figure to compare with.",
    ),
)
def fashion_base() -> list[Layer]:
    """One convolution and a wide dense layer, which has almost all of the parameters."""
    return [conv(32, padding="same"), Flatten(), Dense(128, activation="relu"), Dense(10, activation="softmax")]


@FAMILY.network(
    params=437_610,
    non_trainable=1_152,
    epochs=30,
    schedule=CosineDecay(0.001, 30),
    augment=Augmentation(flip=True),
    documented={
        "train_accuracy": 0.9810,
        "last_val_accuracy": 0.9401,
        "per_class_accuracy": (0.904, 0.987, 0.926, 0.950, 0.915, 0.983, 0.797, 0.984, 0.990, 0.965),
    },
    chosen=IMPROVED_CHOSEN,
    notes=(NO_NUMBER,),
)
def fashion_improved() -> list[Layer]:
    """Three stages of two convolutions; each has twice the filters of the one before, on a quarter of the pixels."""
    return [
        *_twice(32), pool(2), Dropout(0.25),
        *_twice(64), pool(2), Dropout(0.25),
        *_twice(128), pool(2), Dropout(0.25),
        Flatten(), Dense(128, activation="relu"), BatchNormalization(), Dropout(0.5),
        Dense(10, activation="softmax"),
    ]  # fmt: skip


def _twice(filters: int) -> list[Layer]:
    """Return two convolutions, each followed by batch normalization."""
    return [
        conv(filters, padding="same"), BatchNormalization(),
        conv(filters, padding="same"), BatchNormalization(),
    ]  # fmt: skip


FAMILY.variation(
    "fashion_improved_blur",
    of="fashion_improved",
    augment=Augmentation(flip=True, blur=1.0),
    runs=1,
    documented={},
    chosen=("Blur: each image's standard deviation is drawn evenly from 0 to 1 pixel.", *IMPROVED_CHOSEN),
)
