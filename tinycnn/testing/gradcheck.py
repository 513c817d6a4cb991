"""Compare gradients with central differences, in float64 and for a random cotangent.

For a layer with the result y and a cotangent dy (random numbers of y's shape), the number ``L = sum(dy * y)`` has the
gradient that ``backward(dy)`` must return. Every element v of the input and of each parameter is moved by ±h, and
``(L(v + h) - L(v - h)) / 2h`` is compared with its gradient. The cotangent is random because with one of all
ones some errors cancel and stay hidden: the result of a batch normalization, for example, always has the same sum. The
arrays are float64 because in float32 rounding hides errors of a percent.

At some points there is no derivative (a ReLU at 0, a tie in a max-pool). Such a point is counted as a kink, and the
gradient has to lie between the slopes on its two sides; see :mod:`tinycnn.testing.slopes`.
"""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ..core.checks import array as checked_array
from ..core.checks import boolean, integer, real
from ..core.messages import shown
from ..core.types import Array
from .functions import INPUT, Function, function_of, gradient_of
from .report import GradientReport, Row
from .slopes import ALLOWED_ROUNDING, STEPS, WIDE, Slopes, Verdict, judge

RTOL = 1e-5
ATOL = 1e-6
#: The cotangent has a stream of random numbers of its own. Inputs are often drawn from the same small seeds, and a
#: cotangent that equals the input hides errors: for ``y = x * x`` it would not show that backward forgets dy.
COTANGENT = 1
#: How often the rounding of one function is measured, before what disagrees is called wrong at once.
MEASUREMENTS = 5
#: The rounding, relative to results and input, from which on a function does not compute in float64 throughout.
COARSE = 1e-10
#: A step that shows even in float16, of which the usual steps show nothing.
COARSE_STEP = 2.0**-6


@np.errstate(under="ignore")
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

    An element passes if ``|analytic - numeric| <= rtol * max(|analytic|, |numeric|) + atol * rms + noise``, where
    ``rms`` is the root mean square of that array's gradient and ``noise`` is a bound for the rounding of the difference
    itself. So an error of 0.1 % of a gradient fails, and NaN fails, however small the function's results, inputs and
    parameters are: steps and bounds follow their sizes. If rounding would hide such an error, because the results are
    very much larger than their changes, an element counts as hidden and not as checked.

    The report's largest relative error is that of ``|analytic - numeric| / max(|analytic|, |numeric|, rms, 1000 *
    noise)`` over the elements that agree; for an element that is wrong, the error names ``|analytic - numeric| /
    max(|analytic|, |numeric|)``.

    If the layer is built here, its parameters are moved off their initial values, because a forgotten factor does not
    show at 1, and a forgotten branch does not show at 0. Everything is put back afterwards.

    Parameters
    ----------
    subject : Layer, Sequential or Loss
        A layer that is not built yet is built for x, in float64; a layer that is built already must be float64. For a
        model in float32, a float64 copy with the same weights is checked.
    x : (N, …) float64 array
        The inputs; for a loss, the predictions.
    y : (N,) array, optional
        The labels. A loss needs them; if they are given, a compiled model is checked together with its loss.
    training : bool
        False checks layers as they are when they are frozen (batch normalization with its moving statistics).
    seed : int
        The seed of the cotangent, and of the initial values of a layer that is built here.
    rtol, atol : float
        The relative and the absolute tolerance of the formula above.
    max_elements : int, optional
        Check this many randomly drawn elements of each array instead of all of them.

    Returns
    -------
    GradientReport

    Raises
    ------
    AssertionError
        If a gradient is wrong; the message names the layer, the array, the index, both values and the largest relative
        error. Also if forward or backward changes its arguments, if backward adds to gradients instead of overwriting
        them, if rounding hides a whole array of a layer or a loss, or if forward computes in float32.
    TypeError, ValueError
        If x is not float64, does not fit in shape, or is not finite.
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
    function = function_of(subject, x, y, training, seed)
    report = GradientReport(
        f"Gradient check of {function.name} (float64, central differences, dy drawn with seed {seed})"
    )
    with function.frozen():
        compare(function, report, seed=seed, rtol=rtol, atol=atol, max_elements=max_elements)
    if report.failures:
        raise AssertionError("\n".join(report.failures))
    return report


