"""Strategies for layers together with inputs that fit them."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from ... import activations, layers
from ...core.types import Array, Shape
from ...layers.base import Layer
from ._values import SEEDS, Draw, arrays, batches, images, separated_arrays
from .geometries import ConvGeometry, conv_geometries, pool_geometries

_LAYER_STRATEGIES: dict[type[Layer], Callable[[], st.SearchStrategy[tuple[Layer, Array]]]] = {}


def register(layer_class: type[Layer], strategy: Callable[[], st.SearchStrategy[tuple[Layer, Array]]]) -> None:
    """Tell :func:`layers_with_inputs` how to draw a class whose constructor needs arguments.

    Parameters
    ----------
    layer_class : type
        The class of the layer.
    strategy : callable
        ``strategy()`` must return a strategy of pairs: a layer that is not built yet, and a float64 batch that fits it.
    """
    _LAYER_STRATEGIES[layer_class] = strategy


def layers_with_inputs(*layer_classes: type[Layer]) -> st.SearchStrategy[tuple[Layer, Array]]:
    """Draw a layer that is not built yet, and a float64 batch that fits it.

    Parameters
    ----------
    *layer_classes : type
        The classes to draw from; by default all in :data:`tinycnn.layers.LAYERS`.

    Returns
    -------
    strategy of (Layer, array)

    Raises
    ------
    LookupError
        If a class cannot be made without arguments and was not given to :func:`register`.
    """
    classes = layer_classes or tuple(layers.LAYERS.values())
    return st.one_of([_strategy_of(layer_class) for layer_class in classes])


def _strategy_of(layer_class: type[Layer]) -> st.SearchStrategy[tuple[Layer, Array]]:
    """Return the strategy for a class: the registered one, or one that makes it without arguments."""
    if layer_class in _LAYER_STRATEGIES:
        return _LAYER_STRATEGIES[layer_class]()
    try:
        layer_class()
    except TypeError as error:
        raise LookupError(
            f"{layer_class.__name__} cannot be made without arguments ({error}); say how to draw it with "
            "testing.strategies.register(layer_class, strategy)"
        ) from error
    return st.tuples(st.builds(layer_class), images().flatmap(separated_arrays))


_ACTIVATION_NAMES = st.sampled_from(sorted(activations.ACTIVATIONS))
_PADDING = st.sampled_from(["valid", "same"])
_REGULARIZERS = st.sampled_from([None, "l2", {"class_name": "L2", "config": {"l2": 0.5}}])


def _convolution_arguments(draw: Draw, g: ConvGeometry) -> dict[str, Any]:
    """Draw the arguments that both convolutions take.

    The drawn pads are not used, because ``padding`` determines them. As in Keras, there are no strides together with
    dilation.
    """
    return {
        "kernel_size": g.kernel_size,
        "strides": g.strides if g.dilation == (1, 1) else (1, 1),
        "padding": draw(_PADDING),
        "dilation_rate": g.dilation,
        "activation": draw(_ACTIVATION_NAMES),
        "use_bias": draw(st.booleans()),
        "bias_initializer": "glorot_uniform",
        "bias_regularizer": draw(_REGULARIZERS),
    }


@st.composite
def _conv2d(draw: Draw) -> tuple[Layer, Array]:
    g = draw(conv_geometries(pads=False))
    layer = layers.Conv2D(
        g.filters,
        groups=g.groups,
        kernel_regularizer=draw(_REGULARIZERS),
        **_convolution_arguments(draw, g),
    )
    return layer, draw(arrays(g.input_shape))


@st.composite
def _depthwise_conv2d(draw: Draw) -> tuple[Layer, Array]:
    g = draw(conv_geometries(pads=False, max_group=1))
    layer = layers.DepthwiseConv2D(
        depth_multiplier=g.filters,
        depthwise_regularizer=draw(_REGULARIZERS),
        **_convolution_arguments(draw, g),
    )
    return layer, draw(arrays(g.input_shape))


@st.composite
def _pooling(draw: Draw, layer_class: Callable[..., Layer]) -> tuple[Layer, Array]:
    g = draw(pool_geometries())
    layer = layer_class(g.pool_size, g.strides, draw(_PADDING))
    size = tuple(max(length, pool) for length, pool in zip(g.input_size, g.pool_size, strict=True))
    return layer, draw(separated_arrays((g.batch, *size, g.channels)))


@st.composite
def _dense(draw: Draw) -> tuple[Layer, Array]:
    layer = layers.Dense(
        draw(st.integers(1, 4)),
        activation=draw(_ACTIVATION_NAMES),
        use_bias=draw(st.booleans()),
        bias_initializer="glorot_uniform",
        kernel_regularizer=draw(_REGULARIZERS),
        bias_regularizer=draw(_REGULARIZERS),
    )
    return layer, draw(batches().flatmap(arrays))


@st.composite
def _batch_norm(draw: Draw) -> tuple[Layer, Array]:
    layer = layers.BatchNormalization(
        epsilon=draw(st.sampled_from([1e-3, 1e-2])),
        center=draw(st.booleans()),
        scale=draw(st.booleans()),
        beta_initializer="glorot_uniform",
        gamma_initializer="glorot_uniform",
    )
    return layer, draw(batches().flatmap(arrays))


@st.composite
def _reshape(draw: Draw) -> tuple[Layer, Array]:
    """Draw a target shape with the lengths of the sample's axes in another order; one of them may be -1."""
    shape = draw(batches())
    target = draw(st.permutations(shape[1:]))
    if draw(st.booleans()):
        target[draw(st.integers(0, len(target) - 1))] = -1
    return layers.Reshape(tuple(target)), draw(separated_arrays(shape))


