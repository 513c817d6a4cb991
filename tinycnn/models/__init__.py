"""The documented networks and their recipes, by name.

>>> from tinycnn import models
>>> models.names()[:4]
['fashion_base', 'fashion_improved', 'mnist_cnn', 'cifar10_cnn']
>>> models.build("ladder_02").count_params()
1710
>>> models.recipe("go_crazy").schedule(1)
0.0022744503

Some networks are trained a second time in another way. :func:`variations` names those recipes, and :func:`build` and
:func:`recipe` accept these names too.

Each document has a file that holds its networks. To add a network, write a function that returns its layers, and put
the family's decorator :meth:`~tinycnn.models.family.Family.network` on it.
"""

from ..core.messages import unknown
from ..core.public import listing
from ..layers import Input
from ..sequential import Sequential
from . import eip, fashion, ladder, mnist_cifar, small
from .family import Network
from .recipe import ParameterCount, Recipe

__all__ = ["ParameterCount", "Recipe", "build", "names", "recipe", "variations"]
__dir__ = listing(__name__)

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
    """Build a documented network, without compiling it.

    The weights are drawn with the seed that ``tinycnn.set_seed`` has set. The backend is the active one.

    Parameters
    ----------
    name : str
        One of :func:`names` or :func:`variations`.

    Returns
    -------
    Sequential
        The built model, with `name` as its name; its output has shape (N, 10).

    Raises
    ------
    ValueError
        If there is no such network; the message names the most similar one and lists them all.
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
        If there is no such network; the message names the most similar one and lists them all.
    """
    return _find(name).recipe


def _find(name: str) -> Network:
    """Return a network or a variation by its name."""
    known = _NETWORKS | _VARIATIONS
    if not isinstance(name, str) or name not in known:
        raise unknown("model", name, known, "name")
    return known[name]
