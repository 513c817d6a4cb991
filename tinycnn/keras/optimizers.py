"""Optimizers, called as in Keras, of any version; ``lr`` and ``decay`` are understood.

``keras.optimizers.schedules`` are the schedules, and ``keras.optimizers.legacy`` is this module.
"""

from typing import Any

from .. import optimizers as engine
from .. import schedules as engine_schedules
from ..core.checks import real
from ..core.description import described
from ..core.public import listing
from ..optimizers import Optimizer
from . import _more_optimizers as more
from . import schedules
from ._missing import OPTIMIZERS as _MISSING
from ._spelling import Rule, Spelling, engine_class, ignored, now, only, silent
from ._telling import looked_up, told

_NO_MEANS = "tinycnn keeps no running means of weights: leave the argument out"
_RULES: dict[str, Rule] = {
    "lr": now("learning_rate"),
    "name": silent,
    "jit_compile": silent,
    "amsgrad": only(False, None, cure="leave the argument out; Adam without it is there"),
    "use_ema": only(False, None, cure=_NO_MEANS),
    "ema_momentum": silent,
    "ema_overwrite_frequency": silent,
    "loss_scale_factor": only(None, cure="leave the argument out; tinycnn computes in float32, which needs no scaling"),
    "gradient_accumulation_steps": only(None, cure="leave the argument out, and give fit a larger batch_size"),
    "schedule_decay": ignored("Keras 3 has the constant 0.004 of its default"),
}


class OptimizerSpelling(Spelling):
    """An optimizer of the engine's, called as in Keras.

    ``decay`` of Keras 2 becomes the schedule that it stood for: the rate of step t is ``lr / (1 + decay * t)``.
    """

    def __init__(self, cls: type, order: tuple[str, ...] = ()) -> None:
        super().__init__(cls, order, _RULES)

    def translated(self, given: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        decay = named.pop("decay", None)
        if "epsilon" in named and named["epsilon"] is None:  # Keras 2: the usual one
            del named["epsilon"]
        found = super().translated(given, named)
        if self.cls is more.Adadelta and "learning_rate" not in found:
            told(
                "Adadelta has the learning rate 0.001, Keras's default since version 2.3, and it trains slowly; it was "
                "1.0 before, and programs of that time mean Adadelta(1.0)"
            )
        if decay is not None and real(decay, "decay", 0):
            rate = found.get("learning_rate", engine_default(self.cls))
            found["learning_rate"] = engine_schedules.InverseTimeDecay(
                real(rate, "learning_rate", 0), 1, real(decay, "decay")
            )
            told(
                f"{self.__name__}: decay={decay} stands for the schedule learning_rate / (1 + decay * step), as in "
                "Keras 2; Keras 3 ignores it, and today one writes learning_rate=schedules.InverseTimeDecay(rate, 1, "
                "decay)"
            )
        return found


def engine_default(cls: type[Optimizer]) -> float:
    """Return the learning rate that an optimizer has if none is given."""
    return cls().learning_rate  # type: ignore[call-arg]


SGD = OptimizerSpelling(engine.SGD)
RMSprop = OptimizerSpelling(engine.RMSprop)
Adam = OptimizerSpelling(engine.Adam)
AdamW = OptimizerSpelling(engine.AdamW)
Adadelta = OptimizerSpelling(more.Adadelta)
Adagrad = OptimizerSpelling(more.Adagrad)
Adamax = OptimizerSpelling(more.Adamax)
Nadam = OptimizerSpelling(more.Nadam)
sgd, rmsprop, adam, adadelta, adagrad, adamax, nadam = SGD, RMSprop, Adam, Adadelta, Adagrad, Adamax, Nadam

#: The optimizers that the engine's own registry does not have, by their names.
_MORE = {one.__name__: one for one in (Adadelta, Adagrad, Adamax, Nadam)}


def spelled(optimizer: Any) -> Any:
    """Return what the engine takes for an optimizer."""
    if isinstance(optimizer, str):
        found = {name.lower(): one for name, one in _MORE.items()}.get(optimizer.lower())
        return optimizer if found is None else found()
    return engine_class(optimizer)


def get(identifier: Any) -> Optimizer:
    """Return the optimizer that a name or a configuration stands for."""
    return engine.get(spelled(identifier))


def serialize(optimizer: Any) -> dict[str, Any]:
    """Return a description, ``{"class_name": ..., "config": ...}``, which JSON can hold."""
    return described(get(optimizer))


deserialize = get

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "deserialize",
    "get",
    "nadam",
    "rmsprop",
    "schedules",
    "serialize",
    "sgd",
]
__dir__ = listing(__name__)
__getattr__ = looked_up(__name__, __all__, _MISSING)
