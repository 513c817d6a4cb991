"""Batches that a program of Keras's counts in steps: the first ones, or more than there are."""

import math
from typing import Any

from ..core.checks import real
from ..training.sequences import is_sequence


class Batches:
    """So many batches of an object that holds batches; after the last one they begin anew.

    Parameters
    ----------
    source : object
        It has a length, and its items are batches.
    count : int
        How many batches there are.
    """

    def __init__(self, source: Any, count: int) -> None:
        self._source, self._count = source, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < self._count:
            raise IndexError(index)
        turn, place = divmod(index, len(self._source))
        if turn and place == 0 and callable(getattr(self._source, "on_epoch_end", None)):
            self._source.on_epoch_end()
        return self._source[place]

    def on_epoch_end(self) -> None:
        """Tell the source, which may draw another order."""
        method = getattr(self._source, "on_epoch_end", None)
        if callable(method):
            method()


def several(source: Any, steps: Any, name: str) -> tuple[int | None, Any]:
    """Return how many steps an epoch has, a whole number, and batches of which there are enough.

    An object that has a length and is its own iterator is asked by numbers, so that each epoch begins anew.

    Parameters
    ----------
    source : anything
        What ``fit`` was given; only objects that hold batches are changed.
    steps : number or None
        A fraction, such as ``len(x) / 32``, is rounded up, as in Keras 2.
    name : str
        What errors call the number.
    """
    both = is_sequence(source) and hasattr(source, "__next__")  # such as what ImageDataGenerator.flow returns
    if steps is None:
        return None, Batches(source, len(source)) if both else source
    count = math.ceil(real(steps, name, above=0))
    if is_sequence(source) and (both or count > len(source)):
        return None, Batches(source, count)
    return count, source
