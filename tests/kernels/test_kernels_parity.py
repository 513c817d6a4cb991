"""Every cpu kernel agrees with the reference in float64 for random shapes, layouts, and memory given by the caller.

``CASES`` holds one strategy per kernel, which draws its arguments; a kernel without one fails the first test.
"""

import hypothesis.strategies as st
import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from tinycnn.kernels import cpu, reference
from tinycnn.kernels.geometry import argmax_dtype

ACTIVATIONS = ["elu", "gelu", "leaky_relu", "relu", "sigmoid", "softmax", "tanh"]
UPDATES_IN_PLACE = {"adam_update", "move_average", "rmsprop_update", "sgd_update"}
# The largest error over the largest result (or 1): a few roundings of each dtype, and more where sums are long.
TOLERANCE = {np.float32: 3e-5, np.float64: 1e-12}

CASES = {}


def case(name):
    """Register a strategy that draws a kernel's arguments, without ``out`` and ``work``."""

    def register(function):
        CASES[name] = st.composite(function)()
        return function

    return register


small = st.integers(1, 5)
channels = st.one_of(small, small, st.sampled_from([8, 16, 20, 33]))
batches = st.sampled_from([0, 1, 2, 3, 7])
seeds = st.integers(0, 2**32 - 1)


def values(draw, *shape):
    """Draw normal values, and now and then small integers, among which there are ties and zeros."""
    rng = np.random.default_rng(draw(seeds))
    return rng.integers(-2, 3, shape).astype(float) if draw(st.booleans()) else rng.standard_normal(shape)


def positive(draw, *shape):
    return np.random.default_rng(draw(seeds)).uniform(0.1, 2, shape)


