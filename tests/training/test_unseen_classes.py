"""``fit`` warns if the validation images hold a class that the training images lack."""

import warnings

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, layers


def fit(y, classes=2, loss="sparse_categorical_crossentropy", **settings):
    with tinycnn.use_backend("reference"):
        model = Sequential([layers.Input((4,)), layers.Dense(classes, activation="softmax")])
    model.compile("sgd", loss, ["accuracy"])
    x = np.random.default_rng(0).random((len(y), 4), np.float32)
    model.fit(x, y, epochs=1, verbose=0, **settings)


SORTED = np.repeat([0, 1], 90)


def test_data_sorted_by_class_with_a_validation_split():
    """Of 90 + 90 images, the last 36 are of class 1; if there are 144 + 36, training sees class 0 alone."""
    y = np.repeat([0, 1], [144, 36])
    with pytest.warns(UserWarning, match="validation holds 36 images of class 1, but training holds none") as caught:
        fit(y, validation_split=0.2)
    [warning] = caught
    assert "order = np.random.default_rng(0).permutation(len(x)); x, y = x[order], y[order]" in str(warning.message)
    assert warning.filename == __file__
    with pytest.warns(UserWarning, match="18 images of classes 2, 3, but"):
        fit(np.repeat([0, 1, 2, 3], [36, 36, 9, 9]), 4, validation_split=0.2)


def test_one_hot_labels_and_validation_data():
    with pytest.warns(UserWarning, match="4 images of class 1, .* put images of this class into x and y too"):
        fit(np.eye(2)[[0] * 8], loss="categorical_crossentropy", validation_data=(np.ones((4, 4)), np.eye(2)[[1] * 4]))


@pytest.mark.parametrize("order", ["shuffled", "training holds more"])
def test_no_warning_without_need(order):
    y = np.random.default_rng(0).permutation(SORTED) if order == "shuffled" else SORTED
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(y, validation_split=0.2)
