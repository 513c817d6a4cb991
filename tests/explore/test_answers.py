"""What a network's results mean is decided by its end, and the page decides as Python does."""

import copy

import numpy as np
import pytest
from node_arithmetic import results_of

from tinycnn import Sequential, layers, losses
from tinycnn.explore import protocol
from tinycnn.inspection.answers import probabilities

INSIDE = np.array([[0.1, 0.9, 0.2], [0.3, 0.2, 0.4]], np.float32)
OUTSIDE = np.array([[0.1, 1.9, 0.2], [0.3, 0.2, -0.4]], np.float32)


class Own(layers.Dense):
    """A layer of a user's own."""


def softmax(z):
    e = np.exp(z)
    return e / e.sum(axis=1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def network(*end, loss=None):
    model = Sequential([layers.Input((2, 2, 3)), *copy.deepcopy(end)])  # a layer belongs to one network
    if loss is not None:
        model.compile("sgd", loss)
    return model


DENSE = (layers.Flatten(), layers.Dense(3))
POOLED = (layers.Conv2D(3, 1, activation="softmax"), layers.GlobalAveragePooling2D())
CASES = {
    "scores under the squared error": (DENSE, "mse", INSIDE, softmax(INSIDE)),
    "scores outside of [0, 1]": (DENSE, "mse", OUTSIDE, softmax(OUTSIDE)),
    "scores of a network that is not compiled": (DENSE, None, INSIDE, softmax(INSIDE)),
    "logits": (DENSE, losses.SparseCategoricalCrossentropy(from_logits=True), INSIDE, softmax(INSIDE)),
    "logits of a sigmoid each": (DENSE, losses.BinaryCrossentropy(from_logits=True), OUTSIDE, sigmoid(OUTSIDE)),
    "a softmax": ((*DENSE, layers.Softmax()), "mse", INSIDE, INSIDE),
    "a sigmoid each": ((layers.Flatten(), layers.Dense(3, "sigmoid")), "mse", INSIDE, INSIDE),
    "the mean of probabilities": (POOLED, "mse", INSIDE, INSIDE),
    "a layer of one's own, inside": ((layers.Flatten(), Own(3)), "mse", INSIDE, INSIDE),
    "a layer of one's own, outside": ((layers.Flatten(), Own(3)), "mse", OUTSIDE, softmax(OUTSIDE)),
    "one logit": (
        (layers.Flatten(), layers.Dense(1)),
        losses.BinaryCrossentropy(from_logits=True),
        INSIDE[:, :1],
        np.hstack([sigmoid(-INSIDE[:, :1]), sigmoid(INSIDE[:, :1])]),
    ),
    "one probability": (
        (layers.Flatten(), layers.Dense(1, "sigmoid")),
        "binary_crossentropy",
        INSIDE[:, :1],
        np.hstack([1 - INSIDE[:, :1], INSIDE[:, :1]]),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_probabilities_follow_from_the_end_of_a_network(name):
    end, loss, outputs, expected = CASES[name]
    np.testing.assert_allclose(probabilities(network(*end, loss=loss), outputs), expected, rtol=1e-6)


@pytest.mark.parametrize("loss", ["mse", None])
def test_an_image_has_the_same_probabilities_whatever_its_neighbours_are(loss):
    model = network(*DENSE, loss=loss)
    together = probabilities(model, np.concatenate([INSIDE, OUTSIDE]))
    np.testing.assert_array_equal(together[:2], probabilities(model, INSIDE))


def test_the_page_has_the_same_rules(tmp_path):
    cases, expected = [], []
    for end, loss, outputs, probable in CASES.values():
        described = protocol.describe(network(*end, loss=loss))
        for row, wanted in zip(outputs, probable, strict=True):
            cases.append(("asProbabilities", described, row.tolist()))
            expected.append(wanted)
    for found, wanted in zip(results_of(cases, tmp_path), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
