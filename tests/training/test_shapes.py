"""Images and sizes of a wrong shape: the message says what to do, in code that does it."""

import re

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, layers
from tinycnn.training.shapes import cure

GREY, COLOUR, WIDE, ROW = (28, 28, 1), (32, 32, 3), (20, 30, 3), (784,)


def code_in(text):
    """Return the expressions in a cure."""
    return re.findall(r"(?:np\.repeat\(x.*?axis=-1\)|x(?:\[(?:[^\]]*)\]|\.\w+\((?:[^()]|\([^)]*\))*\))+)", text)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((28, 28), GREY),
        ((28, 28, 1), GREY),
        ((5, 28, 28), GREY),
        ((5, 784), GREY),
        ((784,), GREY),
        ((1, 28, 28), GREY),
        ((5, 1, 28, 28), GREY),
        ((28, 28, 5), GREY),
        ((28, 28, 1, 5), GREY),
        ((5, 784, 1), GREY),
        ((5, 28, 28, 3), GREY),
        ((5, 28, 28, 4), GREY),
        ((28, 28, 3), GREY),
        ((1, 5, 28, 28, 1), GREY),
        ((3, 32, 32), COLOUR),
        ((5, 3, 32, 32), COLOUR),
        ((32, 32, 3), COLOUR),
        ((32, 32, 3, 5), COLOUR),
        ((5, 3072), COLOUR),
        ((5, 32, 32), COLOUR),
        ((32, 32), COLOUR),
        ((5, 32, 32, 1), COLOUR),
        ((5, 32, 32, 4), COLOUR),
        ((5, 30, 20, 3), WIDE),
        ((30, 20, 3), WIDE),
        ((5, 28, 28), ROW),
        ((28, 28), ROW),
        ((5, 28, 28, 1), ROW),
        ((784,), ROW),
        ((28, 28, 1), ROW),
        ((3072,), COLOUR),
        ((5, 3, 28, 28), GREY),
        ((5, 32, 96), COLOUR),
        ((20, 40), (40, 20, 1)),
        ((5, 20, 40), (40, 20, 1)),
    ],
)
def test_the_code_in_a_message_makes_the_right_shape(shape, wanted):
    text = cure(shape, wanted)
    codes = code_in(text)
    assert codes, text
    for code in codes:
        made = eval(code, {"x": np.zeros(shape), "np": np, "len": len})  # noqa: S307
        assert made.shape[1:] == wanted, (code, made.shape)
        assert len(made) in (1, 5)


@pytest.mark.parametrize("shape", [(2, 6), (6, 2), (3, 4), (4, 3), (12,), (5, 2, 6), (5, 3, 4)])
@pytest.mark.parametrize("wanted", [(2, 3, 2), (3, 4, 1), (4, 3, 1)])
def test_the_code_in_a_message_never_mixes_axes(shape, wanted):
    numbers = np.ravel_multi_index(np.indices(shape), (100,) * len(shape))
    for code in code_in(cure(shape, wanted)):
        made = eval(code, {"x": numbers})  # noqa: S307
        # Neighbours along an axis were neighbours along an axis before, so each axis has one stride.
        for axis in range(1, made.ndim):
            assert len(np.unique(np.diff(made, axis=axis))) <= 1, code


@pytest.mark.parametrize("shape", [(5, 3, 1024), (3, 1024)])
def test_rows_of_channels_are_not_taken_for_rows_of_pixels(shape):
    image = np.arange(3072).reshape(COLOUR)
    given = np.broadcast_to(image.transpose(2, 0, 1).reshape(3, 1024), shape)
    [code] = code_in(cure(shape, COLOUR))
    assert np.array_equal(eval(code, {"x": given})[-1], image)  # noqa: S307


@pytest.mark.parametrize(
    ("shape", "wanted", "size"),
    [
        ((5, 40, 30, 1), GREY, "40×30"),
        ((5, 28, 28, 3), COLOUR, "28×28"),
        ((5, 28, 28, 1), COLOUR, "28×28"),
        ((40, 30), GREY, "40×30"),
        ((40, 30, 1), GREY, "40×30"),
        ((40, 30, 3), COLOUR, "40×30"),
        ((3, 40, 30), COLOUR, "40×30"),
        ((5, 3, 40, 30), COLOUR, "40×30"),
    ],
)
def test_images_of_another_size_are_to_be_resized(shape, wanted, size):
    assert re.search(rf"have {size} pixels and the model takes \d+×\d+: resize them", cure(shape, wanted))


@pytest.mark.parametrize("shape", [(), (5,), (5, 7), (0, 3, 3, 7), (2, 2, 2, 2, 2), (5, 2352)])
def test_where_no_mistake_is_known_nothing_is_advised(shape):
    assert cure(shape, GREY) == ""


def test_every_way_into_a_model_says_it():
    with tinycnn.use_backend("reference"):
        model = Sequential([layers.Input(COLOUR), layers.Flatten(), layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = np.zeros((3, 32, 32), np.float32), [0]
    right = np.zeros((1, *COLOUR)), y
    calls = [
        lambda: model.predict(x),
        lambda: model.fit(x, y, verbose=0),
        lambda: model.evaluate(x, y, verbose=0),
        lambda: model.train_on_batch(x, y),
        lambda: model.trace(x, y),
        lambda: model.fit(*right, verbose=0, validation_data=(x, y)),
        lambda: model.fit([(x, y)], verbose=0),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"got \(3, 32, 32\); this is one image, and channels come last: x\.trans"):
            call()


@pytest.mark.parametrize(
    "shape", [(None, None, 3), (28, None, 1), (None, None, None, 3), (28, 28, None), (None, 28, 3)]
)
@pytest.mark.parametrize(
    "give",
    [
        layers.Input,
        lambda shape: layers.Conv2D(2, 3, input_shape=shape),
        lambda shape: Sequential([layers.Flatten()]).build(shape),
        lambda shape: layers.Flatten().build(shape),
        lambda shape: layers.Dense(2).output_shape(shape),
        lambda shape: layers.Conv2D(2, 3).weight_shapes(shape),
        layers.Reshape,
    ],
)
def test_sizes_must_be_fixed_wherever_a_shape_is_given(give, shape):
    with pytest.raises(TypeError, match=r"sizes must be fixed; got \(.*None"):
        give(shape)
