"""Whether a run fits into a device's memory, estimated from the shapes of the plan before anything runs.

What grows with a batch is what the :class:`Workspace` will hold: what each layer keeps for backward, two buffers in
which layers hand on gradients, and the images. The rest is fixed.
"""

import bisect
import math
from typing import Any, NamedTuple

import numpy as np

from ..augmentation import Augmentation
from ..core.messages import bytes_text
from ..core.workspace import Workspace
from ..kernels.geometry import argmax_dtype
from ..layers import Flatten, GlobalMaxPooling2D, Input, MaxPooling2D, Reshape
from ..layers.base import ActivatedLayer, Layer
from ..network.final_softmax import layer_of
from ..network.network import Network
from ..network.plan import parts_of
from .running_means import MOST_NUMBERS

#: The most bytes that kernels take in addition, for partial sums. And the share of the free memory that may be planned
#: with, because allocation in pieces wastes some.
SCRATCH, USABLE = 2**25, 0.95


class DeviceMemoryError(MemoryError):
    """A run does not fit into a device's memory; the message says what takes most of it, and what would fit."""


class Need(NamedTuple):
    """Bytes that a run takes beyond the weights and their gradients, which are on the device already.

    Attributes
    ----------
    layers : dict of str to int
        What each layer keeps per image.
    image : int
        What else each image of a batch takes.
    passing : int
        What each image takes in a buffer between layers, of which there are two.
    evaluated, evaluated_image : int
        How many images a block has that is evaluated while the run lasts, and the bytes of one of them.
    fixed : int
        What does not depend on the batch.
    """

    layers: dict[str, int]
    image: int
    passing: int
    evaluated: int
    evaluated_image: int
    fixed: int

    def bytes(self, images: int) -> int:
        """Return the bytes that batches of so many images take altogether."""
        kept = images * (sum(self.layers.values()) + self.image)
        return self.fixed + kept + max(2 * images * self.passing, self.evaluated * self.evaluated_image)

    def most(self, usable: float, largest: int) -> int:
        """Return the largest batch that fits, of at most ``largest`` images; 0 if none does."""
        return bisect.bisect_right(range(1, largest + 1), usable, key=self.bytes)


def training_need(model: Network, chain: list[Any], augment: Augmentation | None, evaluated: int) -> Need:
    """Return what training takes.

    Parameters
    ----------
    model : Network
        Compiled.
    chain : list
        The layers, or the steps of a plan, which keep no more than their layers.
    augment : Augmentation or None
    evaluated : int
        How many images a block of validation data has; 0 if there are none.
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
        # The loss has probabilities, targets and a gradient; a softmax that no loss took over has its result too.
        image=item * (pixels * (1 + changed) + 4 * math.prod(model.output_shape)),
        passing=item * max((math.prod(layer.built_input_shape) for layer in layers), default=0),
        evaluated=evaluated,
        evaluated_image=_evaluated_bytes(model),
        fixed=remembered + max(parameters, default=0) + SCRATCH + (2 if evaluated else 1) * MOST_NUMBERS * item,
    )


def evaluation_need(model: Network) -> Need:
    """Return what a block of images takes in prediction."""
    item = np.dtype(model.dtype).itemsize
    return Need({}, _evaluated_bytes(model), 0, 0, 0, SCRATCH + MOST_NUMBERS * item)


def kept_bytes(layer: Layer) -> int:
    """Return the bytes that a layer keeps per image in training, in the workspace."""
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


def check(model: Network, need: Need, images: int, run: str) -> int:
    """Return the bytes that a run takes, or raise if it does not fit into the free memory of the model's device.

    Parameters
    ----------
    model : Network
        One whose backend is on a device.
    need : Need
    images : int
        How many images a batch has.
    run : str
        What the error calls the run.

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


def error_of_batch(model: Network, need: Need, images: int, ws: Workspace, reason: MemoryError) -> MemoryError:
    """Return the error for a batch that did not fit although it should have; others may use the device too."""
    usable = USABLE * (model.backend.kernels.free_bytes() + ws.nbytes())
    return DeviceMemoryError(f"a batch of {images} images: {reason}. {_advice(need, usable, images, images // 2)}")


def _advice(need: Need, usable: float, images: int, largest: int) -> str:
    """Return in words which layer takes the most, and how many images, of at most ``largest``, would fit."""
    parts = []
    if need.layers:
        name = max(need.layers, key=lambda name: need.layers[name])
        parts.append(f"Layer {name!r} keeps the most: {bytes_text(need.layers[name] * images)}.")
    fitting = need.most(usable, largest)
    parts.append(f"A batch of {fitting} would fit" if fitting else "Not even one image fits")
    return " ".join(parts)


def _evaluated_bytes(model: Network) -> int:
    """Return the bytes per image of the images, two buffers between layers, the predictions and their losses."""
    widest = max(math.prod(layer.built_output_shape) for layer in model.layers)
    numbers = math.prod(model.input_shape) + 2 * widest + 3 * math.prod(model.output_shape)
    return numbers * np.dtype(model.dtype).itemsize
