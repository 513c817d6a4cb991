"""Element-wise functions (and softmax) that end a layer. Each names its kernels and what its backward reads."""

from typing import Any, ClassVar, Literal

from .core.checks import real
from .core.registry import Named, Registry
from .core.types import Array


class ActivationFunction(Named):
    """A function with a derivative, as two kernels, which take the constructor's arguments after the arrays.

    ``forward`` maps x to y; ``backward`` maps dy and one of the two to dx: the one that ``keeps`` names, if any, and
    that a layer keeps for it. Both may work in place: ``out`` may be x in forward (unless x is to be kept), dy in
    backward.
    """

    name: ClassVar[str]
    #: What backward reads. The result where it tells the slope, because a layer then need not keep x.
    keeps: ClassVar[Literal["x", "y"] | None] = "y"

    def forward(self, kernels: Any, x: Array, out: Array | None = None) -> Array:
        """y of the shape of x."""
        return getattr(kernels, f"{self.name}_forward")(x, *self.get_config().values(), out=out)

    def to_keep(self, x: Array, y: Array) -> Array | None:
        """What ``keeps`` names."""
        return {"x": x, "y": y, None: None}[self.keeps]

    def backward(self, kernels: Any, dy: Array, kept: Array | None, out: Array | None = None) -> Array:
        """dx from dy and from what ``keeps`` names."""
        return getattr(kernels, f"{self.name}_backward")(dy, kept, *self.get_config().values(), out=out)

    def describe(self) -> Any:
        """Return the name, or a configuration where an argument is not the default or the class is a user's own."""
        return self.name if REGISTRY.names_exactly(self.name, self) else super().describe()


class Linear(ActivationFunction):
    """``y = x``."""

    name = "linear"
    keeps = None

    def forward(self, kernels: Any, x: Array, out: Array | None = None) -> Array:
        return x

    def backward(self, kernels: Any, dy: Array, kept: Array | None, out: Array | None = None) -> Array:
        return dy


class ReLU(ActivationFunction):
    """``y = max(x, 0)``."""

    name = "relu"


class LeakyReLU(ActivationFunction):
    """``y = x`` where ``x > 0``, else ``negative_slope * x``.

    Parameters
    ----------
    negative_slope : float, not negative
        In the layer of this name the default is another, as in Keras.
    """

    name = "leaky_relu"

    def __init__(self, negative_slope: float = 0.2) -> None:
        self.negative_slope = real(negative_slope, "negative_slope", 0)


class ELU(ActivationFunction):
    """``y = x`` where ``x > 0``, else ``alpha * (exp(x) - 1)``.

    Parameters
    ----------
    alpha : float, not negative
    """

    name = "elu"

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = real(alpha, "alpha", 0)


class GELU(ActivationFunction):
    """``y = x * P(x)``, with P the distribution function of the standard normal; falls, then rises, so it keeps x."""

    name = "gelu"
    keeps = "x"


class Sigmoid(ActivationFunction):
    """``y = 1 / (1 + exp(-x))``."""

    name = "sigmoid"


class Tanh(ActivationFunction):
    """``y = tanh(x)``."""

    name = "tanh"


class Softmax(ActivationFunction):
    """``y_k = exp(x_k) / sum_j exp(x_j)`` over the last axis."""

    name = "softmax"


ACTIVATIONS: dict[str, type[ActivationFunction]] = {
    cls.name: cls for cls in (ELU, GELU, LeakyReLU, Linear, ReLU, Sigmoid, Softmax, Tanh)
}


REGISTRY = Registry("activation", ActivationFunction, ACTIVATIONS)


def get(activation: Any) -> ActivationFunction:
    """Return an activation from its name, its class name, its configuration, or itself; None is ``linear``.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    return REGISTRY.find("linear" if activation is None else activation)
