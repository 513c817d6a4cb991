"""Weights of another program, compared with a model's before one of them is taken over."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..core.messages import shown
from ..core.types import Array, Shape
from ..network.network import Network
from ..saving.model_file import converted, warn_of_conversion

#: The most misfits that an error lists.
_LISTED = 6


class Source(NamedTuple):
    """An array in a file: its name there, its shape and dtype, and the function that reads it, in tinycnn's order."""

    where: str
    shape: Shape
    dtype: np.dtype[Any]
    read: Callable[[], Array]


class LayerWeights(NamedTuple):
    """What a layer holds: its name, the name of its class, and the shapes of its arrays by their names."""

    name: str
    kind: str
    shapes: dict[str, Shape]


def layers_with_weights(model: Network, input_shape: Shape) -> list[LayerWeights]:
    """Return what each layer of a model holds that holds anything, for samples of a shape; none need be built."""
    shapes: dict[str, dict[str, Shape]] = {}
    for key, shape in model.weight_shapes(input_shape).items():
        layer, _, name = key.rpartition("/")
        shapes.setdefault(layer, {})[name] = shape
    return [
        LayerWeights(str(layer.name), type(layer).__name__, shapes[str(layer.name)])
        for layer in model.layers
        if layer.name in shapes
    ]


def built_model(model: Any) -> Network:
    """Return a model that is built, or raise.

    Raises
    ------
    TypeError
        If it is not a model.
    RuntimeError
        If it is not built.
    """
    if not isinstance(model, Network):
        raise TypeError(f"model must be a Sequential; got {shown(model)}")
    model.need_build()
    return model


def misfit(path: Any, model: Network, problems: Iterable[str]) -> ValueError:
    """Return the error that lists what does not fit; nothing was changed."""
    listed = list(problems)
    more = f"; and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return ValueError(f"{path}: its weights do not fit {model.name}: {'; '.join(listed[:_LISTED])}{more}")


def check(sources: Mapping[str, Source], shapes: Mapping[str, Shape], model: Network, path: Any) -> None:
    """Raise unless every array has the shape of the model's and holds floating-point numbers; nothing is read."""
    problems = [
        f"{key} has shape {shapes[key]}, but {shown(source.where)} has {shown(source.shape)}"
        for key, source in sources.items()
        if source.shape != shapes[key]
    ]
    if problems:
        raise misfit(path, model, problems)
    for source in sources.values():
        if source.dtype.kind != "f":
            raise ValueError(f"{path}: {shown(source.where)} holds {source.dtype}, and no floating-point numbers")


def fill(model: Network, sources: Mapping[str, Source], path: Any, *, check_finite: bool) -> None:
    """Overwrite the weights of a model that is built; all are read and checked before one is changed.

    Raises
    ------
    ValueError
        If NaN or infinity is among them and ``check_finite`` is true, or a number is too large for the model's dtype.

    Warns
    -----
    UserWarning
        If the weights have another dtype than the model; they are converted.
    """
    targets = model.weights()
    values = {
        key: converted(source.read(), model, f"{path}: {shown(source.where)}", check_finite)
        for key, source in sources.items()
    }
    for key, found in values.items():
        targets[key][...] = found
    warn_of_conversion(model, {source.dtype.name for source in sources.values()}, path)
