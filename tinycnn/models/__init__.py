"""The documented networks by name, with their recipes.

>>> from tinycnn import models
>>> models.names()[:4]
['fashion_base', 'fashion_improved', 'mnist_cnn', 'cifar10_cnn']
>>> models.build("ladder_02").count_params()
1710
>>> models.recipe("go_crazy").schedule(1)
0.0022744503

Some are trained a second time, in another way: :func:`variations` names those recipes, and :func:`build` and
:func:`recipe` take these names too.

One file for each document holds its networks. To add one, write a function that returns its layers under a family's
decorator :meth:`~tinycnn.models.family.Family.network`.
"""

from ..core.messages import unknown
from ..layers import Input
from ..sequential import Sequential
from . import eip, fashion, ladder, mnist_cifar, small
from .family import Network
from .recipe import ParameterCount, Recipe

__all__ = ["ParameterCount", "Recipe", "build", "names", "recipe", "variations"]

_DOCUMENTS = (fashion, mnist_cifar, ladder, small, eip)
_NETWORKS: dict[str, Network] = {
    network.recipe.name: network for document in _DOCUMENTS for network in document.FAMILY.networks
}
_VARIATIONS: dict[str, Network] = {
    network.recipe.name: network for document in _DOCUMENTS for network in document.FAMILY.variations
}


def names() -> list[str]:
    """Return the names of the networks, in the order of the documents."""
    return list(_NETWORKS)


def variations() -> list[str]:
    """Return the names of the recipes that train one of the networks in another way.

    >>> from tinycnn import models
    >>> {name: models.recipe(name).variation_of for name in models.variations()}
    {'fashion_improved_blur': 'fashion_improved', 'cifar10_cnn_noaug': 'cifar10_cnn'}
    """
    return list(_VARIATIONS)


def build(name: str) -> Sequential:
    """Build a documented network; it is not compiled.

    The weights come from the seed that ``tinycnn.set_seed`` has set, the backend is the active one.

    Parameters
    ----------
    name : str
        One of :func:`names` or :func:`variations`.

    Returns
    -------
    Sequential
        Built, with `name` as its name; its output has shape (N, 10).

    Raises
    ------
    ValueError
        There is no such network; the message has the nearest name and all of them.
    """
    network = _find(name)
    return Sequential([Input(network.recipe.input_shape), *network.make_layers()], name=name)


def recipe(name: str) -> Recipe:
    """Return how a network is trained, and what its document reports.

    Parameters
    ----------
    name : str
        One of :func:`names` or :func:`variations`.

    Returns
    -------
    Recipe

    Raises
    ------
    ValueError
        There is no such network; the message has the nearest name and all of them.
    """
    return _find(name).recipe


def _find(name: str) -> Network:
    known = _NETWORKS | _VARIATIONS
    if not isinstance(name, str) or name not in known:
        raise unknown("model", name, known, "name")
    return known[name]
