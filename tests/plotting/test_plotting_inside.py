"""Pictures of the inside of a network: what they show is what the layers compute, and the model stays as it was."""

import runpy
import threading
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("agg")

from helpers import assert_nothing_clipped
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import tinycnn
from tinycnn import Sequential, layers, models, plotting
from tinycnn.inspection.copies import copies_up_to_scores, run
from tinycnn.inspection.receptive_field import field_by_geometry, receptive_fields, span
from tinycnn.plotting.receptive import field_by_gradient


@pytest.fixture(autouse=True)
def _close():
    with tinycnn.use_backend("reference"):
        yield
    plt.close("all")


def small(*more, shape=(9, 8, 1), loss=True, classes=3):
    """Return a built network whose moving statistics have changed and whose biases are not zero."""
    tinycnn.set_seed(3)
    model = Sequential(
        [
            layers.Input(shape),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Conv2D(5, 2),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            *more,
            layers.Dense(classes, activation="softmax"),
        ]
    )
    rng = np.random.default_rng(5)
    model.set_weights([np.abs(w) + rng.uniform(0.1, 0.6, w.shape) * (w.ndim == 1) for w in model.get_weights()])
    if loss:
        model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    return model


def images(model, count=1):
    return np.random.default_rng(1).random((count, *model.input_shape)).astype(np.float32)


def state(model):
    """Return everything that a picture could change, as bytes."""
    gradients = [p.grad for p in model.parameters().values()]
    flags = [(layer.trainable, layer.backend, *(p.trainable for p in layer.params.values())) for layer in model.layers]
    return [array.tobytes() for array in [*model.get_weights(), *gradients]], flags, [*map(vars, model.layers)]


def tiles(ax, size, times, columns, count):
    """Return the small images of a picture, each pixel once, which are found by the gaps between them."""
    canvas = np.ma.getdata(ax.images[0].get_array())
    height, width = (length * times for length in size)
    blank = np.isnan(canvas) if canvas.ndim == 2 else (canvas == 1).all(axis=-1)
    tops = [row for row in range(len(canvas)) if not blank[row].all() and (row == 0 or blank[row - 1].all())]
    lefts = [c for c in range(canvas.shape[1]) if not blank[:, c].all() and (c == 0 or blank[:, c - 1].all())]
    assert len(lefts) == columns
    found = [canvas[t : t + height : times, c : c + width : times] for t in tops for c in lefts]
    return found[:count]


# Filters --------------------------------------------------------------------------------------------------------


def test_filters_of_one_channel_are_the_weights():
    model = small()
    ax = plotting.filters(model)
    kernel = model.layers[0].params["kernel"].value
    for number, tile in enumerate(tiles(ax, (3, 3), 8, 4, 4)):
        np.testing.assert_allclose(tile, kernel[:, :, 0, number], rtol=1e-6)
    # Zero is white, in the middle of the colours.
    low, high = ax.images[0].get_clim()
    assert -low == high == pytest.approx(np.abs(kernel).max())
    assert [text.get_text() for text in ax.texts] == ["0", "1", "2", "3"]
    assert "4 filters, 3×3" in ax.get_title()
    assert_nothing_clipped(ax.figure)


def test_filters_over_several_channels_are_columns():
    model = small()
    kernel = model.layers[3].params["kernel"].value  # (2, 2, 4, 5)
    ax = plotting.filters(model, "conv2d_1", count=3, channels=2)
    found = tiles(ax, (2, 2), 12, 3, 6)
    for row in range(2):
        for column in range(3):
            np.testing.assert_allclose(found[3 * row + column], kernel[:, :, row, column], rtol=1e-6)
    assert "first 3 of 5 filters" in ax.get_title()
    assert "first 2 of 4 channels" in ax.get_title()
    assert_nothing_clipped(ax.figure)


def test_filters_over_three_channels_are_colours_with_grey_for_zero():
    layer = layers.Conv2D(2, 3)
    layer.build((8, 8, 3))
    layer.params["kernel"].value[...] = 0
    layer.params["kernel"].value[0, 1, 0, 1] = 0.2
    layer.params["kernel"].value[2, 2, 2, 1] = -0.2
    canvas = plotting.filters(layer).images[0].get_array()
    np.testing.assert_allclose(canvas[0, 0], 0.5)
    # The second filter begins after 24 pixels and a gap of 4.
    np.testing.assert_allclose(canvas[0, 28 + 8], [1, 0.5, 0.5])
    np.testing.assert_allclose(canvas[23, 28 + 23], [0.5, 0.5, 0])


