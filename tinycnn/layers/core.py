"""Where a network begins, and layers that only move numbers or change their scale."""

import math
from typing import Any

import numpy as np

from ..core.checks import integer, pair, real
from ..core.checks import shape as checked_shape
from ..core.messages import shown
from ..core.types import Array, Config, Shape
from ..core.workspace import Workspace
from .base import Layer, Nothing
from .conv import image_size


class Input:
    """The shape of one sample, given as the first item of a Sequential.

    An Input is not a layer: it computes nothing and does not appear in ``model.layers``.

    Parameters
    ----------
    shape : tuple of int
        The shape without the batch axis, for example (H, W, C).

    Raises
    ------
    TypeError, ValueError
        If ``shape`` is not a tuple of positive integers.

    Examples
    --------
    >>> from tinycnn import Sequential, layers
    >>> Sequential([layers.Input((28, 28, 1)), layers.Flatten()]).output_shape
    (784,)
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = checked_shape(shape, "shape")

    def get_config(self) -> Config:
        """Return the constructor's arguments."""
        return {"shape": list(self.shape)}

    def __repr__(self) -> str:
        return f"Input({self.shape})"


class _ShapeOnly(Layer):
    """Base of the layers that give the same numbers, in memory order, another shape."""

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, Nothing | None]:
        self.check_input(x)
        y = x.reshape(len(x), *self.built_output_shape)
        return self._handed_on(y, ws), (Nothing() if training else None)

    def backward(self, dy: Array, cache: Nothing, *, ws: Workspace | None = None) -> Array:
        self.check_gradient(dy)
        return self._handed_on(dy.reshape(len(dy), *self.built_input_shape), ws)


class Flatten(_ShapeOnly):
    """Turn each sample into one row of numbers, in memory order: (N, H, W, C) → (N, H*W*C).

    Samples may have any shape.

    Parameters
    ----------
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes: see :class:`Layer`.

    Examples
    --------
    >>> from tinycnn import layers
    >>> layers.Flatten().output_shape((4, 4, 16))
    (256,)
    """

    def output_shape(self, input_shape: Shape) -> Shape:
        return (math.prod(checked_shape(input_shape, "input_shape")),)


