"""Every array of one pass through a network, layer by layer: the base of everything that shows the inside."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.backend import Backend
from ..core.messages import unknown
from ..core.types import Array
from ..kernels.threads import one_blas_thread
from ..layers.base import Layer, buffers_kept
from ..training.data import images_for

if TYPE_CHECKING:
    from ..sequential import Sequential


@dataclass(repr=False)
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
        Gradients of the loss by ``y`` and by ``x``; None without labels. Training hands a final softmax over to the
        loss; then ``dy`` of the softmax, and of what only reshapes its result, is the gradient by the numbers before
        it, ``(p - labels) / N``.
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

    def __repr__(self) -> str:
        return f"<trace of {self.layer.label}: {self.x.shape} → {self.y.shape}>"

    def bring_home(self, backend: Backend) -> None:
        """Put NumPy arrays in the places of those on a device, in the cache too."""
        for item in fields(self):
            if item.name != "layer":
                setattr(self, item.name, _at_home(getattr(self, item.name), backend))


@dataclass(repr=False)
class Trace:
    """One pass through a network; prints as a table.

    ``trace[2]`` and ``trace["conv2d"]`` are single layers, iterating gives them in order.

    Attributes
    ----------
    layers : list of LayerTrace
    loss : float or None
        Mean loss of the batch, with the penalties on weights; None without labels.
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

    def __repr__(self) -> str:
        headings = ("layer", "result", "mean", "std", "zeros", "rms of dy", "rms of parameters' gradients")
        rows = [headings]
        for entry in self.layers:
            gradients = ", ".join(f"{name} {_rms(grad):.2g}" for name, grad in entry.gradients.items())
            y = entry.y
            rows.append(
                (
                    entry.name,
                    "×".join(map(str, y.shape)),
                    f"{y.mean(dtype=np.float64):.3g}" if y.size else "—",
                    f"{y.std(dtype=np.float64):.3g}" if y.size else "—",
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
        return "\n".join(lines + ([] if self.loss is None else [f"loss {self.loss:.5g}"]))


def trace(model: "Sequential", x: Any, y: Any = None) -> Trace:
    """See :meth:`Sequential.trace`."""
    images = images_for(model, x)
    if not len(images):
        raise ValueError("x is empty: there is nothing to trace")
    value = model.backend.array(images, model.dtype)
    targets = None if y is None else model.loss.check_targets(y, len(images), model.output_shape)
    step = model.optimizer.iterations if model.compiled else 0
    result, ways_back = Trace([]), []
    links = {id(getattr(link, "layer", link)): link for link in (model.chain if targets is not None else model.layers)}
    trained = value
    with buffers_kept(model.layers), one_blas_thread():
        for layer in model.layers:
            outcome, cache = layer.forward(value, training=True, step=step)
            parameters = {name: p.value.copy() for name, p in layer.params.items()}
            result.layers.append(LayerTrace(layer, value, outcome, cache, parameters))
            link = links.get(id(layer))
            if link is layer and trained is value:
                trained = outcome
            elif link is not None:
                trained, cache = link.forward(trained, training=True, step=step)
            ways_back.append((link, cache))
            value = outcome
        if targets is not None:
            _backward(model, result, trained, targets, ways_back)
    if model.backend.on_device:
        for entry in result.layers:
            entry.bring_home(model.backend)
    return result


def _backward(
    model: "Sequential", result: Trace, y_pred: Array, targets: Array, ways_back: list[tuple[Any, Any]]
) -> None:
    """The way back as training goes it; no link is a softmax that the loss has taken over."""
    losses, cache = model.chain_loss.forward(y_pred, targets, model.backend)
    penalty = sum(parameter.penalty() for parameter in model.parameters().values())
    result.loss = float(model.backend.to_numpy(losses).mean(dtype=np.float64)) + penalty
    weights = model.backend.full(len(targets), 1 / len(targets), model.dtype)
    dy = model.chain_loss.backward(cache, weights, model.backend)
    for entry, (link, kept) in zip(reversed(result.layers), reversed(ways_back), strict=True):
        entry.dy = dy
        entry.dx = dy = dy if link is None else link.backward(dy, kept)
        trainable = {name: p for name, p in entry.layer.params.items() if p.trainable}
        for parameter in trainable.values():
            parameter.add_penalty_gradient()
        entry.gradients = {name: p.grad.copy() for name, p in trainable.items()}


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
