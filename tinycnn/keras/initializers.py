"""Initializers under Keras's names: classes, the same in small letters, and the words of Keras 1."""

from typing import Any

from .. import initializers as engine
from ..core.description import described
from ..core.public import listing
from ..initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Initializer,
    LecunNormal,
    LecunUniform,
    Ones,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
)
from ._telling import looked_up

constant, ones, zeros = Constant, Ones, Zeros
glorot_normal, glorot_uniform, he_normal, he_uniform = GlorotNormal, GlorotUniform, HeNormal, HeUniform
lecun_normal, lecun_uniform, variance_scaling = LecunNormal, LecunUniform, VarianceScaling
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
normal, uniform, zero, one = RandomNormal, RandomUniform, Zeros, Ones

#: The words of Keras 1 for initializers.
_OLD = {"normal": "random_normal", "uniform": "random_uniform", "zero": "zeros", "one": "ones"}
_MISSING = dict.fromkeys(
    (
        "Orthogonal",
        "orthogonal",
        "Identity",
        "identity",
        "OrthogonalInitializer",
        "IdentityInitializer",
        "STFT",
        "stft",
    ),
    "use GlorotUniform, Keras's default, or HeNormal before a ReLU",
)


def spelled(initializer: Any) -> Any:
    """Return what the engine's layers take for an initializer: a class stands for an object with its defaults."""
    if isinstance(initializer, type) and issubclass(initializer, Initializer):
        return initializer()
    if isinstance(initializer, str) and initializer.lower() in ("orthogonal", "identity"):
        raise ValueError(f"tinycnn has no initializer {initializer!r}; {_MISSING['orthogonal']}")
    return _OLD.get(initializer, initializer) if isinstance(initializer, str) else initializer


def get(identifier: Any) -> Initializer:
    """Return the initializer that a name, a class or a configuration stands for."""
    return engine.get(spelled(identifier))


def serialize(initializer: Any) -> dict[str, Any]:
    """Return a description, ``{"class_name": ..., "config": ...}``, which JSON can hold."""
    return described(get(initializer))


deserialize = get

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "constant",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "one",
    "ones",
    "random_normal",
    "random_uniform",
    "serialize",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "zero",
    "zeros",
]
__dir__ = listing(__name__)
__getattr__ = looked_up(__name__, __all__, _MISSING)
