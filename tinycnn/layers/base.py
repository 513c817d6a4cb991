"""What a layer is: a shape rule, parameters, and which kernels to call."""

import copy
import inspect
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple, NoReturn

import numpy as np

from .. import activations, initializers, regularizers
from ..core import seeding
from ..core.backend import Backend, get_backend
from ..core.checks import arguments, array, boolean, float_dtype, items, optional_name, shape, shown, unexpected
from ..core.registry import Named
from ..core.types import Array, Config, Shape
from ..core.workspace import Workspace
from ..kernels.geometry import Window

#: The most numbers that one array of weights, or one sample between two layers, may hold: 1 GiB of float32. VGG16's
#: largest, which is not a small network's, is a third of it.
MAX_NUMBERS = 2**28

Cache = Any  # a NamedTuple of the layer's own; what backward needs of forward


class Parameter:
    """A trained array and its gradient.

    Attributes
    ----------
    value : array
        Updated in place by the optimizer.
    grad : array
        Overwritten by each backward.
    trainable : bool
    regularizer : Regularizer or None
        Its penalty on the value is part of the loss while the parameter is trainable.
    """

    def __init__(
        self, value: Array, trainable: bool = True, regularizer: regularizers.Regularizer | None = None
    ) -> None:
        self.value = value
        self.grad = np.zeros_like(value)
        self.trainable = trainable
        self.regularizer = regularizer

    def penalty(self) -> float:
        """What the regularizer adds to the loss."""
        return self.regularizer.penalty(self.value) if self.regularizer and self.trainable else 0.0

    def add_penalty_gradient(self) -> None:
        """Add the regularizer's gradient to what backward has written; once for each backward."""
        if self.regularizer and self.trainable:
            self.grad += self.regularizer.gradient(self.value)

    def __repr__(self) -> str:
        return f"Parameter(shape={self.value.shape}, dtype={self.value.dtype}, trainable={self.trainable})"


