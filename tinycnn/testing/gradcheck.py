"""Gradients against central differences, in float64, with a random cotangent.

For a layer with result y and a cotangent dy (random numbers of y's shape) the scalar ``L = sum(dy * y)`` has the
gradient that ``backward(dy)`` must return. Every element v of the input and of each parameter is moved by ±h and
``(L(v + h) - L(v - h)) / 2h`` compared. The cotangent is random because an all-ones one is blind: the result of a
batch-norm, for example, always has the same sum. float64, because in float32 rounding hides errors of a percent.

Where the slopes on the two sides differ however small the step, there is no derivative (a ReLU at 0, a tie in a
max-pool): such a point is counted as a kink, and the gradient has to lie between the two slopes. Source of the idea:
Chainer's ``gradient_check.numerical_grad``.
"""

import copy
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..core import seeding
from ..core.backend import get_backend
from ..core.checks import array as checked_array
from ..core.checks import boolean, integer, real
from ..core.messages import shown
from ..core.types import Array, Shape
from ..layers.base import Layer, Parameter, buffers_kept, build_layer
from ..layers.own import prepare
from ..losses import Loss
from ..sequential import Sequential
from ..training.step import backward
from ..training.step import forward as forward_through
from ._calls import gradient_of_input, outcome
from .report import GradientReport, Row

#: Steps tried in turn until analytic and numeric agree: the first is best for smooth functions, the others serve
#: where a kink is near or the curvature is high.
STEPS = (1e-5, 1e-6, 1e-7)
#: Rounding that a step may add to a slope, relative to the gradients around: more would hide what is looked for.
TELLING = 1e-3
#: How the gradient of the input is called, among those of the parameters.
INPUT = "dx"
RTOL = 1e-5
ATOL = 1e-6
#: The optimizer step that forward is told; not 0, which a backward that forgets the step would use as well.
STEP = 3
#: The cotangent's own stream of random numbers. Inputs are often drawn by the same small seeds, and a cotangent that is
#: the input is blind: where y = x * x, it would not show that backward forgets dy.
COTANGENT = 1


def check_gradients(
    subject: Any,
    x: Any,
    y: Any = None,
    *,
    training: bool = True,
    seed: int = 0,
    rtol: float = RTOL,
    atol: float = ATOL,
    max_elements: int | None = None,
) -> GradientReport:
    """Compare every element of dx and of each trainable parameter's gradient with central differences.

    An element passes when ``|analytic - numeric| <= rtol * max(|analytic|, |numeric|) + atol * rms + noise``, where
    ``rms`` is the root mean square of that array's gradient and ``noise`` bounds the rounding of the difference
    itself: an error of 0.1 % of a gradient fails. NaN fails. Where rounding would hide such an error, because results
    are very much larger than their changes, an element counts as hidden, not as checked.

    A layer that is built here is checked off its initial values: at 1 a forgotten factor does not show, at 0 a
    forgotten branch. Everything is put back afterwards.

    Parameters
    ----------
    subject : Layer, Sequential or Loss
        A layer that is not built yet is built for x, in float64; a built one must be float64. Of a model in float32 a
        copy in float64 is checked, with its weights.
    x : (N, …) float64 array
        Inputs; for a loss, predictions.
    y : (N,) array, optional
        Labels: needed for a loss; a compiled model is checked together with its loss when they are given.
    training : bool
        False checks layers as they are when frozen (batch-norm with its moving statistics).
    seed : int
        Of the cotangent, and of the initial values of a layer that is built here.
    rtol, atol : float
    max_elements : int, optional
        Check that many drawn elements of each array instead of all.

    Returns
    -------
    GradientReport

    Raises
    ------
    AssertionError
        If a gradient is wrong; names layer, array, index, both values and the largest relative error. Also if forward
        or backward changes its arguments, backward adds to gradients, or rounding hides a whole array.
    TypeError, ValueError
        If x is not float64, its shape does not fit, or it is not finite.
    RuntimeError
        If two forwards of the same input differ.

    Examples
    --------
    >>> import numpy as np
    >>> from tinycnn import layers, testing
    >>> print(testing.check_gradients(layers.Dense(2), np.ones((1, 3))).ok)
    True
    """
    seed, training = integer(seed, "seed", 0), boolean(training, "training")
    rtol, atol = real(rtol, "rtol", 0, 1), real(atol, "atol", 0, 1e100)
    max_elements = None if max_elements is None else integer(max_elements, "max_elements")
    x = _checked_input(x)
    function = _function_of(subject, x, y, training, seed)
    report = GradientReport(f"Gradient check of {function.name} (float64, central differences, cotangent seed {seed})")
    with function.frozen():
        compare(function, report, seed=seed, rtol=rtol, atol=atol, max_elements=max_elements)
    if report.failures:
        raise AssertionError("\n".join(report.failures))
    return report


