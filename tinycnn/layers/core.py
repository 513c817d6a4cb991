"""Where a network begins, and layers that only change a shape."""

import math
from typing import NamedTuple

from .._checks import shape as checked_shape
from .._types import Array, Config, Shape
from ..workspace import Workspace
from .base import Layer


class Input:
    """The shape of one sample; stands first in a Sequential.

    Not a layer: it computes nothing and does not appear in ``model.layers``.

    Parameters
    ----------
    shape : tuple of int
        Without the batch axis.

    Examples
    --------
    >>> from tinycnn import Sequential, layers
    >>> Sequential([layers.Input((28, 28, 1)), layers.Flatten()]).output_shape
    (784,)
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = checked_shape(shape, "shape")

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {"shape": list(self.shape)}

    def __repr__(self) -> str:
        return f"Input({self.shape})"


class FlattenCache(NamedTuple):
    """``shape``: of the batch before it was flattened."""

    shape: Shape


class Flatten(Layer):
    """Each sample as one row of numbers, in memory order: (N, H, W, C) → (N, H*W*C).

    Examples
    --------
    >>> from tinycnn import layers
    >>> layers.Flatten().output_shape((4, 4, 16))
    (256,)
    """

    def output_shape(self, input_shape: Shape) -> Shape:
        return (math.prod(input_shape),)

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, FlattenCache | None]:
        self.check_input(x)
        return x.reshape(len(x), *self.built_output_shape), (FlattenCache(x.shape) if training else None)

    def backward(self, dy: Array, cache: FlattenCache, *, ws: Workspace | None = None) -> Array:
        self.check_gradient(dy)
        return dy.reshape(cache.shape)
