"""What is shown of a network while it trains: figures of a batch, gradient norms, filters, and its worst mistakes."""

import math
from typing import Any, NamedTuple

import numpy as np

from ..core.types import Array
from ..inspection.answers import gives_one_number, probabilities
from ..layers import DepthwiseConv2D
from ..sequential import Sequential
from ..training.loop import Run
from .labels import label_of, targets_for
from .session import Data

#: How many images the network is examined on, and how many of the worst are shown.
MOST_EXAMINED, MOST_WORST = 500, 8
#: How much of the time of training the examinations may take, if a forward pass is a third of a step.
SHARE = 0.05
#: How many filters are shown, and how many numbers they may have altogether.
MOST_FILTERS, MOST_NUMBERS = 32, 8000


def finite(value: Any) -> float | None:
    """Return a number ready for JSON, which has no NaN and no infinity: they become None."""
    number = float(value)
    return number if math.isfinite(number) else None


class Sums(NamedTuple):
    """The sums of an epoch's means so far: the loss, the hits (None without classes), and the number of images."""

    loss: float = 0.0
    hits: float | None = 0.0
    images: int = 0

    @classmethod
    def of(cls, run: Run) -> "Sums":
        """Return those of a fit whose only metric is the accuracy, or that has none."""
        state = run.means.get_state()
        hits = [metric["total"] for metric in state["metrics"].values()]
        return cls(state["loss"], hits[0] if hits else None, state["count"])

    def since(self, before: "Sums") -> tuple[float | None, float | None]:
        """Return the mean loss and the accuracy of what came after ``before``."""
        images = self.images - before.images
        accuracy = None if self.hits is None else (self.hits - (before.hits or 0.0)) / images
        return finite((self.loss - before.loss) / images), accuracy


def gradient_norms(model: Sequential) -> list[tuple[str, float | None]]:
    """Return for each layer that is trained its name and the norm of the gradients of its parameters together."""
    norms = []
    for layer in model.layers:
        gradients = [model.backend.to_numpy(p.grad) for p in layer.params.values() if p.trainable]
        if gradients:
            squares = sum(float(np.square(gradient, dtype=np.float64).sum()) for gradient in gradients)
            norms.append((str(layer.name), finite(math.sqrt(squares))))
    return norms


def filters(model: Sequential) -> dict[str, Any] | None:
    """Return the first filters of the first layer that has weights, or None if they are no pictures.

    Returns
    -------
    dict
        ``layer``; ``count``, how many filters the layer has; ``shape`` (n, KH, KW, C) of those that are shown;
        ``scale``, the largest absolute weight; ``weights``, a flat list of whole numbers from -127 to 127, for which
        ``weight = number / 127 * scale``.
    """
    for layer in model.layers:
        kernel = layer.params.get("kernel")
        if kernel is None:
            continue
        values = model.backend.to_numpy(kernel.value)
        if values.ndim == 2 and len(values) == math.prod(model.input_shape) and len(model.input_shape) == 3:
            values = values.reshape(*model.input_shape, -1)  # a dense layer that sees the whole image
        if values.ndim != 4:
            return None
        if isinstance(layer, DepthwiseConv2D):  # (KH, KW, C, multiplier): each channel has filters of its own
            values = values.reshape(*values.shape[:2], 1, -1)
        count = values.shape[-1]
        shown = min(count, MOST_FILTERS, max(1, MOST_NUMBERS // math.prod(values.shape[:-1])))
        chosen = np.moveaxis(values, -1, 0)[:shown]
        scale = float(np.abs(chosen).max())
        if not math.isfinite(scale):
            return None
        weights = np.rint(chosen / (scale or 1.0) * 127).astype(int)
        return {
            "layer": str(layer.name),
            "count": count,
            "shape": list(chosen.shape),
            "scale": scale,
            "weights": weights.reshape(-1).tolist(),
        }
    return None


class Examined(NamedTuple):
    """What an examination found: mean loss, accuracy (None without classes), and the images with the largest losses."""

    loss: float | None
    accuracy: float | None
    worst: list[dict[str, Any]]


class Examination:
    """Some test images on which a network is examined now and then, always the same ones.

    Parameters
    ----------
    data : Data
        The images; the first of the test set are taken.
    model : Sequential
        It says which targets its loss takes.
    batch_size : int
        How many images a step trains on.

    Attributes
    ----------
    every : int
        After how many steps it is due, so that it takes about :data:`SHARE` of the time.
    """

    def __init__(self, data: Data, model: Sequential, batch_size: int) -> None:
        self.x = data.x_test[:MOST_EXAMINED]
        self._labels = [label_of(model, label) for label in data.y_test[:MOST_EXAMINED]]
        self._has_classes = not gives_one_number(model)
        targets = targets_for(model, self._labels)
        self._targets = model.loss.check_targets(targets, len(self.x), model.output_shape)
        self.every = max(1, math.ceil(len(self.x) / (3 * SHARE * batch_size)))

    def of(self, model: Sequential) -> Examined:
        """Return how a network does now."""
        with np.errstate(all="ignore"):  # a network that diverges is shown, not warned of
            predicted = model.backend.own(model.predict(self.x, check_finite=False))
            losses = model.backend.to_numpy(model.loss.forward(predicted, self._targets, model.backend)[0])
            found = model.backend.to_numpy(predicted)
            p = probabilities(model, found) if self._has_classes else found
        order = np.argsort(np.where(np.isnan(losses), -np.inf, -losses), kind="stable")[:MOST_WORST]
        loss, worst = finite(losses.mean(dtype=np.float64)), [self._one(int(number), losses, p) for number in order]
        accuracy = float((p.argmax(axis=-1) == self._labels).mean()) if self._has_classes else None
        return Examined(loss, accuracy, worst)

    def _one(self, number: int, losses: Array, p: Array) -> dict[str, Any]:
        """Return one of the worst images, ready for JSON: its class and the one it is taken for, or two numbers."""
        label = self._labels[number]
        found: dict[str, Any] = {"image": f"test-{number}", "label": label, "loss": finite(losses[number])}
        if not self._has_classes:
            return found | {"answer": finite(p[number, 0])}
        of_label = p[number, int(label)] if 0 <= label < p.shape[1] else math.nan
        return found | {"predicted": int(p[number].argmax()), "probability": finite(of_label)}
