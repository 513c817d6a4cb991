"""What a layer holds: parameters, which are trained, and buffers, which are only kept."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from .. import initializers, regularizers
from ..core.backend import Backend
from ..core.checks import boolean, optional_name
from ..core.messages import shown
from ..core.own import OwnReturnError
from ..core.parameter import Parameter, overwrite
from ..core.types import Array, Shape
from .own import SMALLEST

#: The most numbers that one array of weights, or one sample between two layers, may hold: 1 GiB of float32. The largest
#: array of VGG16, which is not a small network, has about a third of that.
MAX_NUMBERS = 2**28

_RESULTS = "model.trace(x) returns the result of every layer for images x"
_ARRAYS = "layer.get_weights() returns its arrays, and layer.params its parameters by their names"
#: Attributes of Keras's layers that these do not have, and what to do instead.
_OF_KERAS = dict.fromkeys(("input", "output"), _RESULTS) | dict.fromkeys(
    (
        *("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance", "variables"),
        *("trainable_weights", "trainable_variables", "non_trainable_weights", "non_trainable_variables"),
    ),
    _ARRAYS,
)


class Weights:
    """The half of a layer that holds arrays: it makes, counts, copies and overwrites them."""

    backend: Backend
    dtype: str
    params: dict[str, Parameter]
    buffers: dict[str, Array]

    if not TYPE_CHECKING:  # type checkers would take it for leave to ask for anything

        def __getattr__(self, name: str) -> NoReturn:
            text = f"{type(self).__name__!r} object has no attribute {name!r}"
            cure = f"; {_OF_KERAS[name]}" if name in _OF_KERAS else ""
            raise AttributeError(text + cure, name=name, obj=self)

    @property
    def label(self) -> str:
        """What errors call this layer."""
        raise NotImplementedError

    def _need_build(self) -> None:
        """Raise unless the layer is built."""
        raise NotImplementedError

    @property
    def name(self) -> str | None:
        """The layer's name, which may be changed at any time; None until the layer is built or part of a model."""
        return vars(self).get("_name")  # an error may name a layer before it has one

    @name.setter
    def name(self, value: str | None) -> None:
        if value is None and vars(self).get("built"):
            raise ValueError(f"{self.label}: a layer that is built needs a name; got None")
        self._name = optional_name(value)

    @property
    def trainable(self) -> bool:
        """Whether the optimizer moves this layer's parameters. It may be set at any time."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = boolean(value, "trainable")
        for parameter in self.params.values():
            parameter.trainable = self._trainable

    @property
    def trains(self) -> bool:
        """Whether the optimizer moves any of the parameters; each of them also has a ``trainable`` of its own."""
        return any(parameter.trainable for parameter in self.params.values())

    def add_parameter(
        self,
        name: str,
        shape: Shape,
        initializer: initializers.Initializer | str,
        rng: np.random.Generator,
        regularizer: regularizers.Regularizer | None = None,
    ) -> Parameter:
        """Make ``params[name]``, a trained array, and return it.

        Parameters
        ----------
        name : str
            It must not be taken by another parameter or buffer of this layer.
        shape : tuple of int
        initializer : Initializer or str
            Draws the first values from ``rng``.
        rng : numpy.random.Generator
            The one that :meth:`Layer.create` is given.
        regularizer : Regularizer, optional
            Adds a penalty on these weights to the loss.

        Raises
        ------
        ValueError
            If the name is taken, the array would hold more than 2**28 numbers, or the initializer makes another shape.
        """
        self._check_free(name)
        self.params[name] = self._parameter(self._array(shape, initializers.get(initializer), rng), regularizer)
        return self.params[name]

    def add_buffer(self, name: str, shape: Shape, initializer: initializers.Initializer | str) -> None:
        """Make ``buffers[name]``, an array that is saved but not trained.

        The arguments and the errors are those of :meth:`add_parameter`, except that the initializer must draw nothing
        random, such as "zeros".
        """
        self._check_free(name)
        self.buffers[name] = self.constant(shape, initializer)

    def _check_free(self, name: str) -> None:
        """Raise if a parameter or a buffer has this name, or nothing can be made yet."""
        if not hasattr(self, "backend"):
            raise RuntimeError(
                f"{self.label}: parameters and buffers are made in create(self, input_shape, rng), which is called "
                "when the shape of the input is known, and not in __init__"
            )
        if name in self.weights():
            raise ValueError(f"{self.label}: a parameter or a buffer is called {name!r} already; give another name")

    def add_weight(self, *given: Any, **named: Any) -> NoReturn:
        """Raise a TypeError that says how parameters are made here; Keras's layers have a method of this name."""
        raise TypeError(
            f"{self.label}: there is no add_weight; make parameters in create(self, input_shape, rng), with "
            f"self.add_parameter(name, shape, initializer, rng), and find them in self.params[name].value. {SMALLEST}"
        )

    def constant(self, shape: Shape, initializer: initializers.Initializer | str) -> Array:
        """Return an array of this layer's backend and dtype, from an initializer that draws nothing random."""
        return self._array(shape, initializers.get(initializer), np.random.default_rng(0))

    def _array(self, shape: Shape, initializer: initializers.Initializer, rng: np.random.Generator) -> Array:
        """Return an array of this layer's backend and dtype with the values of an initializer."""
        self._check_size(shape, "an array of weights")
        try:
            values = np.asarray(initializer(shape, rng))
        except OwnReturnError as error:
            raise type(error)(f"{self.label}: {error}") from None
        if values.shape != tuple(shape) or values.dtype.kind not in "fiub":
            raise ValueError(
                f"{self.label}: {type(initializer).__name__} made {values.dtype} of shape {values.shape}; expected "
                f"numbers of shape {tuple(shape)}"
            )
        return self.backend.array(values, self.dtype)

    def _parameter(self, value: Array, regularizer: regularizers.Regularizer | None) -> Parameter:
        return Parameter(value, self.trainable, regularizer)

    def _check_size(self, shape: Shape, what: str) -> None:
        """Raise if an array of this shape would hold too many numbers."""
        if math.prod(shape) > MAX_NUMBERS:
            raise ValueError(f"{self.label}: {what} of shape {shown(shape)} is more than the limit of 2**28 numbers")

    def weights(self) -> dict[str, Array]:
        """Return parameters, then buffers, in Keras's order; the arrays themselves, not copies."""
        return {name: p.value for name, p in self.params.items()} | self.buffers

    def get_weights(self) -> list[Array]:
        """Return copies of :meth:`weights`, in the same order."""
        self._need_build()
        return [self.backend.to_numpy(value).copy() for value in self.weights().values()]

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Overwrite all weights with arrays in the order of :meth:`get_weights`.

        Raises
        ------
        ValueError
            If their number or a shape differs; nothing has been changed then.
        """
        self._need_build()
        overwrite(self.weights(), weights, self.label)

    def count_params(self) -> int:
        """Return how many numbers the layer holds in parameters and buffers."""
        return sum(int(value.size) for value in self.weights().values())

    def _sketched_array(self, shape: Shape, initializer: initializers.Initializer, rng: np.random.Generator) -> Array:
        """Return an array of any shape that takes the memory of one number, because all its elements are that one."""
        self._check_size(shape, "an array of weights")
        return np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), shape, strides=(0,) * len(shape))


def sketched_parameter(value: Array, regularizer: regularizers.Regularizer | None) -> Parameter:
    """Return a parameter whose value and gradient take no memory."""
    parameter = Parameter(np.zeros(1, np.float32), regularizer=regularizer)
    vars(parameter).update(value=value, grad=value)
    return parameter
