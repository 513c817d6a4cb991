"""Helpers under Keras's names; ``keras.utils.np_utils`` and its like are this module."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..core.checks import any_array, array, boolean, integer
from ..core.checks import path as checked_path
from ..core.messages import shown
from ..core.public import listing
from ..core.seeding import set_seed
from ..core.targets import as_numbers
from ..core.types import Array
from ._image_dataset import image_dataset_from_directory
from ._missing import UTILS as _MISSING
from ._pictures import array_to_img, img_to_array, load_img, save_img
from ._telling import looked_up, not_here
from .backend import clear_session


def to_categorical(
    x: Any = None, num_classes: int | None = None, dtype: Any = "float64", *, y: Any = None, nb_classes: Any = None
) -> Array:
    """Return one-hot rows for class numbers.

    Parameters
    ----------
    x : array of integers
        The class numbers, (N,) or (N, 1).
    num_classes : int, optional
        The length of a row; by default it is enough for the largest number.
    dtype : str
        The dtype of the rows, which Keras 2 could be given.
    y, nb_classes
        The first two, as Keras 1 and 2 called them.

    Returns
    -------
    (N, num_classes) array

    Raises
    ------
    ValueError
        If a number is not a whole number, is negative, or is too large for ``num_classes``.

    Examples
    --------
    >>> from tinycnn import keras
    >>> keras.utils.to_categorical([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    given = any_array(y if x is None else x, "x")
    numbers = as_numbers(given, "x")
    if numbers.dtype.kind not in "iubf" or not numbers.size:
        raise ValueError(f"x must hold class numbers, at least one; got {shown(given)}")
    if numbers.dtype.kind == "f" and not (np.isfinite(numbers) & (numbers == np.floor(numbers))).all():
        raise ValueError(f"x must hold whole numbers, the numbers of classes; got {shown(given)}")
    wanted = num_classes if nb_classes is None else nb_classes
    if (np.abs(numbers.astype(np.float64)) > 2**31).any():
        raise ValueError(f"x must hold the numbers of classes; got {shown(given)}")
    numbers = numbers.astype(np.int64)
    numbers = numbers[..., 0] if numbers.ndim > 1 and numbers.shape[-1] == 1 else numbers
    count = 0 if wanted is None else integer(wanted, "num_classes", minimum=0)
    count = count or int(numbers.max()) + 1
    outside = (numbers < 0) | (numbers >= count)
    if outside.any():
        at = int(outside.ravel().argmax())
        raise ValueError(
            f"x: class numbers must lie from 0 to num_classes - 1 = {count - 1}; got {numbers.ravel()[at]} at index "
            f"{at}"
        )
    return np.eye(count, dtype=dtype)[numbers]


def normalize(x: Any, axis: int = -1, order: int = 2) -> Array:
    """Return an array divided by its norm along an axis; where that is 0 it stays as it is.

    Parameters
    ----------
    x : array
        The numbers.
    axis : int
        The axis along which the norm is taken. (For images this is rarely what is meant: ``x / 255`` scales pixels.)
    order : int
        2 for the Euclidean norm.
    """
    numbers = array(x, "x")
    if not numbers.ndim:
        raise ValueError(f"x must be an array with at least one axis; got {shown(x)}")
    axis = integer(axis, "axis", -numbers.ndim, numbers.ndim - 1)
    with np.errstate(over="ignore"):
        norm = np.atleast_1d(np.linalg.norm(numbers, order, axis))
    return numbers / np.expand_dims(np.where(norm == 0, 1, norm), axis)


def set_random_seed(seed: int) -> None:
    """Seed Python, NumPy and tinycnn, as Keras does; a model that is made afterwards follows from the seed."""
    import random

    seed = integer(seed, "seed", minimum=0, maximum=2**32 - 1)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (the program's own draws from NumPy's global state should repeat)
    set_seed(seed)


def get_file(
    fname: str | None = None, origin: str | None = None, *given: Any, cache_dir: Any = None, **other: Any
) -> str:
    """Return the path of a file that is already on this machine, in Keras's folder; nothing is downloaded.

    Parameters
    ----------
    fname : str, optional
        The file's name; by default the end of ``origin``.
    origin : str, optional
        Where it comes from.
    cache_dir : path, optional
        By default ``KERAS_HOME``, or ``~/.keras``; the file lies there in ``datasets``.
    *given, **other
        Keras's other arguments, which have no effect.
    """
    name = str(origin).rstrip("/").rpartition("/")[2] if fname is None else str(fname)
    home = os.environ.get("KERAS_HOME", "~/.keras") if cache_dir is None else checked_path(cache_dir, "cache_dir")
    folder = Path(home).expanduser() / str(other.get("cache_subdir", "datasets"))
    for path in (folder / name, folder / name.removesuffix(".gz").removesuffix(".tar").removesuffix(".tgz")):
        if path.exists():
            return str(path)
    raise not_here(
        "the download of get_file",
        f"download {origin} yourself, put what is in it at {folder / name}, or give its path to the program",
    )


def plot_model(
    model: Any,
    to_file: Any = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    **other: Any,
) -> None:
    """Draw the layers of a model into a file: PNG, PDF or SVG, as its name ends.

    Parameters
    ----------
    model : Sequential
        The model.
    to_file : path
        The file.
    show_shapes, show_layer_names, show_layer_activations, show_trainable : bool
        Whether to write the shapes of the results, the names of the layers, their activations, and which are frozen.
    rankdir : {"TB", "LR"}
        Whether the layers stand below or beside each other.
    dpi : int
        The resolution of a PNG file.
    show_dtype, expand_nested, **other
        They have no effect.
    """
    from ._model_picture import draw

    shows = {
        "shapes": boolean(show_shapes, "show_shapes"),
        "names": boolean(show_layer_names, "show_layer_names"),
        "activations": boolean(show_layer_activations, "show_layer_activations"),
        "trainable": boolean(show_trainable, "show_trainable"),
    }
    draw(model, checked_path(to_file, "to_file"), rankdir, integer(dpi, "dpi", minimum=10), **shows)


plot = plot_model


def print_summary(model: Any, line_length: Any = None, positions: Any = None, print_fn: Any = None) -> None:
    """Print the table of a model's layers, as ``model.summary()`` does."""
    model.summary(print_fn=print_fn)


def probas_to_classes(y_pred: Any) -> Array:
    """Return the class of each row: its largest number, or whether a single number is above one half."""
    outputs = array(y_pred, "y_pred")
    if not outputs.ndim:
        raise ValueError(f"y_pred must hold a row for each sample; got {shown(y_pred)}")
    if outputs.ndim > 1 and outputs.shape[1] > 1:
        return outputs.argmax(axis=1)
    return (outputs.reshape(len(outputs)) > 0.5).astype("int32")


categorical_probas_to_classes = probas_to_classes


class Sequence:
    """Batches of a program's own: define ``__len__`` and ``__getitem__``, which returns ``(x, y)``.

    ``on_epoch_end`` is called after each epoch. The arguments about processes have no effect.
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    def __getitem__(self, index: int) -> Any:
        """Return a batch."""
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index)")

    def __len__(self) -> int:
        """Return how many batches there are."""
        raise NotImplementedError(f"{type(self).__name__} must define __len__()")

    def on_epoch_end(self) -> None:
        """Act after an epoch."""


PyDataset = Sequence

__all__ = [
    "PyDataset",
    "Sequence",
    "array_to_img",
    "categorical_probas_to_classes",
    "clear_session",
    "get_file",
    "image_dataset_from_directory",
    "img_to_array",
    "load_img",
    "normalize",
    "plot",
    "plot_model",
    "print_summary",
    "probas_to_classes",
    "save_img",
    "set_random_seed",
    "to_categorical",
]
__dir__ = listing(__name__)
__getattr__ = looked_up(__name__, __all__, _MISSING)
