"""The reference kernels agree with what shares no code with them: SciPy, brute force, identities, hand calculation."""

import math
from statistics import NormalDist

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from scipy.signal import correlate2d
from scipy.stats import kstest
from test_kernels_parity import convolution, values, window

from tinycnn.kernels import reference
from tinycnn.kernels.counter_hash import GOLDEN, key_of, mix, unmix

POINTS = [-2.0, -0.5, 0.0, 0.5, 2.0]


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_convolution_equals_scipy(data):
    """Every output pixel of every filter is SciPy's strided correlation of the padded image with the dilated filter."""
    size, geometry, output, inputs, CG, FG, groups = convolution(data.draw)
    strides, (top, bottom, left, right), dilation, *_ = geometry
    x = values(data.draw, 2, *inputs, CG * groups)
    w = values(data.draw, *size, CG, FG * groups)
    b = values(data.draw, FG * groups)
    y = reference.conv2d_forward(x, w, b, *geometry)
    assert y.shape == (2, *output, FG * groups)
    spread = np.zeros((*(d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True)), CG, FG * groups))
    spread[:: dilation[0], :: dilation[1]] = w
    xpad = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    for n in range(2):
        for f in range(FG * groups):
            first = f // FG * CG
            expected = b[f] + sum(
                correlate2d(xpad[n, ..., first + c], spread[..., c, f], mode="valid") for c in range(CG)
            )
            np.testing.assert_allclose(y[n, ..., f], expected[:: strides[0], :: strides[1]], rtol=1e-10, atol=1e-10)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_convolution_gradients_are_adjoint(data):
    """y is linear in x and in w: ``<y, dy> = <x, dx> = <w, dw>`` for any dy; ``<b, db>`` adds the bias's part."""
    size, geometry, _, inputs, CG, FG, groups = convolution(data.draw)
    x = values(data.draw, 3, *inputs, CG * groups)
    w, b = values(data.draw, *size, CG, FG * groups), values(data.draw, FG * groups)
    y = reference.conv2d_forward(x, w, None, *geometry)
    dy = values(data.draw, *y.shape)
    dx = reference.conv2d_backward_input(dy, w, inputs, *geometry)
    dw, db = reference.conv2d_backward_weights(dy, x, size, *geometry)
    product = np.vdot(y, dy)
    assert np.vdot(x, dx) == pytest.approx(product, rel=1e-9, abs=1e-9)
    assert np.vdot(w, dw) == pytest.approx(product, rel=1e-9, abs=1e-9)
    with_bias = reference.conv2d_forward(x, w, b, *geometry)
    assert np.vdot(with_bias, dy) == pytest.approx(product + np.vdot(b, db), rel=1e-9, abs=1e-9)


