"""Learning rate schedules, called as in Keras; ``keras.optimizers.schedules`` is this module."""

from .. import schedules as engine
from ..core.public import listing
from ..schedules import LearningRateSchedule, deserialize, serialize
from ._missing import SCHEDULES as _MISSING
from ._spelling import Spelling, silent
from ._telling import looked_up

_RULES = {"name": silent}
CosineDecay = Spelling(engine.CosineDecay, rules=_RULES)
ExponentialDecay = Spelling(engine.ExponentialDecay, rules=_RULES)
InverseTimeDecay = Spelling(engine.InverseTimeDecay, rules=_RULES)
PiecewiseConstantDecay = Spelling(engine.PiecewiseConstantDecay, rules=_RULES)

__all__ = [
    "CosineDecay",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "deserialize",
    "serialize",
]
__dir__ = listing(__name__)
__getattr__ = looked_up(__name__, __all__, _MISSING)
