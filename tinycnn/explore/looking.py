"""Where a network looks in one image: saliency, occlusion and Grad-CAM, as arrays with a description for the page."""

from typing import Any

import numpy as np

from ..core.types import Array
from ..inspection import attribution
from .pictures import FastAnswers
from .session import Session

#: The ways of asking where a network looks.
WAYS = ("saliency", "occlusion", "gradcam")


def looked_at(
    session: Session, fast: FastAnswers, way: str, image: str, label: int | None = None, layer: int | None = None
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return which parts of an image a class depends on, or the number that the network gives.

    Parameters
    ----------
    session : Session
    fast : FastAnswers
        The session's; occlusion asks it for many images.
    way : {"saliency", "occlusion", "gradcam"}
    image : str
        The id of an image.
    label : int, optional
        The class; by default the most probable one. A network that gives a number has none.
    layer : int, optional
        The number of the layer for Grad-CAM; by default the last one with a map of at least 5 by 5 cells.

    Returns
    -------
    dict, dict of str to array
        A description, and the array ``"map"`` (rows, columns) with ``"image"`` (H, W, C) as the network takes it. The
        description has ``way``, ``image``, ``label`` (None for a number), ``is_highest`` (whether this class is the
        first choice),
        ``grid`` (the rows and columns of the map), ``text`` (what the map is, in words), ``version``, and for Grad-CAM
        ``layer`` and the ``layers`` that could be chosen.

    Raises
    ------
    ValueError
        If the way, the class or the layer does not exist, or the network gives neither scores of classes nor a number.
    KeyError
        If there is no such image.
    """
    if way not in WAYS:
        raise ValueError(f"way must be one of {', '.join(WAYS)}; got {way[:40]!r}")
    attribution.check_classes(session.model, label)
    pixels = session.image(image).pixels
    x = np.array(pixels[np.newaxis], session.model.dtype)
    description: dict[str, Any] = {"way": way, "image": image, "title": session.image(image).title}
    if way == "occlusion":
        version = fast.predictor()[1]
        found, strength = _occlusion(session, fast, x, label)
    else:
        with session.lock:  # training changes the weights between two locks, never within one
            version = session.version
            found, strength = (_saliency if way == "saliency" else _grad_cam)(session, x, label, layer)
    description |= {"version": version, "grid": list(strength.shape), **found}
    return description, {"map": strength.astype(np.float32), "image": np.array(pixels, np.float32)}


def _saliency(session: Session, x: Array, label: int | None, _: int | None) -> tuple[dict[str, Any], Array]:
    """Return the strength of the gradient for each pixel."""
    strength, chosen, is_highest = attribution.saliency(session.model, x, label)
    what = "score" if chosen is not None else "number"
    text = f"How strongly the {what} changes with each pixel, |d {what} / d pixel|: the largest of its channels."
    return {"label": chosen, "is_highest": is_highest, "text": text}, strength


def _grad_cam(session: Session, x: Array, label: int | None, layer: int | None) -> tuple[dict[str, Any], Array]:
    """Return which cells of a layer's map speak for a class, or make the number larger."""
    (strength, chosen, is_highest), number = attribution.grad_cam(session.model, x, label, layer)
    rows, columns = strength.shape
    for_number = "make the number larger; what makes it smaller"
    size = " by ".join(f"{length / cells:.3g}" for length, cells in zip(x.shape[1:3], strength.shape, strict=True))
    text = (
        f"Grad-CAM on layer {number}, {session.model.layers[number].name}: {rows} by {columns} cells, each of them "
        f"{size} pixels of the image. A cell is strong if its channels "
        f"{'speak for the class; what speaks against it' if chosen is not None else for_number} is 0."
    )
    fit = attribution.cam_layers(session.model)
    return {"label": chosen, "is_highest": is_highest, "layer": number, "layers": fit, "text": text}, strength


def _occlusion(session: Session, fast: FastAnswers, x: Array, label: int | None) -> tuple[dict[str, Any], Array]:
    """Return how much the probability of a class, or the number, falls where the image is hidden."""
    found = attribution.occlusion(fast.answers, x, label)
    is_number = session.gives_one_number
    text = (
        f"How much the {'number' if is_number else 'probability of the class'} falls, from {found.whole:.4f}, when a "
        f"square of {found.side} by {found.side} pixels with the colour of the border hides a part of the image; a "
        f"square every {found.stride} pixels. Each pixel shows the mean over all squares that hide it; negative: the "
        f"{'number' if is_number else 'probability'} rises."
    )
    return {"label": None if is_number else found.label, "is_highest": found.is_highest, "text": text}, found.fall
