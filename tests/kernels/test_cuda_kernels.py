"""Every cuda kernel is compared with the reference, on a card, or in the simulator with NUMBA_ENABLE_CUDASIM=1."""

import inspect

import hypothesis.strategies as st
import numpy as np
import pytest
from cuda_backend import cuda, needs_cuda
from cuda_cases import CURVES, arguments, converted, results
from hypothesis import given, settings

from tinycnn.kernels import cpu, reference
from tinycnn.kernels.geometry import Window

pytestmark = [pytest.mark.cuda, needs_cuda]

# The largest error over the largest result (or 1): a few roundings of each dtype, and more where sums are long.
TOLERANCE = {np.float32: 3e-5, np.float64: 1e-12}
CASES = arguments()


def call(name, values):
    """Return a kernel's results as NumPy arrays."""
    values = converted(values, values_dtype(values), cuda.upload)
    return [result.to_numpy() for result in results(values, getattr(cuda, name)(*values))]


def values_dtype(values):
    return next(value.dtype for value in values if isinstance(value, np.ndarray) and value.dtype.kind == "f")


def assert_close(actual, expected, dtype):
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        assert a.shape == e.shape
        assert a.dtype == (dtype if e.dtype.kind == "f" else e.dtype)
        np.testing.assert_allclose(a, e, rtol=0, atol=TOLERANCE[dtype] * max(1, np.abs(e).max(initial=0)))


def test_same_names_and_signatures():
    assert sorted(cuda.__all__) == sorted(reference.__all__)
    for name in reference.__all__:
        assert inspect.signature(getattr(cuda, name)) == inspect.signature(getattr(reference, name))
        assert inspect.getdoc(getattr(cuda, name))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(reference.__all__))
def test_like_the_reference(name, dtype):
    assert CASES[name], "every kernel needs a case in cuda_cases.py"
    for values in CASES[name]:
        values = converted(values, dtype)
        exact = converted(values, np.float64)
        expected = results(exact, getattr(reference, name)(*exact))
        assert_close(call(name, values), expected, dtype)


@pytest.mark.parametrize("name", sorted(reference.__all__))
def test_memory_brought_and_bits_repeated(name):
    """Results in ``out``, with scratch memory from ``work``, have the same bits as fresh ones, every time."""
    values = converted(CASES[name][0], np.float32)
    first = call(name, values)
    if "out" not in inspect.signature(getattr(cuda, name)).parameters:
        second = call(name, values)
    else:
        outs = tuple(cuda.upload(np.full_like(array, 3)) for array in first)
        given = converted(values, np.float32, cuda.upload)
        function = getattr(cuda, name)
        returned = function(*given, out=outs if len(outs) > 1 else outs[0], work=cuda.empty)
        for result, out in zip(results(given, returned), outs, strict=True):
            assert result is out
        second = [out.to_numpy() for out in outs]
    for a, b in zip(first, second, strict=True):
        assert a.tobytes() == b.tobytes()


IN_PLACE = ["clip_gradient", "cut_out_images", "dropout", "gaussian_noise", "scale_gradient", "softmax_forward"]


