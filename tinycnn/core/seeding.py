"""Where every random number comes from: (seed, stream, counter), never from a hidden global state.

A model draws one seed when it is made; each layer's initial values and masks, and each epoch's shuffling, follow from
that seed and a position. So a run depends on its own seed only, not on what was run before it.
"""

import secrets
from enum import IntEnum

import numpy as np

from ..kernels.counter_hash import key_of
from .checks import integer

_SEED_BITS = 63


class Stream(IntEnum):
    """What a random number is for; part of its key, so streams never overlap."""

    MODEL = 1
    INITIALISE = 2
    SHUFFLE = 3
    AUGMENT = 4


class _Source:
    """The seed given by :func:`set_seed` and how many models have drawn from it."""

    seed: int | None = None
    drawn: int = 0


def set_seed(seed: int) -> None:
    """Fix every random number of the models made from here on: initial values, shuffling, dropout.

    Same seed, same machine, same backend: the same bits, for any number of threads. The first model made after
    ``set_seed(42)`` is always the same one, the second is another.

    Parameters
    ----------
    seed : int
        Not negative.

    Raises
    ------
    TypeError, ValueError
        If ``seed`` is not an integer or is negative.

    Examples
    --------
    >>> import tinycnn
    >>> tinycnn.set_seed(42)
    """
    _Source.seed = integer(seed, "seed", minimum=0)
    _Source.drawn = 0


def new_model_seed() -> int:
    """The seed of the next model: the next of :func:`set_seed`'s, or a fresh one from the operating system."""
    if _Source.seed is None:
        return secrets.randbits(_SEED_BITS)
    _Source.drawn += 1
    return int(key_of(_Source.seed, Stream.MODEL, _Source.drawn)) >> (64 - _SEED_BITS)


def generator(seed: int, stream: Stream, *position: int) -> np.random.Generator:
    """NumPy's generator for one purpose at one position; its Philox is counter-based (Salmon et al., 2011)."""
    return np.random.Generator(np.random.Philox(key=int(key_of(seed, stream, *position))))
