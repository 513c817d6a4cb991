"""Layers that are called as in Keras are the engine's; those that the engine lacks have right gradients."""

import numpy as np
import pytest
from scipy import ndimage

from tinycnn import keras, layers
from tinycnn.core.backend import Backend
from tinycnn.keras import constraints
from tinycnn.keras._resizing import resizing_matrix
from tinycnn.keras._warping import FILL_MODES, affine_maps, unwarped, warped

IMAGE = (6, 7, 2)


def same(one, other):
    """Return whether two layers are of one class and have the same arguments, whatever their names."""
    configs = [layers.serialize(layer) for layer in (one, other)]
    return configs[0] == configs[1]


@pytest.mark.parametrize(
    ("ours", "engine"),
    [
        (keras.layers.Conv2D(4, (3, 3), (2, 2), "same"), layers.Conv2D(4, 3, strides=2, padding="same")),
        (keras.layers.Conv2D(nb_filter=4, kernel_size=3), layers.Conv2D(4, 3)),
        (keras.layers.Dense(3, "relu", input_dim=5), layers.Dense(3, "relu", input_shape=(5,))),
        (keras.layers.Dense(output_dim=3, init="normal"), layers.Dense(3, kernel_initializer="random_normal")),
        (keras.layers.Dense(3, batch_input_shape=(None, 5)), layers.Dense(3, input_shape=(5,))),
        (keras.layers.Dropout(p=0.5), layers.Dropout(0.5)),
        (keras.layers.Dropout(0.5, None, 3), layers.Dropout(0.5, seed=3)),
        (keras.layers.LeakyReLU(alpha=0.1), layers.LeakyReLU(0.1)),
        (keras.layers.MaxPooling2D((2, 2), border_mode="same"), layers.MaxPooling2D(2, padding="same")),
        (keras.layers.BatchNormalization(axis=3, fused=True), layers.BatchNormalization()),
        (keras.layers.Flatten("channels_last", dtype="float32"), layers.Flatten()),
        (keras.layers.Dense(2, kernel_regularizer=keras.regularizers.l2), layers.Dense(2, kernel_regularizer="l2")),
        (keras.layers.Dense(2, W_regularizer=keras.regularizers.l2(l=0.5)), layers.Dense(2, kernel_regularizer=None)),
        (keras.layers.AvgPool2D(3, 1, "same", "channels_last"), layers.AveragePooling2D(3, 1, "same")),
    ],
)
def test_a_layer_is_the_engines_own(ours, engine):
    assert type(ours) is type(engine)
    if getattr(engine, "kernel_regularizer", None) is None and getattr(ours, "kernel_regularizer", None) is not None:
        assert ours.kernel_regularizer.l2 == 0.5
        ours.kernel_regularizer = None
    assert same(ours, engine)


def test_convolutions_of_keras_1():
    with pytest.warns(UserWarning, match="3 rows and 5 columns"):
        layer = keras.layers.Convolution2D(4, 3, 5, border_mode="same", subsample=(2, 1), activation="relu")
    assert same(layer, layers.Conv2D(4, (3, 5), padding="same", strides=(2, 1), activation="relu"))
    with pytest.warns(UserWarning, match="Keras 1"):
        layer = keras.layers.Convolution2D(4, 3, 5, "he_normal", "relu")
    assert same(layer, layers.Conv2D(4, (3, 5), kernel_initializer="he_normal", activation="relu"))
    with pytest.warns(UserWarning, match="Keras 1"):
        layer = keras.layers.Conv2D(nb_filter=4, nb_row=3, nb_col=3)
    assert same(layer, layers.Conv2D(4, 3))


