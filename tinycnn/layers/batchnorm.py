"""Batch normalisation."""

from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import initializers, regularizers
from ..core.checks import boolean, integer, real
from ..core.types import Array, Shape
from ..core.workspace import Workspace
from .base import Layer
from .changing import RegularizerOf


class BatchNormCache(NamedTuple):
    """What backward needs of forward.

    ``x`` is the input, ``mean`` and ``variance`` are the statistics that it was normalised by, and ``by_batch`` says
    whether these were its own.
    """

    x: Array
    mean: Array
    variance: Array
    by_batch: bool


class BatchNormalization(Layer):
    """Normalise each channel over the batch, then scale by gamma and shift by beta.

    ``y = gamma * (x - mean) / sqrt(variance + epsilon) + beta``. Input and result have the same shape, (N, …, C), and
    there is a mean, a variance, a gamma and a beta for each of the C channels.

    In training, mean and variance are the batch's own, and they also move the running averages
    (``moving = momentum * moving + (1 - momentum) * batch``). In inference, and when the layer is frozen
    (``trainable=False``), the running averages are used instead.

    Source: Ioffe & Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
    shift", 2015, algorithms 1 and 2.

    Parameters
    ----------
    axis : int
        The axis of the channels; only the last one (-1) is supported.
    momentum : float in [0, 1]
        The share of the running averages that is kept from step to step.
    epsilon : float > 0
        A small number that is added to the variance.
    center, scale : bool
        Whether there is a beta, and whether there is a gamma.
    beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer : str or Initializer
        The rules for the first values of beta, of gamma and of the running averages.
    beta_regularizer, gamma_regularizer : str or Regularizer, optional
        A penalty on large values of beta or gamma, which becomes part of the loss.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes: see :class:`Layer`.

    Raises
    ------
    ValueError
        If ``axis`` is not -1, or a number is out of range. In training, also if the batch is empty.

    Examples
    --------
    >>> from tinycnn import layers
    >>> layer = layers.BatchNormalization()
    >>> layer.build((26, 26, 32))
    (26, 26, 32)
    >>> list(layer.weights())
    ['gamma', 'beta', 'moving_mean', 'moving_variance']
    """

    changeable = ("momentum", "epsilon")
    beta_regularizer = RegularizerOf("beta")
    gamma_regularizer = RegularizerOf("gamma")
    _added: ClassVar = {"beta_regularizer": None, "gamma_regularizer": None}

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        if integer(axis, "axis", minimum=-1) != -1:
            raise ValueError(f"axis must be -1, because tinycnn keeps channels last; got {axis}")
        self.axis = -1
        self.momentum = real(momentum, "momentum", 0, 1)
        self.epsilon = real(epsilon, "epsilon", above=0)
        self.center = boolean(center, "center")
        self.scale = boolean(scale, "scale")
        self.beta_initializer = initializers.get(beta_initializer, "beta_initializer")
        self.gamma_initializer = initializers.get(gamma_initializer, "gamma_initializer")
        self.moving_mean_initializer = initializers.get(moving_mean_initializer, "moving_mean_initializer")
        self.moving_variance_initializer = initializers.get(moving_variance_initializer, "moving_variance_initializer")
        self.beta_regularizer = regularizers.get(beta_regularizer, "beta_regularizer")
        self.gamma_regularizer = regularizers.get(gamma_regularizer, "gamma_regularizer")

    def create(self, input_shape: Shape, rng: np.random.Generator) -> None:
        channels = input_shape[-1:]
        if self.scale:
            self.add_parameter("gamma", channels, self.gamma_initializer, rng, self.gamma_regularizer)
        if self.center:
            self.add_parameter("beta", channels, self.beta_initializer, rng, self.beta_regularizer)
        self.add_buffer("moving_mean", channels, self.moving_mean_initializer)
        self.add_buffer("moving_variance", channels, self.moving_variance_initializer)
        # These stand in for a gamma or a beta that the layer does not have.
        self._one = self.constant(channels, initializers.Ones())
        self._zero = self.constant(channels, initializers.Zeros())

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, BatchNormCache | None]:
        self.check_input(x)
        by_batch = training and self.trainable
        y = self.result(ws, len(x), training=training)
        gamma, beta = self.gamma_and_beta()
        if by_batch:
            if x.size == 0:
                raise ValueError(f"{self.label}: an empty batch has no mean; training needs at least one sample")
            out = None if ws is None else (y, *(ws.keep(self, s, gamma.shape, self.dtype) for s in ("mean", "var")))
            y, mean, variance = self.kernels.batch_norm_forward(
                x, gamma, beta, self.epsilon, out=out, work=ws and ws.scratch()
            )
            self._move_averages(mean, variance)
        else:
            _, _, mean, variance, _ = terms = self.inference_terms()
            y = self.kernels.batch_norm_inference_forward(x, *terms, out=y, work=ws and ws.scratch())
        return y, (BatchNormCache(x, mean, variance, by_batch) if training else None)

    def backward(self, dy: Array, cache: BatchNormCache, *, ws: Workspace | None = None) -> Array:
        self.check_gradient(dy)
        k = self.kernels
        kernel = k.batch_norm_backward if cache.by_batch else k.batch_norm_inference_backward
        gamma, _ = self.gamma_and_beta()
        dx = self.input_gradient(ws, len(dy))
        gradients = [
            self.params[name].grad if name in self.params else np.empty_like(gamma) for name in ("gamma", "beta")
        ]
        out = (np.empty_like(dy) if dx is None else dx, *gradients)
        return kernel(dy, cache.x, gamma, cache.mean, cache.variance, self.epsilon, out=out, work=ws and ws.scratch())[
            0
        ]

    def inference_terms(self) -> tuple[Array, Array, Array, Array, float]:
        """Return gamma, beta, moving mean, moving variance and epsilon, which is all that inference needs."""
        buffers = self.buffers
        return *self.gamma_and_beta(), buffers["moving_mean"], buffers["moving_variance"], self.epsilon

    def gamma_and_beta(self) -> tuple[Array, Array]:
        """Return the two parameters, with ones or zeros in place of one that the layer does not have."""
        return (
            self.params["gamma"].value if self.scale else self._one,
            self.params["beta"].value if self.center else self._zero,
        )

    def _move_averages(self, mean: Array, variance: Array) -> None:
        """Move the running averages towards the statistics of a batch."""
        for name, batch in (("moving_mean", mean), ("moving_variance", variance)):
            self.kernels.move_average(self.buffers[name], batch, self.momentum)
