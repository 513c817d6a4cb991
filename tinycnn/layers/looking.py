"""Look without changing: layers work with copies of what they hold, and get back their own when the look is over.

A layer of a user's own may keep what it likes in plain attributes: arrays, numbers, lists, random generators, other
layers. So may an activation or a regularizer. A forward pass that only serves to look must leave all of it as it was.
Only parameters are not copied, because optimizers and checks refer to them.
"""

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..core.description import Named
from ..core.parameter import Parameter
from ..core.types import Array
from ..core.version import is_ours


@contextmanager
def layers_kept(layers: Iterable[Any], *others: Any, gradients: bool = False) -> Iterator[None]:
    """Leave layers, and other objects such as losses, as they are, whatever the passes in the block do to them.

    The values of parameters are put back for layers of a user's own; tinycnn's layers never change theirs. Gradients
    are put back if ``gradients`` is True.
    """
    layers = list(layers)
    parameters = [parameter for layer in layers for parameter in layer.params.values()]
    others = (*others, *_own_parts(layers, parameters))
    memo: dict[int, Any] = {id(one): one for one in (*layers, *others, *parameters)}
    for parameter in parameters:
        memo |= {id(array): array for array in (parameter.value, parameter.grad)}
    shared = [array for parameter in parameters for array in (parameter.value, parameter.grad)]
    values = [(p.value, p.value.copy()) for layer in layers if not is_ours(type(layer)) for p in layer.params.values()]
    grads = [(p, p.grad, p.grad.copy()) for p in parameters if gradients]
    own = [(one, vars(one)) for one in (*layers, *others)]
    for layer in layers:
        object.__setattr__(layer, "__dict__", _copy_of(layer, memo, shared))
    for other in others:
        object.__setattr__(other, "__dict__", _copies(vars(other), memo, shared))
    try:
        yield
    finally:
        for one, attributes in own:
            object.__setattr__(one, "__dict__", attributes)
        for array, before in values:
            array[...] = before
        for parameter, array, before in grads:
            parameter.grad = array
            array[...] = before


def _own_parts(layers: list[Any], parameters: list[Parameter]) -> list[Any]:
    """Return the activations and regularizers of a user's own, which may remember something as layers do."""
    held = [*(value for layer in layers for value in vars(layer).values()), *(p.regularizer for p in parameters)]
    own = {
        id(one): one for one in held if isinstance(one, Named) and not is_ours(type(one)) and hasattr(one, "__dict__")
    }
    return list(own.values())


def _copy_of(layer: Any, memo: dict[int, Any], shared: list[Array]) -> dict[str, Any]:
    """Return the attributes that a layer has during the look."""
    memo |= {id(layer.backend): layer.backend, id(layer.params): layer.params}
    memo |= {id(array): array.copy() for array in layer.buffers.values()}
    if is_ours(type(layer)):  # it changes nothing but its buffers
        return vars(layer) | {"buffers": copy.deepcopy(layer.buffers, memo)}
    return _copies(vars(layer), memo, shared)


def _copies(attributes: dict[str, Any], memo: dict[int, Any], shared: list[Array]) -> dict[str, Any]:
    """Return copies of some attributes; what cannot be copied, such as an open file, stands for itself."""
    # A view of a weight or of a gradient has to stay one.
    memo |= {id(array): array for array in _arrays_in(attributes) if _in_memory_of(array, shared)}
    copies = {}
    for name, value in attributes.items():
        try:
            copies[name] = copy.deepcopy(value, memo)
        except Exception:  # a user's object may fail in any way
            copies[name] = value
    return copies


def _in_memory_of(array: Array, others: list[Array]) -> bool:
    """Return whether an array may lie in the same memory as one of the others."""
    return any(isinstance(other, np.ndarray) and np.may_share_memory(array, other) for other in others)


def _arrays_in(value: Any, depth: int = 4) -> Iterator[Array]:
    """Yield the arrays in lists, tuples, dicts and layers within one another."""
    if isinstance(value, np.ndarray):
        yield value
    elif depth:
        if isinstance(value, dict):
            value = list(value.values())
        elif isinstance(value, Parameter) or hasattr(value, "params"):
            value = list(vars(value).values())
        if isinstance(value, list | tuple):
            for item in value:
                yield from _arrays_in(item, depth - 1)


@contextmanager
def buffers_kept(layers: Iterable[Any]) -> Iterator[None]:
    """Put back buffers alone after the block: what else a pass changes is to be seen, as gradient checks want it."""
    kept = [(layer, {name: array.copy() for name, array in layer.buffers.items()}) for layer in layers]
    try:
        yield
    finally:
        for layer, buffers in kept:
            for name, array in buffers.items():
                layer.buffers[name][...] = array
