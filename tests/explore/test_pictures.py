"""Drawings and uploads become what the network is given, and what is no picture is refused with a cure."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

import tinycnn
from tinycnn import Sequential, layers
from tinycnn.datasets import mnist_like
from tinycnn.explore import pictures
from tinycnn.explore.session import Session

MNIST = pictures.purpose_of((28, 28, 1), "mnist")
CIFAR = pictures.purpose_of((32, 32, 3), "cifar10")


def surface(side=280, channels=1):
    """Return a drawing surface with a thick stroke in its upper left corner."""
    pixels = np.zeros((side, side, channels), np.uint8)
    pixels[side // 10 : side // 2, side // 8 : side // 5] = 255
    return pixels


def drawn(pixels, purpose=MNIST, centred=True):
    return pictures.from_drawing(pixels.tobytes(), *pixels.shape, purpose, centred)


def file_of(pixels, kind="PNG", **options):
    file = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("shape", "data", "expected"),
    [
        ((28, 28, 1), "mnist", ("mnist", True)),
        ((28, 28, 1), None, ("mnist", True)),
        ((28, 28, 1), "digits", ("digits", True)),
        ((28, 28, 1), "fashion_mnist", ("fashion_mnist", True)),
        ((12, 12, 1), None, ("mnist", False)),
        ((28, 28, 1), "my own", ("mnist", False)),
        ((12, 10, 1), None, ("none", False)),
        ((32, 32, 3), "cifar10", ("none", False)),
    ],
)
def test_what_pictures_are_prepared_for(shape, data, expected):
    assert pictures.purpose_of(shape, data) == (shape, *expected)


def test_a_network_without_image_channels_cannot_be_drawn_for():
    assert pictures.purpose_of((9, 9), None).shape == (9, 9, 1)
    for shape in ((28, 28, 2), (784,)):
        with pytest.raises(ValueError, match="1 or 3 channels"):
            pictures.purpose_of(shape, None)


def test_a_drawing_is_centred_by_the_engines_own_function():
    found = drawn(surface())
    # It is told that the background is black, which mnist_like has to find out.
    np.testing.assert_allclose(found.after, mnist_like(surface()), atol=1.5 / 255)
    mass = found.after[..., 0] / found.after.sum()
    assert abs(mass.sum(axis=1) @ (np.arange(28) + 0.5) - 14) < 0.6
    # Before, the stroke is where it was drawn.
    assert found.before.shape == (28, 28, 1)
    assert found.before[5:12, 4:5].min() > 0.9
    assert found.before[20:].max() == 0
    assert "centred by mass" in found.done
    assert not found.is_empty


def test_centring_can_be_switched_off():
    found = drawn(surface(), centred=False)
    np.testing.assert_array_equal(found.after, found.before)
    assert "centred by mass" not in found.done


def test_a_drawing_in_the_networks_own_size_keeps_its_bytes():
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28, 1), np.uint8)
    found = drawn(pixels, centred=False)
    np.testing.assert_array_equal(np.rint(found.after * 255), pixels)


def test_what_is_like_the_training_images_already_is_left_as_it_is():
    image = drawn(surface()).after
    again = drawn(np.rint(image * 255).astype(np.uint8))
    np.testing.assert_array_equal(again.after, image)
    assert "left as it is" in again.done[0]


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("centred", [True, False])
def test_an_empty_drawing_is_no_error(value, centred):
    found = drawn(np.full((280, 280, 1), value, np.uint8), centred=centred)
    assert found.is_empty
    assert found.done == ["nothing is drawn: all pixels are alike"]
    np.testing.assert_array_equal(found.after, np.full((28, 28, 1), value / 255, np.float32))


def test_what_is_too_faint_to_be_centred_is_said():
    faint = np.zeros((280, 280, 1), np.uint8)
    faint[100:140, 100:120] = 2
    found = drawn(faint)
    assert found.is_empty
    assert "not centred, because nothing in the picture stands out" in found.done[-1]
    np.testing.assert_array_equal(found.after, found.before)


def test_colours_stay_colours():
    pixels = surface(64, 3)
    pixels[..., 1:] = 0
    found = drawn(pixels, CIFAR)
    assert found.after.shape == (32, 32, 3)
    assert found.after[..., 0].max() > 0.9
    assert found.after[..., 1:].max() == 0
    grey = drawn(surface(64, 3), MNIST, centred=False)
    assert grey.after.shape == (28, 28, 1)


@pytest.mark.parametrize(
    ("height", "width", "channels", "given"),
    [(10, 10, 1, 99), (10, 10, 1, 101), (10, 10, 3, 100), (0, 10, 1, 0), (10, 10, 2, 200), (10**6, 1, 1, 10**6)],
)
def test_bytes_of_another_shape_are_refused(height, width, channels, given):
    with pytest.raises(ValueError, match="a drawing"):
        pictures.from_drawing(bytes(given), height, width, channels, MNIST, True)


# Uploads --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("purpose", [MNIST, CIFAR])
def test_every_format_is_read(kind, purpose):
    pixels = np.repeat(surface(120), 3, axis=2)
    found = pictures.from_upload(file_of(pixels, kind), purpose, True)
    assert found.after.shape == purpose.shape
    assert found.after.max() > 0.9
    if purpose is MNIST:
        assert "centred by mass" in found.done


def test_a_photograph_is_turned_upright():
    photo = np.zeros((64, 64, 3), np.uint8)
    photo[:16] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    found = pictures.from_upload(file_of(photo, "JPEG", exif=exif, quality=95), CIFAR, True)
    assert found.after[-3].min() > 0.9 > 0.1 > found.after[3].max()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_pictures_of_any_mode(mode):
    square = surface(60)[..., 0]
    if mode == "I;16":
        picture = Image.fromarray(square.astype(np.uint16) * 257)
    else:
        picture = Image.fromarray(square).convert(mode)
    found = pictures.from_upload(file_of(picture, "JPEG" if mode == "CMYK" else "PNG"), MNIST, False)
    assert found.after[6:12, 4].min() > 0.9
    assert found.after[20:].max() < 0.1


def test_transparent_ink_and_several_frames():
    ink = np.zeros((40, 40, 4), np.uint8)
    ink[12:28, 12:28] = [0, 0, 0, 255]
    found = pictures.from_upload(file_of(ink), MNIST, True)
    assert "transparent" in found.done[0]
    assert found.after[14, 14, 0] > 0.95
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("white", "black")]
    content = file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pictures.from_upload(content, CIFAR, True).after.min() > 0.95


def test_one_colour_is_no_picture_to_centre():
    found = pictures.from_upload(file_of(np.full((50, 40, 3), 90, np.uint8)), MNIST, True)
    assert found.is_empty
    np.testing.assert_allclose(found.after, 90 / 255, atol=0.01)


def bomb(side):
    """Return the beginning of a PNG file that claims side by side pixels."""
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(10**6))), (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty; choose a picture"),
        (b"hello", "the file is not a picture that can be read: save it as PNG"),
        (b"\x89PNG\r\n\x1a\n", "the file"),
        (bomb(10_000), "10000 by 10000 pixels are more than the limit of"),
        (bomb(100_000), r"the file has more pixels than the limit of [\d,]+; save it smaller"),
        (file_of(np.random.default_rng(0).integers(0, 255, (50, 50), np.uint8))[:800], "the file cannot be read"),
        (file_of(np.zeros((50, 50, 3), np.uint8), "JPEG")[:300], "the file"),
        (b"GIF89a" + bytes(3), "the file"),
        (b"%PDF-1.4\n", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
    ],
)
def test_what_is_no_picture_is_refused(content, message):
    with pytest.raises(ValueError, match=message):
        pictures.from_upload(content, MNIST, True)


# What the page shows, and predictions ---------------------------------------------------------------------------


def test_images_for_the_eye():
    unit = np.array([0, 0.5, 1], np.float32).reshape(1, 3, 1, 1)
    assert pictures.as_bytes(unit).reshape(-1).tolist() == [0, 128, 255]
    assert pictures.as_bytes(255 * unit).reshape(-1).tolist() == [0, 128, 255]
    assert pictures.as_bytes(4 * unit - 2).reshape(-1).tolist() == [0, 128, 255]
    assert pictures.as_bytes(np.zeros((2, 5, 4, 7), np.float32)).shape == (2, 5, 4, 1)
    assert pictures.as_bytes(np.zeros((2, 5, 4), np.float32)).shape == (2, 5, 4, 1)
    assert pictures.as_bytes(np.zeros((1, 224, 200, 3), np.float32), 96).shape == (1, 75, 67, 3)


def network(*first, **arguments):
    return Sequential(
        [
            layers.Input((28, 28, 1)),
            *first,
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ],
        **arguments,
    )


def test_probabilities_are_those_of_predict_and_follow_the_weights():
    session = Session(network())
    fast = pictures.FastAnswers(session)
    x = np.random.default_rng(0).random((3, 28, 28, 1), np.float32)
    before = fast.answers(x)
    np.testing.assert_array_equal(before, session.model.predict(x))
    with session.changing_weights() as model:
        model.set_weights([array + 1 for array in model.get_weights()])
    np.testing.assert_array_equal(fast.answers(x), session.model.predict(x))
    assert (fast.answers(x) != before).any()


def test_a_network_that_divides_by_255_is_given_bytes():
    model = network(layers.Rescaling(1 / 255))
    image = drawn(surface()).after
    np.testing.assert_array_equal(pictures.for_model(model, image), image * 255)
    np.testing.assert_array_equal(pictures.for_model(network(), image), image)


def test_a_network_that_gives_no_classes_is_refused():
    session = Session(network())
    session.model = Sequential([layers.Input((8, 8, 1)), layers.Conv2D(2, 3)])
    with pytest.raises(ValueError, match="one number for each class"):
        pictures.FastAnswers(session).answers(np.zeros((1, 8, 8, 1), np.float32))


@pytest.mark.slow
@pytest.mark.timed
def test_a_stroke_is_answered_within_16_milliseconds():
    """95 of 100 are, in the best of three rounds: what else the machine does is not what is measured."""
    fast = pictures.FastAnswers(Session(tinycnn.models.build("ladder_10")))
    rng = np.random.default_rng(0)

    def stroke():
        pixels = surface(140)  # as large as that of the page
        top, left = rng.integers(0, 100, 2)
        pixels[top : top + 40, left : left + 10] = 255
        begin = time.perf_counter()
        found = drawn(pixels)
        fast.answers(found.after[np.newaxis])
        return time.perf_counter() - begin

    for _ in range(20):
        stroke()
    assert min(np.quantile([stroke() for _ in range(100)], 0.95) for _ in range(3)) < 0.016