def brute_force_pool(image, size, strides, pads, output):
    """Return the first of the largest pixels of each window of one channel, in plain Python; NaN beats all numbers."""
    y, argmax = np.empty(output), np.empty(output, int)
    for i, j in np.ndindex(output):
        best = None
        for p, q in np.ndindex(size):
            row, column = i * strides[0] + p - pads[0], j * strides[1] + q - pads[2]
            if not (0 <= row < image.shape[0] and 0 <= column < image.shape[1]):
                continue
            value = image[row, column]
            if best is None or value > best or (np.isnan(value) and not np.isnan(best)):
                best, winner = value, p * size[1] + q
        y[i, j], argmax[i, j] = best, winner
    return y, argmax


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_pool_equals_brute_force(data):
    size, strides, pads, _, output, inputs = window(data.draw, pads_below_size=True)
    pixels = st.sampled_from([-np.inf, np.inf, np.nan, 0.0, 1.0, 1.5])
    chosen = data.draw(st.lists(pixels, min_size=1, max_size=7))
    image = np.resize(chosen, inputs)
    y, argmax = reference.max_pool2d_forward(image[None, :, :, None], size, strides, pads)
    expected, winners = brute_force_pool(image, size, strides, pads, output)
    np.testing.assert_array_equal(y[0, ..., 0], expected)
    np.testing.assert_array_equal(argmax[0, ..., 0], winners)


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_pool_gradient_goes_to_the_winner(data):
    size, strides, pads, _, output, inputs = window(data.draw, pads_below_size=True)
    x = values(data.draw, 1, *inputs, 1)
    y, argmax = reference.max_pool2d_forward(x, size, strides, pads)
    dy = values(data.draw, *y.shape)
    expected = np.zeros(inputs)
    for i, j in np.ndindex(output):
        p, q = divmod(int(argmax[0, i, j, 0]), size[1])
        row, column = i * strides[0] + p - pads[0], j * strides[1] + q - pads[2]
        assert x[0, row, column, 0] == y[0, i, j, 0]
        expected[row, column] += dy[0, i, j, 0]
    dx = reference.max_pool2d_backward(dy, argmax, inputs, size, strides, pads)
    np.testing.assert_allclose(dx[0, ..., 0], expected, atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_average_pool_equals_brute_force(data):
    """Each result is the mean of the pixels in its window, and the gradient is the adjoint of that linear map."""
    size, strides, pads, _, output, inputs = window(data.draw, pads_below_size=True)
    image = values(data.draw, *inputs)
    expected = np.empty(output)
    for i, j in np.ndindex(output):
        row, column = i * strides[0] - pads[0], j * strides[1] - pads[2]
        inside = image[max(0, row) : row + size[0], max(0, column) : column + size[1]]
        expected[i, j] = inside.mean()
    y = reference.average_pool2d_forward(image[None, :, :, None], size, strides, pads)
    np.testing.assert_allclose(y[0, ..., 0], expected, atol=1e-12)
    dy = values(data.draw, *y.shape)
    dx = reference.average_pool2d_backward(dy, inputs, size, strides, pads)
    assert np.vdot(image, dx) == pytest.approx(np.vdot(y, dy), rel=1e-9, abs=1e-9)


def test_dense_gradients_are_adjoint():
    rng = np.random.default_rng(0)
    x, w, dy = rng.standard_normal((5, 7)), rng.standard_normal((7, 3)), rng.standard_normal((5, 3))
    product = np.vdot(reference.dense_forward(x, w, None), dy)
    dw, db = reference.dense_backward_weights(dy, x)
    assert np.vdot(x, reference.dense_backward_input(dy, w)) == pytest.approx(product)
    assert np.vdot(w, dw) == pytest.approx(product)
    np.testing.assert_allclose(db, dy.sum(axis=0))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_right_share_and_the_mean(rate):
    count = 200_000
    y = reference.dropout(np.ones(count), rate, 7, 3)
    kept = np.count_nonzero(y)
    assert abs(kept - count * (1 - rate)) < 5 * np.sqrt(count * rate * (1 - rate))
    np.testing.assert_allclose(y[y != 0], 1 / (1 - rate))


def test_dropout_masks_are_independent():
    """Masks of other steps, other seeds, neighbours, and the four halves of nearby keys do not resemble one another."""
    count = 100_000
    masks = [reference.dropout(np.ones(count), 0.5, *name) > 0 for name in [(1, 1), (1, 2), (2, 1), (2, 2), (0, 0)]]
    bound = 5 * np.sqrt(count) / 2
    for i, a in enumerate(masks):
        assert abs(np.count_nonzero(a[1:] == a[:-1]) - count / 2) < bound
        for b in masks[:i]:
            assert abs(np.count_nonzero(a == b) - count / 2) < bound
    np.testing.assert_array_equal(masks[0], reference.dropout(np.ones(count), 0.5, 1, 1) > 0)


def test_gaussian_noise_is_normal_and_independent():
    """One stream passes the Kolmogorov–Smirnov test, and neighbours, steps and seeds are not correlated."""
    count = 100_000
    streams = [reference.gaussian_noise(np.zeros(count), 2.0, *name) / 2 for name in [(1, 1), (1, 2), (2, 1), (0, 0)]]
    assert kstest(streams[0], "norm").pvalue > 1e-3
    bound = 5 / np.sqrt(count)
    for i, a in enumerate(streams):
        assert abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < bound
        assert all(abs(np.corrcoef(a, b)[0, 1]) < bound for b in streams[:i])
    np.testing.assert_array_equal(reference.gaussian_noise(np.full(count, 3.0), 2.0, 1, 1), 3 + 2 * streams[0])


@pytest.mark.parametrize(
    ("name", "constants", "expected"),
    [
        ("leaky_relu", (0.2,), [-0.4, -0.1, 0, 0.5, 2]),
        ("elu", (1.5,), [1.5 * (math.exp(-2) - 1), 1.5 * (math.exp(-0.5) - 1), 0, 0.5, 2]),
        ("sigmoid", (), [1 / (1 + math.exp(-x)) for x in POINTS]),
        ("tanh", (), [math.tanh(x) for x in POINTS]),
        ("gelu", (), [x * NormalDist().cdf(x) for x in POINTS]),
    ],
)
def test_activations_by_their_formulas(name, constants, expected):
    """Values are compared with the standard library's, and slopes with differences."""
    x, h = np.array(POINTS), 1e-6
    forward, backward = getattr(reference, f"{name}_forward"), getattr(reference, f"{name}_backward")
    y = forward(x, *constants)
    np.testing.assert_allclose(y, expected, rtol=1e-14)
    smooth = x != 0  # two of them have a kink there
    slope = (forward(x + h, *constants) - forward(x - h, *constants)) / (2 * h)
    dx = backward(np.array([3.0, -1.0, 2.0, 0.5, -2.0]), x if name == "gelu" else y, *constants)
    np.testing.assert_allclose(dx[smooth], (slope * [3.0, -1.0, 2.0, 0.5, -2.0])[smooth], rtol=1e-8)


@given(st.integers(0, 2**64 - 1))
def test_hashes_can_be_undone(z):
    assert unmix(int(mix(np.array([z], np.uint64))[0])) == z


def test_the_hash_is_splitmix64():
    """The first numbers are those of Vigna's ``splitmix64.c`` for seed 1234567."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    counter = np.array([1234567], np.uint64) + np.arange(1, 6, dtype=np.uint64) * golden
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert mix(counter).tolist() == known
    assert key_of(1, 2) != key_of(2, 1)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=3))
def test_a_key_is_hashed_word_by_word(words):
    key = np.zeros(1, np.uint64)
    for word in words:
        key = mix((key ^ np.uint64(word)) + GOLDEN)
    assert key_of(*words) == key[0]


def test_softmax_and_its_gradient():
    x = np.array([[1.0, 2.0, 3.0], [1000.0, 1000.0, -1000.0]])
    p = reference.softmax_forward(x)
    np.testing.assert_allclose(p[0], np.exp([1, 2, 3]) / np.exp([1, 2, 3]).sum())
    np.testing.assert_allclose(p[1], [0.5, 0.5, 0])
    dy = np.array([[0.3, -1.0, 2.0], [1.0, 0.0, 0.0]])
    jacobian = [np.diag(row) - np.outer(row, row) for row in p]
    np.testing.assert_allclose(reference.softmax_backward(dy, p), [j @ d for j, d in zip(jacobian, dy, strict=True)])


def test_cross_entropy():
    logits = np.array([[0.0, 0.0], [1000.0, -1000.0]])
    losses, p = reference.softmax_cross_entropy_forward(logits, np.array([1, 1]))
    np.testing.assert_allclose(losses, [np.log(2), 2000])
    np.testing.assert_allclose(p, [[0.5, 0.5], [1, 0]])
    gradient = reference.softmax_cross_entropy_backward(p, np.array([1, 1]), np.array([0.5, 2.0]))
    np.testing.assert_allclose(gradient, [[0.25, -0.25], [2, -2]])


def test_batch_norm_by_hand():
    """Channel 0 holds 1, 3, 5: mean 3, variance 8/3. Channel 1 is constant."""
    x = np.array([[1.0, 2.0], [3.0, 2.0], [5.0, 2.0]])
    y, mean, variance = reference.batch_norm_forward(x, np.array([2.0, 1.0]), np.array([1.0, -1.0]), 1 / 3)
    np.testing.assert_allclose(mean, [3, 2])
    np.testing.assert_allclose(variance, [8 / 3, 0])
    np.testing.assert_allclose(y, [[1 - 4 / np.sqrt(3), -1], [1, -1], [1 + 4 / np.sqrt(3), -1]])


def test_batch_norm_gradients_equal_differences():
    """The cotangent is random: with one of ones, a backward pass that lacks its last term would go unnoticed."""
    rng = np.random.default_rng(1)
    x, gamma, beta, dy = (rng.standard_normal(s) for s in [(4, 3, 2), (2,), (2,), (4, 3, 2)])

    def loss(x, gamma, beta):
        return np.vdot(reference.batch_norm_forward(x, gamma, beta, 1e-3)[0], dy)

    _, mean, variance = reference.batch_norm_forward(x, gamma, beta, 1e-3)
    gradients = reference.batch_norm_backward(dy, x, gamma, mean, variance, 1e-3)
    for position, gradient in enumerate(gradients):
        for index in np.ndindex(gradient.shape):
            step = [np.zeros_like(a) for a in (x, gamma, beta)]
            step[position][index] = 1e-5
            ahead = loss(*(a + s for a, s in zip((x, gamma, beta), step, strict=True)))
            behind = loss(*(a - s for a, s in zip((x, gamma, beta), step, strict=True)))
            assert gradient[index] == pytest.approx((ahead - behind) / 2e-5, rel=1e-5, abs=1e-7)


def test_descent_by_hand():
    w = np.array([1.0, -2.0])
    reference.sgd_update(w, np.array([0.5, 1.0]), None, 0.1, 0.9, False)
    np.testing.assert_allclose(w, [0.95, -2.1])


@pytest.mark.parametrize(("nesterov", "expected"), [(False, [0.95, 0.855]), (True, [0.905, 0.7695])])
def test_momentum_by_hand(nesterov, expected):
    """g = 0.5, rate 0.1, momentum 0.9. Velocities -0.05, then 0.9 * -0.05 - 0.05 = -0.095."""
    w, velocity, seen = np.array([1.0]), np.zeros(1), []
    for _ in range(2):
        reference.sgd_update(w, np.array([0.5]), velocity, 0.1, 0.9, nesterov)
        seen.append(w[0])
    np.testing.assert_allclose(seen, expected)
    np.testing.assert_allclose(velocity, -0.095)


def test_adam_by_hand():
    """Step 1: m = 0.1 g, v = 0.001 g^2, and both corrections cancel these factors, so the step is -rate * sign(g).

    Step 2, g = 2 then -1: m = 0.2*0.9 - 0.1 = 0.08, v = 0.004*0.999 + 0.001 = 0.004996; divided by 1 - 0.81 and
    1 - 0.998001 they are 0.42105263 and 2.49924962, and w moves by -0.1 * 0.42105263 / 1.58090152.
    """
    w, m, v = np.array([1.0]), np.zeros(1), np.zeros(1)
    reference.adam_update(w, np.array([2.0]), m, v, 1, 0.1, 0.9, 0.999, 0.0)
    np.testing.assert_allclose(w, 0.9)
    reference.adam_update(w, np.array([-1.0]), m, v, 2, 0.1, 0.9, 0.999, 0.0)
    np.testing.assert_allclose(m, 0.08)
    np.testing.assert_allclose(v, 0.004996)
    np.testing.assert_allclose(w, 0.9 - 0.1 * 0.42105263 / 1.58090152, rtol=1e-7)
