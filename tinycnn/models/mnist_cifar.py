"""Document B, "Convolutional Neural Network": one network for MNIST, and a deeper one for CIFAR-10."""

from ..augmentation import Augmentation
from ..layers import BatchNormalization, Dense, Dropout, Flatten, Layer
from ..schedules import CosineDecay
from .blocks import conv, pool
from .family import ADAM, USUAL_CHOICES, Family

FAMILY = Family(
    document="Convolutional Neural Network",
    **ADAM,
    chosen=(*USUAL_CHOICES, "Seed: 42."),
    notes=("The total of the parameters is derived from the printed counts of the layers.",),
)
CIFAR10_CHOSEN = (
    "Learning rate: down from 0.001 along half a cosine, set at the start of each of the 100 epochs.",
    "Dropout rates: 0.2, 0.3 and 0.4 after the three poolings, 0.5 after the dense layer.",
    "Batch normalization: Keras's defaults (momentum 0.99, epsilon 0.001).",
)


@FAMILY.network(
    params=1_625_866,
    data="mnist",
    epochs=10,
    batch_size=128,
    schedule=CosineDecay(0.001, 10),
    augment=Augmentation(shift=1 / 14),
    documented={"last_val_accuracy": 0.992},
    chosen=(
        "Learning rate and augmentation: from 0.001 along half a cosine, images shifted by up to a fourteenth (2 "
        "pixels) in each direction.",
        "Dropout rates: 0.25 after the pooling, 0.5 after Flatten.",
    ),
)
def mnist_cnn() -> list[Layer]:
    """Two convolutions, one pooling and one hidden dense layer."""
    return [
        conv(32, padding="same"), conv(64, padding="same"), pool(2), Dropout(0.25),
        Flatten(), Dropout(0.5), Dense(128, activation="relu"), Dense(10, activation="softmax"),
    ]  # fmt: skip


@FAMILY.network(
    params=551_466,
    non_trainable=448,
    data="cifar10",
    epochs=100,
    batch_size=64,
    schedule=CosineDecay(0.001, 100),
    augment=Augmentation(shift=0.1, flip=True),
    runs=1,
    documented={"last_val_accuracy": 0.8687},
    chosen=(
        "Augmentation: half of the images mirrored, all shifted by up to a tenth (3 pixels) in each direction.",
        *CIFAR10_CHOSEN,
    ),
)
def cifar10_cnn() -> list[Layer]:
    """Three stages of two convolutions; the deeper the stage, the more dropout follows it."""
    return [
        *_stage(32), pool(2), Dropout(0.2),
        *_stage(64), pool(2), Dropout(0.3),
        *_stage(128), pool(2), Dropout(0.4),
        Flatten(), Dense(128, activation="relu"), Dropout(0.5), Dense(10, activation="softmax"),
    ]  # fmt: skip


def _stage(filters: int) -> list[Layer]:
    """Return two convolutions and one batch normalization."""
    return [conv(filters, padding="same"), conv(filters, padding="same"), BatchNormalization()]


FAMILY.variation(
    "cifar10_cnn_noaug",
    of="cifar10_cnn",
    augment=None,
    chosen=("Augmentation: none.", *CIFAR10_CHOSEN),
    notes=("Whether the document augments its images, it does not say.",),
)
