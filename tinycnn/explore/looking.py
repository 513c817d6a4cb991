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
    """Return which parts of an image a class depends on.

    Parameters
    ----------
    session : Session
    fast : FastAnswers
        The session's; occlusion asks it for many images.
    way : {"saliency", "occlusion", "gradcam"}
    image : str
        The id of an image.
    label : int, optional
        The class; by default the most probable one.
    layer : int, optional
        The number of the layer for Grad-CAM; by default the last one with a map of at least 5 by 5 cells.

    Returns
    -------
    dict, dict of str to array
        A description, and the array ``"map"`` (rows, columns) with ``"image"`` (H, W, C) as the network takes it. The
        description has ``way``, ``image``, ``label``, ``is_highest`` (whether this class is the first choice),
        ``grid`` (the rows and columns of the map), ``text`` (what the map is, in words), ``version``, and for Grad-CAM
        ``layer`` and the ``layers`` that could be chosen.

    Raises
    ------
    ValueError
        If the way, the class or the layer does not exist, or the network gives no scores of classes.
    KeyError
        If there is no such image.
    """
    if way not in WAYS:
        raise ValueError(f"way must be one of {', '.join(WAYS)}; got {way[:40]!r}")
    pixels = session.image(image).pixels
    x = np.array(pixels[np.newaxis], session.model.dtype)
    description: dict[str, Any] = {"way": way, "image": image, "title": session.image(image).title}
    if way == "occlusion":
        version = fast.predictor()[1]
        found, strength = _occlusion(fast, x, label)
    else:
        with session.lock:  # training changes the weights between two locks, never within one
            version = session.version
            found, strength = (_saliency if way == "saliency" else _grad_cam)(session, x, label, layer)
    description |= {"version": version, "grid": list(strength.shape), **found}
    return description, {"map": strength.astype(np.float32), "image": np.array(pixels, np.float32)}


def _saliency(session: Session, x: Array, label: int | None, _: int | None) -> tuple[dict[str, Any], Array]:
    """Return the strength of the gradient for each pixel."""
    strength, chosen, is_highest = attribution.saliency(session.model, x, label)
    text = "How strongly the score changes with each pixel, |d score / d pixel|: the largest of its channels."
    return {"label": chosen, "is_highest": is_highest, "text": text}, strength


def _grad_cam(session: Session, x: Array, label: int | None, layer: int | None) -> tuple[dict[str, Any], Array]:
    """Return which cells of a layer's map speak for a class."""
    (strength, chosen, is_highest), number = attribution.grad_cam(session.model, x, label, layer)
    rows, columns = strength.shape
    size = " by ".join(f"{length / cells:.3g}" for length, cells in zip(x.shape[1:3], strength.shape, strict=True))
    text = (
        f"Grad-CAM on layer {number}, {session.model.layers[number].name}: {rows} by {columns} cells, each of them "
        f"{size} pixels of the image. A cell is strong if its channels speak for the class; what speaks against it is "
        "0."
    )
    fit = attribution.cam_layers(session.model)
    return {"label": chosen, "is_highest": is_highest, "layer": number, "layers": fit, "text": text}, strength


def _occlusion(fast: FastAnswers, x: Array, label: int | None) -> tuple[dict[str, Any], Array]:
    """Return how much the probability of a class falls where the image is hidden."""
    found = attribution.occlusion(fast.probabilities, x, label)
    text = (
        f"How much the probability of the class falls, from {found.whole:.4f}, when a square of {found.side} by "
        f"{found.side} pixels with the colour of the border hides a part of the image; a square every {found.stride} "
        f"pixels. Each pixel shows the mean over all squares that hide it; negative: the probability rises."
    )
    return {"label": found.label, "is_highest": found.is_highest, "text": text}, found.fall
