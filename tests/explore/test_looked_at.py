"""Where the network looks, as the page shows it: each map with its class, its grid, and what it is in words."""

import json

import numpy as np
import pytest

from tinycnn import Sequential, layers
from tinycnn.explore.looking import WAYS, looked_at
from tinycnn.explore.pictures import FastAnswers
from tinycnn.explore.session import Data, Session
from tinycnn.inspection import attribution


def session(*end, outputs=3):
    model = Sequential(
        [
            layers.Input((12, 10, 1)),
            layers.Conv2D(4, 3, activation="relu", name="<b>bold"),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            *(end or (layers.Dense(outputs, activation="softmax"),)),
        ]
    )
    if model.output_shape == (1,):
        model.compile("adam", "mse")
    rng = np.random.default_rng(0)
    x, y = rng.random((6, 12, 10, 1), np.float32), np.array([0, 1, 1, 0, 1, 0])
    return Session(model, Data("drawn", ("a", "b", "c"), x, y, x, y))


@pytest.fixture(scope="module")
def asked():
    found = session()
    fast = FastAnswers(found)
    return found, lambda *arguments: looked_at(found, fast, *arguments)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_names_its_class_and_its_grid(asked, way):
    found, ask = asked
    description, arrays = ask(way, "test-2")
    json.dumps(description, allow_nan=False)
    assert description["label"] == found.model.predict(found.data.x_test[2:3]).argmax()
    assert description["is_highest"] is True
    assert description["grid"] == list(arrays["map"].shape)
    assert description["version"] == found.version
    assert arrays["map"].dtype == np.float32
    np.testing.assert_array_equal(arrays["image"], found.data.x_test[2])
    other, _ = ask(way, "test-2", (description["label"] + 1) % 3)
    assert other["is_highest"] is False


def test_the_maps_are_those_of_the_engine(asked):
    found, ask = asked
    x = found.data.x_test[1:2]
    _, arrays = ask("saliency", "test-1", 2)
    np.testing.assert_array_equal(arrays["map"], attribution.saliency(found.model, x, 2).strength)
    _, arrays = ask("occlusion", "test-1", 2)
    np.testing.assert_array_equal(
        arrays["map"], attribution.occlusion(found.model.predict, x, 2).fall.astype(np.float32)
    )


def test_grad_cam_is_named_with_its_layer_and_grid(asked):
    _, ask = asked
    description, _ = ask("gradcam", "train-0")
    assert (description["layer"], description["grid"], description["layers"]) == (1, [8, 6], [0, 1])
    assert "layer 1, conv2d: 8 by 6 cells, each of them 1.5 by 1.67 pixels" in description["text"]
    description, _ = ask("gradcam", "train-0", None, 0)
    assert "<b>bold: 10 by 8 cells" in description["text"]
    with pytest.raises(ValueError, match="layer 2 has no map"):
        ask("gradcam", "train-0", None, 2)


def test_one_output_speaks_for_the_second_class_and_against_the_first():
    found = session(layers.Dense(1, activation="sigmoid"))
    fast = FastAnswers(found)
    chosen = int(found.model.predict(found.data.x_test[:1])[0, 0] > 0.5)
    for label in (None, 0, 1):
        for way in ("saliency", "gradcam"):
            description = looked_at(found, fast, way, "test-0", label)[0]
            assert description["label"] == (chosen if label is None else label)
            assert description["is_highest"] == (label in (None, chosen))
    description, _ = looked_at(found, fast, "occlusion", "test-0", 0)
    assert description["label"] == 0


def test_what_does_not_exist_is_refused(asked):
    _, ask = asked
    with pytest.raises(ValueError, match="way must be one of saliency, occlusion, gradcam; got 'x-ray'"):
        ask("x-ray", "test-0")
    with pytest.raises(KeyError, match="no image"):
        ask("saliency", "test-6")
    for way in WAYS:
        with pytest.raises(ValueError, match="label must be a class"):
            ask(way, "test-0", 3)