@dataclass
class Function:
    """A subject seen as a function from arrays, which may be moved in place, to a result.

    Attributes
    ----------
    name : str
    arrays : dict of str to array
        What is moved: ``dx`` for the input, each parameter by its name.
    forward : callable
        ``forward()`` gives the result for the arrays as they stand now.
    gradients : callable
        ``gradients(dy)`` gives the analytic gradient of each array, by the same names.
    state : list of Layer
        Layers whose buffers a training forward moves.
    frozen_layers : list of Layer
        Layers to freeze for the time of the check.
    initial : list of array
        Parameters that have their initial values: they are moved for the time of the check.
    """

    name: str
    arrays: dict[str, Array]
    forward: Callable[[], Array]
    gradients: Callable[[Array], dict[str, Array]]
    state: list[Layer]
    frozen_layers: list[Layer]
    initial: list[Array] = field(default_factory=list)
    #: Several kinks may lie behind one another, as in a network: then its slopes on the two sides of a kink do not
    #: bound what the chain rule gives there, and a kink is counted without a verdict.
    composite: bool = False

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within the block ``frozen_layers`` are frozen; at its end arrays and buffers are as they were."""
        layers = self.frozen_layers
        # A layer sets its parameters' flags, so those come last.
        parts: list[Layer | Parameter] = [*layers, *(p for layer in layers for p in layer.params.values())]
        trainable = [part.trainable for part in parts]
        saved = [(array, array.copy()) for array in (*self.arrays.values(), *self.initial)]
        with buffers_kept(self.state):
            for layer in layers:
                layer.trainable = False
            try:
                for array in self.initial:
                    _leave(array)
                yield
            finally:
                for part, was in zip(parts, trainable, strict=True):
                    part.trainable = was
                for array, values in saved:
                    array[...] = values


def _leave(array: Array) -> None:
    """Move an array whose elements are all alike, each by another part of it; a factor keeps its sign."""
    if array.size and (array == array.flat[0]).all():
        rng = np.random.default_rng(array.size)
        array += rng.uniform(0.05, 0.3, array.shape) * rng.choice([-1, 1], array.shape) * (array + (array == 0))


def compare(
    function: Function,
    report: GradientReport,
    *,
    seed: int,
    rtol: float,
    atol: float,
    max_elements: int | None = None,
    layer_name: str | None = None,
    note: str = "",
) -> None:
    """Check a function's gradients and add a row per array to the report, a line per wrong array to its failures."""
    rng = np.random.default_rng([seed, COTANGENT])
    before = {name: array.copy() for name, array in function.arrays.items()}
    y0 = function.forward().copy()  # some layers hand their input on
    _check_unchanged(function, before, "forward")
    if not np.array_equal(y0, function.forward(), equal_nan=True):
        raise RuntimeError(f"{function.name}: two forwards of the same input differ; a check needs a deterministic one")
    dy = rng.normal(size=y0.shape)
    analytic = _analytic(function, dy)
    _check_unchanged(function, before, "backward")
    scale = max(map(_rms, (dy, *analytic.values())))  # a gradient of zeros is none to hold rounding against
    for name, array in function.arrays.items():
        gradient = analytic[name]
        if gradient.shape != array.shape:
            report.failures.append(
                f"{function.name}: the gradient of {name} has shape {gradient.shape}, the array {array.shape}"
            )
            continue
        probe = _Probe(function.forward, y0, dy, array, function.composite)
        elements = np.arange(array.size)
        if max_elements is not None and array.size > max_elements:
            elements = np.sort(rng.choice(array.size, max_elements, replace=False))
        result = probe.compare(gradient.reshape(-1), elements, rtol, atol, scale)
        counts = result.checked, result.kinks, result.largest_error
        report.rows.append(Row(layer_name or function.name, name, array.shape, *counts, note, result.hidden))
        if result.wrong:
            report.failures.append(_describe(function.name, name, array.shape, result, seed))
        elif result.hidden and not result.checked and not function.composite:
            report.failures.append(
                f"{function.name}: the gradient of {name} cannot be told: results of up to {np.abs(y0).max():.2g} hide "
                "by their rounding how they change; check with smaller ones"
            )


