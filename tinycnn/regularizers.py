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


class L1(Regularizer):
    """The penalty ``l1 * sum(abs(w))``, with the gradient ``l1 * sign(w)``, which is 0 for a weight that is 0.

    It pulls every weight towards 0 with the same force, so that many weights end near 0.

    Source: Tibshirani, "Regression shrinkage and selection via the lasso", 1996.

    Parameters
    ----------
    l1 : float, not negative
        The factor of the penalty.

    Examples
    --------
    >>> import numpy as np
    >>> L1(0.1).penalty(np.array([3.0, -4.0]))
    0.7000000000000001
    """

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = real(l1, "l1", 0)

    def penalty(self, value: Array) -> float:
        return self.l1 * float(np.abs(value).sum(dtype=np.float64))

    def gradient(self, value: Array) -> Array:
        return self.l1 * np.sign(value)


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


class L1L2(Regularizer):
    """The penalties of :class:`L1` and :class:`L2` together.

    Source: Zou & Hastie, "Regularization and variable selection via the elastic net", 2005.

    Parameters
    ----------
    l1, l2 : float, not negative
        The factors of the two penalties. Both defaults are 0, as in Keras; the name ``"l1_l2"`` stands for 0.01 each.

    Examples
    --------
    >>> import numpy as np
    >>> L1L2(l1=0.5, l2=0.25).penalty(np.array([3.0, -4.0]))
    9.75
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = real(l1, "l1", 0)
        self.l2 = real(l2, "l2", 0)

    def penalty(self, value: Array) -> float:
        return L1(self.l1).penalty(value) + L2(self.l2).penalty(value)

    def gradient(self, value: Array) -> Array:
        return L1(self.l1).gradient(value) + L2(self.l2).gradient(value)


#: Keras's other names for the classes.
l1, l2, l1_l2 = L1, L2, L1L2

REGULARIZERS: dict[str, type[Regularizer]] = {"l1": L1, "l2": L2, "l1_l2": L1L2}


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
    if isinstance(regularizer, str) and regularizer == "l1_l2":
        return L1L2(l1=0.01, l2=0.01)
    return None if regularizer is None else REGISTRY.find(regularizer, name)