def test_a_spelling_behaves_as_the_class():
    assert isinstance(layers.Dense(2), keras.layers.Dense)
    assert not isinstance(layers.Flatten(), keras.layers.Dense)
    assert issubclass(layers.Dense, keras.layers.Dense)

    class Wide(keras.layers.Dense):
        """A layer of a user's own."""

    assert issubclass(Wide, layers.Dense)
    assert keras.layers.Dense.from_config({"units": 3}).units == 3
    assert keras.layers.Dense.__name__ == "Dense"
    assert "units" in str(keras.layers.Dense.__signature__)


def test_inputs():
    for given in ({"shape": (4, 4, 1)}, {"input_shape": (4, 4, 1)}, {"batch_shape": (None, 4, 4, 1)}):
        assert keras.Input(**given).shape == (4, 4, 1)
    with pytest.warns(UserWarning, match="any size"):
        keras.layers.Dense(2, batch_size=3)


MADE = [
    lambda: keras.layers.SeparableConv2D(3, (2, 3), padding="same", depth_multiplier=2, activation="tanh"),
    lambda: keras.layers.SeparableConv2D(2, 2, strides=2, use_bias=False, activation="gelu"),
    lambda: keras.layers.SeparableConv2D(2, 3, dilation_rate=2),
    lambda: keras.layers.Permute((3, 1, 2)),
    lambda: keras.layers.Resizing(9, 4),
    lambda: keras.layers.Resizing(3, 8, "nearest"),
]
RANDOM = [
    lambda: keras.layers.RandomFlip(),
    lambda: keras.layers.RandomRotation(0.2),
    lambda: keras.layers.RandomRotation((-0.1, 0.3), fill_mode="constant"),
    lambda: keras.layers.RandomTranslation(0.3, (0.1, 0.2), fill_mode="wrap"),
    lambda: keras.layers.RandomZoom((-0.3, -0.2)),
    lambda: keras.layers.RandomZoom(0.3, 0.4, fill_mode="nearest"),
    lambda: keras.layers.RandomContrast(0.5, value_range=(-9, 9)),
    lambda: keras.layers.RandomContrast((0.2, 0.9), value_range=(-0.5, 0.5)),
]


@pytest.mark.parametrize("make", MADE + RANDOM)
def test_gradients_of_layers_of_this_room(make):
    layer = make()
    layer.build(IMAGE, rng=np.random.default_rng(0), dtype="float64")
    x = np.random.default_rng(1).normal(size=(3, *IMAGE))
    cotangent = np.random.default_rng(2).normal(size=(3, *layer.built_output_shape))
    _, cache = layer.forward(x, training=True, step=5)
    dx = layer.backward(cotangent, cache)
    gradients = {name: parameter.grad.copy() for name, parameter in layer.params.items()}

    def value():
        return float(np.vdot(layer.forward(x, training=True, step=5)[0], cotangent))

    for array, found in [(x, dx), *((layer.params[name].value, grad) for name, grad in gradients.items())]:
        flat = array.reshape(-1)
        for place in np.random.default_rng(3).choice(flat.size, min(flat.size, 40), replace=False):
            kept, eps = flat[place], 1e-6
            flat[place] = kept + eps
            above = value()
            flat[place] = kept - eps
            below = value()
            flat[place] = kept
            assert found.reshape(-1)[place] == pytest.approx((above - below) / (2 * eps), abs=1e-6)


@pytest.mark.parametrize("make", MADE + RANDOM)
def test_layers_of_this_room_keep_the_contract(make):
    layer = make()
    layer.build(IMAGE)
    x = np.random.default_rng(0).normal(size=(2, *IMAGE)).astype(np.float32)
    before = x.copy()
    y, cache = layer.forward(x, training=True, step=3)
    assert y.shape == (2, *layer.built_output_shape)
    assert y.dtype == np.float32
    assert cache is not None
    assert np.array_equal(layer.forward(x, training=True, step=3)[0], y)  # a step can be repeated
    assert layer.forward(x)[1] is None
    assert np.array_equal(x, before)
    again = layers.deserialize(layers.serialize(layer), {type(layer).__name__: type(layer)})
    assert layers.serialize(again) == layers.serialize(layer)
    with pytest.raises(ValueError, match=r"expected x of shape \(N"):
        layer.forward(x[:, :-1], training=True)


