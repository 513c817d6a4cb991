"""A recording: the page of a network as one file, which opens by double click, without a server or a network.

The file holds the network, some hundred images, and a few passes with every array that the engine has computed. All
other passes are computed in the browser, whose arithmetic is compared with these arrays whenever the file is opened.

It is the data protocol of :mod:`tinycnn.explore.protocol`, compressed. The names of its arrays are:

=======================  ===============================================================================
``images/images``        images (N, H, W, C), as bytes b for the numbers b / ``unit`` where that is exact
``weights/3.kernel``     a parameter or a buffer of layer 3
``pass0/3.y``            an array of the first recorded pass, named as in the data protocol
``gradients0/3.kernel``  the gradients of parameters in this pass, as ``d_kernel``
``training/…``           of a training; see :mod:`tinycnn.explore.recorded_training`
=======================  ===============================================================================

What the browser gets to the bit from the rest is left out; see :mod:`tinycnn.explore.thinning`.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.files import write_whole
from ..core.types import Array
from . import protocol
from .inlining import page_with
from .session import Session
from .thinning import thinned, without_copies

if TYPE_CHECKING:
    from .recorded_training import RecordedTraining

#: How many images a recording has unless it is told otherwise, and of how many the passes are recorded.
IMAGES, PASSES = 200, 3
#: Layers of these kinds do something else in training, and so may those of a user's own.
_DIFFERENT = {"BatchNormalization", "Dropout", "GaussianNoise", protocol.OWN}
_PAGE = Path(__file__).parent / "page"


def write_recording(
    session: Session, path: str | os.PathLike[str], *, images: int = IMAGES, training: RecordedTraining | None = None
) -> int:
    """Write the page of a session as one file that needs no server.

    Parameters
    ----------
    session : Session
        What is to be looked at; it must have data.
    path : path
        The file to write. An older one of that name is replaced.
    images : int
        How many images of the test set can be looked at. If the network has a layer of your own, which no browser can
        compute, these are only the ones whose passes are recorded.
    training : RecordedTraining, optional
        A training of this network that can be looked at as well; see :func:`tinycnn.explore.recorded_training.record`.

    Returns
    -------
    int
        The number of bytes of the file.

    Raises
    ------
    ValueError
        If the session has no images.
    OSError
        If the file cannot be written.
    """
    data = zlib.compress(protocol.pack(*recorded(session, images, training)), 9)
    content = page_with(data, page_files()).encode()
    write_whole(path, content)
    return len(content)


def page_files() -> dict[str, str]:
    """Return the texts of the page's files by their paths."""
    found = sorted(path for path in _PAGE.rglob("*") if path.suffix in (".html", ".css", ".js"))
    return {path.relative_to(_PAGE).as_posix(): path.read_text(encoding="utf-8") for path in found}


def recorded(
    session: Session, images: int, training: RecordedTraining | None = None
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the description and the arrays of a recording."""
    if session.mine is not None:
        raise ValueError(
            "a recording computes in the browser, which cannot run kernels of your own; record the network without them"
        )
    described = session.describe()
    which = next((name for name in ("test", "train") if described["sets"].get(name)), None)
    if which is None:
        raise ValueError("a recording needs images; name a data set, such as --data digits")
    with session.lock:
        passes, arrays = _passes(session, described["layers"], which, min(PASSES, described["sets"][which]))
    count = min(max(images, PASSES), described["sets"][which])
    pictures = [session.image(f"{which}-{number}") for number in range(count)]
    arrays["images/images"], unit = _smallest(np.stack([picture.pixels for picture in pictures]))
    if training is not None:
        arrays |= {f"training/{name}": array for name, array in training.arrays.items()}
    arrays, copies = without_copies(arrays)
    description = {
        "network": described,
        "set": which,
        "labels": [picture.label for picture in pictures],
        "unit": unit,
        "differs": _differs(described["layers"]),
        "passes": passes,
        "copies": copies,
        "training": None if training is None else training.description,
    }
    return description, arrays


def _differs(layers: list[dict[str, Any]]) -> bool:
    """Return whether a pass as in training can be another one than as in prediction."""
    return any(layer["kind"] in _DIFFERENT for layer in layers)


def _passes(
    session: Session, layers: list[dict[str, Any]], which: str, count: int
) -> tuple[list[dict[str, Any]], dict[str, Array]]:
    """Return the descriptions and the arrays of the recorded passes, and the weights."""
    wanted = [(f"{which}-{number}", "prediction") for number in range(count)]
    wanted += [(f"{which}-0", "training")] if _differs(layers) else []
    descriptions: list[dict[str, Any]] = []
    arrays: dict[str, Array] = {}
    for number, (image, mode) in enumerate(wanted):
        description, found = session.trace(image, mode=mode)
        held = {
            f"{layer}.{name}": array
            for layer in range(len(layers))
            for name, array in session.layer(description["trace"], layer)[1].items()
        }
        gradients = {name: array for name, array in held.items() if ".d_" in name}
        arrays |= {f"weights/{name}": array for name, array in held.items() if name not in gradients}
        arrays |= {f"pass{number}/{name}": array for name, array in thinned(layers, found).items()}
        # These take the most room by far; of the other images, the browser computes them.
        if image == f"{which}-0":
            arrays |= {f"gradients{number}/{name}": array for name, array in gradients.items()}
        descriptions.append(description)
    return descriptions, arrays


def _smallest(images: Array) -> tuple[Array, int]:
    """Return images as bytes and the number that they are divided by, or as float32 if bytes could not be exact."""
    for unit in (255, 1):
        scaled = np.clip(np.rint(images * np.float32(unit)), 0, 255).astype(np.uint8)
        if np.array_equal((scaled / unit).astype(np.float32), images):
            return scaled, unit
    return images.astype(np.float32), 1
