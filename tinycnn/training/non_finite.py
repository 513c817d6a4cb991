"""When training leaves the numbers: finding the layer where NaN or infinity first appeared."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.types import Array
from ..layers.base import Layer, buffers_kept
from .batches import Batch

if TYPE_CHECKING:
    from ..sequential import Sequential


class NumericError(FloatingPointError):
    """The loss or a weight became NaN or infinite in ``fit``; training has stopped.

    The usual cures: a lower learning rate, ``clipnorm=1.0`` in the optimizer, images scaled to [0, 1], a
    ``BatchNormalization`` after each convolution. What a callback saved before is as it was.

    Attributes
    ----------
    epoch, batch : int
        Where, counted from 0.
    layer : str or None
        Name of the layer where it began: the first whose result was not finite, or going back, the first whose
        gradient was not. None if neither was found.
    what : str
        What was not finite there, in words.
    """

    def __init__(self, message: str, *, epoch: int, batch: int, layer: str | None, what: str) -> None:
        super().__init__(message)
        self.epoch, self.batch, self.layer, self.what = epoch, batch, layer, what


class LossNotFiniteError(ArithmeticError):
    """Says within ``fit`` that a batch's loss is not a number, before its step is taken."""

    def __init__(self, value: float, late: int = 0) -> None:
        super().__init__(f"the loss is {value}")
        self.value = value
        #: How many batches have been trained since: figures on a device are read now and then.
        self.late = late


def bad_weight(model: "Sequential") -> tuple[Layer, str, float] | None:
    """The last layer that holds NaN or infinity, the name of what holds it, and the number; None where all is finite.

    The last, because gradients go up the list: where one is not finite, all those of earlier layers follow.
    """
    for layer in reversed(model.layers):
        for name, value in layer.weights().items():
            bad = _bad_number(model.backend.to_numpy(value))
            if bad is not None:
                return layer, name, bad
    return None


def error_of_loss(model: "Sequential", batch: Batch, epoch: int, number: int, loss: float) -> NumericError:
    """The error for a batch whose loss is not finite, with the weights as they were before its step."""
    where: Layer | None
    where, what = _of_weights(model, "before this batch") or _of_pass(model, batch)
    return _error(model, epoch, number, f"the loss is {loss}", where, what)


def error_found_late(model: "Sequential", epoch: int, number: int, loss: float) -> NumericError:
    """The error for an earlier batch, whose loss was read only now: its weights are gone."""
    what = "the loss was read some batches later, and the layer is no longer to be found: the cpu backend tells"
    return _error(model, epoch, number, f"the loss is {loss}", None, what)


def check_weights(model: "Sequential", epoch: int, number: int) -> None:
    """After an epoch's last step: raise unless all weights are finite, because no later loss would tell."""
    found = _of_weights(model, "of this batch")
    if found is not None:
        raise _error(model, epoch, number, "a weight is not finite", *found)


def _error(model: "Sequential", epoch: int, number: int, problem: str, where: Layer | None, what: str) -> NumericError:
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


def _of_weights(model: "Sequential", which: str) -> tuple[Layer, str] | None:
    found = bad_weight(model)
    if found is None:
        return None
    layer, name, bad = found
    return layer, f"its {name} is {bad} since the step {which}, by its gradient or by the size of the step"


def _of_pass(model: "Sequential", batch: Batch) -> tuple[Layer | None, str]:
    """Forward and then backward, as ``train_step`` goes but unfused: where is the first number that is not finite?"""
    with buffers_kept(model.layers), np.errstate(all="ignore"):
        return _first_in_pass(model, batch)


def _first_in_pass(model: "Sequential", batch: Batch) -> tuple[Layer | None, str]:
    x, caches = batch.x.copy(), []
    for layer in model.chain:
        x, cache = layer.forward(x, training=True, step=model.optimizer.iterations)
        if (bad := _bad_number(model.backend.to_numpy(x))) is not None:
            return _own(layer), f"its result holds {bad}"
        caches.append(cache)
    penalty = _first_penalty(model)
    if penalty is not None:
        return penalty
    # The loss itself is too large; what comes back from it?
    _, loss_cache = model.chain_loss.forward(x, batch.y, model.backend)
    weights = model.backend.own(np.full(len(x), 1 / len(x), model.dtype))
    dy = model.chain_loss.backward(loss_cache, weights, model.backend)
    for layer, cache in zip(reversed(model.chain), reversed(caches), strict=True):
        gradients = {"result": dy}
        dy = layer.backward(dy, cache)
        gradients |= {name: p.grad for name, p in layer.params.items() if p.trainable} | {"input": dy}
        for name, gradient in gradients.items():
            if (bad := _bad_number(model.backend.to_numpy(gradient))) is not None:
                return _own(layer), f"the gradient of its {name} holds {bad}"
    return None, "the results of all layers and their gradients are finite"


def _own(layer: Any) -> Layer:
    """The layer itself, where its softmax has moved to the loss."""
    return layer if isinstance(layer, Layer) else layer.layer


def _first_penalty(model: "Sequential") -> tuple[Layer, str] | None:
    for layer in model.layers:
        for name, parameter in layer.params.items():
            if not math.isfinite(parameter.penalty()):
                return layer, f"the penalty on its {name} is {parameter.penalty()}"
    return None


def _bad_number(array: Array) -> float | None:
    """The first number that is not finite; None where all are."""
    finite = np.isfinite(array)
    return None if finite.all() else float(array[~finite].flat[0])
