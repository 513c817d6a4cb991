"""Pooling."""

from typing import Any, NamedTuple

import numpy as np

from .._checks import choice, pair
from .._types import Array, Shape
from ..kernels.geometry import Window, argmax_dtype, same_pads
from ..workspace import Workspace
from .base import Layer
from .conv import fitting_output_size, image_size


class MaxPoolCache(NamedTuple):
    """``argmax``: which tap won each window, ``p * KW + q``."""

    argmax: Array


class MaxPooling2D(Layer):
    """The largest value of each window; its gradient goes to the pixel that won.

    ``y[n,i,j,c] = max_{p,q} xpad[n, i*s + p, j*s + q, c]``; of equal values the first wins.
    Source: Ranzato, Huang, Boureau & LeCun, "Unsupervised learning of invariant feature hierarchies", 2007.

    Parameters
    ----------
    pool_size : int or (int, int)
    strides : int or (int, int), optional
        By default ``pool_size``: windows side by side.
    padding : {"valid", "same"}
        ``valid``: windows lie inside the image, what is left over is ignored. ``same``: OH = ceil(H / stride).
    **base
        ``name``, ``input_shape``, ``trainable``: see :class:`Layer`.

    Examples
    --------
    >>> from tinycnn import layers
    >>> layers.MaxPooling2D(2).output_shape((7, 7, 32))
    (3, 3, 32)
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

    def output_shape(self, input_shape: Shape) -> Shape:
        size, channels = image_size(self, input_shape)
        return (*fitting_output_size(self, self.window_over(size), size), channels)

    def window_over(self, size: tuple[int, int]) -> Window:
        """The window with the pads it needs on an image of ``size``."""
        pads = (0, 0, 0, 0) if self.padding == "valid" else same_pads(size, self.pool_size, self.strides)
        return Window(self.pool_size, self.strides, pads)

    def create(self, input_shape: Shape, rng: np.random.Generator) -> None:
        self.window = self.window_over(image_size(self, input_shape)[0])

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, MaxPoolCache | None]:
        self.check_input(x)
        out = None
        if ws is not None:
            argmax = ws.keep(self, "argmax", (len(x), *self.built_output_shape), argmax_dtype(self.pool_size))
            out = (self.result(ws, len(x), training=training), argmax)
        y, argmax = self.kernels.max_pool2d_forward(
            x, self.pool_size, self.strides, self._pads(), out=out, work=ws and ws.scratch()
        )
        return y, (MaxPoolCache(argmax) if training else None)

    def backward(self, dy: Array, cache: MaxPoolCache, *, ws: Workspace | None = None) -> Array:
        self.check_gradient(dy)
        return self.kernels.max_pool2d_backward(
            dy,
            cache.argmax,
            self.built_input_shape[:2],
            self.pool_size,
            self.strides,
            self._pads(),
            out=self.input_gradient(ws, len(dy)),
            work=ws and ws.scratch(),
        )

    def _pads(self) -> tuple[int, int, int, int]:
        assert self.window is not None
        return self.window.pads


MaxPool2D = MaxPooling2D
