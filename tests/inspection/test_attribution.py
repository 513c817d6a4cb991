"""Saliency, occlusion and Grad-CAM are what their papers define, computed here in other ways."""

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, layers
from tinycnn.inspection import attribution


@pytest.fixture(autouse=True)
def _reference():
    with tinycnn.use_backend("reference"):
        yield


def network(*middle, classes=3, dtype="float64"):
    return Sequential(
        [
            layers.Input((9, 8, 2)),
            layers.Conv2D(4, 3, activation="tanh", name="first"),
            *middle,
            layers.Flatten(),
            layers.Dense(classes, activation="softmax"),
        ],
        dtype=dtype,
    )


def image(seed=0):
    return np.random.default_rng(seed).random((1, 9, 8, 2))


def test_saliency_is_the_largest_slope_of_a_pixels_channels():
    model, x, h = network(layers.BatchNormalization(), layers.Dropout(0.5)), image(), 1e-6
    found = attribution.saliency(model, x, 1)
    logits = np.log(model.predict(x))  # up to a constant, these are the scores
    slopes = np.zeros((9, 8, 2))
    kernel = model.layers[-1].params["kernel"].value
    for index in np.ndindex(slopes.shape):
        up, down = x.copy(), x.copy()
        up[(0, *index)] += h
        down[(0, *index)] -= h
        before = [features(model, one) @ kernel[:, 1] for one in (up, down)]
        slopes[index] = float((before[0] - before[1])[0]) / (2 * h)
    np.testing.assert_allclose(found.strength, np.abs(slopes).max(axis=-1), rtol=1e-6, atol=1e-9)
    assert found.label == 1
    assert found.is_highest == (logits[0].argmax() == 1)


def features(model, x):
    """Return what the last layer is given in prediction."""
    twins = [type(one).from_config(one.get_config()) for one in model.layers[:-1]]
    part = Sequential([layers.Input(model.input_shape), *twins], dtype=model.dtype)
    part.set_weights([array for one in model.layers[:-1] for array in one.weights().values()])
    return part.predict(x)


def test_grad_cam_is_the_weighted_sum_of_the_maps():
    model, x = network(), image()
    maps = model.trace(x)[0].y[0]  # (7, 6, 4)
    lowest = 0.0
    for label in range(3):
        found, number = attribution.grad_cam(model, x, label)
        kernel = model.layers[-1].params["kernel"].value[:, label].reshape(maps.shape)
        weights = kernel.mean(axis=(0, 1))
        expected = sum(maps[..., k] * weights[k] for k in range(4))
        np.testing.assert_allclose(found.strength, np.maximum(expected, 0), atol=1e-12)
        assert (number, found.label, found.strength.shape) == (0, label, (7, 6))
        lowest = min(lowest, expected.min())
    assert lowest < 0  # otherwise this would not show that what speaks against a class is left out


def test_one_output_has_a_score_for_each_of_two_classes():
    """They are the number before the sigmoid and its negative, so that a network that is sure has slopes as well."""
    sure = Sequential([layers.Input((9, 8, 2)), layers.Conv2D(4, 3, activation="tanh"), layers.Flatten()])
    sure.add(layers.Dense(1, "sigmoid", bias_initializer=tinycnn.initializers.Constant(100.0)))
    x = image().astype(np.float32)
    assert sure.predict(x) == 1
    first, second = (attribution.saliency(sure, x, label) for label in (0, 1))
    np.testing.assert_array_equal(first.strength, second.strength)
    assert first.strength.any()
    assert [first.is_highest, second.is_highest, attribution.saliency(sure, x).label] == [False, True, 1]
    maps = sure.layers[0].forward(x)[0][0].astype(float)
    weights = sure.layers[-1].params["kernel"].value.reshape(maps.shape).mean(axis=(0, 1), dtype=float)
    for label, sign in ((0, -1), (1, 1)):
        found, _ = attribution.grad_cam(sure, x, label)
        np.testing.assert_allclose(found.strength, np.maximum(maps @ (sign * weights), 0), rtol=1e-5, atol=1e-7)
    with pytest.raises(ValueError, match="label must be a class, from 0 to 1; got 2"):
        attribution.saliency(sure, x, 2)