@pytest.mark.parametrize(("channels", "groups"), [(6, 2), (4, 2)])
def test_filters_of_groups_are_no_colours_and_count_the_channels_of_a_group(channels, groups):
    layer = layers.Conv2D(4, 3, groups=groups)
    layer.build((8, 8, channels))
    ax = plotting.filters(layer)
    assert f"over {channels // groups} channels of each group (rows)" in ax.get_title()
    kernel = layer.params["kernel"].value
    found = tiles(ax, (3, 3), 8, 4, 4 * channels // groups)
    np.testing.assert_allclose(found[4 + 2], kernel[:, :, 1, 2], rtol=1e-6)


def test_filters_of_a_depthwise_convolution_and_of_1x1():
    layer = layers.DepthwiseConv2D(2, depth_multiplier=2)
    layer.build((5, 5, 2))
    kernel = layer.params["kernel"].value
    found = tiles(plotting.filters(layer), (2, 2), 12, 4, 4)
    np.testing.assert_allclose(found[2], kernel[:, :, 1, 0], rtol=1e-6)
    one = layers.Conv2D(3, 1)
    one.build((5, 5, 2))
    assert_nothing_clipped(plotting.filters(one).figure)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("model_or_layer", (3,)),
        ("model_or_layer", (layers.Conv2D(3, 3),)),
        ("model_or_layer", (layers.Dense(3),)),
        ("model_or_layer", (Sequential([layers.Flatten()]),)),
        ("layer", ("small", "dense")),
        ("layer", ("small", "conv")),
        ("layer", ("small", 99)),
        ("layer", ("small", True)),
        ("layer", ("small", layers.Conv2D(3, 3))),
        ("layer", ("built", "conv2d")),
        ("count", ("small", None, 0)),
        ("count", ("small", None, 1.5)),
        ("channels", ("small", "conv2d_1", 3, "two")),
        ("ax", ("small", None, None, None, 5)),
    ],
)
def test_filters_refuse(name, arguments):
    first = small() if arguments[0] == "small" else small().layers[0] if arguments[0] == "built" else arguments[0]
    with pytest.raises(ValueError, match=name):
        plotting.filters(first, *arguments[1:])


def test_filters_need_a_convolution():
    model = Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(ValueError, match="no convolution"):
        plotting.filters(model)


# Feature maps ---------------------------------------------------------------------------------------------------


