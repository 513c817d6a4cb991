"""Finding the layer in which NaN or infinity first appeared, when the loss or a weight is no longer finite."""

import math

import numpy as np

from ..core.types import Array
from ..layers.base import Layer
from ..layers.looking import layers_kept
from ..network.final_activation import layer_of
from ..network.network import Network
from .batches import Batch
from .step import walk_backward, walk_forward


class NumericError(FloatingPointError):
    """The loss or a weight became NaN or infinite in ``fit``; training has stopped.

    The usual cures are a lower learning rate, ``clipnorm=1.0`` in the optimizer, images scaled to [0, 1], and a
    ``BatchNormalization`` after each convolution. Files that a callback has written are left as they are.

    Attributes
    ----------
    epoch, batch : int
        Where it happened, counted from 0.
    layer : str or None
        The name of the layer where it began: the first one whose result was not finite, or in the backward pass the
        first one whose gradient was not. None if neither was found.
    what : str
        What was not finite there, in words.
    """

    def __init__(self, message: str, *, epoch: int, batch: int, layer: str | None, what: str) -> None:
        super().__init__(message)
        self.epoch, self.batch, self.layer, self.what = epoch, batch, layer, what


def bad_weight(model: Network) -> tuple[Layer, str, float] | None:
    """Return the last layer that holds NaN or infinity, the name of the array, and the number; None if all is finite.

    The last layer is the one to report, because gradients go up the list: if one of them is not finite, those of all
    earlier layers follow.
    """
    for layer in reversed(model.layers):
        for name, value in layer.weights().items():
            bad = _bad_number(model.backend.to_numpy(value))
            if bad is not None:
                return layer, name, bad
    return None


def error_of_loss(model: Network, batch: Batch, epoch: int, number: int, loss: float) -> NumericError:
    """Return the error for a batch whose loss is not finite; the weights are still those from before its step."""
    where: Layer | None
    where, what = _in_weights(model, "before this batch") or _in_pass(model, batch)
    return _error(model, epoch, number, f"the loss is {loss}", where, what)


def error_found_late(model: Network, epoch: int, number: int, loss: float) -> NumericError:
    """Return the error for an earlier batch whose loss was read only now, when its weights are gone."""
    what = "the loss was read only some batches later, so the layer cannot be found any more; the cpu backend finds it"
    return _error(model, epoch, number, f"the loss is {loss}", None, what)


def check_weights(model: Network, epoch: int, number: int) -> None:
    """Raise unless all weights are finite; called after an epoch's last step, because no later loss would show it."""
    found = _in_weights(model, "of this batch")
    if found is not None:
        raise _error(model, epoch, number, "a weight is not finite", *found)


def _error(model: Network, epoch: int, number: int, problem: str, where: Layer | None, what: str) -> NumericError:
    """Return the error; ``problem`` and ``what`` say in words what was noticed and where it began."""
    place = what if where is None else f"first in {where.label}: {what}"
    rate = model.optimizer.learning_rate
    return NumericError(
        f"training stopped at epoch {epoch}, batch {number} (both counted from 0): {problem}; {place}. "
        f"Try a learning rate below {rate:g}, clipnorm=1.0 in the optimizer, or inputs scaled to [0, 1]",
        epoch=epoch,
        batch=number,
        layer=None if where is None else where.name,
        what=what,
    )


def _in_weights(model: Network, which: str) -> tuple[Layer, str] | None:
    """Find a weight that is not finite; ``which`` says in words in which step it became so."""
    found = bad_weight(model)
    if found is None:
        return None
    layer, name, bad = found
    return layer, f"its {name} became {bad} in the step {which}: the gradient was not finite, or the step too large"


def _in_pass(model: Network, batch: Batch) -> tuple[Layer | None, str]:
    """Find the first number that is not finite in a forward and backward pass like that of ``train_step``."""
    with layers_kept(model.layers), np.errstate(all="ignore"):
        return _first_in_pass(model, batch)


def _first_in_pass(model: Network, batch: Batch) -> tuple[Layer | None, str]:
    y_pred, caches = batch.x.copy(), []
    for passed in walk_forward(model.chain, y_pred, step=model.optimizer.iterations):
        y_pred = passed.y
        if (bad := _bad_number(model.backend.to_numpy(y_pred))) is not None:
            return layer_of(passed.layer), f"its result holds {bad}"
        caches.append(passed.cache)
    penalty = _first_penalty(model)
    if penalty is not None:
        return penalty
    # All results are finite, so it is the loss itself that is too large; look at the gradients that it sends back.
    _, loss_cache = model.chain_loss.forward(y_pred, batch.y, model.backend)
    weights = model.backend.own(np.full(len(y_pred), 1 / len(y_pred), model.dtype))
    by_loss = model.chain_loss.backward(loss_cache, weights, model.backend)
    for layer, dy, dx in walk_backward(model.chain, caches, by_loss):
        gradients = {name: p.grad for name, p in layer.params.items() if p.trainable}
        for name, gradient in ({"result": dy} | gradients | {"input": dx}).items():
            if (bad := _bad_number(model.backend.to_numpy(gradient))) is not None:
                return layer_of(layer), f"the gradient of its {name} holds {bad}"
    return None, "the results of all layers and their gradients are finite"


def _first_penalty(model: Network) -> tuple[Layer, str] | None:
    """Find the first parameter on which the penalty is not finite."""
    for layer in model.layers:
        for name, parameter in layer.params.items():
            if not math.isfinite(parameter.penalty()):
                return layer, f"the penalty on its {name} is {parameter.penalty()}"
    return None


def _bad_number(array: Array) -> float | None:
    """Return the first number that is not finite, or None if all are."""
    finite = np.isfinite(array)
    return None if finite.all() else float(array[~finite].flat[0])
