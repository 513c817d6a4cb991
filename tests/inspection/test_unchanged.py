"""A layer of a user's own that changes what it was given is named itself, and not the layer before it."""

import numpy as np
import pytest

from tinycnn import Sequential, activations, layers
from tinycnn.inspection import attribution


class Doubled(layers.Layer):
    """Returns twice its input, which it changes."""

    def forward(self, x, training=False):
        if self.changes(training):
            x *= 2
            return x, None
        return 2 * x, None

    def changes(self, training):
        return True

    def backward(self, dy, cache):
        return 2 * dy


class DoubledInTraining(Doubled):
    def changes(self, training):
        return training


class DoubledBack(Doubled):
    """Changes dy."""

    def changes(self, training):
        return False

    def backward(self, dy, cache):
        dy *= 2
        return dy


class Squared(layers.Layer):
    """Changes in backward the input that it has kept."""

    def forward(self, x):
        return x * x, x

    def backward(self, dy, cache):
        cache *= 2
        return dy * cache


class Halved(activations.ActivationFunction):
    """An activation that changes its input, whatever it is told."""

    keeps = None

    def forward(self, kernels, x, out=None):
        x *= 0.5
        return x

    def backward(self, kernels, dy, kept, out=None):
        return 0.5 * dy


def model_with(layer):
    model = Sequential([layers.Input((4, 4, 1)), layers.Conv2D(2, 3), layer, layers.Flatten(), layers.Dense(3)])
    model.compile("sgd", "mse")
    return model


X = np.random.default_rng(0).normal(size=(2, 4, 4, 1)).astype(np.float32)
Y = np.eye(3, dtype=np.float32)[:2]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("layer", "what"),
    [
        (Doubled, "forward changed its input"),
        (DoubledInTraining, "forward changed its input"),
        (DoubledBack, "backward changed dy"),
        (Squared, "backward changed the input of forward"),
    ],
)
def test_the_layer_that_changes_an_array_is_named(layer, what, training):
    model = model_with(layer(name="mine"))
    with pytest.raises(ValueError, match=rf"^{layer.__name__} 'mine': {what} in place, but other layers need"):
        model.trace(X, Y, training=training)


def test_without_labels_a_changed_input_is_named_too():
    with pytest.raises(ValueError, match=r"^Doubled 'mine': forward changed its input in place"):
        model_with(Doubled(name="mine")).trace(X, training=False)


@pytest.mark.parametrize("layer", [Doubled, DoubledInTraining, DoubledBack])
def test_pictures_that_are_drawn_from_copies_name_it(layer):
    with pytest.raises(ValueError, match=rf"^{layer.__name__} 'mine': .* in place"):
        attribution.saliency(model_with(layer(name="mine")), X[:1], 0)


def test_an_activation_of_ones_own_is_watched_where_it_is_a_layer():
    with pytest.raises(ValueError, match=r"^Activation 'mine': forward changed its input in place"):
        model_with(layers.Activation(Halved(), name="mine")).trace(X, Y)


def test_a_layer_that_returns_its_input_is_none_of_these():
    class Same(layers.Layer):
        def forward(self, x):
            return x, None

        def backward(self, dy, cache):
            return dy

    x = X.copy()
    x[0, 0, 0, 0] = 0
    trace = model_with(Same(name="mine")).trace(x, Y)
    assert trace["mine"].y is trace["mine"].x
