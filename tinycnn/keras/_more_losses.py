"""What Keras does where a loss and the end of a network do not fit, as far as it makes sense."""

from typing import Any

from .. import losses
from ..activations import ACTIVATIONS, Sigmoid
from ..core.types import Config
from ..layers import Layer
from ..losses import Loss
from ..network.final_activation import ends_in, last_that_computes
from ._telling import told


class _OfAnyOutputs:
    """The half of a crossentropy of several classes that takes outputs of any activation, and divides by their sum."""

    from_logits: Any

    def get_config(self) -> Config:
        """Return the constructor's arguments."""
        config: Config = super().get_config()  # type: ignore[misc]
        return {key: value for key, value in config.items() if key != "from_logits"}


class CategoricalCrossentropyOfShares(_OfAnyOutputs, losses.CategoricalCrossentropy):
    """:class:`tinycnn.losses.CategoricalCrossentropy` of outputs that are divided by their sum, as Keras does it.

    Parameters
    ----------
    label_smoothing : float in [0, 1]
        The share that is taken from the targets and spread over all classes.
    **base
        ``name`` and ``reduction``.
    """

    def __init__(self, label_smoothing: float = 0.0, **base: Any) -> None:
        super().__init__(label_smoothing=label_smoothing, **base)
        self.from_logits = None  # nothing about the network's end follows from this loss


class SparseCategoricalCrossentropyOfShares(_OfAnyOutputs, losses.SparseCategoricalCrossentropy):
    """:class:`tinycnn.losses.SparseCategoricalCrossentropy` of outputs that are divided by their sum, as Keras does it.

    Parameters
    ----------
    **base
        ``name`` and ``reduction``.
    """

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        self.from_logits = None


_OF_SHARES: dict[type[Loss], type[Loss]] = {
    losses.CategoricalCrossentropy: CategoricalCrossentropyOfShares,
    losses.SparseCategoricalCrossentropy: SparseCategoricalCrossentropyOfShares,
}
LOSSES: dict[str, type[Loss]] = {cls.__name__: cls for cls in _OF_SHARES.values()}


def fitting(loss: Loss, layers: list[Layer]) -> Loss:
    """Return the loss that Keras computes for a network that ends in these layers, where that is not the loss itself.

    After a softmax, ``from_logits=True`` means the numbers before it, and Keras warns; outputs of a sigmoid are divided
    by their sum before a crossentropy of several classes. Other ends are left to the engine.
    """
    end, from_logits = last_that_computes(layers), getattr(loss, "from_logits", None)
    if end is None or from_logits is None:
        return loss
    config = loss.get_config()
    if from_logits and ends_in(end, ACTIVATIONS[loss.takes_over]):
        told(
            f"{loss.name}: from_logits=True is left out, because {end.label} ends in a {loss.takes_over}; what is "
            "before it is meant, as in Keras"
        )
        return type(loss)(**config | {"from_logits": False})
    if not from_logits and type(loss) in _OF_SHARES and ends_in(end, Sigmoid):
        told(
            f"{loss.name}: {end.label} ends in a sigmoid, and its outputs are divided by their sum, as in Keras; a "
            "softmax is what this loss is for, and trains better"
        )
        return _OF_SHARES[type(loss)](**{key: value for key, value in config.items() if key != "from_logits"})
    return loss
