"""Every array of one pass through a network, layer by layer; what shows the inside of a network begins here."""

import functools
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from ..activations import Linear, Softmax
from ..core.backend import Backend
from ..core.messages import unknown
from ..core.printing import for_print
from ..core.table import Table
from ..core.types import Array
from ..kernels.threads import one_blas_thread
from ..layers import ActivatedLayer, Activation, BatchNormalization, Dropout, GaussianNoise, Layer
from ..layers.batchnorm import BatchNormCache
from ..layers.dropout import DropoutCache
from ..layers.looking import layers_kept
from ..network.final_activation import ends_in, layer_of
from ..network.network import Network
from ..training.data import images_for
from ..training.step import Passed, forward
from .copies import computes_alike
from .unchanged import unchanged, walk_backward_unchanged, walk_forward_unchanged


@dataclass(repr=False)
class LayerTrace:
    """What one layer was given, kept and returned.

    Attributes
    ----------
    layer : Layer
        The layer itself.
    x, y : array
        Its input and its result.
    cache : NamedTuple
        What its backward needs; None as in prediction, without labels.
    dy, dx : array or None
        Gradients of the loss with respect to ``y`` and to ``x``; None without labels. In training the loss takes over a
        final softmax or sigmoid. Then ``dy`` of that layer, and of layers that only reshape its result, is the gradient
        with respect to the numbers before it, ``(p - labels) / N``.
    parameters, gradients : dict of str to array
        Copies of the layer's parameters and their gradients, by name. ``gradients`` is empty without labels.
    z : array or None
        The value before the activation, as the layer computed it: ``y = activation(z)``. It is ``y`` itself if the
        activation is linear, and None for a layer without an activation.
    mask : array of bool or None
        What a ``Dropout`` kept (True) and what it set to 0 (False); None for other layers.
    buffers : dict of str to array
        Copies of what the layer keeps besides its parameters, such as moving statistics, from before the pass.
    """

    layer: Layer
    x: Array
    y: Array
    cache: Any
    parameters: dict[str, Array]
    dy: Array | None = None
    dx: Array | None = None
    gradients: dict[str, Array] = field(default_factory=dict)
    z: Array | None = None
    mask: Array | None = None
    buffers: dict[str, Array] = field(default_factory=dict)

    @property
    def can_be_dead(self) -> bool:
        """Whether the layer has an activation that can be 0 for good, which linear and softmax cannot."""
        activation = getattr(self.layer, "activation", None)
        return self.z is not None and not isinstance(activation, Linear) and not ends_in(self.layer, Softmax)

    @property
    def dead(self) -> tuple[int, ...]:
        """The numbers of the dead units: channels whose activation gives 0 everywhere, for each image of the batch."""
        if not self.can_be_dead or not self.y.size:
            return ()
        return tuple(np.flatnonzero((self.y == 0).all(axis=tuple(range(self.y.ndim - 1)))).tolist())

    @property
    def name(self) -> str:
        """The layer's name."""
        return str(self.layer.name)

    def __repr__(self) -> str:
        return for_print(f"<trace of {self.layer.label}: {self.x.shape} → {self.y.shape}>")

    def move_to_host(self, backend: Backend) -> None:
        """Replace all arrays on a device, also those in the cache, with NumPy arrays."""
        for item in fields(self):
            if item.name != "layer":
                setattr(self, item.name, _on_host(getattr(self, item.name), backend))


