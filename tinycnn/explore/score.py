"""The score of a class in place of a loss, so that the gradients of a pass are those of the score."""

from typing import Any

import numpy as np

from ..activations import Sigmoid
from ..core.backend import Backend
from ..core.types import Array, Shape
from ..losses import Loss, LossCache
from ..network.final_activation import ends_in, ends_in_probabilities, last_that_computes
from ..sequential import Sequential


class ClassScore(Loss):
    """A weighted sum of the outputs in place of a loss, so that its gradient is that of a class's score.

    Parameters
    ----------
    from_logits : bool
        False lets the network leave out a final softmax or sigmoid: the score is the number before it.
    """

    name = "class_score"

    def __init__(self, from_logits: bool = False) -> None:
        super().__init__()
        self.from_logits: bool | None = from_logits

    def check_targets(self, y: Any, n: int, output_shape: Shape) -> Array:
        return np.reshape(y, (n, *output_shape))

    def forward(self, y_pred: Array, y_true: Array, backend: Backend) -> tuple[Array, LossCache]:
        weights = y_true.astype(y_pred.dtype)
        return (y_pred * weights).reshape(len(y_pred), -1).sum(axis=1), LossCache(y_pred, weights, None)

    def backward(self, cache: LossCache, weights: Array, backend: Backend) -> Array:
        return cache.targets * weights.reshape(-1, *(1 for _ in cache.targets.shape[1:]))


def targets_of_score(model: Sequential, score: int, image: int, images: int) -> Array:
    """Return the weights of all outputs in :class:`ClassScore`; the mean over the images is the one score."""
    outputs = int(np.prod(model.output_shape))
    if not 0 <= score < outputs:
        raise ValueError(f"score must be the number of an output, from 0 to {outputs - 1}; got {score}")
    weights = np.zeros((images, outputs))
    weights[image, score] = images
    return weights


def compile_for_score(network: Sequential, step: int) -> None:
    """Compile a twin so that its loss is a class's score, without penalties."""
    end = last_that_computes(network.layers)
    score = ClassScore(from_logits=end is None or not ends_in_probabilities(end))
    if end is not None and ends_in(end, Sigmoid):
        score.takes_over = "sigmoid"
    network.compile("sgd", score)
    network.optimizer.iterations = step
    for parameter in network.parameters().values():
        parameter.regularizer = None
