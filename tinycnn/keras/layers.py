"""Layers, called as in Keras, of any version: the objects are the engine's own layers.

Arguments of Keras 1 and 2 (``nb_filter``, ``border_mode``, ``subsample``, ``init``, ``input_dim``, ``p``) are
understood. ``keras.layers.core`` and its like are this module.
"""

from typing import Any

import numpy as np

from .. import layers as engine
from ..core.checks import items
from ..core.description import constructor_arguments
from ..core.public import listing
from ..layers import Layer, deserialize, serialize
from . import _image_layers, _more_layers, _resizing, activations, constraints, initializers, regularizers
from ._missing import LAYERS as _MISSING
from ._spelling import Rule, Spelling, ignored, now, only, silent
from ._telling import is_one_of, looked_up, not_so, told

_CHANNELS = (
    "images are (N, H, W, C) here: transpose them with x.transpose(0, 2, 3, 1), write the input shape as (H, W, C), "
    "and leave the argument out"
)
_INITIALIZERS = ("kernel", "bias", "depthwise", "pointwise", "beta", "gamma", "moving_mean", "moving_variance")
_REGULARIZERS = ("kernel", "bias", "depthwise", "pointwise", "beta", "gamma")


def _dtype(kind: str, name: str, value: Any) -> dict[str, Any]:
    """Accept float32, which every layer has anyway, and uint8 for images, which the model converts."""
    if is_one_of(getattr(value, "name", value), None, "float32", "uint8", np.float32):
        return {}
    raise not_so(kind, name, value, "a model has one dtype: leave it out, or write Sequential(dtype='float64')")


def _without_batch(value: Any) -> Any:
    """Return the shape of one sample from one that begins with the batch axis."""
    return tuple(items(value, "batch_shape", "integers, the first of them for the batch axis")[1:])


def _axis(kind: str, name: str, value: Any) -> dict[str, Any]:
    """Accept the last axis of images by its number."""
    return {"axis": -1 if is_one_of(value, 3) else value}


_BASE: dict[str, Rule] = {
    "dtype": _dtype,
    "autocast": silent,
    "activity_regularizer": only(None, cure="penalties are for weights: kernel_regularizer='l2'"),
    "data_format": only(None, "channels_last", cure=_CHANNELS),
    "dim_ordering": only(None, "default", "tf", cure=_CHANNELS),
    "input_dim": now("input_shape", lambda length: (length,)),
    "batch_input_shape": now("input_shape", _without_batch),
    "batch_shape": now("input_shape", _without_batch),
    "batch_size": ignored("a batch may have any size"),
    "weights": only(None, cure="build the model first, and call layer.set_weights(weights)"),
    # Words of Keras 1, which only layers with weights and windows have.
    "init": now("kernel_initializer"),
    "W_regularizer": now("kernel_regularizer"),
    "b_regularizer": now("bias_regularizer"),
    "W_constraint": now("kernel_constraint"),
    "b_constraint": now("bias_constraint"),
    "bias": now("use_bias"),
    "border_mode": now("padding"),
    "subsample": now("strides"),
}
_CHANGES: dict[str, Any] = {
    "activation": activations.spelled,
    **{f"{one}_initializer": initializers.spelled for one in _INITIALIZERS},
    **{f"{one}_regularizer": regularizers.spelled for one in _REGULARIZERS},
}
_AFTER_BIAS = ("kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer")
_CONSTRAINTS = ("activity_regularizer", "kernel_constraint", "bias_constraint")


class LayerSpelling(Spelling):
    """A layer of the engine's, called as in Keras; constraints on its weights are kept beside its arguments."""

    def __init__(self, cls: type, order: tuple[str, ...] = (), **rules: Rule) -> None:
        super().__init__(cls, order, {**_BASE, **rules}, _CHANGES)
        known = constructor_arguments(cls)
        self._constraints = {
            name for name in constraints.PARAMETERS if name.replace("constraint", "initializer") in known
        }

    def __call__(self, *given: Any, **named: Any) -> Any:
        found = self.translated(given, named)
        wanted = {name: found.pop(name) for name in self._constraints & found.keys()}
        self.check(found)
        layer = self.cls(**found)
        constraints.keep(layer, wanted)
        return layer


