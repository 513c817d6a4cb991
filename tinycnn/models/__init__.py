"""The documented networks and their recipes, by name.

>>> from tinycnn import models
>>> models.names()[:4]
['fashion_base', 'fashion_improved', 'mnist_cnn', 'cifar10_cnn']
>>> models.build("ladder_02").count_params()
1710
>>> models.recipe("go_crazy").schedule(1)
0.0022744503

Some networks are trained a second time in another way, and some are our own; :func:`variations` and :func:`beyond` name
them, and :func:`build` and :func:`recipe` accept these names too.

Each document has a file that holds its networks. To add a network, write a function that returns its layers, and put
the family's decorator :meth:`~tinycnn.models.family.Family.network` on it.
"""

from ..core.checks import integer
from ..core.checks import shape as checked_shape
from ..core.messages import unknown
from ..core.public import listing
from ..layers import Input
from ..sequential import Sequential
from . import eip, fashion, ladder, mnist_cifar, ours, small
from .adapting import CLASSES, adapted
from .family import Network
from .recipe import ParameterCount, Recipe

__all__ = ["ParameterCount", "Recipe", "beyond", "build", "names", "recipe", "variations"]
__dir__ = listing(__name__)

_DOCUMENTS = (fashion, mnist_cifar, ladder, small, eip)
_NETWORKS: dict[str, Network] = {
    network.recipe.name: network for document in _DOCUMENTS for network in document.FAMILY.networks
}
_VARIATIONS: dict[str, Network] = {
    network.recipe.name: network for document in _DOCUMENTS for network in document.FAMILY.variations
}
_OWN: dict[str, Network] = {network.recipe.name: network for network in ours.FAMILY.networks}


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


def beyond() -> list[str]:
    """Return the names of the networks that no document has: parameter golf, and what a laptop reaches in two hours.

    >>> from tinycnn import models
    >>> models.beyond()[0], models.recipe("golf_10k").params.total < 10_000
    ('golf_10k', True)
    """
    return list(_OWN)


def build(name: str, *, input_shape: tuple[int, int, int] | None = None, classes: int | None = None) -> Sequential:
    """Build one of these networks, without compiling it.

    The weights are drawn with the seed that ``tinycnn.set_seed`` has set. The backend is the active one.

    Parameters
    ----------
    name : str
        One of :func:`names`, :func:`variations` or :func:`beyond`.
    input_shape : (H, W, C), optional
        The shape of one image, if it is not the recipe's.
    classes : int, optional
        How many classes there are, if not ten: the last layer with weights gets as many units or filters.

    Returns
    -------
    Sequential
        The built model, with `name` as its name; its output has shape (N, classes).

    Raises
    ------
    ValueError
        If there is no such network (the message names the most similar one and lists them all), or if it cannot take
        images of this shape.

    Examples
    --------
    >>> from tinycnn import models
    >>> model = models.build("ladder_09", input_shape=(32, 32, 3), classes=4)
    >>> model.input_shape, model.output_shape
    ((32, 32, 3), (4,))
    """
    network = _find(name)
    shape = None if input_shape is None else checked_shape(input_shape, "input_shape")
    count = None if classes is None else integer(classes, "classes")
    layers = network.make_layers()
    if shape in (None, network.recipe.input_shape) and count in (None, CLASSES):
        return Sequential([Input(network.recipe.input_shape), *layers], name=name)
    return adapted(network.recipe, layers, shape or network.recipe.input_shape, count or CLASSES)


def recipe(name: str) -> Recipe:
    """Return how a network is trained, and what its document reports.

    Parameters
    ----------
    name : str
        One of :func:`names`, :func:`variations` or :func:`beyond`.

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
    """Return a network by its name."""
    known = _NETWORKS | _VARIATIONS | _OWN
    if not isinstance(name, str) or name not in known:
        raise unknown("model", name, known, "name")
    return known[name]
