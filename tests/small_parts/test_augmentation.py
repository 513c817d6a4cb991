"""Augmentation: what each change does, and that it repeats to the bit."""

import time

import numpy as np
import pytest
import scipy.ndimage

import tinycnn
from tinycnn import Augmentation, Sequential, layers
from tinycnn.core.backend import BACKENDS, Backend

BACKEND = pytest.mark.parametrize("backend", [Backend(name) for name in BACKENDS], ids=BACKENDS)


def images(n=16, size=(12, 10), channels=2):
    return np.random.default_rng(0).uniform(0.1, 1, (n, *size, channels))


@BACKEND
def test_nothing_asked_nothing_done(backend):
    x = images()
    np.testing.assert_array_equal(Augmentation()(x, seed=1, step=1, backend=backend), x)


@BACKEND
def test_shift_moves_whole_pixels(backend):
    x, seen = images(200), set()
    y = Augmentation(shift=0.2)(x, seed=1, step=1, backend=backend)
    for before, after in zip(x, y, strict=True):
        rows, columns = (np.flatnonzero(after.any(axis=axis)) for axis in ((1, 2), (0, 2)))
        down, right = (rows[0] or rows[-1] - 11), (columns[0] or columns[-1] - 9)
        moved = np.roll(before, (down, right), axis=(0, 1))
        moved[: max(down, 0)], moved[:, : max(right, 0)] = 0, 0
        moved[12 + min(down, 0) :], moved[:, 10 + min(right, 0) :] = 0, 0
        np.testing.assert_allclose(after, moved, atol=1e-12)
        seen.add((int(down), int(right)))
    assert {down for down, _ in seen} == {-2, -1, 0, 1, 2}
    assert {right for _, right in seen} == {-2, -1, 0, 1, 2}


@BACKEND
def test_a_pixel_beside_the_source_does_not_matter(backend):
    """What is not a number stays in the one pixel that is copied from it, also where another image is rotated."""
    x = np.ones((2, 4, 5, 1))
    x[:, 2, 2] = np.nan
    maps = np.zeros((2, 2, 3))
    maps[0, :, :2], maps[1, :, :2] = np.eye(2), [[0, 1], [-1, 0]]
    maps[1, 1, 2] = 4
    y = backend.to_numpy(backend.kernels.warp_images(backend.array(x), backend.array(maps)))
    np.testing.assert_array_equal(y[0], x[0])
    assert np.isnan(y[1]).sum() == 1, y[1, ..., 0]


@BACKEND
def test_no_zero_has_a_sign(backend):
    """It would make a difference in the bits of what is divided by it."""
    augment = Augmentation(shift=0.2, flip=True)
    y = backend.to_numpy(augment(backend.array(-np.zeros((8, 9, 9, 1), "float32")), seed=0, step=0, backend=backend))
    assert not np.signbit(y).any()