def test_feature_maps_are_the_layers_results():
    model = small()
    [image] = images(model)
    x = image[None]
    for layer in model.layers[:4]:
        x, _ = layer.forward(x, training=False)
    ax = plotting.feature_maps(model, image, "conv2d_1")
    OH, OW, C = model.layers[3].built_output_shape
    canvas = np.ma.getdata(ax.images[0].get_array())
    times = -(-24 // OW)
    for number in range(C):
        left = number * (OW * times + -(-0.16 * OW * times // 1))
        tile = canvas[: OH * times : times, int(left) : int(left) + OW * times : times]
        np.testing.assert_allclose(tile, x[0, ..., number], rtol=1e-5)
    assert "5 channels" in ax.get_title()
    assert_nothing_clipped(ax.figure)


def test_feature_maps_take_images_in_every_form_and_layers_in_every_way():
    model = small()
    x = images(model)
    pictures = [
        plotting.feature_maps(model, image, layer).images[0].get_array()
        for image in (x, x[0], x[0, ..., 0])
        for layer in (None, 0, -len(model.layers), "conv2d", model.layers[0])
    ]
    for picture in pictures:
        np.testing.assert_array_equal(picture, pictures[0])


def test_feature_maps_without_negative_values_begin_at_zero_and_others_have_it_in_the_middle():
    model = small()
    [image] = images(model)
    assert plotting.feature_maps(model, image, 0).images[0].get_clim()[0] == 0
    model.layers[3].params["bias"].value[0] = -50
    low, high = plotting.feature_maps(model, image, 3).images[0].get_clim()
    assert low == -high < -10


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("model", {"model": "small"}),
        ("model", {"model": Sequential([layers.Conv2D(2, 3)])}),
        ("image", {"image": np.zeros((2, 9, 8, 1))}),
        ("image", {"image": np.zeros((8, 9))}),
        ("image", {"image": np.full((9, 8), np.nan)}),
        ("image", {"image": np.full((9, 8), "a")}),
        ("layer", {"layer": "flatten"}),
        ("layer", {"layer": "nothing"}),
        ("count", {"count": -1}),
        ("ax", {"ax": "here"}),
    ],
)
def test_feature_maps_refuse(name, change):
    with pytest.raises(ValueError, match=name):
        plotting.feature_maps(**({"model": small(), "image": np.zeros((9, 8))} | change))


# Receptive fields -----------------------------------------------------------------------------------------------


@st.composite
def linear_networks(draw):
    """Return networks without relu and maximum, in which every output depends on every pixel that it can see."""
    chosen = [layers.Input((draw(st.integers(6, 11)), draw(st.integers(6, 11)), draw(st.integers(1, 2))))]
    model = Sequential(chosen)
    padding = st.sampled_from(["valid", "same"])
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["conv", "dilated", "pool", "pad", "norm", "depthwise", "pointwise"]))
        strides = draw(st.integers(1, 2))
        size = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
        layer = {
            "conv": lambda s=size, t=strides: layers.Conv2D(2, s, strides=t, padding=draw(padding)),
            "dilated": lambda s=size: layers.Conv2D(2, s, dilation_rate=draw(st.integers(2, 3)), padding="same"),
            "pool": lambda s=size, t=strides: layers.AveragePooling2D(s, t, padding=draw(padding)),
            "pad": lambda: layers.ZeroPadding2D(((1, 0), (0, 2))),
            "norm": lambda: layers.BatchNormalization(),
            "depthwise": lambda s=size: layers.DepthwiseConv2D(s, depth_multiplier=2),
            "pointwise": lambda: layers.Dense(3),
        }[kind]()
        try:
            model.add(layer)
        except ValueError:
            break  # the window no longer fits
    if not model.layers:
        model.add(layers.Conv2D(1, 1))
    return model


@settings(deadline=None, max_examples=60)
@given(linear_networks(), st.data())
def test_receptive_field_by_gradient_is_the_one_by_geometry(model, data):
    index = len(model.layers) - 1
    OH, OW, _ = model.output_shape
    at = (data.draw(st.integers(0, OH - 1)), data.draw(st.integers(0, OW - 1)))
    by_gradient = field_by_gradient(model, index, at, None)
    np.testing.assert_array_equal(by_gradient > 0, field_by_geometry(model.layers, at))