@pytest.mark.parametrize("make", RANDOM)
def test_random_layers_change_images_in_training_only(make):
    layer = make()
    layer.build(IMAGE)
    x = np.random.default_rng(0).normal(size=(8, *IMAGE)).astype(np.float32)
    assert np.array_equal(layer.forward(x)[0], x)
    one, other = (layer.forward(x, training=True, step=step)[0] for step in (0, 1))
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, x)


def test_a_separable_convolution_is_its_two_halves():
    x = np.random.default_rng(0).normal(size=(3, 9, 8, 4)).astype(np.float32)
    layer = keras.layers.SeparableConv2D(5, 3, strides=2, padding="same", depth_multiplier=2, activation="relu")
    layer.build((9, 8, 4))
    depthwise, pointwise, bias = layer.get_weights()
    assert [depthwise.shape, pointwise.shape, bias.shape] == [(3, 3, 4, 2), (1, 1, 8, 5), (5,)]
    bias = np.arange(5, dtype=np.float32)
    layer.set_weights([depthwise, pointwise, bias])
    halves = keras.Sequential(
        [
            keras.Input((9, 8, 4)),
            layers.DepthwiseConv2D(3, 2, "same", depth_multiplier=2, use_bias=False),
            layers.Conv2D(5, 1, activation="relu"),
        ]
    )
    halves.set_weights([depthwise, pointwise, bias])
    np.testing.assert_allclose(layer.forward(x)[0], halves.predict(x), atol=1e-5)


def test_permute_and_its_errors():
    layer = keras.layers.Permute((2, 3, 1))
    layer.build((2, 3, 4))
    x = np.arange(24.0, dtype=np.float32).reshape(1, 2, 3, 4)
    assert np.array_equal(layer.forward(x)[0], x.transpose(0, 2, 3, 1))
    with pytest.raises(ValueError, match="each axis once"):
        keras.layers.Permute((1, 1))
    with pytest.raises(ValueError, match="samples of 2 axes"):
        keras.layers.Permute((2, 1)).output_shape((2, 3, 4))


@pytest.mark.parametrize("mode", FILL_MODES)
def test_warping_is_that_of_scipy(mode):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(5, 9, 11, 2))
    maps = affine_maps(
        (9, 11),
        theta=rng.uniform(-1, 1, 5),
        down=rng.uniform(-3, 3, 5),
        right=rng.uniform(-3, 3, 5),
        shear=rng.uniform(-0.3, 0.3, 5),
        zoom=tuple(rng.uniform(0.7, 1.3, (2, 5))),
        mirror=rng.random(5) < 0.5,
        upside_down=rng.random(5) < 0.5,
    )
    found = warped(x, maps, mode, 1.5 if mode == "constant" else 0.0, Backend("cpu"))
    name = {"wrap": "grid-wrap", "constant": "grid-constant"}.get(mode, mode)
    for image, (matrix, shift), y in zip(x, ((m[:, :2], m[:, 2]) for m in maps), found, strict=True):
        for channel in range(2):
            wanted = ndimage.affine_transform(image[..., channel], matrix, shift, order=1, mode=name, cval=1.5)
            np.testing.assert_allclose(y[..., channel], wanted, atol=1e-9)


@pytest.mark.parametrize("mode", FILL_MODES)
def test_the_gradient_of_warping_is_its_adjoint(mode):
    rng = np.random.default_rng(5)
    x, dy = rng.normal(size=(2, 4, 6, 5, 2))
    some = {"theta": rng.uniform(-2, 2, 4), "down": rng.uniform(-9, 9, 4), "right": rng.uniform(-9, 9, 4)}
    none = {"shear": np.zeros(4), "zoom": (np.ones(4), np.ones(4)), "mirror": np.ones(4) > 0}
    maps = affine_maps((6, 5), **some, **none, upside_down=np.ones(4) < 0)
    there = np.vdot(warped(x, maps, mode, 0.0, Backend("cpu")), dy)
    assert there == pytest.approx(np.vdot(x, unwarped(dy, maps, mode)), rel=1e-9)


