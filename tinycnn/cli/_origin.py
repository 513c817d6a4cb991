"""Where the images of a run come from: a data set by its name, or a folder of the user's pictures."""

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.messages import SHOWN, shown
from ..core.printing import ERR
from ..core.types import Shape
from . import _data
from ._arguments import DATA, UsageError, folder_name
from ._data import Data


@dataclass(frozen=True)
class Pictures:
    """How a run has read a folder of pictures, and what it found there.

    Attributes
    ----------
    classes : list of str
        The names of the classes, in the order of their labels.
    image_size : list of int
        The height and the width of the images.
    color_mode : {"grayscale", "rgb"}
    validation_split : float or None
        As :func:`tinycnn.datasets.from_folder` was given it.
    digest : str
        A hash of all images with their labels, in the order of the run.
    """

    classes: list[str]
    image_size: list[int]
    color_mode: str
    validation_split: float | None
    digest: str

    def __post_init__(self) -> None:
        """Raise ValueError if this cannot have been written by a run."""
        good = (
            isinstance(self.classes, list) and len(self.classes) > 1
            and all(isinstance(name, str) and name for name in self.classes)
            and isinstance(self.image_size, list) and len(self.image_size) == 2
            and all(type(side) is int and side > 0 for side in self.image_size)
            and self.color_mode in ("grayscale", "rgb")
            and (self.validation_split is None or isinstance(self.validation_split, int | float))
            and isinstance(self.digest, str)
        )  # fmt: skip
        if not good:
            raise ValueError(f"not the description of a folder of pictures: {shown(asdict(self))}")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The shape (H, W, C) of one image."""
        height, width = self.image_size
        return height, width, 1 if self.color_mode == "grayscale" else 3


@dataclass(frozen=True)
class Origin:
    """Where images come from.

    Attributes
    ----------
    name : str
        The name of a data set, or the path of a folder.
    pictures : Pictures or None
        How the folder was read; None for a data set.
    """

    name: str
    pictures: Pictures | None = None

    @property
    def title(self) -> str:
        """What people call the images."""
        from .. import datasets

        return str(datasets.get(self.name).title) if self.pictures is None else f"the pictures in {self.name}"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, which are known without reading any picture."""
        from .. import datasets

        return tuple(datasets.get(self.name).class_names if self.pictures is None else self.pictures.classes)

    def load(self) -> Data:
        """Load the images. A warning says if those in a folder are not what they were when the run was made.

        Raises
        ------
        ValueError
            If a folder holds other classes now, or pictures that cannot be read.
        OSError
            If there is no such folder, or a data set cannot be loaded.
        """
        if self.pictures is None:
            return _data.load(self.name)
        if not Path(self.name).is_dir():
            raise FileNotFoundError(
                f"{self.name}: no such folder; the run was trained on the pictures in it. Start from the folder from "
                "which it was trained, or name the one where the pictures are now: --data FOLDER"
            )
        data, now = read(self.name, self.pictures.image_size, self.pictures.color_mode, self.pictures.validation_split)
        if now.classes != self.pictures.classes:
            raise ValueError(
                f"{self.name} holds the classes {_names(now.classes)} now, but the run was trained on "
                f"{_names(self.pictures.classes)}"
            )
        if now.digest != self.pictures.digest:
            ERR.say(
                f"tinycnn: warning: the pictures in {self.name} are not those that the run was trained on; some of the "
                "test images may be among its training images"
            )
        return data


