"""Pictures of single steps: what they show is what the network computes."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("agg")

from helpers import pooling_network
from matplotlib import pyplot as plt

import tinycnn
from tinycnn import Sequential, layers, plotting
from tinycnn.plotting.pooling import winners


@pytest.fixture(autouse=True)
def _close():
    with tinycnn.use_backend("reference"):
        yield
    plt.close("all")


def network(*more, shape=(7, 8, 4)):
    tinycnn.set_seed(2)
    model = Sequential([layers.Input(shape), *more])
    rng = np.random.default_rng(3)
    model.set_weights([w + rng.normal(0, 0.3, w.shape) for w in model.get_weights()])
    return model, rng.random((3, *shape)).astype(np.float32)


def texts(ax):
    return [text.get_text() for text in ax.texts]


def numbers_at_the_end(ax):
    """Return sum, bias, value before the activation and result, as the picture names them."""
    words = texts(ax)
    names = ["sum of all products", "bias", "before activation"]
    return [words[words.index(name) + 1] for name in names] + [words[[w[:6] for w in words].index("after ") + 1]]


# One output -----------------------------------------------------------------------------------------------------

WEIGHTED = [
    layers.Conv2D(3, 3, activation="relu"),
    layers.Conv2D(4, (2, 3), strides=(2, 1), padding="same", activation="gelu"),
    layers.Conv2D(6, 3, groups=2, dilation_rate=2, use_bias=False),
    layers.DepthwiseConv2D(2, depth_multiplier=2, activation="tanh"),
]


@pytest.mark.parametrize("number", range(len(WEIGHTED)))
def test_one_output_of_a_convolution(number):
    made = WEIGHTED[number]
    model, x = network(type(made).from_config(made.get_config()))
    layer = model.layers[0]
    y = model.predict(x[:1])[0]
    for position in [(0, 0, 0), (1, 2, y.shape[-1] - 1), None]:
        ax = plotting.one_output(model, x[0], position=position)
        at = np.unravel_index(y.argmax(), y.shape) if position is None else position
        z = float(layer.linear_forward(x[:1], training=False, ws=None)[0][0][tuple(at)])
        bias = float(layer.params["bias"].value[at[-1]]) if "bias" in layer.params else None
        total, shown_bias, before, after = numbers_at_the_end(ax)
        assert float(total) == pytest.approx(z - (bias or 0), rel=2e-3, abs=2e-4)
        assert shown_bias == ("none" if bias is None else f"{bias:.4g}")
        assert before == f"{z:.4g}"
        assert after == f"{float(y[tuple(at)]):.4g}"
        # The matrices of all channels multiply to the products and add up to the sum.
        arrays = [np.asarray(image.get_array(), np.float64) for image in ax.images]
        assert len(arrays) % 3 == 0
        for patch, kernel, products in zip(*(arrays[part::3] for part in range(3)), strict=True):
            np.testing.assert_allclose(patch * kernel, products, rtol=1e-6)
        if len(arrays) == 3 * layer.params["kernel"].value.shape[2] or isinstance(layer, layers.DepthwiseConv2D):
            assert sum(products.sum() for products in arrays[2::3]) == pytest.approx(z - (bias or 0), abs=1e-5)
        plt.close("all")


def test_one_output_shows_the_zeros_over_the_rim():
    model, x = network(layers.Conv2D(2, 3, padding="same"), shape=(5, 5, 1))
    patch = plotting.one_output(model, x[0] + 1, position=(0, 0, 1)).images[0].get_array()
    assert (patch[0] == 0).all()
    assert (patch[:, 0] == 0).all()
    np.testing.assert_allclose(patch[1:, 1:], x[0, :2, :2, 0] + 1)


def test_one_output_of_dense_layers():
    model, x = network(layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(5, activation="relu"), layers.Dense(3))
    ax = plotting.one_output(model, x[0], "dense", 4)
    assert [image.get_array().shape for image in ax.images] == [(5, 6)] * 6  # as before the Flatten
    total, bias, before, _ = map(float, numbers_at_the_end(ax))
    assert total + bias == pytest.approx(before, rel=1e-3)
    ax = plotting.one_output(model, x[0], "dense_1", 1)
    patch = ax.images[0].get_array()
    assert patch.shape == (2, 3)
    assert np.ma.count_masked(patch) == 1  # five numbers as a rectangle of six


def test_one_output_leaves_channels_out_but_counts_them():
    model, x = network(layers.Conv2D(1, 2), shape=(4, 4, 9))
    ax = plotting.one_output(model, x[0], position=(0, 0, 0), channels=2)
    assert len(ax.images) == 6
    assert any(text.startswith("and 7 more channels") for text in texts(ax))
    z = float(model.predict(x[:1])[0, 0, 0, 0])
    assert numbers_at_the_end(ax)[2] == f"{z:.4g}"


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("layer must be a Conv2D", {"layer": "flatten"}),
        ("position must be a number within", {"layer": "dense", "position": (0, 1)}),
        (r"position must be \(row, column, filter\)", {"position": (0, 99, 0)}),
        ("channels must be", {"channels": 0}),
        ("image must be one image", {"image": np.zeros((2, 2))}),
    ],
)
def test_one_output_refuses(message, arguments):
    model, x = network(layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2))
    with pytest.raises(ValueError, match=message):
        plotting.one_output(**{"model": model, "image": x[0]} | arguments)
    with pytest.raises(ValueError, match="has no convolution and no Dense layer"):
        plotting.one_output(network(layers.Flatten())[0], x[0])


# Pooling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pooling",
    [
        lambda: layers.MaxPooling2D(2),
        lambda: layers.MaxPooling2D(3, strides=2, padding="same"),
        lambda: layers.MaxPooling2D((2, 3), strides=1),
        lambda: layers.GlobalMaxPooling2D(),
    ],
)
def test_the_winners_are_the_pixels_that_get_the_gradient(pooling):
    model, x = network(layers.Conv2D(3, 3), pooling())
    left, right = plotting.pooling_winners(model, x[0], channel=2)
    columns, rows = np.asarray(left.collections[-1].get_offsets()).T.astype(int)
    counts = np.zeros(left.images[0].get_array().shape)
    np.add.at(counts, (rows, columns), 1)
    y, cache = model.layers[1].forward(model.layers[0].forward(x[:1])[0], training=True)
    dx = model.layers[1].backward(np.ones_like(y), cache)
    np.testing.assert_array_equal(counts, dx[0, :, :, 2])
    np.testing.assert_allclose(np.ravel(right.images[0].get_array()), y[0].reshape(-1, 3)[:, 2])
    given = np.asarray(left.images[0].get_array())
    np.testing.assert_allclose(given[rows, columns], y[0].reshape(-1, 3)[:, 2])


def test_the_first_of_equal_pixels_wins():
    model, _ = network(layers.MaxPooling2D(2), shape=(4, 4, 1))
    left, _ = plotting.pooling_winners(model, np.zeros((4, 4)))
    places = {tuple(place) for place in np.asarray(left.collections[-1].get_offsets()).tolist()}
    assert places == {(0, 0), (2, 0), (0, 2), (2, 2)}


def test_winners_of_padded_windows_count_from_the_image():
    window = layers.MaxPooling2D(3, strides=2, padding="same").window_over((6, 6))
    rows, columns = winners(window, np.zeros((3, 3), int))
    assert rows.tolist() == [0 - window.pads[0]] * 3 + [2 - window.pads[0]] * 3 + [4 - window.pads[0]] * 3
    assert columns.min() == -window.pads[2]


@pytest.mark.parametrize(("channel", "layer"), [(3, None), (True, None), (0, "conv2d")])
def test_pooling_winners_refuse(channel, layer):
    model, x = network(layers.Conv2D(3, 3), layers.MaxPooling2D(2))
    with pytest.raises(ValueError, match="must be a"):
        plotting.pooling_winners(model, x[0], layer, channel)
    with pytest.raises(ValueError, match="layer must be a max-pooling"):
        plotting.pooling_winners(network(layers.AveragePooling2D(2))[0], x[0])


# In training ----------------------------------------------------------------------------------------------------


def trained():
    tinycnn.set_seed(0)
    model = pooling_network(8)
    model.layers[0].params["bias"].value[[1, 2]] = -50  # dead
    model.compile("sgd", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    return model, rng.random((6, 8, 8, 1), dtype=np.float32), np.arange(6) % 4


def test_the_mask_is_the_one_that_was_applied():
    model, x, y = trained()
    trace = model.trace(x, y)
    before, mask, after = plotting.dropout_mask(trace, image=4, channel=3)
    entry = trace["dropout"]
    np.testing.assert_array_equal(mask.images[0].get_array(), entry.mask[4, :, :, 3])
    np.testing.assert_allclose(before.images[0].get_array(), entry.x[4, :, :, 3])
    np.testing.assert_allclose(after.images[0].get_array(), entry.y[4, :, :, 3])
    dropped = int((~entry.mask[4, :, :, 3]).sum())
    assert f"{dropped} of 9 set to 0" in mask.get_title()
    assert len(mask.collections[-1].get_offsets()) == dropped
    for arguments in ({"image": 6}, {"channel": 4}, {"layer": "conv2d"}):
        with pytest.raises(ValueError, match=f"{next(iter(arguments))} must be"):
            plotting.dropout_mask(trace, **arguments)


def test_statistics_of_the_batch_and_moving_ones():
    model, x, y = trained()
    model.fit(x, y, epochs=2, verbose=0)
    trace = model.trace(x, y)
    panels = plotting.batch_statistics(trace)
    entry = trace["batch_normalization"]
    batch, moving = panels[0].lines
    np.testing.assert_allclose(batch.get_ydata(), entry.cache.mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(moving.get_ydata(), entry.layer.buffers["moving_mean"])
    batch, moving = panels[1].lines
    np.testing.assert_allclose(batch.get_ydata() ** 2, entry.cache.variance, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(moving.get_ydata() ** 2, entry.layer.buffers["moving_variance"], rtol=1e-6)
    assert batch.get_marker() != moving.get_marker()
    with pytest.raises(ValueError, match="layer must be a BatchNormalization; Dropout 'dropout' is not"):
        plotting.batch_statistics(trace, layer="dropout")


def test_dead_units_are_named_in_picture_and_table():
    model, x, y = trained()
    trace = model.trace(x, y)
    assert trace["conv2d"].dead == (1, 2)
    assert "dead units (0 for every image of this batch): conv2d: numbers 1, 2 of 4" in str(trace)
    ax = plotting.dead_units(trace)
    assert texts(ax) == ["dead: 1, 2"]
    assert np.asarray(ax.collections[-1].get_offsets()).tolist() == [[1, 0], [2, 0]]
    np.testing.assert_allclose(ax.images[0].get_array()[0], (trace["conv2d"].y == 0).mean(axis=(0, 1, 2)))
    assert "2 dead of 4 units" in ax.get_title()
    maps = plotting.feature_maps(model, x[0])
    assert [text for text in texts(maps) if "✗" in text] == ["✗ 1", "✗ 2"]
    assert "2 of them dead" in maps.get_title()
    with pytest.raises(ValueError, match="must have a layer with an activation"):
        plotting.dead_units(network(layers.Flatten(), layers.Dense(2))[0], x=np.zeros((1, 7, 8, 4)))


def test_a_layer_that_is_white_or_alive_is_not_called_dead():
    model, x = network(layers.Conv2D(2, 3), layers.Conv2D(2, 3, activation="elu"), layers.Flatten(), layers.Dense(2))
    assert all(entry.dead == () for entry in model.trace(0 * x))
    assert "dead" not in str(model.trace(x))


def test_gradient_flows_share_their_scale():
    (one, x, y), (other, _, _) = trained(), trained()
    other.layers[0].params["kernel"].value[...] *= 30
    before = [p.grad.copy() for p in one.parameters().values()]
    traces = {"one": one.trace(x, y), "other": other.trace(x, y)}
    left, right = plotting.gradient_flows(traces)
    assert left.get_xlim() == right.get_xlim()
    assert left.get_title().startswith("one, loss ")
    alone = plotting.gradient_flow(traces["one"])
    np.testing.assert_array_equal(left.lines[0].get_xdata(), alone.lines[0].get_xdata())
    assert right.get_legend() is not None
    assert left.get_legend() is None
    # The names of the same layers stand once, and those of other layers beside each panel.
    named = lambda panel: any(label.get_visible() and label.get_text() for label in panel.get_yticklabels())  # noqa: E731
    assert [named(left), named(right)] == [True, False]
    assert len(before) == len(one.parameters())
    for bad in ({}, [traces["one"]], {"one": 3}, {"one": one.trace(x)}):
        with pytest.raises(ValueError, match="traces"):
            plotting.gradient_flows(bad)


# Text -----------------------------------------------------------------------------------------------------------


def test_im2col_prints_the_4_by_4_example():
    shown = plotting.im2col()
    text = str(shown)
    assert "image 4×4, kernel 2×2" in text
    assert "window at (1, 2)   7  8 11 12" in text
    assert "(9×4) @ (4×1) = 9 numbers, which are the result 3×3" in text
    np.testing.assert_array_equal(shown.rows @ shown.column, shown.result.ravel())
    expected = [[(shown.image[i : i + 2, j : j + 2] * shown.kernel).sum() for j in range(3)] for i in range(3)]
    np.testing.assert_array_equal(shown.result, expected)


@pytest.mark.parametrize(("strides", "padding"), [(1, "valid"), (2, "same"), ((1, 3), "same")])
def test_im2col_is_the_convolution(strides, padding):
    rng = np.random.default_rng(0)
    image, kernel = rng.normal(size=(6, 5)), rng.normal(size=(3, 2))
    layer = layers.Conv2D(1, (3, 2), strides=strides, padding=padding)
    layer.build((6, 5, 1), dtype="float64")
    layer.params["kernel"].value[...] = kernel[..., None, None]
    shown = plotting.im2col(image, kernel, strides, padding)
    np.testing.assert_allclose(shown.result, layer.forward(image[None, ..., None])[0][0, :, :, 0], atol=1e-12)
    np.testing.assert_allclose(shown.rows @ shown.column, shown.result.ravel(), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("image", {"image": [1, 2]}),
        ("image", {"image": [[np.nan]]}),
        ("kernel", {"kernel": np.ones((5, 5))}),
        (r"strides\[0\]", {"strides": 0}),
        ("padding", {"padding": "full"}),
    ],
)
def test_im2col_refuses(name, arguments):
    with pytest.raises(ValueError, match=f"{name} must"):
        plotting.im2col(**arguments)
