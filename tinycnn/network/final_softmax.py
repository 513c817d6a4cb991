"""How a network ends: which final softmax the loss takes over, and which endings make no sense."""

import copy
import math
from typing import Any

from ..activations import Softmax
from ..core.parameter import Parameter
from ..core.types import Array
from ..core.workspace import Workspace
from ..layers import LAYERS, Activation, Flatten, Reshape
from ..layers.base import ActivatedLayer, Cache, Layer
from ..losses import Loss

_SHAPE_ONLY = (Flatten, Reshape)


class WithoutActivation:
    """The linear part of a layer whose softmax the loss has taken over."""

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
    """Return the layer itself, if ``part`` is one whose softmax the loss has taken over."""
    return part.layer if isinstance(part, WithoutActivation) else part


def check_end(layers: list[Layer], loss: Loss) -> Layer | None:
    """Return the last layer that computes something, after checking that the end of the model fits the loss.

    If that layer is a softmax, the loss may take it over. A ``Flatten`` or ``Reshape`` after it does not count.

    Raises
    ------
    ValueError
        If there are two softmaxes in a row, a softmax before a loss that takes logits, or no softmax before a loss
        that takes probabilities.
    """
    _check_double_softmax(layers)
    from_logits = getattr(loss, "from_logits", None)
    end = next((layer for layer in reversed(layers) if not isinstance(layer, _SHAPE_ONLY)), None)
    if from_logits is None or not layers:
        return end
    if from_logits and end is not None and ends_in_softmax(end):
        raise ValueError(
            f"{end.label} is a softmax, but the loss was made with from_logits=True and would apply another one; "
            "leave out from_logits=True (training computes the two together anyway), or the softmax"
        )
    if not from_logits and (end is None or (type(end) in LAYERS.values() and not ends_in_softmax(end))):
        name = end.label if end is not None else "the input"
        raise ValueError(
            f"{loss.name} expects probabilities, but the model ends in {name} without a softmax; end it with "
            f"activation='softmax', or use losses.{type(loss).__name__}(from_logits=True)"
        )
    return end


def training_chain(layers: list[Layer], loss: Loss) -> tuple[list[Any], Loss]:
    """Return the layers to train and the loss at their end; a final softmax moves from the layers into the loss.

    Softmax followed by cross-entropy has the gradient ``p - y``, which is exact and stable for any logits, while each
    of the two alone divides by probabilities that may be 0. A subclass of a layer is never taken apart, so that its own
    backward runs.

    Raises
    ------
    ValueError
        If the end does not fit the loss, as :func:`check_end` says, or if the softmax is taken over fewer numbers than
        there are classes.
    """
    end = check_end(layers, loss)
    from_logits = getattr(loss, "from_logits", None)
    if from_logits is None or from_logits or end is None or type(end) not in LAYERS.values():
        return list(layers), loss
    before, after = layers[: layers.index(end)], layers[layers.index(end) + 1 :]
    shape = end.built_output_shape
    if after and math.prod(shape) != shape[-1]:
        raise ValueError(
            f"{end.label} is a softmax over the last axis of {shape}, so its result is {math.prod(shape[:-1])} times "
            f"{shape[-1]} probabilities, not {math.prod(shape)} classes; put the softmax after {after[-1].label}"
        )
    if isinstance(end, ActivatedLayer):
        return [*before, WithoutActivation(end), *after], _on_logits(loss)
    return [*before, *after], _on_logits(loss)


def ends_in_softmax(layer: Layer) -> bool:
    """Return whether a layer's results are probabilities."""
    return isinstance(getattr(layer, "activation", None), Softmax)


def _on_logits(loss: Any) -> Loss:
    """Return a copy of a loss that takes logits and applies the softmax itself."""
    on_logits = copy.copy(loss)
    on_logits.from_logits = True
    return on_logits


def _check_double_softmax(layers: list[Layer]) -> None:
    """Raise if a softmax is applied to the result of another one."""
    before: Layer | None = None
    for layer in layers:
        if isinstance(layer, _SHAPE_ONLY):
            continue
        if before is not None and ends_in_softmax(before) and isinstance(layer, Activation) and ends_in_softmax(layer):
            raise ValueError(f"two softmaxes in a row: {before.label} and {layer.label}; remove one")
        before = layer
