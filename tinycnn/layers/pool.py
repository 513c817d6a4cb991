"""Pooling layers, which take the largest value or the average, of windows or of the whole image."""

from typing import Any, NamedTuple

import numpy as np

from ..core.checks import boolean, choice, pair
from ..core.types import Array, Shape
from ..core.workspace import Workspace
from ..kernels.geometry import Window, argmax_dtype, same_pads
from .base import Layer, Nothing
from .conv import fitting_output_size, image_size


class _Pooling2D(Layer):
    """Base of the pooling layers: what a window sees of a channel becomes one number.

    Subclasses say which window, and which number.
    """

    def window_over(self, size: tuple[int, int]) -> Window:
        """Return the window on an image of ``size``."""
        raise NotImplementedError

    def output_shape(self, input_shape: Shape) -> Shape:
        size, channels = image_size(self, input_shape)
        return (*fitting_output_size(self, self.window_over(size), size), channels)

    def create(self, input_shape: Shape, rng: np.random.Generator) -> None:
        self.window = self.window_over(image_size(self, input_shape)[0])

    def as_images(self, y: Array) -> Array:
        """Return results, or their gradients, in the shape (N, OH, OW, C), which kernels use for every layer."""
        assert self.window is not None
        return y.reshape(len(y), *self.window.output_size(self.built_input_shape[:2]), y.shape[-1])

    def geometry(self) -> tuple[Any, ...]:
        """Return the size, the strides and the pads of the window, as kernels take them."""
        assert self.window is not None
        return self.window.size, self.window.strides, self.window.pads


