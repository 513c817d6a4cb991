"""Pictures of digits become what a network that was trained on MNIST knows."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import tinycnn
from tinycnn import Sequential, datasets, layers
from tinycnn.cli import _likeness
from tinycnn.cli._data import scaled
from tinycnn.datasets import mnist_like
from tinycnn.datasets._mnist_like import prepared


def seven(height, width, top, left, side):
    """Return how much ink there is on a page (H, W) with a seven of some size somewhere."""
    shape = np.zeros((120, 120))
    shape[10:25, 20:100] = 1
    for row in range(25, 110):
        middle = 92 - int(0.5 * (row - 25))
        shape[row, middle - 8 : middle + 8] = 1
    page = np.zeros((height, width))
    small = np.asarray(Image.fromarray((shape * 255).astype(np.uint8)).resize((side, side), Image.Resampling.LANCZOS))
    page[top : top + side, left : left + side] = small / 255
    return page


def drawn(ink, paper, *, height=240, width=320, top=60, left=80, side=120, light=1.0, noise=0.0):
    page = paper + (ink - paper) * seven(height, width, top, left, side)
    page = page * light + noise * np.random.default_rng(0).standard_normal(page.shape)
    return page.clip(0, 255).round().astype(np.uint8)


ACROSS = np.linspace(0.4, 1, 320)
REFERENCE = mnist_like(drawn(255, 0))
SPOILED = {
    "black ink on grey 120": drawn(0, 120),
    "chalk on a board of 140": drawn(235, 140),
    "pencil on white": drawn(200, 250),
    "small, in a corner": drawn(10, 240, top=4, left=270, side=40),
    "large": drawn(10, 240, top=0, left=40, side=238),
    "light from one side": drawn(30, 230, light=ACROSS),
    "a board lit from one side": drawn(230, 90, light=ACROSS),
    "noise": drawn(30, 200, noise=8),
    "uneven light and noise": drawn(30, 230, light=1 - (ACROSS - 0.6) ** 2, noise=5),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_picture_becomes_the_same_digit(name):
    image = mnist_like(SPOILED[name])
    assert image.shape == (28, 28, 1)
    assert image.dtype == np.float32
    # Half a pixel of difference in place changes the edges of the strokes, but no more.
    assert np.abs(image - REFERENCE).mean() < 0.05
    assert np.corrcoef(image.ravel(), REFERENCE.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("picture", [*SPOILED.values(), 1 - REFERENCE], ids=[*SPOILED, "inverted"])
def test_size_place_and_contrast_are_those_of_mnist(picture):
    plane = mnist_like(picture)[..., 0]
    rows, columns = np.flatnonzero((plane > 0.1).any(axis=1)), np.flatnonzero((plane > 0.1).any(axis=0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20)
    np.testing.assert_allclose(ndimage.center_of_mass(plane), (14, 14), atol=0.55)
    assert plane.max() == 1
    assert np.median(plane) == plane[0].max() == 0


def test_what_is_prepared_already_stays_as_it_is():
    for picture in SPOILED.values():
        once = prepared(picture)
        again = prepared(once.image)
        assert once.done
        assert again.done == []
        np.testing.assert_array_equal(again.image, once.image)
    x = scaled(datasets.digits.load_data()[1][0][:200])
    for image in x:
        np.testing.assert_array_equal(prepared(image, off=6).image, image)


def test_ink_in_colour_and_bytes_or_fractions():
    ink = seven(100, 100, 10, 10, 80)[..., np.newaxis]
    red, green = np.array([200, 30, 30]), np.array([60, 102, 60])  # of the same brightness
    picture = (green + (red - green) * ink).astype(np.uint8)
    reference = mnist_like(drawn(0, 255, height=100, width=100, top=10, left=10, side=80))
    assert np.corrcoef(mnist_like(picture).ravel(), reference.ravel())[0, 1] > 0.95
    np.testing.assert_array_equal(mnist_like(picture.astype(np.float32) / 255), mnist_like(picture))


def test_dust_and_the_edge_of_the_page_are_no_ink():
    picture = drawn(20, 240)
    expected = mnist_like(picture)
    picture[10:14, 20:24] = 0
    picture[:, -12:] = 40
    np.testing.assert_allclose(mnist_like(picture), expected, atol=0.1)


def test_what_was_done_is_said():
    assert prepared(SPOILED["black ink on grey 120"]).done == [
        "inverted, because the ink is darker than the border",
        "contrast stretched from 120–0 to 0–255",
        "80×100 of 320×240 pixels scaled to 16×20",
        "centred by mass",
    ]
    assert "uneven light evened out" in prepared(SPOILED["light from one side"]).done
    assert "inverted" not in " ".join(prepared(SPOILED["chalk on a board of 140"]).done)


def test_other_sizes_and_fashion():
    image = mnist_like(SPOILED["large"], size=32)
    assert image.shape == (32, 32, 1)
    np.testing.assert_allclose(ndimage.center_of_mass(image[..., 0]), (16, 16), atol=0.55)
    whole = mnist_like(SPOILED["large"], box=28, by_mass=False)[..., 0]
    assert (whole > 0.1).any(axis=1).all()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((50, 50), 200, np.uint8), "nothing in the picture stands out"),
        (np.zeros((1, 1), np.uint8), "nothing in the picture stands out"),
        (np.random.default_rng(0).normal(120, 20, (200, 200)).clip(0, 255).astype(np.uint8), "nothing in the picture"),
        (np.zeros((28, 28, 4)), r"fourth channel, .* opaque a pixel is: image\[\.\.\., :3\]"),
        (np.zeros((2, 28, 28, 1)), r"got \(2, 28, 28, 1\); give one image of a batch: image\[0\]"),
        (np.zeros((28, 28, 2)), r"\(H, W, 3\); got \(28, 28, 2\)"),
        (np.full((28, 28), 200.0), "from 0 to 1; got 200 to 200; divide it by 255"),
        (np.full((28, 28), np.nan), "numbers from 0 to 1; got nan"),
        (np.full((28, 28), -1), "whole numbers from 0 to 255; got -1"),
    ],
)
def test_what_is_refused(image, message):
    with pytest.raises(ValueError, match=message):
        mnist_like(image)


def test_other_arguments_are_checked():
    with pytest.raises(TypeError, match="array of numbers"):
        mnist_like("seven.png")
    with pytest.raises(ValueError, match="box must fit into a result of the size 28; got 30"):
        mnist_like(SPOILED["large"], box=30)


# Real data ------------------------------------------------------------------------------------------------------


def place(digit, rng, ink, paper, light=1.0):
    """Return a photograph of a digit (28, 28) somewhere on a sheet or a board."""
    side = int(rng.integers(40, 100))
    top, left = rng.integers(0, 120 - side), rng.integers(0, 160 - side)
    page = np.zeros((120, 160))
    large = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    page[top : top + side, left : left + side] = np.asarray(large) / 255
    page = (paper + (ink - paper) * page) * light + rng.normal(0, 3, page.shape)
    return page.clip(0, 255).round().astype(np.uint8)


@pytest.mark.slow
def test_accuracy_on_spoiled_digits_stays_near_that_on_the_originals(real_data):
    real_data("mnist")
    (x, y), (x_test, y_test) = datasets.mnist.load_data()
    x_test, y_test = x_test[:150], y_test[:150]
    with tinycnn.use_backend("reference"):
        model = Sequential(
            [
                layers.Input((28, 28, 1)),
                layers.Conv2D(8, 5, strides=2, activation="relu"),
                layers.Conv2D(16, 3, strides=2, activation="relu"),
                layers.Flatten(),
                layers.Dense(10, activation="softmax"),
            ]
        )
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    model.fit(scaled(x[:6000]), y[:6000], batch_size=32, epochs=3, verbose=0)

    def accuracy(images):
        return float((model.predict(np.stack(images)).argmax(axis=1) == y_test).mean())

    original = accuracy(scaled(x_test))
    assert original > 0.85
    rng = np.random.default_rng(0)
    for ink, paper, light in ((0, 120, 1.0), (230, 140, 1.0), (40, 230, np.linspace(0.5, 1, 160))):
        pictures = [place(digit, rng, ink, paper, light) for digit in x_test]
        plain = [np.asarray(Image.fromarray(p).resize((28, 28)), np.float32)[..., None] / 255 for p in pictures]
        assert accuracy([mnist_like(p) for p in pictures]) > original - 0.05
        assert accuracy(plain) < 0.4


@pytest.mark.parametrize(
    "name",
    ["digits", *(pytest.param(name, marks=pytest.mark.realdata) for name in ("mnist", "fashion_mnist", "cifar10"))],
)
def test_the_ranges_of_the_training_images(name, request):
    if name != "digits":
        request.getfixturevalue("real_data")({"fashion_mnist": "fashion-mnist", "cifar10": "cifar-10"}.get(name, name))
    (x, _), (x_test, _) = datasets.load(name)
    rows = [_likeness.measures(scaled(x[i : i + 1])[0]) for i in np.linspace(0, len(x) - 1, 1500).astype(int)]
    for key, (low, high) in _likeness.RANGES[name].items():
        values = np.array([row[key] for row in rows])
        assert np.mean((values >= low) & (values <= high)) > 0.99, key
        assert values.max() - values.min() > 0.4 * (high - low)
    assert np.mean([_likeness.unlike(image, name) is not None for image in scaled(x_test[:500])]) < 0.03
