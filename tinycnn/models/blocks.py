"""Short words for the layers that the documents repeat, so that a network reads like its line in the document."""

from ..layers import BatchNormalization, Conv2D, Dense, Dropout, Flatten, Layer, MaxPooling2D, Softmax


def conv(filters: int, size: int = 3, padding: str = "valid", activation: str | None = "relu") -> Conv2D:
    """A square convolution with stride 1 and a bias."""
    return Conv2D(filters, size, padding=padding, activation=activation)


def pool(size: int) -> MaxPooling2D:
    """Max-pooling with window and stride `size`; ``pool(1)`` changes nothing, and stands where a document has it."""
    return MaxPooling2D(size, strides=size)


def bn_drop(rate: float = 0.1) -> list[Layer]:
    """Batch normalization, then dropout, after an activated convolution."""
    return [BatchNormalization(), Dropout(rate)]


def classify() -> list[Layer]:
    """The end of a network that is dense only here: ten probabilities."""
    return [Flatten(), Dense(10, activation="softmax")]


def flat_softmax() -> list[Layer]:
    """The end of an all-convolutional network: its (1, 1, 10) output as ten probabilities."""
    return [Flatten(), Softmax()]
