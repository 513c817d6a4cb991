"""Write a layer of your own, squeeze-and-excite, together with the tests that prove its gradients right.

    python examples/my_own_layer.py       # trains a small network with the layer, on drawn digits
    python -m pytest examples/my_own_layer.py

A squeeze-and-excite block weights the channels of an image by what the whole image shows (Hu, Shen & Sun,
"Squeeze-and-excitation networks", 2018). Each channel is averaged over the image ("squeeze"), two small dense layers
turn the averages into a weight between 0 and 1 per channel ("excite"), and the image is multiplied by these weights.
"""

from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import tinycnn
from tinycnn import Sequential, datasets, initializers, layers, testing


class SqueezeExciteCache(NamedTuple):
    """What backward needs: the input, the averages, the result of the hidden layer, and the weights of the channels."""

    x: np.ndarray
    mean: np.ndarray
    hidden: np.ndarray
    weight: np.ndarray


class SqueezeExcite(layers.Layer):
    """The layer ``y = x * sigmoid(relu(mean(x) @ w1) @ w2)``, with the mean over each channel of each image.

    Parameters
    ----------
    units : int
        The size of the hidden layer.
    """

    # Each result depends on the whole image, because the averages do; the summary and the pictures want to know this.
    sees_everything = True

    def __init__(self, units, **base):
        super().__init__(**base)
        self.units = units

    def create(self, input_shape, rng):
        channels = input_shape[-1]
        self.add_parameter("w1", (channels, self.units), initializers.get("glorot_uniform"), rng)
        self.add_parameter("w2", (self.units, channels), initializers.get("glorot_uniform"), rng)

    def forward(self, x):
        self.check_input(x)
        mean = x.mean(axis=(1, 2))
        hidden = np.maximum(mean @ self.params["w1"].value, 0)
        weight = 1 / (1 + np.exp(-(hidden @ self.params["w2"].value)))
        return x * weight[:, None, None], SqueezeExciteCache(x, mean, hidden, weight)

    def backward(self, dy, cache):
        self.check_gradient(dy)
        x, mean, hidden, weight = cache
        w1, w2 = self.params["w1"], self.params["w2"]
        dscores = (dy * x).sum(axis=(1, 2)) * weight * (1 - weight)
        w2.grad[...] = hidden.T @ dscores
        dhidden = (dscores @ w2.value.T) * (hidden > 0)
        w1.grad[...] = mean.T @ dhidden
        # x acts in two ways: it is scaled, and it changes the average from which the scale is computed.
        dmean = (dhidden @ w1.value.T) / (x.shape[1] * x.shape[2])
        return dy * weight[:, None, None] + dmean[:, None, None]


# This is the proof. Sizes are drawn at random; a failure shrinks to a small case, and the error names the array, the
# element and both values.

cases = st.tuples(
    st.builds(SqueezeExcite, st.integers(1, 4)),
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)).flatmap(
        testing.strategies.arrays
    ),
)


@settings(deadline=None)
@given(cases)
def test_gradients(case):
    layer, x = case
    testing.check_gradients(layer, x)


def test_contract():
    testing.assert_layer_contract(SqueezeExcite, (4, 5, 3), units=2)


def main(images=12_000):
    """Train a network with the layer, and return the accuracy."""
    tinycnn.set_seed(0)
    (x, y), (x_test, y_test) = datasets.digits.load_data()
    x, x_test = (pictures[..., None].astype("float32") / 255 for pictures in (x[:images], x_test))
    model = Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(16, 5, strides=2, activation="relu"),
            SqueezeExcite(4),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.summary()
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    model.fit(x, y[:images], batch_size=64, epochs=2, validation_data=(x_test, y_test))
    return model.evaluate(x_test, y_test, verbose=0)[1]


if __name__ == "__main__":
    print(f"test accuracy {main():.4f}")
