"""Arrays on the card have NumPy's names, and their arithmetic does not go through the host."""

import operator

import numpy as np
import pytest
from cuda_backend import cuda, needs_cuda

pytestmark = [pytest.mark.cuda, needs_cuda]


@pytest.fixture
def x():
    return np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def test_there_and_back(x):
    array = cuda.upload(x)
    assert (array.shape, array.dtype, array.ndim, array.size, array.nbytes, len(array)) == (
        (2, 3, 4),
        x.dtype,
        3,
        24,
        96,
        2,
    )
    np.testing.assert_array_equal(array.to_numpy(), x, strict=True)
    np.testing.assert_array_equal(np.asarray(array), x)
    np.testing.assert_array_equal(array.reshape(6, -1).to_numpy(), x.reshape(6, 4))
    assert cuda.upload(np.zeros((0, 3))).to_numpy().shape == (0, 3)
    assert float(cuda.upload(np.float32(2.5))) == 2.5


@pytest.mark.parametrize(
    "index",
    [
        (0,),
        (slice(1, 2),),
        (slice(None), slice(1, 3)),
        (..., 2),
        (1, slice(None, None, 2)),
        (-1, -1, slice(1, 4)),
        (...,),
    ],
)
def test_parts_are_views(x, index):
    array = cuda.upload(x)
    np.testing.assert_array_equal(array[index].to_numpy(), x[index])
    array[index] = 7
    x[index] = 7
    np.testing.assert_array_equal(array.to_numpy(), x)
    array[index] = array[index].copy()
    array[index] = x[index] + 1
    x[index] += 1
    np.testing.assert_array_equal(array.to_numpy(), x)


def test_parts_of_parts(x):
    part = cuda.upload(x)[1][1:]
    np.testing.assert_array_equal(part[:, 1:3].to_numpy(), x[1, 1:, 1:3])
    np.testing.assert_array_equal(part.reshape(-1)[2:6].to_numpy(), x[1, 1:].reshape(-1)[2:6])
    np.testing.assert_array_equal(part.T.to_numpy(), x[1, 1:].T)


@pytest.mark.parametrize(
    "function",
    [
        lambda a: a + a,
        lambda a: a - 2 * a,
        lambda a: 1 - a,
        lambda a: a * a - 1.5,
        lambda a: np.multiply(a, 3, out=a),
    ],
)
def test_arithmetic_stays_on_the_card(x, function, monkeypatch):
    array = cuda.upload(x)
    monkeypatch.setattr(cuda.DeviceArray, "to_numpy", None)
    result = function(array)
    monkeypatch.undo()
    np.testing.assert_array_equal(result.to_numpy(), function(x), strict=True)


def test_in_place(x):
    array = alias = cuda.upload(x)
    array *= 0.5
    array += 2 * array
    assert array is alias
    np.testing.assert_array_equal(array.to_numpy(), 1.5 * x)


def test_everything_else_goes_by_way_of_the_host(x):
    array = cuda.upload(x)
    for result, expected in [
        (np.exp(array), np.exp(x)),
        (np.where(array > 3, array, 0), np.where(x > 3, x, 0)),
        (array**2, x**2),
        (np.concatenate([array, array]), np.concatenate([x, x])),
        (np.zeros_like(array), np.zeros_like(x)),
    ]:
        assert isinstance(result, cuda.DeviceArray)
        np.testing.assert_array_equal(result.to_numpy(), expected)
    assert np.vdot(array, array) == np.vdot(x, x)


@pytest.mark.parametrize(
    "function",
    [
        lambda ours, theirs: ours + theirs,
        lambda ours, theirs: theirs * ours,
        lambda ours, theirs: np.add(theirs, 1, out=ours),
        lambda ours, theirs: np.add(ours, 1, out=theirs),
        lambda ours, theirs: operator.iadd(theirs, ours),
        lambda ours, theirs: operator.matmul(ours[0], theirs[0].T),
        lambda ours, theirs: np.concatenate([ours, theirs]),
        lambda ours, theirs: np.where(theirs > 0, ours, 0),
        lambda ours, theirs: np.sum(ours, out=theirs),
    ],
)
def test_numpy_and_the_card_do_not_mix(x, function):
    ours = cuda.upload(x)
    with pytest.raises(TypeError, match=r"arrays of two backends do not mix: upload .* or fetch"):
        function(ours, x)
    np.testing.assert_array_equal(ours.to_numpy(), np.arange(24).reshape(2, 3, 4))


def test_copies_both_ways_are_no_mixture(x):
    ours, theirs = cuda.upload(np.zeros_like(x)), np.zeros_like(x)
    ours[...] = x
    theirs[...] = ours
    np.testing.assert_array_equal(theirs, x)
    np.copyto(ours, 2 * x)
    np.testing.assert_array_equal(ours.to_numpy(), 2 * x)


def test_memory_is_used_again():
    from tinycnn.kernels.cuda import _device

    first = cuda.empty(12345)
    memory = first.memory
    del first
    assert cuda.empty(12345).memory is memory
    cuda.release_unused()
    assert not _device._pool


def test_wrong_use_is_named(x):
    array = cuda.upload(x)
    with pytest.raises(TypeError, match="indexed by integers and slices"):
        array[np.array([0, 1])]
    with pytest.raises(IndexError, match="index 5"):
        array[5]
    with pytest.raises(ValueError, match="cannot reshape"):
        array.reshape(5, 5)
