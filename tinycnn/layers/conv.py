"""Convolution layers: the full convolution and the depthwise one."""

import math
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import activations, initializers, regularizers
from ..core.checks import boolean, choice, integer, pair, shape
from ..core.messages import shown
from ..core.printing import for_print
from ..core.types import Array, Shape
from ..core.workspace import Workspace
from ..kernels.geometry import Window, same_pads
from .base import ActivatedLayer
from .changing import RegularizerOf

#: Limits for a window that is larger than the image: the pixels that it spans in a direction, and those that it reads.
MAX_EXTENT, MAX_TAPS = 4096, 65536


class ConvCache(NamedTuple):
    """``x``: the input."""

    x: Array


class _Convolution2D(ActivatedLayer):
    """Base of the convolutions: a window, weights, and the kernels that slide one over the other.

    Subclasses define :meth:`filters_and_groups` and :meth:`create`. Their parameter ``kernel`` has the shape that Keras
    gives it; seen as (KH, KW, C // groups, F) it is what the kernels take, without a copy.
    """

    changeable: ClassVar[tuple[str, ...]] = ("activation",)
    bias_regularizer = RegularizerOf("bias")

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int],
        padding: str,
        dilation_rate: int | tuple[int, int],
        activation: Any,
        use_bias: bool,
        bias_initializer: Any,
        bias_regularizer: Any,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.kernel_size = pair(kernel_size, "kernel_size")
        self.strides = pair(strides, "strides")
        self.padding = choice(padding, ("valid", "same"), "padding")
        self.dilation_rate = pair(dilation_rate, "dilation_rate")
        self.activation = activations.get(activation)
        self.use_bias = boolean(use_bias, "use_bias")
        self.bias_initializer = initializers.get(bias_initializer, "bias_initializer")
        self.bias_regularizer = bias_regularizer

    #: How the backend computes the layer; see :class:`Conv2D`.
    algorithm = "auto"

    def filters_and_groups(self, channels: int) -> tuple[int, int]:
        """Return F and the number of groups for an input of C channels; raise a ValueError where none fit."""
        raise NotImplementedError

    def output_shape(self, input_shape: Shape) -> Shape:
        size, channels = image_size(self, input_shape)
        filters, _ = self.filters_and_groups(channels)
        return (*fitting_output_size(self, self.window_over(size), size), filters)

    def window_over(self, size: tuple[int, int]) -> Window:
        """Return the window with the pads that it needs on an image of ``size``."""
        pads = (0, 0, 0, 0)
        if self.padding == "same":
            pads = same_pads(size, self.kernel_size, self.strides, self.dilation_rate)
        return Window(self.kernel_size, self.strides, pads, self.dilation_rate)

    def create_weights(
        self,
        input_shape: Shape,
        kernel_shape: Shape,
        initializer: initializers.Initializer,
        regularizer: regularizers.Regularizer | None,
        rng: np.random.Generator,
    ) -> None:
        """Fix the window, and make the kernel and the bias."""
        size, channels = image_size(self, input_shape)
        self.window = self.window_over(size)
        self.add_parameter("kernel", kernel_shape, initializer, rng, regularizer)
        if self.use_bias:
            filters, _ = self.filters_and_groups(channels)
            self.add_parameter("bias", (filters,), self.bias_initializer, rng, self.bias_regularizer)

    def linear_forward(self, x: Array, *, training: bool, ws: Workspace | None) -> tuple[Array, ConvCache | None]:
        self.check_input(x)
        y = self.kernels.conv2d_forward(
            x,
            self._hwio(self.params["kernel"].value),
            self.params["bias"].value if self.use_bias else None,
            *self._geometry(),
            out=self.result(ws, len(x), training=training),
            work=ws and ws.scratch(),
        )
        return y, (ConvCache(x) if training else None)

    def linear_backward_input(self, dz: Array, cache: ConvCache, *, ws: Workspace | None) -> Array:
        return self.kernels.conv2d_backward_input(
            dz,
            self._hwio(self.params["kernel"].value),
            self.built_input_shape[:2],
            *self._geometry(),
            out=self.input_gradient(ws, len(dz)),
            work=ws and ws.scratch(),
        )

    def linear_backward_parameters(self, dz: Array, cache: ConvCache, *, ws: Workspace | None) -> None:
        kernel, bias = weight_gradients(self)
        self.kernels.conv2d_backward_weights(
            dz,
            cache.x,
            self.kernel_size,
            *self._geometry(),
            out=(self._hwio(kernel), bias),
            work=ws and ws.scratch(),
        )

    def _hwio(self, kernel: Array) -> Array:
        """Return a view of the kernel in the shape that kernels take: (KH, KW, C // groups, F)."""
        channels = self.built_input_shape[2]
        filters, groups = self.filters_and_groups(channels)
        return kernel.reshape(*self.kernel_size, channels // groups, filters)

    def _geometry(self) -> tuple[Any, ...]:
        """Return strides, pads, dilation, groups and algorithm, as kernels take them."""
        assert self.window is not None
        _, groups = self.filters_and_groups(self.built_input_shape[2])
        return self.strides, self.window.pads, self.dilation_rate, groups, self.algorithm


class Conv2D(_Convolution2D):
    """Slide F filters of KH×KW pixels over an image; each filter gives one channel of the result.

    ``y[n,i,j,f] = activation(b[f] + sum_{p,q,c} xpad[n, i*s + p*d, j*s + q*d, c] * w[p,q,c,f])``, where s is the
    stride, d the dilation rate and xpad the image with its pads. Images of shape (N, H, W, C) become results of shape
    (N, OH, OW, F); w has the shape (KH, KW, C // groups, F).

    Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998. The arithmetic is in
    ``kernels/reference/conv.py``.

    Parameters
    ----------
    filters : int
        F, the number of filters and of the result's channels.
    kernel_size : int or (int, int)
        KH and KW, the height and the width of the filters in pixels.
    strides : int or (int, int)
        The number of pixels from one window to the next.
    padding : {"valid", "same"}
        With ``valid``, windows lie inside the image. With ``same``, zeros are put around it so that
        OH = ceil(H / stride).
    dilation_rate : int or (int, int)
        The number of pixels from one tap of the window to the next.
    groups : int
        The number of groups into which channels and filters are cut. A filter sees only the channels of its own group.
        It has to divide both numbers.
    activation : str or ActivationFunction, optional
        The function that is applied last; by default none.
    use_bias : bool
        Whether b is added.
    kernel_initializer, bias_initializer : str or Initializer
        The rules for the first values of w and b.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        A penalty on large weights, which becomes part of the loss.
    algorithm : {"auto", "direct", "winograd", "im2col"}
        How the ``cpu`` backend computes the layer. ``auto`` chooses by the shapes; the others are for comparison, and
        their results differ in rounding. ``winograd`` is only for 3×3 kernels with stride 1, without dilation and
        groups. Other backends have one way each and ignore this argument.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes: see :class:`Layer`.

    Raises
    ------
    TypeError
        If there is a third positional integer. In Keras 1 ``Convolution2D(16, 3, 3)`` had a 3×3 kernel; today it would
        be read as a stride of 3.
    ValueError
        If the kernel is larger than the (padded) input, or ``groups`` does not divide channels and filters.

    Examples
    --------
    >>> from tinycnn import layers
    >>> layers.Conv2D(32, 3).output_shape((28, 28, 1))
    (26, 26, 32)
    """

    changeable = ("activation", "algorithm")
    kernel_regularizer = RegularizerOf("kernel")

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        *positional: Any,
        strides: int | tuple[int, int] = (1, 1),
        padding: str = "valid",
        dilation_rate: int | tuple[int, int] = (1, 1),
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        algorithm: str = "auto",
        **base: Any,
    ) -> None:
        if positional:
            raise _positional_error(filters, kernel_size, positional)
        window = kernel_size, strides, padding, dilation_rate
        super().__init__(*window, activation, use_bias, bias_initializer, bias_regularizer, **base)
        self.filters = integer(filters, "filters")
        self.groups = integer(groups, "groups")
        self.algorithm = choice(algorithm, ("auto", "direct", "winograd", "im2col"), "algorithm")
        self.kernel_initializer = initializers.get(kernel_initializer, "kernel_initializer")
        self.kernel_regularizer = kernel_regularizer
        plain = self.kernel_size, self.strides, self.dilation_rate, self.groups
        if self.algorithm == "winograd" and plain != ((3, 3), (1, 1), (1, 1), 1):
            raise ValueError(
                "algorithm='winograd' is for a kernel_size of 3 with strides, dilation_rate and groups of 1; got "
                f"kernel_size={self.kernel_size}, strides={self.strides}, dilation_rate={self.dilation_rate}, "
                f"groups={self.groups}"
            )
        if self.filters % self.groups:
            raise ValueError(f"groups must divide filters; got groups={self.groups}, filters={self.filters}")

    def filters_and_groups(self, channels: int) -> tuple[int, int]:
        if channels % self.groups:
            raise ValueError(f"{self.label}: groups={self.groups} does not divide the input's {channels} channels")
        return self.filters, self.groups

    def create(self, input_shape: Shape, rng: np.random.Generator) -> None:
        shape = (*self.kernel_size, input_shape[2] // self.groups, self.filters)
        self.create_weights(input_shape, shape, self.kernel_initializer, self.kernel_regularizer, rng)


class DepthwiseConv2D(_Convolution2D):
    """Slide M filters over each channel by itself: a convolution in as many groups as there are channels.

    ``y[n,i,j,c*M+m] = activation(b[c*M+m] + sum_{p,q} xpad[n, i*s + p*d, j*s + q*d, c] * w[p,q,c,m])``, where s is the
    stride, d the dilation rate and xpad the image with its pads. Images of shape (N, H, W, C) become results of shape
    (N, OH, OW, C*M); w has the shape (KH, KW, C, M).

    Followed by a 1×1 convolution, this layer does nearly what a full convolution does, with far fewer products.

    Source: Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision applications", 2017,
    section 3.1.

    Parameters
    ----------
    kernel_size : int or (int, int)
        KH and KW, the height and the width of the filters in pixels.
    strides : int or (int, int)
        The number of pixels from one window to the next.
    padding : {"valid", "same"}
        With ``valid``, windows lie inside the image. With ``same``, zeros are put around it so that
        OH = ceil(H / stride).
    depth_multiplier : int
        M, the number of filters for each channel; the result has C * M channels.
    dilation_rate : int or (int, int)
        The number of pixels from one tap of the window to the next.
    activation : str or ActivationFunction, optional
        The function that is applied last; by default none.
    use_bias : bool
        Whether b is added.
    depthwise_initializer, bias_initializer : str or Initializer
        The rules for the first values of w and b.
    depthwise_regularizer, bias_regularizer : str or Regularizer, optional
        A penalty on large weights, which becomes part of the loss.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes: see :class:`Layer`.

    Raises
    ------
    ValueError
        If the kernel is larger than the (padded) input.

    Examples
    --------
    >>> from tinycnn import layers
    >>> layer = layers.DepthwiseConv2D(3, depth_multiplier=2)
    >>> layer.build((28, 28, 8))
    (26, 26, 16)
    >>> layer.params["kernel"].value.shape
    (3, 3, 8, 2)
    """

    depthwise_regularizer = RegularizerOf("kernel")

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = (1, 1),
        padding: str = "valid",
        depth_multiplier: int = 1,
        dilation_rate: int | tuple[int, int] = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        **base: Any,
    ) -> None:
        window = kernel_size, strides, padding, dilation_rate
        super().__init__(*window, activation, use_bias, bias_initializer, bias_regularizer, **base)
        self.depth_multiplier = integer(depth_multiplier, "depth_multiplier")
        self.depthwise_initializer = initializers.get(depthwise_initializer, "depthwise_initializer")
        self.depthwise_regularizer = depthwise_regularizer

    def filters_and_groups(self, channels: int) -> tuple[int, int]:
        return channels * self.depth_multiplier, channels

    def create(self, input_shape: Shape, rng: np.random.Generator) -> None:
        shape = (*self.kernel_size, input_shape[2], self.depth_multiplier)
        self.create_weights(input_shape, shape, self.depthwise_initializer, self.depthwise_regularizer, rng)