def read(
    folder: str, size: list[int] | None, color_mode: str = "auto", split: float | None = None
) -> tuple[Data, Pictures]:
    """Read a folder of pictures, and return its images with the description of how they were read.

    Raises
    ------
    ValueError
        If the folder does not hold pictures by class, or if their size has to be given.
    OSError
        If there is no such folder.
    """
    from .. import datasets

    try:
        found = datasets.from_folder(
            folder, None if size is None else (size[0], size[1]), color_mode=color_mode, validation_split=split
        )
    except ValueError as error:
        text = str(error)
        for argument, option in (("image_size", "--image-size"), ("validation_split", "--validation-split")):
            text = text.replace(f"{argument}=", f"{option} ").replace(argument, option)
        raise type(error)(text) from error
    if not len(found.test[0]):
        raise UsageError("--validation-split 0 leaves no test images; give another share, such as 0.2")
    digest = hashlib.sha256()
    for array in (*found.train, *found.test):
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    images = found.train[0]
    pictures = Pictures(
        classes=list(found.class_names),
        image_size=list(images.shape[1:3]),
        color_mode="grayscale" if images.ndim == 3 else "rgb",
        validation_split=split,
        digest=digest.hexdigest(),
    )
    (x_train, y_train), (x_test, y_test), names = found
    title = f"the pictures in {folder}"
    return Data(folder, title, names, _data.scaled(x_train), y_train, _data.scaled(x_test), y_test), pictures


def of_run(description: Mapping[str, Any], asked: str | None = None, run: Path | None = None) -> Origin:
    """Return where the images of a run come from.

    Parameters
    ----------
    description : mapping
        What ``run.json`` holds.
    asked : str, optional
        What the user gave as ``--data``: the place to which a run's folder has moved.
    run : Path, optional
        The folder of the run, which an error names.

    Raises
    ------
    ValueError
        If the run's data are neither a data set nor a folder as it was described; or (`UsageError`) if other data were
        asked for than those of the run.
    """
    name, found = description["data"], description.get("pictures")
    if found is None:
        if name not in DATA:
            raise ValueError(f"the run has unknown data {shown(name)}; there are: {', '.join(DATA)}")
        if asked not in (None, name):
            raise UsageError(f"--data {asked}: {run} was trained on {name}; leave --data out")
        return Origin(name)
    if not isinstance(found, Mapping) or found.keys() != Pictures.__dataclass_fields__.keys():
        raise ValueError(f"not the description of a folder of pictures: {shown(found)}")
    if asked in DATA:
        raise UsageError(f"--data {asked}: {run} was trained on the pictures in {name}; leave --data out")
    return Origin(asked or name, Pictures(**found))


def for_model(name: str, input_shape: Shape, classes: int | None, path: Path) -> Origin:
    """Return the data that a model's file is said to have been trained on; ``classes`` is None if it gives a number.

    Raises
    ------
    UsageError
        If it cannot have been trained on them.
    """
    if name in DATA:
        _data.check_fit(str(path), input_shape, name)
        origin = Origin(name)
    else:
        _, pictures = read(name, list(input_shape[:2]), "grayscale" if input_shape[2] == 1 else "rgb")
        origin = Origin(name, pictures)
    if classes is not None and len(origin.class_names) != classes:
        raise UsageError(f"--data {name} has {len(origin.class_names)} classes, but {path} has {classes}")
    return origin


def data_name(text: str) -> str:
    """Return the argument of ``--data``: the name of a data set, or the path of a folder, whether it exists or not."""
    if text in DATA:
        return text
    plain = str(folder_name(text))  # without a slash at its end
    return text if plain in DATA else plain


def check_exists(name: str | None) -> None:
    """Raise UsageError if the argument of ``--data`` is neither a data set nor a folder."""
    if name is None or name in DATA or Path(name).is_dir():
        return
    near = difflib.get_close_matches(name[:SHOWN].lower(), DATA, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(
        f"--data: {shown(name)} is neither a folder of pictures nor one of the data sets {', '.join(DATA)}{hint}"
    )


def is_folder(name: str) -> bool:
    """Return whether the argument of ``--data`` names a folder and not a data set."""
    return name not in DATA


def _names(classes: list[str]) -> str:
    """Return some names of classes as text."""
    more = f" and {len(classes) - 10} more" if len(classes) > 10 else ""
    return ", ".join(classes[:10]) + more