@pytest.mark.parametrize("name", ["go_crazy", "ladder_09", "cifar10_cnn"])
def test_receptive_field_agrees_with_the_summary_in_the_middle(name):
    model = models.build(name)
    H, W, _ = model.input_shape
    compared = 0
    for index, (layer, size) in enumerate(
        zip(model.layers, receptive_fields(model.layers, model.input_shape), strict=True)
    ):
        if len(layer.built_output_shape) != 3:
            break
        field = field_by_geometry(model.layers[: index + 1], tuple(n // 2 for n in layer.built_output_shape[:2]))
        rows, columns = np.flatnonzero(field.any(axis=1)), np.flatnonzero(field.any(axis=0))
        # Nothing is cut off at an edge of the image where the field is not as large as that.
        if min(rows[0], columns[0]) > 0 and rows[-1] < H - 1 and columns[-1] < W - 1:
            assert (len(rows), len(columns)) == size
            compared += 1
    assert compared >= 4


def test_receptive_field_of_a_maximum_is_measured_within_its_frame():
    model = small()
    x = images(model)
    measured, frame = field_by_gradient(model, 4, (0, 0), x) > 0, field_by_geometry(model.layers[:5], (0, 0))
    assert measured.any()
    assert not (measured & ~frame).any()
    assert measured.sum() < frame.sum()


def test_receptive_field_of_flat_results():
    model = small(layers.Dense(4), layers.BatchNormalization())
    flat = [layer.name for layer in model.layers].index("flatten")
    H, W, C = model.layers[flat].built_input_shape
    # Before a dense layer, an output of Flatten still is one place of the image.
    last = field_by_geometry(model.layers[: flat + 1], (H * W * C - 1,))
    np.testing.assert_array_equal(last, field_by_geometry(model.layers[:flat], (H - 1, W - 1)))
    assert not last.all()
    dense = field_by_geometry(model.layers[: flat + 2], (2,))
    # Valid convolutions and pooling leave out the last column; everything else is seen.
    assert dense.sum() == np.logical_or.reduce(
        [field_by_geometry(model.layers[: flat + 1], (n,)) for n in range(H * W * C)]
    ).sum() > last.sum()  # fmt: skip


def test_receptive_field_of_a_channel_is_its_own():
    model = Sequential([layers.Input((4, 4, 2)), layers.Conv2D(2, 2, groups=2)])
    kernel = model.layers[0].params["kernel"].value
    kernel[..., 0] = 0
    assert not field_by_gradient(model, 0, (0, 0, 0), None).any()
    assert field_by_gradient(model, 0, (0, 0, 1), None).sum() > 0


def test_receptive_field_is_drawn_where_it_is():
    model = Sequential([layers.Input((7, 9, 1)), layers.Conv2D(2, (3, 2), strides=2), layers.Conv2D(2, 1)])
    ax = plotting.receptive_field(model, 1, (1, 3), np.ones((7, 9)))
    # Rows 2 to 4, columns 6 and 7.
    points = np.array([point for line in ax.collections[0].get_segments() for point in line])
    np.testing.assert_array_equal(points.min(axis=0), [6, 2])
    np.testing.assert_array_equal(points.max(axis=0), [8, 5])
    shown = ax.images[0].get_array()
    assert (shown[2:5, 6:8] == 1).all()
    assert (shown < 1).all(axis=-1).sum() == 7 * 9 - 6
    assert "sees 3×2 of 7×9 pixels" in ax.get_title()
    assert "row 1, column 3" in ax.get_title()
    assert_nothing_clipped(ax.figure)


def test_receptive_field_says_how_much_is_measured():
    model = Sequential([layers.Input((6, 6, 1)), layers.Conv2D(2, 3), layers.AveragePooling2D(2)])
    ax = plotting.receptive_field(model, 1, measured=True)
    assert "by gradient 16 of these 16" in ax.get_title()
    assert ax.images[1].get_array()[..., 3].max() == 1


class EverySecond(layers.Layer):
    """A layer that keeps every second pixel and does not say what it sees; its ``window`` is no window."""

    window = 3

    def output_shape(self, shape):
        return (-(-shape[0] // 2), -(-shape[1] // 2), shape[2])

    def forward(self, x, *, training=False, step=0, ws=None):
        return x[:, ::2, ::2].copy(), x.shape

    def backward(self, dy, cache, *, ws=None):
        dx = np.zeros(cache, dy.dtype)
        dx[:, ::2, ::2] = dy
        return dx


class Centred(layers.Layer):
    """A layer that subtracts the mean of each channel, so it keeps the shape and sees the whole image."""

    sees_everything = True

    def forward(self, x, *, training=False, step=0, ws=None):
        return x - x.mean(axis=(1, 2), keepdims=True), ()

    def backward(self, dy, cache, *, ws=None):
        return dy - dy.mean(axis=(1, 2), keepdims=True)


def test_what_an_unknown_layer_sees_is_not_known_until_one_sees_everything():
    model = Sequential(
        [layers.Input((16, 16, 1)), EverySecond(), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3)]
    )
    assert receptive_fields(model.layers, model.input_shape) == [None, None, None, (16, 16)]
    for layer in (0, 1, 2):
        with pytest.raises(ValueError, match=r"EverySecond 'every_second' turns .* not known .*sees_everything"):
            plotting.receptive_field(model, layer)
    assert "sees 16×16" in plotting.receptive_field(model, 3).get_title()


CONV = layers.Conv2D


@pytest.mark.parametrize(
    ("chosen", "fields"),
    [
        # A layer that sees everything sees what all outputs before it see together: not the last row and column.
        ([CONV(2, 3, strides=2), layers.GlobalAveragePooling2D(), layers.Dense(3)], [3, 15, 15]),
        ([CONV(2, 3, strides=2), Centred(), CONV(2, 3, padding="same"), layers.Dense(2)], [3, 15, 15, 15]),
        ([CONV(2, 3, strides=2), layers.Flatten(), layers.Dense(4), layers.Reshape((2, 2, 1)), CONV(1, 2)],
         [3, 3, 15, 15, 15]),
        # On images, a dense layer and a softmax only mix channels; on a row of numbers, they mix all of them.
        ([CONV(2, 3), layers.Dense(3, activation="softmax"), layers.Softmax()], [3, 3, 3]),
        ([CONV(2, 3), layers.Flatten(), layers.Softmax()], [3, 3, 16]),
        # An output that is one place of an image stays one, unless images of another size are made from it.
        ([CONV(2, 3), layers.Flatten(), layers.Reshape((14, 14, 2)), CONV(2, 3)], [3, 3, 3, 5]),
        ([CONV(2, 3), layers.Reshape((7, 28, 2)), CONV(2, 3)], [3, None, None]),
        ([layers.GlobalMaxPooling2D(), layers.Reshape((1, 1, 1)), CONV(2, 3, padding="same")], [16, 16, 16]),
        ([layers.ZeroPadding2D(((9, 0), (9, 0))), CONV(1, 3, strides=3), Centred()], [1, 3, 15]),
    ],
)  # fmt: skip
def test_summary_and_picture_know_what_layers_see(chosen, fields):
    model = Sequential([layers.Input((16, 16, 1)), *chosen])
    found = receptive_fields(model.layers, model.input_shape)
    assert found == [field and (field, field) for field in fields]
    for index, layer in enumerate(model.layers):
        if found[index]:
            asked = tuple(n // 2 for n in layer.built_output_shape)
            assert span(field_by_geometry(model.layers[: index + 1], asked)) == found[index]


def test_the_example_of_a_layer_sees_the_whole_image():
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "my_own_layer.py"))
    model = Sequential([layers.Input((8, 8, 1)), layers.Conv2D(3, 3), example["SqueezeExcite"](2)])
    ax = plotting.receptive_field(model, "squeeze_excite", measured=True)
    assert "by gradient 64 of these 64" in ax.get_title()


def test_receptive_field_of_a_dilated_window_is_its_span():
    """The field is the one that the summary gives, and includes the pixels between the window's taps."""
    model = Sequential([layers.Input((12, 12, 1)), layers.Conv2D(2, 3, dilation_rate=3)])
    assert "sees 7×7 of 12×12" in plotting.receptive_field(model, 0, measured=True).get_title()
    padded = Sequential([layers.Input((4, 4, 1)), layers.ZeroPadding2D(1)])
    assert "sees 0×0 of 4×4" in plotting.receptive_field(padded, 0, (0, 0)).get_title()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("model", {"model": None}),
        ("model", {"model": Sequential([layers.Input((5,)), layers.Dense(2)])}),
        ("layer", {"layer": "nothing"}),
        ("position", {"position": (99, 0)}),
        ("position", {"position": (0, -1)}),
        ("position", {"position": (0, 0, 0, 0)}),
        ("position", {"position": 3}),
        ("position", {"position": (0.5, 1)}),
        ("position", {"layer": "flatten", "position": (1, 1)}),
        ("image", {"image": np.zeros((3, 3))}),
        ("measured", {"measured": "yes"}),
        ("ax", {"ax": []}),
    ],
)
def test_receptive_field_refuses(name, change):
    with pytest.raises(ValueError, match=name):
        plotting.receptive_field(**({"model": small(), "layer": 0} | change))


