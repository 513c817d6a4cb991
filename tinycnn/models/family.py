"""The networks of one document: a list of them, and the settings that they share."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from ..layers import Layer
from .recipe import ParameterCount, Recipe

#: Settings, and the sentences about them, that several documents have in common.
ADAM: dict[str, Any] = {"optimizer": "Adam", "optimizer_config": {"learning_rate": 0.001}}
USUAL_CHOICES = (
    "Activations: relu, and softmax at the end.",
    "Loss: sparse categorical cross-entropy.",
    "Optimizer: Adam.",
)


class Network(NamedTuple):
    """A recipe, and the function that creates new layers for the network (without the input)."""

    recipe: Recipe
    make_layers: Callable[[], list[Layer]]


class Family:
    """The networks of one document, in its order.

    A network is defined in one place: by a function that returns its layers and has the decorator :meth:`network`. The
    function's name is the network's name.

    Parameters
    ----------
    chosen : tuple of str
        The choices that all networks of the document share.
    **shared
        Fields of :class:`Recipe` that apply to every network that does not set them itself.
    """

    def __init__(self, *, chosen: tuple[str, ...] = (), **shared: Any) -> None:
        self.chosen = chosen
        self.shared = shared
        self.networks: list[Network] = []
        self.variations: list[Network] = []

    def network(
        self, *, params: int, non_trainable: int = 0, chosen: tuple[str, ...] = (), **settings: Any
    ) -> Callable[[Callable[[], list[Layer]]], Callable[[], list[Layer]]]:
        """Return a decorator that adds the network whose layers the decorated function returns.

        Parameters
        ----------
        params, non_trainable : int
            The documented number of parameters, and how many of them are not changed by gradient steps.
        chosen : tuple of str
            The choices for this network, in addition to those of the family.
        **settings
            Fields of :class:`Recipe`.
        """

        def enter(make_layers: Callable[[], list[Layer]]) -> Callable[[], list[Layer]]:
            recipe = Recipe(
                name=make_layers.__name__,
                params=ParameterCount(params, params - non_trainable, non_trainable),
                chosen=chosen + self.chosen,
                **{**self.shared, **settings},
            )
            self.networks.append(Network(recipe, make_layers))
            return make_layers

        return enter

    def variation(self, name: str, *, of: str, chosen: tuple[str, ...], **changes: Any) -> None:
        """Add another way to train a network of this document.

        Parameters
        ----------
        name : str
            The name of the variation.
        of : str
            The name of the network, which must have been added before.
        chosen : tuple of str
            As in :meth:`network`.
        **changes
            The fields of :class:`Recipe` that differ.
        """
        recipe, make_layers = next(network for network in self.networks if network.recipe.name == of)
        changed = replace(recipe, name=name, variation_of=of, chosen=chosen + self.chosen, **changes)
        self.variations.append(Network(changed, make_layers))
