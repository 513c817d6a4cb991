"""A graph of ONNX while it is written: its nodes and arrays so far, and how the current result lies in memory."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.types import Array, Shape
from ..layers.base import Layer
from .package import package

INPUT, OUTPUT, BATCH = "input", "output", "N"
#: The permutations between (N, H, W, C) and (N, C, H, W).
TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


class Graph:
    """Nodes in a row, each of which takes what the one before it gives.

    ONNX has images with channels first, and tinycnn has them last. So the graph knows which of the two the current
    result is, and a transpose is written only where the other one is needed: one, as a rule, for the whole network.

    Parameters
    ----------
    dtype : str
        The dtype of the input, of all arrays and of the result.
    input_shape : tuple of int
        The shape of a sample as tinycnn has it.
    channels_first : bool
        Whether the input is given as (N, C, H, W).

    Attributes
    ----------
    shape : tuple of int
        The shape of a sample of the current result, as tinycnn has it.
    channels_first : bool
        Whether the current result lies in memory as (N, C, H, W).
    rows : tuple of int or None
        The shape (H, W, C) of the images of which the current result is the numbers in a row, channel by channel; None
        if numbers in a row have the same order as in tinycnn.
    following : sequence of Layer
        The layers after the one that is being written.
    """

    def __init__(self, dtype: str, input_shape: Shape, channels_first: bool) -> None:
        self.dtype = np.dtype(dtype)
        self.shape = input_shape
        self.channels_first = channels_first
        self.rows: Shape | None = None
        self.following: Sequence[Layer] = ()
        self.nodes: list[Any] = []
        self.arrays: list[Any] = []
        self.current = INPUT
        self._layer = ""
        self._input = self.dims()

    def begin(self, layer: Layer, following: Sequence[Layer]) -> None:
        """Say which layer the next nodes belong to."""
        self._layer, self.following = str(layer.name), following

    def end(self, layer: Layer) -> None:
        """Say that the current result is that of the layer."""
        self.shape = layer.built_output_shape

    def add(self, operator: str, *others: str, first: str | None = None, **attributes: Any) -> str:
        """Add a node that takes the current result, or ``first``, and ``others``; its result is the current one then.

        Its name, and that of its result, is that of the layer and of the operator.
        """
        name = base = f"{self._layer}/{operator}"
        taken = {node.name for node in self.nodes[-8:]}  # a layer has fewer nodes than that
        count = 1
        while name in taken:
            count += 1
            name = f"{base}_{count}"
        inputs = [self.current if first is None else first, *others]
        self.nodes.append(package().helper.make_node(operator, inputs, [name], name=name, **attributes))
        self.current = name
        return name

    def array(self, name: str, values: Any, dtype: Any = None) -> str:
        """Add an array of the current layer, by default in the graph's dtype, and return its name."""
        full = f"{self._layer}/{name}"
        whole = np.ascontiguousarray(values, self.dtype if dtype is None else dtype)
        # NumPy makes a vector of what has no axis.
        self.arrays.append(package().numpy_helper.from_array(whole.reshape(np.shape(values)), full))
        return full

    def weight(self, layer: Layer, name: str) -> Array:
        """Return an array of a layer, wherever its backend keeps it."""
        return np.asarray(layer.backend.to_numpy(layer.weights()[name]))

    @property
    def is_image(self) -> bool:
        """Whether the current result consists of images."""
        return len(self.shape) == 3

    def to_channels_first(self) -> None:
        """Make the current result, which consists of images, one of shape (N, C, H, W)."""
        if not self.channels_first:
            self.add("Transpose", perm=TO_FIRST)
            self.channels_first = True

    def to_channels_last(self) -> None:
        """Make the current result lie in memory as tinycnn has it."""
        if self.channels_first:
            self.add("Transpose", perm=TO_LAST)
            self.channels_first = False

    def dims(self) -> list[Any]:
        """Return the shape of the current result in the file."""
        if self.channels_first:
            H, W, C = self.shape
            return [BATCH, C, H, W]
        return [BATCH, *self.shape]

    def finished(self, name: str) -> Any:
        """Return the graph under a name, from the input to the current result."""
        helper = package().helper
        if not self.nodes:
            self.add("Identity")
        self.nodes[-1].output[0] = OUTPUT
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        ends = (
            helper.make_tensor_value_info(end, kind, dims)
            for end, dims in ((INPUT, self._input), (OUTPUT, self.dims()))
        )
        first, last = ends
        return helper.make_graph(self.nodes, name, [first], [last], self.arrays)
