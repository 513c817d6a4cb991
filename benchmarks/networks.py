"""Describe to the peers what to build: a documented network as a list of plain operations, and its images.

Only this module reads tinycnn's layers, so that every peer is told the same.
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
        What the operation does.
    shape : tuple of int
        The shape of one sample that goes in.
    units : int
        The number of channels or features that come out, if weights determine it.
    size : (int, int)
        The size of the window.
    pads : (int, int, int, int)
        The pads at the top, bottom, left and right.
    rate : float
        The rate of dropout.
    """

    kind: str
    shape: tuple[int, ...]
    units: int = 0
    size: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    rate: float = 0.0

    @property
    def channels(self) -> int:
        """The number of channels or features that go in."""
        return self.shape[-1]

    @property
    def padding(self) -> str:
        """Keras's name for these pads, for a stride of 1."""
        return "same" if any(self.pads) else "valid"


def operations(model: tinycnn.Sequential, *, softmax: bool) -> list[Operation]:
    """Return the operations of a network, with activations as operations of their own.

    Parameters
    ----------
    model : Sequential
        A model that is built.
    softmax : bool
        Whether the list ends with the softmax. In training, the softmax belongs to the loss in every framework.
    """
    result = [operation for layer in model.layers for operation in _of_layer(layer)]
    assert result[-1].kind == "softmax"
    return result if softmax else result[:-1]


def _of_layer(layer: layers.Layer) -> Iterator[Operation]:
    shape, activation = layer.built_input_shape, getattr(layer, "activation", None)
    if isinstance(layer, layers.Conv2D):
        assert layer.window is not None
        top, bottom, left, right = pads = layer.window.pads
        if layer.strides != (1, 1) or len({top, bottom, left, right}) > 1:
            raise TypeError(f"{layer!r}: the peers only know convolutions with stride 1 and equal pads on all sides")
        yield Operation("conv", shape, units=layer.filters, size=layer.kernel_size, pads=pads)
    elif isinstance(layer, layers.MaxPooling2D):
        assert layer.window is not None
        if layer.strides != layer.pool_size or any(layer.window.pads):
            raise TypeError(f"{layer!r}: the peers only know pooling windows that lie side by side, without pads")
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
        raise TypeError(f"{layer!r}: the peers do not know this kind of layer; choose another network")
    if activation is not None and activation.name != "linear":
        yield Operation(activation.name, layer.built_output_shape)


@dataclass(frozen=True)
class Job:
    """What a peer has to do.

    Attributes
    ----------
    network : str
        The name of a documented network.
    batch_size : int
        The number of images per batch.
    training : bool
        Whether the peer does whole training steps or predictions.
    threads : int
        The number of threads that the peer may use.
    batches : int
        The number of different batches in memory; the peer goes through them again and again.
    """

    network: str
    batch_size: int
    training: bool
    threads: int
    batches: int

    @cached_property
    def model(self) -> tinycnn.Sequential:
        """The network in tinycnn, with the weights of seed 0."""
        tinycnn.set_seed(0)
        return models.build(self.network)

    @property
    def operations(self) -> list[Operation]:
        """The list of what the network does to a batch."""
        return operations(self.model, softmax=not self.training)

    def check_parameters(self, count: int) -> None:
        """Raise ValueError unless the peer's network has as many trained parameters as ours."""
        expected = models.recipe(self.network).params.trainable
        if count != expected:
            raise ValueError(f"{self.network} has {expected} trained parameters, but the peer's copy has {count}")

    def data(self, *, channels_first: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Return the float32 images in [0, 1) and the labels of all batches in a row."""
        rng, shape = np.random.default_rng(0), self.model.input_shape
        if channels_first:
            shape = (shape[-1], *shape[:-1])
        images = self.batches * self.batch_size
        return rng.random((images, *shape), np.float32), rng.integers(0, 10, images)

    def split(self, array: np.ndarray) -> list[np.ndarray]:
        """Cut an array of all images into batches."""
        return np.split(array, self.batches)