def _analytic(function: Function, dy: Array) -> dict[str, Array]:
    """Copies of all gradients, of which a second backward must make the same."""
    first, second = (
        {name: _array(function, name, gradient) for name, gradient in function.gradients(dy.copy()).items()}
        for _ in range(2)
    )
    for name, gradient in first.items():
        if name != INPUT and not np.array_equal(gradient, second[name], equal_nan=True):
            raise AssertionError(
                f"{function.name}: a second backward gave another gradient of {name}; it must overwrite, not add"
            )
    return first


def _array(function: Function, name: str, gradient: Any) -> Array:
    if not isinstance(gradient, np.ndarray):
        raise AssertionError(f"{function.name}: the gradient of {name} must be an array; got {shown(gradient)}")
    return gradient.copy()


def _rms(array: Array) -> float:
    """The root mean square of what is finite."""
    finite = array[np.isfinite(array)]
    return float(np.sqrt(np.mean(np.square(finite)))) if finite.size else 0.0


def _check_unchanged(function: Function, before: dict[str, Array], which: str) -> None:
    """A function that moves its own point would be compared with itself somewhere else."""
    for name, array in function.arrays.items():
        if not np.array_equal(array, before[name]):
            what = "its input" if name == INPUT else f"the parameter {name}"
            raise AssertionError(f"{function.name}: {which} changed {what} in place; it must leave it as it is")


@dataclass
class _Result:
    checked: int = 0
    kinks: int = 0
    hidden: int = 0
    largest_error: float = 0.0
    #: (element, analytic, numeric, relative error)
    wrong: list[tuple[int, float, float, float]] = field(default_factory=list)


class _Probe:
    """Moves one array element by element and watches ``sum(dy * y)``."""

    def __init__(self, forward: Callable[[], Array], y0: Array, dy: Array, array: Array, composite: bool) -> None:
        self._forward, self._y0, self._dy, self._composite = forward, y0, dy, composite
        self._flat = array.reshape(-1)
        if array.size and not np.shares_memory(self._flat, array):
            raise ValueError("the array to check is not contiguous")
        # Each output's own rounding, which the difference quotient carries on.
        self._rounding = np.finfo(np.float64).eps * np.abs(dy) * (np.abs(y0) + 1)

    def compare(self, analytic: Array, elements: Array, rtol: float, atol: float, scale: float) -> _Result:
        result = _Result()
        slopes = {int(e): functools.cache(partial(self._slopes, np.array([e]))) for e in elements}
        rms = _rms(np.array([at(STEPS[0]).central for at in slopes.values()]))
        kinks = []
        for element, at in slopes.items():
            value = float(analytic[element])
            verdict = judge(value, at, rtol, atol * rms, max(rms, scale))
            error = abs(value - verdict.numeric) / max(abs(value), abs(verdict.numeric), rms, np.finfo(float).tiny)
            if verdict.kink and (verdict.agrees or self._composite):
                result.kinks += 1
                kinks.append(element)
            elif verdict.hidden:
                result.hidden += 1
            else:
                result.checked += 1
                if verdict.agrees:
                    result.largest_error = max(result.largest_error, error)
                else:
                    result.wrong.append((element, value, verdict.numeric, error))
        self._judge_together(kinks, analytic, rtol, atol * rms, result)
        return result

    def _judge_together(self, kinks: list[int], analytic: Array, rtol: float, atol: float, result: _Result) -> None:
        """Ties move together without a kink, so along that direction the gradients of all must add up to the slope."""
        if len(kinks) < 2 or self._composite:
            return
        elements, value = np.array(kinks), float(analytic[kinks].sum())
        agrees, numeric, kink, _ = judge(value, partial(self._slopes, elements), rtol, atol)
        if not agrees and not kink:
            result.wrong.append((kinks[0], value, numeric, abs(value - numeric) / max(abs(value), abs(numeric))))

    def _slopes(self, elements: Array, h: float) -> "Slopes":
        before = self._flat[elements]
        step = h * max(1.0, float(np.abs(before).max()))
        with np.errstate(all="ignore"):  # a step may leave what forward is defined for
            self._flat[elements] = before + step
            up = (self._forward() - self._y0) * self._dy / step
            self._flat[elements] = before - step
            down = (self._y0 - self._forward()) * self._dy / step
        self._flat[elements] = before
        moved = (up != 0) | (down != 0)
        # An output that stayed as it was has no rounding error, unless it is too large to show the step.
        noise = max(self._rounding[moved].sum(), self._rounding.max(initial=0.0))
        return Slopes.of(down, up, 4 * float(noise) / step)


