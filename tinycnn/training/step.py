"""One training step: the whole of learning in twenty lines, and the walk through the layers. Begin reading here.

A network is a list of layers. :func:`walk_forward` goes down the list and :func:`walk_backward` up again; everything
that looks inside a network (traces, summaries, gradient checks, pictures) uses these two.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..core.types import Array
from ..core.workspace import Workspace
from ..network.network import Network
from .batches import Batch
from .running_means import RunningMeans


def train_step(
    model: Network, chain: list[Any], batch: Batch, means: RunningMeans, ws: Workspace | None = None
) -> None:
    """Run one batch forward, measure the loss, run backward, and take one step of the optimizer.

    The images go down the list of layers, each keeping what its backward needs. The loss says how wrong the result is
    and in which direction it should change. That gradient goes back up the list: each layer takes the gradients of its
    own parameters from it and hands on the gradient with respect to its input. The optimizer moves the parameters.

    Parameters
    ----------
    model : Network
        Compiled.
    chain : list
        The layers to train, or the steps of a plan that stand for them (:mod:`tinycnn.network.plan`).
    batch : Batch
        The images, their targets and their weights.
    means : RunningMeans
        The loss and the metrics of the epoch, to which those of the batch are added.
    ws : Workspace, optional
        Memory to reuse from step to step.
    """
    step, backend = model.optimizer.iterations, model.backend
    y_pred, caches = forward(chain, batch.x, step=step, ws=ws)

    losses, loss_cache = model.chain_loss.forward(y_pred, batch.y if batch.targets is None else batch.targets, backend)
    means.update(losses, batch.y, loss_cache.p, batch.weight)
    dy = model.chain_loss.backward(loss_cache, batch.shares(model), backend)

    first = first_trained(chain)
    dy = backward(chain[first + 1 :], caches, dy, ws=ws)
    if first < len(chain):
        chain[first].backward_parameters(dy, caches.pop(), ws=ws)
    model.add_penalty_gradients()
    model.optimizer.step(model.parameters(), backend)


def first_trained(chain: list[Any]) -> int:
    """Return the index of the first layer with something to train; backward need not go further up the list."""
    for index, layer in enumerate(chain):
        if any(parameter.trainable for parameter in layer.params.values()):
            return index
    return len(chain)


class Passed(NamedTuple):
    """What one layer did on the way forward: it took ``x``, gave ``y``, and kept ``cache`` for its backward."""

    layer: Any
    x: Array
    y: Array
    cache: Any


def walk_forward(
    layers: Sequence[Any], x: Array, *, training: bool = True, step: int = 0, ws: Workspace | None = None
) -> Iterator[Passed]:
    """Run a batch down a list of layers, and yield after each layer what it did.

    Parameters
    ----------
    layers : sequence of Layer, or of steps of a plan
    x : (N, \\*input_shape) array
        The batch.
    training : bool
        Whether layers keep caches, and dropout and batch normalization work as in training.
    step : int
        The number of the optimizer step, from which layers with randomness draw.
    ws : Workspace, optional
        Memory to reuse. With it, what is yielded may be overwritten as soon as the walk goes on.
    """
    for layer in layers:
        y, cache = layer.forward(x, training=training, step=step, ws=ws)
        yield Passed(layer, x, y, cache)
        x = y


def walk_backward(
    layers: Sequence[Any], caches: list[Any], dy: Array, *, ws: Workspace | None = None
) -> Iterator[tuple[Any, Array, Array]]:
    """Run a gradient up a list of layers, from the last to the first, and yield after each ``(layer, dy, dx)``.

    Parameters
    ----------
    layers : sequence
        Those that :func:`walk_forward` has gone down.
    caches : list
        What the layers kept, in the order in which the walk went down. Each is taken off the list when it is used,
        so that its memory can be freed.
    dy : array
        The gradient of the loss with respect to the last layer's result.
    ws : Workspace, optional
        Memory to reuse. With it, a layer may overwrite the ``dy`` that it is given.
    """
    for layer in reversed(layers):
        dx = layer.backward(dy, caches.pop(), ws=ws)
        yield layer, dy, dx
        dy = dx


def forward(layers: Sequence[Any], x: Array, *, step: int = 0, ws: Workspace | None = None) -> tuple[Array, list[Any]]:
    """Return the result of a training pass down a list of layers, and the caches of all of them."""
    caches = []
    for passed in walk_forward(layers, x, step=step, ws=ws):
        x = passed.y
        caches.append(passed.cache)
    return x, caches


def backward(layers: Sequence[Any], caches: list[Any], dy: Array, *, ws: Workspace | None = None) -> Array:
    """Return the gradient with respect to the first layer's input; parameters get their gradients on the way."""
    for _, _, dx in walk_backward(layers, caches, dy, ws=ws):
        dy = dx
    return dy


def infer(layers: Sequence[Any], x: Array, ws: Workspace | None = None) -> Array:
    """Return the result of a list of layers as in prediction: nothing is kept for a backward."""
    for passed in walk_forward(layers, x, training=False, ws=ws):
        x = passed.y
    return x