Convolution2D = Conv2D


def weight_gradients(layer: ActivatedLayer) -> tuple[Array, Array]:
    """Return the arrays that a kernel writes (dw, db) to; without a bias the second is written and dropped."""
    kernel, bias = layer.params["kernel"].grad, layer.params.get("bias")
    return kernel, (layer.backend.empty(layer.built_output_shape[-1], kernel.dtype) if bias is None else bias.grad)


def image_size(layer: Any, input_shape: Shape) -> tuple[tuple[int, int], int]:
    """Return ((H, W), C) for the shape of an image, or raise an error that says what was given instead."""
    input_shape = shape(input_shape, "input_shape")
    if len(input_shape) != 3:
        hint = "; a grey image needs a channel axis: x[..., None]" if len(input_shape) == 2 else ""
        raise ValueError(f"{layer.label}: expected images (H, W, C), got a sample of shape {shown(input_shape)}{hint}")
    H, W, C = input_shape
    return (H, W), C


def fitting_output_size(layer: Any, window: Window, size: tuple[int, int]) -> tuple[int, int]:
    """Return (OH, OW), or raise a ValueError if the window does not fit."""
    OH, OW = window.output_size(size)
    if OH < 1 or OW < 1:
        (h, w), (H, W) = window.extent(), size
        text = (
            f"{layer.label}: a window of {h}×{w} pixels does not fit into an input of {H}×{W}. Make the window "
            "smaller, or use padding='same'."
        )
        raise ValueError(for_print(text))
    _check_extent(layer, window, size)
    return OH, OW