class Slopes(NamedTuple):
    """Slopes of ``sum(dy * y)`` to both sides of a point, for one step."""

    left: float
    right: float
    #: Bounds of any mixture of the two sides, chosen output by output.
    low: float
    high: float
    #: What rounding can make of a slope.
    noise: float

    @classmethod
    def of(cls, left: Array, right: Array, noise: float) -> "Slopes":
        """From the slopes of the single outputs."""
        low, high = np.minimum(left, right), np.maximum(left, right)
        return cls(float(left.sum()), float(right.sum()), float(low.sum()), float(high.sum()), noise)

    @property
    def central(self) -> float:
        """The central difference."""
        return (self.left + self.right) / 2

    @property
    def gap(self) -> float:
        """How far the sides are apart: proportional to the step where a function is smooth, constant at a kink."""
        return abs(self.right - self.left)


class Verdict(NamedTuple):
    """What :func:`judge` found.

    Attributes
    ----------
    agrees : bool
    numeric : float
    kink : bool
        There is no derivative: the gap between the two sides does not go away with the step. Then any slope between
        them agrees.
    hidden : bool
        Nothing speaks against the slope, but rounding would hide what does.
    """

    agrees: bool
    numeric: float
    kink: bool = False
    hidden: bool = False


def judge(value: float, at: Callable[[float], Slopes], rtol: float, atol: float, scale: float = np.inf) -> Verdict:
    """Compare an analytic slope with numeric ones.

    Parameters
    ----------
    value : float
        Analytic.
    at : callable
        ``at(h)`` gives the slopes for a step.
    rtol, atol : float
    scale : float
        Of the gradients around, against which rounding is held.
    """
    first = at(STEPS[0])
    h, slopes, tolerance = STEPS[0], first, np.nan
    for step in STEPS:
        found = at(step)
        told = found.noise <= TELLING * max(abs(value), abs(found.central), scale)
        # So far away forward may not be defined, and a smaller step help.
        if not (np.isfinite(found.gap) and (told or found.noise == 0)):
            continue
        h, slopes = step, found
        tolerance = rtol * max(abs(value), abs(slopes.central)) + atol + slopes.noise
        smooth = slopes.gap <= 1e-2 * max(abs(slopes.left), abs(slopes.right)) + 10 * tolerance
        if smooth and abs(value - slopes.central) <= tolerance:
            return Verdict(True, slopes.central)
    if np.isnan(tolerance):
        return Verdict(False, first.central, hidden=abs(value - first.central) <= first.noise)
    # As the step shrinks, so would a gap that comes from curvature.
    if slopes.gap > max(tolerance, 3 * h / STEPS[0] * first.gap):
        return Verdict(slopes.low - tolerance <= value <= slopes.high + tolerance, slopes.central, kink=True)
    # No kink within the last step: what lies between the sides there is curvature, which the central slope leaves out.
    agrees = abs(value - slopes.central) <= tolerance
    return Verdict(agrees, (slopes if agrees or not np.isfinite(first.gap) else first).central)


def _describe(function: str, array: str, shape: tuple[int, ...], result: _Result, seed: int) -> str:
    element, analytic, numeric, error = max(result.wrong, key=lambda wrong: (np.isnan(wrong[3]), wrong[3]))
    index = ", ".join(map(str, np.unravel_index(element, shape)))
    undefined = "" if np.isfinite(numeric) else f" (forward is not finite within {STEPS[-1]} of it)"
    return (
        f"{function}: the gradient of {array} is wrong at [{index}]: backward says {analytic:.9g}, "
        f"the difference quotient {numeric:.9g}{undefined}; relative error {error:.2g}, the largest of "
        f"{len(result.wrong)} wrong elements in {result.checked + result.kinks} (cotangent seed {seed})"
    )


