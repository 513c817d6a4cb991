"""PyTorch with the usual training loop, eager or through ``torch.compile``.

It uses the fused Adam, which is the fastest of the three implementations in PyTorch, even on a processor.
"""

from itertools import cycle
from typing import Any


def run(job, tick, *, channels_last=False, compiled=False, everyday=False):
    """Train or predict; with ``compiled``, ``torch.compile`` compiles the loss or the prediction.

    With ``everyday``, a ``DataLoader`` shuffles the images, and loss and right answers are summed, as in a tutorial.
    """
    import torch

    torch.set_num_threads(job.threads)
    torch.set_num_interop_threads(job.threads)
    torch.manual_seed(0)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model: Any = torch.nn.Sequential(*map(layer_of, job.operations))
    model = model.to(memory_format=layout)
    job.check_parameters(sum(p.numel() for p in model.parameters()))
    if channels_last:
        x, y = job.data()
        x = torch.from_numpy(x).permute(0, 3, 1, 2)  # This is exactly the layout that channels_last means.
    else:
        x, y = job.data(channels_first=True)
        x = torch.from_numpy(x)
    if everyday:
        _train_everyday(model, x, torch.from_numpy(y), job.batch_size, tick)
    images, labels = x.split(job.batch_size), torch.from_numpy(y).split(job.batch_size)
    repeat = _train if job.training else _predict
    repeat(model, images, labels, tick, torch.compile if compiled else lambda function: function)


def _train(model, images, labels, tick, compiled):
    import torch

    model.train()
    optimizer = torch.optim.Adam(model.parameters(), eps=1e-7, fused=True)
    loss_function = torch.nn.CrossEntropyLoss()
    loss = compiled(lambda x, y: loss_function(model(x), y))
    for x, y in cycle(zip(images, labels, strict=True)):
        optimizer.zero_grad(set_to_none=True)
        loss(x, y).backward()
        optimizer.step()
        tick()


def _train_everyday(model, x, y, batch_size, tick):
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    model.train()
    batches = DataLoader(TensorDataset(x, y), batch_size, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), eps=1e-7)
    loss_function = torch.nn.CrossEntropyLoss()
    while True:
        total, right = 0.0, 0
        for images, labels in batches:
            optimizer.zero_grad()
            logits = model(images)
            loss = loss_function(logits, labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
            right += (logits.argmax(1) == labels).sum().item()
            tick()


def _predict(model, images, labels, tick, compiled):
    import torch

    predict = compiled(model.eval())
    with torch.inference_mode():
        for x in cycle(images):
            predict(x).numpy()
            tick()


def layer_of(operation):
    """Return the PyTorch layer of an operation."""
    from torch import nn

    channels = operation.channels
    match operation.kind:
        case "conv":
            top, _, left, _ = operation.pads
            return nn.Conv2d(channels, operation.units, operation.size, padding=(top, left))
        case "pool":
            return nn.MaxPool2d(operation.size)
        case "batchnorm":
            images = len(operation.shape) == 3
            return (nn.BatchNorm2d if images else nn.BatchNorm1d)(channels, eps=1e-3, momentum=0.01)
        case "dropout":
            return nn.Dropout(operation.rate)
        case "flatten":
            return nn.Flatten()
        case "dense":
            return nn.Linear(channels, operation.units)
        case "relu":
            return nn.ReLU()
        case "softmax":
            return nn.Softmax(dim=-1)
    raise TypeError(f"the PyTorch peer has no counterpart for {operation.kind}")