class Layer:
    """Base of all layers.

    A layer of your own defines :meth:`output_shape`, :meth:`forward`, :meth:`backward` and, if it has parameters,
    :meth:`create`. Store every constructor argument under its own name and saving and loading work too.

    Parameters
    ----------
    name : str, optional
        By default the class's name in snake case, numbered within a model.
    input_shape : tuple of int, optional
        The shape of one sample; makes an ``Input`` before a first layer unnecessary.
    trainable : bool
        False freezes the layer's parameters.

    Attributes
    ----------
    params : dict of str to Parameter
    buffers : dict of str to array
        State that is saved but not trained (moving statistics).
    built_input_shape, built_output_shape : tuple of int
        Known once built; without the batch axis.
    sees_everything : bool
        Set it to True in the class of a layer of your own whose every output depends on the whole image, or on the
        whole row of numbers: its receptive field follows from it. Otherwise a layer counts as working pixel by pixel
        if it keeps the shape, and what an output sees is not known if it does not.
    """

    #: The sliding window, for layers that have one; a receptive field is computed from these.
    window: Window | None = None
    #: Whether every output sees all of the input, of an image all pixels.
    sees_everything: ClassVar[bool] = False

    def __init__(
        self, *, name: str | None = None, input_shape: Shape | None = None, trainable: bool = True, **other: Any
    ) -> None:
        if other:
            raise unexpected(type(self), other)
        self.name = optional_name(name)
        self.input_shape = None if input_shape is None else shape(input_shape, "input_shape")
        self.params: dict[str, Parameter] = {}
        self.buffers: dict[str, Array] = {}
        self.built = False
        self.trainable = trainable

    @property
    def trainable(self) -> bool:
        """Whether the optimizer moves this layer's parameters; may be set at any time."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = boolean(value, "trainable")
        for parameter in self.params.values():
            parameter.trainable = value

    @property
    def trains(self) -> bool:
        """Whether the optimizer moves any of the parameters: each has a flag of its own too."""
        return any(parameter.trainable for parameter in self.params.values())

    # What a layer defines -------------------------------------------------------------------------------------

    def output_shape(self, input_shape: Shape) -> Shape:
        """The shape of one result for the shape of one sample; pure. Raises ValueError where none fits."""
        return shape(input_shape, "input_shape")

    def create(self, input_shape: Shape, rng: np.random.Generator) -> None:
        """Make parameters and buffers with :meth:`add_parameter` and :meth:`add_buffer`; none by default."""

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, Cache | None]:
        """The result for a batch, and what backward needs (None unless ``training``).

        Parameters
        ----------
        x : (N, \\*input_shape) array
        training : bool
        step : int
            The optimizer step; names the masks of layers with randomness.
        ws : Workspace, optional
            Memory to reuse; without it every result is a fresh array.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def backward(self, dy: Array, cache: Cache, *, ws: Workspace | None = None) -> Array:
        """dx, the gradient by the input; overwrites the gradient of each parameter on the way.

        Parameters
        ----------
        dy : (N, \\*output_shape) array
            The gradient of the loss by this layer's result. With ``ws`` given it may be overwritten.
        cache
            From the forward with ``training=True``.
        ws : Workspace, optional
        """
        raise NotImplementedError(f"{type(self).__name__} does not define backward")

    def backward_parameters(self, dy: Array, cache: Cache, *, ws: Workspace | None = None) -> None:
        """:meth:`backward` for a caller that has no use for dx: the first layer of a network in training."""
        self.backward(dy, cache, ws=ws)

    # What a layer is given ------------------------------------------------------------------------------------

    def build(
        self,
        input_shape: Shape,
        *,
        rng: np.random.Generator | None = None,
        dtype: str = "float32",
        backend: Backend | None = None,
    ) -> Shape:
        """Fix shapes, dtype and backend, make the parameters, and return the output shape.

        Parameters
        ----------
        input_shape : tuple of int
            Without the batch axis.
        rng : numpy.random.Generator, optional
            Draws initial values; by default one from :func:`tinycnn.set_seed`'s stream.
        dtype : {"float32", "float64"}
        backend : Backend, optional
            By default the current one.

        Raises
        ------
        ValueError
            If the layer cannot take ``input_shape``, or an array would hold more than 2**28 numbers.
        """
        if not isinstance(rng, np.random.Generator | None):
            raise TypeError(f"{self.label}: rng must be a numpy.random.Generator; got {shown(rng)}")
        if not isinstance(backend, Backend | None):
            raise TypeError(f"{self.label}: backend must be a Backend; got {shown(backend)}")
        self.name = self.name or snake_case(type(self).__name__)
        self.backend = backend or get_backend()
        self.dtype = float_dtype(dtype, "dtype")
        self._fix_shapes(input_shape)
        self.params, self.buffers = {}, {}
        if rng is None:
            rng = seeding.generator(seeding.new_model_seed(), seeding.Stream.INITIALISE, 0)
        self.create(self.built_input_shape, rng)
        self.built = True
        return self.built_output_shape

    def _fix_shapes(self, input_shape: Shape) -> None:
        self.built_input_shape = shape(input_shape, "input_shape")
        self._check_size(self.built_input_shape, "a sample")
        self.built_output_shape = self.output_shape(self.built_input_shape)
        self._check_size(self.built_output_shape, "a result")

    def _check_size(self, shape: Shape, what: str) -> None:
        if math.prod(shape) > MAX_NUMBERS:
            raise ValueError(f"{self.label}: {what} of shape {shown(shape)} is more than the limit of 2**28 numbers")

    def add_parameter(
        self,
        name: str,
        shape: Shape,
        initializer: initializers.Initializer | str,
        rng: np.random.Generator,
        regularizer: regularizers.Regularizer | None = None,
    ) -> None:
        """Make ``params[name]``, drawn by ``initializer``: one, or its name."""
        self._check_free(name)
        self.params[name] = self._parameter(self._array(shape, initializers.get(initializer), rng), regularizer)

    def add_buffer(self, name: str, shape: Shape, initializer: initializers.Initializer | str) -> None:
        """Make ``buffers[name]``; its initializer, or the name of one, draws nothing random."""
        self._check_free(name)
        self.buffers[name] = self.constant(shape, initializer)

    def _check_free(self, name: str) -> None:
        if name in self.weights():
            raise ValueError(f"{self.label}: has a parameter or a buffer called {name!r} already")

    def constant(self, shape: Shape, initializer: initializers.Initializer | str) -> Array:
        """An array of this layer's backend and dtype; its initializer draws nothing random."""
        return self._array(shape, initializers.get(initializer), np.random.default_rng(0))

    def _array(self, shape: Shape, initializer: initializers.Initializer, rng: np.random.Generator) -> Array:
        self._check_size(shape, "an array of weights")
        values = np.asarray(initializer(shape, rng))
        if values.shape != tuple(shape) or values.dtype.kind not in "fiub":
            raise ValueError(
                f"{self.label}: {type(initializer).__name__} made {values.dtype} of shape {values.shape} where numbers "
                f"of shape {tuple(shape)} were wanted"
            )
        return self.backend.array(values, self.dtype)

    def _parameter(self, value: Array, regularizer: regularizers.Regularizer | None) -> Parameter:
        return Parameter(value, self.trainable, regularizer)

    # Help for forward and backward ----------------------------------------------------------------------------

    @property
    def kernels(self) -> Any:
        """The kernel functions of this layer's backend."""
        return self.backend.kernels

    def check_input(self, x: Array) -> None:
        """Raise unless x is a batch of what the layer was built for."""
        self._need_build()
        self._check(x, "x", self.built_input_shape)

    def check_gradient(self, dy: Array) -> None:
        """Raise unless dy is a batch of gradients of this layer's results."""
        self._need_build()
        self._check(dy, "dy", self.built_output_shape)

    def result(self, ws: Workspace | None, batch: int, *, training: bool) -> Array | None:
        """Memory for this layer's result, or None where the kernel is to make a fresh array."""
        if ws is None:
            return None
        shape = (batch, *self.built_output_shape)
        return ws.keep(self, "y", shape, self.dtype) if training else ws.flow(shape, self.dtype)

    def input_gradient(self, ws: Workspace | None, batch: int) -> Array | None:
        """Memory for dx, or None where the kernel is to make a fresh array."""
        return None if ws is None else ws.flow((batch, *self.built_input_shape), self.dtype)

    def _handed_on(self, array: Array, ws: Workspace | None) -> Array:
        """A result that is the input, or another view of it: within a model the same memory, by hand a copy."""
        return array.copy() if ws is None else array

    @property
    def label(self) -> str:
        """How errors call this layer."""
        kind = type(self).__name__
        return f"{kind} {self.name!r}" if self.name else kind

    def _check(self, array: Array, what: str, sample_shape: Shape) -> None:
        self.backend.check(array, f"{self.label}: {what}")
        if array.shape[1:] != sample_shape or array.ndim == 0:
            wanted = ", ".join(map(str, sample_shape))
            raise ValueError(f"{self.label}: expected {what} of shape (N, {wanted}), got {array.shape}")
        if array.dtype != self.dtype:
            raise TypeError(f"{self.label}: expected {what} of dtype {self.dtype}, got {array.dtype}")

    # Weights and configuration --------------------------------------------------------------------------------

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Shapes of the parameters, then buffers, for samples of ``input_shape``; takes no memory for them.

        Raises
        ------
        ValueError
            If the layer cannot take ``input_shape``, or an array would hold more than 2**28 numbers.

        Examples
        --------
        >>> from tinycnn import layers
        >>> layers.Dense(100_000).weight_shapes((784,))
        {'kernel': (784, 100000), 'bias': (100000,)}
        """
        sketch = copy.copy(self)
        sketch.params, sketch.buffers = {}, {}
        if type(self).build is not Layer.build:  # which may make parameters as it likes
            build_layer(sketch, input_shape, rng=np.random.default_rng(0), dtype="float32", backend=get_backend())
            return {name: tuple(array.shape) for name, array in sketch.weights().items()}
        sketch.backend, sketch.dtype = get_backend(), "float32"
        sketch._fix_shapes(input_shape)
        sketch._array = sketch._sketched_array  # type: ignore[method-assign]
        sketch._parameter = _sketched_parameter  # type: ignore[method-assign]
        sketch.create(sketch.built_input_shape, np.random.default_rng(0))
        return {name: tuple(array.shape) for name, array in sketch.weights().items()}

    def _sketched_array(self, shape: Shape, initializer: initializers.Initializer, rng: np.random.Generator) -> Array:
        """An array of any shape in the memory of one number, which stands at every place."""
        self._check_size(shape, "an array of weights")
        return np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), shape, strides=(0,) * len(shape))

    def weights(self) -> dict[str, Array]:
        """Parameters, then buffers, in Keras's order."""
        return {name: p.value for name, p in self.params.items()} | self.buffers

    def get_weights(self) -> list[Array]:
        """Copies of :meth:`weights`, in order."""
        self._need_build()
        return [self.backend.to_numpy(value).copy() for value in self.weights().values()]

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Overwrite all weights; the inverse of :meth:`get_weights`.

        Raises
        ------
        ValueError
            If their number or a shape differs; nothing is changed then.
        """
        self._need_build()
        overwrite(self.weights(), weights, self.label)

    def _need_build(self) -> None:
        if not self.built:
            raise RuntimeError(f"{self.label}: not built yet; call build(input_shape) or put it into a Sequential")

    def count_params(self) -> int:
        """Numbers held: parameters and buffers."""
        return sum(int(value.size) for value in self.weights().values())

    def get_config(self) -> Config:
        """The constructor's arguments, ready for JSON.

        Raises
        ------
        TypeError
            If an argument was not stored under its own name, or JSON cannot hold it.
        """
        config: Config = {}
        for name in constructor_arguments(type(self)):
            if not hasattr(self, name):
                raise TypeError(f"{self.label}: cannot be saved, because __init__ does not keep its argument {name!r}")
            config[name] = _plain(getattr(self, name))
            if not _is_json(config[name]):
                raise TypeError(
                    f"{self.label}: cannot be saved, because JSON does not hold its argument {name!r}, "
                    f"{shown(getattr(self, name))}; define get_config and from_config"
                )
        return config

    @classmethod
    def from_config(cls, config: Config) -> "Layer":
        """The layer that :meth:`get_config` described, not built."""
        return cls(**arguments(config, "config"))

    def __call__(self, *given: Any, **named: Any) -> NoReturn:
        """Raise a TypeError that says what to call."""
        raise TypeError(
            f"{self.label} is no function: put it into a Sequential, or call layer.forward(x, training=True), which "
            "gives the result and the cache for backward"
        )

    def __repr__(self) -> str:
        try:
            config = self.get_config()
        except Exception:  # a layer that cannot be saved still has to be told from others, in errors too
            return f"<{self.label}>"
        given = ", ".join(f"{key}={value!r}" for key, value in config.items() if value is not None)
        return f"{type(self).__name__}({given})"


class Nothing(NamedTuple):
    """The cache of a layer whose backward needs nothing of its forward."""


class ActivatedCache(NamedTuple):
    """``inner``: the cache of the linear part; ``kept``: the activation's result, or what it was given (gelu)."""

    inner: Any
    kept: Array | None