@BACKEND
def test_flip_mirrors_about_half(backend):
    x = images(400)
    y = Augmentation(flip=True)(x, seed=1, step=1, backend=backend)
    mirrored = [np.allclose(after, before[:, ::-1], atol=1e-12) for before, after in zip(x, y, strict=True)]
    same = [np.allclose(after, before, atol=1e-12) for before, after in zip(x, y, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 150 < sum(mirrored) < 250


@BACKEND
def test_rotation_equals_scipy(backend):
    x = images(8, (11, 11), 1)
    augment = Augmentation(rotation=30)
    y = augment(x, seed=1, step=1, backend=backend)
    draws = tinycnn.core.seeding.generator(1, tinycnn.core.seeding.Stream.AUGMENT, 1).uniform(-1, 1, (8, 7))
    for before, after, draw in zip(x, y, draws, strict=True):
        angle = np.deg2rad(30 * draw[2])
        matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        middle = np.array([5, 5])
        expected = scipy.ndimage.affine_transform(
            before[..., 0], matrix, middle - matrix @ middle, order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(after[..., 0], expected, atol=1e-9)


@BACKEND
def test_blur_equals_scipy(backend):
    x = images(6, (15, 9), 2)
    sigmas = np.array([0, 0.3, 0.7, 1.0, 1.5, 2.0])
    y = backend.kernels.blur_images(x, sigmas)
    for before, after, sigma in zip(x, y, sigmas, strict=True):
        radius = int(np.ceil(3 * sigma))
        expected = before
        for axis in (0, 1):
            if radius:
                expected = scipy.ndimage.gaussian_filter1d(expected, sigma, axis, mode="nearest", radius=radius)
        np.testing.assert_allclose(after, expected, atol=1e-12)
    np.testing.assert_array_equal(y[0], x[0])


@BACKEND
def test_cutout_hides_a_square(backend):
    x = images(300)
    y = Augmentation(cutout=0.4)(x, seed=1, step=1, backend=backend)
    hidden = (y == 0).all(axis=3)
    np.testing.assert_array_equal(y[~hidden], x[~hidden])
    sizes = hidden.sum(axis=(1, 2))
    assert sizes.max() == 16
    assert sizes.min() >= 4
    assert hidden.any(axis=0).all()


def test_backends_agree_and_repeat():
    x = images().astype(np.float32)
    augment = Augmentation(shift=0.1, flip=True, rotation=15, blur=1, cutout=0.3)
    first, again = (augment(x, seed=3, step=4) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(augment(x, seed=3, step=4, backend=Backend("reference")), first, atol=1e-5)
    for seed, step in ((3, 5), (4, 4)):
        assert (augment(x, seed=seed, step=step) != first).any()


def test_a_change_that_is_switched_on_leaves_the_others_as_they_were():
    x = images()
    y = Augmentation(shift=0.2)(x, seed=1, step=1)
    both = Augmentation(shift=0.2, cutout=0.3)(x, seed=1, step=1)
    shown = both != 0
    np.testing.assert_array_equal(both[shown], y[shown])


def test_inputs_stay_as_they_are():
    x = images()
    before = x.copy()
    Augmentation(shift=0.2, flip=True, rotation=10, blur=1, cutout=0.3)(x, seed=0, step=0)
    np.testing.assert_array_equal(x, before)


def make():
    tinycnn.set_seed(0)
    model = Sequential([layers.Input((12, 10, 2)), layers.Flatten(), layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    return model


def test_fit_augments_training_and_not_validation():
    x, y = images(40).astype(np.float32), np.arange(40) % 3
    plain, hidden, again = make(), make(), make()
    augment = Augmentation(cutout=0.9, shift=0.5)
    histories = [
        model.fit(x, y, epochs=2, validation_data=(x, y), verbose=0, augment=a).history
        for model, a in ((plain, None), (hidden, augment), (again, augment))
    ]
    assert histories[1] == histories[2]
    assert histories[0]["loss"] != histories[1]["loss"]
    assert hidden.evaluate(x, y, verbose=0)[0] == histories[1]["val_loss"][-1]


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"shift": 1.0}, ValueError, "shift must be"),
        ({"shift": "far"}, TypeError, "shift must be a number"),
        ({"rotation": -1}, ValueError, "rotation must be"),
        ({"flip": 1}, TypeError, "flip must be True or False"),
        ({"blur": float("nan")}, ValueError, "blur must be"),
        ({"cutout": 1.5}, ValueError, "cutout must be"),
    ],
)
def test_bad_amounts(arguments, kind, message):
    with pytest.raises(kind, match=message):
        Augmentation(**arguments)


def test_only_images_can_be_augmented():
    with pytest.raises(ValueError, match=r"images \(N, H, W, C\); got an array of shape \(4, 7\)"):
        Augmentation(flip=True)(np.zeros((4, 7)), seed=0, step=0)


@pytest.mark.slow
def test_all_changes_together_cost_less_than_a_training_step():
    """The step is that of ``mnist_cnn``, where it matters; medians of alternating turns are compared."""
    model = tinycnn.models.build("mnist_cnn")
    model.compile("adam", "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).uniform(0, 1, (128, 28, 28, 1)).astype(np.float32)
    y = np.arange(128) % 10
    augment = Augmentation(shift=0.1, flip=True, rotation=15, blur=1, cutout=0.3)
    seconds = {"augment": [], "step": []}
    for step in range(7):
        started = time.perf_counter()
        augment(x, seed=0, step=step)
        between = time.perf_counter()
        model.train_on_batch(x, y)
        seconds["augment"].append(between - started)
        seconds["step"].append(time.perf_counter() - between)
    assert np.median(seconds["augment"]) < np.median(seconds["step"])