@pytest.mark.parametrize(
    "name",
    [*IN_PLACE, "mean_squared_error_backward", *(f"{f}_{way}" for f in CURVES for way in ("forward", "backward"))],
)
def test_in_place(name):
    values = converted(CASES[name][0], np.float32)
    expected = call(name, values)[0]
    mine = converted(values, np.float32, cuda.upload)
    assert getattr(cuda, name)(*mine, out=mine[0]) is mine[0]
    np.testing.assert_array_equal(mine[0].to_numpy(), expected)


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_convolutions_of_any_geometry(data):
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    size, strides, dilation = data.draw(pair), data.draw(pair), data.draw(st.tuples(*[st.integers(1, 2)] * 2))
    pads, groups = data.draw(st.tuples(*[st.integers(0, 2)] * 4)), data.draw(st.integers(1, 2))
    window = Window(size, strides, pads, dilation)
    least = [max(1, e - a - b) for e, a, b in zip(window.extent(), pads[::2], pads[1::2], strict=True)]
    inputs = tuple(length + data.draw(st.integers(0, 3)) for length in least)
    CG, FG, rng = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 5)), np.random.default_rng(0)
    x, w = rng.standard_normal((2, *inputs, CG * groups)), rng.standard_normal((*size, CG, FG * groups))
    geometry = strides, pads, dilation, groups
    y = reference.conv2d_forward(x, w, None, *geometry)
    for name, values in {
        "conv2d_forward": (x, w, None),
        "conv2d_backward_input": (y, w, inputs),
        "conv2d_backward_weights": (y, x, size),
    }.items():
        expected = getattr(reference, name)(*values, *geometry)
        assert_close(call(name, (*values, *geometry)), results((), expected), np.float64)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_tiles_of_a_card(number, monkeypatch):
    """Other tests use smaller tiles, because each simulated thread is one of Python. One product of each kind."""
    from tinycnn.kernels.cuda import _product

    tile, rng = _product.CARD_TILES[number], np.random.default_rng(0)
    monkeypatch.setattr(_product, "TILES", [tile])
    x, w = rng.standard_normal((1, 3, 3, 2)), rng.standard_normal((3, 3, 2, tile.columns // 2 + 1))
    geometry = (1, 1), (1, 1, 1, 1), (1, 1), 1
    y = reference.conv2d_forward(x, w, None, *geometry)
    for name, values in {
        "conv2d_forward": (x, w, None, *geometry),
        "conv2d_backward_input": (y, w, (3, 3), *geometry),
        "conv2d_backward_weights": (y, x, (3, 3), *geometry),
    }.items():
        assert_close(call(name, values), results((), getattr(reference, name)(*values)), np.float64)


@pytest.mark.parametrize("step", ["naive", "coalesced", "shared memory", "register-blocked"])
def test_every_teaching_step_is_a_convolution(step):
    from tinycnn.kernels.cuda.steps import STEPS

    rng, pads = np.random.default_rng(0), (1, 0, 2, 1)
    x, w = rng.standard_normal((2, 4, 3, 3)), rng.standard_normal((2, 3, 3, 5))
    expected = reference.conv2d_forward(x, w, None, (1, 1), pads, (1, 1), 1)
    y = cuda.upload(np.full_like(expected, np.nan))
    STEPS[step].forward(cuda.upload(x), cuda.upload(w), pads, y)
    assert_close([y.to_numpy()], [expected], np.float64)


def test_the_mask_of_dropout_is_the_same_bit_for_bit():
    x = np.ones(501, np.float32)
    y = cuda.dropout(cuda.upload(x), 0.3, 5, 7).to_numpy()
    assert y.tobytes() == reference.dropout(x, 0.3, 5, 7).astype(np.float32).tobytes()


def test_pool_of_ties_infinities_and_nan():
    """The winner is the same as the reference's where a plain comparison would be wrong."""
    x = np.random.default_rng(2).choice([0, 1, -np.inf, np.inf, np.nan], (2, 6, 5, 3))
    pool = (3, 3), (2, 1), (2, 1, 1, 2)
    for actual, expected in zip(
        call("max_pool2d_forward", (x, *pool)), reference.max_pool2d_forward(x, *pool), strict=True
    ):
        np.testing.assert_array_equal(actual, expected, strict=True)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_visible(bad):
    x = np.ones((2, 3, 3, 1))
    x[1, 2, 2, 0] = bad
    geometry = (1, 1), (1, 1, 1, 1), (1, 1), 1
    for name, values in {
        "conv2d_forward": (x, np.ones((3, 3, 1, 1)), None, *geometry),
        "relu_forward": (x,),
        "batch_norm_forward": (x, np.ones(1), np.ones(1), 1e-3),
        "softmax_cross_entropy_forward": (x.reshape(2, -1), np.array([0, 8])),
        "gradient_norm": (x,),
    }.items():
        with np.errstate(invalid="ignore"):
            expected = results((), getattr(reference, name)(*values))
        for a, e in zip(call(name, values), expected, strict=True):
            np.testing.assert_array_equal(np.isnan(a), np.isnan(e), err_msg=name)


def test_batch_norm_does_not_cancel():
    x = (1e4 + np.random.default_rng(4).standard_normal((300, 2))).astype(np.float32)
    ones = np.ones(2, np.float32)
    _, mean, variance = call("batch_norm_forward", (x, ones, ones, 1e-3))
    np.testing.assert_allclose(mean, x.mean(axis=0, dtype=float), rtol=1e-7)
    np.testing.assert_allclose(variance, x.var(axis=0, dtype=float), rtol=1e-5)


IMAGE, WEIGHTS, TWO = np.ones((1, 4, 4, 3)), np.ones((3, 3, 1, 4)), np.ones(2)
ONE_BY_ONE = (1, 1), (0, 0, 0, 0), (1, 1)


@pytest.mark.parametrize(
    ("error", "message", "name", "values"),
    [
        (ValueError, "groups must divide", "conv2d_forward", (IMAGE, WEIGHTS, None, *ONE_BY_ONE, 2)),
        (ValueError, "channels per group", "conv2d_forward", (IMAGE, WEIGHTS, None, *ONE_BY_ONE, 1)),
        (ValueError, "dy must have shape", "conv2d_backward_input", (IMAGE, WEIGHTS, (9, 9), *ONE_BY_ONE, 1)),
        (ValueError, "smaller than the window", "max_pool2d_forward", (IMAGE, (2, 2), (2, 2), (2, 0, 0, 0))),
        (ValueError, "do not fit", "dense_forward", (np.ones((2, 3)), np.ones((4, 4)), None)),
        (ValueError, "no values", "batch_norm_forward", (np.ones((0, 2)), TWO, TWO, 1e-3)),
        (ValueError, "rate", "dropout", (TWO, 1.0, 0, 0)),
        (ValueError, "m must have shape", "adam_update", (TWO, TWO, np.ones(3), TWO, 1, 0.1, 0.9, 0.99, 1e-7)),
    ],
)
def test_errors_name_the_argument(error, message, name, values):
    with pytest.raises(error, match=message):
        call(name, values)


@pytest.mark.parametrize("name", sorted(reference.__all__))
def test_arrays_of_two_backends_do_not_mix(name):
    """Each argument in turn, and ``out``, is an array of the other backend, in both directions."""
    names = list(inspect.signature(getattr(cuda, name)).parameters)
    values = converted(CASES[name][0], np.float32)
    places = [place for place, value in enumerate(values) if isinstance(value, np.ndarray)]
    assert places
    for place in places:
        foreign = [value if i != place else cuda.upload(value) for i, value in enumerate(values)]
        with pytest.raises(TypeError, match=f"{names[place]} must be a NumPy array"):
            getattr(cpu, name)(*foreign)
        foreign = [values[i] if i == place else v for i, v in enumerate(converted(values, np.float32, cuda.upload))]
        with pytest.raises(TypeError, match=f"{names[place]} must be an array of the cuda backend, not ndarray"):
            getattr(cuda, name)(*foreign)
    if "out" in names:
        expected = results(values, getattr(reference, name)(*values))
        out = expected if len(expected) > 1 else expected[0]
        with pytest.raises(TypeError, match=r"out(\[0\])? must be an array of the cuda backend"):
            getattr(cuda, name)(*converted(values, np.float32, cuda.upload), out=out)