class ActivatedLayer(Layer):
    """A layer that is linear in its input and ends in an activation: ``y = activation(linear(x))``.

    Subclasses define :meth:`linear_forward`, :meth:`linear_backward_input` and :meth:`linear_backward_parameters`,
    and set ``self.activation``. A loss that fuses with a final softmax uses the linear part alone.
    """

    activation: activations.ActivationFunction

    def linear_forward(self, x: Array, *, training: bool, ws: Workspace | None) -> tuple[Array, Cache | None]:
        """The result before the activation, and the cache."""
        raise NotImplementedError

    def linear_backward_input(self, dz: Array, cache: Cache, *, ws: Workspace | None) -> Array:
        """dx from the gradient before the activation."""
        raise NotImplementedError

    def linear_backward_parameters(self, dz: Array, cache: Cache, *, ws: Workspace | None) -> None:
        """Overwrite the parameters' gradients."""
        raise NotImplementedError

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, ActivatedCache | None]:
        z, inner = self.linear_forward(x, training=training, ws=ws)
        if training and self.activation.keeps == "x":
            out = None if ws is None else ws.keep(self, "activated", z.shape, self.dtype)
            return self.activation.forward(self.kernels, z, out=out), ActivatedCache(inner, z)
        y = self.activation.forward(self.kernels, z, out=z)
        return y, (ActivatedCache(inner, self.activation.to_keep(z, y)) if training else None)

    def backward(self, dy: Array, cache: ActivatedCache, *, ws: Workspace | None = None) -> Array:
        dz = self._through_activation(dy, cache, ws)
        if self.trains:
            self.linear_backward_parameters(dz, cache.inner, ws=ws)
        return self.linear_backward_input(dz, cache.inner, ws=ws)

    def backward_parameters(self, dy: Array, cache: ActivatedCache, *, ws: Workspace | None = None) -> None:
        if type(self).backward is not ActivatedLayer.backward:
            self.backward(dy, cache, ws=ws)  # a subclass's own backward always runs
        elif self.trains:
            self.linear_backward_parameters(self._through_activation(dy, cache, ws), cache.inner, ws=ws)

    def _through_activation(self, dy: Array, cache: ActivatedCache, ws: Workspace | None) -> Array:
        self.check_gradient(dy)
        return self.activation.backward(self.kernels, dy, cache.kept, out=None if ws is None else dy)


