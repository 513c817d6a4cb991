"""Penalties on weights under Keras's names: classes, and the same in small letters."""

from typing import Any

from .. import regularizers as engine
from ..core.description import described
from ..core.public import listing
from ..regularizers import L1, L1L2, L2, Regularizer
from ._spelling import Spelling, now
from ._telling import looked_up

l1 = Spelling(L1, rules={"l": now("l1")})
l2 = Spelling(L2, rules={"l": now("l2")})
l1_l2 = l1l2 = Spelling(L1L2)

_MISSING = dict.fromkeys(("OrthogonalRegularizer", "orthogonal_regularizer"), "l2 is the nearest")
_MISSING |= dict.fromkeys(
    ("ActivityRegularizer", "activity_l1", "activity_l1l2", "activity_l2"), "penalties are for weights: l1 and l2"
)
_MISSING |= dict.fromkeys(("EigenvalueRegularizer", "WeightRegularizer"), "l1, l2 and l1_l2 are there")


def spelled(regularizer: Any) -> Any:
    """Return what the engine's layers take for a penalty: a class stands for an object with its defaults."""
    if isinstance(regularizer, Spelling) or (isinstance(regularizer, type) and issubclass(regularizer, Regularizer)):
        return regularizer()
    return regularizer


def get(identifier: Any) -> Regularizer | None:
    """Return the penalty that a name, a class or a configuration stands for; None is none."""
    return engine.get(spelled(identifier))


def serialize(regularizer: Any) -> dict[str, Any]:
    """Return a description, ``{"class_name": ..., "config": ...}``, which JSON can hold."""
    return described(get(regularizer))


deserialize = get

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "Regularizer",
    "deserialize",
    "get",
    "l1",
    "l1_l2",
    "l1l2",
    "l2",
    "serialize",
]
__dir__ = listing(__name__)
__getattr__ = looked_up(__name__, __all__, _MISSING)
