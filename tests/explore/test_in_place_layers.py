"""A layer of a user's own that changes its input in place changes no image, and no picture that is shown of it."""

import numpy as np
import pytest

from tinycnn import Sequential, layers, set_seed
from tinycnn.explore.looking import looked_at
from tinycnn.explore.pictures import FastAnswers
from tinycnn.explore.session import Data, Session
from tinycnn.explore.survey import Survey
from tinycnn.inspection import attribution


class InPlace(layers.Layer):
    """A layer of a user's own that works on what it is given."""

    def forward(self, x, *, training=False, step=0, ws=None):
        y = x
        y += 1
        return y, None

    def backward(self, dy, cache, *, ws=None):
        return dy.copy()


class OnACopy(InPlace):
    """The same layer as it should be."""

    def forward(self, x, *, training=False, step=0, ws=None):
        return x + 1, None


#: The places of the layer: before the first one, after one whose result is kept, and after those that pass arrays on.
PLACES = range(6)


def session(layer, place):
    set_seed(1)
    rest = [
        layers.Conv2D(3, 3, activation="relu"),
        layers.Dropout(0.2),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(4),
        layers.Softmax(),
    ]
    rest.insert(place, layer)
    model = Sequential([layers.Input((10, 10, 1)), *rest])
    rng = np.random.default_rng(0)
    x, y = rng.random((300, 10, 10, 1), np.float32), rng.integers(0, 4, 300)  # more than a block of images
    return Session(model, Data("drawn", tuple("abcd"), x, y, x.copy(), y))


def result(task):
    assert task.ended.wait(60)
    assert task.error is None
    return task.result


@pytest.mark.parametrize("place", PLACES)
def test_occlusion_and_galleries_are_those_of_a_layer_that_copies(place):
    one, other = session(InPlace(), place), session(OnACopy(), place)
    x = one.data.x_test.copy()
    fast = [FastAnswers(each) for each in (one, other)]
    surveys = [Survey(each, answers) for each, answers in zip((one, other), fast, strict=True)]
    for number in range(len(one.model.layers)):
        found, expected = (result(each.excited("test", number)) for each in surveys)
        for array, wanted in zip(found, expected, strict=True):
            np.testing.assert_array_equal(array, wanted)
    for array, wanted in zip(*(result(each.answers("test")) for each in surveys), strict=True):
        np.testing.assert_array_equal(array, wanted)
    found, expected = (
        looked_at(each, answers, "occlusion", "test-0")[1]["map"]
        for each, answers in zip((one, other), fast, strict=True)
    )
    np.testing.assert_array_equal(found, expected)
    for of in (Sequential.predict, lambda model, images: model.predictor()(images)):
        found, expected = (
            attribution.occlusion(lambda images, of=of, each=each: of(each.model, images), each.data.x_test[:1]).fall
            for each in (one, other)
        )
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(one.data.x_test, x)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", ["saliency", "gradcam"])
def test_pictures_of_gradients_name_the_layer(way, place):
    """The way back needs what a layer was given as it was."""
    found = session(InPlace(name="mine"), place)
    x = found.data.x_test.copy()
    with pytest.raises(ValueError, match=r"^InPlace 'mine': forward changed its input in place"):
        looked_at(found, FastAnswers(found), way, "test-0")
    np.testing.assert_array_equal(found.data.x_test, x)
    expected = session(OnACopy(name="mine"), place)
    assert np.isfinite(looked_at(expected, FastAnswers(expected), way, "test-0")[1]["map"]).all()


@pytest.mark.parametrize("place", PLACES)
def test_a_pass_names_the_layer_and_leaves_the_image_as_it_was(place):
    found = session(InPlace(name="mine"), place)
    x = found.data.x_test.copy()
    with pytest.raises(ValueError, match=r"^InPlace 'mine': forward changed its input in place"):
        found.trace("test-0")
    np.testing.assert_array_equal(found.data.x_test, x)
