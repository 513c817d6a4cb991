"""Random numbers, each computed from (seed, stream, counter) and never from a hidden global state.

A model draws one seed when it is made. The initial values and the masks of each layer, and the order of each epoch,
follow from that seed and a position. So a run depends only on its own seed, not on what was run before it.
"""

import secrets
from enum import IntEnum
from typing import Any

import numpy as np

from ..kernels.counter_hash import GOLDEN, key_of, unmix
from .checks import integer

_SEED_BITS = 63
_MASK = 2**64 - 1
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


class StepOfPart(int):
    """The number of a step, for a part of its batch: what is random in the part is what it is in the whole batch.

    Layers are given it as their ``step`` where several processes share a batch (:mod:`tinycnn.distributed`). To a layer
    that draws nothing it is a number like any other.

    Parameters
    ----------
    step : int
        The number of the step.
    first : int
        How many images of the batch come before this part.
    whole : int
        How many images the whole batch has.
    """

    first: int
    whole: int

    def __new__(cls, step: int, first: int, whole: int) -> "StepOfPart":
        part = super().__new__(cls, step)
        part.first, part.whole = first, whole
        return part

    def __reduce__(self) -> Any:
        return StepOfPart, (int(self), self.first, self.whole)


def step_for_kernels(seed: int, step: int, draws: int) -> int:
    """Return the step that makes a kernel of noise draw for a part what it would draw there for the whole batch.

    Kernels hash ``key_of(seed, step) + (n + 1) * GOLDEN`` for draw n. A part that begins with draw m needs the key
    ``key_of(seed, step) + m * GOLDEN`` instead. Hashes can be undone, so there is exactly one step with that key.

    Parameters
    ----------
    seed, step : int
        What the kernel would be given for the whole batch.
    draws : int
        How many draws there are for one image.
    """
    return _StepOfDraws(seed, step, draws) if isinstance(step, StepOfPart) else step


class _StepOfDraws(int):
    """What :func:`step_for_kernels` returns for a part; a recorded step asks it what it is at another step."""

    _seed: int
    _draws: int

    def __new__(cls, seed: int, step: StepOfPart, draws: int) -> "_StepOfDraws":
        moved = super().__new__(cls, _moved(seed, step, step.first * draws))
        moved._seed, moved._draws = seed, draws
        return moved

    def of(self, step: StepOfPart) -> "_StepOfDraws":
        """Return the same for another step."""
        return _StepOfDraws(self._seed, step, self._draws)


def _moved(seed: int, step: int, before: int) -> int:
    """Return the step whose first draw is the one that has ``before`` others before it in a step."""
    if not before:
        return int(step)
    key = (int(key_of(seed, step)) + before * int(GOLDEN)) & _MASK
    return ((unmix(key) - int(GOLDEN)) & _MASK) ^ int(key_of(seed))


class Rows:
    """A generator for a part of a batch: of what it draws for the whole batch it returns the part's rows.

    Parameters
    ----------
    drawn : numpy.random.Generator
        The generator of the step.
    step : StepOfPart
        The step, and where in the batch the part lies.
    """

    def __init__(self, drawn: np.random.Generator, step: StepOfPart) -> None:
        self._drawn, self._step = drawn, step

    def uniform(self, low: float, high: float, size: int | tuple[int, ...]) -> np.ndarray:
        """Return evenly distributed numbers; the first number of ``size`` is that of the part's images."""
        images, *others = (size,) if isinstance(size, int) else size
        rows = self._drawn.uniform(low, high, (self._step.whole, *others))
        return rows[self._step.first : self._step.first + images]

    def random(self, size: int | tuple[int, ...]) -> np.ndarray:
        """Return numbers between 0 and 1, as :meth:`uniform` does."""
        return self.uniform(0.0, 1.0, size)


def generator_of_step(seed: int, stream: Stream, step: int) -> Any:
    """Return the generator of one step, which gives a part of a batch what the whole batch would have there."""
    drawn = generator(seed, stream, step)
    return Rows(drawn, step) if isinstance(step, StepOfPart) else drawn
