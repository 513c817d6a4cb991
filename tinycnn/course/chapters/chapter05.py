"""Chapter 5: activations and initial weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...core.types import Array
from ...initializers import fans as right_fans
from ...kernels.reference import activation
from ..bugs.chapter05 import broken_sigmoid
from ..cases import Fill, numbers, phases_with_hard_cases
from ..exercise import Case, Chapter, Exercise, Hunt, Misreading, Phase, Result

BATCH = ("N", "D")
KERNEL = ("KH", "KW", "C", "F")


def _batch(draw: st.DrawFn) -> tuple[int, int]:
    return draw(st.integers(1, 3)), draw(st.integers(1, 4))


def _first_row(array: Array) -> Array:
    """Return an array that is 0 but for the first sample."""
    only = np.zeros_like(array)
    only[:1] = array[:1]
    return only


# ReLU -----------------------------------------------------------------------------------------------------------------


def right_relu(x: Array) -> Array:
    """Return ReLU by the reference kernel."""
    y: Array = activation.relu_forward(x)
    return y


_KINK = [{"x": numbers((number,))} for number in (1.0, 0.0, -1.0)]

RELU = Exercise(
    name="relu",
    right=right_relu,
    results=(Result("y", BATCH),),
    phases=phases_with_hard_cases(
        [*_KINK, {"x": numbers((-2, 3))}, {"x": numbers((2, -1), (-3, 4))}],
        lambda draw, fill: {"x": fill("x", _batch(draw))},
    ),
    misreadings=(
        Misreading("Are negative numbers not set to 0?", lambda x: x),
        Misreading("Is it the absolute value? Negative numbers become 0.", lambda x: abs(x)),
        Misreading("Is it the smaller one of x and 0? It is the larger one.", lambda x: np.minimum(x, 0)),
        Misreading("Is it the slope, 1 where x > 0? The result is x there.", lambda x: (x > 0) + 0.0),
        Misreading("Is the sign wrong?", lambda x: -np.maximum(x, 0)),
        Misreading("Are numbers cut off at 1? ReLU has no upper bound.", lambda x: np.clip(x, 0, 1)),
        Misreading(
            "Do negative numbers keep a hundredth? That is a leaky ReLU.", lambda x: np.where(x > 0, x, x / 100)
        ),
        Misreading("Do negative numbers keep a tenth? That is a leaky ReLU.", lambda x: np.where(x > 0, x, x / 10)),
        Misreading("Is only the first sample computed (axis N)?", lambda x: _first_row(right_relu(x))),
        Misreading("Is it softplus, log(1 + exp(x))?", lambda x: np.log1p(np.exp(x))),
    ),
    hints=(
        "Each element is treated by itself, whatever the shape is.",
        "np.max of an array is one number; np.maximum of two arrays compares their elements.",
        "np.maximum(x, 0)",
    ),
    minutes=10,
)


def right_relu_dx(dy: Array, y: Array) -> Array:
    """Return the gradient of ReLU by the reference kernel."""
    dx: Array = activation.relu_backward(dy, y)
    return dx


def _gradients_of_relu(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    shape = _batch(draw)
    return {"dy": fill("dy", shape), "y": np.maximum(fill("x", shape), 0)}


RELU_DX = Exercise(
    name="relu_dx",
    right=right_relu_dx,
    results=(Result("dx", BATCH),),
    phases=phases_with_hard_cases(
        [
            {"dy": numbers((5,)), "y": numbers((2,))},
            {"dy": numbers((5,)), "y": numbers((0,))},
            {"dy": numbers((-5, 6)), "y": numbers((3, 0.5))},
            {"dy": numbers((2, 3), (4, -5)), "y": numbers((0, 7), (3, 0))},
        ],
        _gradients_of_relu,
    ),
    misreadings=(
        Misreading(
            "Does dy pass where y is 0? The slope is 0 there. ReLU's result is never negative, so y >= 0 is always "
            "true; compare with y > 0.",
            lambda dy, y: dy,
        ),
        Misreading("Is dy left out? The slope is multiplied by dy.", lambda dy, y: (y > 0) + 0.0),
        Misreading("Is dy multiplied by y? The slope of ReLU is 1, not y.", lambda dy, y: dy * y),
        Misreading(
            "Is the sign of dy looked at? A gradient may be negative; what counts is the sign of y.",
            lambda dy, y: np.maximum(dy, 0),
        ),
        Misreading(
            "Is the sign of dy looked at? A gradient may be negative; what counts is the sign of y.",
            lambda dy, y: np.maximum(dy, 0) * (y > 0),
        ),
        Misreading("Is it the other way round? dy passes where y > 0.", lambda dy, y: np.where(y > 0, 0, dy)),
        Misreading("Is the sign wrong?", lambda dy, y: -dy * (y > 0)),
        *(
            Misreading(
                "Does something of dy pass where y is 0? That is the slope of a leaky ReLU; here it is 0.",
                lambda dy, y, slope=slope: dy * np.where(y > 0, 1, slope),
            )
            for slope in (0.001, 0.01, 0.1, 0.2)
        ),
        Misreading("Is the slope at the kink 1/2? Here it is taken as 0.", lambda dy, y: dy * np.heaviside(y, 0.5)),
        Misreading("Is dx divided by N? The loss has done that already.", lambda dy, y: dy * (y > 0) / len(dy)),
        Misreading("Is only the first sample computed (axis N)?", lambda dy, y: _first_row(dy * (y > 0))),
    ),
    hints=(
        "Where y is positive, y grows as much as x does. Where it is 0, it stays 0 if x changes a little.",
        "y > 0 is an array of True and False; in a product True counts as 1.",
        "dy * (y > 0)",
    ),
    minutes=10,
)


# The sigmoid ----------------------------------------------------------------------------------------------------------


def right_sigmoid(x: Array) -> Array:
    """Return the sigmoid by the reference kernel."""
    y: Array = activation.sigmoid_forward(x)
    return y


SIGMOID = Exercise(
    name="sigmoid",
    right=right_sigmoid,
    results=(Result("y", BATCH),),
    phases=phases_with_hard_cases(
        [{"x": numbers((number,))} for number in (0.0, 1.0, -1.0, 1000.0, -1000.0)]
        + [{"x": numbers((3, -2), (-800, 800))}],
        lambda draw, fill: {"x": fill("x", _batch(draw))},
    ),
    misreadings=(
        Misreading(
            "Does exp(x) overflow for a large x? Infinity divided by infinity is NaN: take exp of a number that is "
            "never positive, -abs(x).",
            lambda x: np.exp(x) / (1 + np.exp(x)),
        ),
        Misreading(
            "Does exp(-x) overflow for x far below 0? Use exp of a number that is never positive, -abs(x).",
            lambda x: 1 - np.exp(-x) / (1 + np.exp(-x)),
        ),
        Misreading("Is the minus missing? It is 1 / (1 + exp(-x)).", lambda x: 1 / (1 + np.exp(x))),
        Misreading(
            "Is the sign of x lost? 1 / (1 + exp(-abs(x))) is right where x >= 0; elsewhere it is e / (1 + e).",
            lambda x: right_sigmoid(abs(x)),
        ),
        Misreading("Is the 1 in the divisor missing? It is 1 / (1 + exp(-x)).", lambda x: 1 / np.exp(-x)),
        Misreading("Are parentheses missing? The divisor is the sum (1 + exp(-x)).", lambda x: 1 / 1 + np.exp(-x)),
        Misreading("Is it the hyperbolic tangent? The sigmoid lies between 0 and 1.", lambda x: np.tanh(x)),
        Misreading("Is it the slope, y * (1 - y)?", lambda x: right_sigmoid(x) * (1 - right_sigmoid(x))),
        Misreading("Is x cut off? The sigmoid of 1000 is 1 in float64.", lambda x: right_sigmoid(np.clip(x, -1, 1))),
        Misreading("Is only the first sample computed (axis N)?", lambda x: _first_row(right_sigmoid(x))),
        Misreading(
            "Are the numbers divided by their sum? Each element is treated by itself.",
            lambda x: right_sigmoid(x) / right_sigmoid(x).sum(-1, keepdims=True),
        ),
    ),
    hints=(
        "Try 1 / (1 + exp(-x)) with x = 1000 and x = -1000, and the same fraction multiplied by exp(x) / exp(x).",
        "One of the two forms is safe for positive x, the other for negative x. Both use e = exp(-abs(x)).",
        "1 / (1 + e) where x >= 0, and e / (1 + e) where x < 0; np.where chooses.",
    ),
    minutes=20,
)


def right_sigmoid_dx(dy: Array, y: Array) -> Array:
    """Return the gradient of the sigmoid by the reference kernel."""
    dx: Array = activation.sigmoid_backward(dy, y)
    return dx


def _gradients_of_sigmoid(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    shape = _batch(draw)
    return {"dy": fill("dy", shape), "y": right_sigmoid(fill("x", shape))}


SIGMOID_DX = Exercise(
    name="sigmoid_dx",
    right=right_sigmoid_dx,
    results=(Result("dx", BATCH),),
    phases=phases_with_hard_cases(
        [
            {"dy": numbers((4,)), "y": numbers((0.5,))},
            {"dy": numbers((4,)), "y": numbers((0.25,))},
            {"dy": numbers((4, 4)), "y": numbers((0, 1))},
            {"dy": numbers((-1, 2), (3, 1)), "y": numbers((0.75, 0.5), (0.25, 0.125))},
        ],
        _gradients_of_sigmoid,
    ),
    misreadings=(
        Misreading(
            "Is y put into the sigmoid again? It is the sigmoid's result already: y * (1 - y).",
            lambda dy, y: dy * right_sigmoid(y) * (1 - right_sigmoid(y)),
        ),
        Misreading("Is dy left out? The slope is multiplied by dy.", lambda dy, y: y * (1 - y)),
        Misreading("Is the factor y missing? The slope is y * (1 - y).", lambda dy, y: dy * (1 - y)),
        Misreading("Is the factor 1 - y missing? The slope is y * (1 - y).", lambda dy, y: dy * y),
        Misreading("Is it the slope of the hyperbolic tangent, 1 - y**2?", lambda dy, y: dy * (1 - y * y)),
        Misreading("Is the sign wrong? y * (1 - y) is never negative.", lambda dy, y: dy * y * (y - 1)),
        Misreading("Is y squared? The slope is y * (1 - y).", lambda dy, y: dy * y * y * (1 - y)),
        Misreading("Is it the slope of ReLU?", lambda dy, y: dy * (y > 0)),
        Misreading("Is dx divided by N? The loss has done that already.", lambda dy, y: dy * y * (1 - y) / len(dy)),
        Misreading("Is only the first sample computed (axis N)?", lambda dy, y: _first_row(dy * y * (1 - y))),
    ),
    hints=(
        "Write y = 1 / (1 + e) with e = exp(-x), and take the derivative: e / (1 + e)**2.",
        "That is 1 / (1 + e) times e / (1 + e). The second factor is 1 - y.",
        "dy * y * (1 - y)",
    ),
    minutes=15,
)


# Initial weights ------------------------------------------------------------------------------------------------------


@st.composite
def _shapes(draw: st.DrawFn) -> Case:
    length = st.integers(1, 5)
    kernel = (draw(length), draw(length)) if draw(st.booleans()) else ()
    return Case({"shape": (*kernel, draw(length), draw(length))})


def _fans(change: Callable[..., Any]) -> Callable[..., Any]:
    """Return a mistake: ``change`` takes the number of taps, of inputs and of outputs."""
    return lambda shape: change(int(np.prod(shape[:-2])), *shape[-2:])


FANS = Exercise(
    name="fans",
    right=right_fans,
    results=(Result("fan_in"), Result("fan_out")),
    phases=(
        Phase(
            "cases picked by hand",
            st.sampled_from([Case({"shape": shape}) for shape in ((4, 3), (1, 1, 2, 3), (3, 3, 1, 1), (2, 3, 4, 5))]),
            10,
        ),
        Phase("small whole numbers", _shapes(), 250),
    ),
    misreadings=(
        Misreading(
            "Are the taps left out? One number of a convolution's result is computed from KH*KW*C numbers.",
            _fans(lambda taps, inputs, outputs: (inputs, outputs)),
        ),
        Misreading(
            "Are fan_in and fan_out swapped? The last axis of a kernel is that of the outputs.",
            _fans(lambda taps, inputs, outputs: (taps * outputs, taps * inputs)),
        ),
        Misreading(
            "Are the taps missing from fan_out? One pixel goes into KH*KW*F numbers.",
            _fans(lambda taps, inputs, outputs: (taps * inputs, outputs)),
        ),
        Misreading(
            "Are the taps missing from fan_in? One number of the result is computed from KH*KW*C numbers.",
            _fans(lambda taps, inputs, outputs: (inputs, taps * outputs)),
        ),
        Misreading(
            "Is it the number of all weights? One output has KH*KW*C of them.",
            lambda shape: (int(np.prod(shape)), int(np.prod(shape))),
        ),
        Misreading(
            "Are these the first two axes? The last two are those of inputs and outputs.",
            lambda shape: tuple(shape[:2]),
        ),
        Misreading(
            "Is only one axis of the taps counted? There are KH*KW taps.",
            lambda shape: tuple((shape[0] if len(shape) > 2 else 1) * size for size in shape[-2:]),
        ),
        Misreading(
            "Are the taps added and not multiplied? There are KH*KW taps.",
            lambda shape: tuple((sum(shape[:-2]) or 1) * size for size in shape[-2:]),
        ),
        Misreading(
            "Are the taps added and not multiplied? There are KH*KW taps.",
            lambda shape: tuple((sum(shape[:-2]) + 1) * size for size in shape[-2:]),
        ),
    ),
    hints=(
        "For a dense layer both numbers stand in the shape.",
        "A window holds KH*KW*C numbers. In how many windows does one pixel lie, and for how many filters?",
        "The last two axes are inputs and outputs; multiply both by the product of the others, 1 for a dense layer.",
    ),
    minutes=20,
)


def _kernel(draw: st.DrawFn) -> tuple[int, ...]:
    return (draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3)))


def right_he(z: Array) -> Array:
    """Return z with the variance 2 / fan_in."""
    return z * np.sqrt(2 / right_fans(z.shape)[0])


def _times(factor: Callable[..., Any]) -> Callable[..., Array]:
    """Return a mistake: ``factor`` takes the number of taps, C and F."""
    return lambda z: z * factor(z.shape[0] * z.shape[1], *z.shape[2:])


def _ones(*shape: int) -> Array:
    return np.ones(shape)


HE_NORMAL = Exercise(
    name="he_normal",
    right=right_he,
    results=(Result("w", KERNEL),),
    phases=phases_with_hard_cases(
        [{"z": _ones(*shape)} for shape in ((1, 1, 2, 1), (1, 1, 1, 1), (1, 1, 1, 3), (1, 2, 1, 1), (2, 3, 2, 1))],
        lambda draw, fill: {"z": fill("z", _kernel(draw))},
    ),
    misreadings=(
        Misreading(
            "Is the root left out? The variance is 2 / fan_in, and z is multiplied by the root of it.",
            _times(lambda taps, C, F: 2 / (taps * C)),
        ),
        Misreading(
            "Is fan_out taken? The sum runs over the inputs of one output: fan_in = KH*KW*C.",
            _times(lambda taps, C, F: np.sqrt(2 / (taps * F))),
        ),
        Misreading(
            "Is the 2 left out? A ReLU sets half of the numbers to 0, which halves the variance.",
            _times(lambda taps, C, F: np.sqrt(1 / (taps * C))),
        ),
        Misreading(
            "Are the taps left out? fan_in is KH*KW*C.",
            _times(lambda taps, C, F: np.sqrt(2 / C)),
        ),
        Misreading(
            "Is it the number of all weights? fan_in is KH*KW*C, without F.",
            _times(lambda taps, C, F: np.sqrt(2 / (taps * C * F))),
        ),
        Misreading(
            "Are parentheses missing around the divisor? 2 / (KH * KW * C) is another number than 2 / KH * KW * C.",
            lambda z: z * np.sqrt(2 / z.shape[0] * z.shape[1] * z.shape[2]),
        ),
        Misreading(
            "Is it Glorot's variance, 2 / (fan_in + fan_out)?",
            _times(lambda taps, C, F: np.sqrt(2 / (taps * (C + F)))),
        ),
        Misreading(
            "Is z divided by the root, and not multiplied?", _times(lambda taps, C, F: 1 / np.sqrt(2 / (taps * C)))
        ),
        Misreading("Is 2 outside of the root?", _times(lambda taps, C, F: 2 / np.sqrt(taps * C))),
        Misreading("Is the sum of C and the taps taken?", _times(lambda taps, C, F: np.sqrt(2 / (taps + C)))),
    ),
    hints=(
        "If a random number has the variance 1, the number times a has the variance a*a.",
        "So z has to be multiplied by the root of 2 / fan_in.",
        "fan_in is z.shape[0] * z.shape[1] * z.shape[2]; fans(z.shape) knows it.",
    ),
    minutes=15,
)


def right_glorot(u: Array) -> Array:
    """Return numbers from -limit to limit."""
    return (2 * u - 1) * np.sqrt(6 / sum(right_fans(u.shape)))


def _shares(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    return {"u": 1 / (1 + np.exp(-fill("u", _kernel(draw))))}


def _limit(limit: Callable[..., Any]) -> Callable[..., Array]:
    """Return a mistake in the limit: ``limit`` takes the number of taps, C and F."""
    return lambda u: (2 * u - 1) * limit(u.shape[0] * u.shape[1], *u.shape[2:])


GLOROT = Exercise(
    name="glorot_uniform",
    right=right_glorot,
    results=(Result("w", KERNEL),),
    phases=phases_with_hard_cases(
        [
            {"u": _ones(1, 1, 2, 1)},
            {"u": 0 * _ones(1, 1, 1, 2)},
            {"u": 0.5 * _ones(1, 1, 1, 1)},
            {"u": _ones(1, 2, 1, 1)},
            {"u": 0.75 * _ones(2, 1, 3, 1)},
        ],
        _shares,
    ),
    misreadings=(
        Misreading(
            "Are the weights never negative? They lie between -limit and limit: 2*u - 1 lies between -1 and 1.",
            lambda u: u * np.sqrt(6 / sum(right_fans(u.shape))),
        ),
        Misreading(
            "Do the weights reach only half of the limit? u - 0.5 lies between -0.5 and 0.5; 2*u - 1 between -1 and 1.",
            lambda u: right_glorot(u) / 2,
        ),
        Misreading("Is the root left out?", _limit(lambda taps, C, F: 6 / (taps * (C + F)))),
        Misreading(
            "Is the limit the standard deviation? A uniform distribution from -limit to limit has the variance "
            "limit**2 / 3: that is where 6 = 3 * 2 comes from.",
            _limit(lambda taps, C, F: np.sqrt(2 / (taps * (C + F)))),
        ),
        Misreading(
            "Is fan_out left out? The divisor is fan_in + fan_out.", _limit(lambda taps, C, F: np.sqrt(6 / (taps * C)))
        ),
        Misreading(
            "Is fan_in left out? The divisor is fan_in + fan_out.", _limit(lambda taps, C, F: np.sqrt(6 / (taps * F)))
        ),
        Misreading(
            "Is the divisor the mean of fan_in and fan_out? It is the sum.",
            _limit(lambda taps, C, F: np.sqrt(6 / (taps * (C + F) / 2))),
        ),
        Misreading("Are the taps left out? fan_in is KH*KW*C.", _limit(lambda taps, C, F: np.sqrt(6 / (C + F)))),
        Misreading(
            "Are parentheses missing? 6 is divided by the sum of fan_in and fan_out.",
            _limit(lambda taps, C, F: np.sqrt(6 / (taps * C) + taps * F)),
        ),
        Misreading("Is the sign wrong? 0 becomes -limit.", lambda u: -right_glorot(u)),
    ),
    hints=(
        "First turn u, from 0 to 1, into a number from -1 to 1.",
        "2*u - 1 lies between -1 and 1. Multiply it by the limit.",
        "limit = np.sqrt(6 / (fan_in + fan_out)), with the two numbers of fans(u.shape).",
    ),
    minutes=20,
)

COUNTEREXAMPLE = Hunt(
    name="counterexample",
    broken=broken_sigmoid,
    right=right_sigmoid,
    arguments=(Result("x", BATCH),),
    hints=(
        "For which x is exp(x) no longer a number that float64 can hold?",
        "float64 ends near 1.8e308. What is infinity divided by infinity?",
        "Take a single number above 710.",
    ),
    minutes=10,
)

CHAPTER = Chapter(
    "chapter05",
    "Activations and initial weights",
    "05-activations.md",
    (RELU, RELU_DX, SIGMOID, SIGMOID_DX, FANS, HE_NORMAL, GLOROT, COUNTEREXAMPLE),
)