class Reshape(_ShapeOnly):
    """Give each sample another shape, with its numbers in memory order: (N, …) → (N, ``target_shape``).

    Parameters
    ----------
    target_shape : tuple of int
        The new shape, without the batch axis. One length may be -1; it is computed from the others.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes: see :class:`Layer`.

    Raises
    ------
    ValueError
        If the numbers of a sample do not fill ``target_shape``.

    Examples
    --------
    >>> from tinycnn import layers
    >>> layers.Reshape((4, 4, -1)).output_shape((256,))
    (4, 4, 16)
    """

    def __init__(self, target_shape: Shape, **base: Any) -> None:
        super().__init__(**base)
        if not isinstance(target_shape, tuple | list) or not target_shape:
            raise TypeError(
                f"target_shape must be a tuple of integers without the batch axis; got {shown(target_shape)}"
            )
        if any(length is None for length in target_shape):
            raise TypeError(
                f"target_shape: the sizes must be fixed; got {shown(target_shape)}. Leave out the batch axis, and "
                "write -1 for a length that follows from the others"
            )
        self.target_shape = tuple(integer(n, f"target_shape[{i}]", minimum=-1) for i, n in enumerate(target_shape))
        if 0 in self.target_shape or self.target_shape.count(-1) > 1:
            raise ValueError(f"target_shape must hold positive lengths, with at most one -1; got {shown(target_shape)}")

    def output_shape(self, input_shape: Shape) -> Shape:
        input_shape = checked_shape(input_shape, "input_shape")
        count, given = math.prod(input_shape), abs(math.prod(self.target_shape))
        shape = tuple(count // given if length == -1 else length for length in self.target_shape)
        if math.prod(shape) != count:
            raise ValueError(
                f"{self.label}: the {count} numbers of a sample of shape {input_shape} do not fill "
                f"target_shape={self.target_shape}"
            )
        return shape


class ZeroPadding2D(Layer):
    """Put a frame of zeros around each image: (N, H, W, C) → (N, top + H + bottom, left + W + right, C).

    Parameters
    ----------
    padding : int, (int, int) or ((int, int), (int, int))
        The width of the frame in pixels: one number for all sides; two numbers, the first for the rows above and below
        and the second for the columns left and right; or ``((top, bottom), (left, right))``.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes: see :class:`Layer`.

    Raises
    ------
    TypeError, ValueError
        If ``padding`` has another form or a negative number, or if the input does not consist of images.

    Examples
    --------
    >>> from tinycnn import layers
    >>> layers.ZeroPadding2D(((1, 0), (2, 2))).output_shape((28, 28, 1))
    (29, 32, 1)
    """

    def __init__(self, padding: Any = (1, 1), **base: Any) -> None:
        super().__init__(**base)
        both = padding if isinstance(padding, tuple | list) else (padding, padding)
        if len(both) != 2:
            raise TypeError(f"padding must be an integer, a pair, or a pair of pairs of integers; got {shown(padding)}")
        self.padding = tuple(pair(sides, f"padding[{axis}]", minimum=0) for axis, sides in enumerate(both))

    def output_shape(self, input_shape: Shape) -> Shape:
        (H, W), C = image_size(self, input_shape)
        (top, bottom), (left, right) = self.padding
        return H + top + bottom, W + left + right, C

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, Nothing | None]:
        self.check_input(x)
        y = self.result(ws, len(x), training=training)
        if y is None:
            y = self.backend.empty((len(x), *self.built_output_shape), x.dtype)
        y[...] = 0
        self._inside(y)[...] = x
        return y, (Nothing() if training else None)

    def backward(self, dy: Array, cache: Nothing, *, ws: Workspace | None = None) -> Array:
        self.check_gradient(dy)
        dx = self.input_gradient(ws, len(dy))
        if dx is None:
            return self._inside(dy).copy()
        dx[...] = self._inside(dy)
        return dx

    def _inside(self, y: Array) -> Array:
        """Return the part of each framed image that lies within the frame."""
        (top, _), (left, _) = self.padding
        H, W, _ = self.built_input_shape
        return y[:, top : top + H, left : left + W]


class Rescaling(Layer):
    """Multiply every number by ``scale`` and add ``offset``: ``y = scale * x + offset``.

    ``Rescaling(1 / 255)`` as the first layer lets a model take pixels of 0 … 255. Input and result have the same
    shape, (N, …).

    Parameters
    ----------
    scale, offset : float
        The factor, and the number that is added after it.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes: see :class:`Layer`.

    Raises
    ------
    TypeError, ValueError
        If ``scale`` or ``offset`` is not a finite number.

    Examples
    --------
    >>> import numpy as np
    >>> from tinycnn import layers
    >>> layer = layers.Rescaling(1 / 127.5, offset=-1)
    >>> _ = layer.build((3,))
    >>> layer.forward(np.array([[0, 127.5, 255]], np.float32))[0].tolist()
    [[-1.0, 0.0, 1.0]]
    """

    changeable = ("scale", "offset")

    def __init__(self, scale: float, offset: float = 0.0, **base: Any) -> None:
        super().__init__(**base)
        self.scale = real(scale, "scale")
        self.offset = real(offset, "offset")

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, Nothing | None]:
        self.check_input(x)
        y = np.multiply(x, self.scale, out=self.result(ws, len(x), training=training))
        y += self.offset
        return y, (Nothing() if training else None)

    def backward(self, dy: Array, cache: Nothing, *, ws: Workspace | None = None) -> Array:
        self.check_gradient(dy)
        return np.multiply(dy, self.scale, out=None if ws is None else dy)
