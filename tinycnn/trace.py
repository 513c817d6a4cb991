"""Every array of one pass through a network, layer by layer: the base of everything that shows the inside."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ._checks import unknown
from ._types import Array
from .backend import Backend
from .inputs import images_for
from .kernels.threads import one_blas_thread
from .layers.base import Layer

if TYPE_CHECKING:
    from .model import Sequential


@dataclass
class LayerTrace:
    """What one layer took, kept and gave.

    Attributes
    ----------
    layer : Layer
    x, y : array
        Input and result.
    cache : NamedTuple
        What backward needs.
    dy, dx : array or None
        Gradients of the loss by ``y`` and by ``x``; None without labels.
    parameters, gradients : dict of str to array
        Copies; ``gradients`` is empty without labels.
    """

    layer: Layer
    x: Array
    y: Array
    cache: Any
    parameters: dict[str, Array]
    dy: Array | None = None
    dx: Array | None = None
    gradients: dict[str, Array] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The layer's name."""
        return str(self.layer.name)

    def bring_home(self, backend: Backend) -> None:
        """Put NumPy arrays in the places of those on a device, in the cache too."""
        for item in fields(self):
            if item.name != "layer":
                setattr(self, item.name, _at_home(getattr(self, item.name), backend))


@dataclass
class Trace:
    """One pass through a network; prints as a table.

    ``trace[2]`` and ``trace["conv2d"]`` are single layers, iterating gives them in order.

    Attributes
    ----------
    layers : list of LayerTrace
    loss : float or None
        Mean loss of the batch; None without labels.
    """

    layers: list[LayerTrace]
    loss: float | None = None

    def __iter__(self) -> Iterator[LayerTrace]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, key: int | str) -> LayerTrace:
        if isinstance(key, str):
            for entry in self.layers:
                if entry.name == key:
                    return entry
            raise unknown("layer", key, [entry.name for entry in self.layers])
        return self.layers[key]

    def __str__(self) -> str:
        headings = ("layer", "result", "mean", "std", "zeros", "rms of dy", "rms of parameters' gradients")
        rows = [headings]
        for entry in self.layers:
            gradients = ", ".join(f"{name} {_rms(grad):.2g}" for name, grad in entry.gradients.items())
            y = entry.y
            rows.append(
                (
                    entry.name,
                    "×".join(map(str, y.shape)),
                    f"{y.mean():.3g}" if y.size else "—",
                    f"{y.std():.3g}" if y.size else "—",
                    f"{(y == 0).mean():.0%}" if y.size else "—",
                    "—" if entry.dy is None else f"{_rms(entry.dy):.2g}",
                    gradients or "—",
                )
            )
        widths = [max(len(row[column]) for row in rows) for column in range(len(headings))]
        lines = [
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        lines.insert(1, "─" * (sum(widths) + 2 * (len(widths) - 1)))
        return "\n".join(lines + ([] if self.loss is None else [f"loss {self.loss:.4f}"]))


def trace(model: "Sequential", x: Any, y: Any = None) -> Trace:
    """See :meth:`Sequential.trace`."""
    images = images_for(model, x)
    value = model.backend.array(images, model.dtype)
    targets = None if y is None else model.loss.check_targets(y, len(images), model.output_shape)
    buffers = [{name: array.copy() for name, array in layer.buffers.items()} for layer in model.layers]
    step = model.optimizer.iterations if model.compiled else 0
    result = Trace([])
    try:
        with one_blas_thread():
            for layer in model.layers:
                outcome, cache = layer.forward(value, training=True, step=step)
                parameters = {name: p.value.copy() for name, p in layer.params.items()}
                result.layers.append(LayerTrace(layer, value, outcome, cache, parameters))
                value = outcome
            if targets is not None:
                _backward(model, result, targets)
    finally:
        for layer, saved in zip(model.layers, buffers, strict=True):
            for name, array in saved.items():
                layer.buffers[name][...] = array
    if model.backend.on_device:
        for entry in result.layers:
            entry.bring_home(model.backend)
    return result


def _backward(model: "Sequential", result: Trace, targets: Array) -> None:
    """The way back, through every layer: a final softmax is not taken over by the loss here."""
    losses, cache = model.loss.forward(result.layers[-1].y, targets, model.backend)
    result.loss = float(model.backend.to_numpy(losses).mean(dtype=np.float64))
    weights = model.backend.full(len(targets), 1 / len(targets), model.dtype)
    dy = model.loss.backward(cache, weights, model.backend)
    for entry in reversed(result.layers):
        entry.dy = dy
        entry.dx = dy = entry.layer.backward(dy, entry.cache)
        entry.gradients = {name: p.grad.copy() for name, p in entry.layer.params.items() if p.trainable}


def _at_home(value: Any, backend: Backend) -> Any:
    """Arrays, and tuples and dicts of them, on the host."""
    if isinstance(value, dict):
        return {name: _at_home(item, backend) for name, item in value.items()}
    if isinstance(value, tuple):
        items = [_at_home(item, backend) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return backend.to_numpy(value) if backend.owns(value) else value


def _rms(array: Array) -> float:
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) if array.size else 0.0
