"""The array that an optimizer changes, and how the weights of a layer or a model are overwritten with others."""

from typing import Any, Protocol

import numpy as np

from ..kernels import aligned
from .checks import array, boolean, finite_as, items
from .messages import shown
from .types import Array


class Penalty(Protocol):
    """What a parameter asks of its regularizer: a number that is added to the loss, and its derivative."""

    def penalty(self, value: Array) -> float:
        """Return what these weights add to the loss."""
        ...

    def gradient(self, value: Array) -> Array:
        """Return the derivative of the penalty with respect to each weight."""
        ...


class Parameter:
    """A trained array and its gradient.

    Attributes
    ----------
    value : array
        The weights; the optimizer updates them in place. Another array of the same shape may take its place.
    grad : array
        The gradient of the loss with respect to ``value``; each backward pass overwrites it.
    trainable : bool
        Whether the optimizer changes this parameter.
    regularizer : Regularizer or None
        Its penalty on the value is part of the loss while the parameter is trainable.
    """

    value: Array
    grad: Array

    def __init__(self, value: Array, trainable: bool = True, regularizer: Penalty | None = None) -> None:
        vars(self).update(value=value, grad=aligned.zeros_like(value))
        self.trainable = trainable
        self.regularizer = regularizer

    def __setattr__(self, name: str, value: Any) -> None:
        """Look at arrays that take the place of others; to read them stays as fast as any attribute."""
        if name == "value" and getattr(value, "shape", None) != self.value.shape:
            got = f"shape {value.shape}" if hasattr(value, "shape") else shown(value)
            raise ValueError(f"value of a parameter: expected an array of shape {self.value.shape}; got {got}")
        if name in ("value", "grad") and isinstance(value, np.ndarray) and not value.flags.c_contiguous:
            value = aligned.copy(value)  # layers look at weights in other shapes, as views
        super().__setattr__(name, value)

    @property
    def trainable(self) -> bool:
        """Whether the optimizer changes this parameter. It may be set at any time."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = boolean(value, "trainable")

    @property
    def regularizer(self) -> Penalty | None:
        """What adds a penalty on the value to the loss, or None. It may be set at any time."""
        return self._regularizer

    @regularizer.setter
    def regularizer(self, value: Penalty | None) -> None:
        if value is not None and not (hasattr(value, "penalty") and hasattr(value, "gradient")):
            raise TypeError(f"regularizer must be an object such as regularizers.L2(0.01), or None; got {shown(value)}")
        self._regularizer = value

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy holds: everything but the gradient, which the next backward writes anew."""
        return {name: value for name, value in self.__dict__.items() if name != "grad"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.value = aligned.moved_back(self.value)
        self.grad = aligned.zeros_like(self.value)

    def penalty(self) -> float:
        """Return what the regularizer adds to the loss."""
        return self.regularizer.penalty(self.value) if self.regularizer and self.trainable else 0.0

    def add_penalty_gradient(self) -> None:
        """Add the regularizer's gradient to the one that backward has written; call it once after each backward."""
        if self.regularizer and self.trainable:
            self.grad += self.regularizer.gradient(self.value)

    def __repr__(self) -> str:
        return f"Parameter(shape={self.value.shape}, dtype={self.value.dtype}, trainable={self.trainable})"


def overwrite(targets: dict[str, Array], weights: Any, owner: str) -> None:
    """Overwrite the arrays of a layer or a model with as many others, given in the same order.

    Parameters
    ----------
    targets : dict of str to array
        The arrays to fill, by their names.
    weights : sequence of arrays
        Their new values.
    owner : str
        What an error calls the layer or the model.

    Raises
    ------
    ValueError
        If the number of arrays or a shape differs, or a number is too large; nothing has been changed then.
    """
    given = items(weights, "weights", "arrays")
    if len(given) != len(targets):
        raise ValueError(f"weights: {owner} has {len(targets)} weight arrays; got {len(given)}; give all of them")
    arrays = [array(weight, f"weights, {key}") for key, weight in zip(targets, given, strict=True)]
    for (key, target), values in zip(targets.items(), arrays, strict=True):
        if values.shape != target.shape:
            raise ValueError(f"weights, {key}: expected shape {target.shape}, got {values.shape}")
        too_large = np.isfinite(values) & ~finite_as(values, target.dtype)
        if too_large.any():
            raise ValueError(f"weights, {key}: {values[too_large][0]:g} is too large for {target.dtype}")
    for target, values in zip(targets.values(), arrays, strict=True):
        target[...] = values
