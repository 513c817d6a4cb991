"""Layers that disturb their input in training: dropout and Gaussian noise."""

import math
from typing import Any, NamedTuple

import numpy as np

from ..core.checks import integer, real
from ..core.seeding import step_for_kernels
from ..core.types import Array, Shape
from ..core.workspace import Workspace
from .base import Layer, Nothing

#: The rate that kernels are given for rate 1, which they refuse because they divide by ``1 - rate``. They compare draws
#: of 24 bits with the rounded rate, so this one keeps nothing either.
_ALL = 1 - 2.0**-26


class DropoutCache(NamedTuple):
    """``step``: the step whose mask was used; the mask itself is computed again."""

    step: int


class _Noise(Layer):
    """Base of the layers with noise, which have a seed; kernels compute the noise of each step and element from it.

    Parameters
    ----------
    seed : int or None
        The seed; None draws one from the model's seed.
    """

    def __init__(self, seed: int | None, **base: Any) -> None:
        super().__init__(**base)
        self.seed = None if seed is None else integer(seed, "seed", minimum=0)

    def create(self, input_shape: Shape, rng: np.random.Generator) -> None:
        drawn = int(rng.integers(2**63))
        self.noise_seed = drawn if self.seed is None else self.seed


class Dropout(_Noise):
    """Set each number to 0 with probability ``rate`` in training, and scale the others so that the mean stays.

    The numbers that remain are multiplied by ``1 / (1 - rate)``; with rate 1 none remains. In inference the
    layer changes nothing. Input and
    result have the same shape, (N, …). The mask is a hash of (seed, step, element), so nothing is stored and every
    backend has the same mask.

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.

    Parameters
    ----------
    rate : float in [0, 1]
        The share of numbers that are set to 0.
    seed : int, optional
        The seed of the masks; by default it is drawn from the model's seed.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes: see :class:`Layer`.

    Raises
    ------
    ValueError
        If ``rate`` is out of range or ``seed`` is negative.

    Examples
    --------
    >>> from tinycnn import layers
    >>> layers.Dropout(0.5).output_shape((100,))
    (100,)
    """

    changeable = ("rate",)

    def __init__(self, rate: float, seed: int | None = None, **base: Any) -> None:
        super().__init__(seed, **base)
        self.rate = real(rate, "rate", 0, 1)

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, DropoutCache | None]:
        self.check_input(x)
        if not training:
            return self._handed_on(x, ws), None
        return self._mask(x, step, self.result(ws, len(x), training=True)), DropoutCache(step)

    def backward(self, dy: Array, cache: DropoutCache, *, ws: Workspace | None = None) -> Array:
        self.check_gradient(dy)
        return self._mask(dy, cache.step, None if ws is None else dy)

    @property
    def rate_of_kernels(self) -> float:
        """The rate as kernels take it, below 1."""
        return min(self.rate, _ALL)

    def _mask(self, x: Array, step: int, out: Array | None) -> Array:
        """Return x, or a gradient, with the mask of a step applied."""
        return self.kernels.dropout(x, self.rate_of_kernels, self.noise_seed, self.step_of_mask(step), out=out)

    def step_of_mask(self, step: int) -> int:
        """Return the step as kernels take it, for a part of a batch too."""
        return step_for_kernels(self.noise_seed, step, math.prod(self.built_output_shape))


class GaussianNoise(_Noise):
    """Add normally distributed noise to each number in training, and change nothing in inference.

    ``y = x + stddev * n``, where n is standard normal and computed from a hash of (seed, step, element): see
    ``kernels/reference/dropout.py``. The gradient passes unchanged. Input and result have the same shape, (N, …).

    Source: Bishop, "Training with noise is equivalent to Tikhonov regularization", 1995.

    Parameters
    ----------
    stddev : float in [0, 1]
        The standard deviation of the noise.
    seed : int, optional
        The seed of the noise; by default it is drawn from the model's seed.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes: see :class:`Layer`.

    Raises
    ------
    ValueError
        If ``stddev`` is out of range or ``seed`` is negative.

    Examples
    --------
    >>> from tinycnn import layers
    >>> layers.GaussianNoise(0.1).output_shape((28, 28, 1))
    (28, 28, 1)
    """

    changeable = ("stddev",)

    def __init__(self, stddev: float, seed: int | None = None, **base: Any) -> None:
        super().__init__(seed, **base)
        self.stddev = real(stddev, "stddev", 0, 1)

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, Nothing | None]:
        self.check_input(x)
        if not training:
            return self._handed_on(x, ws), None
        out = self.result(ws, len(x), training=True)
        step = step_for_kernels(self.noise_seed, step, 2 * math.prod(self.built_output_shape))
        return self.kernels.gaussian_noise(x, self.stddev, self.noise_seed, step, out=out), Nothing()

    def backward(self, dy: Array, cache: Nothing, *, ws: Workspace | None = None) -> Array:
        self.check_gradient(dy)
        return self._handed_on(dy, ws)
