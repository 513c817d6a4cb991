"""What a gradient check can be asked about: a layer, a model or a loss, each seen as a function from arrays."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core import seeding
from ..core.backend import get_backend
from ..core.messages import shown
from ..core.types import Array, Shape
from ..layers.base import Layer, Parameter, build_layer
from ..layers.looking import buffers_kept, layers_kept
from ..layers.own import prepare
from ..losses import Loss
from ..sequential import Sequential
from ..training.step import backward
from ..training.step import forward as forward_through
from ._calls import gradient_of_input, outcome

#: The name that the gradient of the input has among those of the parameters.
INPUT = "dx"
#: The optimizer step that forward is told. It is not 0, because a backward that forgets the step would use 0 as well.
STEP = 3


@dataclass
class Function:
    """A subject seen as a function that computes a result from arrays, which a check may move in place.

    Attributes
    ----------
    name : str
        What messages call the subject.
    arrays : dict of str to array
        The arrays that are moved: ``dx`` is the input, and each parameter has its own name.
    forward : callable
        ``forward()`` returns the result for the arrays as they are now.
    gradients : callable
        ``gradients(dy)`` returns the analytic gradient of each array, under the same names.
    state : list of Layer
        The layers whose buffers are changed by a forward in training.
    frozen_layers : list of Layer
        The layers that are frozen during the check.
    initial : list of array
        The parameters that still have their initial values; they get others during the check.
    composite : bool
        Whether several kinks may follow one another, as in a network. The slopes on the two sides of such a kink do
        not bound what the chain rule gives there, so it is counted without a verdict.
    losses : sequence of Loss
        The losses that are used.
    """

    name: str
    arrays: dict[str, Array]
    forward: Callable[[], Array]
    gradients: Callable[[Array], dict[str, Array]]
    state: list[Layer]
    frozen_layers: list[Layer]
    initial: list[Array] = field(default_factory=list)
    composite: bool = False
    losses: Sequence[Loss] = ()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze ``frozen_layers`` inside a ``with`` block; at its end layers and losses hold what they held before."""
        layers = self.frozen_layers
        # Setting a layer's flag also sets the flags of its parameters, so the parameters are put back after the layers.
        parts: list[Layer | Parameter] = [*layers, *(p for layer in layers for p in layer.params.values())]
        trainable = [part.trainable for part in parts]
        saved = [(array, array.copy()) for array in (*self.arrays.values(), *self.initial)]
        with layers_kept(self.state, *self.losses, gradients=True):
            for layer in layers:
                layer.trainable = False
            try:
                for array in self.initial:
                    _leave_initial_values(array)
                yield
            finally:
                for part, was in zip(parts, trainable, strict=True):
                    part.trainable = was
                for array, values in saved:
                    array[...] = values


def _leave_initial_values(array: Array) -> None:
    """Move each element of an array whose elements are all equal by a different fraction; factors keep their sign."""
    if array.size and (array == array.flat[0]).all():
        rng = np.random.default_rng(array.size)
        array += rng.uniform(0.05, 0.3, array.shape) * rng.choice([-1, 1], array.shape) * (array + (array == 0))


def gradient_of(name: str) -> str:
    """Return what messages call the gradient of an array: ``dx`` is that of the input, the others are parameters'."""
    return "dx, the gradient by the input," if name == INPUT else f"the gradient of {name}"


def function_of(subject: Any, x: Array, y: Any, training: bool, seed: int) -> Function:
    """Return a layer, a model or a loss as a function; raise TypeError for anything else."""
    if isinstance(subject, Layer):
        return layer_function(subject, x, training, seed)
    if isinstance(subject, Sequential):
        return _model_function(subject, x, y, training)
    if isinstance(subject, Loss):
        return _loss_function(subject, x, y)
    hint = "; write an instance, with parentheses" if isinstance(subject, type) else ""
    raise TypeError(f"subject: check_gradients takes a layer, a Sequential or a loss; got {shown(subject)}{hint}")


