"""What layers and losses leave unchanged: properties of the mathematics that hold for any implementation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinycnn
from tinycnn import layers, losses, optimizers, testing
from tinycnn.core.backend import BACKENDS
from tinycnn.testing import strategies

BACKEND = pytest.mark.parametrize("backend", BACKENDS)
SEEDS = st.integers(0, 2**16)


def built(layer, shape, backend, seed=0):
    with tinycnn.use_backend(backend):
        layer.build(shape, dtype="float64", rng=np.random.default_rng(seed))
    return layer


@BACKEND
def test_convolution_moves_with_the_image(backend):
    """If the image shifts by a multiple of the stride, the result shifts too, except near the border."""

    @given(SEEDS, st.integers(1, 3), st.integers(1, 3))
    def check(seed, kernel, stride):
        rng = np.random.default_rng(seed)
        layer = built(layers.Conv2D(3, kernel, strides=stride), (12, 12, 2), backend, seed)
        x = rng.normal(size=(2, 12, 12, 2))
        moved = np.roll(x, (stride, 2 * stride), axis=(1, 2))
        y, y_moved = (layer.forward(images)[0] for images in (x, moved))
        np.testing.assert_allclose(y_moved[:, 1:, 2:], y[:, :-1, :-2], rtol=1e-10, atol=1e-12)

    check()


@BACKEND
def test_every_layer_treats_images_alike(backend):
    """Reordering the batch reorders the results; the statistics of batch normalisation do not depend on the order."""

    @given(strategies.layers_with_inputs(), SEEDS)
    def check(case, seed):
        layer, x = case
        built(layer, x.shape[1:], backend)
        order = np.random.default_rng(seed).permutation(len(x))
        # Dropout's mask depends on positions in the batch, so it is tested in inference, where there is no mask.
        training = not isinstance(layer, layers.Dropout | layers.GaussianNoise)
        y, y_permuted = (layer.forward(images, training=training)[0] for images in (x, x[order]))
        np.testing.assert_allclose(y_permuted, y[order], rtol=1e-9, atol=1e-12)

    check()


@BACKEND
@pytest.mark.parametrize("kind", [layers.Conv2D, layers.Dense])
def test_linear_in_weights_and_inputs(backend, kind):
    @given(SEEDS)
    def check(seed):
        rng = np.random.default_rng(seed)
        shape = (5, 5, 2) if kind is layers.Conv2D else (7,)
        layer = built(layers.Conv2D(3, 3) if kind is layers.Conv2D else layers.Dense(3), shape, backend)
        kernel = layer.params["kernel"].value
        weights, inputs = rng.normal(size=(2, *kernel.shape)), rng.normal(size=(2, 2, *shape))

        def result(w, x):
            kernel[...] = w
            return layer.forward(x)[0]

        a, b = rng.normal(size=2)
        mixed = result(a * weights[0] + b * weights[1], inputs[0])
        np.testing.assert_allclose(
            mixed, a * result(weights[0], inputs[0]) + b * result(weights[1], inputs[0]), rtol=1e-9, atol=1e-11
        )
        mixed = result(weights[0], a * inputs[0] + b * inputs[1])
        np.testing.assert_allclose(
            mixed, a * result(weights[0], inputs[0]) + b * result(weights[0], inputs[1]), rtol=1e-9, atol=1e-11
        )

    check()


@BACKEND
def test_max_pooling_is_the_maximum_of_each_window(backend):
    @given(strategies.pool_geometries(), SEEDS)
    def check(g, seed):
        if any(g.pads):
            return  # A layer has only valid and same padding; the kernels' tests cover explicit pads.
        x = np.random.default_rng(seed).normal(size=g.input_shape)
        layer = built(layers.MaxPooling2D(g.pool_size, g.strides), g.input_shape[1:], backend)
        y = layer.forward(x)[0]
        (KH, KW), (SH, SW) = g.pool_size, g.strides
        for i, j in np.ndindex(*g.output_size):
            window = x[:, i * SH : i * SH + KH, j * SW : j * SW + KW]
            np.testing.assert_array_equal(y[:, i, j], window.max(axis=(1, 2)))

    check()


@BACKEND
def test_batch_norm_gives_the_moments_it_is_told(backend):
    @given(SEEDS, st.integers(1, 4))
    def check(seed, channels):
        rng = np.random.default_rng(seed)
        x = rng.normal(rng.normal(size=channels), rng.uniform(1, 3, channels), (16, 5, 5, channels))
        layer = built(layers.BatchNormalization(epsilon=1e-12), (5, 5, channels), backend)
        gamma, beta = rng.normal(size=(2, channels))
        layer.params["gamma"].value[...] = gamma
        layer.params["beta"].value[...] = beta
        y = layer.forward(x, training=True)[0]
        np.testing.assert_allclose(y.mean((0, 1, 2)), beta, atol=1e-9)
        np.testing.assert_allclose(y.std((0, 1, 2)), np.abs(gamma), rtol=1e-6)
        again = layer.forward(3 * x + 7, training=True)[0]
        np.testing.assert_allclose(again, y, rtol=1e-6, atol=1e-8)

    check()


@BACKEND
def test_softmax_ignores_a_common_shift(backend):
    @given(SEEDS, st.floats(-500, 500))
    def check(seed, shift):
        x = np.random.default_rng(seed).normal(size=(3, 6))
        layer = built(layers.Softmax(), (6,), backend)
        y, y_shifted = (layer.forward(z)[0] for z in (x, x + shift))
        np.testing.assert_allclose(y_shifted, y, rtol=1e-9)
        np.testing.assert_allclose(y.sum(axis=1), 1)

    check()


@BACKEND
def test_the_logits_gradient_of_cross_entropy_sums_to_nothing(backend):
    """The reason is that a common shift of the logits does not change the loss."""
    with tinycnn.use_backend(backend):
        loss = losses.SparseCategoricalCrossentropy(from_logits=True)
        rng = np.random.default_rng(0)
        _, cache = loss.forward(rng.normal(size=(8, 5)), rng.integers(0, 5, 8), tinycnn.get_backend())
        gradient = loss.backward(cache, rng.normal(size=8), tinycnn.get_backend())
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-14)


@BACKEND
def test_a_small_step_down_the_gradient_lowers_the_loss(backend):
    @given(st.data())
    def check(data):
        with tinycnn.use_backend(backend):
            model, x, y = data.draw(strategies.small_networks())
        # Dropout's mask changes from step to step; without dropout the loss is one function of the weights.
        for layer in model.layers:
            if isinstance(layer, layers.Dropout):
                layer.rate = 0.0
        model.compile(optimizers.SGD(1e-6), "sparse_categorical_crossentropy")
        before = model.train_on_batch(x, y)["loss"]
        slope = sum(float(np.square(p.grad).sum()) for p in model.parameters().values())
        after = model.train_on_batch(x, y)["loss"]
        assert before - after == pytest.approx(1e-6 * slope, rel=0.2, abs=1e-12)

    check()


@BACKEND
def test_whole_networks_have_the_gradients_they_say(backend):
    @given(st.data())
    def check(data):
        with tinycnn.use_backend(backend):
            model, x, y = data.draw(strategies.small_networks())
        testing.check_gradients(model, x, y, max_elements=20)
        testing.check_directional(model, x, y, rtol=1e-3)

    check()
