"""A strategy for small networks."""

import numpy as np
from hypothesis import strategies as st

from ... import layers
from ...core.types import Array
from ...sequential import Sequential
from ._values import SEEDS, Draw


@st.composite
def small_networks(draw: Draw, *, dtype: str = "float64") -> tuple[Sequential, Array, Array]:
    """Draw a compiled classifier of a few layers, a batch of images, and labels.

    Parameters
    ----------
    dtype : str
        The dtype of the model and of the images.

    Returns
    -------
    strategy of (Sequential, (N, H, W, C) array, (N,) array)
    """
    size, channels, classes = draw(st.integers(4, 7)), draw(st.integers(1, 2)), draw(st.integers(2, 4))
    model = Sequential([layers.Input((size, size, channels))], dtype=dtype)
    model.seed = draw(SEEDS)
    for _ in range(draw(st.integers(0, 2))):
        model.add(layers.Conv2D(draw(st.integers(1, 3)), 3, padding="same", activation="relu"))
        if draw(st.booleans()):
            model.add(layers.BatchNormalization())
        if draw(st.booleans()):
            model.add(layers.Dropout(0.25))
        if draw(st.booleans()) and model.output_shape[0] > 2:
            model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    model.add(layers.Dense(classes, activation="softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"])
    rng = np.random.default_rng(model.seed)
    batch = draw(st.integers(1, 4))
    return model, rng.normal(size=(batch, size, size, channels)).astype(dtype), rng.integers(0, classes, (batch,))