def _checked_input(x: Any) -> Array:
    """Return a C-ordered copy of x, which the check may move; raise unless x is float64 and finite."""
    array = checked_array(x, "x")
    if array.dtype != np.float64:
        raise TypeError(
            f"check_gradients needs x in float64, got {array.dtype}: in float32 rounding hides errors of a percent; "
            "use x.astype('float64')"
        )
    if not np.isfinite(array).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(
            f"x holds NaN or infinity, for which there is no gradient to check; got {array[index]} at {list(index)}"
        )
    return np.array(array, order="C")


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
    """Check a function's gradients; add a row for each array to the report, and a failure for each wrong array."""
    rng = np.random.default_rng([seed, COTANGENT])
    before = {name: array.copy() for name, array in function.arrays.items()}
    y0 = function.forward().copy()  # the copy is needed because some layers return their input itself
    _check_unchanged(function, before, "forward")
    if not np.array_equal(y0, function.forward(), equal_nan=True):
        raise RuntimeError(
            f"{function.name}: two forwards of the same input differ, so that differences cannot be measured; draw "
            "random numbers from a fixed seed, or from the step that forward is given"
        )
    dy = rng.normal(size=y0.shape)
    analytic = _analytic(function, dy)
    _check_unchanged(function, before, "backward")
    results = {}
    for name, array in function.arrays.items():
        gradient = analytic[name]
        if gradient.shape != array.shape:
            report.failures.append(
                f"{function.name}: {gradient_of(name)} has shape {gradient.shape}, but the array has {array.shape}"
            )
            continue
        probe = _Probe(function.forward, y0, dy, array, function.composite)
        elements = np.arange(array.size)
        if max_elements is not None and array.size > max_elements:
            elements = np.sort(rng.choice(array.size, max_elements, replace=False))
        results[name] = result = probe.compare(gradient.reshape(-1), elements, rtol, atol)
        counts = result.checked, result.kinks, result.largest_error
        report.rows.append(Row(layer_name or function.name, name, array.shape, *counts, note, result.hidden))
    coarse = any(result.coarse for result in results.values())  # forward is the same for all arrays
    for name, result in results.items():
        if coarse and (result.coarse or result.wrong):
            report.failures.append(
                f"{function.name}: {gradient_of(name)} cannot be checked, because forward loses digits: its results "
                "do not follow small changes as float64 can. Perhaps a part of it is computed in float32; make every "
                "array in forward with the dtype of x"
            )
        elif result.wrong:
            report.failures.append(_describe(function.name, name, function.arrays[name].shape, result, seed))
        elif result.hidden and not result.checked and not function.composite:
            report.failures.append(
                f"{function.name}: {gradient_of(name)} cannot be checked, because results as large as "
                f"{np.abs(y0).max():.2g} hide their own changes by rounding; check with inputs or weights that give "
                "smaller results, or larger changes"
            )


def _analytic(function: Function, dy: Array) -> dict[str, Array]:
    """Return copies of all gradients; raise AssertionError if a second backward gives others."""
    first, second = (
        {name: _array(function, name, gradient) for name, gradient in function.gradients(dy.copy()).items()}
        for _ in range(2)
    )
    for name, gradient in first.items():
        if name != INPUT and not np.array_equal(gradient, second[name], equal_nan=True):
            raise AssertionError(
                f"{function.name}: a second backward gave another gradient of {name}; it must overwrite the gradient, "
                "not add to it"
            )
    return first


def _array(function: Function, name: str, gradient: Any) -> Array:
    """Return a copy of a gradient, or raise AssertionError if it is not an array."""
    if not isinstance(gradient, np.ndarray):
        raise AssertionError(f"{function.name}: {gradient_of(name)} must be an array; got {shown(gradient)}")
    return gradient.copy()


def _rms(array: Array) -> float:
    """Return the root mean square of the finite elements."""
    finite = array[np.isfinite(array)]
    # Squares must neither overflow nor vanish; a power of 2 changes no digit.
    exponent = int(np.frexp(np.abs(finite).max(initial=0.0))[1])
    return float(np.ldexp(np.sqrt(np.mean(np.square(np.ldexp(finite, -exponent)))), exponent)) if finite.size else 0.0


def _check_unchanged(function: Function, before: dict[str, Array], which: str) -> None:
    """Raise AssertionError if forward or backward moved the point at which the gradients are compared."""
    for name, array in function.arrays.items():
        if not np.array_equal(array, before[name]):
            what = "its input" if name == INPUT else f"the parameter {name}"
            raise AssertionError(f"{function.name}: {which} changed {what} in place; it must work on a copy")


@dataclass
class _Result:
    """What the check of one array found."""

    checked: int = 0
    kinks: int = 0
    hidden: int = 0
    largest_error: float = 0.0
    #: Whether forward does not compute in float64 throughout.
    coarse: bool = False
    #: (element, analytic, numeric, relative error) of each element that is wrong.
    wrong: list[tuple[int, float, float, float]] = field(default_factory=list)


