"""Activation functions as layers of their own."""

from typing import Any, ClassVar, NamedTuple

from .. import activations
from ..core.checks import integer
from ..core.messages import shown, unexpected
from ..core.types import Array
from ..core.workspace import Workspace
from .base import Layer


class ActivationCache(NamedTuple):
    """``kept``: the result, or the input if the function needs that for its slope (gelu)."""

    kept: Array | None


class Activation(Layer):
    """Apply an activation function to every number; softmax works on each last axis as a whole.

    Input and result have the same shape, (N, …).

    Parameters
    ----------
    activation : str or ActivationFunction
        One of the names in :data:`tinycnn.activations.ACTIVATIONS`, or a function object with other constants.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes: see :class:`Layer`.

    Raises
    ------
    ValueError
        If no activation has that name.

    Examples
    --------
    >>> from tinycnn import layers
    >>> layers.Activation("relu").output_shape((28, 28, 8))
    (28, 28, 8)
    """

    changeable: ClassVar[tuple[str, ...]] = ("activation",)

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
    """Base of the layers that are named after their function, which is therefore not one of their arguments."""

    fixed_arguments, changeable = ("activation",), ()

    def __init__(self, activation: Any, /, **base: Any) -> None:
        if "activation" in base:
            raise unexpected(type(self), ["activation"])
        super().__init__(activation, **base)

    def get_config(self) -> dict[str, Any]:
        return {key: value for key, value in super().get_config().items() if key != "activation"}


class ReLU(_OneActivation):
    """Replace negative numbers by 0: ``y = max(x, 0)``.

    Input and result have the same shape, (N, …).

    Parameters
    ----------
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes: see :class:`Layer`.

    Examples
    --------
    >>> from tinycnn import layers
    >>> layers.ReLU().output_shape((28, 28, 8))
    (28, 28, 8)
    """

    def __init__(self, **base: Any) -> None:
        super().__init__("relu", **base)


class LeakyReLU(_OneActivation):
    """Multiply negative numbers by a small slope: ``y = x`` where ``x > 0``, and ``y = negative_slope * x`` elsewhere.

    Input and result have the same shape, (N, …).

    Parameters
    ----------
    negative_slope : float, not negative
        The slope for negative numbers. Its default is 0.3 here and 0.2 for ``activation="leaky_relu"``; both are
        Keras's defaults.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes: see :class:`Layer`.

    Raises
    ------
    ValueError
        If ``negative_slope`` is negative.
    """

    def __init__(self, negative_slope: float = 0.3, **base: Any) -> None:
        super().__init__(activations.LeakyReLU(negative_slope), **base)

    @property
    def negative_slope(self) -> float:
        """The slope for negative numbers. It may be set at any time."""
        return self.activation.get_config()["negative_slope"]

    @negative_slope.setter
    def negative_slope(self, value: float) -> None:
        vars(self)["activation"] = activations.LeakyReLU(value)


class ELU(_OneActivation):
    """Let negative numbers saturate: ``y = x`` where ``x > 0``, and ``y = alpha * (exp(x) - 1)`` elsewhere.

    Input and result have the same shape, (N, …).

    Parameters
    ----------
    alpha : float, not negative
        For very negative x the result approaches ``-alpha``.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes: see :class:`Layer`.

    Raises
    ------
    ValueError
        If ``alpha`` is negative.
    """

    def __init__(self, alpha: float = 1.0, **base: Any) -> None:
        super().__init__(activations.ELU(alpha), **base)

    @property
    def alpha(self) -> float:
        """The number that results approach, with a minus. It may be set at any time."""
        return self.activation.get_config()["alpha"]

    @alpha.setter
    def alpha(self, value: float) -> None:
        vars(self)["activation"] = activations.ELU(value)


class Softmax(_OneActivation):
    """Turn the numbers along the last axis into probabilities: ``y_k = exp(x_k) / sum_j exp(x_j)``.

    Input and result have the same shape, (N, …, K), for K classes.

    Parameters
    ----------
    axis : int
        The axis of the classes; only the last one (-1) is supported.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes: see :class:`Layer`.

    Raises
    ------
    ValueError
        If ``axis`` is not -1.
    """

    def __init__(self, axis: int = -1, **base: Any) -> None:
        super().__init__("softmax", **base)
        if integer(axis, "axis", minimum=-1) != -1:
            raise ValueError(f"axis must be -1, because tinycnn keeps classes last; got {shown(axis)}")
        self.axis = -1
