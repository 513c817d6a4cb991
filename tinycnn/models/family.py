"""A family is the networks of one document: what they share, and the list of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from ..layers import Layer
from .recipe import ParameterCount, Recipe


class Network(NamedTuple):
    """A recipe, and the function that makes the network's layers afresh (without the input)."""

    recipe: Recipe
    make_layers: Callable[[], list[Layer]]


class Family:
    """The networks of one document, in its order.

    A network is added in one place: a function that returns its layers, under the decorator :meth:`network`. The
    function's name is the network's.

    Parameters
    ----------
    chosen : tuple of str
        The choices that every network of the document shares.
    **shared
        Fields of :class:`Recipe` that hold for every network unless it says otherwise.
    """

    def __init__(self, *, chosen: tuple[str, ...] = (), **shared: Any) -> None:
        self.chosen = chosen
        self.shared = shared
        self.networks: list[Network] = []
        self.variations: list[Network] = []

    def network(
        self, *, params: int, non_trainable: int = 0, chosen: tuple[str, ...] = (), **settings: Any
    ) -> Callable[[Callable[[], list[Layer]]], Callable[[], list[Layer]]]:
        """Enter the decorated function's network.

        Parameters
        ----------
        params, non_trainable : int
            The documented number of parameters, and how many of them gradient steps leave alone.
        chosen : tuple of str
            The choices for this network, in addition to the family's.
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
        """Enter another way to train a network of this document.

        Parameters
        ----------
        name : str
            The variation's.
        of : str
            The network, entered before.
        chosen : tuple of str
            As in :meth:`network`.
        **changes
            Fields of :class:`Recipe` that differ.
        """
        recipe, make_layers = next(network for network in self.networks if network.recipe.name == of)
        changed = replace(recipe, name=name, variation_of=of, chosen=chosen + self.chosen, **changes)
        self.variations.append(Network(changed, make_layers))