@dataclass(repr=False)
class Trace:
    """One pass through a network; ``print`` shows it as a table.

    ``trace[2]`` and ``trace["conv2d"]`` are single layers; iterating over the trace gives all layers in order.

    Attributes
    ----------
    layers : list of LayerTrace
        The layers, in order.
    loss : float or None
        The mean loss of the batch, including the penalties on weights; None without labels.
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
        return self._table().for_print()

    def _repr_html_(self) -> str:
        """Return the table as HTML; notebooks call this method."""
        return self._table().html()

    def _table(self) -> Table:
        """Return the table that ``print`` shows."""
        headings = ("layer", "result", "mean", "std", "zeros", "rms of dy", "rms of parameters' gradients")
        rows = []
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
        after = [] if self.loss is None else [f"loss {self.loss:.5g}"]
        dead = "; ".join(f"{entry.name}: {_dead_text(entry)}" for entry in self.layers if entry.dead)
        if dead:
            after[:0] = textwrap.wrap(f"dead units (0 for every image of this batch): {dead}", 100)
        return Table(headings, rows, "l" * len(headings), after=after)


def _dead_text(entry: LayerTrace) -> str:
    """Return which units of a layer are dead, and of how many."""
    numbers = ", ".join(map(str, entry.dead))
    return f"number{'s' if len(entry.dead) > 1 else ''} {numbers} of {entry.y.shape[-1]}"


#: Layers are watched and put back during a trace, so two threads that trace one model take turns.
_one_at_a_time = threading.RLock()


def trace(model: Network, x: Any, y: Any = None, training: bool = True) -> Trace:
    """Return every array of a pass, as :meth:`tinycnn.Sequential.trace` says."""
    images = images_for(model, x)
    if not len(images):
        raise ValueError("x is empty: there is nothing to trace")
    value = model.backend.array(images, model.dtype)
    targets = None if y is None else model.loss.check_targets(y, len(images), model.output_shape)
    step = model.optimizer.iterations if model.compiled else 0
    losses = () if targets is None else model.losses_used()
    with _one_at_a_time, layers_kept(model.layers, *losses, gradients=True), one_blas_thread():
        buffers = [{name: array.copy() for name, array in layer.buffers.items()} for layer in model.layers]
        with _before_activations(model.layers) as linear:
            passes = list(walk_forward_unchanged(model.layers, value, training=training, step=step))
            if not training and targets is not None:
                passes = [passed._replace(cache=_cache_as_predicted(passed, step)) for passed in passes]
        result = Trace([LayerTrace(*passed, _copies(passed.layer, "value")) for passed in passes])
        for entry, kept in zip(result.layers, buffers, strict=True):
            entry.z, entry.mask, entry.buffers = _before(entry, linear), _mask(entry, model.backend), kept
        if targets is not None:
            _trace_backward(model, result, targets, step, training)
    if model.backend.on_device:
        for entry in result.layers:
            entry.move_to_host(model.backend)
    return result


@contextmanager
def _before_activations(layers: Sequence[Layer]) -> Iterator[dict[int, Array]]:
    """Within this block, keep what layers compute before their activations overwrite it, by the layers' ``id``."""
    kept: dict[int, Array] = {}

    def watched(layer: Layer, linear_forward: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        z, cache = linear_forward(*arguments, **named)
        kept[id(layer)] = z.copy()
        return z, cache

    active = [one for one in layers if isinstance(one, ActivatedLayer) and not isinstance(one.activation, Linear)]
    own = [vars(layer).get("linear_forward") for layer in active]
    for layer in active:
        # In the instance, the function stands before the method of the class.
        vars(layer)["linear_forward"] = functools.partial(watched, layer, layer.linear_forward)
    try:
        yield kept
    finally:
        for layer, function in zip(active, own, strict=True):
            del vars(layer)["linear_forward"]
            if function is not None:
                vars(layer)["linear_forward"] = function


def _before(entry: LayerTrace, linear: dict[int, Array]) -> Array | None:
    """Return the value before a layer's activation, or None if it has none."""
    if isinstance(entry.layer, Activation):
        return entry.x
    if isinstance(entry.layer, ActivatedLayer):
        return entry.y if isinstance(entry.layer.activation, Linear) else linear.get(id(entry.layer))
    return None


def _mask(entry: LayerTrace, backend: Backend) -> Array | None:
    """Return which numbers a Dropout kept; its backward applies the same mask to whatever gradient it is given."""
    if not isinstance(entry.layer, Dropout) or not isinstance(entry.cache, DropoutCache):
        return None
    ones = backend.full(entry.y.shape, 1, entry.layer.dtype)
    return backend.to_numpy(entry.layer.backward(ones, entry.cache)) != 0


class _Unchanged:
    """Stands for a layer that has returned its input unchanged, so that the gradient passes it unchanged as well."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    def backward(self, dy: Array, cache: None, *, ws: Any = None) -> Array:
        """Return the gradient itself."""
        return dy


def _cache_as_predicted(passed: Passed, step: int) -> Any:
    """Return what a layer's backward needs of a pass as in prediction, in which layers keep nothing.

    Raises
    ------
    ValueError
        If the layer computes something else in training, so that its backward belongs to another result; or if it
        changes its input in place.
    """
    layer, x, y, _ = passed
    if _passes_unchanged(layer):
        return None
    if isinstance(layer, BatchNormalization):
        mean, variance = (layer.buffers[f"moving_{name}"].copy() for name in ("mean", "variance"))
        return BatchNormCache(x, mean, variance, by_batch=False)
    with unchanged(layer, "forward", {"its input": x}):
        again, cache = layer.forward(x, training=True, step=step)
    if not computes_alike(layer.backend.to_numpy(y), layer.backend.to_numpy(again)):
        raise ValueError(
            f"{layer.label} gives another result in training than in prediction, so its gradient in prediction cannot "
            "be computed; leave y out, or leave training at True"
        )
    return cache


def _passes_unchanged(layer: Layer) -> bool:
    """Return whether a layer does nothing in prediction."""
    return isinstance(layer, Dropout | GaussianNoise)


def _trace_backward(model: Network, result: Trace, targets: Array, step: int, training: bool) -> None:
    """Add the loss and the gradients as training computes them; the loss may have taken over a final softmax."""
    pairs = zip(result.layers, model.chain, strict=False)
    shared = next((n for n, (entry, link) in enumerate(pairs) if entry.layer is not link), len(model.chain))
    # Up to that softmax, the chain consists of the layers themselves, which have been run.
    before = result.layers[:shared]
    y_pred = before[-1].y if before else result.layers[0].x
    y_pred, caches = forward(model.chain[shared:], y_pred, step=step)
    losses, loss_cache = model.chain_loss.forward(y_pred, targets, model.backend)
    penalty = sum(parameter.penalty() for parameter in model.parameters().values())
    result.loss = float(model.backend.to_numpy(losses).mean(dtype=np.float64)) + penalty
    weights = model.backend.full(len(targets), 1 / len(targets), model.dtype)
    dy = model.chain_loss.backward(loss_cache, weights, model.backend)
    caches = [entry.cache for entry in before] + caches
    links = [_Unchanged(link) if not training and _passes_unchanged(link) else link for link in model.chain]
    inputs = {id(entry.layer): entry.x for entry in before}
    walked = walk_backward_unchanged(links, caches, dy, inputs)
    gradients = {_layer_of(link).name: (dy, dx) for link, dy, dx in walked}
    for entry in reversed(result.layers):
        # A softmax that is not in the chain hands on the gradient that the loss has computed for the two together.
        entry.dy, entry.dx = gradients.get(entry.name, (dy, dy))
        dy = entry.dx
        for parameter in entry.layer.params.values():
            parameter.add_penalty_gradient()
        entry.gradients = _copies(entry.layer, "grad", trained=True)


def _layer_of(link: Any) -> Layer:
    """Return the layer that a link of the chain stands for."""
    return link.layer if isinstance(link, _Unchanged) else layer_of(link)


def _copies(layer: Layer, attribute: str, trained: bool = False) -> dict[str, Array]:
    """Return copies of the values or the gradients of a layer's parameters, or only of those that are trained."""
    return {
        name: getattr(parameter, attribute).copy()
        for name, parameter in layer.params.items()
        if parameter.trainable or not trained
    }


def _on_host(value: Any, backend: Backend) -> Any:
    """Return an array, or a tuple or a dict of arrays, with all arrays on the host."""
    if isinstance(value, dict):
        return {name: _on_host(item, backend) for name, item in value.items()}
    if isinstance(value, tuple):
        items = [_on_host(item, backend) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return backend.to_numpy(value) if backend.owns(value) else value


def _rms(array: Array) -> float:
    """Return the root of the mean square of an array."""
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) if array.size else 0.0
