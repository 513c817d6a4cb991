"""The table that ``model.summary()`` prints."""

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.backend import Backend
from ..core.types import Array, Shape
from ..core.workspace import Workspace
from ..layers.base import Layer, Parameter, buffers_kept
from ..network.final_softmax import WithoutActivation
from ..network.plan import fused
from .receptive_field import receptive_fields

if TYPE_CHECKING:
    from ..sequential import Sequential

_HEADINGS = ("Layer (type)", "Output shape", "Params", "Receptive field", "Cache/image")
_FOOTNOTE = (
    "Receptive field: input pixels that one output can see (—: not known). Cache/image: bytes that backward needs of\n"
    "one image; what two layers share is counted at the first."
)
_PLAN_FOOTNOTE = (
    "Step: in training, layers of one number run as one kernel, which keeps less than they do one by one;\n"
    'fit(fuse=False) runs each by itself. "loss": a softmax that is computed together with the loss.'
)


def table(model: "Sequential", plan: bool = False) -> str:
    """Keras's table with full names, what each layer sees and keeps, and perhaps as which step of training it runs."""
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
    widths = [max(len(row[column]) for row in (headings, *rows)) for column in range(len(headings))]
    total, trainable = model.count_params(), model.count_trainable_params()
    item = np.dtype(model.dtype).itemsize
    lines = [
        f"Model: {model.name!r}, input {_shape_text(model.input_shape)}, {model.dtype}, {model.backend.name} backend",
        _line(headings, widths),
        "  ".join("─" * width for width in widths),
        *(_line(row, widths) for row in rows),
        "  ".join("─" * width for width in widths),
        f"Total params: {total:,} ({bytes_text(total * item)})",
        f"Trainable params: {trainable:,} ({bytes_text(trainable * item)})",
        f"Non-trainable params: {total - trainable:,} ({bytes_text((total - trainable) * item)})",
        _FOOTNOTE,
        *([_PLAN_FOOTNOTE] if plan else []),
    ]
    return "\n".join(lines)


def step_labels(model: "Sequential") -> dict[int, str]:
    """For each layer, by its ``id``, the number of its step in training, from 1; "loss" where the loss takes it over.

    Of a model that is not compiled nobody knows the loss: its plan is that of all layers.
    """
    labels = {id(layer): "loss" for layer in model.layers}
    plan = model.plan if model.compiled else fused(model.layers, model.backend)
    for number, step in enumerate(plan, 1):
        for part in parts_of(step):
            taken = " + loss" if isinstance(part, WithoutActivation) else ""
            labels[id(layer_of(part))] = f"{number}{taken}"
    return labels


def parts_of(step: Any) -> list[Any]:
    """What runs together in a step of a plan: layers, and perhaps a last one that lost its softmax to the loss."""
    return [step] if isinstance(step, Layer | WithoutActivation) else list(step.layers)


def layer_of(part: Any) -> Layer:
    """The layer itself, where it has lost its softmax to the loss."""
    return part.layer if isinstance(part, WithoutActivation) else part


def cache_bytes(model: "Sequential") -> list[int]:
    """Measured, not estimated: by how much each layer's cache grows with one image more, from two black ones to three.

    On the reference backend, and with the moving statistics put back.
    """
    layers = [_at_home(layer) for layer in model.layers] if model.backend.on_device else model.layers
    # Not from one: an axis of length 1 has several memory orders, so that what is copied otherwise may be shared.
    fewer, more = (_bytes_by_layer(model, layers, batch) for batch in (2, 3))
    return [size - before for before, size in zip(fewer, more, strict=True)]


def _bytes_by_layer(model: "Sequential", layers: "list[Layer]", batch: int) -> list[int]:
    """The arrays in each layer's cache after a forward of a batch; each is counted at the first that keeps it."""
    reference = Backend("reference")
    x: Array = np.zeros((batch, *model.input_shape), model.dtype)
    seen: set[int] = set()
    sizes, caches, ws = [], [], Workspace()  # as in fit: without one, layers hand on copies
    for layer in layers:
        backend, layer.backend = layer.backend, reference
        try:
            with buffers_kept([layer]):
                x, cache = layer.forward(x, training=True, ws=ws)
        finally:
            layer.backend = backend
        caches.append(cache)  # alive until the end, so that no two arrays can have had one address
        sizes.append(sum(_new_bytes(array, seen) for array in _arrays(cache)))
    return sizes


def _at_home(layer: Layer) -> Layer:
    """A copy of a layer whose arrays lie on the host instead of a device."""

    def home(array: Any) -> Any:
        return layer.backend.to_numpy(array) if layer.backend.owns(array) else array

    sketch = copy.copy(layer)
    vars(sketch).update({name: home(value) for name, value in vars(layer).items()})
    sketch.params = {name: Parameter(home(p.value), p.trainable, p.regularizer) for name, p in layer.params.items()}
    sketch.buffers = {name: home(value) for name, value in layer.buffers.items()}
    return sketch


def _new_bytes(array: Array, seen: set[int]) -> int:
    """Bytes of an array that was not counted yet."""
    address = array.__array_interface__["data"][0]
    if address in seen:
        return 0
    seen.add(address)
    return array.nbytes


def _arrays(cache: Any) -> list[Array]:
    """All arrays in a cache: itself, or within tuples, lists and dicts."""
    if isinstance(cache, np.ndarray):
        return [cache]
    if isinstance(cache, dict):
        cache = list(cache.values())
    if isinstance(cache, tuple | list):
        return [array for item in cache for array in _arrays(item)]
    return []


def _shape_text(shape: Shape) -> str:
    return "(N, " + ", ".join(map(str, shape)) + ")"


def bytes_text(count: float) -> str:
    """Bytes in the unit that a person would use.

    Examples
    --------
    >>> bytes_text(999), bytes_text(256_728)
    ('999 B', '250.7 KiB')
    """
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def _line(cells: Any, widths: list[int]) -> str:
    """Text to the left, numbers to the right."""
    name, shape, *numbers = cells
    parts = [f"{name:<{widths[0]}}", f"{shape:<{widths[1]}}"]
    return "  ".join(parts + [f"{cell:>{width}}" for cell, width in zip(numbers, widths[2:], strict=True)])
