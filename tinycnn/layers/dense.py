"""The fully connected layer."""

from typing import Any, NamedTuple

import numpy as np

from .. import activations, initializers
from ..core.checks import boolean, integer, shape
from ..core.types import Array, Shape
from ..core.workspace import Workspace
from .base import ActivatedLayer
from .changing import RegularizerOf
from .conv import weight_gradients


class DenseCache(NamedTuple):
    """``x``: the input as a matrix, one row of numbers for each sample or pixel."""

    x: Array


class Dense(ActivatedLayer):
    """Connect every output with every input: ``y = activation(x @ w + b)`` over the last axis.

    The input of shape (N, …, D) becomes a result of shape (N, …, ``units``); w has the shape (D, ``units``). For
    images (N, H, W, C), D is the number of channels C: each pixel is worked on by itself, as by a 1×1 convolution.

    Parameters
    ----------
    units : int
        The length of the result's last axis.
    activation : str or ActivationFunction, optional
        The function that is applied last; by default none.
    use_bias : bool
        Whether b is added.
    kernel_initializer, bias_initializer : str or Initializer
        The rules for the first values of w and b.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        A penalty on large weights, which becomes part of the loss.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes: see :class:`Layer`.

    Raises
    ------
    TypeError, ValueError
        If an argument has a wrong type, is out of range or is an unknown name.

    Examples
    --------
    >>> from tinycnn import layers
    >>> layers.Dense(10).output_shape((784,))
    (10,)
    """

    changeable = ("activation",)
    kernel_regularizer, bias_regularizer = RegularizerOf("kernel"), RegularizerOf("bias")

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.units = integer(units, "units")
        self.activation = activations.get(activation)
        self.use_bias = boolean(use_bias, "use_bias")
        self.kernel_initializer = initializers.get(kernel_initializer, "kernel_initializer")
        self.bias_initializer = initializers.get(bias_initializer, "bias_initializer")
        self.kernel_regularizer, self.bias_regularizer = kernel_regularizer, bias_regularizer

    def output_shape(self, input_shape: Shape) -> Shape:
        return (*shape(input_shape, "input_shape")[:-1], self.units)

    def create(self, input_shape: Shape, rng: np.random.Generator) -> None:
        kernel_shape = (input_shape[-1], self.units)
        self.add_parameter("kernel", kernel_shape, self.kernel_initializer, rng, self.kernel_regularizer)
        if self.use_bias:
            self.add_parameter("bias", (self.units,), self.bias_initializer, rng, self.bias_regularizer)

    def linear_forward(self, x: Array, *, training: bool, ws: Workspace | None) -> tuple[Array, DenseCache | None]:
        self.check_input(x)
        rows = x.reshape(-1, x.shape[-1])
        out = self.result(ws, len(x), training=training)
        y = self.kernels.dense_forward(
            rows,
            self.params["kernel"].value,
            self.params["bias"].value if self.use_bias else None,
            out=None if out is None else out.reshape(-1, self.units),
            work=ws and ws.scratch(),
        )
        return y.reshape(len(x), *self.built_output_shape), (DenseCache(rows) if training else None)

    def linear_backward_input(self, dz: Array, cache: DenseCache, *, ws: Workspace | None) -> Array:
        out = self.input_gradient(ws, len(dz))
        dx = self.kernels.dense_backward_input(
            dz.reshape(-1, self.units),
            self.params["kernel"].value,
            out=None if out is None else out.reshape(-1, out.shape[-1]),
            work=ws and ws.scratch(),
        )
        return dx.reshape(len(dz), *self.built_input_shape)

    def linear_backward_parameters(self, dz: Array, cache: DenseCache, *, ws: Workspace | None) -> None:
        self.kernels.dense_backward_weights(
            dz.reshape(-1, self.units), cache.x, out=weight_gradients(self), work=ws and ws.scratch()
        )
