"""Whether a run fits into a device's memory, estimated from the shapes in the plan before anything runs.

What grows with the batch is what the :class:`Workspace` will hold: what each layer keeps for backward, two buffers in
which layers hand on gradients, and the images. The rest does not depend on the batch.
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
from ..network.final_activation import layer_of
from ..network.network import Network
from ..network.plan import parts_of
from .running_means import MOST_NUMBERS

#: The most bytes that kernels take in addition, for partial sums.
SCRATCH = 2**25
#: The share of the free memory that a run may take; allocation in pieces wastes some of it.
USABLE = 0.95


class DeviceMemoryError(MemoryError):
    """A run that does not fit into a device's memory; the message says what takes most of it, and what would fit."""


class Need(NamedTuple):
    """Bytes that a run takes beyond the weights and their gradients, which are on the device already.

    Attributes
    ----------
    layers : dict of str to int
        What each layer keeps per image.
    image : int
        What each image of a batch takes in addition.
    passing : int
        What each image takes in a buffer between layers, of which there are two.
    evaluated : int
        How many images are evaluated at a time during the run.
    evaluated_image : int
        What each of them takes.
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
        """Return how many bytes a run with batches of this many images takes altogether."""
        kept = images * (sum(self.layers.values()) + self.image)
        return self.fixed + kept + max(2 * images * self.passing, self.evaluated * self.evaluated_image)

    def most(self, usable: float, largest: int) -> int:
        """Return how many images, up to ``largest``, a batch can have to fit into ``usable`` bytes; 0 if none fits."""
        return bisect.bisect_right(range(1, largest + 1), usable, key=self.bytes)


def training_need(model: Network, chain: list[Any], augment: Augmentation | None, evaluated: int) -> Need:
    """Return what training takes of a device's memory.

    Parameters
    ----------
    model : Network
        Compiled.
    chain : list
        The layers, or the steps of a plan, which keep no more than their layers.
    augment : Augmentation or None
        The augmentation of the training images.
    evaluated : int
        How many images a block of validation data has; 0 if there are none.
    """
    item = np.dtype(model.dtype).itemsize
    layers = [layer_of(part) for step in chain for part in parts_of(step)]
    pixels = math.prod(model.input_shape)
    # How many altered copies of the images augmentation makes; for blurring one of the two is scratch memory.
    copies = 0 if augment is None else bool(augment.shift or augment.flip or augment.rotation) + bool(augment.cutout)
    copies += 2 * bool(augment and augment.blur)
    parameters = [parameter.value.nbytes for parameter in model.parameters().values() if parameter.trainable]
    optimizer = model.optimizer
    remembered = 0 if optimizer.slots else len(optimizer.slot_names) * sum(parameters)
    return Need(
        layers={str(layer.name): kept_bytes(layer) for layer in layers},
        # The loss holds probabilities, targets and a gradient; a softmax that the loss has not taken over holds its
        # result too.
        image=item * (pixels * (1 + copies) + 4 * math.prod(model.output_shape)),
        passing=item * max((math.prod(layer.built_input_shape) for layer in layers), default=0),
        evaluated=evaluated,
        evaluated_image=_evaluated_bytes(model),
        fixed=remembered + max(parameters, default=0) + SCRATCH + (2 if evaluated else 1) * MOST_NUMBERS * item,
    )


def evaluation_need(model: Network) -> Need:
    """Return what predicting a block of images takes of a device's memory."""
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
        What the run takes.
    images : int
        How many images a batch has.
    run : str
        How the error begins, up to the number of images, for instance ``"training on"``.

    Raises
    ------
    DeviceMemoryError
        If the run takes more than the free memory.
    """
    free, wanted = model.backend.kernels.free_bytes(), need.bytes(images)
    if wanted > USABLE * free:
        raise DeviceMemoryError(
            f"{run} {images} images needs about {bytes_text(wanted)} of the device's memory, of which "
            f"{bytes_text(free)} are free. {_advice(need, USABLE * free, images, images - 1)}"
        )
    return wanted


def error_of_batch(model: Network, need: Need, images: int, ws: Workspace, reason: MemoryError) -> MemoryError:
    """Return the error for a batch that did not fit although it should have: other programs may use the device."""
    usable = USABLE * (model.backend.kernels.free_bytes() + ws.nbytes())
    return DeviceMemoryError(f"a batch of {images} images: {reason}. {_advice(need, usable, images, images // 2)}")


def _advice(need: Need, usable: float, images: int, largest: int) -> str:
    """Return in words which layer takes the most, and how many images, up to ``largest``, would fit."""
    parts = []
    if need.layers:
        name = max(need.layers, key=lambda name: need.layers[name])
        parts.append(f"Layer {name!r} keeps the most: {bytes_text(need.layers[name] * images)}.")
    fitting = need.most(usable, largest)
    parts.append(f"A batch of {fitting} would fit" if fitting else "Not even one image fits; use another backend")
    return " ".join(parts)


def _evaluated_bytes(model: Network) -> int:
    """Return the bytes per image of the images, two buffers between layers, the predictions and their losses."""
    widest = max(math.prod(layer.built_output_shape) for layer in model.layers)
    numbers = math.prod(model.input_shape) + 2 * widest + 3 * math.prod(model.output_shape)
    return numbers * np.dtype(model.dtype).itemsize
