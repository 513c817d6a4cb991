"""Losses: gradients, stability, refusal of what is no label."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinycnn
from tinycnn import losses, testing
from tinycnn.backend import BACKENDS


@st.composite
def predictions(draw, *, probabilities):
    """(predictions, labels) of a drawn size."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    shape = draw(st.integers(1, 5)), draw(st.integers(2, 6))
    z = rng.normal(size=shape)
    if probabilities:
        z = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return z, rng.integers(0, shape[1], shape[0])


@pytest.mark.parametrize("name", losses.LOSSES)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("from_logits", [True, False])
def test_gradients(name, backend, from_logits):
    @given(predictions(probabilities=not from_logits), st.integers(0, 99))
    def check(case, seed):
        with tinycnn.use_backend(backend):
            testing.check_gradients(losses.LOSSES[name](from_logits=from_logits), *case, seed=seed)

    check()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_extreme_logits(backend, size):
    logits = np.array([[size, 0.0], [0.0, size]], np.float32)
    with tinycnn.use_backend(backend):
        loss = losses.SparseCategoricalCrossentropy(from_logits=True)
        assert loss([0, 1], logits) == (0 if size > 0 else 1e4)


def test_from_probabilities_is_from_logits_of_the_softmax():
    z = np.random.default_rng(0).normal(size=(6, 4))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = [0, 1, 2, 3, 0, 1]
    on_p, on_z = (losses.SparseCategoricalCrossentropy(from_logits=flag) for flag in (False, True))
    assert on_p(y, p) == pytest.approx(on_z(y, z), rel=1e-12)
    assert on_p(y, p) == pytest.approx(-np.log(p[np.arange(6), y]).mean(), rel=1e-12)


def test_a_probability_of_zero_is_a_large_finite_loss():
    assert losses.SparseCategoricalCrossentropy()([0], [[0.0, 1.0]]) == pytest.approx(-np.log(1e-7), rel=1e-3)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1, 2], "expected 2 integer labels"),
        ([[0, 1]], "expected 2 integer labels"),
        ([0, 9], "label 9 is outside 0 … 2"),
        ([0.5, 1], "not whole numbers"),
        ([np.nan, 1], "not whole numbers"),
        (["a", "b"], "expected integer labels"),
        (None, "expected 2 integer labels"),
    ],
)
def test_labels_that_are_none(y, message):
    with pytest.raises(ValueError, match=message):
        losses.SparseCategoricalCrossentropy()(y, [[0.2, 0.3, 0.5]] * 2)


def test_predictions_that_are_images_are_refused():
    with pytest.raises(ValueError, match="end it with Flatten or Dense"):
        losses.SparseCategoricalCrossentropy()([0], np.zeros((1, 2, 2, 3)))
