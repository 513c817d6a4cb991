"""Constraints on weights under Keras's names: after each step of training, weights are moved to where they may be.

A constraint belongs to the layer that was made with it. It is no part of a saved model: predictions do not need it, and
a model that is loaded trains on without it.
"""

from typing import Any, ClassVar

import numpy as np

from ..core.checks import items, real
from ..core.messages import shown, unknown
from ..core.public import listing
from ..core.types import Array
from ..layers import Layer
from ..training.callback import Callback, Logs
from ._telling import looked_up

#: As in Keras, it keeps a division by a norm of 0 away from infinity.
_EPSILON = 1e-7


class Constraint:
    """Base of all constraints: a function from weights to weights that are allowed."""

    def __call__(self, w: Array) -> Array:
        """Return the nearest weights that are allowed, in an array of their own."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(w)")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return dict(vars(self))


class NonNeg(Constraint):
    """No weight is negative."""

    def __call__(self, w: Array) -> Array:
        return np.maximum(w, 0)


class _OfNorm(Constraint):
    """Base of the constraints on the norm of the weights along some axes.

    Parameters
    ----------
    axis : int or list of int
        The axes along which the norm is taken; 0 are the inputs of a ``Dense``, and [0, 1, 2] what a filter of a
        ``Conv2D`` sees.
    """

    def __init__(self, axis: Any = 0) -> None:
        self.axis = axis if isinstance(axis, int) else tuple(items(axis, "axis", "integers"))

    def _norms(self, w: Array) -> Array:
        return np.sqrt(np.sum(np.square(w), axis=self.axis, keepdims=True))


class MaxNorm(_OfNorm):
    """The norm is at most ``max_value``.

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014, section 5.1.

    Parameters
    ----------
    max_value : float
        The largest norm.
    axis : int or list of int
        The axes along which the norm is taken.

    Examples
    --------
    >>> import numpy as np
    >>> from tinycnn.keras import constraints
    >>> constraints.MaxNorm(1.0)(np.array([[3.0], [4.0]])).round(3).tolist()
    [[0.6], [0.8]]
    """

    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        super().__init__(axis)
        self.max_value = real(max_value, "max_value", 0)

    def __call__(self, w: Array) -> Array:
        norms = self._norms(w)
        return w * (np.clip(norms, 0, self.max_value) / (_EPSILON + norms)).astype(w.dtype)


class UnitNorm(_OfNorm):
    """The norm is 1."""

    def __call__(self, w: Array) -> Array:
        return w / (_EPSILON + self._norms(w)).astype(w.dtype)


class MinMaxNorm(_OfNorm):
    """The norm lies between two limits, or moves towards them by a share of the way.

    Parameters
    ----------
    min_value, max_value : float
        The limits.
    rate : float in [0, 1]
        The share of the way; 1 enforces the limits.
    axis : int or list of int
        The axes along which the norm is taken.
    """

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0) -> None:
        super().__init__(axis)
        self.min_value, self.max_value = real(min_value, "min_value", 0), real(max_value, "max_value", 0)
        self.rate = real(rate, "rate", 0, 1)

    def __call__(self, w: Array) -> Array:
        norms = self._norms(w)
        wanted = self.rate * np.clip(norms, self.min_value, self.max_value) + (1 - self.rate) * norms
        return w * (wanted / (_EPSILON + norms)).astype(w.dtype)


max_norm = maxnorm = MaxNorm
min_max_norm = MinMaxNorm
non_neg = nonneg = NonNeg
unit_norm = unitnorm = UnitNorm
_KNOWN = {"max_norm": MaxNorm, "min_max_norm": MinMaxNorm, "non_neg": NonNeg, "unit_norm": UnitNorm}


def get(identifier: Any, name: str = "a constraint") -> Any:
    """Return the constraint that a name, a class or a function of weights stands for; None is none.

    ``name`` is what errors call the argument.
    """
    if isinstance(identifier, str):
        plain = {name.replace("_", ""): cls for name, cls in _KNOWN.items()}
        found = plain.get(identifier.lower().replace("_", ""))
        if found is None:
            raise unknown("constraint", identifier, _KNOWN, name)
        return found()
    if isinstance(identifier, type) and issubclass(identifier, Constraint):
        return identifier()
    if identifier is not None and not callable(identifier):
        raise TypeError(f"{name} must be a name, an object of {__name__}, or a function; got {shown(identifier)}")
    return identifier


def serialize(constraint: Any) -> dict[str, Any]:
    """Return a description, ``{"class_name": ..., "config": ...}``, which JSON can hold."""
    found = get(constraint)
    return {"class_name": type(found).__name__, "config": found.get_config()}


def deserialize(config: Any) -> Any:
    """Return the constraint that :func:`serialize` described."""
    if isinstance(config, dict) and config.keys() >= {"class_name", "config"}:
        classes = {cls.__name__: cls for cls in _KNOWN.values()}
        if config["class_name"] not in classes:
            raise unknown("constraint", config["class_name"], classes)
        return classes[config["class_name"]](**config["config"])
    return get(config)


#: The parameters that each argument of a layer may be about.
PARAMETERS = {
    "kernel_constraint": ("kernel",),
    "depthwise_constraint": ("kernel", "depthwise_kernel"),
    "pointwise_constraint": ("pointwise_kernel",),
    "bias_constraint": ("bias",),
    "beta_constraint": ("beta",),
    "gamma_constraint": ("gamma",),
}


def keep(layer: Layer, given: dict[str, Any]) -> None:
    """Keep the constraints that a layer was made with beside its arguments."""
    found = {name: get(one, name) for name, one in given.items() if one is not None}
    if found:
        vars(layer)["_constraints"] = found


class KeepConstraints(Callback):
    """Move the weights of constrained layers to where they may be after each step; ``fit`` adds it by itself."""

    order: ClassVar[int] = -1  # other callbacks see weights that are allowed

    def watches_batches(self) -> bool:
        return False

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        apply(self.model.layers)


def constrained(layers: list[Layer]) -> bool:
    """Return whether a layer was made with a constraint."""
    return any(vars(layer).get("_constraints") for layer in layers)


def apply(layers: list[Layer]) -> None:
    """Move the weights of constrained layers to where they may be."""
    for layer in layers:
        for argument, constraint in vars(layer).get("_constraints", {}).items():
            for name in layer.params.keys() & set(PARAMETERS[argument]):
                value = layer.params[name].value
                value[...] = layer.backend.array(constraint(layer.backend.to_numpy(value)), layer.dtype)


__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "maxnorm",
    "min_max_norm",
    "non_neg",
    "nonneg",
    "serialize",
    "unit_norm",
    "unitnorm",
]
__dir__ = listing(__name__)
__getattr__ = looked_up(__name__, __all__, {})