def _check_extent(layer: Any, window: Window, size: tuple[int, int]) -> None:
    """Raise a ValueError if the window is larger than the image and the limits.

    With ``padding="same"`` a window may be larger than the image, but not without limit, because most of it sees only
    zeros.
    """
    (h, w), (H, W) = window.extent(), size
    if h > max(MAX_EXTENT, H) or w > max(MAX_EXTENT, W) or math.prod(window.size) > max(MAX_TAPS, H * W):
        text = (
            f"{layer.label}: a window of {shown(h)}×{shown(w)} pixels on an image of {H}×{W} is more than the limit of "
            f"{MAX_EXTENT} in a direction and {MAX_TAPS} taps. Make the window smaller."
        )
        raise ValueError(for_print(text))


def _positional_error(filters: Any, kernel_size: Any, rest: tuple[Any, ...]) -> TypeError:
    """Return the error for a Conv2D with more than two positional arguments."""
    if isinstance(rest[0], int | np.integer):
        text = (
            f"Conv2D({filters}, {kernel_size}, {rest[0]}): three positional integers are ambiguous. For a "
            f"{kernel_size}×{rest[0]} kernel (as in Keras 1) write Conv2D({filters}, ({kernel_size}, {rest[0]})); "
            f"for a stride write Conv2D({filters}, {kernel_size}, strides={rest[0]})"
        )
        return TypeError(for_print(text))
    return TypeError(
        f"Conv2D takes filters and kernel_size by position and all other arguments by name; got also {shown(rest)}"
    )
