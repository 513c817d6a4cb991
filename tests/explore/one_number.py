"""A network that gives a number for an image, as in a regression, and its session."""

from typing import Any

import numpy as np

from tinycnn import Sequential, layers, losses, set_seed
from tinycnn.explore.session import Data, Session

SIDE, IMAGES = 12, 40


def data() -> Data:
    """Return images of pixels, and for each of them a target: how much brighter its lower half is."""
    rng = np.random.default_rng(2)
    x = rng.integers(0, 256, (IMAGES, SIDE, SIDE, 1)).astype(np.float32) / np.float32(255)
    y = 10 * (x[:, SIDE // 2 :].mean(axis=(1, 2, 3)) - x[:, : SIDE // 2].mean(axis=(1, 2, 3)))
    return Data("drawn", (), x, y, x[::-1].copy(), y[::-1].copy())


def network(activation: str = "linear", loss: Any = None) -> Sequential:
    """Return a compiled network with one output."""
    set_seed(3)
    model = Sequential(
        [
            layers.Input((SIDE, SIDE, 1)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(1, activation=activation),
        ],
        name="brightness",
    )
    model.compile("adam", losses.MeanSquaredError() if loss is None else loss)
    return model


def session() -> Session:
    """Return a session of such a network."""
    return Session(network(), data())