def _on(
    shapes: st.SearchStrategy[Shape], layer_class: Callable[..., Layer], *arguments: Any, **named: Any
) -> Callable[[], st.SearchStrategy[tuple[Layer, Array]]]:
    """Return a strategy of layers with drawn arguments, and of batches without ties or kinks."""
    return lambda: st.tuples(st.builds(layer_class, *arguments, **named), shapes.flatmap(separated_arrays))


_sides = st.integers(0, 2)
_frames = st.one_of(_sides, st.tuples(_sides, _sides), st.tuples(*[st.tuples(_sides, _sides)] * 2))
_positive = st.floats(0, 2)
_rates = st.sampled_from([0.0, 0.1, 0.5, 0.9])

register(layers.Conv2D, _conv2d)
register(layers.DepthwiseConv2D, _depthwise_conv2d)
register(layers.MaxPooling2D, lambda: _pooling(layers.MaxPooling2D))
register(layers.AveragePooling2D, lambda: _pooling(layers.AveragePooling2D))
for _pool in (layers.GlobalMaxPooling2D, layers.GlobalAveragePooling2D):
    register(_pool, _on(images(), _pool, keepdims=st.booleans()))
register(layers.Dense, _dense)
register(layers.BatchNormalization, _batch_norm)
register(layers.Dropout, _on(batches(), layers.Dropout, _rates, seed=SEEDS))
register(layers.GaussianNoise, _on(batches(), layers.GaussianNoise, st.floats(0, 1), seed=SEEDS))
register(layers.Activation, _on(batches(), layers.Activation, _ACTIVATION_NAMES))
register(layers.LeakyReLU, _on(batches(), layers.LeakyReLU, _positive))
register(layers.ELU, _on(batches(), layers.ELU, _positive))
register(layers.Flatten, _on(batches(), layers.Flatten))
register(layers.Reshape, _reshape)
register(layers.ZeroPadding2D, _on(images(), layers.ZeroPadding2D, _frames))
# Beside an offset of 1, a scale of 1e-11 would be lost in rounding.
_eighths = st.integers(-24, 24).map(lambda n: n / 8)
register(layers.Rescaling, _on(batches(), layers.Rescaling, _eighths, _eighths))
