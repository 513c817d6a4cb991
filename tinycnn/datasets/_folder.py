"""Read a folder of pictures, with a folder for each class, as a data set."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..core.checks import boolean, choice, integer, pair, real
from ..core.checks import path as checked_path
from ..core.messages import bytes_text
from ..core.system import memory_bytes
from . import _class_folders, _image_file
from ._class_folders import Entry
from ._formats import Images, Labels

T = TypeVar("T")

#: How many pictures are read at the same time, at most; a large one may need some hundred megabytes while it is read.
MOST_THREADS = 4
#: Keras's names for the kinds of pixels, with the number of channels; "auto" asks the pictures.
COLOR_MODES = {"auto": None, "grayscale": 1, "rgb": 3}


@dataclass(frozen=True)
class FolderData:
    """What :func:`from_folder` returns; ``(x_train, y_train), (x_test, y_test), class_names = data`` takes it apart.

    Attributes
    ----------
    train, test : (images, labels)
        Images are uint8 (N, H, W) or, in colour, (N, H, W, 3); labels are int64 (N,).
    class_names : tuple of str
        The names of the folders in the order of the labels: ``class_names[y_train[0]]``.
    train_files, test_files : tuple of str
        The file of each image, as a path within the folder with ``/``.
    """

    train: tuple[Images, Labels]
    test: tuple[Images, Labels]
    class_names: tuple[str, ...]
    train_files: tuple[str, ...]
    test_files: tuple[str, ...]

    def __iter__(self) -> Iterator[Any]:
        return iter((self.train, self.test, self.class_names))

    def __repr__(self) -> str:
        shapes = f"train={self.train[0].shape}, test={self.test[0].shape}"
        return f"FolderData({shapes}, class_names={self.class_names})"


def from_folder(
    path: str | os.PathLike[str],
    image_size: int | tuple[int, int] | None = None,
    *,
    color_mode: str = "auto",
    validation_split: float | None = None,
    seed: int = 0,
    follow_links: bool = False,
) -> FolderData:
    """Read the pictures in a folder that holds a folder for each class, such as ``cat/`` and ``dog/``.

    PNG, JPEG, GIF, BMP, WebP, TIFF and PPM files are read as :func:`load_image` reads them: photographs are turned
    upright, 16 bits become 8, transparent parts become black or white, the first of several frames is taken, and a
    picture that has not the aspect of ``image_size`` is resized as a whole and filled up with the colour of its border.
    Folders within the folder of a class belong to that class. Hidden files and files that are no pictures do not count.

    Which pictures are held out, and in which order the images are, follows from the seed and the names of the files
    alone: it is the same on every machine, and a picture that is added later moves hardly any other from one side to
    the other. A folder that holds ``train`` and ``test`` (or ``val``), each with a folder for each class, is taken
    as it is split.

    Parameters
    ----------
    path : str or path
        The folder.
    image_size : int or (H, W), optional
        The size of all images; one number stands for a square. By default it is the size that all pictures have.
    color_mode : {"auto", "grayscale", "rgb"}
        ``"auto"`` gives grey images if all pictures are grey, and images in colour otherwise.
    validation_split : float in [0, 1), optional
        The share of each class that is held out as test images, by default 0.2; at least one picture of a class is
        held out and one is trained on. With 0 there are no test images.
    seed : int
        Another seed holds out other pictures.
    follow_links : bool
        Whether links may lead out of the folder; otherwise such a link is an error.

    Returns
    -------
    FolderData
        Images and labels as ``load_data()`` of the other data sets returns them, and the names of the classes.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    DataFileError
        If pictures cannot be read (the message lists up to ten of them), if a class has none, or if there are fewer
        than two classes.
    ValueError
        If an argument has a wrong value, if the pictures have different sizes and `image_size` is not given, or if the
        images would not fit into the memory of the machine.
    OSError
        If there is no such folder, or if it cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from tinycnn.datasets import from_folder
    >>> for name, grey in (("day", 200), ("night", 20)):
    ...     Path("photos", name).mkdir(parents=True)
    ...     for number in range(5):
    ...         Image.fromarray(np.full((40, 60), grey + number, np.uint8)).save(f"photos/{name}/{number}.png")
    >>> (x_train, y_train), (x_test, y_test), class_names = from_folder("photos", image_size=(20, 30))
    >>> x_train.shape, x_train.dtype.name, y_test.tolist(), class_names
    ((8, 20, 30), 'uint8', [0, 1], ('day', 'night'))
    """
    root = checked_path(path)
    size = None if image_size is None else pair(image_size, "image_size")
    channels = COLOR_MODES[choice(color_mode, COLOR_MODES, "color_mode")]
    share = None if validation_split is None else real(validation_split, "validation_split", 0, below=1)
    seed = integer(seed, "seed", minimum=0)
    found = _class_folders.find(root, share, seed, boolean(follow_links, "follow_links"))
    if size is None or channels is None:
        size, channels = _common(root, [*found.train, *found.test], size, channels)
    _check_memory(len(found.train) + len(found.test), (*size, channels))
    bad: list[str] = []
    train, test = (_read(entries, size, channels, bad) for entries in (found.train, found.test))
    _class_folders.report(bad, root)
    files = (tuple(entry.name for entry in entries) for entries in (found.train, found.test))
    return FolderData(train, test, found.class_names, *files)


def _common(
    root: Path, entries: Sequence[Entry], size: tuple[int, int] | None, channels: int | None
) -> tuple[tuple[int, int], int]:
    """Return the size and the number of channels to read all pictures with, from their headers."""
    sizes: dict[tuple[int, int], str] = {}
    grey = True
    bad: list[str] = []
    for entry, header in zip(entries, _of_each(entries, _image_file.read_header, bad), strict=True):
        if header is not None:
            sizes.setdefault((header.height, header.width), entry.name)
            grey = grey and header.grey
    _class_folders.report(bad, root)
    if size is None:
        if len(sizes) > 1:
            (one, name), (other, another) = [*sizes.items()][:2]
            raise ValueError(
                f"image_size: the pictures in {root} have {len(sizes)} different sizes, such as {_text(one)} ({name}) "
                f"and {_text(other)} ({another}); say to which size all of them are to be resized, for example "
                "image_size=64"
            )
        [size] = sizes
    return size, channels or (1 if grey else 3)


def _of_each(entries: Sequence[Entry], read: Callable[[Path], T], bad: list[str]) -> Iterator[T | None]:
    """Yield in order what a function gives for each file; for a bad file None, and what is wrong joins the list.

    Several threads work at it, because Pillow decodes and resizes in parallel. Only as many pictures are in memory as
    there are threads.
    """

    def outcome(entry: Entry) -> tuple[T | None, str | None]:
        try:
            return read(entry.path), None
        except (ValueError, OSError) as error:
            return None, str(error)

    # Reading a picture changes the filters for warnings and puts them back, in any order if threads do it.
    with warnings.catch_warnings(), ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        try:
            for value, error in pool.map(outcome, entries):
                if error is not None:
                    bad.append(error)
                yield value
        except BaseException:  # Ctrl-C, above all, does not wait for what is left
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _text(size: tuple[int, int]) -> str:
    """Return a size (H, W) as text, the height first as in ``image_size``."""
    return f"{size[0]}x{size[1]}"


def _check_memory(count: int, shape: tuple[int, int, int]) -> None:
    """Raise ValueError if so many images are more than the memory of the machine."""
    needed = count * int(np.prod(shape, dtype=object))
    memory = memory_bytes()
    if memory is not None and needed > memory:
        raise ValueError(
            f"image_size: {count} images of {'x'.join(map(str, shape))} bytes are {bytes_text(needed)}, more than the "
            f"memory of this machine ({bytes_text(memory)}); give a smaller image_size"
        )


def _read(entries: Sequence[Entry], size: tuple[int, int], channels: int, bad: list[str]) -> tuple[Images, Labels]:
    """Return pictures as one array, in which each has its place before it is read, and their labels."""
    images = np.empty((len(entries), *size, channels), np.uint8)
    places = {entry.path: image for entry, image in zip(entries, images, strict=True)}

    def fill(path: Path) -> None:
        places[path][...] = _image_file.fitted(_image_file.read(path, channels), *size).pixels

    for _ in _of_each(entries, fill, bad):
        pass
    labels = np.array([entry.label for entry in entries], np.int64)
    return images[..., 0] if channels == 1 else images, labels
