"""What a layer is: a shape rule, parameters, and which kernels to call."""

import copy
from typing import Any, ClassVar, NamedTuple, NoReturn

import numpy as np

from .. import activations
from ..core import seeding
from ..core.backend import Backend, get_backend
from ..core.checks import arguments, float_dtype, shape
from ..core.description import Described, constructor_config
from ..core.messages import shown, snake_case, unexpected
from ..core.parameter import Parameter
from ..core.printing import for_print
from ..core.types import Array, Config, Shape
from ..core.workspace import Workspace
from ..kernels.geometry import Window
from .changing import changed
from .own import SMALLEST, prepare
from .weights import Weights, sketched_parameter

Cache = Any  # what backward needs from forward; a NamedTuple of the layer's own


class Layer(Weights, Described):
    """The base of all layers.

    A layer of your own defines :meth:`forward` and :meth:`backward`. If it changes the shape of a sample, it also
    defines :meth:`output_shape`, and if it has parameters, :meth:`create`. Its methods may leave out the keywords that
    they have no use for (``training``, ``step``, ``ws``). If ``__init__`` stores every argument under its own name, the
    layer can also be saved and loaded.

    Parameters
    ----------
    name : str, optional
        By default the name of the class in snake case, numbered within a model.
    input_shape : tuple of int, optional
        The shape of one sample. On a first layer it makes an ``Input`` unnecessary.
    trainable : bool
        False freezes the layer's parameters.

    Attributes
    ----------
    params : dict of str to Parameter
        What the optimizer trains.
    buffers : dict of str to array
        State that is saved but not trained, such as moving statistics.
    built_input_shape, built_output_shape : tuple of int
        The shapes of a sample and of its result, without the batch axis. They are known once the layer is built.
    sees_everything : bool
        Set this to True in the class of a layer of your own if each output depends on the whole image, or on the whole
        row of numbers; the receptive field follows from it. Without it, a layer that keeps the shape is
        assumed to work pixel by pixel, and a layer that changes the shape has an unknown receptive field.
    """

    #: The shapes of parameters and buffers as they were made when a model built the layer.
    built_weights: dict[str, Shape]
    #: The sliding window, if the layer has one; receptive fields are computed from it.
    window: Window | None = None
    #: Whether every output sees the whole input, that is, all pixels of an image.
    sees_everything: ClassVar[bool] = False
    #: The arguments that may be changed when the layer is built, because every forward pass reads them anew.
    changeable: ClassVar[tuple[str, ...]] = ()
    #: The arguments of the base class that a class does not take, because it is named after their value.
    fixed_arguments: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, *, name: str | None = None, input_shape: Shape | None = None, trainable: bool = True, **other: Any
    ) -> None:
        if other:
            raise unexpected(type(self), other)
        self.name = name
        self.input_shape = None if input_shape is None else shape(input_shape, "input_shape")
        self.params: dict[str, Parameter] = {}
        self.buffers: dict[str, Array] = {}
        self.built = False
        self.trainable = trainable

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, changed(self, name, value) if vars(self).get("built") else value)

    # What a layer defines -------------------------------------------------------------------------------------

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of one result for the shape of one sample, or raise ValueError if the layer cannot take it.

        The result depends only on ``input_shape`` and the layer's arguments, and nothing is changed.
        """
        return shape(input_shape, "input_shape")

    def create(self, input_shape: Shape, rng: np.random.Generator) -> None:
        """Make parameters and buffers with :meth:`add_parameter` and :meth:`add_buffer`; by default there are none."""

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, Cache | None]:
        """Return the result for a batch, and what backward needs (None unless ``training``).

        Parameters
        ----------
        x : (N, \\*input_shape) array
            The batch.
        training : bool
            Whether this is a training step; dropout and batch normalization work differently then.
        step : int
            The number of the optimizer step. Random layers derive their numbers from it, so that a step can be
            repeated.
        ws : Workspace, optional
            Memory to reuse. Without it every result is a fresh array.

        Returns
        -------
        (N, \\*output_shape) array, cache
        """
        raise NotImplementedError(f"{type(self).__name__} does not define forward. {SMALLEST}")

    def backward(self, dy: Array, cache: Cache, *, ws: Workspace | None = None) -> Array:
        """Return dx, the gradient with respect to the input, and overwrite the gradient of each parameter.

        Parameters
        ----------
        dy : (N, \\*output_shape) array
            The gradient of the loss with respect to this layer's result. If ``ws`` is given it may be overwritten.
        cache
            What :meth:`forward` returned with ``training=True``.
        ws : Workspace, optional
            Memory to reuse. Without it the result is a fresh array.

        Returns
        -------
        (N, \\*input_shape) array
        """
        raise NotImplementedError(f"{type(self).__name__} does not define backward. {SMALLEST}")

    def backward_parameters(self, dy: Array, cache: Cache, *, ws: Workspace | None = None) -> None:
        """Do what :meth:`backward` does, except for dx, which training does not need from a network's first layer."""
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
            The shape of one sample, without the batch axis.
        rng : numpy.random.Generator, optional
            Draws the initial values; by default a generator that follows from :func:`tinycnn.set_seed`.
        dtype : {"float32", "float64"}
            The dtype of all arrays of the layer.
        backend : Backend, optional
            By default the one that is active.

        Raises
        ------
        ValueError
            If the layer cannot take ``input_shape``, or an array would hold more than 2**28 numbers.
        """
        prepare(self)
        if not isinstance(rng, np.random.Generator | None):
            raise TypeError(f"{self.label}: rng must be a numpy.random.Generator; got {shown(rng)}")
        if not isinstance(backend, Backend | None):
            raise TypeError(f"{self.label}: backend must be a Backend; got {shown(backend)}")
        self.built = False  # what follows from the arguments is made anew, so they may be others
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
        """Set the built shapes, or raise if an array of one of them would be too large."""
        self.built_input_shape = shape(input_shape, "input_shape")
        self._check_size(self.built_input_shape, "a sample")
        found = self.output_shape(self.built_input_shape)
        try:
            self.built_output_shape = shape(found, "what output_shape returns")
        except (TypeError, ValueError) as error:
            raise type(error)(f"{self.label}: {error}") from None
        self._check_size(self.built_output_shape, "a result")

    # Help for forward and backward ----------------------------------------------------------------------------

    @property
    def kernels(self) -> Any:
        """The kernel functions of this layer's backend."""
        return self.backend.kernels

    def check_input(self, x: Array) -> None:
        """Raise unless x is a batch of samples that the layer was built for."""
        self._need_build()
        self._check(x, "x", self.built_input_shape)

    def check_gradient(self, dy: Array) -> None:
        """Raise unless dy is a batch of gradients of this layer's results."""
        self._need_build()
        self._check(dy, "dy", self.built_output_shape)

    def result(self, ws: Workspace | None, batch: int, *, training: bool) -> Array | None:
        """Return memory for this layer's result, or None if the kernel is to make a fresh array."""
        if ws is None:
            return None
        shape = (batch, *self.built_output_shape)
        return ws.keep(self, "y", shape, self.dtype) if training else ws.flow(shape, self.dtype)

    def input_gradient(self, ws: Workspace | None, batch: int) -> Array | None:
        """Return memory for dx, or None if the kernel is to make a fresh array."""
        return None if ws is None else ws.flow((batch, *self.built_input_shape), self.dtype)

    def _handed_on(self, array: Array, ws: Workspace | None) -> Array:
        """Return a result that shares its memory with the input; outside of a model (without ``ws``) it is copied."""
        return array.copy() if ws is None else array

    @property
    def label(self) -> str:
        """What errors call this layer."""
        kind = type(self).__name__
        return f"{kind} {self.name!r}" if self.name else kind

    def _check(self, array: Array, what: str, sample_shape: Shape) -> None:
        """Raise unless a batch of samples has the layer's backend, shape and dtype."""
        if type(array) is not np.ndarray or self.backend.on_device:
            self.backend.check(array, f"{self.label}: {what}")
        if array.shape[1:] != sample_shape or array.ndim == 0:
            wanted = ", ".join(map(str, sample_shape))
            raise ValueError(f"{self.label}: expected {what} of shape (N, {wanted}), got {array.shape}")
        if array.dtype != self.dtype:
            raise TypeError(
                f"{self.label}: expected {what} of dtype {self.dtype}, got {array.dtype}; "
                f"convert it with {what}.astype({self.dtype!r})"
            )

    # Weights and configuration --------------------------------------------------------------------------------

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shapes that parameters, then buffers, have for samples of ``input_shape``, without making them.

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
        sketch.built = False
        sketch.params, sketch.buffers = {}, {}
        if type(self).build is not Layer.build:  # a user's own build may make parameters in any way
            build_layer(sketch, input_shape, rng=np.random.default_rng(0), dtype="float32", backend=get_backend())
            return {name: tuple(array.shape) for name, array in sketch.weights().items()}
        sketch.backend, sketch.dtype = get_backend(), "float32"
        sketch._fix_shapes(input_shape)
        sketch._array = sketch._sketched_array  # type: ignore[method-assign]
        sketch._parameter = sketched_parameter  # type: ignore[method-assign]
        sketch.create(sketch.built_input_shape, np.random.default_rng(0))
        return {name: tuple(array.shape) for name, array in sketch.weights().items()}

    def _need_build(self) -> None:
        if not self.built:
            raise RuntimeError(f"{self.label}: not built yet; call build(input_shape) or put it into a Sequential")

    def get_config(self) -> Config:
        """Return the constructor's arguments, ready for JSON.

        Raises
        ------
        TypeError
            If an argument was not stored under its own name, or JSON cannot hold it.
        """
        return constructor_config(self, self.label)

    @classmethod
    def from_config(cls, config: Config) -> "Layer":
        """Return the layer that :meth:`get_config` described; it is not built."""
        return cls(**arguments(config, "config"))

    def __call__(self, *given: Any, **named: Any) -> NoReturn:
        """Raise a TypeError that says what to call instead."""
        raise TypeError(
            f"{self.label} is not a function; put it into a Sequential, or call layer.forward(x, training=True), which "
            "returns the result and the cache for backward"
        )

    def __repr__(self) -> str:
        try:
            config = self.get_config()
        except Exception:  # errors have to show a layer even if it cannot be saved
            return for_print(f"<{self.label}>")
        given = ", ".join(f"{key}={value!r}" for key, value in config.items() if value is not None)
        return for_print(f"{type(self).__name__}({given})")


