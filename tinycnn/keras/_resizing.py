"""Keras's layer that gives images another size."""

from typing import Any

import numpy as np

from ..core.checks import boolean, choice, integer
from ..core.types import Array, Shape
from ..core.workspace import Workspace
from ..layers import Layer
from ..layers.base import Nothing
from ..layers.conv import image_size
from ._telling import not_so


class Resizing(Layer):
    """Give images another size: (N, H, W, C) → (N, ``height``, ``width``, C).

    Parameters
    ----------
    height, width : int
        The new size.
    interpolation : {"bilinear", "nearest"}
        How values between pixels are found.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes.

    Examples
    --------
    >>> from tinycnn.keras import layers
    >>> layers.Resizing(14, 14).output_shape((28, 28, 1))
    (14, 14, 1)
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.height, self.width = integer(height, "height"), integer(width, "width")
        self.interpolation = choice(interpolation, ("bilinear", "nearest"), "interpolation")
        self.crop_to_aspect_ratio = boolean(crop_to_aspect_ratio, "crop_to_aspect_ratio")
        if crop_to_aspect_ratio:
            raise not_so("Resizing", "crop_to_aspect_ratio", True, "crop the images before you give them to the model")

    def output_shape(self, input_shape: Shape) -> Shape:
        return self.height, self.width, image_size(self, input_shape)[1]

    def create(self, input_shape: Shape, rng: np.random.Generator) -> None:
        (height, width), _ = image_size(self, input_shape)
        bilinear = self.interpolation == "bilinear"
        self._rows = resizing_matrix(height, self.height, bilinear).astype(self.dtype)
        self._columns = resizing_matrix(width, self.width, bilinear).astype(self.dtype)

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, Nothing | None]:
        self.check_input(x)
        return self._applied(x, self._rows, self._columns), (Nothing() if training else None)

    def backward(self, dy: Array, cache: Nothing, *, ws: Workspace | None = None) -> Array:
        self.check_gradient(dy)
        return self._applied(dy, self._rows.T, self._columns.T)

    def _applied(self, x: Array, rows: Array, columns: Array) -> Array:
        host = self.backend.to_numpy(x)
        resized = np.einsum("ih,nhwc,jw->nijc", rows, host, columns, optimize=True)
        return self.backend.array(np.ascontiguousarray(resized), self.dtype)


def resizing_matrix(old: int, new: int, bilinear: bool) -> Array:
    """Return the (new, old) matrix that maps a row of ``old`` numbers to ``new`` ones, with pixels as squares.

    Examples
    --------
    >>> resizing_matrix(4, 2, True).tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    places = (np.arange(new) + 0.5) * old / new
    matrix = np.zeros((new, old))
    if not bilinear:
        matrix[np.arange(new), np.floor(places).astype(int)] = 1
        return matrix
    places = np.clip(places - 0.5, 0, old - 1)
    left = np.minimum(np.floor(places).astype(int), old - 1)
    share = places - left
    matrix[np.arange(new), left] += 1 - share
    matrix[np.arange(new), np.minimum(left + 1, old - 1)] += share
    return matrix