def build_layer(layer: Layer, input_shape: Shape, *, rng: np.random.Generator, dtype: str, backend: Backend) -> Shape:
    """:meth:`Layer.build`; where a ``build`` of a user's does not call its base's, what that would have set is set."""
    layer.built = False
    output_shape = layer.build(input_shape, rng=rng, dtype=dtype, backend=backend)
    if not layer.built:
        layer.name = layer.name or snake_case(type(layer).__name__)
        layer.backend, layer.dtype = backend, dtype
        layer.built_input_shape = shape(input_shape, "input_shape")
        layer.built_output_shape = shape(output_shape, f"{layer.label}: what build returns")
        layer.built = True
    return layer.built_output_shape


def no_base(layer: Layer) -> str:
    """What is wrong with a layer that has no ``built``."""
    return f"the __init__ of {type(layer).__name__} does not call super().__init__(**base)"


def overwrite(targets: dict[str, Array], weights: Any, owner: str) -> None:
    """Fill arrays, of a layer or a model, with as many others in the same order; raises before anything changes."""
    given = items(weights, "weights", "arrays")
    if len(given) != len(targets):
        raise ValueError(f"weights: {owner} has {len(targets)} weight arrays; got {len(given)}")
    arrays = [array(weight, f"weights, {key}") for key, weight in zip(targets, given, strict=True)]
    for (key, target), values in zip(targets.items(), arrays, strict=True):
        if values.shape != target.shape:
            raise ValueError(f"weights, {key}: expected shape {target.shape}, got {values.shape}")
    for target, values in zip(targets.values(), arrays, strict=True):
        target[...] = values


