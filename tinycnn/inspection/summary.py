"""The table that ``model.summary()`` prints."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..core.backend import Backend
from ..core.messages import bytes_text
from ..core.parameter import Parameter
from ..core.table import Table
from ..core.types import Array, Shape
from ..core.workspace import Workspace
from ..layers.base import Layer
from ..layers.looking import layers_kept
from ..network.final_activation import WithoutActivation, layer_of
from ..network.lane_steps import LaneStep
from ..network.network import Network
from ..network.plan import fused, parts_of
from ..training.step import walk_forward
from .receptive_field import receptive_fields

_HEADINGS = ("Layer (type)", "Output shape", "Params", "Receptive field", "Cache/image")
_FOOTNOTE = (
    "Receptive field: the input pixels that one output can see (—: not known). Cache/image: the bytes that backward\n"
    "needs per image; an array that two layers keep is counted only in the first."
)
_PLAN_FOOTNOTE = (
    "Step: in training, layers with the same number run together as one kernel, and keep less than one by one;\n"
    'fit(fuse=False) runs each by itself. "lanes": sixteen images at a time, one in each lane of a vector.\n'
    '"loss": a softmax that is computed together with the loss.'
)


def table(model: Network, plan: bool = False) -> Table:
    """Return Keras's table with full names, what each layer sees and keeps, and with ``plan`` its step in training."""
    headings = (*_HEADINGS, "Step") if plan else _HEADINGS
    steps = step_labels(model) if plan else {}
    fields = receptive_fields(model.layers, model.input_shape)
    rows = [
        (
            f"{layer.name} ({type(layer).__name__})",
            _shape_text(layer.built_output_shape),
            f"{layer.count_params():,}",
            "×".join(map(str, field)) if field else "—",
            f"{size:,} B",
            *([steps[id(layer)]] if plan else []),
        )
        for layer, field, size in zip(model.layers, fields, cache_bytes(model), strict=True)
    ]
    total, trainable = model.count_params(), model.count_trainable_params()
    item = np.dtype(model.dtype).itemsize
    title = (
        f"Model: {model.name!r}, input {_shape_text(model.input_shape)}, {model.dtype}, {model.backend.name} backend"
    )
    below = [
        f"Total params: {total:,} ({bytes_text(total * item)})",
        f"Trainable params: {trainable:,} ({bytes_text(trainable * item)})",
        f"Non-trainable params: {total - trainable:,} ({bytes_text((total - trainable) * item)})",
        _FOOTNOTE,
        *([_PLAN_FOOTNOTE] if plan else []),
    ]
    align = "ll" + "r" * (len(headings) - 2)
    return Table(headings, rows, align, before=[title], after=below, rules=2, split=True)


def outline(model: Network) -> Table:
    """Return a table of what is known without a pass through the network, which need not be built."""
    rows = [
        (
            str(layer.name),
            type(layer).__name__,
            _shape_text(layer.built_output_shape) if layer.built else "",
            f"{layer.count_params():,}" if layer.built else "",
        )
        for layer in model.layers
    ]
    known = f", {model.count_params():,} parameters" if model.built else ", not built yet"
    headings = ("Layer", "Type", "Output shape", "Params")
    return Table(headings, rows, "lllr", before=[f"{type(model).__name__} {model.name!r}{known}"])


def step_labels(model: Network) -> dict[int, str]:
    """Return for each layer, by its ``id``, its step in training, or "loss" if the loss takes it over.

    Steps are numbered from 1. A model that is not compiled has no loss yet; its plan is made from all layers.
    """
    labels = {id(layer): "loss" for layer in model.layers}
    plan = model.plan if model.compiled else fused(model.layers, model.backend)
    steps = [step for step in plan if parts_of(step)]  # some only change the layout between two layers
    for number, step in enumerate(steps, 1):
        lanes = " lanes" if isinstance(step, LaneStep) else ""
        for part in parts_of(step):
            taken = " + loss" if isinstance(part, WithoutActivation) else ""
            labels[id(layer_of(part))] = f"{number}{lanes}{taken}"
    return labels


def cache_bytes(model: Network) -> list[int]:
    """Return by how much each layer's cache grows with one more image, measured with two and with three black ones.

    The forward passes run on the reference backend and leave moving statistics as they were.
    """
    layers = [_on_host(layer) for layer in model.layers] if model.backend.on_device else model.layers
    # One image would not do: an axis of length 1 has several memory orders, so that an array may be shared that is
    # otherwise copied.
    fewer, more = (_bytes_by_layer(model, layers, batch) for batch in (2, 3))
    return [size - before for before, size in zip(fewer, more, strict=True)]


def _bytes_by_layer(model: Network, layers: list[Layer], batch: int) -> list[int]:
    """Return the bytes of the arrays in each layer's cache; each array is counted at the first layer that keeps it."""
    x: Array = np.zeros((batch, *model.input_shape), model.dtype)
    with _on_reference(layers), layers_kept(layers):
        # There is a workspace, as in fit, because layers hand on copies without one. All caches stay alive until they
        # have been measured, so that no two arrays can have had the same address.
        passes = list(walk_forward(layers, x, ws=Workspace()))
    seen: set[int] = set()
    return [sum(_new_bytes(array, seen) for array in _arrays(passed.cache)) for passed in passes]


@contextmanager
def _on_reference(layers: list[Layer]) -> Iterator[None]:
    """Have layers compute on the reference backend within this block."""
    backends = [layer.backend for layer in layers]
    for layer in layers:
        layer.backend = Backend("reference")
    try:
        yield
    finally:
        for layer, backend in zip(layers, backends, strict=True):
            layer.backend = backend


def _on_host(layer: Layer) -> Layer:
    """Return a copy of a layer whose arrays lie on the host instead of a device."""

    def fetched(array: Any) -> Any:
        return layer.backend.to_numpy(array) if layer.backend.owns(array) else array

    twin = copy.copy(layer)
    vars(twin).update({name: fetched(value) for name, value in vars(layer).items()})
    twin.params = {name: Parameter(fetched(p.value), p.trainable, p.regularizer) for name, p in layer.params.items()}
    twin.buffers = {name: fetched(value) for name, value in layer.buffers.items()}
    return twin


def _new_bytes(array: Array, seen: set[int]) -> int:
    """Return the bytes of an array if it has not been counted yet, and 0 if it has."""
    address = array.__array_interface__["data"][0]
    if address in seen:
        return 0
    seen.add(address)
    return array.nbytes


def _arrays(cache: Any) -> list[Array]:
    """Return all arrays in a cache, which is an array itself or holds them in tuples, lists and dicts."""
    if isinstance(cache, np.ndarray):
        return [cache]
    if isinstance(cache, dict):
        cache = list(cache.values())
    if isinstance(cache, tuple | list):
        return [array for item in cache for array in _arrays(item)]
    return []


def _shape_text(shape: Shape) -> str:
    """Return the shape of a batch as text, N first."""
    return "(N, " + ", ".join(map(str, shape)) + ")"
