"""What a recording leaves out comes back to the bit, and where it would not, nothing is left out."""

import numpy as np
import pytest
from recordings import session_of

from tinycnn import Sequential, layers
from tinycnn.explore import protocol
from tinycnn.explore.thinning import as_planes, thinned, without_copies


def pass_of(*parts, x=None):
    """Return the descriptions of some layers and the arrays of a pass through them."""
    model = Sequential([layers.Input((8, 8, 2)), *parts, layers.Flatten(), layers.Dense(4, activation="softmax")])
    session = session_of(model)
    if x is not None:
        session.data = session.data._replace(x_test=x.astype(np.float32))
    return protocol.describe(model)["layers"], session.trace("test-0")[1]


def left_out(*parts, x=None):
    described, arrays = pass_of(*parts, x=x)
    return sorted(set(arrays) - set(thinned(described, arrays)))


def test_a_relu_and_a_pooling_and_its_gradient_follow_from_the_rest():
    assert left_out(layers.Conv2D(3, 3, activation="relu"), layers.MaxPooling2D(2)) == ["0.dy", "0.y", "1.y"]


@pytest.mark.parametrize("name", ["gelu", "leaky_relu", "sigmoid", "tanh", "elu", "linear"])
def test_other_activations_are_kept(name):
    assert left_out(layers.Conv2D(3, 3, activation=name)) == []


def test_the_gradient_of_windows_that_overlap_is_a_sum_and_kept():
    assert left_out(layers.Conv2D(3, 3), layers.MaxPooling2D(3, strides=1)) == ["1.y"]


def test_padded_and_strided_windows():
    parts = layers.Conv2D(3, 3), layers.MaxPooling2D((2, 3), strides=(3, 3), padding="same")
    assert left_out(*parts) == ["0.dy", "1.y"]


def test_zeros_with_a_sign_are_kept():
    """A sum that begins with 0 makes 0 of -0."""
    x = np.full((20, 8, 8, 2), -0.0)
    assert left_out(layers.ZeroPadding2D(0), layers.MaxPooling2D(2), x=x) == ["0.dy"]


def test_missing_numbers_are_kept():
    """A NaN has many bits."""
    described, arrays = pass_of(layers.Conv2D(3, 3, activation="relu"), layers.MaxPooling2D(2))
    arrays["0.z"][3, 3, 0] = arrays["0.y"][3, 3, 0] = np.nan
    assert "0.y" in thinned(described, arrays)


def test_copies_are_named_with_their_own_shapes():
    a = np.arange(6, dtype=np.float32)
    arrays = {"a": a, "b": a.reshape(2, 3), "c": a.astype(np.float64), "d": a.view(np.int32), "e": a + 1}
    kept, copies = without_copies(arrays)
    assert sorted(kept) == ["a", "c", "d", "e"]
    assert copies == {"b": ("a", [2, 3])}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_planes_hold_what_changes_from_row_to_row(dtype):
    rows = np.random.default_rng(0).normal(size=(5, 7)).astype(dtype)
    rows[3] = rows[2]
    planes = as_planes(rows)
    assert planes.shape == (rows.itemsize, 5, 7)
    assert planes.dtype == np.uint8
    assert not planes[:, 3].any()
    whole = np.bitwise_xor.accumulate(planes.transpose(1, 2, 0), axis=0)
    np.testing.assert_array_equal(np.ascontiguousarray(whole).view(dtype)[..., 0], rows)
