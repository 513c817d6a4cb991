"""Which module of a state dict of PyTorch belongs to which layer."""

import re
from collections.abc import Sequence
from typing import Any

from ..core.checks import items
from ..core.messages import shown
from ..core.types import Shape
from .pytorch_order import Module

#: Counts the batches of a batch normalization; nothing here needs it.
_COUNTER = "num_batches_tracked"

#: The shapes of the arrays of each module of a state dict, by the names of the modules and of the arrays.
Stored = dict[str, dict[str, Shape]]


def stored_modules(shapes: dict[str, Shape]) -> Stored:
    """Return the arrays of a state dict by modules: what stands before the last dot of their names."""
    found: Stored = {}
    for key, shape in shapes.items():
        name, _, part = key.rpartition(".")
        if part != _COUNTER:
            found.setdefault(name, {})[part] = shape
    return found


def checked_names(names: Any, wanted: Sequence[Module]) -> list[str]:
    """Return the names of modules that a user gives, one for each layer with weights, or raise.

    Raises
    ------
    TypeError
        If they are not a list of texts.
    ValueError
        If there is not one name for each layer, or two are the same.
    """
    listed = items(names, "names", "names of modules")
    if not all(isinstance(name, str) for name in listed):
        raise TypeError(f"names must be a list of names of modules; got {shown(names)}")
    if len(listed) != len(wanted) or len(set(listed)) < len(listed):
        layers = ", ".join(module.layer for module in wanted)
        raise ValueError(
            f"names must be {len(wanted)} different names, for {shown(layers)} in this order; got {shown(names)}"
        )
    return listed


def matched(wanted: Sequence[Module], stored: Stored, names: list[str] | None) -> tuple[dict[str, str], list[str]]:
    """Return the name of the module for each layer, and, in words, what does not fit.

    Parameters
    ----------
    wanted : sequence of Module
        What the layers need, in their order.
    stored : dict
        What a state dict holds.
    names : list of str or None
        The names of the modules in the order of the layers; None finds them by their kinds, their shapes, and the
        numbers in their names.
    """
    if names is not None:
        pairs = {module.layer: name for module, name in zip(wanted, names, strict=True) if name in stored}
        missing = [f"names: the file has no module {shown(name)}" for name in names if name not in stored]
        left = [f"names lacks {shown(name)}" for name in sorted(stored.keys() - set(names))]
        differences = [f"names: {text}" for text in _differences(wanted, stored, pairs)]
        return pairs, missing + left + differences
    pairs = {}
    problems: list[str] = []
    for kind in dict.fromkeys([*(module.kind for module in wanted), *map(_kind, stored.values())]):
        ours = [module for module in wanted if module.kind == kind]
        theirs = {name: parts for name, parts in stored.items() if _kind(parts) == kind}
        some, faults = _of_a_kind(kind, ours, theirs)
        pairs |= some
        problems += faults
    return pairs, problems or _differences(wanted, stored, pairs)


def _kind(parts: dict[str, Shape]) -> str:
    """Return the kind of a module, by its arrays."""
    if "running_mean" in parts:
        return "batch normalization"
    rank = len(parts.get("weight", ()))
    return {2: "linear layer", 4: "convolution"}.get(rank, "module of another kind")


def _of_a_kind(kind: str, ours: list[Module], theirs: Stored) -> tuple[dict[str, str], list[str]]:
    """Return which module belongs to which layer of a kind, and, in words, what does not fit."""
    if len(ours) != len(theirs):
        some = ", ".join(sorted(theirs, key=_numbers)[:4])
        return {}, [f"the model has {len(ours)} of the kind {kind}, and the file {len(theirs)} ({shown(some)})"]
    if len({_without_numbers(name) for name in theirs}) <= 1:
        names = sorted(theirs, key=_numbers)
        return {module.layer: name for module, name in zip(ours, names, strict=True)}, []
    pairs: dict[str, str] = {}
    problems: list[str] = []
    for shapes in dict.fromkeys(_shapes(module) for module in ours):
        layers = [module.layer for module in ours if _shapes(module) == shapes]
        names = sorted((name for name, parts in theirs.items() if _frozen(parts) == shapes), key=_numbers)
        if len(names) != len(layers):
            problems.append(
                f"{layers[0]} needs arrays of {_in_words(shapes)}; {len(names)} modules have such, not {len(layers)}"
            )
        elif len(names) > 1 and len({_without_numbers(name) for name in names}) > 1:
            problems.append(
                f"{shown(names[0])} and {shown(names[1])} have the same shapes, and their names do not say which comes "
                "first; list all names in order: tinycnn.interchange.load_pytorch(model, path, names=[...])"
            )
        else:
            pairs |= dict(zip(layers, names, strict=True))
    return pairs, problems


def _differences(wanted: Sequence[Module], stored: Stored, pairs: dict[str, str]) -> list[str]:
    """Return, in words, what differs between each layer and its module."""
    found = []
    for module in wanted:
        name = pairs.get(module.layer)
        if name is None:
            continue
        parts = stored[name]
        for part in {**module.parts, **parts}:
            key = f"{name}.{part}".lstrip(".")
            if part not in parts:
                found.append(f"{shown(key)} is missing, for {module.layer}")
            elif part not in module.parts:
                found.append(f"{shown(key)} is left over: {module.layer} has none")
            elif parts[part] != module.parts[part].shape:
                wants = module.parts[part].shape
                found.append(f"{module.layer} needs {shown(key)} of shape {wants}, and it has {shown(parts[part])}")
    return found


def _numbers(name: str) -> list[tuple[int, int, str]]:
    """Return a key by which names are sorted as people count: conv2 before conv10."""
    pieces = re.split(r"(\d+)", name)
    return [(1, int(piece[:18]), "") if piece.isdecimal() else (0, 0, piece) for piece in pieces]


def _without_numbers(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _shapes(module: Module) -> tuple[tuple[str, Shape], ...]:
    return _frozen({name: part.shape for name, part in module.parts.items()})


def _frozen(parts: dict[str, Shape]) -> tuple[tuple[str, Shape], ...]:
    return tuple(sorted(parts.items()))


def _in_words(shapes: tuple[tuple[str, Shape], ...]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in shapes)
