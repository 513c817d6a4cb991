"""Dropout."""

from typing import Any, NamedTuple

import numpy as np

from .._checks import integer, real
from .._types import Array, Shape
from ..workspace import Workspace
from .base import Layer


class DropoutCache(NamedTuple):
    """``step``: which mask was used; the mask itself is recomputed."""

    step: int


class Dropout(Layer):
    """Zero each number with probability ``rate`` in training, and scale the others so that the mean stays.

    The mask is a hash of (seed, step, element): nothing is stored, and it is the same on every backend.
    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.

    Parameters
    ----------
    rate : float in [0, 1)
        Share of numbers set to zero.
    seed : int, optional
        By default drawn from the model's seed.
    **base
        ``name``, ``input_shape``, ``trainable``: see :class:`Layer`.

    Examples
    --------
    >>> from tinycnn import layers
    >>> layers.Dropout(0.5).output_shape((100,))
    (100,)
    """

    def __init__(self, rate: float, seed: int | None = None, **base: Any) -> None:
        super().__init__(**base)
        self.rate = real(rate, "rate", 0, below=1)
        self.seed = None if seed is None else integer(seed, "seed", minimum=0)

    def create(self, input_shape: Shape, rng: np.random.Generator) -> None:
        drawn = int(rng.integers(2**63))
        self.mask_seed = drawn if self.seed is None else self.seed

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, DropoutCache | None]:
        self.check_input(x)
        if not training:
            return x, None
        return self._mask(x, step, self.result(ws, len(x), training=True)), DropoutCache(step)

    def backward(self, dy: Array, cache: DropoutCache, *, ws: Workspace | None = None) -> Array:
        self.check_gradient(dy)
        return self._mask(dy, cache.step, None if ws is None else dy)

    def _mask(self, x: Array, step: int, out: Array | None) -> Array:
        return self.kernels.dropout(x, self.rate, self.mask_seed, step, out=out)
