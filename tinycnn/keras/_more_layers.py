"""Layers of Keras's that the engine does not have and that its kernels can do: ``SeparableConv2D`` and ``Permute``."""

from typing import Any, NamedTuple

import numpy as np

from .. import activations
from .. import initializers as engine_initializers
from .. import regularizers as engine_regularizers
from ..core.checks import boolean, integer, items
from ..core.checks import shape as checked_shape
from ..core.messages import shown
from ..core.types import Array, Shape
from ..core.workspace import Workspace
from ..layers import DepthwiseConv2D, Layer
from ..layers.base import Nothing
from ..layers.conv import image_size

#: Strides, pads, dilation, groups and algorithm of a convolution that sees one pixel.
_ONE_PIXEL = (1, 1), (0, 0, 0, 0), (1, 1), 1, "auto"


class SeparableCache(NamedTuple):
    """``x``: the input; ``between``: the result of the depthwise half; ``kept``: what the activation's slope needs."""

    x: Array
    between: Array
    kept: Array | None


class SeparableConv2D(Layer):
    """Filter each channel by itself, then mix the channels pixel by pixel.

    ``y = activation(pointwise(depthwise(x)) + b)``: a :class:`tinycnn.layers.DepthwiseConv2D` without a bias and a 1×1
    convolution. Images (N, H, W, C) become results (N, OH, OW, F). The weights are, in Keras's order, the depthwise
    kernel (KH, KW, C, M), the pointwise kernel (1, 1, C*M, F), and the bias (F,).

    Source: Chollet, "Xception: deep learning with depthwise separable convolutions", 2017.

    Parameters
    ----------
    filters : int
        F, the number of channels of the result.
    kernel_size : int or (int, int)
        KH and KW.
    strides, padding, dilation_rate, depth_multiplier
        As for :class:`tinycnn.layers.DepthwiseConv2D`.
    activation : str or ActivationFunction, optional
        The function that is applied last; by default none.
    use_bias : bool
        Whether b is added.
    depthwise_initializer, pointwise_initializer, bias_initializer : str or Initializer
        The rules for the first values.
    depthwise_regularizer, pointwise_regularizer, bias_regularizer : str or Regularizer, optional
        Penalties on large weights.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes.

    Examples
    --------
    >>> from tinycnn.keras import layers
    >>> layers.SeparableConv2D(16, 3, padding="same").output_shape((28, 28, 8))
    (28, 28, 16)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = (1, 1),
        padding: str = "valid",
        dilation_rate: int | tuple[int, int] = (1, 1),
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.filters = integer(filters, "filters")
        #: The depthwise half, for its rules of shapes alone: its weights are this layer's own.
        self._depthwise = DepthwiseConv2D(kernel_size, strides, padding, depth_multiplier, dilation_rate)
        for name in ("kernel_size", "strides", "padding", "dilation_rate", "depth_multiplier"):
            setattr(self, name, getattr(self._depthwise, name))
        self.activation = activations.get(activation)
        self.use_bias = boolean(use_bias, "use_bias")
        self.depthwise_initializer = engine_initializers.get(depthwise_initializer, "depthwise_initializer")
        self.pointwise_initializer = engine_initializers.get(pointwise_initializer, "pointwise_initializer")
        self.bias_initializer = engine_initializers.get(bias_initializer, "bias_initializer")
        self.depthwise_regularizer = engine_regularizers.get(depthwise_regularizer, "depthwise_regularizer")
        self.pointwise_regularizer = engine_regularizers.get(pointwise_regularizer, "pointwise_regularizer")
        self.bias_regularizer = engine_regularizers.get(bias_regularizer, "bias_regularizer")

    def output_shape(self, input_shape: Shape) -> Shape:
        image_size(self, input_shape)  # an error is about this layer, not about its half
        return (*self._depthwise.output_shape(input_shape)[:2], self.filters)

    def create(self, input_shape: Shape, rng: np.random.Generator) -> None:
        size, channels = image_size(self, input_shape)
        self.window = self._depthwise.window_over(size)
        between = channels * self._depthwise.depth_multiplier
        depthwise = (*self._depthwise.kernel_size, channels, self._depthwise.depth_multiplier)
        pointwise = (1, 1, between, self.filters)
        self.add_parameter("depthwise_kernel", depthwise, self.depthwise_initializer, rng, self.depthwise_regularizer)
        self.add_parameter("pointwise_kernel", pointwise, self.pointwise_initializer, rng, self.pointwise_regularizer)
        if self.use_bias:
            self.add_parameter("bias", (self.filters,), self.bias_initializer, rng, self.bias_regularizer)

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, SeparableCache | None]:
        self.check_input(x)
        between = self.kernels.conv2d_forward(
            *(x, self._channelwise("value"), None, *self._geometry()),
            out=self._between("between", len(x), ws),
            work=ws and ws.scratch(),
        )
        bias = self.params["bias"].value if self.use_bias else None
        z = self.kernels.conv2d_forward(
            *(between, self.params["pointwise_kernel"].value, bias, *_ONE_PIXEL),
            out=self.result(ws, len(x), training=training),
            work=ws and ws.scratch(),
        )
        keeps_x = training and self.activation.keeps == "x"
        out = z if not keeps_x else None if ws is None else ws.keep(self, "activated", z.shape, self.dtype)
        y = self.activation.forward(self.kernels, z, out=out)
        return y, (SeparableCache(x, between, self.activation.to_keep(z, y)) if training else None)

    def backward(self, dy: Array, cache: SeparableCache, *, ws: Workspace | None = None) -> Array:
        dbetween = self._backward_weights(dy, cache, ws)
        return self.kernels.conv2d_backward_input(
            *(dbetween, self._channelwise("value"), self.built_input_shape[:2], *self._geometry()),
            out=self.input_gradient(ws, len(dy)),
            work=ws and ws.scratch(),
        )

    def backward_parameters(self, dy: Array, cache: SeparableCache, *, ws: Workspace | None = None) -> None:
        self._backward_weights(dy, cache, ws)

    def _backward_weights(self, dy: Array, cache: SeparableCache, ws: Workspace | None) -> Array:
        """Write the gradients of the weights, and return that of what lies between the two halves."""
        self.check_gradient(dy)
        dz = self.activation.backward(self.kernels, dy, cache.kept, out=None if ws is None else dy)
        pointwise, bias = self.params["pointwise_kernel"], self.params.get("bias")
        unused = self.backend.empty(self.filters, dz.dtype) if bias is None else bias.grad
        self.kernels.conv2d_backward_weights(
            *(dz, cache.between, (1, 1), *_ONE_PIXEL), out=(pointwise.grad, unused), work=ws and ws.scratch()
        )
        dbetween = self.kernels.conv2d_backward_input(
            *(dz, pointwise.value, self.built_output_shape[:2], *_ONE_PIXEL),
            out=self._between("dbetween", len(dz), ws),
            work=ws and ws.scratch(),
        )
        no_bias = self.backend.empty(dbetween.shape[-1], dz.dtype)
        self.kernels.conv2d_backward_weights(
            *(dbetween, cache.x, self._depthwise.kernel_size, *self._geometry()),
            out=(self._channelwise("grad"), no_bias),
            work=ws and ws.scratch(),
        )
        return dbetween

    def _channelwise(self, part: str) -> Array:
        """Return a view of the depthwise kernel, or its gradient, as kernels take it: (KH, KW, 1, C*M)."""
        kernel: Array = getattr(self.params["depthwise_kernel"], part)
        return kernel.reshape(*kernel.shape[:2], 1, -1)

    def _geometry(self) -> tuple[Any, ...]:
        """Return strides, pads, dilation, groups and algorithm of the depthwise half."""
        assert self.window is not None
        half = self._depthwise
        return half.strides, self.window.pads, half.dilation_rate, self.built_input_shape[2], "auto"

    def _between(self, name: str, batch: int, ws: Workspace | None) -> Array | None:
        """Return memory for what lies between the two halves, or None for a fresh array."""
        channels = self.built_input_shape[2] * self._depthwise.depth_multiplier
        return None if ws is None else ws.keep(self, name, (batch, *self.built_output_shape[:2], channels), self.dtype)


class Permute(Layer):
    """Put the axes of each sample into another order: ``y[n] = x[n].transpose(order)``.

    Parameters
    ----------
    dims : tuple of int
        The axes of the input in their new order, counted from 1, because 0 is the batch axis.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes.

    Examples
    --------
    >>> from tinycnn.keras import layers
    >>> layers.Permute((3, 1, 2)).output_shape((28, 20, 8))
    (8, 28, 20)
    """

    def __init__(self, dims: Shape, **base: Any) -> None:
        super().__init__(**base)
        self.dims = tuple(integer(axis, "dims") for axis in items(dims, "dims", "axes, counted from 1"))
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(f"dims must hold each axis once, counted from 1, such as (2, 1, 3); got {shown(dims)}")

    def output_shape(self, input_shape: Shape) -> Shape:
        input_shape = checked_shape(input_shape, "input_shape")
        if len(input_shape) != len(self.dims):
            raise ValueError(
                f"{self.label}: dims={self.dims} is for samples of {len(self.dims)} axes; got shape {input_shape}"
            )
        return tuple(input_shape[axis - 1] for axis in self.dims)

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, Nothing | None]:
        self.check_input(x)
        return self._copied(x.transpose(0, *self.dims), self.result(ws, len(x), training=training)), (
            Nothing() if training else None
        )

    def backward(self, dy: Array, cache: Nothing, *, ws: Workspace | None = None) -> Array:
        self.check_gradient(dy)
        back = sorted(range(1, len(self.dims) + 1), key=lambda place: self.dims[place - 1])
        return self._copied(dy.transpose(0, *back), self.input_gradient(ws, len(dy)))

    def _copied(self, view: Array, out: Array | None) -> Array:
        """Return a view's numbers in an array of their own, in memory order."""
        if out is None:
            out = self.backend.empty(view.shape, view.dtype)
        out[...] = view
        return out