def layer_function(layer: Layer, x: Array, training: bool = True, seed: int = 0) -> Function:
    """Return a layer as a function of its input and its parameters; build it from the seed if it is not built yet."""
    prepare(layer)
    fresh = not layer.built
    if fresh:
        rng = seeding.generator(seed, seeding.Stream.INITIALISE, 0)
        build_layer(layer, x.shape[1:], rng=rng, dtype="float64", backend=get_backend())
    if layer.dtype != "float64":
        raise TypeError(
            f"{layer.label} was built in {layer.dtype}; gradients are checked in float64, because in float32 rounding "
            "hides errors: build it with dtype='float64'"
        )
    _check_sample_shape(layer.label, layer.built_input_shape, x)
    trained = {name: p.value for name, p in layer.params.items() if p.trainable and training}
    if INPUT in trained:
        raise ValueError(
            f"{layer.label}: a parameter cannot be called {INPUT!r}, which is the name of the gradient of the input; "
            "give it another name in create"
        )

    def forward() -> Array:
        with buffers_kept([layer]):  # forward may read a buffer before it changes it
            return outcome(layer, x, training=True, step=STEP)[0]

    def gradients(dy: Array) -> dict[str, Array]:
        with buffers_kept([layer]):
            _, cache = outcome(layer, x, training=True, step=STEP)
            dx = gradient_of_input(layer, dy, cache)
        return {INPUT: dx} | {name: layer.params[name].grad for name in trained}

    frozen = [] if training else [layer]
    initial = [p.value for p in layer.params.values()] if fresh else []
    return Function(layer.label, {INPUT: x} | trained, forward, gradients, [layer], frozen, initial)


def _model_function(model: Sequential, x: Array, y: Any, training: bool) -> Function:
    """Return a model as a function of its input and its parameters, together with its loss if there are labels."""
    model = _in_float64(model, x.shape[1:])
    _check_sample_shape(model.name, model.input_shape, x)
    with_loss = y is not None
    if with_loss and not model.compiled:
        raise ValueError(
            f"y was given, but {model.name} is not compiled and has no loss to use it with; compile the model or leave "
            "out y"
        )
    targets = model.loss.check_targets(y, len(x), model.output_shape) if with_loss else np.empty(0)
    chain = model.chain if with_loss else model.layers
    losses = model.losses_used() if with_loss else ()
    trained = {name: p.value for name, p in model.parameters().items() if p.trainable and training}

    def forward() -> tuple[Array, list[Any], Any]:
        value, caches = forward_through(chain, x, step=STEP)
        if not with_loss:
            return value, caches, None
        per_sample, loss_cache = model.chain_loss.forward(value, targets, model.backend)
        return per_sample, caches, loss_cache

    def result() -> Array:
        with buffers_kept(model.layers):
            return forward()[0]

    def gradients(dy: Array) -> dict[str, Array]:
        with buffers_kept(model.layers):
            _, caches, loss_cache = forward()
            if with_loss:
                dy = model.chain_loss.backward(loss_cache, dy, model.backend)
            dx = backward(chain, caches, dy)
        parameters = model.parameters()
        return {INPUT: dx} | {name: parameters[name].grad for name in trained}

    layers, frozen = list(model.layers), [] if training else list(model.layers)
    return Function(model.name, {INPUT: x} | trained, result, gradients, layers, frozen, composite=True, losses=losses)


def _in_float64(model: Sequential, input_shape: Shape) -> Sequential:
    """Return the model itself, built, if it computes in float64; otherwise a float64 copy with the same weights."""
    if model.dtype == "float64":
        if not model.built:
            model.build(input_shape)
        return model
    twin = copy.deepcopy(model)
    if not twin.built:
        twin.dtype = "float64"
        twin.build(input_shape)
        return twin
    twin.build_again(dtype="float64")
    twin.set_weights(model.get_weights())
    if twin.compiled:
        twin.compile("sgd", twin.loss)  # the layers have new arrays, which the chain has to refer to
    return twin


def _check_sample_shape(label: str, built_for: Shape, x: Array) -> None:
    """Raise ValueError unless the samples of ``x`` have the shape that the layer or model was built for."""
    if x.shape[1:] != built_for:
        raise ValueError(f"x: {label} was built for samples of shape {built_for}; got samples of shape {x.shape[1:]}")


def _loss_function(loss: Loss, x: Array, y: Any) -> Function:
    """Return a loss as a function of the predictions."""
    if y is None:
        raise ValueError(f"check_gradients of the loss {loss.name} needs labels: check_gradients(loss, predictions, y)")
    targets, backend = loss.check_targets(y, len(x), x.shape[1:]), get_backend()
    return Function(
        loss.name,
        {INPUT: x},
        lambda: loss.forward(x, targets, backend)[0],
        lambda dy: {INPUT: loss.backward(loss.forward(x, targets, backend)[1], dy, backend)},
        [],
        [],
    )
