"""A model as source text for PyTorch, so that somebody else can load its weights there."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import layers as layers_module
from ..core.types import Shape
from ..layers.base import Layer
from ..network.network import Network
from .fitting import built_model
from .pytorch_order import image_of_result

#: Small modules that PyTorch lacks, by their names; the source has those that it needs.
_CLASSES = {
    "AveragePooling": '''
class AveragePooling(nn.Module):
    """An average over windows in which pads do not count, though there are more of them at one side."""

    def __init__(self, size, strides, pads):
        super().__init__()
        self.size, self.strides, self.pads = size, strides, pads

    def forward(self, x):
        average = lambda y: nn.functional.avg_pool2d(nn.functional.pad(y, self.pads), self.size, self.strides)
        return average(x) / average(torch.ones_like(x))
''',
    "Images": '''
class Images(nn.Module):
    """A row of numbers as an image of the given height, width and channels, which lie side by side in the row."""

    def __init__(self, *shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.reshape(len(x), *self.shape).permute(0, 3, 1, 2)
''',
    "Rescaling": '''
class Rescaling(nn.Module):
    """Every number times a factor, plus another number."""

    def __init__(self, scale, offset):
        super().__init__()
        self.scale, self.offset = scale, offset

    def forward(self, x):
        return x * self.scale + self.offset
''',
    "Row": '''
class Row(nn.Module):
    """The numbers of a flattened image of the given channels, height and width, with those of a pixel side by side."""

    def __init__(self, *shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.reshape(len(x), *self.shape).permute(0, 2, 3, 1).flatten(1)
''',
}


def pytorch_source(model: Network) -> str:
    """Return a program that makes the same network in PyTorch, without its weights, as ``network``.

    The network takes images as PyTorch has them, (N, C, H, W). Its modules are numbered, and :func:`save_pytorch`
    writes weights under these numbers. If the result is a flattened image, a last module puts its numbers into the
    order that they have here.

    Parameters
    ----------
    model : Sequential
        A model that is built.

    Raises
    ------
    ValueError
        If a layer has no counterpart in PyTorch, or takes the numbers of an image in an order that PyTorch has not.

    Examples
    --------
    >>> from tinycnn import Sequential, interchange, layers
    >>> model = Sequential([layers.Input((8, 8, 1)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten()])
    >>> model.add(layers.Dense(2))
    >>> print(interchange.pytorch_source(model))
    from torch import nn
    <BLANKLINE>
    network = nn.Sequential(
        nn.Conv2d(1, 4, (3, 3)),  # 0: conv2d
        nn.ReLU(),  # 1
        nn.Flatten(),  # 2: flatten
        nn.Linear(144, 2),  # 3: dense
    )
    <BLANKLINE>
    """
    rows = list(_rows(built_model(model)))
    image = image_of_result(model, model.input_shape)
    if image:
        H, W, C = image
        rows.append((f"Row({_arguments(C, H, W)})", ""))
    needed = [name for name in _CLASSES if any(text.startswith(f"{name}(") for text, _ in rows)]
    imports = "import torch\nfrom torch import nn\n" if "AveragePooling" in needed else "from torch import nn\n"
    classes = "".join(f"\n{_CLASSES[name]}" for name in needed)
    lines = [f"    {text},  # {number}{f': {name}' if name else ''}\n" for number, (text, name) in enumerate(rows)]
    double = ".double()" if model.dtype == "float64" else ""
    return f"{imports}{classes}{chr(10) if needed else ''}\nnetwork = nn.Sequential(\n{''.join(lines)}){double}\n"


def places(model: Network) -> dict[str, str]:
    """Return the number of the module with each layer's weights, as text, by the names of the layers."""
    return {name: str(number) for number, (_, name) in enumerate(_rows(model)) if name}


def _rows(model: Network) -> Iterator[tuple[str, str]]:
    """Yield the source of each module, and the name of the layer if the module is the first with its weights."""
    for layer in model.layers:
        maker = _MAKERS.get(type(layer))
        if maker is None:
            raise ValueError(f"{layer.label} has no counterpart in PyTorch here")
        named = list(maker(layer, layer.built_input_shape))
        # The module with the weights is the last but the activation: pads come before it.
        at = next((i for i, text in enumerate(named) if not text.startswith(("nn.ZeroPad2d", "nn.ConstantPad2d"))), 0)
        yield from ((text, str(layer.name) if i == at else "") for i, text in enumerate(named))


def _arguments(*given: Any, **named: tuple[Any, Any]) -> str:
    """Return arguments as source; those with names are left out at their defaults, which are given beside them."""
    texts = [repr(value) for value in given]
    return ", ".join(texts + [f"{key}={value!r}" for key, (value, default) in named.items() if value != default])


def _activation(layer: Any, shape: Shape) -> Iterator[str]:
    """Yield the module for the activation of a layer; there is none for the identity."""
    function = layer.activation
    config = function.get_config()
    known = {
        "relu": "nn.ReLU()",
        "sigmoid": "nn.Sigmoid()",
        "tanh": "nn.Tanh()",
        "gelu": "nn.GELU()",
        "softmax": "nn.Softmax(dim=1)" if len(shape) != 2 else "nn.Softmax(dim=-1)",
        "leaky_relu": f"nn.LeakyReLU({config.get('negative_slope')!r})",
        "elu": f"nn.ELU({config.get('alpha')!r})",
    }
    if function.name == "linear":
        return
    if function.name not in known:
        raise ValueError(f"{layer.label}: the activation {function.name!r} has no counterpart in PyTorch here")
    yield known[function.name]


def _pads(layer: Any) -> tuple[tuple[int, int], tuple[int, int, int, int] | None]:
    """Return pads that are the same at opposite sides, as (rows, columns); or zeros and pads as PyTorch pads images."""
    top, bottom, left, right = layer.window.pads
    if top == bottom and left == right:
        return (top, left), None
    return (0, 0), (left, right, top, bottom)


def _convolution(layer: Any, shape: Shape) -> Iterator[str]:
    filters, groups = layer.filters_and_groups(shape[2])
    padding, frame = _pads(layer)
    if frame:
        yield f"nn.ZeroPad2d({frame!r})"
    arguments = _arguments(
        shape[2], filters, layer.kernel_size, stride=(layer.strides, (1, 1)), padding=(padding, (0, 0)),
        dilation=(layer.dilation_rate, (1, 1)), groups=(groups, 1), bias=(layer.use_bias, True),
    )  # fmt: skip
    yield f"nn.Conv2d({arguments})"
    yield from _activation(layer, layer.built_output_shape)


def _dense(layer: Any, shape: Shape) -> Iterator[str]:
    bias = (layer.use_bias, True)
    if len(shape) == 3:
        yield f"nn.Conv2d({_arguments(shape[2], layer.units, (1, 1), bias=bias)})"
    else:
        yield f"nn.Linear({_arguments(shape[-1], layer.units, bias=bias)})"
    yield from _activation(layer, layer.built_output_shape)


def _batch_normalization(layer: Any, shape: Shape) -> Iterator[str]:
    momentum = float(np.round(1 - layer.momentum, 12))
    arguments = _arguments(
        shape[-1], eps=(layer.epsilon, 1e-5), momentum=(momentum, 0.1), affine=(layer.scale or layer.center, True)
    )
    if len(shape) == 2:
        raise ValueError(f"{layer.label}: PyTorch would normalize another axis of samples of shape {shape}")
    yield f"nn.BatchNorm{2 if len(shape) == 3 else 1}d({arguments})"


def _max_pooling(layer: Any, shape: Shape) -> Iterator[str]:
    padding, frame = _pads(layer)
    if frame:
        yield f"nn.ConstantPad2d({frame!r}, float('-inf'))"
    yield f"nn.MaxPool2d({_arguments(layer.pool_size, layer.strides, padding=(padding, (0, 0)))})"


def _average_pooling(layer: Any, shape: Shape) -> Iterator[str]:
    padding, frame = _pads(layer)
    if frame:
        yield f"AveragePooling({_arguments(layer.pool_size, layer.strides, frame)})"
    else:
        without = "" if padding == (0, 0) else f", padding={padding!r}, count_include_pad=False"
        yield f"nn.AvgPool2d({_arguments(layer.pool_size, layer.strides)}{without})"


def _whole_image(what: str) -> Callable[[Any, Shape], Iterator[str]]:
    def rows(layer: Any, shape: Shape) -> Iterator[str]:
        yield f"nn.{what}(1)"
        if not layer.keepdims:
            yield "nn.Flatten()"

    return rows


def _reshape(layer: Any, shape: Shape) -> Iterator[str]:
    after = layer.output_shape(shape)
    if after == shape:
        yield "nn.Identity()"
    elif len(after) == 1:
        yield "nn.Flatten()"
    elif len(shape) == 1 and len(after) == 3:
        yield f"Images({_arguments(*after)})"
    elif len(shape) < 3 and len(after) == 2:
        yield f"nn.Flatten(), nn.Unflatten(1, {after!r})"
    else:
        raise ValueError(f"{layer.label}: PyTorch keeps channels first, so this shape has other numbers there")


def _zero_padding(layer: Any, shape: Shape) -> Iterator[str]:
    (top, bottom), (left, right) = layer.padding
    yield f"nn.ZeroPad2d({(left, right, top, bottom)!r})"


def _one(text: Callable[[Any], str]) -> Callable[[Any, Shape], Iterator[str]]:
    return lambda layer, shape: iter([text(layer)])


_MAKERS: dict[type[Layer], Callable[[Any, Shape], Iterator[str]]] = {
    layers_module.Activation: _activation,
    layers_module.AveragePooling2D: _average_pooling,
    layers_module.BatchNormalization: _batch_normalization,
    layers_module.Conv2D: _convolution,
    layers_module.Dense: _dense,
    layers_module.DepthwiseConv2D: _convolution,
    layers_module.Dropout: _one(lambda layer: f"nn.Dropout({layer.rate!r})"),
    layers_module.ELU: _activation,
    layers_module.Flatten: _one(lambda layer: "nn.Flatten()"),
    layers_module.GaussianNoise: _one(lambda layer: "nn.Identity()"),  # it is one in prediction
    layers_module.GlobalAveragePooling2D: _whole_image("AdaptiveAvgPool2d"),
    layers_module.GlobalMaxPooling2D: _whole_image("AdaptiveMaxPool2d"),
    layers_module.LeakyReLU: _activation,
    layers_module.MaxPooling2D: _max_pooling,
    layers_module.ReLU: _activation,
    layers_module.Rescaling: _one(lambda layer: f"Rescaling({layer.scale!r}, {layer.offset!r})"),
    layers_module.Reshape: _reshape,
    layers_module.Softmax: _activation,
    layers_module.ZeroPadding2D: _zero_padding,
}