def test_flips_are_exact_and_a_zoom_makes_a_picture_smaller():
    x = np.random.default_rng(0).normal(size=(40, 5, 4, 1)).astype(np.float32)
    layer = keras.layers.RandomFlip("horizontal")
    layer.build((5, 4, 1))
    y = layer.forward(x, training=True)[0]
    mirrored = [np.allclose(one, other[:, ::-1], atol=1e-6) for one, other in zip(y, x, strict=True)]
    kept = [np.allclose(one, other, atol=1e-6) for one, other in zip(y, x, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 5 < sum(mirrored) < 35
    smaller = keras.layers.RandomZoom((1.0, 1.0), fill_mode="constant")
    smaller.build((8, 8, 1))
    seen = smaller.forward(np.ones((1, 8, 8, 1), np.float32), training=True)[0]
    assert seen[0, 0, 0, 0] == 0 < seen[0, 4, 4, 0]


def test_resizing_matrices_have_rows_that_sum_to_one():
    for bilinear in (True, False):
        for old, new in ((5, 3), (3, 7), (4, 4)):
            np.testing.assert_allclose(resizing_matrix(old, new, bilinear).sum(axis=1), 1)
    assert np.array_equal(resizing_matrix(4, 4, True), np.eye(4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: keras.layers.RandomRotation(0.1, interpolation="nearest"), "values are bilinear"),
        (lambda: keras.layers.RandomRotation((0.2, 0.1)), "smallest and a largest"),
        (lambda: keras.layers.RandomZoom(-1.5), "factor must be|height_factor must be"),
        (lambda: keras.layers.RandomZoom((-1.5, 0)), "greater than -1"),
        (lambda: keras.layers.RandomFlip("up"), "mode must be one of"),
        (lambda: keras.layers.Resizing(3, 3, crop_to_aspect_ratio=True), "crop the images"),
        (lambda: keras.layers.RandomFlip(fill_mode="wrap"), "takes no argument 'fill_mode'"),
    ],
)
def test_image_layers_say_what_is_wrong(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_constraints_hold_after_each_step():
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(5, kernel_constraint=keras.constraints.MaxNorm(0.3), bias_constraint="non_neg"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    x, y = np.random.default_rng(0).normal(size=(40, 6)).astype("float32"), np.arange(40) % 3
    model.fit(x, y, epochs=2, verbose=0)
    for _ in range(2):
        kernel, bias = model.layers[0].get_weights()
        norms = np.linalg.norm(kernel, axis=0)
        assert norms.max() <= 0.3 + 1e-5
        assert norms.max() > 0.29  # without the constraint they would be larger
        assert bias.min() >= 0
        model.train_on_batch(x, y)


@pytest.mark.parametrize(
    ("constraint", "wanted"),
    [
        (constraints.MaxNorm(1.0), [[0.6, 0.0], [0.8, 0.5]]),
        (constraints.NonNeg(), [[3.0, 0.0], [4.0, 0.5]]),
        (constraints.UnitNorm(), [[0.6, 0.0], [0.8, 1.0]]),
        (constraints.MinMaxNorm(1.0, 2.0), [[1.2, 0.0], [1.6, 1.0]]),
        (constraints.MinMaxNorm(1.0, 2.0, rate=0.0), [[3.0, 0.0], [4.0, 0.5]]),
    ],
)
def test_what_constraints_do(constraint, wanted):
    np.testing.assert_allclose(constraint(np.array([[3.0, 0.0], [4.0, 0.5]])), wanted, atol=1e-5)
