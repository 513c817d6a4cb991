"""On which pixels the score of a class, or a network's number, depends: saliency, occlusion and Grad-CAM, as arrays.

The score of a class is what the network gives before its final softmax, if it has one: probabilities depend on each
other, scores do not. Of a network that gives a number, as in a regression, the score is that number. Networks run as
in inference, on copies of their layers.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..core.checks import scalar
from ..core.messages import shown
from ..core.types import Array
from ..network.network import Network
from .answers import gives_one_number
from .copies import copies_up_to_scores, gradient_by_input, run

#: A map for Grad-CAM has at least this many rows and columns; fewer cells say hardly anything about places.
LEAST_CELLS = 5
#: How many squares fit side by side into an image when parts of it are hidden, and how many images are made at a time.
SQUARES, _BLOCK = 7, 32


class Attribution(NamedTuple):
    """How much a class, or a network's number, depends on each part of an image.

    Attributes
    ----------
    strength : (H, W) or (OH, OW) array
        One number for each pixel, or for each cell of a layer's map.
    label : int or None
        The class; None for a network that gives a number.
    is_highest : bool
        Whether the class has the highest score of all.
    """

    strength: Array
    label: int | None
    is_highest: bool


class Hidden(NamedTuple):
    """How much the probability of the class ``label`` falls when parts of an image are hidden.

    Attributes
    ----------
    fall : (H, W) array
        For each pixel, the mean over all squares that hide it; negative where the probability rises.
    label : int
        The class.
    is_highest : bool
        Whether the class has the highest probability of all.
    whole : float
        Its probability for the whole image.
    side, stride : int
        The side of the squares, and the distance from one to the next.
    """

    fall: Array
    label: int
    is_highest: bool
    whole: float
    side: int
    stride: int


def saliency(model: Network, x: Array, label: Any = None) -> Attribution:
    """Return ``|d score / d pixel|``, the largest of each pixel's channels.

    Source: Simonyan, Vedaldi & Zisserman, "Deep inside convolutional networks: visualising image classification models
    and saliency maps", 2013, section 3.

    Parameters
    ----------
    model : Sequential
        A built model that gives a score for each class, or a number.
    x : (1, H, W, C) or (1, H, W) array
        One image as the model takes it, in the model's dtype.
    label : int, optional
        The class; by default the one with the highest score. A network that gives a number has none.

    Raises
    ------
    ValueError
        If the model gives no scores of classes, if there is no such class, or if a result is not finite.
    """
    check_classes(model, label)
    steps = run(copies_up_to_scores(model), x)
    score = _score(model, steps[-1].y[0] if steps else x[0], label)
    strength = np.abs(gradient_by_input(steps, score.slope)[0])
    return Attribution(strength.max(axis=-1) if strength.ndim == 3 else strength, score.label, score.is_highest)


def cam_layers(model: Network) -> list[int]:
    """Return the numbers of the layers whose maps have enough cells for Grad-CAM."""
    shapes = [layer.built_output_shape for layer in model.layers]
    return [number for number, shape in enumerate(shapes) if len(shape) == 3 and min(shape[:2]) >= LEAST_CELLS]


def grad_cam(model: Network, x: Array, label: Any = None, layer: int | None = None) -> tuple[Attribution, int]:
    """Return which cells of a layer's map speak for a class, (OH, OW), and the number of the layer.

    Of a network that gives a number, these are the cells that make it larger.

    Each channel of the map counts as much as the mean gradient of the score with respect to it: ``relu(sum_k a_k A_k)``
    with ``a_k = mean_ij d score / d A_ijk``. Source: Selvaraju et al., "Grad-CAM: visual explanations from deep
    networks via gradient-based localization", 2017, equations 1 and 2.

    Parameters
    ----------
    model, x, label
        As for :func:`saliency`.
    layer : int, optional
        The number of the layer; by default the last one whose map has at least 5×5 cells.

    Raises
    ------
    ValueError
        As for :func:`saliency`, and if the layer's map has fewer cells, or no layer has a map with so many.
    """
    check_classes(model, label)
    fit = cam_layers(model)
    if not fit or (layer is not None and layer not in fit):
        which = f"layer {layer} has no map" if fit else f"{model.name} has no layer with a map"
        known = f"; layers that have one: {', '.join(map(str, fit))}" if fit else ""
        raise ValueError(f"{which} of at least {LEAST_CELLS} by {LEAST_CELLS} cells, which Grad-CAM needs{known}")
    number = fit[-1] if layer is None else layer
    steps = run(copies_up_to_scores(model), x)
    score = _score(model, steps[-1].y[0], label)
    gradient = gradient_by_input(steps[number + 1 :], score.slope)[0]
    weights = gradient.mean(axis=(0, 1), dtype=np.float64)
    strength = np.maximum(steps[number].y[0] @ weights, 0)
    return Attribution(strength, score.label, score.is_highest), number


def occlusion(
    probabilities_of: Callable[[Array], Array],
    x: Array,
    label: int | None = None,
    side: int | None = None,
    stride: int | None = None,
) -> Hidden:
    """Hide one square of an image after the other, and return how much the probability of a class falls.

    A square is filled with the median colour of the image's border. Source: Zeiler & Fergus, "Visualizing and
    understanding convolutional networks", 2014, section 4.2.

    Parameters
    ----------
    probabilities_of : function
        Returns probabilities (N, classes) for images; for instance ``model.predictor()``. If there is one column only,
        its numbers are those that fall.
    x : (1, H, W, C) or (1, H, W) array
        One image as the model takes it.
    label : int, optional
        The class; by default the most probable one.
    side : int, optional
        The side of the squares; by default a seventh of the image's longer side.
    stride : int, optional
        The distance from one square to the next; by default half a side.

    Raises
    ------
    ValueError
        If there is no such class, or a probability is NaN.
    """
    image = x[0]
    (H, W), longest = image.shape[:2], max(image.shape[:2])
    side = min(max(1, round(longest / SQUARES)), H, W) if side is None else min(side, H, W)
    stride = max(1, side // 2) if stride is None else stride
    p = probabilities_of(x)[0]
    if label is not None and not 0 <= label < len(p):
        raise ValueError(f"label must be a class, from 0 to {len(p) - 1}; got {shown(label)}")
    chosen = int(p.argmax()) if label is None else label
    places = [(top, left) for top in _starts(H, side, stride) for left in _starts(W, side, stride)]
    ground = np.median(np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]), axis=0)
    fall, times = np.zeros((H, W)), np.zeros((H, W))
    for begin in range(0, len(places), _BLOCK):
        block = places[begin : begin + _BLOCK]
        hidden = np.repeat(x, len(block), axis=0)
        for one, (top, left) in zip(hidden, block, strict=True):
            one[top : top + side, left : left + side] = ground
        falls = float(p[chosen]) - probabilities_of(hidden)[:, chosen].astype(np.float64)
        for (top, left), lost in zip(block, falls, strict=True):
            fall[top : top + side, left : left + side] += lost
            times[top : top + side, left : left + side] += 1
    if not np.isfinite(fall).all():
        raise ValueError("model must give finite numbers, but gives NaN or infinity for this image")
    return Hidden(fall / times, chosen, chosen == int(p.argmax()), float(p[chosen]), side, stride)


def _starts(length: int, side: int, stride: int) -> list[int]:
    """Return where squares begin along an axis, so that they cover all of it."""
    return sorted({*range(0, length - side + 1, stride), length - side})


def check_classes(model: Network, label: Any) -> None:
    """Raise unless the model gives scores of classes, and the label is one of them; or a number, without a label."""
    if len(model.output_shape) != 1:
        raise ValueError(f"model must give a score for each class; {model.name} gives {model.output_shape}")
    if gives_one_number(model) and label is not None:
        raise ValueError(
            f"label must be left out, because {model.name} gives a number and no classes; got {shown(label)}"
        )
    classes, label = max(2, model.output_shape[0]), scalar(label)
    whole = isinstance(label, int | np.integer) and not isinstance(label, bool)
    if label is not None and not (whole and 0 <= label < classes):
        raise ValueError(f"label must be a class, from 0 to {classes - 1}; got {shown(label)}")


class _Score(NamedTuple):
    """A class, or None for a number; whether no class has a higher score; and the score's slope (1, outputs)."""

    label: int | None
    is_highest: bool
    slope: Array


def _score(model: Network, outputs: Array, label: Any) -> _Score:
    """Return the score of the class that is asked for, or of the one with the highest score, or the number."""
    slope = np.zeros((1, len(outputs)), model.dtype)
    if gives_one_number(model):
        return _Score(None, True, slope + slope.dtype.type(1))
    # One output stands for two classes, and speaks for the second one.
    scores = np.concatenate([-outputs, outputs]) if len(outputs) == 1 else outputs
    chosen = int(scores.argmax()) if label is None else int(label)
    if len(outputs) == 1:
        slope[0, 0] = 1 if chosen else -1
    else:
        slope[0, chosen] = 1
    return _Score(chosen, chosen == int(scores.argmax()), slope)
