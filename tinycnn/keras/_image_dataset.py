"""``image_dataset_from_directory``: a folder of pictures as batches, with the methods that programs use most."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..core.checks import boolean, choice, integer, pair, real
from ..core.checks import path as checked_path
from ..core.messages import shown
from ..core.printing import say
from ..core.seeding import Stream, generator, new_model_seed
from ..core.types import Array
from ._iterators import ImageBatches, class_folders, folder_names
from ._pictures import INTERPOLATIONS, channels_of, img_to_array, load_img, pictures_in
from ._telling import is_one_of, not_here, not_so

#: The most bytes of pictures that :meth:`ImageDataset.cache` keeps in memory.
MOST_KEPT = 2**31


#: Methods of TensorFlow's data sets that are not here.
_METHODS = (
    *("apply", "batch", "bucket_by_sequence_length", "cardinality", "concatenate", "element_spec", "enumerate"),
    *("filter", "flat_map", "interleave", "padded_batch", "reduce", "repeat", "save", "shard", "unbatch", "window"),
    *("with_options", "zip"),
)


class BatchArray(np.ndarray):
    """An array with TensorFlow's method ``numpy``, which programs call on what a data set yields."""

    def numpy(self) -> Array:
        """Return the same numbers as a plain array."""
        return np.asarray(self)


class _Pictures(ImageBatches):
    """Batches of pictures from a list of files.

    Parameters
    ----------
    files : list of Path
        The pictures.
    labels : array or None
        What goes with them.
    read : callable
        Returns the picture in a file as an array.
    """

    def __init__(
        self,
        files: list[Path],
        labels: Array | None,
        read: Callable[[Path], Array],
        batch: int,
        shuffle: bool,
        seed: int,
    ) -> None:
        super().__init__(len(files), batch, shuffle, seed)
        self.files, self.labels, self._read = files, labels, read
        self.kept: dict[int, Array] | None = None

    def picture(self, index: int) -> Array:
        """Return a picture, from memory if it is kept there."""
        if self.kept is None:
            return self._read(self.files[index])
        if index not in self.kept:
            pixels = self._read(self.files[index])
            if (len(self.kept) + 1) * pixels.nbytes > MOST_KEPT:
                return pixels
            self.kept[index] = pixels
        return self.kept[index]

    def batch(self, chosen: Array, rng: np.random.Generator) -> Any:
        images = np.stack([self.picture(int(one)) for one in chosen])
        return images if self.labels is None else (images, self.labels[chosen])


