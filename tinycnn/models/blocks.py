"""Short names for layers that the documents repeat, so that a network reads like its line in the document."""

from ..layers import BatchNormalization, Conv2D, Dense, Dropout, Flatten, Layer, MaxPooling2D, Softmax


def conv(filters: int, size: int = 3, padding: str = "valid", activation: str | None = "relu") -> Conv2D:
    """Return a square convolution with stride 1 and a bias."""
    return Conv2D(filters, size, padding=padding, activation=activation)


def pool(size: int) -> MaxPooling2D:
    """Return max-pooling with window and stride `size`; ``pool(1)`` changes nothing, but some documents have it."""
    return MaxPooling2D(size, strides=size)


def bn_drop(rate: float = 0.1) -> list[Layer]:
    """Return batch normalization and dropout, which follow an activated convolution."""
    return [BatchNormalization(), Dropout(rate)]


def classify() -> list[Layer]:
    """Return the end of a network whose only dense layer is its last: ten probabilities."""
    return [Flatten(), Dense(10, activation="softmax")]


def flat_softmax() -> list[Layer]:
    """Return the end of an all-convolutional network, which turns its (1, 1, 10) output into ten probabilities."""
    return [Flatten(), Softmax()]