# Gradient flow --------------------------------------------------------------------------------------------------


def test_gradient_flow_shows_the_trace():
    model = small()
    x, y = images(model, 4), np.array([0, 1, 2, 0])
    trace = model.trace(x, y)
    ax = plotting.gradient_flow(trace)
    line = ax.lines[0]
    expected = [np.sqrt(np.mean(entry.dy.astype(float) ** 2)) for entry in trace]
    np.testing.assert_allclose(line.get_xdata(), expected, rtol=1e-6)
    assert [label.get_text() for label in ax.get_yticklabels()] == [layer.name for layer in model.layers]
    assert ax.get_xscale() == "log"
    kernel = np.sqrt(np.mean(trace["conv2d"].gradients["kernel"].astype(float) ** 2))
    marks = [marker for marker in ax.lines if marker.get_marker() == "s" and marker.get_ydata() == [0]]
    np.testing.assert_allclose(marks[0].get_xdata(), [kernel], rtol=1e-6)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["result", "kernel", "bias", "gamma", "beta"]
    assert_nothing_clipped(ax.figure)


def test_gradient_flow_of_a_model_is_that_of_its_trace():
    model = small()
    x, y = images(model, 4), np.array([0, 1, 2, 0])
    by_model, by_trace = (plotting.gradient_flow(*given) for given in ((model, x, y), (model.trace(x, y),)))
    np.testing.assert_array_equal(by_model.lines[0].get_xdata(), by_trace.lines[0].get_xdata())


