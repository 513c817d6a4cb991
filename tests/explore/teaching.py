"""Networks to teach with, and how their pages are opened and read."""

from typing import Any

import numpy as np
import pytest

from tinycnn import Sequential, layers, set_seed
from tinycnn.explore.session import Data, Session

NETWORKS = {
    "one channel": lambda: [
        layers.Input((12, 12, 1)),
        layers.Conv2D(6, 5, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(5, activation="softmax"),
    ],
    "three channels": lambda: [
        layers.Input((11, 10, 3)),
        layers.Conv2D(6, (3, 2), strides=(2, 1), padding="same", groups=3, activation="relu", use_bias=False),
        layers.DepthwiseConv2D(3, dilation_rate=2, depth_multiplier=2, padding="same", activation="leaky_relu"),
        layers.MaxPooling2D(3, strides=2),
        layers.GlobalMaxPooling2D(),
        layers.Dense(5),
        layers.Softmax(),
    ],
    "batch normalization": lambda: [
        layers.Input((10, 10, 2)),
        layers.Conv2D(4, 3, use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.MaxPooling2D(2),
        layers.Dropout(0.25),
        layers.Flatten(),
        layers.Dense(5, activation="softmax"),
    ],
}
each_network = pytest.mark.parametrize("name", NETWORKS)


def session_of(name: str) -> Session:
    set_seed(7)
    model = Sequential(NETWORKS[name](), name="small")
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = images_for(model, 5)
    model.fit(x, y, epochs=1, batch_size=16, verbose=0)  # so that statistics and biases are not those of the start
    return Session(model, Data("drawn", tuple("abcde"), x, y, x, y))


def images_for(model: Sequential, classes: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(3).random((64, *model.input_shape), np.float32)
    return x, np.arange(64) % classes


def go(page: Any, where: str) -> None:
    page.evaluate("where => { location.hash = where; }", where)


def number(text: str) -> float:
    """Return the number that the page writes with signs for people."""
    return float(text.replace("−", "-").replace("∞", "inf"))


def numbers(texts: list[str]) -> np.ndarray:
    return np.array([number(text) for text in texts], np.float32)