def common_window(draw):
    """Draw what networks use and kernels have short cuts for: no pads or "same", strides of 1 or of the size."""
    size, inputs = (draw(st.sampled_from([1, 2, 2, 3, 3])),) * 2, (draw(st.integers(3, 9)), draw(st.integers(3, 9)))
    strides = draw(st.sampled_from([(1, 1), size]))
    same = draw(st.booleans())
    pads, output = [], []
    for k, length, s in zip(size, inputs, strides, strict=True):
        output.append(-(-length // s) if same else (length - k) // s + 1)
        missing = max(0, (output[-1] - 1) * s + k - length) if same else 0
        pads += [missing // 2, missing - missing // 2]
    return size, strides, tuple(pads), (1, 1), tuple(output), inputs


def window(draw, pads_below_size=False, longest_dilation=1):
    """Draw size, strides, pads, dilation and output size, and compute the input size, so that all fit together."""
    if draw(st.booleans()):
        return common_window(draw)
    size, output = (draw(small), draw(small)), (draw(small), draw(small))
    strides = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    dilation = draw(st.integers(1, longest_dilation)), draw(st.integers(1, longest_dilation))
    pads, inputs = [], []
    for k, o, s, d in zip(size, output, strides, dilation, strict=True):
        extent = (o - 1) * s + d * (k - 1) + 1  # the padded pixels that the windows cover
        length = extent + draw(st.integers(0, s - 1))  # and some that no window reaches
        most = min(length - 1, k - 1 if pads_below_size else length - 1)
        before = draw(st.one_of(st.integers(0, most), st.just(most)))  # the pad may be larger than the window
        after = draw(st.integers(0, min(length - 1 - before, most)))
        pads += [before, after]
        inputs.append(length - before - after)
    return size, strides, tuple(pads), dilation, output, tuple(inputs)


def convolution(draw):
    size, strides, pads, dilation, output, inputs = window(draw, longest_dilation=3)
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    simple = (size, strides, dilation, groups) == ((3, 3), (1, 1), (1, 1), 1)
    algorithm = draw(st.sampled_from(["auto", "direct", "im2col", *["winograd"] * 2 * simple]))
    return size, (strides, pads, dilation, groups, algorithm), output, inputs, draw(channels), draw(channels), groups


@case("conv2d_forward")
def _(draw):
    size, geometry, _, inputs, CG, FG, groups = convolution(draw)
    x, w = values(draw, draw(batches), *inputs, CG * groups), values(draw, *size, CG, FG * groups)
    return x, w, draw(st.sampled_from([None, values(draw, FG * groups)])), *geometry


@case("conv2d_backward_input")
def _(draw):
    size, geometry, output, inputs, CG, FG, groups = convolution(draw)
    dy, w = values(draw, draw(batches), *output, FG * groups), values(draw, *size, CG, FG * groups)
    return dy, w, inputs, *geometry


@case("conv2d_backward_weights")
def _(draw):
    size, geometry, output, inputs, CG, FG, groups = convolution(draw)
    N = draw(batches)
    return values(draw, N, *output, FG * groups), values(draw, N, *inputs, CG * groups), size, *geometry


@case("max_pool2d_forward")
def _(draw):
    size, strides, pads, _, _, inputs = window(draw, pads_below_size=True)
    return values(draw, draw(batches), *inputs, draw(channels)), size, strides, pads


@case("max_pool2d_backward")
def _(draw):
    size, strides, pads, _, _, inputs = window(draw, pads_below_size=True)
    y, argmax = reference.max_pool2d_forward(values(draw, draw(batches), *inputs, draw(small)), size, strides, pads)
    return values(draw, *y.shape), argmax, inputs, size, strides, pads


@case("average_pool2d_forward")
def _(draw):
    size, strides, pads, _, _, inputs = window(draw, pads_below_size=True)
    return values(draw, draw(batches), *inputs, draw(channels)), size, strides, pads


@case("average_pool2d_backward")
def _(draw):
    size, strides, pads, _, output, inputs = window(draw, pads_below_size=True)
    return values(draw, draw(batches), *output, draw(small)), inputs, size, strides, pads


@case("dense_forward")
def _(draw):
    N, inputs, outputs = draw(batches), draw(st.integers(1, 150)), draw(st.integers(1, 150))
    bias = draw(st.sampled_from([None, values(draw, outputs)]))
    return values(draw, N, inputs), values(draw, inputs, outputs), bias


@case("dense_backward_input")
def _(draw):
    inputs, outputs = draw(st.integers(1, 150)), draw(st.integers(1, 150))
    return values(draw, draw(batches), outputs), values(draw, inputs, outputs)


@case("dense_backward_weights")
def _(draw):
    N = draw(batches)
    return values(draw, N, draw(st.integers(1, 150))), values(draw, N, draw(st.integers(1, 150)))


def channelled(draw, least=0):
    """Draw a shape whose last axis is that of the channels; sometimes it has more rows than fit into one chunk."""
    C = draw(st.integers(1, 9))
    rows = draw(st.sampled_from([(1,), (3, 2, 5), (150_000 // C,), (0,), (7, 1)]))
    return (*rows, C) if np.prod(rows) >= least else (1, C)


@case("batch_norm_forward")
def _(draw):
    shape = channelled(draw, least=1)
    return 3 + values(draw, *shape), values(draw, shape[-1]), values(draw, shape[-1]), 1e-3


@case("batch_norm_backward")
def _(draw):
    shape = channelled(draw, least=1)
    C = shape[-1]
    return values(draw, *shape), values(draw, *shape), values(draw, C), values(draw, C), positive(draw, C), 1e-3


@case("batch_norm_inference_forward")
def _(draw):
    shape = channelled(draw)
    C = shape[-1]
    return values(draw, *shape), values(draw, C), values(draw, C), values(draw, C), positive(draw, C), 1e-3


@case("batch_norm_inference_backward")
def _(draw):
    shape = channelled(draw)
    C = shape[-1]
    return values(draw, *shape), values(draw, *shape), values(draw, C), values(draw, C), positive(draw, C), 1e-3


@case("move_average")
def _(draw):
    C = draw(channels)
    return values(draw, C), values(draw, C), draw(st.sampled_from([0.0, 0.9, 0.99, 1.0]))


def any_shape(draw):
    return draw(st.sampled_from([(), (1,), (0, 3), (5, 7), (2, 3, 3, 2), (20_011,)]))


@case("relu_forward")
def _(draw):
    return (values(draw, *any_shape(draw)),)


@case("relu_backward")
def _(draw):
    shape = any_shape(draw)
    return values(draw, *shape), values(draw, *shape)


def curve_case(name, *constants):
    """Register cases for an element-wise function: small and large x, and for backward what forward would keep."""

    @case(f"{name}_forward")
    def _(draw):
        return draw(st.sampled_from([1, 30, 1000])) * values(draw, *any_shape(draw)), *draw(st.tuples(*constants))

    @case(f"{name}_backward")
    def _(draw):
        shape = any_shape(draw)
        return values(draw, *shape), values(draw, *shape), *draw(st.tuples(*constants))


curve_case("leaky_relu", st.sampled_from([0.0, 0.2, 1.5]))
curve_case("elu", st.sampled_from([0.0, 0.5, 1.0]))
curve_case("sigmoid")
curve_case("tanh")
curve_case("gelu")


@case("gaussian_noise")
def _(draw):
    stddev = draw(st.sampled_from([0.0, 0.1, 2.0]))
    return values(draw, *any_shape(draw)), stddev, draw(st.integers(0, 2**63)), draw(st.integers(0, 10**6))


@case("dropout")
def _(draw):
    rate = draw(st.sampled_from([0.0, 0.25, 0.5, 0.999]))
    return values(draw, *any_shape(draw)), rate, draw(st.integers(0, 2**63)), draw(st.integers(0, 10**6))


def rows_of_classes(draw):
    return draw(st.sampled_from([0, 1, 3, 2_000])), draw(st.sampled_from([1, 2, 10]))


@case("softmax_forward")
def _(draw):
    return (
        draw(st.sampled_from([1, 50, 1000]))
        * values(draw, *draw(st.sampled_from([(), (2, 3)])), *rows_of_classes(draw)),
    )


@case("softmax_backward")
def _(draw):
    shape = rows_of_classes(draw)
    return values(draw, *shape), reference.softmax_forward(values(draw, *shape))


@case("softmax_cross_entropy_forward")
def _(draw):
    N, K = rows_of_classes(draw)
    return values(draw, N, K), np.random.default_rng(draw(seeds)).integers(0, K, N)


@case("softmax_cross_entropy_backward")
def _(draw):
    N, K = rows_of_classes(draw)
    labels = np.random.default_rng(draw(seeds)).integers(0, K, N)
    return reference.softmax_forward(values(draw, N, K)), labels, values(draw, N)


def shares(draw, N, K):
    """Draw rows whose sum is 1, or one-hot rows."""
    rng = np.random.default_rng(draw(seeds))
    return rng.multinomial(1, np.full(K, 1 / K), N).astype(float) if draw(st.booleans()) else rng.dirichlet([1] * K, N)


@case("categorical_cross_entropy_forward")
def _(draw):
    N, K = rows_of_classes(draw)
    return draw(st.sampled_from([1, 1000])) * values(draw, N, K), shares(draw, N, K)


@case("categorical_cross_entropy_backward")
def _(draw):
    N, K = rows_of_classes(draw)
    return reference.softmax_forward(values(draw, N, K)), shares(draw, N, K), values(draw, N)


def rows_of_numbers(draw):
    return draw(st.sampled_from([(0, 3), (1, 1), (3, 7), (2, 20_011), (2_000, 10)]))


@case("mean_squared_error_forward")
def _(draw):
    shape = rows_of_numbers(draw)
    return values(draw, *shape), values(draw, *shape)


@case("mean_squared_error_backward")
def _(draw):
    shape = rows_of_numbers(draw)
    return values(draw, *shape), values(draw, *shape), values(draw, shape[0])


def images(draw):
    return values(draw, draw(batches), draw(small), draw(small), draw(small))


@case("warp_images")
def _(draw):
    x = images(draw)
    maps = values(draw, len(x), 2, 3)
    if draw(st.booleans()):  # moved by whole pixels, and some of them mirrored
        maps[:, :, :2] = np.eye(2)
        maps[::2, 1, 1] = -1
        maps[:, :, 2] = np.round(maps[:, :, 2])
    return x, maps


@case("blur_images")
def _(draw):
    x = images(draw)
    return x, draw(st.sampled_from([0.0, 0.4, 1.5])) * positive(draw, len(x))


@case("cut_out_images")
def _(draw):
    x = images(draw)
    return x, np.random.default_rng(draw(seeds)).integers(-2, 8, (len(x), 4))


@case("sgd_update")
def _(draw):
    shape = any_shape(draw)
    velocity = values(draw, *shape) if draw(st.booleans()) else None
    return values(draw, *shape), values(draw, *shape), velocity, 0.1, 0.9, draw(st.booleans())


@case("adam_update")
def _(draw):
    shape = any_shape(draw)
    arrays = values(draw, *shape), values(draw, *shape), values(draw, *shape), positive(draw, *shape)
    return *arrays, draw(st.integers(1, 10**5)), 1e-3, 0.9, 0.999, 1e-7


@case("rmsprop_update")
def _(draw):
    shape = any_shape(draw)
    mean = 0.1 * values(draw, *shape) if draw(st.booleans()) else None
    velocity = values(draw, *shape) if draw(st.booleans()) else None
    return values(draw, *shape), values(draw, *shape), positive(draw, *shape), mean, velocity, 0.01, 0.9, 0.8, 1e-7


@case("gradient_norm")
def _(draw):
    return (values(draw, *any_shape(draw)),)


@case("scale_gradient")
def _(draw):
    return values(draw, *any_shape(draw)), draw(st.sampled_from([0.0, 0.3, 7.0]))


@case("clip_gradient")
def _(draw):
    return values(draw, *any_shape(draw)), draw(st.sampled_from([0.1, 1.0]))


def convert(arguments, dtype):
    """Return the arguments with their floating arrays, also zero-dimensional ones, in ``dtype``."""
    return tuple(
        np.asarray(a, dtype) if isinstance(a, (np.ndarray, np.float64)) and a.dtype.kind == "f" else a
        for a in arguments
    )


def call(backend, name, arguments, **memory):
    """Return the kernel's results as a tuple; arrays that it updates in place count as results."""
    if name in UPDATES_IN_PLACE:
        arguments = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in arguments)
        assert getattr(backend, name)(*arguments) is None
        return tuple(a for a in arguments if isinstance(a, np.ndarray))
    result = getattr(backend, name)(*arguments, **memory)
    return result if isinstance(result, tuple) else (result,)


def assert_close(actual, expected, dtype):
    """Raise unless every element is finite where the reference's is, and near it; argmax must be equal."""
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        assert a.shape == e.shape
        if e.dtype.kind != "f":
            np.testing.assert_array_equal(a, e, strict=True)
            continue
        assert a.dtype == dtype
        assert np.isfinite(a).all()
        assert np.isfinite(e).all()
        assert np.max(np.abs(a - e), initial=0) <= TOLERANCE[dtype] * np.max(np.abs(e), initial=1)


def poisoned(shape, dtype):
    """Return memory in which every element that is not written shows."""
    return np.full(shape, np.nan if np.dtype(dtype).kind == "f" else 255, dtype)


def test_every_kernel_has_a_case():
    assert sorted(CASES) == sorted(reference.__all__)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", reference.__all__)
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_equals_the_reference(name, dtype, data):
    assert name in CASES, f"write a case for {name}"
    arguments = convert(data.draw(CASES[name]), dtype)
    before = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    expected = call(reference, name, convert(arguments, np.float64))
    memory, lent = {}, []
    if name not in UPDATES_IN_PLACE and data.draw(st.booleans(), label="memory brought"):
        outs = tuple(poisoned(e.shape, dtype if e.dtype.kind == "f" else e.dtype) for e in expected)

        def work(shape, kind):
            lent.append(poisoned(shape, kind))
            return lent[-1]

        memory = {"out": outs if len(outs) > 1 else outs[0], "work": work}
    actual = call(cpu, name, arguments, **memory)
    if memory:
        assert all(a is o for a, o in zip(actual, outs, strict=True))
        assert not any(np.may_share_memory(a, scratch) for a in actual for scratch in lent)
    assert_close(actual, expected, dtype)
    for a, b in zip(arguments, before, strict=True):  # inputs are left as they were
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", sorted(set(reference.__all__) - UPDATES_IN_PLACE))
@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_any_layout(name, data):
    """Fortran order, strides, read-only memory, and ``out`` in such a layout change nothing."""
    arguments = convert(data.draw(CASES[name]), np.float32)
    expected = call(cpu, name, arguments)

    def twisted(array):
        copy = np.zeros((*array.shape, 2), array.dtype, order="F")[..., 0]
        copy[...] = array
        copy.flags.writeable = False
        return copy

    strange = tuple(twisted(a) if isinstance(a, np.ndarray) else a for a in arguments)
    outs = tuple(np.zeros(e.shape[::-1], e.dtype).T for e in expected)
    actual = call(cpu, name, strange, out=outs if len(outs) > 1 else outs[0])
    for a, o, e in zip(actual, outs, expected, strict=True):
        assert a is o
        np.testing.assert_array_equal(a, e)


IN_PLACE = [
    "categorical_cross_entropy_backward",
    "clip_gradient",
    "dropout",
    "gaussian_noise",
    "mean_squared_error_backward",
    "scale_gradient",
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "name",
    IN_PLACE + [f"{f}_{way}" for f in ACTIVATIONS for way in ("forward", "backward")],
)
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_in_place(name, dtype, data):
    """The result may be written over x or over dy."""
    arguments = convert(data.draw(CASES[name]), dtype)
    expected = call(cpu, name, arguments)[0]
    for backend in (cpu, reference):
        mine = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        result = getattr(backend, name)(*mine, out=mine[0])
        assert result is mine[0]
        assert_close((result,), (expected,), dtype)


def test_a_result_laid_over_an_input_is_still_right():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 5, 5, 3)), rng.standard_normal((3, 3, 3, 3))
    expected = reference.conv2d_forward(x, w, None, (1, 1), (1, 1, 1, 1), (1, 1), 1)
    assert cpu.conv2d_forward(x, w, None, (1, 1), (1, 1, 1, 1), (1, 1), 1, out=x) is x
    np.testing.assert_allclose(x, expected)
    line = rng.standard_normal(50_000)
    expected = reference.relu_forward(line[:-1])
    np.testing.assert_array_equal(cpu.relu_forward(line[:-1], out=line[1:]), expected)
    dy, y = rng.standard_normal((2, 100))
    expected = reference.relu_backward(dy, y)
    np.testing.assert_array_equal(cpu.relu_backward(dy, y, out=y), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "filters", "size", "strides", "groups"),
    [
        ((3, 28, 28, 32), 64, (3, 3), (1, 1), 1),  # several tiles per image
        ((70, 8, 8, 16), 16, (3, 3), (1, 1), 1),  # several images per tile
        ((9, 26, 26, 1), 32, (9, 9), (1, 1), 1),
        ((5, 14, 14, 24), 20, (1, 1), (1, 1), 2),  # read in place, in groups
        ((5, 14, 14, 24), 20, (1, 1), (2, 2), 1),
        ((40, 13, 13, 12), 24, (3, 3), (2, 2), 4),
    ],
)
def test_convolution_of_the_usual_sizes(shape, filters, size, strides, groups, dtype):
    """Random shapes are always small; these fill several tiles and chunks."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal(shape).astype(dtype)
    w = rng.standard_normal((*size, shape[-1] // groups, filters)).astype(dtype)
    geometry = strides, tuple(k // 2 for k in size for _ in range(2)), (1, 1), groups
    y = reference.conv2d_forward(x.astype(float), w.astype(float), None, *geometry)
    dy = rng.standard_normal(y.shape).astype(dtype)
    for name, arguments in {
        "conv2d_forward": (x, w, None),
        "conv2d_backward_input": (dy, w, shape[1:3]),
        "conv2d_backward_weights": (dy, x, size),
    }.items():
        expected = call(reference, name, (*convert(arguments, np.float64), *geometry))
        assert_close(call(cpu, name, (*arguments, *geometry)), expected, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("N", "K", "F"), [(1, 784, 10), (150, 300, 70), (260, 65, 128), (37, 513, 33), (300, 900, 9)])
def test_dense_of_the_usual_sizes(N, K, F, dtype):
    """There are several blocks of rows, panels of columns and parts of the sum, and the last of each is incomplete."""
    rng = np.random.default_rng(1)
    x, w, b, dy = (rng.standard_normal(shape).astype(dtype) for shape in ((N, K), (K, F), (F,), (N, F)))
    for name, arguments in {
        "dense_forward": (x, w, b),
        "dense_backward_input": (dy, w),
        "dense_backward_weights": (dy, x),
    }.items():
        expected = call(reference, name, convert(arguments, np.float64))
        assert_close(call(cpu, name, arguments), expected, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pool_of_ties_infinities_and_nan(dtype):
    """The winner is the same as the reference's where a plain comparison would be wrong."""
    rng = np.random.default_rng(2)
    x = rng.choice([0, 1, -np.inf, np.inf, np.nan], (6, 9, 8, 5)).astype(dtype)
    for size, strides, pads in [
        ((2, 2), (2, 2), (0, 0, 0, 0)),
        ((3, 3), (2, 1), (2, 1, 1, 2)),
        ((1, 2), (1, 1), (0,) * 4),
    ]:
        for a, e in zip(
            cpu.max_pool2d_forward(x, size, strides, pads),
            reference.max_pool2d_forward(x, size, strides, pads),
            strict=True,
        ):
            np.testing.assert_array_equal(a, e, strict=True)


def test_pool_with_more_taps_than_a_byte_counts():
    x = np.random.default_rng(3).standard_normal((2, 20, 20, 3)).astype(np.float32)
    for size in [(16, 16), (17, 16)]:
        y, argmax = cpu.max_pool2d_forward(x, size, (1, 1), (0, 0, 0, 0))
        assert argmax.dtype == argmax_dtype(size)
        expected = reference.max_pool2d_forward(x, size, (1, 1), (0, 0, 0, 0))
        np.testing.assert_array_equal(y, expected[0])
        np.testing.assert_array_equal(argmax, expected[1], strict=True)
        dx = cpu.max_pool2d_backward(y, argmax, (20, 20), size, (1, 1), (0, 0, 0, 0))
        np.testing.assert_allclose(
            dx, reference.max_pool2d_backward(*expected, (20, 20), size, (1, 1), (0, 0, 0, 0)), rtol=1e-5
        )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_visible(bad):
    """A diverging model must be noticed, so fast arithmetic must not assume that NaN and infinity never occur."""
    x = np.ones((3, 4, 4, 2), np.float32)
    x[1, 2, 2, 1] = bad
    w, ones = np.ones((3, 3, 2, 2), np.float32), np.ones(2, np.float32)
    geometry = (1, 1), (1, 1, 1, 1), (1, 1), 1
    calls = {
        "conv2d_forward": (x, w, None, *geometry),
        "conv2d_backward_input": (x, w, (4, 4), *geometry),
        "conv2d_backward_weights": (x, x, (3, 3), *geometry),
        "dense_forward": (x.reshape(3, -1), np.ones((32, 5), np.float32), None),
        "relu_forward": (x,),
        "relu_backward": (x, np.ones_like(x)),
        "leaky_relu_forward": (x, 0.2),
        "elu_forward": (x, 1.0),
        "sigmoid_forward": (x,),
        "tanh_forward": (x,),
        "gelu_forward": (x,),
        "gelu_backward": (np.ones_like(x), x),
        "average_pool2d_forward": (x, (2, 2), (2, 2), (1, 1, 1, 1)),
        "average_pool2d_backward": (x, (8, 8), (2, 2), (2, 2), (0, 0, 0, 0)),
        "dropout": (x, 0.0, 1, 1),
        "gaussian_noise": (x, 0.5, 1, 1),
        "softmax_forward": (x,),
        "softmax_cross_entropy_forward": (x.reshape(3, -1), np.array([0, 13, 1])),
        "categorical_cross_entropy_forward": (x.reshape(3, -1), np.full((3, 32), 1 / 32, np.float32)),
        "mean_squared_error_forward": (x.reshape(3, -1), np.zeros((3, 32), np.float32)),
        "gradient_norm": (x,),
        "scale_gradient": (x, 2.0),
        "batch_norm_forward": (x, ones, ones, 1e-3),
        "batch_norm_inference_forward": (x, ones, ones, ones, ones, 1e-3),
    }
    for name, arguments in calls.items():
        with np.errstate(invalid="ignore"):
            expected = call(reference, name, arguments)
            actual = call(cpu, name, arguments)
        for a, e in zip(actual, expected, strict=True):
            np.testing.assert_array_equal(np.isfinite(a), np.isfinite(e), err_msg=name)
            np.testing.assert_array_equal(np.isnan(a), np.isnan(e), err_msg=name)
    assert np.isnan(cpu.relu_forward(np.full(5, np.nan))).all()
    for backend in (cpu, reference):
        np.testing.assert_array_equal(backend.clip_gradient(np.array([np.nan, np.inf, -np.inf]), 2.0), [np.nan, 2, -2])
    assert not np.isfinite(cpu.softmax_forward(x)[1, 2, 2]).any()


def test_batch_norm_does_not_cancel():
    """With a mean far from zero, the difference of two large squares would lose the variance altogether."""
    x = (1e4 + np.random.default_rng(4).standard_normal((50_000, 3))).astype(np.float32)
    ones = np.ones(3, np.float32)
    _, mean, variance = cpu.batch_norm_forward(x, ones, ones, 1e-3)
    np.testing.assert_allclose(mean, x.mean(axis=0, dtype=float), rtol=1e-7)
    np.testing.assert_allclose(variance, x.var(axis=0, dtype=float), rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_running_averages_have_the_bits_of_the_reference(dtype):
    """Each product rounds by itself, so a running average does not depend on which processor could fuse it."""
    rng = np.random.default_rng(0)
    start, batches = rng.standard_normal(1000).astype(dtype), rng.standard_normal((5, 1000)).astype(dtype)
    ours, expected = start.copy(), start.copy()
    for batch in batches:
        cpu.move_average(ours, batch, 0.99)
        reference.move_average(expected, batch, 0.99)
    np.testing.assert_array_equal(ours, expected, strict=True)
    assert not np.array_equal(ours, start)


ONE_BY_ONE = (1, 1), (0, 0, 0, 0), (1, 1)  # strides, pads, dilation
IMAGE, WEIGHTS = np.ones((1, 4, 4, 3)), np.ones((3, 3, 1, 4))
TWO = np.ones(2)


@pytest.mark.parametrize(
    ("error", "message", "name", "arguments"),
    [
        (TypeError, "x must be float32 or float64", "relu_forward", (np.ones(3, int),)),
        (TypeError, "x must be a NumPy array", "relu_forward", ([1.0, 2.0],)),
        (TypeError, "w must be float32", "dense_forward", (np.ones((2, 3), np.float32), np.ones((3, 4)), None)),
        (ValueError, "do not fit", "dense_forward", (np.ones((2, 3)), np.ones((4, 4)), None)),
        (ValueError, "b must have shape", "dense_forward", (np.ones((2, 3)), np.ones((3, 4)), np.ones(3))),
        (ValueError, "x must have 4 dim", "max_pool2d_forward", (np.ones((2, 3)), (2, 2), (2, 2), (0,) * 4)),
        (ValueError, "smaller than the window", "max_pool2d_forward", (IMAGE, (2, 2), (2, 2), (2, 0, 0, 0))),
        (TypeError, "strides must be 2 integers", "max_pool2d_forward", (IMAGE, (2, 2), (2.5, 2), (0,) * 4)),
        (ValueError, "labels must lie", "softmax_cross_entropy_forward", (np.ones((2, 3)), np.array([0, 3]))),
        (TypeError, "labels", "softmax_cross_entropy_forward", (np.ones((2, 3)), np.array([0.0, 1.0]))),
        (ValueError, "groups must divide", "conv2d_forward", (IMAGE, WEIGHTS, None, *ONE_BY_ONE, 2)),
        (TypeError, "groups must be", "conv2d_backward_input", (IMAGE, WEIGHTS, (6, 6), *ONE_BY_ONE, 1.5)),
        (ValueError, "channels per group", "conv2d_forward", (IMAGE, WEIGHTS, None, *ONE_BY_ONE, 1)),
        (ValueError, "smaller than the window", "conv2d_forward", (IMAGE[:, :2, :, :1], WEIGHTS, None, *ONE_BY_ONE, 1)),
        (ValueError, "dy must have shape", "conv2d_backward_input", (IMAGE, WEIGHTS, (9, 9), *ONE_BY_ONE, 1)),
        (ValueError, "no values", "batch_norm_forward", (np.ones((0, 2)), TWO, TWO, 1e-3)),
        (ValueError, "no values", "batch_norm_backward", (np.ones((0, 2)), np.ones((0, 2)), TWO, TWO, TWO, 1e-3)),
        (ValueError, "moving must have shape", "move_average", (np.ones(3), TWO, 0.9)),
        (ValueError, "smaller than the window", "average_pool2d_forward", (IMAGE, (2, 2), (2, 2), (2, 0, 0, 0))),
        (ValueError, "dy must have", "average_pool2d_backward", (IMAGE, (6, 6), (2, 2), (2, 2), (0,) * 4)),
        (ValueError, "x must have shape", "gelu_backward", (TWO, np.ones(3))),
        (ValueError, "rate", "dropout", (TWO, 1.0, 0, 0)),
        (ValueError, "stddev", "gaussian_noise", (TWO, -0.5, 0, 0)),
        (ValueError, "shares must have shape", "categorical_cross_entropy_forward", (np.ones((2, 3)), np.ones((2, 1)))),
        (ValueError, "targets must have shape", "mean_squared_error_forward", (np.ones((2, 3)), np.ones((1, 3)))),
        (ValueError, "m must have shape", "adam_update", (TWO, TWO, np.ones(3), TWO, 1, 0.1, 0.9, 0.99, 1e-7)),
    ],
)
def test_errors_name_the_argument(error, message, name, arguments):
    with pytest.raises(error, match=message):
        getattr(cpu, name)(*arguments)


@pytest.mark.parametrize("backend", [cpu, reference])
def test_a_class_without_a_share_may_have_any_logit(backend):
    """0 times infinity is NaN, but a class without a share does not contribute to the loss."""
    losses, p = backend.categorical_cross_entropy_forward(np.array([[0.0, -np.inf, 0.0]]), np.array([[0.5, 0.0, 0.5]]))
    np.testing.assert_allclose(losses, np.log(2))
    np.testing.assert_allclose(p, [[0.5, 0, 0.5]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", [cpu, reference])
def test_centered_rmsprop_survives_a_gradient_that_does_not_change(backend, dtype):
    """The variance is then 0, and rounding may make it negative, so that its root would be NaN."""
    w, mean_square, mean = np.zeros((3, 5), dtype)
    for gradient in [np.array([10, 0.1, 1e3, 7, 3], dtype)] * 400:
        backend.rmsprop_update(w, gradient, mean_square, mean, None, 1e-3, 0.9, 0.0, 1e-7)
    assert np.isfinite(w).all()


def test_a_wrong_out_is_refused():
    for backend in (cpu, reference):
        with pytest.raises(ValueError, match="out"):
            backend.relu_forward(np.ones((2, 3)), out=np.ones((3, 2)))
        with pytest.raises(TypeError):
            backend.relu_forward(np.ones((2, 3)), out=np.ones((2, 3), np.float32))


def test_updates_reach_arrays_of_any_layout():
    rng = np.random.default_rng(5)
    big = rng.standard_normal((6, 8)).astype(np.float32)
    parameter, gradient = big[:, ::2], rng.standard_normal((6, 4)).astype(np.float32)
    expected = parameter - np.float32(0.5) * gradient
    untouched = big[:, 1::2].copy()
    cpu.sgd_update(parameter, gradient, None, 0.5, 0.0, False)
    np.testing.assert_allclose(big[:, ::2], expected, rtol=1e-6)
    np.testing.assert_array_equal(big[:, 1::2], untouched)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("K", "F"), [(1, 1), (16, 16), (15, 33), (130, 20), (257, 64), (48, 300)])
def test_a_transposed_matrix_has_every_number_in_its_place(K, F, dtype):
    """For the rows of the identity, the input gradients of a dense layer are exactly w transposed."""
    w = np.random.default_rng(0).normal(size=(K, F)).astype(dtype)
    np.testing.assert_array_equal(cpu.dense_backward_input(np.eye(F, dtype=dtype), w), w.T)


@pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT), reason="the product's Python form is BLAS, whose sums depend on sizes"
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("K", "F"), [(1030, 100), (40, 40)])
def test_a_dense_row_has_the_same_bits_among_many_rows(dtype, K, F):
    """With few rows w is read in place, and with many rows from a copy."""
    rng = np.random.default_rng(0)
    x, w, b = (rng.normal(size=shape).astype(dtype) for shape in ((130, K), (K, F), (F,)))
    many = cpu.dense_forward(x, w, b)
    for rows in (1, 8, 9):
        np.testing.assert_array_equal(cpu.dense_forward(x[:rows], w, b), many[:rows])
