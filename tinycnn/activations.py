"""Element-wise functions (and softmax) that end a layer. Each names its kernels and what its backward reads."""

from typing import Any, ClassVar

from ._checks import unknown
from ._types import Array


class ActivationFunction:
    """A function with a derivative, as two kernels.

    ``forward`` maps x to y; ``backward`` maps (dy, y) to dx. Both may work in place (``out`` may be the input): a
    layer keeps y only.
    """

    name: ClassVar[str]

    def forward(self, kernels: Any, x: Array, out: Array | None = None) -> Array:
        """y of the shape of x."""
        return getattr(kernels, f"{self.name}_forward")(x, out=out)

    def backward(self, kernels: Any, dy: Array, y: Array, out: Array | None = None) -> Array:
        """dx from dy and the forward's result y."""
        return getattr(kernels, f"{self.name}_backward")(dy, y, out=out)


class Linear(ActivationFunction):
    """``y = x``."""

    name = "linear"

    def forward(self, kernels: Any, x: Array, out: Array | None = None) -> Array:
        return x

    def backward(self, kernels: Any, dy: Array, y: Array, out: Array | None = None) -> Array:
        return dy


class ReLU(ActivationFunction):
    """``y = max(x, 0)``."""

    name = "relu"


class Softmax(ActivationFunction):
    """``y_k = exp(x_k) / sum_j exp(x_j)`` over the last axis."""

    name = "softmax"


ACTIVATIONS: dict[str, type[ActivationFunction]] = {cls.name: cls for cls in (Linear, ReLU, Softmax)}


def get(activation: Any) -> ActivationFunction:
    """An activation from its name; None is ``linear``.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if isinstance(activation, ActivationFunction):
        return activation
    name = "linear" if activation is None else activation
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()