class _Windows(_Pooling2D):
    """A window of a given size that slides over the image.

    Parameters
    ----------
    pool_size, strides, padding
        The arguments of :class:`MaxPooling2D`.
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int] = (2, 2),
        strides: int | tuple[int, int] | None = None,
        padding: str = "valid",
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.pool_size = pair(pool_size, "pool_size")
        self.strides = self.pool_size if strides is None else pair(strides, "strides")
        self.padding = choice(padding, ("valid", "same"), "padding")

    def window_over(self, size: tuple[int, int]) -> Window:
        pads = (0, 0, 0, 0) if self.padding == "valid" else same_pads(size, self.pool_size, self.strides)
        return Window(self.pool_size, self.strides, pads)


class _WholeImage(_Pooling2D):
    """A window that is the whole image.

    Parameters
    ----------
    keepdims
        The argument of :class:`GlobalAveragePooling2D`.
    """

    def __init__(self, keepdims: bool = False, **base: Any) -> None:
        super().__init__(**base)
        self.keepdims = boolean(keepdims, "keepdims")

    def window_over(self, size: tuple[int, int]) -> Window:
        return Window(size, size, (0, 0, 0, 0))

    def output_shape(self, input_shape: Shape) -> Shape:
        pooled = super().output_shape(input_shape)
        return pooled if self.keepdims else pooled[2:]


class MaxPoolCache(NamedTuple):
    """``argmax``: the tap that won each window, as the number ``p * KW + q``."""

    argmax: Array


class _Maximum(_Pooling2D):
    """The largest number of a window. Its gradient goes to the pixel that won."""

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, MaxPoolCache | None]:
        self.check_input(x)
        out = self.result(ws, len(x), training=training)
        outs = None
        if ws is not None and out is not None:
            y = self.as_images(out)
            outs = y, ws.keep(self, "argmax", y.shape, argmax_dtype(self.geometry()[0]))
        y, argmax = self.kernels.max_pool2d_forward(x, *self.geometry(), out=outs, work=ws and ws.scratch())
        return y.reshape(len(x), *self.built_output_shape), (MaxPoolCache(argmax) if training else None)

    def backward(self, dy: Array, cache: MaxPoolCache, *, ws: Workspace | None = None) -> Array:
        self.check_gradient(dy)
        return self.kernels.max_pool2d_backward(
            self.as_images(dy),
            cache.argmax,
            self.built_input_shape[:2],
            *self.geometry(),
            out=self.input_gradient(ws, len(dy)),
            work=ws and ws.scratch(),
        )


class _Average(_Pooling2D):
    """The average of a window. Its gradient is shared out among the pixels."""

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, Nothing | None]:
        self.check_input(x)
        out = self.result(ws, len(x), training=training)
        y = self.kernels.average_pool2d_forward(
            x, *self.geometry(), out=None if out is None else self.as_images(out), work=ws and ws.scratch()
        )
        return y.reshape(len(x), *self.built_output_shape), (Nothing() if training else None)

    def backward(self, dy: Array, cache: Nothing, *, ws: Workspace | None = None) -> Array:
        self.check_gradient(dy)
        return self.kernels.average_pool2d_backward(
            self.as_images(dy),
            self.built_input_shape[:2],
            *self.geometry(),
            out=self.input_gradient(ws, len(dy)),
            work=ws and ws.scratch(),
        )


class MaxPooling2D(_Windows, _Maximum):
    """Take the largest value of each window: (N, H, W, C) → (N, OH, OW, C).

    ``y[n,i,j,c] = max_{p,q} xpad[n, i*s + p, j*s + q, c]``, where s is the stride. The gradient goes to the pixel that
    won; of equal values the first one wins.

    Source: Ranzato, Huang, Boureau & LeCun, "Unsupervised learning of invariant feature hierarchies", 2007.

    Parameters
    ----------
    pool_size : int or (int, int)
        The height and the width of the window in pixels.
    strides : int or (int, int), optional
        The number of pixels from one window to the next. By default it is ``pool_size``, with windows side by side.
    padding : {"valid", "same"}
        With ``valid``, windows lie inside the image, and pixels that are left over are ignored. With ``same``, windows
        may reach over the edge, so that OH = ceil(H / stride).
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes: see :class:`Layer`.

    Raises
    ------
    ValueError
        If a window does not fit into the image, or the input does not consist of images.

    Examples
    --------
    >>> from tinycnn import layers
    >>> layers.MaxPooling2D(2).output_shape((7, 7, 32))
    (3, 3, 32)
    """


class AveragePooling2D(_Windows, _Average):
    """Take the average of each window: (N, H, W, C) → (N, OH, OW, C).

    ``y[n,i,j,c] = mean of x[n, i*s + p - top, j*s + q - left, c]`` over the taps (p, q) that meet a pixel, where s is
    the stride. Pads do not count, so fewer pixels are averaged at an edge.

    Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998, section II.B.

    Parameters
    ----------
    pool_size : int or (int, int)
        The height and the width of the window in pixels.
    strides : int or (int, int), optional
        The number of pixels from one window to the next. By default it is ``pool_size``, with windows side by side.
    padding : {"valid", "same"}
        With ``valid``, windows lie inside the image, and pixels that are left over are ignored. With ``same``, windows
        may reach over the edge, so that OH = ceil(H / stride).
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes: see :class:`Layer`.

    Raises
    ------
    ValueError
        If a window does not fit into the image, or the input does not consist of images.

    Examples
    --------
    >>> from tinycnn import layers
    >>> layers.AveragePooling2D(2, padding="same").output_shape((7, 7, 32))
    (4, 4, 32)
    """


class GlobalMaxPooling2D(_WholeImage, _Maximum):
    """Take the largest value of each channel: (N, H, W, C) → (N, C).

    ``y[n,c] = max_{h,w} x[n,h,w,c]``. The gradient goes to the pixel that won; of equal values the first one wins.

    Parameters
    ----------
    keepdims : bool
        Whether the result is of shape (N, 1, 1, C) instead.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes: see :class:`Layer`.

    Raises
    ------
    ValueError
        If the input does not consist of images.

    Examples
    --------
    >>> from tinycnn import layers
    >>> layers.GlobalMaxPooling2D().output_shape((7, 7, 32))
    (32,)
    """


class GlobalAveragePooling2D(_WholeImage, _Average):
    """Take the average of each channel: (N, H, W, C) → (N, C).

    ``y[n,c] = sum_{h,w} x[n,h,w,c] / (H * W)``. With a Dense layer after it, images of any size give the same number
    of weights.

    Source: Lin, Chen & Yan, "Network in network", 2014, section 3.2.

    Parameters
    ----------
    keepdims : bool
        Whether the result is of shape (N, 1, 1, C) instead.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes: see :class:`Layer`.

    Raises
    ------
    ValueError
        If the input does not consist of images.

    Examples
    --------
    >>> from tinycnn import layers
    >>> layers.GlobalAveragePooling2D(keepdims=True).output_shape((7, 7, 32))
    (1, 1, 32)
    """


MaxPool2D, AvgPool2D = MaxPooling2D, AveragePooling2D
GlobalMaxPool2D, GlobalAvgPool2D = GlobalMaxPooling2D, GlobalAveragePooling2D
