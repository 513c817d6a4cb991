"""How a network ends: which final softmax or sigmoid the loss takes over, and which endings make no sense."""

import copy
import math
from collections.abc import Sequence
from typing import Any

from ..activations import ACTIVATIONS, ActivationFunction, Sigmoid, Softmax
from ..core.parameter import Parameter
from ..core.types import Array
from ..core.workspace import Workspace
from ..layers import LAYERS, Activation, Flatten, Reshape
from ..layers.base import ActivatedLayer, Cache, Layer
from ..losses import LOSSES, Loss

_SHAPE_ONLY = (Flatten, Reshape)


class WithoutActivation:
    """The linear part of a layer whose activation the loss has taken over."""

    def __init__(self, layer: ActivatedLayer) -> None:
        self.layer = layer

    @property
    def params(self) -> dict[str, Parameter]:
        """The parameters of the layer."""
        return self.layer.params

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, Cache | None]:
        """Return result and cache as :meth:`Layer.forward` does, but without the activation."""
        return self.layer.linear_forward(x, training=training, ws=ws)

    def backward(self, dy: Array, cache: Cache, *, ws: Workspace | None = None) -> Array:
        """Return dx as :meth:`Layer.backward` does, from the gradient before the activation."""
        dx = self.layer.linear_backward_input(dy, cache, ws=ws)
        self.backward_parameters(dy, cache, ws=ws)
        return dx

    def backward_parameters(self, dy: Array, cache: Cache, *, ws: Workspace | None = None) -> None:
        """Write the parameters' gradients, from the gradient before the activation."""
        if self.layer.trains:
            self.layer.linear_backward_parameters(dy, cache, ws=ws)


def layer_of(part: Any) -> Layer:
    """Return the layer itself, if ``part`` is one whose activation the loss has taken over."""
    return part.layer if isinstance(part, WithoutActivation) else part


def check_end(layers: list[Layer], loss: Loss) -> Layer | None:
    """Return the last layer that computes something, after checking that the end of the model fits the loss.

    If that layer ends in the activation that the loss takes over, a softmax or a sigmoid, it may do so. A ``Flatten``
    or ``Reshape`` after it does not count.

    Raises
    ------
    ValueError
        If there are two softmaxes in a row, a softmax or a sigmoid before a loss that takes logits, or none before a
        loss that takes probabilities.
    """
    _check_double_softmax(layers)
    from_logits = getattr(loss, "from_logits", None)
    end = last_that_computes(layers)
    if from_logits is None or not layers:
        return end
    if from_logits:
        _check_logits(end, loss)
    elif end is None or type(end) in LAYERS.values():
        _check_probabilities(end, loss)
    return end


def _check_logits(end: Layer | None, loss: Loss) -> None:
    """Raise if a loss that takes logits would be given probabilities."""
    wanted = _activation_of(loss)
    if end is not None and (ends_in(end, wanted) or (ends_in(end, Softmax) and wanted is Sigmoid)):
        found = wanted.name if ends_in(end, wanted) else Softmax.name
        other = "another one" if found == wanted.name else f"a {wanted.name}"
        raise ValueError(
            f"{end.label} is a {found}, but the loss was made with from_logits=True and would apply {other}; "
            f"leave out from_logits=True (training computes the two together anyway), or the {found}"
        )


def _check_probabilities(end: Layer | None, loss: Loss) -> None:
    """Raise if a loss that takes probabilities would be given something else."""
    wanted = _activation_of(loss)
    if end is not None and ends_in(end, wanted):
        return
    if end is not None and wanted is Sigmoid and ends_in(end, Softmax):
        if end.built and end.built_output_shape[-1] == 1:
            raise ValueError(
                f"{end.label} is a softmax over one output, which is always 1; use activation='sigmoid' there"
            )
        return  # its results lie between 0 and 1 too
    name = end.label if end is not None else "the input"
    sigmoid = end is not None and ends_in(end, Sigmoid)
    cure = "; for a sigmoid, use losses.BinaryCrossentropy()" if sigmoid and type(loss) in LOSSES.values() else ""
    raise ValueError(
        f"{loss.name} expects probabilities, but the model ends in {name} without a {wanted.name}; end it with "
        f"activation={wanted.name!r}, or use losses.{type(loss).__name__}(from_logits=True){cure}"
    )


def training_chain(layers: list[Layer], loss: Loss) -> tuple[list[Any], Loss]:
    """Return the layers to train and the loss at their end; the final activation moves from the layers into the loss.

    Softmax followed by cross-entropy, and sigmoid followed by binary cross-entropy, have the gradient ``p - y``, which
    is exact and stable for any logits, while each of the two alone divides by probabilities that may be 0. A subclass
    of a layer is never taken apart, so that its own backward runs.

    Raises
    ------
    ValueError
        If the end does not fit the loss, as :func:`check_end` says, or if a softmax is taken over fewer numbers than
        there are classes.
    """
    end = check_end(layers, loss)
    from_logits = getattr(loss, "from_logits", None)
    if from_logits is None or from_logits or end is None or type(end) not in LAYERS.values():
        return list(layers), loss
    if not ends_in(end, _activation_of(loss)):
        return list(layers), loss
    before, after = layers[: layers.index(end)], layers[layers.index(end) + 1 :]
    shape = end.built_output_shape
    if ends_in(end, Softmax) and after and math.prod(shape) != shape[-1]:
        raise ValueError(
            f"{end.label} is a softmax over the last axis of {shape}, so its result is {math.prod(shape[:-1])} times "
            f"{shape[-1]} probabilities, not {math.prod(shape)} classes; put the softmax after {after[-1].label}"
        )
    if isinstance(end, ActivatedLayer):
        return [*before, WithoutActivation(end), *after], _on_logits(loss)
    return [*before, *after], _on_logits(loss)


def last_that_computes(layers: Sequence[Layer]) -> Layer | None:
    """Return the last layer that does not only reshape, or None."""
    return next((layer for layer in reversed(layers) if not isinstance(layer, _SHAPE_ONLY)), None)


def ends_in(layer: Layer, *kinds: type[ActivationFunction]) -> bool:
    """Return whether a layer ends in one of some activations."""
    return isinstance(getattr(layer, "activation", None), kinds)


def ends_in_probabilities(layer: Layer) -> bool:
    """Return whether a layer's results are probabilities: it ends in a softmax or a sigmoid."""
    return ends_in(layer, Softmax, Sigmoid)


def _activation_of(loss: Loss) -> type[ActivationFunction]:
    """Return the activation that a loss takes over."""
    return ACTIVATIONS[loss.takes_over]


def _on_logits(loss: Any) -> Loss:
    """Return a copy of a loss that takes logits and applies the activation itself."""
    on_logits = copy.copy(loss)
    on_logits.from_logits = True
    return on_logits


def _check_double_softmax(layers: list[Layer]) -> None:
    """Raise if a softmax is applied to the result of another one."""
    before: Layer | None = None
    for layer in layers:
        if isinstance(layer, _SHAPE_ONLY):
            continue
        if (
            before is not None
            and ends_in(before, Softmax)
            and isinstance(layer, Activation)
            and ends_in(layer, Softmax)
        ):
            raise ValueError(f"two softmaxes in a row: {before.label} and {layer.label}; remove one")
        before = layer
