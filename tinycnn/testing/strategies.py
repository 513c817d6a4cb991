"""Hypothesis strategies: geometries, layers and losses with inputs that fit them, small networks.

Nothing is drawn and thrown away: output sizes are drawn and inputs derived, so every example is a valid one and
shrinking ends at a small case. Values come from a seed, because gradients need numbers in general position, which
Hypothesis's favourites (0, 1, equal numbers) are not.

>>> from hypothesis import given
>>> from tinycnn import testing
>>> @given(testing.strategies.layers_with_inputs())
... def test_gradients(case):
...     layer, x = case
...     testing.check_gradients(layer, x)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from .. import layers as layers_module
from .. import losses as losses_module
from ..core.types import Array, Shape
from ..kernels.geometry import Pads, Pair, Window
from ..layers.base import Layer
from ..losses import Loss
from ..sequential import Sequential

Draw = Callable[..., Any]
_SEEDS = st.integers(0, 2**16)


class ConvGeometry(NamedTuple):
    """One convolution's sizes; see :func:`conv_geometries`."""

    batch: int
    input_size: Pair
    output_size: Pair
    channels: int
    filters: int
    groups: int
    kernel_size: Pair
    strides: Pair
    dilation: Pair
    pads: Pads

    @property
    def input_shape(self) -> Shape:
        """(N, H, W, C)."""
        return (self.batch, *self.input_size, self.channels)

    @property
    def kernel_shape(self) -> Shape:
        """(KH, KW, C // groups, F)."""
        return (*self.kernel_size, self.channels // self.groups, self.filters)


class PoolGeometry(NamedTuple):
    """One pooling's sizes; see :func:`pool_geometries`."""

    batch: int
    input_size: Pair
    output_size: Pair
    channels: int
    pool_size: Pair
    strides: Pair
    pads: Pads

    @property
    def input_shape(self) -> Shape:
        """(N, H, W, C)."""
        return (self.batch, *self.input_size, self.channels)


@st.composite
def conv_geometries(
    draw: Draw,
    *,
    max_batch: int = 3,
    max_kernel: int = 4,
    max_stride: int = 3,
    max_dilation: int = 2,
    max_group: int = 3,
    max_channels: int = 3,
    max_output: int = 4,
    pads: bool = True,
) -> ConvGeometry:
    """Convolutions of every kind: strides, dilation, groups, pads that differ from side to side.

    Kernel, stride, dilation, pads and the *output* size are drawn; the input size follows, with up to ``stride - 1``
    rows and columns that no window reaches.

    Parameters
    ----------
    max_batch, max_kernel, max_stride, max_dilation, max_group, max_channels, max_output : int
        Upper bounds; ``max_channels`` is per group.
    pads : bool
        False draws no padding.

    Returns
    -------
    strategy of ConvGeometry
    """
    sizes = [_draw_axis(draw, max_kernel, max_stride, max_dilation, max_output, pads) for _ in range(2)]
    kernel, stride, dilation, output, length, before, after = zip(*sizes, strict=True)
    groups = draw(st.integers(1, max_group))
    return ConvGeometry(
        batch=draw(st.integers(1, max_batch)),
        input_size=length,
        output_size=output,
        channels=groups * draw(st.integers(1, max_channels)),
        filters=groups * draw(st.integers(1, max_channels)),
        groups=groups,
        kernel_size=kernel,
        strides=stride,
        dilation=dilation,
        pads=(before[0], after[0], before[1], after[1]),
    )


@st.composite
def pool_geometries(
    draw: Draw,
    *,
    max_batch: int = 3,
    max_pool: int = 4,
    max_stride: int = 3,
    max_channels: int = 4,
    max_output: int = 4,
) -> PoolGeometry:
    """Pooling windows, side by side, overlapping or apart, with pads smaller than the window.

    Returns
    -------
    strategy of PoolGeometry
    """
    sizes = [_draw_axis(draw, max_pool, max_stride, 1, max_output, True) for _ in range(2)]
    kernel, stride, _, output, length, before, after = zip(*sizes, strict=True)
    return PoolGeometry(
        batch=draw(st.integers(1, max_batch)),
        input_size=length,
        output_size=output,
        channels=draw(st.integers(1, max_channels)),
        pool_size=kernel,
        strides=stride,
        pads=(before[0], after[0], before[1], after[1]),
    )


def _draw_axis(draw: Draw, max_kernel: int, max_stride: int, max_dilation: int, max_output: int, pads: bool) -> Shape:
    """(kernel, stride, dilation, output, input, pad before, pad after) along one axis."""
    kernel = draw(st.integers(1, max_kernel))
    stride = draw(st.integers(1, max_stride))
    dilation = draw(st.integers(1, max_dilation)) if kernel > 1 else 1
    output = draw(st.integers(1, max_output))
    extent = dilation * (kernel - 1) + 1
    padded = stride * (output - 1) + extent + draw(st.integers(0, stride - 1))
    # Smaller than the window, so that no window lies in the pads alone, and at least one pixel remains.
    most = min(extent - 1, padded - 1) if pads else 0
    before = draw(st.integers(0, most))
    after = draw(st.integers(0, min(extent - 1, padded - 1 - before) if pads else 0))
    window = Window((kernel, 1), (stride, 1), (before, after, 0, 0), (dilation, 1))
    length = padded - before - after
    assert window.output_size((length, 1))[0] == output
    return kernel, stride, dilation, output, length, before, after


@st.composite
def arrays(draw: Draw, shape: Shape, *, dtype: str = "float64") -> Array:
    """Normally distributed numbers from a drawn seed.

    Returns
    -------
    strategy of arrays
    """
    return np.random.default_rng(draw(_SEEDS)).normal(size=shape).astype(dtype)


@st.composite
def separated_arrays(draw: Draw, shape: Shape, *, dtype: str = "float64") -> Array:
    """Numbers in [-1, 1] that are all different from each other and from 0, by at least one over their count.

    No ties for a max-pool, no kinks for a ReLU. The idea is Chainer's (``pooling_nd_helper.shuffled_linspace``).

    Returns
    -------
    strategy of arrays
    """
    count = int(np.prod(shape))
    ranks = np.random.default_rng(draw(_SEEDS)).permutation(count)
    return ((2 * ranks + 1 - count + (count % 2)) / max(count, 1)).reshape(shape).astype(dtype)


# Layers -------------------------------------------------------------------------------------------------------

_LAYER_STRATEGIES: dict[type[Layer], Callable[[], st.SearchStrategy[tuple[Layer, Array]]]] = {}


def register(layer_class: type[Layer], strategy: Callable[[], st.SearchStrategy[tuple[Layer, Array]]]) -> None:
    """Tell :func:`layers_with_inputs` how to draw a class whose constructor needs arguments.

    Parameters
    ----------
    layer_class : type
    strategy : callable
        Gives a strategy of (layer not built yet, float64 batch that fits it).
    """
    _LAYER_STRATEGIES[layer_class] = strategy


def layers_with_inputs(*layer_classes: type[Layer]) -> st.SearchStrategy[tuple[Layer, Array]]:
    """A layer that is not built yet and a float64 batch that fits it.

    Parameters
    ----------
    *layer_classes : type
        By default all of :data:`tinycnn.layers.LAYERS`.

    Returns
    -------
    strategy of (Layer, array)

    Raises
    ------
    LookupError
        For a class that cannot be made without arguments and that was not given to :func:`register`.
    """
    classes = layer_classes or tuple(layers_module.LAYERS.values())
    return st.one_of([_strategy_of(layer_class) for layer_class in classes])


def _strategy_of(layer_class: type[Layer]) -> st.SearchStrategy[tuple[Layer, Array]]:
    if layer_class in _LAYER_STRATEGIES:
        return _LAYER_STRATEGIES[layer_class]()
    try:
        layer_class()
    except TypeError as error:
        raise LookupError(
            f"{layer_class.__name__} cannot be made without arguments ({error}): say how to draw it with "
            "testing.strategies.register(layer_class, strategy)"
        ) from error
    return st.tuples(st.builds(layer_class), _images().flatmap(separated_arrays))


def _images(max_size: int = 5) -> st.SearchStrategy[Shape]:
    """Shapes of small batches of images."""
    return st.tuples(st.integers(1, 3), st.integers(1, max_size), st.integers(1, max_size), st.integers(1, 3))


def _batches() -> st.SearchStrategy[Shape]:
    """Shapes of small batches of images, rows of images, or vectors."""
    return st.lists(st.integers(1, 4), min_size=2, max_size=4).map(tuple)


_ACTIVATION_NAMES = st.sampled_from(sorted(layers_module.base.activations.ACTIVATIONS))
_PADDING = st.sampled_from(["valid", "same"])
_REGULARIZERS = st.sampled_from([None, "l2", {"class_name": "L2", "config": {"l2": 0.5}}])


def _convolution_arguments(draw: Draw, g: ConvGeometry) -> dict[str, Any]:
    """What both convolutions take. ``same`` makes pads of its own; Keras has no strides together with dilation."""
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
    layer = layers_module.Conv2D(
        g.filters,
        groups=g.groups,
        kernel_regularizer=draw(_REGULARIZERS),
        **_convolution_arguments(draw, g),
    )
    return layer, draw(arrays(g.input_shape))


@st.composite
def _depthwise_conv2d(draw: Draw) -> tuple[Layer, Array]:
    g = draw(conv_geometries(pads=False, max_group=1))
    layer = layers_module.DepthwiseConv2D(
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
    layer = layers_module.Dense(
        draw(st.integers(1, 4)),
        activation=draw(_ACTIVATION_NAMES),
        use_bias=draw(st.booleans()),
        bias_initializer="glorot_uniform",
        kernel_regularizer=draw(_REGULARIZERS),
        bias_regularizer=draw(_REGULARIZERS),
    )
    return layer, draw(_batches().flatmap(arrays))


@st.composite
def _batch_norm(draw: Draw) -> tuple[Layer, Array]:
    layer = layers_module.BatchNormalization(
        epsilon=draw(st.sampled_from([1e-3, 1e-2])),
        center=draw(st.booleans()),
        scale=draw(st.booleans()),
        beta_initializer="glorot_uniform",
        gamma_initializer="glorot_uniform",
    )
    return layer, draw(_batches().flatmap(arrays))


@st.composite
def _reshape(draw: Draw) -> tuple[Layer, Array]:
    """A sample's axes in another order, as a shape; one of them perhaps left to be worked out."""
    shape = draw(_batches())
    target = draw(st.permutations(shape[1:]))
    if draw(st.booleans()):
        target[draw(st.integers(0, len(target) - 1))] = -1
    return layers_module.Reshape(tuple(target)), draw(separated_arrays(shape))


def _on(
    shapes: st.SearchStrategy[Shape], layer_class: Callable[..., Layer], *arguments: Any, **named: Any
) -> Callable[[], st.SearchStrategy[tuple[Layer, Array]]]:
    """A layer of drawn arguments and a batch of drawn shape, without ties or kinks."""
    return lambda: st.tuples(st.builds(layer_class, *arguments, **named), shapes.flatmap(separated_arrays))


_sides = st.integers(0, 2)
_frames = st.one_of(_sides, st.tuples(_sides, _sides), st.tuples(*[st.tuples(_sides, _sides)] * 2))
_positive = st.floats(0, 2)
_rates = st.sampled_from([0.0, 0.1, 0.5, 0.9])

register(layers_module.Conv2D, _conv2d)
register(layers_module.DepthwiseConv2D, _depthwise_conv2d)
register(layers_module.MaxPooling2D, lambda: _pooling(layers_module.MaxPooling2D))
register(layers_module.AveragePooling2D, lambda: _pooling(layers_module.AveragePooling2D))
for _pool in (layers_module.GlobalMaxPooling2D, layers_module.GlobalAveragePooling2D):
    register(_pool, _on(_images(), _pool, keepdims=st.booleans()))
register(layers_module.Dense, _dense)
register(layers_module.BatchNormalization, _batch_norm)
register(layers_module.Dropout, _on(_batches(), layers_module.Dropout, _rates, seed=_SEEDS))
register(layers_module.GaussianNoise, _on(_batches(), layers_module.GaussianNoise, st.floats(0, 1), seed=_SEEDS))
register(layers_module.Activation, _on(_batches(), layers_module.Activation, _ACTIVATION_NAMES))
register(layers_module.LeakyReLU, _on(_batches(), layers_module.LeakyReLU, _positive))
register(layers_module.ELU, _on(_batches(), layers_module.ELU, _positive))
register(layers_module.Flatten, _on(_batches(), layers_module.Flatten))
register(layers_module.Reshape, _reshape)
register(layers_module.ZeroPadding2D, _on(_images(), layers_module.ZeroPadding2D, _frames))
register(layers_module.Rescaling, _on(_batches(), layers_module.Rescaling, st.floats(-3, 3), st.floats(-3, 3)))


# Losses -------------------------------------------------------------------------------------------------------

LossCase = tuple[Loss, Array, Array]
_LOSS_STRATEGIES: dict[type[Loss], Callable[[], st.SearchStrategy[LossCase]]] = {}


def register_loss(loss_class: type[Loss], strategy: Callable[[], st.SearchStrategy[LossCase]]) -> None:
    """Tell :func:`losses_with_inputs` how to draw a loss.

    Parameters
    ----------
    loss_class : type
    strategy : callable
        Gives a strategy of (loss, float64 predictions, targets that fit them).
    """
    _LOSS_STRATEGIES[loss_class] = strategy


def losses_with_inputs(*loss_classes: type[Loss]) -> st.SearchStrategy[LossCase]:
    """A loss with drawn settings, float64 predictions (N, …), and targets that fit them.

    Parameters
    ----------
    *loss_classes : type
        By default all of :data:`tinycnn.losses.LOSSES`.

    Returns
    -------
    strategy of (Loss, array, array)

    Raises
    ------
    LookupError
        For a class that was not given to :func:`register_loss`.
    """
    classes = loss_classes or tuple(losses_module.LOSSES.values())
    for loss_class in classes:
        if loss_class not in _LOSS_STRATEGIES:
            raise LookupError(
                f"say how to draw {loss_class.__name__}, with predictions and targets: "
                "testing.strategies.register_loss(loss_class, strategy)"
            )
    return st.one_of([_LOSS_STRATEGIES[loss_class]() for loss_class in classes])


def _scores(draw: Draw, from_logits: bool) -> tuple[Array, np.random.Generator]:
    """Logits or probabilities (N, classes), and what to draw targets with."""
    rng = np.random.default_rng(draw(_SEEDS))
    scores = rng.normal(size=(draw(st.integers(1, 5)), draw(st.integers(2, 6))))
    if not from_logits:
        scores = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return scores, rng


@st.composite
def _sparse_crossentropy(draw: Draw) -> LossCase:
    loss = losses_module.SparseCategoricalCrossentropy(draw(st.booleans()))
    scores, rng = _scores(draw, loss.from_logits)
    return loss, scores, rng.integers(0, scores.shape[1], len(scores))


@st.composite
def _categorical_crossentropy(draw: Draw) -> LossCase:
    loss = losses_module.CategoricalCrossentropy(draw(st.booleans()), draw(st.sampled_from([0.0, 0.1, 1.0])))
    scores, rng = _scores(draw, loss.from_logits)
    N, K = scores.shape
    one_hot = draw(st.booleans())
    return loss, scores, np.eye(K)[rng.integers(0, K, N)] if one_hot else rng.dirichlet(np.ones(K), N)


@st.composite
def _mean_squared_error(draw: Draw) -> LossCase:
    y_pred, y = draw(arrays((2, *draw(_batches()))))  # of one seed: two could be the same, where there is no slope
    return losses_module.MeanSquaredError(), y_pred, y


register_loss(losses_module.SparseCategoricalCrossentropy, _sparse_crossentropy)
register_loss(losses_module.CategoricalCrossentropy, _categorical_crossentropy)
register_loss(losses_module.MeanSquaredError, _mean_squared_error)


# Networks -----------------------------------------------------------------------------------------------------


@st.composite
def small_networks(draw: Draw, *, dtype: str = "float64") -> tuple[Sequential, Array, Array]:
    """A compiled classifier of a few layers, a batch, and labels.

    Returns
    -------
    strategy of (Sequential, (N, H, W, C) array, (N,) array)
    """
    size, channels, classes = draw(st.integers(4, 7)), draw(st.integers(1, 2)), draw(st.integers(2, 4))
    model = Sequential([layers_module.Input((size, size, channels))], dtype=dtype)
    model.seed = draw(_SEEDS)
    for _ in range(draw(st.integers(0, 2))):
        model.add(layers_module.Conv2D(draw(st.integers(1, 3)), 3, padding="same", activation="relu"))
        if draw(st.booleans()):
            model.add(layers_module.BatchNormalization())
        if draw(st.booleans()):
            model.add(layers_module.Dropout(0.25))
        if draw(st.booleans()) and model.output_shape[0] > 2:
            model.add(layers_module.MaxPooling2D(2))
    model.add(layers_module.Flatten())
    model.add(layers_module.Dense(classes, activation="softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"])
    rng = np.random.default_rng(model.seed)
    batch = draw(st.integers(1, 4))
    return model, rng.normal(size=(batch, size, size, channels)).astype(dtype), rng.integers(0, classes, (batch,))
