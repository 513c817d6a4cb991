"""Chapter 8: dropout."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...core.types import Array
from ..bugs.chapter08 import broken_dropout
from ..cases import Fill, numbers, phases_with_hard_cases
from ..exercise import Chapter, Exercise, Hunt, Misreading, Result

BATCH = ("N", "D")
#: From none to nearly all; 0.5 is not the first, because its mistakes look alike.
RATES = (0.25, 0.0, 0.5, 0.75, 0.999)


def _uniform(draw: st.DrawFn, shape: tuple[int, ...], rate: float) -> Array:
    """Return numbers from 0 to below 1, of which some are exactly the rate."""
    u = np.random.default_rng(draw(st.integers(0, 1000))).random(shape)
    return np.where(u < 0.1, rate, u)


def _size(draw: st.DrawFn) -> tuple[int, int]:
    return draw(st.integers(1, 3)), draw(st.integers(1, 4))


# Random numbers --------------------------------------------------------------------------------------------------


def right_numbers(seed: int, step: int, shape: tuple[int, ...]) -> Array:
    """Return numbers that depend on the seed and the step."""
    return np.random.default_rng([seed, step]).random(shape)


def _steps(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    return {"seed": draw(st.integers(0, 99)), "step": draw(st.integers(0, 999)), "shape": _size(draw)}


def _seeded(*entropy: str) -> Callable[..., Array]:
    """Return a mistake: the generator begins with other numbers, named in code."""

    def results(seed: int, step: int, shape: tuple[int, ...]) -> Array:
        values = {"seed": seed, "step": step}
        return np.random.default_rng([values[name] for name in entropy]).random(shape)

    return results


DRAW = Exercise(
    name="draw_numbers",
    right=right_numbers,
    results=(Result("u", BATCH),),
    phases=phases_with_hard_cases(
        [
            {"seed": 0, "step": 1, "shape": (1, 1)},
            {"seed": 1, "step": 0, "shape": (1, 1)},
            {"seed": 7, "step": 3, "shape": (2, 3)},
            {"seed": 3, "step": 7, "shape": (3, 2)},
        ],
        _steps,
    ),
    misreadings=(
        Misreading("Is the step left out? Another step must give other numbers.", _seeded("seed")),
        Misreading("Is the seed left out? Another seed must give other numbers.", _seeded("step")),
        Misreading("Are seed and step swapped? They are [seed, step].", _seeded("step", "seed")),
        Misreading(
            "Are seed and step added up? Then step 1 of seed 0 is step 0 of seed 1. Give both: [seed, step].",
            lambda seed, step, shape: np.random.default_rng(seed + step).random(shape),
        ),
        Misreading(
            "Are seed and step multiplied? Then all steps of seed 0 are alike. Give both: [seed, step].",
            lambda seed, step, shape: np.random.default_rng(seed * step).random(shape),
        ),
        Misreading(
            "Are they normally distributed? random() gives numbers from 0 to below 1, all equally likely.",
            lambda seed, step, shape: np.random.default_rng([seed, step]).normal(size=shape),
        ),
        Misreading(
            "Are all numbers the same one? Draw one for each element: random(shape).",
            lambda seed, step, shape: np.full(shape, right_numbers(seed, step, ())),
        ),
        Misreading(
            "Do all images get the same numbers (axis N)? Draw one for each element: random(shape).",
            lambda seed, step, shape: right_numbers(seed, step, shape[1:]) + np.zeros(shape),
        ),
    ),
    hints=(
        "Make a new generator in each call, so that nothing is remembered from one call to the next.",
        "np.random.default_rng takes one number or a list of numbers, and all of them decide what is drawn.",
        "np.random.default_rng([seed, step]).random(shape)",
    ),
    minutes=10,
)


# Forward and backward --------------------------------------------------------------------------------------------


def right_forward(x: Array, u: Array, rate: float, training: bool) -> tuple[Array, Array]:
    """Return what is kept, made larger, and the mask."""
    mask = np.where(u < rate, 0.0, 1.0 / (1.0 - rate)) if training else np.ones(x.shape)
    return np.multiply(x, mask), mask


def _call(x: Array, u: Array, rate: float, training: bool) -> dict[str, Any]:
    return {"x": x, "u": u, "rate": rate, "training": training}


HARD_FORWARD = (
    _call(numbers((2,)), numbers((0.9,)), 0.25, True),
    _call(numbers((2,)), numbers((0.1,)), 0.25, True),
    _call(numbers((2, 3)), numbers((0.9, 0.1)), 0.25, False),
    _call(numbers((2, 3)), numbers((0.9, 0.1)), 0.25, True),
    _call(numbers((2, 3)), numbers((0, 0.5)), 0.0, True),
    _call(numbers((2, 3)), numbers((0.5, 0.25)), 0.5, True),
    _call(numbers((2, 3), (4, 5)), numbers((0.1, 0.9), (0.9, 0.1)), 0.75, True),
    _call(numbers((2, 3), (4, 5)), numbers((0.1, 0.9), (0.9, 0.1)), 0.75, False),
    _call(numbers((2, 3, 4)), numbers((0.9985, 0.999, 0.9995)), 0.999, True),
)


def _forward(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    size, rate = _size(draw), draw(st.sampled_from(RATES))
    return _call(fill("x", size), _uniform(draw, size, rate), rate, draw(st.booleans()))


def _masked(
    training: Callable[[Array, float], Array], inference: Callable[[Array, float], Array] = lambda u, rate: np.ones(1)
) -> Callable[..., Any]:
    """Return a mistake: the mask is another function of u and the rate."""

    def results(x: Array, u: Array, rate: float, **rest: bool) -> tuple[Array, Array]:
        chosen = training if rest["training"] else inference
        mask = np.zeros(x.shape) + chosen(u, rate)
        return x * mask, mask

    return results


def _right_mask(u: Array, rate: float) -> Array:
    return np.where(u < rate, 0.0, 1.0 / (1.0 - rate))


FORWARD = Exercise(
    name="dropout_forward",
    right=right_forward,
    results=(Result("y", BATCH, computed_from=("mask",)), Result("mask", BATCH)),
    phases=phases_with_hard_cases(HARD_FORWARD, _forward),
    misreadings=(
        Misreading(
            "Is the scale left out? What is kept is multiplied by 1 / (1 - rate), so that the mean stays.",
            _masked(lambda u, rate: u >= rate),
        ),
        Misreading(
            "Is what is kept divided by the rate? The share that is kept is 1 - rate; divide by that.",
            _masked(lambda u, rate: np.divide(u >= rate, rate)),
        ),
        Misreading(
            "Is what is kept multiplied by 1 - rate? It gets larger: divide by 1 - rate.",
            _masked(lambda u, rate: (u >= rate) * (1 - rate)),
        ),
        Misreading(
            "Is the rate taken for the share that is kept? An element is kept where u >= rate.",
            _masked(lambda u, rate: (u < rate) / (1 - rate)),
        ),
        Misreading(
            "Is the rate taken for the share that is kept? It is the share that is dropped: keep where u >= rate.",
            _masked(lambda u, rate: np.divide(u < rate, rate)),
        ),
        Misreading(
            "Is an element dropped whose number is exactly the rate? It is kept: u >= rate. With a rate of 0, all are.",
            _masked(lambda u, rate: (u > rate) / (1 - rate)),
        ),
        Misreading(
            "Are elements dropped at inference too (training=False)? There, nothing is changed, and the mask is 1.",
            _masked(_right_mask, _right_mask),
        ),
        Misreading(
            "Is the result scaled at inference (training=False)? Training has made up for the rate already.",
            _masked(_right_mask, lambda u, rate: np.full(u.shape, 1 - rate)),
        ),
        Misreading(
            "Is the result at inference (training=False) scaled by 1 / (1 - rate)? There, nothing is changed.",
            _masked(_right_mask, lambda u, rate: np.full(u.shape, 1 / (1 - rate))),
        ),
        Misreading(
            "Is the scale left to inference? Here training divides by 1 - rate, and inference changes nothing.",
            _masked(lambda u, rate: u >= rate, lambda u, rate: np.full(u.shape, 1 - rate)),
        ),
        Misreading(
            "Are training and inference swapped?",
            lambda training, **a: right_forward(training=not training, **a),
        ),
        Misreading(
            "Do all images get the mask of the first (axis N)? Each element has its own number in u.",
            _masked(lambda u, rate: _right_mask(u[:1], rate)),
        ),
        Misreading(
            "Are whole images dropped, by their first number (axis D)? Each element has its own number in u.",
            _masked(lambda u, rate: _right_mask(u[:, :1], rate)),
        ),
        Misreading(
            "Is the mask that is returned without the scale? Return what x was multiplied by; backward needs it.",
            lambda **a: (right_forward(**a)[0], np.asarray(right_forward(**a)[1] > 0, float)),
        ),
        Misreading("Are the results swapped? They are y, mask.", lambda **a: right_forward(**a)[::-1]),
        Misreading(
            "Is the scale the share that was really kept? It is 1 / (1 - rate), whatever was drawn.",
            _masked(lambda u, rate: np.divide(u >= rate, (u >= rate).mean())),
        ),
        Misreading(
            "Is the mask 0 at inference (training=False)? Nothing is dropped there, so it is 1.",
            lambda training, **a: (
                right_forward(training=training, **a)[0],
                right_forward(training=training, **a)[1] * training,
            ),
        ),
    ),
    hints=(
        "u >= rate is True where an element is kept. A product with True leaves a number, and one with False gives 0.",
        "Of many elements the share 1 - rate is kept. By what must these be multiplied to keep the sum?",
        "mask = (u >= rate) / (1 - rate) in training, np.ones_like(x) otherwise; return x * mask, mask.",
    ),
    minutes=25,
)


def right_backward(dy: Array, mask: Array) -> Array:
    """Return the gradient with respect to x."""
    return np.multiply(dy, mask)


def _masks(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    size, rate = _size(draw), draw(st.sampled_from(RATES))
    return {"dy": fill("dy", size), "mask": _right_mask(_uniform(draw, size, rate), rate)}


BACKWARD = Exercise(
    name="dropout_backward",
    right=right_backward,
    results=(Result("dx", BATCH),),
    phases=phases_with_hard_cases(
        [
            {"dy": numbers((3,)), "mask": numbers((4,))},
            {"dy": numbers((3, 5)), "mask": numbers((0, 4))},
            {"dy": numbers((3, 5)), "mask": numbers((1, 1))},
            {"dy": numbers((3, 5), (7, 9)), "mask": numbers((0, 2), (2, 2))},
            {"dy": numbers((3, 5, 7)), "mask": numbers((1000, 0, 0))},
        ],
        _masks,
    ),
    misreadings=(
        Misreading(
            "Is the scale left out? Forward, x was multiplied by the mask, 1 / (1 - rate) included; so is dy.",
            lambda dy, mask: dy * (mask > 0),
        ),
        Misreading("Is the scale applied twice?", lambda dy, mask: dy * mask * mask),
        Misreading(
            "Is dy passed on unchanged? What was dropped had no part in the result; its gradient is 0.",
            lambda dy, mask: dy.copy(),
        ),
        Misreading("Is dy divided by the mask? It is multiplied by it.", lambda dy, mask: np.divide(dy, mask)),
        Misreading(
            "Is dy divided by the scale where it is kept? It is multiplied by the mask, as x was.",
            lambda dy, mask: np.where(mask > 0, dy / np.where(mask > 0, mask, 1), 0),
        ),
        Misreading(
            "Does the gradient go to what was dropped? It goes to what was kept.", lambda dy, mask: dy * (mask == 0)
        ),
        Misreading(
            "Is the mask of the first image used for all (axis N)? Each has its own.", lambda dy, mask: dy * mask[:1]
        ),
        Misreading("Is it divided by N? The loss has done that already.", lambda dy, mask: dy * mask / len(dy)),
        Misreading("Is the sign wrong?", lambda dy, mask: -dy * mask),
        Misreading("Is the mask returned alone? Multiply dy by it.", lambda dy, mask: mask.copy()),
    ),
    hints=(
        "y[n,d] = x[n,d] * mask[n,d]. If x[n,d] grows by a small number, by how much does y[n,d] grow?",
        "By mask[n,d] times that number. So a dropped element gets no gradient, and a kept one gets a larger one.",
        "dy * mask",
    ),
    minutes=10,
)


# Whole channels --------------------------------------------------------------------------------------------------


def right_channels(x: Array, u: Array, rate: float) -> Array:
    """Return images without some of their channels."""
    return np.multiply(x, _right_mask(u, rate)[:, None, None, :])


def _pattern(*shape: int) -> Array:
    return np.arange(2.0, 2 + np.prod(shape)).reshape(shape)


def _channels(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    small = st.integers(1, 3)
    N, H, W, C = draw(small), draw(small), draw(small), draw(small)
    rate = draw(st.sampled_from(RATES))
    return {"x": fill("x", (N, H, W, C)), "u": _uniform(draw, (N, C), rate), "rate": rate}


def _keeping(
    change: Callable[[Array, tuple[int, ...]], Array], scale: Callable[[float], float] = lambda rate: 1 / (1 - rate)
) -> Callable[..., Array]:
    """Return a mistake: what decides about an element is another number of u."""

    def results(x: Array, u: Array, rate: float) -> Array:
        kept: Array = change(u, x.shape) >= rate
        return np.multiply(x * kept, np.float64(scale(rate)))

    return results


def _right_place(u: Array, shape: tuple[int, ...]) -> Array:
    return u[:, None, None, :]


CHANNELS = Exercise(
    name="channel_dropout",
    right=right_channels,
    results=(Result("y", ("N", "H", "W", "C")),),
    phases=phases_with_hard_cases(
        [
            {"x": _pattern(1, 1, 1, 2), "u": numbers((0.9, 0.1)), "rate": 0.25},
            {"x": _pattern(1, 1, 2, 2), "u": numbers((0.1, 0.25)), "rate": 0.25},
            {"x": _pattern(2, 1, 1, 2), "u": numbers((0.9, 0.1), (0.1, 0.9)), "rate": 0.25},
            {"x": _pattern(2, 1, 2, 2), "u": numbers((0.9, 0.1), (0.1, 0.9)), "rate": 0.75},
            {"x": _pattern(2, 2, 1, 2), "u": numbers((0.9, 0.1), (0.1, 0.9)), "rate": 0.75},
            {"x": _pattern(1, 1, 2, 2), "u": numbers((0, 0.5)), "rate": 0.0},
            {"x": _pattern(1, 2, 1, 2), "u": numbers((0.998, 0.9999)), "rate": 0.999},
        ],
        _channels,
    ),
    misreadings=(
        Misreading(
            "Is the scale left out? What is kept is multiplied by 1 / (1 - rate).",
            _keeping(_right_place, lambda rate: 1.0),
        ),
        Misreading(
            "Is what is kept divided by the rate? Divide by 1 - rate.",
            _keeping(_right_place, lambda rate: float(np.divide(1.0, rate))),
        ),
        Misreading(
            "Is what is kept multiplied by 1 - rate? It gets larger: divide by 1 - rate.",
            _keeping(_right_place, lambda rate: 1 - rate),
        ),
        Misreading(
            "Is the rate taken for the share that is kept? A channel is kept where u >= rate.",
            lambda x, u, rate: x * (u < rate)[:, None, None, :] / (1 - rate),
        ),
        Misreading(
            "Is a channel dropped whose number is exactly the rate? It is kept: u >= rate.",
            lambda x, u, rate: x * (u > rate)[:, None, None, :] / (1 - rate),
        ),
        Misreading(
            "Do all images lose the channels of the first (axis N)? Image n has the numbers u[n].",
            _keeping(lambda u, shape: u[:1, None, None, :]),
        ),
        Misreading(
            "Are whole images dropped, by their first number (axis C)? Each channel has its own.",
            _keeping(lambda u, shape: u[:, :1, None, None]),
        ),
        Misreading(
            "Does u decide about columns (axis W)? Its axes are N and C, but NumPy aligns them with the last two of x, "
            "W and C: write u[:, None, None, :].",
            _keeping(lambda u, shape: u),
        ),
        Misreading(
            "Does u decide about rows (axis H)? Its axes are N and C: write u[:, None, None, :].",
            _keeping(lambda u, shape: u[:, None, :]),
        ),
        Misreading("Is the sign wrong?", lambda x, **a: right_channels(x=-x, **a)),
    ),
    hints=(
        "All elements of a channel share one decision. So u has two axes, N and C, and x has two more between them.",
        "An axis of length 1 is repeated by NumPy as often as it is needed: None in an index makes one.",
        "keep = (u >= rate)[:, None, None, :]; then x * keep / (1 - rate).",
    ),
    minutes=15,
)


# The mean over all masks -----------------------------------------------------------------------------------------


def _outputs(x: Array, w: Array, rate: float) -> tuple[Array, Array, Array]:
    """Return for each of the 2**D masks its probability, its sum before ReLU, and the number of places kept."""
    D = len(x)
    keep = (np.arange(2**D)[:, None] >> np.arange(D)) & 1
    kept = keep.sum(axis=1)
    return (1.0 - rate) ** kept * rate ** (D - kept), keep @ (x * w) / (1 - rate), kept


def right_average(x: Array, w: Array, rate: float) -> float:
    """Return the mean result over all masks."""
    probability, total, _ = _outputs(x, w, rate)
    return float(probability @ np.maximum(total, 0.0))


def _neuron(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    D = draw(st.integers(1, 4))
    return {"x": fill("x", (D,)), "w": fill("w", (D,)), "rate": draw(st.sampled_from(RATES))}


def _averaged(results: Callable[[Array, Array, Array, int, float], Any]) -> Callable[..., float]:
    """Return a mistake, given each mask's probability, sum and number of kept places, D, and the rate."""

    def mistake(x: Array, w: Array, rate: float) -> float:
        return float(results(*_outputs(x, w, rate), len(x), rate))

    return mistake