def _checked_input(x: Any) -> Array:
    array = checked_array(x, "x")
    if array.dtype != np.float64:
        raise TypeError(
            f"check_gradients needs x in float64, got {array.dtype}: in float32 rounding hides errors of a percent; "
            "use x.astype('float64')"
        )
    if not np.isfinite(array).all():
        raise ValueError("x holds NaN or infinity; there is no gradient to check")
    return np.array(array, order="C")


def _function_of(subject: Any, x: Array, y: Any, training: bool, seed: int) -> Function:
    if isinstance(subject, Layer):
        return layer_function(subject, x, training, seed)
    if isinstance(subject, Sequential):
        return _model_function(subject, x, y, training)
    if isinstance(subject, Loss):
        return _loss_function(subject, x, y)
    hint = "; write an instance, with parentheses" if isinstance(subject, type) else ""
    raise TypeError(f"subject: check_gradients takes a layer, a Sequential or a loss; got {shown(subject)}{hint}")


def layer_function(layer: Layer, x: Array, training: bool = True, seed: int = 0) -> Function:
    """A layer as a function of its input and its parameters; one that is not built is built by the seed."""
    prepare(layer)
    fresh = not layer.built
    if fresh:
        rng = seeding.generator(seed, seeding.Stream.INITIALISE, 0)
        build_layer(layer, x.shape[1:], rng=rng, dtype="float64", backend=get_backend())
    _check_dtype(layer.dtype, layer.label)
    if x.shape[1:] != layer.built_input_shape:
        raise ValueError(f"{layer.label}: built for samples of shape {layer.built_input_shape}, x has {x.shape[1:]}")
    trained = {name: p.value for name, p in layer.params.items() if p.trainable and training}
    if INPUT in trained:
        raise ValueError(f"{layer.label}: a parameter cannot be called {INPUT!r}, which is the gradient of the input")

    def forward() -> Array:
        with buffers_kept([layer]):  # a forward may read what it then moves
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
    model = _in_float64(model, x.shape[1:])
    if x.shape[1:] != model.input_shape:
        raise ValueError(f"{model.name}: built for samples of shape {model.input_shape}, x has {x.shape[1:]}")
    with_loss = y is not None
    if with_loss and not model.compiled:
        raise ValueError(f"{model.name} is not compiled; labels are of use only with a loss")
    targets = model.loss.check_targets(y, len(x), model.output_shape) if with_loss else np.empty(0)
    chain = model.chain if with_loss else model.layers
    trained = {name: p.value for name, p in model.parameters().items() if p.trainable and training}

    def forward() -> tuple[Array, list[Any], Any]:
        with buffers_kept(model.layers):
            value, caches = forward_through(chain, x, step=STEP)
        if not with_loss:
            return value, caches, None
        losses, loss_cache = model.chain_loss.forward(value, targets, model.backend)
        return losses, caches, loss_cache

    def gradients(dy: Array) -> dict[str, Array]:
        _, caches, loss_cache = forward()
        if with_loss:
            dy = model.chain_loss.backward(loss_cache, dy, model.backend)
        dx = backward(chain, caches, dy)
        parameters = model.parameters()
        return {INPUT: dx} | {name: parameters[name].grad for name in trained}

    layers, frozen = list(model.layers), [] if training else list(model.layers)
    return Function(model.name, {INPUT: x} | trained, lambda: forward()[0], gradients, layers, frozen, composite=True)


def _in_float64(model: Sequential, input_shape: Shape) -> Sequential:
    """The model itself where it computes in float64, built if it is not; else a copy that does, with its weights."""
    if model.dtype == "float64":
        if not model.built:
            model.build(input_shape)
        return model
    twin = copy.deepcopy(model)
    twin.dtype = "float64"
    if not twin.built:
        twin.build(input_shape)
        return twin
    for layer, original in zip(twin.layers, model.layers, strict=True):
        build_layer(
            layer, layer.built_input_shape, rng=np.random.default_rng(0), dtype="float64", backend=model.backend
        )
        for name, parameter in layer.params.items():
            parameter.trainable = original.params[name].trainable
    twin.set_weights(model.get_weights())
    if twin.compiled:
        twin.compile("sgd", twin.loss)  # the chain is that of the new layers' arrays
    return twin


def _loss_function(loss: Loss, x: Array, y: Any) -> Function:
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


def _check_dtype(dtype: str, what: str) -> None:
    if dtype != "float64":
        raise TypeError(
            f"{what} was built in {dtype}; gradients are checked in float64, because in float32 rounding hides errors: "
            "build it with dtype='float64'"
        )
