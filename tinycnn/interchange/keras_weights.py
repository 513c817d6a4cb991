"""Where Keras's files have the weights of a layer, for each of the two forms that such files have.

The form of Keras 3 (``.weights.h5``, and within ``.keras``) has a group for each layer, named after its class and
numbered: ``layers/conv2d_1/vars/0``. In the older form (``.h5`` of Keras 2, and of Keras 3 on request) layers have
their names, and attributes say in which order they come.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ..core.messages import shown, snake_case
from ..core.types import Shape
from ..network.network import Network
from . import hdf5
from .fitting import LayerWeights, Source, check, layers_with_weights, misfit

#: The groups in which the two most recent generations of Keras keep layers.
_GROUPS = ("layers", "_layer_checkpoint_dependencies")
#: How deep groups may be nested; Keras nests a layer's variables two deep.
_MAX_DEPTH = 8
#: What a random layer keeps, which tinycnn computes from the model's seed.
_NOT_WEIGHTS = ("seed_generator", "_seed_generator")


def sources(root: hdf5.Group, model: Network, input_shape: Shape, path: Any) -> dict[str, Source]:
    """Return where each of a model's weights is in a file.

    Parameters
    ----------
    root : Group
        The root of the file.
    model : Network
        It need not be built.
    input_shape : tuple of int
        The shape of one sample.
    path : path
        The file, for errors.

    Raises
    ------
    ValueError
        If arrays are missing or left over, or the shape or the dtype of one differs; the message lists them.
    """
    layers = layers_with_weights(model, input_shape)
    found: dict[str, Source] = {}
    legacy = _group_in_order(root)
    problems = list(_by_class(root, layers, found) if legacy is None else _by_order(legacy, layers, found))
    if problems:
        raise misfit(path, model, problems)
    check(found, model.weight_shapes(input_shape), model, path)
    return found


def check_extent(found: Mapping[str, Source], size: int, path: Any) -> None:
    """Raise if weights take more bytes than their file has: several would be the same bytes of it."""
    total = sum(math.prod(source.shape) * source.dtype.itemsize for source in found.values())
    if total > size:
        raise ValueError(f"{path}: its weights take {shown(total)} bytes, and the file has {size}; it is damaged")


# The form of Keras 3 ----------------------------------------------------------------------------------------------


def groups(layers: list[LayerWeights]) -> dict[str, str]:
    """Return the name of each layer's group: its class, and from the second layer of a class on a number."""
    counts: Counter[str] = Counter()
    found = {}
    for layer in layers:
        kind = snake_case(layer.kind)
        found[layer.name] = f"{kind}_{counts[kind]}" if counts[kind] else kind
        counts[kind] += 1
    return found


def _by_class(root: hdf5.Group, layers: list[LayerWeights], found: dict[str, Source]) -> Iterator[str]:
    """Put the sources of all weights into ``found``; yield, in words, what does not fit."""
    name = next((name for name in _GROUPS if name in root), None)
    if name is None:
        raise ValueError("it holds no weights of a Keras model: it has no group 'layers', and no text 'layer_names'")
    stored = dict(_arrays(root.group(name), name))
    group = groups(layers)
    for layer in layers:
        for number, key in enumerate(layer.shapes):
            where = f"{name}/{group[layer.name]}/vars/{number}"
            if where in stored:
                found[f"{layer.name}/{key}"] = _source(where, stored.pop(where))
            else:
                yield f"{layer.name}/{key} is not there, which would be {shown(where)}"
    yield from (f"{shown(where)} is left over" for where in stored)


def _arrays(group: hdf5.Group, path: str, depth: int = 0) -> Iterator[tuple[str, hdf5.Dataset]]:
    """Yield every array below a group, with its path, except what is not a weight."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"its groups are nested more than {_MAX_DEPTH} deep")
    for name in group:
        below = f"{path}/{name}"
        if name in _NOT_WEIGHTS:
            continue
        found = group.get(name)
        if isinstance(found, hdf5.Dataset):
            yield below, found
        else:
            yield from _arrays(found, below, depth + 1)


def _source(where: str, dataset: hdf5.Dataset) -> Source:
    return Source(where, dataset.shape, dataset.dtype, dataset.read)


# The older form ---------------------------------------------------------------------------------------------------


def _group_in_order(root: hdf5.Group) -> hdf5.Group | None:
    """Return the group whose attributes name the layers in order, or None if the file is not of the older form."""
    group = root.group("model_weights") if "model_weights" in root else root
    if not _texts(group, "layer_names"):
        return None
    version, backend = group.text("keras_version"), group.text("backend")
    if not isinstance(version, str) or version.startswith(("0", "1")):
        raise ValueError(
            "it was written by Keras 1, whose kernels may be turned; load it with Keras 2, and save it again"
        )
    if backend == "theano":
        raise ValueError(
            "it was written with Theano, whose kernels are turned; load it with Keras 2, and save it again"
        )
    return group


def _by_order(group: hdf5.Group, layers: list[LayerWeights], found: dict[str, Source]) -> Iterator[str]:
    """Put the sources of all weights into ``found``; yield, in words, what does not fit."""
    stored = []
    for name in _texts(group, "layer_names"):
        below = group.group(name)
        if names := _texts(below, "weight_names"):
            stored.append((name, [(f"{name}: {weight}", below.dataset(weight)) for weight in names]))
    for layer, (name, arrays) in zip(layers, stored, strict=False):
        if len(arrays) == len(layer.shapes):
            for key, (where, dataset) in zip(layer.shapes, arrays, strict=True):
                found[f"{layer.name}/{key}"] = _source(where, dataset)
        else:
            yield f"{layer.name} has {len(layer.shapes)} arrays, but {shown(name)} has {len(arrays)}"
    yield from (f"{layer.name} is not there" for layer in layers[len(stored) :])
    yield from (f"{shown(name)} is left over" for name, _ in stored[len(layers) :])


def _texts(group: hdf5.Group, name: str) -> list[str]:
    """Return a list of texts, which Keras cuts into several attributes if it is long; it is empty if there is none."""
    found = group.text(name)
    if found is not None:
        return found if isinstance(found, list) else [found]
    texts: list[str] = []
    for number in itertools.count():
        part = group.text(f"{name}{number}")
        if part is None:
            return texts
        texts += part if isinstance(part, list) else [part]
    raise AssertionError("never reached")
