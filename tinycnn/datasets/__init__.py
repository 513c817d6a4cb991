"""Data sets as modules, each with ``load_data()``, ``class_names`` and ``title``.

``digits`` is drawn by tinycnn itself and is always available. ``mnist``, ``fashion_mnist`` and ``cifar10`` are read
from the folder that the environment variable ``TINYCNN_DATA`` names or, if they are not there, from the platform's
cache folder. If they are not there either, they are downloaded into it. ``from_folder`` reads a folder of your own
pictures as a data set, ``load_image`` reads a single one, and ``mnist_like`` prepares a picture of a digit for a
network that was trained on MNIST.

>>> from tinycnn import datasets
>>> datasets.names()
('digits', 'mnist', 'fashion_mnist', 'cifar10')
>>> datasets.get("fashion-mnist").class_names[9]
'Ankle boot'
"""

from __future__ import annotations

import difflib
from types import ModuleType

from ..core.messages import shown
from ..core.public import listing
from . import cifar10, digits, fashion_mnist, mnist
from ._fetch import DownloadError
from ._folder import FolderData, from_folder
from ._formats import DataFileError, DataSet, read_idx
from ._image_file import load_image
from ._mnist_like import mnist_like

__all__ = [
    "DataFileError",
    "DownloadError",
    "FolderData",
    "cifar10",
    "digits",
    "fashion_mnist",
    "from_folder",
    "get",
    "load",
    "load_image",
    "mnist",
    "mnist_like",
    "names",
    "read_idx",
]
__dir__ = listing(__name__)

_MODULES: dict[str, ModuleType] = {
    "digits": digits,
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "cifar10": cifar10,
}


def names() -> tuple[str, ...]:
    """Return the names of the data sets, as :func:`get` and :func:`load` accept them."""
    return tuple(_MODULES)


def get(name: str) -> ModuleType:
    """Return the module of a data set.

    Parameters
    ----------
    name
        One of :func:`names`. Case, hyphens and underscores do not matter: ``"CIFAR-10"`` is ``"cifar10"``.

    Returns
    -------
    module
        It has ``load_data()``, ``class_names`` and ``title``.

    Raises
    ------
    TypeError
        If `name` is not a str.
    ValueError
        If there is no such data set; the message names the most similar one and lists them all.
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be the name of a data set; got {shown(name)}. There are: {', '.join(names())}")
    plain = {_plain(key): module for key, module in _MODULES.items()}
    if _plain(name) in plain:
        return plain[_plain(name)]
    # A cutoff of 0 always finds a match. A poor guess does no harm, because the message also lists all names.
    [nearest] = difflib.get_close_matches(_plain(name[:100]), plain, n=1, cutoff=0)
    suggestion = names()[list(plain).index(nearest)]
    raise ValueError(
        f"name: unknown data set {shown(name)}; did you mean {suggestion!r}? There are: {', '.join(names())}"
    )


def load(name: str) -> DataSet:
    """Load a data set by name: ``get(name).load_data()``.

    Parameters
    ----------
    name
        One of :func:`names`, written as for :func:`get`.

    Returns
    -------
    tuple
        ``((x_train, y_train), (x_test, y_test))``: uint8 images (N, H, W) or (N, H, W, C), int64 labels (N,).

    Raises
    ------
    TypeError
        If `name` is not a str.
    ValueError
        If there is no such data set, or (`DataFileError`) one of its files is not what it should be.
    OSError
        If a file cannot be read, or (`DownloadError`) cannot be downloaded.
    """
    data: DataSet = get(name).load_data()
    return data


def _plain(name: str) -> str:
    """Return a name without the differences in spelling that do not matter."""
    return name.lower().replace("-", "").replace("_", "")
