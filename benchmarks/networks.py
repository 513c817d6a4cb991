"""What the peers build: a documented network as a list of plain operations, and the images it is fed.

One place reads tinycnn's layers, so that every peer is told the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

import tinycnn
from tinycnn import layers, models

#: The networks of the published comparison.
PUBLISHED = (
    "vanilla",
    "go_crazy",
    "ladder_03",
    "ladder_10",
    "mnist_cnn",
    "fashion_base",
    "fashion_improved",
    "cifar10_cnn",
)


@dataclass(frozen=True)
class Operation:
    """One thing that a network does to a batch.

    Attributes
    ----------
    kind : {"conv", "pool", "batchnorm", "dropout", "flatten", "dense", "relu", "softmax"}
    shape : tuple of int
        Of one sample that goes in.
    units : int
        Channels or features that come out, where weights decide it.
    size : (int, int)
        Of the window.
    pads : (int, int, int, int)
        Top, bottom, left, right.
    rate : float
        Of dropout.
    """

    kind: str
    shape: tuple[int, ...]
    units: int = 0
    size: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    rate: float = 0.0

    @property
    def channels(self) -> int:
        """Channels or features that go in."""
        return self.shape[-1]

    @property
    def padding(self) -> str:
        """Keras's word for the pads of a stride of 1."""
        return "same" if any(self.pads) else "valid"


def operations(model: tinycnn.Sequential, *, softmax: bool) -> list[Operation]:
    """The operations of a network, activations written out.

    Parameters
    ----------
    model : Sequential
        Built.
    softmax : bool
        Whether to end with the softmax. In training it belongs to the loss, in every framework.
    """
    result = [operation for layer in model.layers for operation in _of_layer(layer)]
    assert result[-1].kind == "softmax"
    return result if softmax else result[:-1]


def _of_layer(layer: layers.Layer) -> Iterator[Operation]:
    shape, activation = layer.built_input_shape, getattr(layer, "activation", None)
    if isinstance(layer, layers.Conv2D):
        top, bottom, left, right = pads = layer.window.pads
        if layer.strides != (1, 1) or len({top, bottom, left, right}) > 1:
            raise TypeError(f"{layer!r}: the peers know convolutions with stride 1 and equal pads only")
        yield Operation("conv", shape, units=layer.filters, size=layer.kernel_size, pads=pads)
    elif isinstance(layer, layers.MaxPooling2D):
        if layer.strides != layer.pool_size or any(layer.window.pads):
            raise TypeError(f"{layer!r}: the peers know windows that lie side by side only")
        yield Operation("pool", shape, size=layer.pool_size)
    elif isinstance(layer, layers.BatchNormalization):
        yield Operation("batchnorm", shape)
    elif isinstance(layer, layers.Dropout):
        yield Operation("dropout", shape, rate=layer.rate)
    elif isinstance(layer, layers.Flatten):
        yield Operation("flatten", shape)
    elif isinstance(layer, layers.Dense):
        yield Operation("dense", shape, units=layer.units)
    elif not isinstance(layer, layers.Activation):
        raise TypeError(f"{layer!r}: the peers do not know this layer")
    if activation is not None and activation.name != "linear":
        yield Operation(activation.name, layer.built_output_shape)


@dataclass(frozen=True)
class Job:
    """What a peer is to do.

    Attributes
    ----------
    network : str
    batch_size : int
    training : bool
        Whole training steps, or else predictions.
    threads : int
    batches : int
        Different batches in memory; they are gone through again and again.
    """

    network: str
    batch_size: int
    training: bool
    threads: int
    batches: int

    @cached_property
    def model(self) -> tinycnn.Sequential:
        """The network in tinycnn, with weights of seed 0."""
        tinycnn.set_seed(0)
        return models.build(self.network)

    @property
    def operations(self) -> list[Operation]:
        """What the network does to a batch."""
        return operations(self.model, softmax=not self.training)

    def check_parameters(self, count: int) -> None:
        """Raise unless the peer's network has as many numbers to learn as ours."""
        expected = models.recipe(self.network).params.trainable
        if count != expected:
            raise ValueError(f"{self.network} has {expected} trained numbers, the peer's copy {count}")

    def data(self, *, channels_first: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """All batches in a row: float32 images in [0, 1) and labels."""
        rng, shape = np.random.default_rng(0), self.model.input_shape
        if channels_first:
            shape = (shape[-1], *shape[:-1])
        images = self.batches * self.batch_size
        return rng.random((images, *shape), np.float32), rng.integers(0, 10, images)

    def split(self, array: np.ndarray) -> list[np.ndarray]:
        """An array of all images, cut into batches."""
        return np.split(array, self.batches)
