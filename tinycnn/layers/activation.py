"""Activations as layers of their own."""

from typing import Any, NamedTuple

from .. import activations
from ..core.checks import integer
from ..core.messages import shown, unexpected
from ..core.types import Array
from ..core.workspace import Workspace
from .base import Layer


class ActivationCache(NamedTuple):
    """``kept``: the result, or the input where the function needs that for its slope (gelu)."""

    kept: Array | None


class Activation(Layer):
    """Apply a function to every number (softmax: to every last axis).

    Parameters
    ----------
    activation : str or ActivationFunction
        One of the names in :data:`tinycnn.activations.ACTIVATIONS`, or such a function with other constants.
    **base
        ``name``, ``input_shape``, ``trainable``: see :class:`Layer`.

    Examples
    --------
    >>> from tinycnn import layers
    >>> layers.Activation("relu").output_shape((28, 28, 8))
    (28, 28, 8)
    """

    def __init__(self, activation: Any, **base: Any) -> None:
        super().__init__(**base)
        self.activation = activations.get(activation)

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, ActivationCache | None]:
        self.check_input(x)
        y = self.activation.forward(self.kernels, x, out=self.result(ws, len(x), training=training))
        y = self._handed_on(y, ws) if y is x else y
        return y, (ActivationCache(self.activation.to_keep(x, y)) if training else None)

    def backward(self, dy: Array, cache: ActivationCache, *, ws: Workspace | None = None) -> Array:
        self.check_gradient(dy)
        dx = self.activation.backward(self.kernels, dy, cache.kept, out=None if ws is None else dy)
        return self._handed_on(dx, ws) if dx is dy else dx


class _OneActivation(Activation):
    """Base of the layers that are named after their function, which is therefore none of their arguments."""

    fixed_arguments = ("activation",)

    def __init__(self, activation: Any, /, **base: Any) -> None:
        if "activation" in base:
            raise unexpected(type(self), ["activation"])
        super().__init__(activation, **base)

    def get_config(self) -> dict[str, Any]:
        return {key: value for key, value in super().get_config().items() if key != "activation"}


class ReLU(_OneActivation):
    """``y = max(x, 0)`` as a layer."""

    def __init__(self, **base: Any) -> None:
        super().__init__("relu", **base)


class LeakyReLU(_OneActivation):
    """``y = x`` where ``x > 0``, else ``negative_slope * x``, as a layer.

    Parameters
    ----------
    negative_slope : float, not negative
        By default 0.3, while ``activation="leaky_relu"`` has 0.2: Keras's defaults both.
    **base
        ``name``, ``input_shape``, ``trainable``: see :class:`Layer`.
    """

    def __init__(self, negative_slope: float = 0.3, **base: Any) -> None:
        function = activations.LeakyReLU(negative_slope)
        super().__init__(function, **base)
        self.negative_slope = function.negative_slope


class ELU(_OneActivation):
    """``y = x`` where ``x > 0``, else ``alpha * (exp(x) - 1)``, as a layer.

    Parameters
    ----------
    alpha : float, not negative
        Minus the limit for small x.
    **base
        ``name``, ``input_shape``, ``trainable``: see :class:`Layer`.
    """

    def __init__(self, alpha: float = 1.0, **base: Any) -> None:
        function = activations.ELU(alpha)
        super().__init__(function, **base)
        self.alpha = function.alpha


class Softmax(_OneActivation):
    """``y_k = exp(x_k) / sum_j exp(x_j)`` over the last axis, as a layer.

    Parameters
    ----------
    axis : int
        Only the last (-1) is supported.
    **base
        ``name``, ``input_shape``, ``trainable``: see :class:`Layer`.
    """

    def __init__(self, axis: int = -1, **base: Any) -> None:
        super().__init__("softmax", **base)
        if integer(axis, "axis", minimum=-1) != -1:
            raise ValueError(f"axis must be -1: tinycnn keeps classes last; got {shown(axis)}")
        self.axis = -1