def test_gradient_flow_names_zero_and_nan():
    model = small()
    trace = model.trace(images(model, 2), [0, 1])
    trace["conv2d_1"].gradients["kernel"] = np.zeros(3)
    trace["dense"].gradients["bias"] = np.array([np.nan])
    ax = plotting.gradient_flow(trace)
    assert [text.get_text() for text in ax.texts] == ["kernel: 0", "bias: nan"]
    assert_nothing_clipped(ax.figure)
    for entry in trace:
        entry.dy, entry.gradients = np.zeros(2), {}
    assert_nothing_clipped(plotting.gradient_flow(trace).figure)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("trace_or_model", lambda model: (3,)),
        ("labels", lambda model: (model.trace(images(model)),)),
        ("trace_or_model", lambda model: (small(loss=False), images(model), [0])),
        ("x must", lambda model: (model,)),
        ("y must", lambda model: (model, images(model))),
        ("x: expected", lambda model: (model, images(model)[0], [0])),
        ("x must be an array of numbers", lambda model: (model, np.full((1, 9, 8, 1), "a"), [0])),
        ("x must be left out with a trace", lambda model: (model.trace(images(model), [0]), images(model))),
        ("ax", lambda model: (model.trace(images(model), [0]), None, None, 3)),
    ],
)
def test_gradient_flow_refuses(name, arguments):
    with pytest.raises(ValueError, match=name):
        plotting.gradient_flow(*arguments(small()))


def test_gradient_flow_is_seen_on_a_dark_ground():
    model = small()
    with plt.style.context("dark_background"):
        ax = plotting.gradient_flow(model, images(model, 2), [0, 1])
    assert {"white"} == {line.get_color() for line in ax.lines if line.get_marker() == "o"}


# Saliency -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["dense", "layer", "activation", "flat", "none"])
def test_saliency_of_a_linear_model_is_its_weights(ending):
    ends = {
        "dense": [layers.Dense(3, activation="softmax")],
        "layer": [layers.Dense(3), layers.Softmax()],
        "activation": [layers.Dense(3), layers.Activation("softmax")],
        "flat": [layers.Dense(3), layers.Softmax(), layers.Flatten()],
        "none": [layers.Dense(3)],
    }
    model = Sequential([layers.Input((4, 5, 2)), layers.Dropout(0.4), layers.Flatten(), *ends[ending]])
    weights = model.get_weights()[0].reshape(4, 5, 2, 3)
    for label in range(3):
        _, right = plotting.saliency(model, images(model)[0], label)
        np.testing.assert_allclose(right.images[0].get_array(), np.abs(weights[..., label]).max(axis=-1), rtol=1e-6)
        assert f"class {label}" in right.get_title()


