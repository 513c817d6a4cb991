"""Losses of which a part is given for each image, whatever its label is: a gradient, weights, or shares of the classes.

With them a network of one layer is given exactly what somebody wants its backward to be given. They stand at the end of
networks whose images are always passed together, in their order: see ``whole`` in :class:`~.session.Session`.
"""

from typing import Any

import numpy as np

from ..core.backend import Backend
from ..core.types import Array, Shape
from ..losses import CategoricalCrossentropy, LossCache, SparseCategoricalCrossentropy
from .score import ClassScore


class GivenGradient(ClassScore):
    """The sum of all outputs times given numbers, which therefore are its gradient by the outputs.

    Parameters
    ----------
    gradients : (N, \\*output_shape) array
        With fewer or more images than N, they are left out or begin anew.
    """

    name = "given_gradient"

    def __init__(self, gradients: Array) -> None:
        super().__init__()
        self.from_logits = None  # a final softmax stays a layer, with a backward of its own
        self.gradients = gradients

    def check_targets(self, y: Any, n: int, output_shape: Shape) -> Array:
        return n * _for_each(self.gradients, n).reshape(n, *output_shape)  # the mean over the batch divides by n


class WeightedCrossentropy(SparseCategoricalCrossentropy):
    """The sum of the cross-entropies of all images, each times a given weight.

    Parameters
    ----------
    weights : (N,) array
    """

    name = "weighted_crossentropy"

    def __init__(self, weights: Array) -> None:
        super().__init__(from_logits=True)
        self.weights = weights

    def forward(self, y_pred: Array, y_true: Array, backend: Backend) -> tuple[Array, LossCache]:
        losses, cache = super().forward(y_pred, y_true, backend)
        return losses * self._factors(len(losses)), cache

    def backward(self, cache: LossCache, weights: Array, backend: Backend) -> Array:
        return super().backward(cache, weights * self._factors(len(weights)), backend)

    def _factors(self, n: int) -> Array:
        """Return what the losses are multiplied by; the mean over the batch divides by n."""
        return n * _for_each(self.weights, n)


class GivenShares(CategoricalCrossentropy):
    """The cross-entropy for given shares of the classes.

    Parameters
    ----------
    shares : (N, K) array
    """

    name = "given_shares"

    def __init__(self, shares: Array) -> None:
        super().__init__(from_logits=True)
        self.shares = shares

    def check_targets(self, y: Any, n: int, output_shape: Shape) -> Array:
        return super().check_targets(_for_each(self.shares, n), n, output_shape)


def _for_each(given: Array, n: int) -> Array:
    """Return what is given for each of n images."""
    return np.resize(given, (n, *given.shape[1:]))
