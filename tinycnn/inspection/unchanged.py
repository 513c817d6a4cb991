"""Walk through layers of a user's own, and find the one that changes what it was given.

A layer's input is the result of the layer before it, which that layer may have kept for its backward. An array that
was changed makes wrong gradients there, or an error that blames a layer which did nothing wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..core.types import Array
from ..core.version import is_ours
from ..training.step import Passed, walk_backward, walk_forward


def walk_forward_unchanged(layers: Sequence[Any], x: Array, *, training: bool, step: int = 0) -> Iterator[Passed]:
    """Do what :func:`tinycnn.training.step.walk_forward` does, and watch what layers do to their inputs.

    Raises
    ------
    ValueError
        If a layer changes its input in place.
    """
    for layer in layers:
        with unchanged(layer, "forward", {"its input": x}):
            (passed,) = walk_forward([layer], x, training=training, step=step)
        yield passed
        x = passed.y


def walk_backward_unchanged(
    layers: Sequence[Any], caches: list[Any], dy: Array, inputs: Mapping[int, Array]
) -> Iterator[tuple[Any, Array, Array]]:
    """Do what :func:`tinycnn.training.step.walk_backward` does, and watch what layers do to their arrays.

    Parameters
    ----------
    layers, caches, dy
        As there.
    inputs : mapping of int to array
        The inputs of layers by the layers' ``id``, as far as they are known.

    Raises
    ------
    ValueError
        If a layer changes ``dy``, or the input of its forward, in place.
    """
    for layer in reversed(layers):
        given = {"dy": dy} | ({"the input of forward": inputs[id(layer)]} if id(layer) in inputs else {})
        with unchanged(layer, "backward", given):
            ((_, _, dx),) = walk_backward([layer], [caches.pop()], dy)
        yield layer, dy, dx
        dy = dx


@contextmanager
def unchanged(layer: Any, method: str, arrays: Mapping[str, Array]) -> Iterator[None]:
    """Raise ValueError if a method of a user's layer, which runs within this block, changes one of these arrays.

    Parameters
    ----------
    layer : Layer
        Nothing is watched if its class is tinycnn's and if it has no activation of a user's own.
    method : str
        What the error calls the method.
    arrays : mapping of str to array
        By the names that the error has for them.
    """
    if all(is_ours(type(one)) for one in (layer, getattr(layer, "activation", layer))):
        yield
        return
    before = {name: array.copy() for name, array in arrays.items()}
    yield
    to_numpy = layer.backend.to_numpy
    for name, array in arrays.items():
        if not np.array_equal(to_numpy(array), to_numpy(before[name]), equal_nan=True):
            raise ValueError(
                f"{layer.label}: {method} changed {name} in place, but other layers need that array as it was; "
                "return a new array, or work on a copy"
            )
