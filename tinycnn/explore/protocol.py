"""What is inside a network as bytes: a description in JSON and the arrays, in one safetensors file.

The page of ``tinycnn explore`` is drawn from these bytes, and any other program can read them as well, because
safetensors has readers in many languages (Hugging Face, https://github.com/huggingface/safetensors): eight bytes with
the length of the header, the header in JSON with the dtype, shape and place of each array, and the arrays themselves,
little-endian and in C order. The description stands in the header's metadata under the key ``tinycnn``.

Arrays belong to one image and have no batch axis. Their names begin with the number of the layer, counted from 0:

=================  =====================================================================================
``x``              the input of the network (H, W, C)
``3.y``            the result of layer 3
``3.z``            its value before the activation, if the layer has one that is not linear
``3.mask``         what a dropout kept (1) and what it set to 0
``3.argmax``       the tap ``p*KW + q`` that won each window of a max-pooling
``3.mean``,        what a batch normalization has subtracted, and whose root it has divided by
``3.variance``
``3.dy``           the gradient of the loss by ``3.y``; only with a label
``3.dx``           the gradient by the layer's input, if it is not ``2.dy`` itself; only with a label
``3.kernel``, …    a parameter or a buffer by its name in the layer
``3.d_kernel``, …  the gradient of a parameter; only with a label, and for the whole batch
=================  =====================================================================================

>>> import numpy as np
>>> from tinycnn import Sequential, layers
>>> from tinycnn.explore import protocol
>>> model = Sequential([layers.Input((4, 4, 1)), layers.Conv2D(2, 3, activation="relu"), layers.Flatten()])
>>> arrays = protocol.of_trace(model.trace(np.ones((1, 4, 4, 1))))
>>> {name: array.shape for name, array in arrays.items()}
{'x': (4, 4, 1), '0.y': (2, 2, 2), '0.z': (2, 2, 2), '1.y': (8,)}
>>> description, same = protocol.unpack(protocol.pack(protocol.describe(model), arrays))
>>> description["layers"][0]["kind"], bool((same["0.y"] == arrays["0.y"]).all())
('Conv2D', True)
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from ..activations import ACTIVATIONS, ActivationFunction
from ..core.files import parse_json
from ..core.messages import shown
from ..core.types import Array
from ..inspection.receptive_field import receptive_fields
from ..inspection.trace import LayerTrace, Trace
from ..layers import LAYERS, ActivatedLayer, Activation, Conv2D, DepthwiseConv2D, Layer
from ..layers.batchnorm import BatchNormCache
from ..layers.pool import MaxPoolCache
from ..losses import LOSSES, Loss
from ..network.network import Network

#: The version of this protocol, which the description holds under ``"protocol"``.
PROTOCOL = 1
#: The key of the description in the metadata.
KEY = "tinycnn"
#: The name that a layer or an activation of a user's own has in place of one of tinycnn's.
OWN = "own"


def describe(model: Network) -> dict[str, Any]:
    """Return what a built network consists of, ready for JSON.

    Parameters
    ----------
    model : Sequential
        A built model.

    Returns
    -------
    dict
        ``name``, ``dtype``, ``backend``, ``input_shape``, ``output_shape``, ``loss`` (its ``name`` and constants; None
        unless the model is compiled), ``parameters`` (their number), and ``layers``, with an entry for each layer:

        - ``name``; ``kind``, the name of one of tinycnn's own classes, or ``"own"``; ``class``, the name of its class;
        - ``input_shape`` and ``output_shape`` without the batch axis;
        - ``parameters`` and ``buffers``: the shape of each by its name, and whether a parameter is ``trainable``;
        - ``field``: how many pixels of the input one of its results can depend on, (height, width); None if not known;
        - ``window``: ``size``, ``strides``, ``pads`` (top, bottom, left, right) and ``dilation``; None without one;
        - ``groups``: into how many groups a convolution divides its channels; None for other layers;
        - ``activation``: its ``name`` and its constants; None for a layer that has none;
        - ``settings``: what ``get_config`` returns; None if JSON cannot hold it.
    """
    fields = receptive_fields(model.layers, model.input_shape)
    return {
        "protocol": PROTOCOL,
        "name": model.name,
        "dtype": model.dtype,
        "backend": model.backend.name,
        "input_shape": list(model.input_shape),
        "output_shape": list(model.output_shape),
        "loss": _loss(model.loss) if model.compiled else None,
        "parameters": model.count_params(),
        "layers": [_described(layer, field) for layer, field in zip(model.layers, fields, strict=True)],
    }


def _described(layer: Layer, field: tuple[int, int] | None) -> dict[str, Any]:
    """Return what a layer is."""
    groups = None
    if isinstance(layer, Conv2D | DepthwiseConv2D):
        _, groups = layer.filters_and_groups(layer.built_input_shape[2])
    return {
        "name": layer.name,
        "kind": type(layer).__name__ if LAYERS.get(type(layer).__name__) is type(layer) else OWN,
        "class": type(layer).__name__,
        "input_shape": list(layer.built_input_shape),
        "output_shape": list(layer.built_output_shape),
        "parameters": {
            name: {"shape": list(parameter.value.shape), "trainable": bool(parameter.trainable)}
            for name, parameter in layer.params.items()
        },
        "buffers": {name: {"shape": list(array.shape)} for name, array in layer.buffers.items()},
        "field": None if field is None else list(field),
        "window": None if layer.window is None else {key: list(value) for key, value in layer.window._asdict().items()},
        "groups": groups,
        "activation": _activation(layer),
        "settings": _settings(layer),
    }


def _loss(loss: Loss) -> dict[str, Any]:
    """Return the name of a loss, ``"own"`` for a class of a user's own, and its constants."""
    if LOSSES.get(type(loss).name) is not type(loss):
        return {"name": OWN, "class": type(loss).__name__}
    return {"name": type(loss).name} | {key: value for key, value in loss.get_config().items() if key != "name"}