@contextmanager
def buffers_kept(layers: Iterable[Layer]) -> Iterator[None]:
    """Forward passes in the block leave moving statistics as they were."""
    kept = [(layer, {name: array.copy() for name, array in layer.buffers.items()}) for layer in layers]
    try:
        yield
    finally:
        for layer, buffers in kept:
            for name, array in buffers.items():
                layer.buffers[name][...] = array


def _sketched_parameter(value: Array, regularizer: regularizers.Regularizer | None) -> Parameter:
    """A parameter whose gradient takes no memory either."""
    parameter = Parameter(np.zeros(1, np.float32), regularizer=regularizer)
    parameter.value = parameter.grad = value
    return parameter


def snake_case(name: str) -> str:
    """Keras's way from a class to a layer's name.

    Examples
    --------
    >>> snake_case("BatchNormalization"), snake_case("Conv2D"), snake_case("MaxPooling2D"), snake_case("ReLU")
    ('batch_normalization', 'conv2d', 'max_pooling2d', 're_lu')
    """
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    name = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
    return name.replace("_2d", "2d")


def constructor_arguments(cls: type) -> list[str]:
    """Names of all arguments that a class and its bases take, in order, the class's own first."""
    names: dict[str, None] = {}
    for base in cls.__mro__:
        if "__init__" in base.__dict__ and base is not object:
            for parameter in list(inspect.signature(base.__dict__["__init__"]).parameters.values())[1:]:
                if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                    names.setdefault(parameter.name)
    return list(names)


def _plain(value: Any) -> Any:
    """A constructor argument as JSON can hold it."""
    if isinstance(value, Named):
        return value.describe()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, str | bool | int | float)