AVERAGE = Exercise(
    name="average_output",
    right=right_average,
    results=(Result("the mean", kind="real"),),
    phases=phases_with_hard_cases(
        [
            {"x": np.array([2.0]), "w": np.array([3.0]), "rate": 0.25},
            {"x": np.array([2.0, 1.0]), "w": np.array([3.0, -2.0]), "rate": 0.25},
            {"x": np.array([2.0, 1.0]), "w": np.array([3.0, -8.0]), "rate": 0.75},
            {"x": np.array([2.0, 1.0]), "w": np.array([3.0, -2.0]), "rate": 0.0},
            {"x": np.array([2.0, 1.0]), "w": np.array([3.0, -8.0]), "rate": 0.999},
            {"x": np.array([2.0, 1.0, 5.0]), "w": np.array([3.0, -8.0, 1.0]), "rate": 0.5},
        ],
        _neuron,
    ),
    misreadings=(
        Misreading(
            "Is ReLU applied to the mean? The mean is taken over results, each after its own max(0, ...).",
            _averaged(lambda p, total, kept, D, rate: max(0.0, float(p @ total))),
        ),
        Misreading("Is max(0, ...) left out?", _averaged(lambda p, total, kept, D, rate: p @ total)),
        Misreading(
            "Do all masks count alike? A mask with k places kept has the probability (1 - rate)**k * rate**(D - k).",
            _averaged(lambda p, total, kept, D, rate: np.maximum(total, 0).mean()),
        ),
        Misreading(
            "Are the results added up without their probabilities?",
            _averaged(lambda p, total, kept, D, rate: np.maximum(total, 0).sum()),
        ),
        Misreading(
            "Are rate and 1 - rate swapped in the probability? A place is kept with the probability 1 - rate.",
            _averaged(lambda p, total, kept, D, rate: rate**kept * (1 - rate) ** (D - kept) @ np.maximum(total, 0)),
        ),
        Misreading(
            "Is the scale left out? A mask has 1 / (1 - rate) where it keeps an element.",
            _averaged(lambda p, total, kept, D, rate: p @ np.maximum(total, 0) * (1 - rate)),
        ),
        Misreading(
            "Is the mask that keeps all elements left out? There are 2**D masks.",
            _averaged(lambda p, total, kept, D, rate: p[:-1] @ np.maximum(total[:-1], 0)),
        ),
        Misreading(
            "Are the dropped places left out of the probability, rate**(D - k)?",
            _averaged(lambda p, total, kept, D, rate: (1 - rate) ** kept @ np.maximum(total, 0)),
        ),
        Misreading(
            "Are the kept places left out of the probability, (1 - rate)**k?",
            _averaged(lambda p, total, kept, D, rate: rate ** (D - kept) @ np.maximum(total, 0)),
        ),
        Misreading(
            "Is it the result of the last mask only? Add up: +=.",
            _averaged(lambda p, total, kept, D, rate: p[-1] * max(0, total[-1])),
        ),
        Misreading(
            "Is it the result of the first mask only? Is there a return inside the loop?",
            _averaged(lambda p, total, kept, D, rate: 0.0),
        ),
    ),
    hints=(
        "There are 2**D masks. A loop over range(2**D) meets each once, if the bits of the number say what is kept.",
        "keep = np.array([number >> place & 1 for place in range(D)]); k = keep.sum() gives the probability.",
        "total += (1 - rate) ** k * rate ** (D - k) * max(0.0, np.sum(keep / (1 - rate) * x * w))",
    ),
    minutes=30,
)


