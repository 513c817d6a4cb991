"""Activation functions, which a layer applies last. Each names its kernels and the array that its backward reads."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from .core import forms
from .core.checks import real
from .core.description import Named
from .core.messages import shown
from .core.public import listing
from .core.registry import Registry
from .core.types import Array

__dir__ = listing(__name__)


class ActivationFunction(Named):
    """A function and its derivative, each computed by a kernel.

    The kernels are called ``NAME_forward`` and ``NAME_backward``; they take the constructor's arguments after the
    arrays. ``forward`` maps x to y. ``backward`` maps dy, the gradient of the loss with respect to y, to dx, the
    gradient with respect to x. For that it may read the one array that ``keeps`` names, which a layer keeps for it.
    Both may work in place: ``out`` may be x in forward, unless x has to be kept, and dy in backward.
    """

    name: ClassVar[str]
    #: The array that backward reads. It is y wherever y determines the slope, because a layer then need not keep x.
    keeps: ClassVar[Literal["x", "y"] | None] = "y"
    #: The arguments that the kernels are given, by their names.
    constants: ClassVar[tuple[str, ...]] = ()
    _form = forms.ACTIVATION

    def forward(self, kernels: Any, x: Array, out: Array | None = None) -> Array:
        """Return y, an array of the shape of x."""
        return getattr(kernels, f"{self.name}_forward")(x, *self._constants(), out=out)

    def to_keep(self, x: Array, y: Array) -> Array | None:
        """Return the array that ``keeps`` names."""
        if self.keeps not in ("x", "y", None):
            raise ValueError(
                f"activation {type(self).__name__}: keeps must be 'x', 'y' or None, what backward is given; got "
                f"{shown(self.keeps)}"
            )
        return {"x": x, "y": y, None: None}[self.keeps]

    def backward(self, kernels: Any, dy: Array, kept: Array | None, out: Array | None = None) -> Array:
        """Return dx, computed from dy and the array that ``keeps`` names."""
        return getattr(kernels, f"{self.name}_backward")(dy, kept, *self._constants(), out=out)

    def _constants(self) -> Iterator[Any]:
        """Yield the values of the arguments that the kernels are given."""
        return (getattr(self, name) for name in self.constants)

    def describe(self) -> Any:
        """Return the name, or a configuration where an argument is not the default or the class is a user's own."""
        return self.name if REGISTRY.names_exactly(self.name, self) else super().describe()


class Linear(ActivationFunction):
    """The identity, ``y = x``."""

    name = "linear"
    keeps = None

    def forward(self, kernels: Any, x: Array, out: Array | None = None) -> Array:
        return x

    def backward(self, kernels: Any, dy: Array, kept: Array | None, out: Array | None = None) -> Array:
        return dy


class ReLU(ActivationFunction):
    """Zero for negative numbers and the number itself for others: ``y = max(x, 0)``."""

    name = "relu"


class LeakyReLU(ActivationFunction):
    """The number itself where it is positive, and a fraction of it elsewhere.

    ``y = x`` where ``x > 0``, and ``y = negative_slope * x`` elsewhere.

    Parameters
    ----------
    negative_slope : float, not negative
        The slope for negative numbers. The layer of the same name has another default, as in Keras.
    """

    name, constants = "leaky_relu", ("negative_slope",)

    def __init__(self, negative_slope: float = 0.2) -> None:
        self.negative_slope = real(negative_slope, "negative_slope", 0)


class ELU(ActivationFunction):
    """The number itself where it is positive, and a saturating exponential elsewhere.

    ``y = x`` where ``x > 0``, and ``y = alpha * (exp(x) - 1)`` elsewhere.

    Parameters
    ----------
    alpha : float, not negative
        For very negative x the result approaches ``-alpha``.
    """

    name, constants = "elu", ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = real(alpha, "alpha", 0)


class GELU(ActivationFunction):
    """``y = x * P(x)``, where P is the distribution function of the standard normal distribution.

    The function falls before it rises, so y does not determine the slope, and backward reads x instead.
    """

    name = "gelu"
    keeps = "x"


class Sigmoid(ActivationFunction):
    """The logistic function, ``y = 1 / (1 + exp(-x))``."""

    name = "sigmoid"


class Tanh(ActivationFunction):
    """The hyperbolic tangent, ``y = tanh(x)``."""

    name = "tanh"


class Softmax(ActivationFunction):
    """Turn the numbers along the last axis into probabilities: ``y_k = exp(x_k) / sum_j exp(x_j)``."""

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