def test_grad_cam_takes_the_last_layer_with_enough_cells():
    model = network(layers.Conv2D(3, 2, activation="relu"), layers.MaxPooling2D(2), layers.Conv2D(3, 2))
    assert attribution.cam_layers(model) == [0, 1]  # 7×6 and 6×5; then 3×2 and 2×1
    assert attribution.grad_cam(model, image())[1] == 1
    assert attribution.grad_cam(model, image(), layer=0)[0].strength.shape == (7, 6)
    with pytest.raises(ValueError, match=r"layer 2 has no map of at least 5 by 5 cells.*layers that have one: 0, 1"):
        attribution.grad_cam(model, image(), layer=2)
    flat = Sequential([layers.Input((9, 8, 2)), layers.Flatten(), layers.Dense(3, activation="softmax")])
    with pytest.raises(ValueError, match="has no layer with a map of at least 5 by 5 cells"):
        attribution.grad_cam(flat, image().astype(np.float32))


def test_looking_changes_nothing():
    model, x = network(layers.BatchNormalization()), image()
    before = [array.copy() for array in model.get_weights()]
    attribution.saliency(model, x)
    attribution.grad_cam(model, x)
    for array, was in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(array, was)


@pytest.mark.parametrize("label", [-1, 3, True, 1.0, "1"])
def test_a_class_that_does_not_exist_is_refused(label):
    for look in (attribution.saliency, attribution.grad_cam):
        with pytest.raises(ValueError, match="label must be a class, from 0 to 2"):
            look(network(), image(), label)


def test_a_network_without_classes_is_refused():
    model = Sequential([layers.Input((9, 8, 2)), layers.Conv2D(2, 3)], dtype="float64")
    for look in (attribution.saliency, attribution.grad_cam):
        with pytest.raises(ValueError, match="a score for each class"):
            look(model, image())


# Occlusion ------------------------------------------------------------------------------------------------------


def brightness(x):
    """Return probabilities of two classes: the mean of an image, and the rest."""
    p = x.reshape(len(x), -1).mean(axis=1)
    return np.stack([p, 1 - p], axis=1)


def test_occlusion_hides_one_square_after_the_other():
    x = np.zeros((1, 6, 4, 1), np.float32)
    x[0, 2, 1] = 1  # the border is black, so hiding only matters here
    found = attribution.occlusion(brightness, x, 0, side=2, stride=2)
    assert (found.side, found.stride, found.label, found.is_highest) == (2, 2, 0, False)
    assert found.whole == pytest.approx(1 / 24)
    expected = np.zeros((6, 4))
    expected[2:4, 0:2] = 1 / 24
    np.testing.assert_allclose(found.fall, expected, atol=1e-9)
    other = attribution.occlusion(brightness, x, 1, side=2, stride=2)
    np.testing.assert_allclose(other.fall, -expected, atol=1e-7)
    assert attribution.occlusion(brightness, x).label == 1


def test_a_pixel_shows_the_mean_over_the_squares_that_hide_it():
    x = np.random.default_rng(0).random((1, 5, 7, 3)) + 1
    x[:, [0, -1]] = x[:, :, [0, -1]] = 0.25  # the colour of the border
    found = attribution.occlusion(brightness, x, 0, side=3, stride=1)
    total, times = np.zeros((5, 7)), np.zeros((5, 7))
    for top, left in np.ndindex(3, 5):
        hidden = x.copy()
        hidden[0, top : top + 3, left : left + 3] = 0.25
        total[top : top + 3, left : left + 3] += x.mean() - hidden.mean()
        times[top : top + 3, left : left + 3] += 1
    np.testing.assert_allclose(found.fall, total / times, rtol=1e-9)


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (5, 9, 1), (1, 1, 1), (2, 40, 3), (30, 7)])
def test_squares_cover_every_pixel(shape):
    x = np.random.default_rng(0).random((1, *shape), np.float32)
    found = attribution.occlusion(brightness, x)
    assert found.fall.shape == shape[:2]
    assert np.isfinite(found.fall).all()
    assert 1 <= found.side <= min(shape[:2])


def test_the_image_stays_as_it_was():
    x = np.random.default_rng(0).random((1, 9, 9, 3), np.float32)
    before = x.copy()
    attribution.occlusion(brightness, x)
    np.testing.assert_array_equal(x, before)


def test_nan_and_unknown_classes_are_refused():
    x = np.zeros((1, 9, 9, 1), np.float32)
    with pytest.raises(ValueError, match="NaN or infinity"):
        attribution.occlusion(lambda x: np.full((len(x), 2), np.nan), x)
    with pytest.raises(ValueError, match="label must be a class, from 0 to 1; got 2"):
        attribution.occlusion(brightness, x, 2)
