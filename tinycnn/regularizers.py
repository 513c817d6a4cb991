"""Penalties on weights, with Keras's names and formulas.

A training step adds the penalty's gradient to the gradient that the layers' backward computes. ``loss`` and
``val_loss`` are reported with the penalty of all trainable weights, as in Keras. The layers themselves know nothing of
penalties: their backward is the derivative of their forward.
"""

from typing import Any

import numpy as np

from .core import forms
from .core.checks import real
from .core.description import Named
from .core.public import listing
from .core.registry import Registry
from .core.types import Array

__dir__ = listing(__name__)


class Regularizer(Named):
    """Base of all penalties: a number that grows with the weights, and its derivative."""

    _form = forms.REGULARIZER

    def penalty(self, value: Array) -> float:
        """Return what these weights add to the loss."""
        raise NotImplementedError(f"{type(self).__name__} does not say what weights cost: define penalty(value)")

    def gradient(self, value: Array) -> Array:
        """Return the derivative of :meth:`penalty` with respect to each weight."""
        raise NotImplementedError(f"{type(self).__name__} does not say its slope: define gradient(value)")


class L2(Regularizer):
    """The penalty ``l2 * sum(w**2)``, with the gradient ``2 * l2 * w``.

    A large weight costs more than several small ones.

    Source: Krogh & Hertz, "A simple weight decay can improve generalization", 1992 (there with a factor 1/2).

    Parameters
    ----------
    l2 : float, not negative
        The factor of the penalty.

    Examples
    --------
    >>> import numpy as np
    >>> L2(0.1).penalty(np.array([3.0, -4.0]))
    2.5
    """

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = real(l2, "l2", 0)

    def penalty(self, value: Array) -> float:
        return self.l2 * float(np.vdot(value, value))

    def gradient(self, value: Array) -> Array:
        return 2 * self.l2 * value


REGULARIZERS: dict[str, type[Regularizer]] = {"l2": L2}


REGISTRY = Registry("regularizer", Regularizer, REGULARIZERS)


def get(regularizer: Any, name: str = "") -> Regularizer | None:
    """Return a regularizer from its name, its class name, its configuration, or itself; None is no regularizer.

    Parameters
    ----------
    regularizer : str, dict, Regularizer or None
    name : str, optional
        The argument that it was given for, for errors.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    return None if regularizer is None else REGISTRY.find(regularizer, name)
