"""Whether a run fits into a device's memory: reckoned from the plan's shapes, before anything runs.

What grows with a batch is what the :class:`Workspace` will hold: what each layer keeps for backward, two buffers that
layers hand gradients on in, the images. The rest is fixed.
"""

import bisect
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..augmentation import Augmentation
from ..core.workspace import Workspace
from ..inspection.summary import bytes_text, layer_of, parts_of
from ..kernels.geometry import argmax_dtype
from ..layers import Flatten, GlobalMaxPooling2D, Input, MaxPooling2D, Reshape
from ..layers.base import ActivatedLayer, Layer
from .tape import MOST_NUMBERS

if TYPE_CHECKING:
    from ..sequential import Sequential

#: The most that kernels take besides, for sums in parts: that many tiles at once. And the share of the free memory that
#: may be planned with; allocation by pieces wastes some.
SCRATCH, USABLE = 2**25, 0.95


class DeviceMemoryError(MemoryError):
    """A run does not fit into a device's memory; the message says what takes most of it, and what would fit."""


class Need(NamedTuple):
    """Bytes that a run takes beyond the weights and their gradients, which are on the device already.

    Attributes
    ----------
    layers : dict of str to int
        What each layer keeps of an image.
    image : int
        What else an image of a batch takes.
    passing : int
        What an image takes in a buffer between layers, of which there are two.
    evaluated, evaluated_image : int
        Images of a block that is evaluated while the run lasts, and the bytes of one.
    fixed : int
    """

    layers: dict[str, int]
    image: int
    passing: int
    evaluated: int
    evaluated_image: int
    fixed: int

    def bytes(self, images: int) -> int:
        """In all, for batches of so many images."""
        kept = images * (sum(self.layers.values()) + self.image)
        return self.fixed + kept + max(2 * images * self.passing, self.evaluated * self.evaluated_image)

    def most(self, usable: float, largest: int) -> int:
        """The largest batch that fits, of at most ``largest`` images; 0 if none does."""
        return bisect.bisect_right(range(1, largest + 1), usable, key=self.bytes)


def training_need(model: "Sequential", chain: list[Any], augment: Augmentation | None, evaluated: int) -> Need:
    """What training takes.

    Parameters
    ----------
    model : Sequential
        Compiled.
    chain : list
        Layers, or the steps of a plan, which keep no more than their layers.
    augment : Augmentation or None
    evaluated : int
        Images of a block of validation data; 0 without.
    """
    item = np.dtype(model.dtype).itemsize
    layers = [layer_of(part) for step in chain for part in parts_of(step)]
    pixels = math.prod(model.input_shape)
    changed = 0 if augment is None else bool(augment.shift or augment.flip or augment.rotation) + bool(augment.cutout)
    changed += 2 * bool(augment and augment.blur)  # one of them is scratch
    parameters = [parameter.value.nbytes for parameter in model.parameters().values() if parameter.trainable]
    optimizer = model.optimizer
    remembered = 0 if optimizer.slots else len(optimizer.slot_names) * sum(parameters)
    return Need(
        layers={str(layer.name): kept_bytes(layer) for layer in layers},
        # The loss has probabilities, targets and a gradient, and a softmax of its own where it is no crossentropy's.
        image=item * (pixels * (1 + changed) + 4 * math.prod(model.output_shape)),
        passing=item * max((math.prod(layer.built_input_shape) for layer in layers), default=0),
        evaluated=evaluated,
        evaluated_image=_evaluated_bytes(model),
        fixed=remembered + max(parameters, default=0) + SCRATCH + (2 if evaluated else 1) * MOST_NUMBERS * item,
    )


def evaluation_need(model: "Sequential") -> Need:
    """What a block of images takes that a model predicts."""
    item = np.dtype(model.dtype).itemsize
    return Need({}, _evaluated_bytes(model), 0, 0, 0, SCRATCH + MOST_NUMBERS * item)


def kept_bytes(layer: Layer) -> int:
    """What a layer keeps of an image in training, in the workspace."""
    if isinstance(layer, Input | Flatten | Reshape):  # a view
        return 0
    numbers, item = math.prod(layer.built_output_shape), np.dtype(layer.dtype).itemsize
    size = numbers * item
    if isinstance(layer, ActivatedLayer) and layer.activation.keeps == "x":
        size += numbers * item
    if isinstance(layer, MaxPooling2D | GlobalMaxPooling2D):
        assert layer.window is not None
        size += numbers * np.dtype(argmax_dtype(layer.window.size)).itemsize
    return size


def check(model: "Sequential", need: Need, images: int, run: str) -> int:
    """Raise unless a run fits into the free memory of the model's device; returns the bytes that it takes.

    Parameters
    ----------
    model : Sequential
        Its backend is on a device.
    need : Need
    images : int
        Of a batch.
    run : str
        How the error calls it.

    Raises
    ------
    DeviceMemoryError
    """
    free, wanted = model.backend.kernels.free_bytes(), need.bytes(images)
    if wanted > USABLE * free:
        raise DeviceMemoryError(
            f"{run} {images} images needs about {bytes_text(wanted)} of the device's memory, of which "
            f"{bytes_text(free)} are free. {_advice(need, USABLE * free, images, images - 1)}"
        )
    return wanted


def error_of_batch(model: "Sequential", need: Need, images: int, ws: Workspace, reason: MemoryError) -> MemoryError:
    """The error for a batch that did not fit although it should have: others use the card too."""
    usable = USABLE * (model.backend.kernels.free_bytes() + ws.nbytes())
    return DeviceMemoryError(f"a batch of {images} images: {reason}. {_advice(need, usable, images, images // 2)}")


def _advice(need: Need, usable: float, images: int, largest: int) -> str:
    """Which layer takes the most, and how many images would fit; at most ``largest``."""
    parts = []
    if need.layers:
        name = max(need.layers, key=lambda name: need.layers[name])
        parts.append(f"Layer {name!r} keeps the most: {bytes_text(need.layers[name] * images)}.")
    fitting = need.most(usable, largest)
    parts.append(f"A batch of {fitting} would fit" if fitting else "Not even one image fits")
    return " ".join(parts)


def _evaluated_bytes(model: "Sequential") -> int:
    """Per image: the images, two buffers between layers, the predictions and their losses."""
    widest = max(math.prod(layer.built_output_shape) for layer in model.layers)
    numbers = math.prod(model.input_shape) + 2 * widest + 3 * math.prod(model.output_shape)
    return numbers * np.dtype(model.dtype).itemsize