def test_saliency_is_the_slope_of_the_score():
    """Compare with central differences of predict's results, with batch normalisation and dropout as in inference."""
    tinycnn.set_seed(0)
    model = Sequential(
        [
            layers.Input((5, 5, 1)),
            layers.Conv2D(3, 3, activation="tanh"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.GaussianNoise(0.5),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ],
        dtype="float64",
    )
    rng = np.random.default_rng(2)
    model.set_weights([np.abs(w) + rng.uniform(0.2, 1, w.shape) for w in model.get_weights()])
    [image] = images(model)
    expected = np.zeros((5, 5))
    step = 1e-5
    for pixel in np.ndindex(5, 5):
        moved = [image.astype(float), image.astype(float)]
        moved[0][pixel] += step
        moved[1][pixel] -= step
        # A score is the logarithm of its probability, apart from a term that all classes share.
        up, down = np.log(model.predict(np.array(moved)))
        expected[pixel] = ((up[1] - up[0]) - (down[1] - down[0])) / (2 * step)
    by_class = []
    for label in (0, 1):
        twins = copies_up_to_scores(model)
        steps = run(twins, image[None].astype(float))
        dy = np.eye(3)[[label]]
        for one in reversed(steps):
            dy = dy if one.passed else one.layer.backward(dy, one.cache)
        np.testing.assert_allclose(
            plotting.saliency(model, image, label)[1].images[0].get_array(), np.abs(dy[0, ..., 0]), rtol=1e-12
        )
        by_class.append(dy[0, ..., 0])
    np.testing.assert_allclose(by_class[1] - by_class[0], expected, rtol=1e-6, atol=1e-8)


def test_saliency_takes_the_highest_score_unless_told():
    model = small()
    [image] = images(model)
    winner = int(model.predict(image[None]).argmax())
    left, right = plotting.saliency(model, image)
    assert f"class {winner} (highest score)" in right.get_title()
    assert left.images[0].get_array().shape == (9, 8, 3)
    assert_nothing_clipped(right.figure)


def test_saliency_in_one_axes_keeps_its_bar_of_colours_there():
    figure = Figure(figsize=(10, 5))
    mine = figure.subplots(1, 2)[0]
    _, right = plotting.saliency(small(), np.zeros((9, 8)), ax=mine)
    figure.canvas.draw()
    [bar] = right.child_axes
    assert bar.get_tightbbox().x1 <= mine.bbox.x1


def test_saliency_refuses_layers_that_are_random_in_inference_with_a_cache():
    class Noise(layers.Layer):
        def forward(self, x, *, training=False, step=0, ws=None):
            return (x + np.float32(0.3) if training else x.copy()), ()

    model = Sequential([layers.Input((4, 4, 1)), Noise(), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(ValueError, match="Noise"):
        plotting.saliency(model, images(model)[0])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("model", {"model": 1}),
        ("model", {"model": Sequential([layers.Input((9, 8, 1)), layers.Conv2D(2, 2)])}),
        ("model", {"model": Sequential([layers.Input((9,)), layers.Dense(2)])}),
        ("image", {"image": np.zeros(3)}),
        ("label", {"label": 3}),
        ("label", {"label": -1}),
        ("label", {"label": 1.0}),
        ("label", {"label": True}),
        ("ax", {"ax": [1]}),
    ],
)
def test_saliency_refuses(name, change):
    with pytest.raises(ValueError, match=name):
        plotting.saliency(**({"model": small(), "image": np.zeros((9, 8))} | change))


# Layers of one's own, and networks that diverged ----------------------------------------------------------------


class Scaled(layers.Layer):
    """A layer whose backward needs nothing from its forward, so its cache is None."""

    def forward(self, x, *, training=False, step=0, ws=None):
        return -3 * x, None

    def backward(self, dy, cache, *, ws=None):
        return -3 * dy


def test_a_layer_without_a_cache_is_not_passed_by():
    model = Sequential([layers.Input((4, 4, 1)), Scaled(), layers.Flatten(), layers.Dense(2)])
    weights = model.get_weights()[0].reshape(4, 4, 2)
    _, right = plotting.saliency(model, images(model)[0], 1)
    np.testing.assert_allclose(right.images[0].get_array(), 3 * np.abs(weights[..., 1]), rtol=1e-6)
    np.testing.assert_array_equal(field_by_gradient(model, 0, (1, 2), None)[1, 2], 3)


INSIDE = {
    "saliency": lambda model: plotting.saliency(model, images(model)),
    "feature_maps": lambda model: plotting.feature_maps(model, images(model), "conv2d_1"),
    "receptive_field": lambda model: plotting.receptive_field(model, "conv2d_1", measured=True),
    "receptive_field of Dense": lambda model: plotting.receptive_field(
        model, "dense", image=images(model), measured=True
    ),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("draw", INSIDE)
@pytest.mark.parametrize("parameter", ["kernel", "bias"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_networks_that_diverged_are_told_in_plain_words(draw, parameter, value):
    """This also holds if a relu stops the gradient of NaN, and NumPy prints no warning as well."""
    twice = [layers.Conv2D(3, 2, activation="relu") for _ in range(2)]
    model = Sequential([layers.Input((6, 6, 1)), *twice, layers.Flatten(), layers.Dense(2)])
    model.layers[1].params[parameter].value[...] = value
    with pytest.raises(ValueError, match="gives NaN or infinity for this image"):
        INSIDE[draw](model)
    assert plt.get_fignums() == []


def test_a_layer_that_cannot_be_copied_is_named():
    model = small()
    model.layers[2].lock = threading.Lock()
    for draw in INSIDE.values():
        with pytest.raises(ValueError, match=r"Dropout 'dropout' cannot be copied, .*lock"):
            draw(model)


# All ------------------------------------------------------------------------------------------------------------


class Draw(NamedTuple):
    name: str
    draw: object

    def __call__(self, model, **ax):
        return np.ravel(self.draw(model, images(model), **ax))


DRAWS = [
    Draw("filters", lambda model, x, **ax: plotting.filters(model, **ax)),
    Draw("feature_maps", lambda model, x, **ax: plotting.feature_maps(model, x, 3, **ax)),
    Draw("receptive_field", lambda model, x, **ax: plotting.receptive_field(model, 3, None, x, True, **ax)),
    Draw("gradient_flow", lambda model, x, **ax: plotting.gradient_flow(model, x, [0], **ax)),
    Draw("saliency", lambda model, x, **ax: plotting.saliency(model, x, **ax)),
]


@pytest.mark.parametrize("draw", DRAWS, ids=lambda draw: draw.name)
def test_a_picture_changes_nothing_in_the_model(draw):
    model = small(layers.Dense(4, kernel_regularizer="l2"), layers.BatchNormalization())
    model.train_on_batch(images(model, 3), [0, 1, 2])
    before = state(model)
    draw(model)
    after = state(model)
    assert after[0] == before[0]
    assert after[1] == before[1]
    # Only copies, and not the model's layers, may have got new attributes.
    assert [own.keys() for own in after[2]] == [own.keys() for own in before[2]]


@pytest.mark.parametrize("draw", DRAWS, ids=lambda draw: draw.name)
def test_pictures_go_where_they_are_told(draw):
    model = small()
    figure = Figure()
    assert all(panel.figure is figure for panel in draw(model, ax=figure))
    mine = Figure().add_subplot()
    assert all(panel.figure is mine.figure for panel in draw(model, ax=mine))
    assert plt.get_fignums() == []
    assert_nothing_clipped(draw(model)[0].figure)
    assert len(plt.get_fignums()) == 1


@pytest.mark.parametrize("draw", DRAWS, ids=lambda draw: draw.name)
def test_pictures_of_a_network_on_the_cpu_backend(draw):
    """They are the same as on the reference backend, on which the copies run."""

    def numbers(model):
        panel = draw(model)[-1]
        return np.ma.getdata(panel.images[0].get_array() if panel.images else panel.lines[0].get_xdata())

    with tinycnn.use_backend("cpu"):
        fast = small()
    np.testing.assert_allclose(numbers(fast), numbers(small()), rtol=1e-4, atol=1e-6)
    assert all(layer.backend.name == "cpu" for layer in fast.layers)


@pytest.mark.parametrize("draw", DRAWS, ids=lambda draw: draw.name)
def test_pictures_are_the_same_in_every_style(draw):
    """The first row is at the top, pixels are not smoothed, and there is no grid over images."""
    model = small()
    with plt.style.context(["ggplot", {"image.origin": "lower", "image.interpolation": "bilinear"}]):
        panels = draw(model)
    for panel in panels:
        for image in panel.images:
            assert image.origin == "upper"
            assert image.get_interpolation() == "nearest"
            assert not any(line.get_visible() for line in panel.get_xgridlines()) or not panel.axison


@pytest.mark.parametrize("draw", DRAWS, ids=lambda draw: draw.name)
def test_a_figure_with_a_picture_takes_no_second(draw):
    model, figure = small(), Figure()
    draw(model, ax=figure)
    with pytest.raises(ValueError, match="ax must be Axes or an empty Figure"):
        draw(model, ax=figure)


def test_two_panels_can_be_given():
    panels = Figure().subplots(1, 2)
    assert list(plotting.saliency(small(), np.zeros((9, 8)), ax=panels)) == list(panels)