class ImageDataset:
    """Batches of pictures, as ``fit``, ``evaluate`` and ``predict`` take them, with methods of TensorFlow's data sets.

    Attributes
    ----------
    class_names : list of str
        The names of the folders, in the order of the labels.
    file_paths : list of str
        The pictures.
    """

    def __init__(self, source: _Pictures, class_names: list[str]) -> None:
        self._source, self.class_names = source, class_names
        self.file_paths = [str(one) for one in source.files]
        self._functions: list[Callable[..., Any]] = []
        self._range = range(len(source))

    def __len__(self) -> int:
        return len(self._range)

    def __getitem__(self, index: int) -> Any:
        found = self._source[self._range[index]]
        for function in self._functions:
            found = function(*found) if isinstance(found, tuple) else function(found)
        return found

    def __iter__(self) -> Iterator[Any]:
        for index in range(len(self)):
            found = self[index]
            yield tuple(one.view(BatchArray) for one in found) if isinstance(found, tuple) else found.view(BatchArray)
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Go on to the next epoch, which has another order if the data set is shuffled."""
        self._source.on_epoch_end()

    def map(self, map_func: Callable[..., Any], *ignored: Any, **also: Any) -> "ImageDataset":
        """Return a data set whose batches are what a function of ``(images, labels)`` returns."""
        changed = copy.copy(self)
        changed._functions = [*self._functions, map_func]
        return changed

    def take(self, count: int) -> "ImageDataset":
        """Return a data set of the first batches."""
        part = copy.copy(self)
        part._range = self._range[: integer(count, "count", 0)]
        return part

    def skip(self, count: int) -> "ImageDataset":
        """Return a data set without the first batches."""
        part = copy.copy(self)
        part._range = self._range[integer(count, "count", 0) :]
        return part

    def cache(self, *ignored: Any) -> "ImageDataset":
        """Keep pictures in memory once they have been read, as far as 2 GiB go."""
        self._source.kept = {} if self._source.kept is None else self._source.kept
        return self

    def shuffle(self, *ignored: Any, **also: Any) -> "ImageDataset":
        """Give each epoch another order of all pictures."""
        self._source.shuffle = True
        return self

    def prefetch(self, *ignored: Any, **also: Any) -> "ImageDataset":
        """Return the data set: batches are made when they are asked for."""
        return self

    def as_numpy_iterator(self) -> Iterator[Any]:
        """Yield the batches as plain arrays."""
        for index in range(len(self)):
            yield self[index]
        self.on_epoch_end()

    def __getattr__(self, name: str) -> Any:
        if name not in _METHODS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        raise not_here(
            f"the method {name} of a data set", "map, take, skip, cache, shuffle and prefetch are there, and arrays"
        )

    def __repr__(self) -> str:
        return f"<ImageDataset of {len(self)} batches, {len(self.class_names)} classes>"


def image_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Any = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: Any = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: Any = None,
    format: Any = None,
    verbose: Any = True,
) -> Any:
    """Return batches of pictures from a folder that has a folder for each class.

    Parameters
    ----------
    directory : path
        The folder.
    labels : "inferred" or None
        Labels are the numbers of the folders, by name; None gives images alone.
    label_mode : {"int", "categorical", "binary"} or None
        Class numbers (N,), one-hot rows, or 0 and 1 in shape (N, 1).
    class_names : list of str, optional
        The names of the folders in the order of the labels.
    color_mode : {"rgb", "grayscale"}
        The kind of pixels, float32 from 0 to 255.
    batch_size : int
        The number of images of a batch.
    image_size : (H, W)
        The size that all pictures are given.
    shuffle : bool
        Whether each epoch has an order of its own.
    seed : int, optional
        Orders follow from it, and what is held out.
    validation_split : float, optional
        The share of the pictures to hold out.
    subset : {"training", "validation", "both"}, optional
        Which part to return; ``"both"`` returns two data sets.
    interpolation : str
        How pictures are resized.
    follow_links : bool
        Whether folders that are links count.
    crop_to_aspect_ratio : bool
        Whether to cut off what does not fit instead of stretching pictures.
    pad_to_aspect_ratio, data_format, format
        Not possible.
    verbose : bool
        Whether to print how many pictures were found.

    Returns
    -------
    ImageDataset, or two of them
    """
    name, root = "image_dataset_from_directory", checked_path(directory, "directory")
    if not is_one_of(labels, "inferred", None):
        raise not_so(name, "labels", labels, "put the pictures into a folder for each class")
    if pad_to_aspect_ratio:
        raise not_so(name, "pad_to_aspect_ratio", True, "write crop_to_aspect_ratio=True, or leave it out")
    if not is_one_of(data_format, None, "channels_last"):
        raise not_so(name, "data_format", data_format, "images are (N, H, W, C) here")
    mode = None if labels is None or label_mode is None else choice(label_mode, _MODES, "label_mode")
    size = pair(image_size, "image_size")
    channels_of(color_mode, name)
    choice(interpolation, INTERPOLATIONS, "interpolation")
    folders = class_folders(root) if class_names is None else folder_names(class_names, "class_names")
    if mode == "binary" and len(folders) != 2:
        raise ValueError(f"label_mode 'binary' is for two classes; {root} has {len(folders)}: {shown(folders)}")
    found = [(one, label) for label, folder in enumerate(folders) for one in pictures_in(root / folder, follow_links)]
    if not found:
        raise ValueError(f"{root} holds no pictures in folders of its classes; it must look like {root}/cat/1.png")
    parts = _parts(found, validation_split, subset, boolean(shuffle, "shuffle"), seed)
    if verbose:
        say(f"Found {len(found)} files belonging to {len(folders)} classes.")

    def read(path: Path) -> Array:
        crop = boolean(crop_to_aspect_ratio, "crop_to_aspect_ratio")
        return img_to_array(load_img(path, color_mode, size, interpolation, keep_aspect_ratio=crop))

    drawn = new_model_seed() if seed is None else integer(seed, "seed", minimum=0)
    count = len(found) if batch_size is None else batch_size
    sets = [
        ImageDataset(
            _Pictures([one for one, _ in part], _labels(part, mode, len(folders)), read, count, shuffle, drawn),
            list(folders),
        )
        for part in parts
    ]
    return sets[0] if len(sets) == 1 else tuple(sets)


_MODES = ("int", "categorical", "binary")


def _labels(part: list[tuple[Path, int]], mode: str | None, classes: int) -> Array | None:
    numbers = np.array([label for _, label in part], np.int32)
    if mode == "categorical":
        return np.eye(classes, dtype=np.float32)[numbers]
    return None if mode is None else numbers[:, np.newaxis].astype(np.float32) if mode == "binary" else numbers


def _parts(found: list[Any], share: float | None, subset: str | None, shuffle: bool, seed: int | None) -> list[Any]:
    """Return the parts that were asked for; what is held out are the last ones in an order that the seed determines."""
    if share is None and subset is None:
        return [found]
    if share is None or not is_one_of(subset, "training", "validation", "both"):
        raise ValueError(
            "validation_split and subset belong together: subset is 'training', 'validation' or 'both'; got "
            f"validation_split={shown(share)} and subset={shown(subset)}"
        )
    if shuffle and seed is None:
        raise ValueError("give a seed, so that the two subsets have no picture in common")
    order = np.arange(len(found))
    if shuffle:
        generator(integer(seed, "seed", minimum=0), Stream.SHUFFLE, 0).shuffle(order)
    held_out = int(real(share, "validation_split", above=0, below=1) * len(found))
    if not held_out:
        raise ValueError(f"validation_split={share} of {len(found)} pictures leaves none to hold out; give more")
    split = {"training": order[:-held_out], "validation": order[-held_out:]}
    return [[found[one] for one in split[name]] for name in (split if subset == "both" else (str(subset),))]