class ConvolutionSpelling(LayerSpelling):
    """A convolution, which in Keras 1 was given the rows and the columns of its kernel as two numbers."""

    def __init__(self, cls: type, order: tuple[str, ...], *, old: bool = False, **rules: Rule) -> None:
        super().__init__(cls, order, **rules)
        self._old = old

    def translated(self, given: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        keras_1 = self._old or named.keys() & {"border_mode", "subsample", "init", "nb_filter", "dim_ordering"}
        numbers = [isinstance(one, int | np.integer) for one in given[1:3]] == [True, True]
        if numbers and not keras_1:
            self.cls(*given[:3])  # it raises an error that shows both ways to write it
        if numbers:
            named = {**named, "nb_row": given[1], "nb_col": given[2]}
            given = (given[0], *given[3:])
        if "nb_row" in named:
            rows, columns = named.pop("nb_row"), named.pop("nb_col", None)
            told(f"{self.__name__}: as in Keras 1, the kernel has {rows} rows and {columns} columns")
            named["kernel_size"] = (rows, columns)
            if given:  # what follows the number of filters by place is no kernel_size any more
                named, given = {**dict(zip((self.order[0], *_PLACES_1), given, strict=False)), **named}, ()
        return super().translated(given, named)


#: What follows rows and columns by place in Keras 1.
_PLACES_1 = ("kernel_initializer", "activation")
_CONV = (
    *("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups", "activation"),
    *("use_bias", *_AFTER_BIAS, *_CONSTRAINTS),
)
_DEPTHWISE = (
    *("kernel_size", "strides", "padding", "depth_multiplier", "data_format", "dilation_rate", "activation"),
    *("use_bias", "depthwise_initializer", "bias_initializer", "depthwise_regularizer", "bias_regularizer"),
    *("activity_regularizer", "depthwise_constraint", "bias_constraint"),
)
_SEPARABLE = (
    *("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "depth_multiplier"),
    *("activation", "use_bias", "depthwise_initializer", "pointwise_initializer", "bias_initializer"),
    *("depthwise_regularizer", "pointwise_regularizer", "bias_regularizer"),
)
_NORMALIZED = (
    *("axis", "momentum", "epsilon", "center", "scale", "beta_initializer", "gamma_initializer"),
    *("moving_mean_initializer", "moving_variance_initializer", "beta_regularizer", "gamma_regularizer"),
    *("beta_constraint", "gamma_constraint"),
)
_POOL = ("pool_size", "strides", "padding", "data_format")
_NO = {"cure": "leave the argument out"}
_filters = now("filters")

Activation = LayerSpelling(engine.Activation)
AveragePooling2D = AvgPool2D = LayerSpelling(engine.AveragePooling2D, _POOL)
BatchNormalization = LayerSpelling(
    engine.BatchNormalization,
    _NORMALIZED,
    axis=_axis,
    mode=only(0, **_NO),
    renorm=only(False, **_NO),
    renorm_clipping=only(None, **_NO),
    renorm_momentum=silent,
    fused=silent,
    synchronized=only(False, **_NO),
    virtual_batch_size=only(None, **_NO),
    beta_init=now("beta_initializer"),
    gamma_init=now("gamma_initializer"),
)
Conv2D = ConvolutionSpelling(engine.Conv2D, _CONV, nb_filter=_filters)
Convolution2D = ConvolutionSpelling(engine.Conv2D, _CONV, old=True, nb_filter=_filters)
Dense = LayerSpelling(
    engine.Dense,
    ("units", "activation", "use_bias", *_AFTER_BIAS, *_CONSTRAINTS),
    output_dim=now("units"),
    lora_rank=only(None, **_NO),
    lora_alpha=only(None, **_NO),
    quantization_config=only(None, **_NO),
)
DepthwiseConv2D = LayerSpelling(engine.DepthwiseConv2D, _DEPTHWISE)
Dropout = LayerSpelling(
    engine.Dropout,
    ("rate", "noise_shape", "seed"),
    p=now("rate"),
    noise_shape=only(None, cure="each number is dropped by itself: leave the argument out"),
)
ELU = LayerSpelling(engine.ELU)
Flatten = LayerSpelling(engine.Flatten, ("data_format",))
GaussianNoise = LayerSpelling(engine.GaussianNoise, sigma=now("stddev"))
GlobalAveragePooling2D = GlobalAvgPool2D = LayerSpelling(engine.GlobalAveragePooling2D, ("data_format", "keepdims"))
GlobalMaxPooling2D = GlobalMaxPool2D = LayerSpelling(engine.GlobalMaxPooling2D, ("data_format", "keepdims"))
LeakyReLU = LayerSpelling(engine.LeakyReLU, alpha=now("negative_slope"))
MaxPooling2D = MaxPool2D = LayerSpelling(engine.MaxPooling2D, _POOL)
Permute = LayerSpelling(_more_layers.Permute)
RandomContrast = LayerSpelling(_image_layers.RandomContrast)
RandomFlip = LayerSpelling(_image_layers.RandomFlip)
RandomRotation = LayerSpelling(
    _image_layers.RandomRotation, ("factor", "fill_mode", "interpolation", "seed", "fill_value"), value_range=silent
)
RandomTranslation = LayerSpelling(
    _image_layers.RandomTranslation,
    ("height_factor", "width_factor", "fill_mode", "interpolation", "seed", "fill_value"),
)
RandomZoom = LayerSpelling(
    _image_layers.RandomZoom, ("height_factor", "width_factor", "fill_mode", "interpolation", "seed", "fill_value")
)
ReLU = LayerSpelling(
    engine.ReLU,
    ("max_value", "negative_slope", "threshold"),
    max_value=only(None, cure="leave it out; tinycnn's ReLU has no upper limit"),
    negative_slope=only(0, 0.0, cure="use LeakyReLU(negative_slope)"),
    threshold=only(0, 0.0, cure="leave it out"),
)
Rescaling = LayerSpelling(engine.Rescaling)
Reshape = LayerSpelling(engine.Reshape, dims=now("target_shape"))
Resizing = LayerSpelling(
    _resizing.Resizing,
    pad_to_aspect_ratio=only(False, cure="pad the images before you give them to the model"),
    fill_mode=silent,
    fill_value=silent,
    antialias=only(False, **_NO),
)
SeparableConv2D = SeparableConvolution2D = LayerSpelling(_more_layers.SeparableConv2D, _SEPARABLE)
Softmax = LayerSpelling(engine.Softmax)
ZeroPadding2D = LayerSpelling(engine.ZeroPadding2D, ("padding", "data_format"))


def Input(  # noqa: N802 (Keras's name)
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: Any = None,
    batch_shape: Any = None,
    name: str | None = None,
    tensor: Any = None,
    optional: bool = False,
    *,
    input_shape: Any = None,
    batch_input_shape: Any = None,
    ragged: Any = None,
) -> engine.Input:
    """Return the shape of one sample, which comes first in a ``Sequential``.

    Parameters
    ----------
    shape, input_shape : tuple of int
        The shape of one sample; one of them, or of the next two, must be given.
    batch_shape, batch_input_shape : tuple
        The same with the batch axis before it, which may be None.
    batch_size, name : optional
        They have no effect: a batch may have any size, and an input has no name here.
    dtype : str, optional
        The model converts what it is given.
    sparse, ragged, tensor, optional
        Not possible.

    Examples
    --------
    >>> from tinycnn import keras
    >>> keras.Input(batch_shape=(None, 28, 28, 1))
    Input((28, 28, 1))
    """
    for argument, value in (("sparse", sparse), ("ragged", ragged), ("tensor", tensor), ("optional", optional)):
        if value:
            raise not_so("Input", argument, value, "inputs are arrays: leave the argument out")
    given = [one for one in (shape, input_shape) if one is not None]
    given += [_without_batch(one) for one in (batch_shape, batch_input_shape) if one is not None]
    if len(given) != 1:
        raise TypeError(f"Input takes one shape, Input(shape=(28, 28, 1)); got {len(given)}")
    return engine.Input(given[0])


InputLayer = Input

__all__ = [
    *sorted(name for name, one in dict(globals()).items() if isinstance(one, Spelling)),
    "Input",
    "InputLayer",
    "Layer",
    "deserialize",
    "serialize",
]
__dir__ = listing(__name__)
__getattr__ = looked_up(__name__, __all__, _MISSING)
