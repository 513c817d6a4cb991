"""Batches of images from arrays and from folders: what ``flow`` and ``flow_from_directory`` return."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..core.checks import any_array, array, boolean, choice, integer, items, pair, word
from ..core.checks import path as checked_path
from ..core.messages import shown
from ..core.printing import say
from ..core.seeding import Stream, generator, new_model_seed
from ..core.types import Array
from ._pictures import INTERPOLATIONS, channels_of, img_to_array, load_img, pictures_in, save_img

#: Changes a batch of float32 images (N, H, W, C), with a generator of random numbers.
Change = Callable[[Array, np.random.Generator], Array]


class ImageBatches:
    """Batches of images: ``batches[k]``, or one after the other without end.

    The images of an epoch are in an order that follows from the seed and the number of the epoch, and what is done to
    a batch follows from these and its place. ``fit`` draws the order of the batches from the model's seed as well.

    Parameters
    ----------
    n : int
        The number of images.
    batch_size : int
        The number of images of a batch; the last one may have fewer.
    shuffle : bool
        Whether each epoch has an order of its own.
    seed : int, optional
        By default it is drawn, and follows from :func:`tinycnn.set_seed`.
    """

    #: Where each image is written, too: a folder, the beginning of the names, and their ending.
    saving: tuple[Path, str, str] | None = None

    def __init__(self, n: int, batch_size: int, shuffle: bool, seed: int | None) -> None:
        self.n = self.samples = n
        self.batch_size, self.shuffle = integer(batch_size, "batch_size"), boolean(shuffle, "shuffle")
        self.seed = new_model_seed() if seed is None else integer(seed, "seed", minimum=0)
        self.epochs = 0
        self.batch_index = 0
        self._drawn: tuple[int, Array] | None = None

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} batches; got index {index}")
        chosen = self._order()[index * self.batch_size : (index + 1) * self.batch_size]
        found = self.batch(chosen, generator(self.seed, Stream.AUGMENT, self.epochs * len(self) + index))
        if self.saving is not None:
            folder, prefix, ending = self.saving
            for image, number in zip(found[0] if isinstance(found, tuple) else found, chosen, strict=True):
                save_img(folder / f"{prefix}_{number}_{self.epochs}.{ending}", image)
        return found

    def _order(self) -> Array:
        """Return the order of the images in this epoch."""
        if self._drawn is None or self._drawn[0] != self.epochs:
            order = np.arange(self.n)
            if self.shuffle:
                generator(self.seed, Stream.SHUFFLE, self.epochs).shuffle(order)
            self._drawn = self.epochs, order
        return self._drawn[1]

    def batch(self, chosen: Array, rng: np.random.Generator) -> Any:
        """Return the batch of these images."""
        raise NotImplementedError

    def on_epoch_end(self) -> None:
        """Go on to the next epoch; ``fit`` calls this."""
        self.epochs += 1
        self.batch_index = 0

    def reset(self) -> None:
        """Begin the epoch anew for those who ask for one batch after the other."""
        self.batch_index = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        found = self[self.batch_index]
        self.batch_index += 1
        if self.batch_index == len(self):
            self.on_epoch_end()
        return found

    next = __next__


class NumpyArrayIterator(ImageBatches):
    """Batches of images from an array.

    Parameters
    ----------
    x : (N, H, W, C) array
        The images.
    y, sample_weight : array of N items, optional
        What goes with them.
    change : Change
        What is done to each batch.
    batch_size, shuffle, seed
        How many images a batch has; whether each epoch has an order of its own; and what all draws follow from.
    """

    def __init__(
        self, x: Any, y: Any, sample_weight: Any, change: Change, batch_size: int, shuffle: bool, seed: int | None
    ) -> None:
        self.x = array(x, "x")
        if self.x.ndim != 4:
            hint = "; a grey image needs a channel axis: x[..., None]" if self.x.ndim == 3 else ""
            raise ValueError(f"x must be images of shape (N, H, W, C); got shape {self.x.shape}{hint}")
        if not len(self.x):
            raise ValueError("x is empty: there is nothing to make batches of")
        self.y = None if y is None else any_array(y, "y")
        self.sample_weight = None if sample_weight is None else array(sample_weight, "sample_weight")
        for name, other in (("y", self.y), ("sample_weight", self.sample_weight)):
            if other is not None and other.shape[:1] != self.x.shape[:1]:
                raise ValueError(f"x and {name} must be equally long; got shapes {self.x.shape} and {other.shape}")
        self._change = change
        super().__init__(len(self.x), batch_size, shuffle, seed)

    def batch(self, chosen: Array, rng: np.random.Generator) -> Any:
        images = self._change(self.x[chosen].astype(np.float32), rng)
        parts = [part[chosen] for part in (self.y, self.sample_weight) if part is not None]
        return (images, *parts) if parts else images


class DirectoryIterator(ImageBatches):
    """Batches of pictures from a folder that has a folder for each class.

    Parameters
    ----------
    directory : path
        The folder.
    change : Change
        What is done to each batch.
    target_size : (H, W)
        The size that all pictures are given.
    color_mode : {"rgb", "grayscale"}
        The kind of pixels.
    classes : list of str, optional
        The names of the folders, in the order of the labels; by default all folders, by name.
    class_mode : {"categorical", "binary", "sparse", "input"} or None
        What goes with the images: one-hot rows, 0 and 1, class numbers, the images themselves, or nothing.
    batch_size, shuffle, seed
        How many images a batch has; whether each epoch has an order of its own; and what all draws follow from.
    interpolation : str
        How pictures are resized.
    follow_links : bool
        Whether folders that are links count.
    share : (float, float)
        Which part of each class's pictures to take, by name.

    Attributes
    ----------
    class_indices : dict of str to int
        The label of each class.
    classes : (N,) array
        The label of each picture.
    filenames : list of str
        The pictures, as paths in the folder.
    """

    def __init__(
        self,
        directory: Any,
        change: Change,
        *,
        target_size: Any,
        color_mode: str,
        classes: Any,
        class_mode: str | None,
        batch_size: int,
        shuffle: bool,
        seed: int | None,
        interpolation: str,
        follow_links: bool,
        share: tuple[float, float],
    ) -> None:
        self.directory = str(checked_path(directory, "directory"))
        self.target_size, self.color_mode = pair(target_size, "target_size"), color_mode
        self.image_shape = (*self.target_size, channels_of(color_mode, "flow_from_directory"))
        self.interpolation = choice(interpolation, INTERPOLATIONS, "interpolation")
        known = ("categorical", "binary", "sparse", "input")
        self.class_mode = None if class_mode is None else choice(class_mode, known, "class_mode")
        root = Path(self.directory)
        folders = class_folders(root) if classes is None else folder_names(classes, "classes")
        self.class_indices = {name: label for label, name in enumerate(folders)}
        self.num_classes = len(folders)
        if self.class_mode == "binary" and self.num_classes != 2:
            raise ValueError(f"class_mode 'binary' is for two classes; {root} has {self.num_classes}: {shown(folders)}")
        self._files: list[Path] = []
        labels: list[int] = []
        for name, label in self.class_indices.items():
            pictures = pictures_in(root / name, boolean(follow_links, "follow_links"))
            first, last = (int(part * len(pictures)) for part in share)
            self._files += pictures[first:last]
            labels += [label] * (last - first)
        self.classes = self.labels = np.array(labels, np.int32)
        self.filenames = [path.relative_to(root).as_posix() for path in self._files]
        self.filepaths = [str(path) for path in self._files]
        self._change = change
        if not self._files:
            raise ValueError(f"{root} holds no pictures in folders of its classes; it must look like {root}/cat/1.png")
        say(f"Found {len(self._files)} images belonging to {self.num_classes} classes.")
        super().__init__(len(self._files), batch_size, shuffle, seed)

    def batch(self, chosen: Array, rng: np.random.Generator) -> Any:
        pictures = (load_img(self._files[one], self.color_mode, self.target_size, self.interpolation) for one in chosen)
        images = self._change(np.stack([img_to_array(one) for one in pictures]), rng)
        labels = self.classes[chosen]
        if self.class_mode is None:
            return images
        if self.class_mode == "input":
            return images, images.copy()
        if self.class_mode == "categorical":
            return images, np.eye(self.num_classes, dtype=np.float32)[labels]
        return images, labels.astype(np.float32)


def folder_names(value: Any, name: str) -> list[str]:
    """Return the names of folders that a user gives; ``name`` is what errors call the argument."""
    found = [word(one, name) for one in items(value, name, "names of folders")]
    if not found:
        raise ValueError(f"{name} must hold the name of at least one folder; got {shown(value)}")
    return found


def class_folders(root: Path) -> list[str]:
    """Return the names of the folders in a folder, in order; hidden ones do not count.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is no such folder.
    ValueError
        If there are none in it.
    """
    found = sorted(one.name for one in root.iterdir() if one.is_dir() and not one.name.startswith("."))
    if not found:
        raise ValueError(f"{root} has no folders; it needs one for each class, such as {root}/cat and {root}/dog")
    return found