def _activation(layer: Layer) -> dict[str, Any] | None:
    """Return the name and the constants of a layer's activation."""
    if not isinstance(layer, ActivatedLayer | Activation):
        return None
    function: ActivationFunction = layer.activation
    if ACTIVATIONS.get(getattr(function, "name", OWN)) is not type(function):
        return {"name": OWN, "class": type(function).__name__}
    return {"name": function.name} | {name: float(getattr(function, name)) for name in function.constants}


def _settings(layer: Layer) -> Any:
    """Return a layer's configuration if JSON can hold it; that of a user's own layer may be anything."""
    try:
        config = layer.get_config()
        json.dumps(config, allow_nan=False)
    except Exception:
        return None
    return config


def of_trace(trace: Trace, image: int = 0) -> dict[str, Array]:
    """Return the arrays of one image of a trace, without those of parameters, which :func:`of_layer` returns.

    Parameters
    ----------
    trace : Trace
        What ``model.trace(x)`` or ``model.trace(x, y)`` returned.
    image : int
        The number of the image in the batch.

    Returns
    -------
    dict of str to array
        As the table at the top of this module says; float arrays keep their dtype and their bits.
    """
    arrays = {"x": trace[0].x[image]}
    below = None
    for number, entry in enumerate(trace):
        found = _of_pass(entry, image) | _gradients(entry, image, below)
        arrays |= {f"{number}.{name}": array for name, array in found.items()}
        below = entry.dy
    return arrays


def _of_pass(entry: LayerTrace, image: int) -> dict[str, Array]:
    """Return what a layer gave for one image, and what it kept of that."""
    found = {"y": entry.y[image]}
    if entry.z is not None and entry.z is not entry.y and not isinstance(entry.layer, Activation):
        found["z"] = entry.z[image]
    if entry.mask is not None:
        found["mask"] = entry.mask[image].astype(np.uint8)
    if isinstance(entry.cache, MaxPoolCache):
        found["argmax"] = entry.cache.argmax[image]
    if isinstance(entry.cache, BatchNormCache):
        found |= {"mean": entry.cache.mean, "variance": entry.cache.variance}
    return found


def _gradients(entry: LayerTrace, image: int, below: Array | None) -> dict[str, Array]:
    """Return the gradients by a layer's result and by its input; the latter only if it is not that of the layer below.

    The two differ where the loss has taken over a softmax.
    """
    if entry.dy is None or entry.dx is None:
        return {}
    found = {"dy": entry.dy[image]}
    if below is None or entry.dx is not below:
        found["dx"] = entry.dx[image]
    return found


def of_layer(entry: LayerTrace) -> dict[str, Array]:
    """Return what a layer holds: parameters, buffers and, with labels, the gradients of parameters as ``d_NAME``."""
    gradients = {f"d_{name}": array for name, array in entry.gradients.items()}
    return {**entry.parameters, **entry.buffers, **gradients}


def pack(description: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    """Return a description and arrays as bytes.

    Raises
    ------
    ValueError
        If the description has something that JSON cannot hold.
    """
    text = json.dumps(description, ensure_ascii=False, allow_nan=False)
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return bytes(safetensors.save(whole, {KEY: text}))


def unpack(data: bytes) -> tuple[Any, dict[str, Array]]:
    """Return the description and the arrays that :func:`pack` has packed.

    Raises
    ------
    ValueError
        If these are not bytes of this protocol, or those of another version of it.
    """
    try:
        arrays = safetensors.load(data)
    except SafetensorError as error:
        raise ValueError(f"data must be the bytes that pack has returned; they are no safetensors: {error}") from None
    header = parse_json(data[8 : 8 + int.from_bytes(data[:8], "little")])
    text = header.get("__metadata__", {}).get(KEY)
    if text is None:
        raise ValueError(f"data must be the bytes that pack has returned; they lack the description, {KEY!r}")
    description = parse_json(text)
    for network in (description, description.get("network")) if isinstance(description, dict) else ():
        if isinstance(network, dict) and network.get("protocol", PROTOCOL) != PROTOCOL:
            raise ValueError(
                f"data: the network is described in version {shown(network['protocol'])} of this protocol, and this "
                f"release of tinycnn reads version {PROTOCOL}; write the bytes again with this release"
            )
    return description, dict(arrays)
