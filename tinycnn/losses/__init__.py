"""Losses, the numbers that training makes small: one per sample, and its gradient with respect to the prediction."""

from typing import Any

from ..core.public import listing
from ..core.registry import Registry
from .base import Loss, LossCache
from .binary import BinaryCrossentropy
from .crossentropy import CategoricalCrossentropy, Crossentropy, SparseCategoricalCrossentropy
from .mean_squared_error import MeanSquaredError
from .targets import check_labels, check_numbers, check_rows, check_shares

__all__ = [
    "LOSSES",
    "REGISTRY",
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Crossentropy",
    "Loss",
    "LossCache",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "check_labels",
    "check_numbers",
    "check_rows",
    "check_shares",
    "get",
]
__dir__ = listing(__name__)

LOSSES: dict[str, type[Loss]] = {
    cls.name: cls
    for cls in (SparseCategoricalCrossentropy, CategoricalCrossentropy, BinaryCrossentropy, MeanSquaredError)
}

REGISTRY = Registry(
    "loss",
    Loss,
    LOSSES,
    aliases={"mse": MeanSquaredError},
    advice={"sparsecrossentropy": "did you mean 'sparse_categorical_crossentropy'?"},
)


def get(loss: Any) -> Loss:
    """Return a loss from its name, its class name, its configuration, or itself.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    return REGISTRY.find(loss)
