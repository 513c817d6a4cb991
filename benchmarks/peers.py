"""The frameworks that compare.py lets work in turn; each makes a documented network and a training step of it.

Run as a program it is a worker: it reads a number of steps a line and answers with the seconds they took.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Step = Callable[[], None]


def data(input_shape: tuple[int, ...], batch_size: int, batches: int = 8) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random images and labels, the same for every peer."""
    rng = np.random.default_rng(0)
    return [
        (rng.uniform(0, 1, (batch_size, *input_shape)).astype(np.float32), rng.integers(0, 10, batch_size))
        for _ in range(batches)
    ]


def tinycnn_step(name: str, batch_size: int, threads: int) -> Step:
    """A step as ``fit`` runs it."""
    import tinycnn
    from tinycnn.batches import Batch
    from tinycnn.inputs import take
    from tinycnn.kernels.threads import one_blas_thread
    from tinycnn.training import Meters, train_step
    from tinycnn.workspace import Workspace

    tinycnn.set_seed(0)
    model = tinycnn.models.build(name)
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    batches, ws, meters = data(model.input_shape, batch_size), Workspace(), Meters(model)
    everything, turn = slice(0, batch_size), [0]

    def step() -> None:
        x, y = batches[turn[0] % len(batches)]
        turn[0] += 1
        with one_blas_thread():
            train_step(model, Batch(take(x, everything, ws, model.dtype), y, None), meters, ws)

    return step


def torch_step(name: str, batch_size: int, threads: int, *, channels_last: bool) -> Step:
    """PyTorch eager: the usual training loop."""
    import torch

    import tinycnn

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    source = tinycnn.models.build(name)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = torch.nn.Sequential(*torch_layers(source)).to(memory_format=layout).train()
    optimizer = torch.optim.Adam(model.parameters(), eps=1e-7)
    loss_function = torch.nn.CrossEntropyLoss()
    batches = [
        (torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).contiguous(memory_format=layout), torch.from_numpy(y))
        for x, y in data(source.input_shape, batch_size)
    ]
    turn = [0]

    def step() -> None:
        x, y = batches[turn[0] % len(batches)]
        turn[0] += 1
        optimizer.zero_grad(set_to_none=True)
        loss_function(model(x), y).backward()
        optimizer.step()

    return step


def torch_layers(source) -> list:
    """A documented network in PyTorch's words; its final softmax is part of the loss there."""
    from torch import nn

    from tinycnn import layers

    result = []
    for layer in source.layers:
        channels = layer.built_input_shape[-1]
        if isinstance(layer, layers.Conv2D):
            top, bottom, left, right = layer.window.pads
            if top != bottom or left != right:
                result.append(nn.ZeroPad2d((left, right, top, bottom)))
                top = left = 0
            result.append(nn.Conv2d(channels, layer.filters, layer.kernel_size, layer.strides, (top, left)))
        elif isinstance(layer, layers.Dense):
            result.append(nn.Linear(channels, layer.units))
        elif isinstance(layer, layers.MaxPooling2D):
            result.append(nn.MaxPool2d(layer.pool_size, layer.strides))
        elif isinstance(layer, layers.BatchNormalization):
            images = len(layer.built_input_shape) == 3
            result.append((nn.BatchNorm2d if images else nn.BatchNorm1d)(channels, eps=1e-3, momentum=0.01))
        elif isinstance(layer, layers.Dropout):
            result.append(nn.Dropout(layer.rate))
        elif isinstance(layer, layers.Flatten):
            result.append(nn.Flatten())
        elif not isinstance(layer, layers.Activation):
            raise TypeError(f"no PyTorch counterpart for {layer!r}")
        if getattr(layer, "activation", None) is not None and layer.activation.name == "relu":
            result.append(nn.ReLU())
    return result


@dataclass(frozen=True)
class Peer:
    """A framework: how tables call it, the package it needs, and how to make a training step."""

    title: str
    package: str
    make: Callable[[str, int, int], Step]


PEERS = {
    "tinycnn": Peer("tinycnn", "tinycnn", tinycnn_step),
    "torch_nchw": Peer("PyTorch eager, NCHW", "torch", lambda *a: torch_step(*a, channels_last=False)),
    "torch_nhwc": Peer("PyTorch eager, NHWC", "torch", lambda *a: torch_step(*a, channels_last=True)),
}


def serve(peer: str, model: str, batch_size: str, threads: str) -> None:
    """Answer each line of standard input until it ends."""
    step = PEERS[peer].make(model, int(batch_size), int(threads))
    for line in sys.stdin:
        started = time.perf_counter()
        for _ in range(int(line)):
            step()
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