class _Probe:
    """Moves one array element by element and measures how ``sum(dy * y)`` changes.

    Steps and roundings follow the sizes of the array and of the results, so that a function of results as small as
    1e-9, or of inputs as small, is checked as strictly as any other.
    """

    def __init__(self, forward: Callable[[], Array], y0: Array, dy: Array, array: Array, composite: bool) -> None:
        self._forward, self._y0, self._dy, self._composite = forward, y0, dy, composite
        self._flat = array.reshape(-1)
        if array.size and not np.shares_memory(self._flat, array):
            raise ValueError("the array to check must be contiguous; store it as np.ascontiguousarray returns it")
        self._size = min(_rms(array), 1.0) or 1.0
        # The rounding of each output, which is passed on to the difference quotient: of one that changes, and of one
        # that does not, perhaps because it is so large that the step does not show in it.
        unit = np.finfo(np.float64).eps * np.abs(dy)
        self._rounding, self._absorbed = unit * (np.abs(y0) + _rms(y0)), unit * np.abs(y0)
        self._steps: tuple[float, ...] = STEPS
        #: The rounding of ``sum(dy * y)`` that was measured, because what the results' size explains was not enough.
        self._measured = 0.0
        self._measurements = 0

    def compare(self, analytic: Array, elements: Array, rtol: float, atol: float) -> _Result:
        """Judge the given elements of a flat analytic gradient."""
        result = _Result()
        slopes = {int(e): functools.cache(partial(self._slopes, np.array([e]))) for e in elements}
        rms, scale = self._scales(slopes)
        kinks = []
        for element, at in slopes.items():
            value = float(analytic[element])
            verdict = self._judged(element, value, at, rtol, atol * rms, scale, result)
            difference = abs(value - verdict.numeric)
            size = max(abs(value), abs(verdict.numeric), np.finfo(float).tiny)
            if verdict.kink and (verdict.agrees or self._composite):
                result.kinks += 1
                kinks.append(element)
            elif verdict.hidden:
                result.hidden += 1
            else:
                result.checked += 1
                if verdict.agrees:
                    error = difference / max(size, rms, verdict.noise / ALLOWED_ROUNDING)
                    result.largest_error = max(result.largest_error, error)
                else:
                    result.wrong.append((element, value, verdict.numeric, difference / size))
        self._judge_together(kinks, analytic, rtol, atol * rms, result)
        return result

    def _scales(self, slopes: Mapping[int, Callable[[float], Slopes]]) -> tuple[float, float]:
        """Return the root mean square of the numeric gradient, and the size with which rounding is compared.

        The two are one, except for a gradient that is 0 throughout, as that of a bias before a batch normalization.
        What is left of it is rounding, which can only be compared with the size of the results. Whether it is 0 or only
        very small shows with a wider step, by which the whole array is moved.
        """
        first = [at(STEPS[0]) for at in slopes.values()]
        rms, noise = _rms(np.array([found.central for found in first])), max((f.noise for f in first), default=0.0)
        if noise <= ALLOWED_ROUNDING * rms:
            return rms, rms
        typical = 0.0
        for wide in (WIDE,) if self._size == 1 else (WIDE, WIDE / self._size):
            if slope := self._typical_slope(wide * self._size):
                self._steps, typical = (*self._steps, wide), slope
        if self._steps == STEPS:
            return rms, _rms(self._dy) * min(_rms(self._y0) / self._size, 1.0)
        rms = _rms(np.array([at(self._steps[-1]).central for at in slopes.values()]))
        return rms, max(rms, typical)  # the elements that are checked may be the only ones that nothing depends on

    def _typical_slope(self, distance: float) -> float:
        """Return about the root mean square of the array's slopes, from moving all elements, up or down at random.

        It is 0 if the results change by no more than rounding.
        """
        before = self._flat.copy()
        self._flat += distance * np.random.default_rng(COTANGENT).choice([-1.0, 1.0], before.size)
        with np.errstate(all="ignore"):
            change = float(((self._forward() - self._y0) * self._dy).sum())
        self._flat[...] = before
        large = abs(change) > 10 * float(self._rounding.sum())
        return abs(change) / (distance * float(np.sqrt(before.size))) if large else 0.0

    def _judged(
        self,
        element: int,
        value: float,
        at: Callable[[float], Slopes],
        rtol: float,
        atol: float,
        scale: float,
        result: _Result,
    ) -> Verdict:
        """Judge one element; before it is called wrong, measure how much rounding there really is."""

        def measured(h: float) -> Slopes:
            found = at(h)
            return found._replace(noise=max(found.noise, self._measured / self._step(np.array([element]), h)))

        verdict = judge(value, measured, rtol, atol, scale, self._steps)
        done = verdict.agrees or verdict.hidden or (verdict.kink and self._composite)
        if done or self._measurements == MEASUREMENTS:
            return verdict
        self._measurements += 1
        noise = self._noise(element, at(STEPS[0]), result)
        result.coarse |= not verdict.numeric and self._is_coarse_step(element, value)
        if noise <= self._measured:
            return verdict
        self._measured = noise
        return judge(value, measured, rtol, atol, scale, self._steps)

    def _noise(self, element: int, around: Slopes, result: _Result) -> float:
        """Return a bound for the rounding of ``sum(dy * y)``, from its third differences over seven tiny steps.

        It also finds out whether forward loses digits: whether that bound is large, or the seven values stand on steps
        of a staircase, so that their slope is not the slope ``around``.

        Source: J. J. Moré and S. M. Wild, Estimating computational noise, SIAM Journal on Scientific Computing 33
        (2011). The differences of a smooth function vanish with the third power of the step, those of rounding do not.
        """
        before, step = self._flat[element], WIDE * self._step(np.array([element]), STEPS[-1])
        values = []
        with np.errstate(all="ignore"):
            for i in range(7):
                self._flat[element] = before + i * step
                values.append(float(((self._forward() - self._y0) * self._dy).sum()))
        self._flat[element] = before
        noise = 8 * _rms(np.diff(values, 3)) / math.sqrt(20)  # 20 = 6! / (3!)²
        if not np.isfinite(noise + around.gap):  # forward is not defined close by
            return 0.0
        size = max(_rms(self._y0), self._size) * float(np.sqrt(np.square(self._dy).sum()))
        slope, tolerance = values[-1] / (6 * step), 0.05 * abs(around.central) + float(self._rounding.sum()) / step
        staircase = around.gap < tolerance < abs(slope - around.central)
        result.coarse |= staircase or noise > COARSE * size
        return noise

    def _is_coarse_step(self, element: int, value: float) -> bool:
        """Return whether results stand still for small steps and follow a wide one as backward says, as in float16."""
        wide = self._slopes(np.array([element]), COARSE_STEP).central
        return bool(value != 0 and abs(wide - value) <= 0.3 * abs(value))

    def _judge_together(self, kinks: list[int], analytic: Array, rtol: float, atol: float, result: _Result) -> None:
        """Move all elements at a kink together: in a tie there is a slope then, the sum of their gradients."""
        if len(kinks) < 2 or self._composite:
            return
        elements, value = np.array(kinks), float(analytic[kinks].sum())
        verdict = judge(value, partial(self._slopes, elements), rtol, atol)
        if not verdict.agrees and not verdict.kink:
            error = abs(value - verdict.numeric) / max(abs(value), abs(verdict.numeric))
            result.wrong.append((kinks[0], value, verdict.numeric, error))

    def _step(self, elements: Array, h: float) -> float:
        """Return by how much elements are moved for the relative step ``h``."""
        return h * max(self._size, float(np.abs(self._flat[elements]).max()))

    def _slopes(self, elements: Array, h: float) -> Slopes:
        """Measure the slopes for a step by which all the given elements are moved together."""
        before, step = self._flat[elements], self._step(elements, h)
        with np.errstate(all="ignore"):  # a step may lead to where forward is not defined
            self._flat[elements] = before + step
            up = (self._forward() - self._y0) * self._dy / step
            self._flat[elements] = before - step
            down = (self._y0 - self._forward()) * self._dy / step
        self._flat[elements] = before
        moved = (up != 0) | (down != 0)
        noise = max(self._rounding[moved].sum(), self._absorbed.max(initial=0.0))
        return Slopes.of(down, up, 4 * float(noise) / step)


def _describe(function: str, array: str, shape: tuple[int, ...], result: _Result, seed: int) -> str:
    """Return the message for an array with wrong elements; it shows the one with the largest error."""
    element, analytic, numeric, error = max(result.wrong, key=lambda wrong: (np.isnan(wrong[3]), wrong[3]))
    index = ", ".join(map(str, np.unravel_index(element, shape)))
    undefined = "" if np.isfinite(numeric) else f" (forward is not finite within {STEPS[-1]} of it)"
    return (
        f"{function}: {gradient_of(array)} is wrong at [{index}]: backward says {analytic:.9g}, "
        f"the difference quotient {numeric:.9g}{undefined}; relative error {error:.2g}, the largest of "
        f"{len(result.wrong)} wrong elements in {result.checked + result.kinks} (dy drawn with seed {seed})"
    )
