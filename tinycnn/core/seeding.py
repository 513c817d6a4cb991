"""Random numbers, each computed from (seed, stream, counter) and never from a hidden global state.

A model draws one seed when it is made. The initial values and the masks of each layer, and the order of each epoch,
follow from that seed and a position. So a run depends only on its own seed, not on what was run before it.
"""

import secrets
from enum import IntEnum

import numpy as np

from ..kernels.counter_hash import key_of
from .checks import integer

_SEED_BITS = 63
#: How many models back :func:`given_seed` looks, so that it takes no time after thousands of them.
_LATEST = 1000


class Stream(IntEnum):
    """What a random number is for. The stream is part of the number's key, so no two streams overlap."""

    MODEL = 1
    INITIALISE = 2
    SHUFFLE = 3
    AUGMENT = 4


class _Source:
    """The seed that was given to :func:`set_seed`, and the number of models that have drawn from it."""

    seed: int | None = None
    drawn: int = 0


def set_seed(seed: int) -> None:
    """Fix all random numbers of the models that are made from now on: initial values, shuffling, dropout.

    The same seed on the same machine and backend gives the same bits, for any number of threads. The first model that
    is made after ``set_seed(42)`` is always the same one; the second one differs from it.

    Parameters
    ----------
    seed : int
        Zero or a positive integer.

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
    """Return the seed of the next model: it follows from :func:`set_seed`, or comes from the operating system."""
    if _Source.seed is None:
        return secrets.randbits(_SEED_BITS)
    _Source.drawn += 1
    return _seed_of_model(_Source.seed, _Source.drawn)


def given_seed(model_seed: int) -> int | None:
    """Return what :func:`set_seed` was given last if one of the latest models got this seed from it, otherwise None."""
    if _Source.seed is None:
        return None
    latest = range(_Source.drawn, max(0, _Source.drawn - _LATEST), -1)
    return _Source.seed if any(_seed_of_model(_Source.seed, number) == model_seed for number in latest) else None


def _seed_of_model(seed: int, number: int) -> int:
    """Return the seed of the model with this number, counted from 1, after ``set_seed(seed)``."""
    return int(key_of(seed, Stream.MODEL, number)) >> (64 - _SEED_BITS)


def generator(seed: int, stream: Stream, *position: int) -> np.random.Generator:
    """Return NumPy's generator for one purpose at one position; Philox is counter-based (Salmon et al., 2011)."""
    return np.random.Generator(np.random.Philox(key=int(key_of(seed, stream, *position))))