class Nothing(NamedTuple):
    """The cache of a layer whose backward needs nothing from its forward."""


class ActivatedCache(NamedTuple):
    """``inner``: the cache of the linear part; ``kept``: the activation's result, or (for gelu) its input."""

    inner: Any
    kept: Array | None


class ActivatedLayer(Layer):
    """A layer that is linear in its input and ends in an activation: ``y = activation(linear(x))``.

    Subclasses define :meth:`linear_forward`, :meth:`linear_backward_input` and :meth:`linear_backward_parameters`,
    and set ``self.activation``. A loss that takes over a final softmax uses the linear part alone.
    """

    activation: activations.ActivationFunction

    def linear_forward(self, x: Array, *, training: bool, ws: Workspace | None) -> tuple[Array, Cache | None]:
        """Return the result before the activation, and the cache."""
        raise NotImplementedError

    def linear_backward_input(self, dz: Array, cache: Cache, *, ws: Workspace | None) -> Array:
        """Return dx from the gradient before the activation."""
        raise NotImplementedError

    def linear_backward_parameters(self, dz: Array, cache: Cache, *, ws: Workspace | None) -> None:
        """Overwrite the gradients of the parameters."""
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
        # In this order, a program can update the weights as soon as their gradient is there.
        dx = self.linear_backward_input(dz, cache.inner, ws=ws)
        if self.trains:
            self.linear_backward_parameters(dz, cache.inner, ws=ws)
        return dx

    def backward_parameters(self, dy: Array, cache: ActivatedCache, *, ws: Workspace | None = None) -> None:
        if type(self).backward is not ActivatedLayer.backward:
            self.backward(dy, cache, ws=ws)  # a subclass's own backward always runs
        elif self.trains:
            self.linear_backward_parameters(self._through_activation(dy, cache, ws), cache.inner, ws=ws)

    def _through_activation(self, dy: Array, cache: ActivatedCache, ws: Workspace | None) -> Array:
        """Return the gradient before the activation."""
        self.check_gradient(dy)
        return self.activation.backward(self.kernels, dy, cache.kept, out=None if ws is None else dy)


def build_layer(layer: Layer, input_shape: Shape, *, rng: np.random.Generator, dtype: str, backend: Backend) -> Shape:
    """Build a layer as :meth:`Layer.build` does, even if a user's own ``build`` does not call that of its base.

    Raises
    ------
    TypeError
        If the class is not a layer as tinycnn expects one; see :func:`tinycnn.layers.own.prepare`.
    """
    prepare(layer)
    layer.built = False
    output_shape = layer.build(input_shape, rng=rng, dtype=dtype, backend=backend)
    if not layer.built:
        layer.name = layer.name or snake_case(type(layer).__name__)
        layer.backend, layer.dtype = backend, dtype
        layer.built_input_shape = shape(input_shape, "input_shape")
        layer.built_output_shape = shape(output_shape, f"{layer.label}: what build returns")
        layer.built = True
    layer.built_weights = {name: tuple(array.shape) for name, array in layer.weights().items()}
    return layer.built_output_shape