def right_of_hunt(x: Array, u: Array, rate: float) -> Array:
    """Return what the bug hunt's function should return.

    Raises
    ------
    ValueError
        If the arguments do not fit each other, as they may not in a learner's counterexample.
    """
    if x.shape != u.shape:
        raise ValueError(f"u must have the shape of x, {x.shape}, but has {u.shape}")
    if not 0 <= rate < 1:
        raise ValueError(f"the rate must be from 0 to below 1; got {rate:g}")
    if u.min() < 0 or u.max() >= 1:
        raise ValueError("the numbers of u must be from 0 to below 1")
    return right_forward(x, u, rate, True)[0]


COUNTEREXAMPLE = Hunt(
    name="counterexample",
    broken=broken_dropout,
    right=right_of_hunt,
    arguments=(Result("x", BATCH), Result("u", BATCH), Result("rate", kind="real")),
    hints=(
        "Which rate does everybody try first?",
        "What is kept is divided by the rate, and should be divided by 1 - rate. When are these the same?",
        "Take a rate of 0.25, and an element that is kept and is not 0.",
    ),
    minutes=10,
)

CHAPTER = Chapter("chapter08", "Dropout", "08-dropout.md", (DRAW, FORWARD, BACKWARD, CHANNELS, AVERAGE, COUNTEREXAMPLE))
