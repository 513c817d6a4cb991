"""Say whether an image is unlike those that a network was trained on, by four measures that a person can check."""

from collections.abc import Mapping

import numpy as np

from ..core.types import Array

#: For each measure, the range in which 99.8 % of the training images of a data set lie. A test measures them anew.
RANGES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "digits": {
        "brightness": (0.058, 0.332),
        "contrast": (0.142, 0.405),
        "detail": (0.035, 0.124),
        "light outside the largest piece": (0.000, 0.072),
    },
    "mnist": {
        "brightness": (0.036, 0.289),
        "contrast": (0.160, 0.428),
        "detail": (0.029, 0.105),
        "light outside the largest piece": (0.000, 0.346),
    },
    "fashion_mnist": {
        "brightness": (0.044, 0.652),
        "contrast": (0.102, 0.457),
        "detail": (0.029, 0.200),
        "light outside the largest piece": (0.000, 0.724),
    },
    "cifar10": {
        "brightness": (0.111, 0.907),
        "contrast": (0.069, 0.381),
        "detail": (0.011, 0.110),
    },
}


def measures(image: Array) -> dict[str, float]:
    """Return what is compared with the training images, for an image (H, W, C) in [0, 1].

    Brightness is the mean of the pixels, contrast their standard deviation, and detail the mean difference between
    neighbours. Of a grey image, the share of the light outside the largest connected piece is measured too.
    """
    from scipy import ndimage

    found = {
        "brightness": float(image.mean(dtype=np.float64)),
        "contrast": float(image.std(dtype=np.float64)),
        "detail": float(np.mean([np.abs(np.diff(image, axis=axis)).mean(dtype=np.float64) for axis in (0, 1)])),
    }
    if image.shape[-1] == 1:
        plane = image[..., 0]
        labels, count = ndimage.label(plane > 0.2, structure=np.ones((3, 3)))
        light = ndimage.sum_labels(plane, labels, np.arange(1, count + 1))
        found["light outside the largest piece"] = float(1 - light.max() / light.sum()) if count else 0.0
    return found


def unlike(image: Array, data: str) -> str | None:
    """Return in words what is unlike the training images of a data set, or None if nothing is known to be."""
    ranges = RANGES.get(data)
    if ranges is None:  # the user's own pictures
        return None
    for name, value in measures(image).items():
        low, high = ranges[name]
        if not low <= value <= high:
            return (
                f"its {name} is {value:.3f}; of the training images of {data}, 99.8 % lie from {low:.3f} to {high:.3f}"
            )
    return None
