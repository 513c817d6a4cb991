"""How PyTorch arranges the weights of each layer: the shapes of its arrays, and the way there and back.

PyTorch keeps channels first. A kernel has the filters first, and behind a ``Flatten`` the features of an image lie
channel by channel, so that the rows of the next ``Dense`` layer, and the statistics of a batch normalization between
the two, are in another order.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .. import layers as layers_module
from ..core.types import Array, Shape
from ..layers.base import Layer
from ..network.network import Network


class Part(NamedTuple):
    """An array of a module: its shape in PyTorch, the key of the same weights here, and the way there and back.

    A ``key`` of None stands for weights that the layer here does not have; in PyTorch they are all ``constant``.
    """

    shape: Shape
    key: str | None
    here: Callable[[Array], Array]
    there: Callable[[Array], Array]
    constant: float = 0.0


class Module(NamedTuple):
    """What PyTorch keeps of a layer: its name here, its kind, and its arrays by their names in PyTorch."""

    layer: str
    kind: str
    parts: dict[str, Part]


def modules(model: Network, input_shape: Shape) -> list[Module]:
    """Return what PyTorch keeps of each layer that holds weights, in order.

    Raises
    ------
    ValueError
        If a layer is not one of tinycnn's own, or reshapes images in a way that PyTorch's order does not allow.
    """
    found, shape, order = [], input_shape, None
    for layer in model.layers:
        if type(layer) not in layers_module.LAYERS.values():
            raise ValueError(f"{layer.label} is not one of tinycnn's own layers, so PyTorch has no counterpart for it")
        parts = _parts(layer, shape, order)
        if parts:
            found.append(Module(str(layer.name), _kind(layer, shape), parts))
        order = _order_after(layer, shape, order)
        shape = layer.output_shape(shape)
    return found


def image_of_result(model: Network, input_shape: Shape) -> Shape | None:
    """Return the (H, W, C) of the image whose numbers a model gives in a row that PyTorch has in another order.

    None if the numbers of the result have the same order there.

    Raises
    ------
    ValueError
        If a layer reshapes images in a way that PyTorch's order does not allow.
    """
    shape, image = input_shape, input_shape
    order: Array | None = None
    for layer in model.layers:
        after = _order_after(layer, shape, order)
        if order is None and after is not None:
            image = shape
        order = after
        shape = layer.output_shape(shape)
    return None if order is None else image


def _kind(layer: Layer, shape: Shape) -> str:
    if isinstance(layer, layers_module.BatchNormalization):
        return "batch normalization"
    return "linear layer" if isinstance(layer, layers_module.Dense) and len(shape) < 3 else "convolution"


def _order_after(layer: Layer, shape: Shape, order: Array | None) -> Array | None:
    """Return the places in PyTorch of the features that a layer gives, or None if they are the same as here."""
    if isinstance(layer, layers_module.Flatten | layers_module.Reshape):
        after = layer.output_shape(shape)
        if after == shape:
            return order
        if len(shape) == 3 and len(after) == 1:
            H, W, C = shape
            return None if C == 1 or H * W == 1 else np.arange(H * W * C).reshape(C, H, W).transpose(1, 2, 0).ravel()
        if len(shape) == 3 or order is not None:
            raise ValueError(f"{layer.label}: PyTorch keeps channels first, so this shape has other numbers there")
        return None
    return None if isinstance(layer, layers_module.Dense) else order


def _parts(layer: Layer, shape: Shape, order: Array | None) -> dict[str, Part]:
    """Return the arrays that PyTorch keeps of a layer, by their names there."""
    shapes = layer.weight_shapes(shape)
    name = f"{layer.name}/"
    if isinstance(layer, layers_module.BatchNormalization):
        channels = shape[-1:]
        parts = {}
        if layer.scale or layer.center:
            parts["weight"] = _features(name + "gamma" if layer.scale else None, channels, order, 1.0)
            parts["bias"] = _features(name + "beta" if layer.center else None, channels, order)
        parts["running_mean"] = _features(name + "moving_mean", channels, order)
        parts["running_var"] = _features(name + "moving_variance", channels, order)
        return parts
    if not shapes:
        return {}
    parts = {"weight": _kernel(layer, name + "kernel", shapes["kernel"], shape, order)}
    if "bias" in shapes:
        parts["bias"] = _features(name + "bias", shapes["bias"], None)
    return parts


def _features(key: str | None, shape: Shape, order: Array | None, constant: float = 0.0) -> Part:
    """Return a number for each feature."""
    if order is None:
        return Part(shape, key, _same, _same, constant)
    back = np.argsort(order)
    return Part(shape, key, lambda there: there[order], lambda here: here[back], constant)


def _same(values: Array) -> Array:
    return values


def _kernel(layer: Layer, key: str, kernel: Shape, shape: Shape, order: Array | None) -> Part:
    """Return the kernel of a layer."""
    if isinstance(layer, layers_module.DepthwiseConv2D):  # (KH, KW, C, M)
        KH, KW, C, M = kernel
        return Part(
            (C * M, 1, KH, KW),
            key,
            lambda there: there.reshape(C, M, KH, KW).transpose(2, 3, 0, 1),
            lambda here: here.transpose(2, 3, 0, 1).reshape(C * M, 1, KH, KW),
        )
    if isinstance(layer, layers_module.Conv2D):  # (KH, KW, C, F)
        KH, KW, C, F = kernel
        return Part(
            (F, C, KH, KW), key, lambda there: there.transpose(2, 3, 1, 0), lambda here: here.transpose(3, 2, 0, 1)
        )
    D, F = kernel
    if len(shape) == 3:  # on each pixel, as a convolution of one pixel does it
        return Part((F, D, 1, 1), key, lambda there: there.reshape(F, D).T, lambda here: here.T.reshape(F, D, 1, 1))
    rows = np.arange(D) if order is None else order
    back = np.argsort(rows)
    assert math.prod(rows.shape) == D
    return Part((F, D), key, lambda there: there.T[rows], lambda here: here[back].T)
