"""Strategies for losses together with predictions and targets that fit them."""

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from ... import losses
from ...core.types import Array
from ...losses import Loss
from ._values import SEEDS, Draw, arrays, batches

LossCase = tuple[Loss, Array, Array]
_LOSS_STRATEGIES: dict[type[Loss], Callable[[], st.SearchStrategy[LossCase]]] = {}


def register_loss(loss_class: type[Loss], strategy: Callable[[], st.SearchStrategy[LossCase]]) -> None:
    """Tell :func:`losses_with_inputs` how to draw a loss.

    Parameters
    ----------
    loss_class : type
        The class of the loss.
    strategy : callable
        ``strategy()`` must return a strategy of triples: a loss, float64 predictions, and targets that fit them.
    """
    _LOSS_STRATEGIES[loss_class] = strategy


def losses_with_inputs(*loss_classes: type[Loss]) -> st.SearchStrategy[LossCase]:
    """Draw a loss with drawn settings, float64 predictions (N, …), and targets that fit them.

    Parameters
    ----------
    *loss_classes : type
        The classes to draw from; by default all in :data:`tinycnn.losses.LOSSES`.

    Returns
    -------
    strategy of (Loss, array, array)

    Raises
    ------
    LookupError
        If a class was not given to :func:`register_loss`.
    """
    classes = loss_classes or tuple(losses.LOSSES.values())
    for loss_class in classes:
        if loss_class not in _LOSS_STRATEGIES:
            raise LookupError(
                f"losses_with_inputs does not know how to draw {loss_class.__name__}; say how with "
                "testing.strategies.register_loss(loss_class, strategy)"
            )
    return st.one_of([_LOSS_STRATEGIES[loss_class]() for loss_class in classes])


def _scores(draw: Draw, from_logits: bool) -> tuple[Array, np.random.Generator]:
    """Draw logits or probabilities (N, classes); also return the generator with which to draw targets."""
    rng = np.random.default_rng(draw(SEEDS))
    scores = rng.normal(size=(draw(st.integers(1, 5)), draw(st.integers(2, 6))))
    if not from_logits:
        scores = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return scores, rng


@st.composite
def _sparse_crossentropy(draw: Draw) -> LossCase:
    loss = losses.SparseCategoricalCrossentropy(draw(st.booleans()))
    scores, rng = _scores(draw, loss.from_logits)
    return loss, scores, rng.integers(0, scores.shape[1], len(scores))


@st.composite
def _categorical_crossentropy(draw: Draw) -> LossCase:
    loss = losses.CategoricalCrossentropy(draw(st.booleans()), draw(st.sampled_from([0.0, 0.1, 1.0])))
    scores, rng = _scores(draw, loss.from_logits)
    N, K = scores.shape
    one_hot = draw(st.booleans())
    return loss, scores, np.eye(K)[rng.integers(0, K, N)] if one_hot else rng.dirichlet(np.ones(K), N)


@st.composite
def _binary_crossentropy(draw: Draw) -> LossCase:
    loss = losses.BinaryCrossentropy(draw(st.booleans()), draw(st.sampled_from([0.0, 0.1, 1.0])))
    rng = np.random.default_rng(draw(SEEDS))
    shape = draw(st.sampled_from([(3, 1), (1, 1), (4, 3), (2, 2, 3, 1)]))
    scores = np.asarray(rng.normal(size=shape))
    y_pred = scores if loss.from_logits else 1 / (1 + np.exp(-scores))
    y = rng.integers(0, 2, shape) if draw(st.booleans()) else rng.uniform(size=shape)
    return loss, y_pred, np.asarray(y)


@st.composite
def _mean_squared_error(draw: Draw) -> LossCase:
    # Both are drawn from one seed: two seeds could be equal, so that y_pred equals y and the slope is 0.
    y_pred, y = draw(arrays((2, *draw(batches()))))
    return losses.MeanSquaredError(), y_pred, y


register_loss(losses.SparseCategoricalCrossentropy, _sparse_crossentropy)
register_loss(losses.CategoricalCrossentropy, _categorical_crossentropy)
register_loss(losses.BinaryCrossentropy, _binary_crossentropy)
register_loss(losses.MeanSquaredError, _mean_squared_error)
