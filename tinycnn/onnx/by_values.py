"""Recognize an activation that an exporter has written as several operators, by the values that these compute."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.types import Array
from .constants import Constants
from .nodes import Node

#: Where the operators are computed, and how far they may be from the activation there. An approximation of gelu by tanh
#: is further away.
_POINTS = np.linspace(-8, 8, 257)
_NEAR = 1e-6
#: The most operators that one activation is made of.
_MAX_NODES = 16


def _erf(x: Array) -> Array:
    from scipy.special import erf

    return np.asarray(erf(x))


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


_COMPUTE: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Div": np.divide,
    "Erf": _erf,
    "Exp": np.exp,
    "Identity": lambda x: x,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Pow": np.power,
    "Reciprocal": np.reciprocal,
    "Relu": lambda x: np.maximum(x, 0),
    "Sigmoid": _sigmoid,
    "Sub": np.subtract,
    "Tanh": np.tanh,
}
_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": lambda x: np.asarray(x * (1 + _erf(x / math.sqrt(2))) / 2),
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "linear": lambda x: x,
}


def activation(nodes: list[Node], source: str, result: str, constants: Constants) -> tuple[str, float] | None:
    """Return the activation that some nodes compute together, and a factor, or None if it is none of tinycnn's.

    The factor is 1, or 2 where a gelu is halved by a node after them.

    Parameters
    ----------
    nodes : list of Node
        In the order in which they are computed.
    source, result : str
        The names of the array that the first ones take, and of the one that the last one makes.
    constants : Constants
        All other arrays that they take, which have to be single numbers.
    """
    if len(nodes) > _MAX_NODES:
        return None
    known: dict[str, Array] = {source: _POINTS}
    for node in nodes:
        if node.operator not in _COMPUTE:
            return None
        given = []
        for name in node.inputs:
            if name not in known:
                if name not in constants or constants[name].size != 1 or constants[name].dtype == object:
                    return None
                known[name] = constants[name].astype(np.float64).reshape(-1)
            given.append(known[name])
        try:
            with np.errstate(all="ignore"):
                known[node.outputs[0]] = np.asarray(_COMPUTE[node.operator](*given))
        except (TypeError, ValueError):  # it has too few inputs, or too many
            return None
    found = known[result]
    for name, function in _ACTIVATIONS.items():
        for factor in (1.0, 2.0):
            if found.shape == _POINTS.shape and np.abs(found - factor * function(_POINTS)).max() < _NEAR:
                return name, factor
    return None
