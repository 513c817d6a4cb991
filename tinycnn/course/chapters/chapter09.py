"""Chapter 9: optimizers and schedules."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...core.types import Array
from ...kernels.reference import optimizer as kernels
from ...schedules import CosineDecay
from ..bugs.chapter09 import broken_adam
from ..cases import Fill, numbers, phases_with_hard_cases
from ..exercise import Chapter, Exercise, Hunt, Misreading, Result

ROW = ("D",)


# Momentum --------------------------------------------------------------------------------------------------------


def right_sgd(w: Array, dw: Array, v: Array, rate: float, momentum: float) -> tuple[Array, Array]:
    """Return the weights and the velocity by the reference kernel."""
    w, v = w.copy(), v.copy()
    kernels.sgd_update(w, dw, v, rate, momentum, False)
    return w, v


def _sgd_call(w: Array, dw: Array, v: Array, rate: float, momentum: float) -> dict[str, Any]:
    return {"w": w, "dw": dw, "v": v, "rate": rate, "momentum": momentum}


def _sgd(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    shape = (draw(st.integers(1, 3)),)
    rate, momentum = draw(st.sampled_from((0.25, 0.1, 1.0))), draw(st.sampled_from((0.75, 0.9, 0.0)))
    return _sgd_call(fill("w", shape), fill("dw", shape), fill("v", shape), rate, momentum)


SGD = Exercise(
    name="sgd_momentum",
    right=right_sgd,
    results=(Result("w", ROW, computed_from=("v",)), Result("v", ROW)),
    phases=phases_with_hard_cases(
        [
            _sgd_call(numbers(3), numbers(8), numbers(0), 0.25, 0.0),
            _sgd_call(numbers(3), numbers(0), numbers(4), 0.25, 0.75),
            _sgd_call(numbers(3), numbers(8), numbers(4), 0.25, 0.75),
            _sgd_call(numbers(3), numbers(8), numbers(-4), 0.0, 0.75),
            _sgd_call(numbers(3, -1), numbers(8, 2), numbers(4, -6), 0.5, 1.0),
        ],
        _sgd,
    ),
    misreadings=(
        Misreading(
            "Is the momentum of the wrong sign? A part of the old velocity is kept: momentum * v - rate * dw.",
            lambda momentum, **a: right_sgd(momentum=-momentum, **a),
        ),
        Misreading(
            "Do the weights go up the gradient? The velocity is momentum * v - rate * dw.",
            lambda dw, **a: right_sgd(dw=-dw, **a),
        ),
        Misreading(
            "Is the velocity subtracted from the weights? It has the minus sign already: w + v.",
            lambda w, **a: (2 * w - right_sgd(w=w, **a)[0], right_sgd(w=w, **a)[1]),
        ),
        Misreading(
            "Is the velocity counted upwards, momentum * v + rate * dw, and then subtracted? The step is the same, but "
            "here the velocity has the minus sign: momentum * v - rate * dw.",
            lambda w, dw, v, rate, momentum: (w - momentum * v - rate * dw, momentum * v + rate * dw),
        ),
        Misreading(
            "Is the momentum left out? The velocity keeps momentum * v.",
            lambda momentum, **a: right_sgd(momentum=0.0, **a),
        ),
        Misreading(
            "Is the whole old velocity kept? Only the share momentum is.",
            lambda momentum, **a: right_sgd(momentum=1.0, **a),
        ),
        Misreading(
            "Is the share of the gradient 1 - momentum? Here it is the rate alone.",
            lambda rate, momentum, **a: right_sgd(rate=rate * (1 - momentum), momentum=momentum, **a),
        ),
        Misreading("Is the rate left out of the velocity?", lambda rate, **a: right_sgd(rate=1.0, **a)),
        Misreading(
            "Is the rate outside of the velocity, v = momentum * v + dw and w - rate * v? Here the rate is inside.",
            lambda w, dw, v, rate, momentum: (w - rate * (momentum * v + dw), momentum * v + dw),
        ),
        Misreading(
            "Do the weights move by the old velocity? Compute the new one first.",
            lambda w, v, **a: (w + v, right_sgd(w=w, v=v, **a)[1]),
        ),
        Misreading(
            "Is the old velocity returned? Return the new one, for the next step.",
            lambda v, **a: (right_sgd(v=v, **a)[0], v),
        ),
        Misreading(
            "Is this Nesterov's form? Here the weights move by the velocity itself.",
            lambda w, dw, v, rate, momentum: (
                w + momentum * (momentum * v - rate * dw) - rate * dw,
                momentum * v - rate * dw,
            ),
        ),
        Misreading(
            "Are rate and momentum swapped?", lambda rate, momentum, **a: right_sgd(rate=momentum, momentum=rate, **a)
        ),
        Misreading("Are the results swapped? They are w, v.", lambda **a: right_sgd(**a)[::-1]),
    ),
    hints=(
        "A ball that rolls keeps most of its velocity. Without a gradient, by how much do the weights move?",
        "The new velocity is a share of the old one minus rate times gradient. The weights move by the new one.",
        "v = momentum * v - rate * dw, which makes a new array and leaves the argument as it is; return w + v, v.",
    ),
    minutes=15,
)


# Adam ------------------------------------------------------------------------------------------------------------


def right_adam(
    w: Array,
    dw: Array,
    m: Array,
    v: Array,
    step: int,
    rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> tuple[Array, Array, Array]:
    """Return the weights and the two running means by the reference kernel."""
    w, m, v = w.copy(), m.copy(), v.copy()
    kernels.adam_update(w, dw, m, v, step, rate, beta_1, beta_2, epsilon)
    return w, m, v


def _adam_call(
    w: Array, dw: Array, m: Array, v: Array, step: int, betas: tuple[float, float], epsilon: float, rate: float = 0.5
) -> dict[str, Any]:
    means = {"w": w, "dw": dw, "m": m, "v": v}
    return means | {"step": step, "rate": rate, "beta_1": betas[0], "beta_2": betas[1], "epsilon": epsilon}


def _adam(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    shape, step = (draw(st.integers(1, 3)),), draw(st.sampled_from((1, 2, 3, 10, 5000)))
    betas, epsilon = draw(st.sampled_from(((0.5, 0.75), (0.9, 0.999)))), draw(st.sampled_from((1e-7, 0.25)))
    rate = draw(st.sampled_from((0.5, 0.1)))
    w, dw, m, v = (fill(name, shape) for name in ("w", "dw", "m", "v"))
    return _adam_call(w, dw, m, abs(v), step, betas, epsilon, rate)


def _hard_adam() -> list[dict[str, Any]]:
    zero, halves = numbers(0), (0.5, 0.75)
    return [
        _adam_call(numbers(3), numbers(8), zero, zero, 1, halves, 1e-7),
        _adam_call(numbers(3), zero, zero, zero, 1, halves, 1e-7),
        _adam_call(numbers(3), numbers(8), zero, zero, 1, halves, 1.0),
        _adam_call(numbers(3), zero, numbers(2), numbers(4), 1, halves, 1e-7),
        _adam_call(numbers(3), numbers(-8), numbers(2), numbers(4), 2, halves, 1.0),
        _adam_call(numbers(3), numbers(8), numbers(-2), numbers(4), 5000, (0.9, 0.999), 1e-7),
        _adam_call(numbers(3, 1), numbers(8, -2), numbers(2, 5), numbers(4, 9), 3, (0.9, 0.999), 1.0),
    ]


class _Step:
    """A step of Adam, of which a mistake changes parts by overriding them."""

    def __init__(
        self,
        w: Array,
        dw: Array,
        m: Array,
        v: Array,
        step: int,
        rate: float,
        beta_1: float,
        beta_2: float,
        epsilon: float,
    ) -> None:
        self.w, self.dw, self.old_m, self.old_v, self.step, self.rate = w, dw, m, v, step, rate
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.m = beta_1 * m + (1 - beta_1) * dw
        self.v = beta_2 * v + (1 - beta_2) * dw**2
        self.first, self.second = 1 - beta_1**step, 1 - beta_2**step

    def moved(self, m: Array, divisor: Any, factor: Any = None) -> tuple[Array, Array, Array]:
        """Return the results, with w moved by ``rate * factor * m / divisor``; the factor corrects the bias."""
        factor = math.sqrt(self.second) / self.first if factor is None else factor
        return self.w - self.rate * factor * np.divide(m, divisor), self.m, self.v

    def multiplied(self, both: bool) -> Any:
        """Return the correction with ``beta_1 * step`` for ``beta_1**step``, and likewise for beta_2 if in both."""
        second = np.float64(1 - self.beta_2 * self.step) if both else self.second
        return np.sqrt(second) / np.float64(1 - self.beta_1 * self.step)

    @property
    def divisor(self) -> Any:
        """What m is divided by."""
        return np.sqrt(self.v) + self.epsilon


def _step(results: Callable[[_Step], Any]) -> Callable[..., Any]:
    """Return a mistake in a step of Adam."""
    return lambda **a: results(_Step(**a))


def _with_means(change: Callable[[_Step], tuple[Array, Array]]) -> Callable[..., Any]:
    """Return a mistake in the two running means, which the rest of the step uses."""

    def results(**a: Any) -> Any:
        step = _Step(**a)
        step.m, step.v = change(step)
        return step.moved(step.m, step.divisor)

    return results


def _counted(offset: int) -> Callable[..., Any]:
    """Return a mistake: the steps are counted from another number."""
    return _step(
        lambda s: s.moved(
            s.m,
            s.divisor,
            np.sqrt(1 - np.float64(s.beta_2) ** (s.step + offset)) / (1 - np.float64(s.beta_1) ** (s.step + offset)),
        )
    )


_POWER = "Is a beta multiplied by the step? It is raised to its power: beta**step."

ADAM = Exercise(
    name="adam",
    right=right_adam,
    results=(Result("w", ROW, computed_from=("m", "v")), Result("m", ROW), Result("v", ROW)),
    phases=phases_with_hard_cases(_hard_adam(), _adam),
    misreadings=(
        Misreading(
            "Is the bias correction left out? m and v begin at 0, so they are too small in the first steps: "
            "a = rate * sqrt(1 - beta_2**step) / (1 - beta_1**step).",
            _step(lambda s: s.moved(s.m, s.divisor, 1.0)),
        ),
        Misreading(
            "Is only m corrected, by 1 - beta_1**step? v begins at 0 too: times sqrt(1 - beta_2**step).",
            _step(lambda s: s.moved(s.m, s.divisor, 1 / s.first)),
        ),
        Misreading(
            "Is only v corrected, by sqrt(1 - beta_2**step)? m begins at 0 too: divide by 1 - beta_1**step.",
            _step(lambda s: s.moved(s.m, s.divisor, math.sqrt(s.second))),
        ),
        Misreading(
            "Is the correction upside down? It is sqrt(1 - beta_2**step) / (1 - beta_1**step).",
            _step(lambda s: s.moved(s.m, s.divisor, s.first / math.sqrt(s.second))),
        ),
        Misreading(
            "Is the root left out of the correction? It is sqrt(1 - beta_2**step).",
            _step(lambda s: s.moved(s.m, s.divisor, s.second / s.first)),
        ),
        Misreading("Are steps counted from 0 in the correction? The first step is 1.", _counted(-1)),
        Misreading("Is 1 added to the step in the correction? It is counted from 1 already.", _counted(1)),
        Misreading(_POWER, _step(lambda s: s.moved(s.m, s.divisor, s.multiplied(False)))),
        Misreading(_POWER, _step(lambda s: s.moved(s.m, s.divisor, s.multiplied(True)))),
        Misreading(
            "Is epsilon inside the root? It is added to the root: sqrt(v) + epsilon.",
            _step(lambda s: s.moved(s.m, np.sqrt(s.v + s.epsilon))),
        ),
        Misreading(
            "Is v corrected before its root is taken and epsilon added, as in the first algorithm of the paper? Here "
            "epsilon is added to sqrt(v) as it is, and a holds both corrections.",
            _step(lambda s: s.moved(s.m, np.sqrt(s.v / s.second) + s.epsilon, 1 / s.first)),
        ),
        Misreading(
            "Is epsilon left out? Where all gradients were 0, so is v.", _step(lambda s: s.moved(s.m, np.sqrt(s.v)))
        ),
        Misreading(
            "Is the root of v left out? m is divided by sqrt(v) + epsilon.",
            _step(lambda s: s.moved(s.m, s.v + s.epsilon)),
        ),
        Misreading(
            "Is the gradient used for m in the step? The weights move by m, the running mean.",
            _step(lambda s: s.moved(s.dw, s.divisor)),
        ),
        Misreading("Do the weights go up the gradient? Subtract.", _step(lambda s: s.moved(-s.m, s.divisor))),
        Misreading("Is the rate left out?", _step(lambda s: s.moved(s.m / s.rate, s.divisor))),
        Misreading(
            "Is the gradient not squared in v? v is the running mean of dw**2.",
            _with_means(lambda s: (s.m, s.beta_2 * s.old_v + (1 - s.beta_2) * s.dw)),
        ),
        Misreading(
            "Is m squared in v? v is the running mean of dw**2.",
            _with_means(lambda s: (s.m, s.beta_2 * s.old_v + (1 - s.beta_2) * s.m**2)),
        ),
        Misreading(
            "Is the share of the gradient left out? It is 1 - beta_1 in m, and 1 - beta_2 in v.",
            _with_means(lambda s: (s.beta_1 * s.old_m + s.dw, s.beta_2 * s.old_v + s.dw**2)),
        ),
        Misreading(
            "Is beta the share of the new gradient? It is the share of the old mean that is kept.",
            _with_means(
                lambda s: (
                    (1 - s.beta_1) * s.old_m + s.beta_1 * s.dw,
                    (1 - s.beta_2) * s.old_v + s.beta_2 * s.dw**2,
                )
            ),
        ),
        Misreading(
            "Are beta_1 and beta_2 swapped? beta_1 belongs to m, beta_2 to v.",
            lambda beta_1, beta_2, **a: right_adam(beta_1=beta_2, beta_2=beta_1, **a),
        ),
        Misreading(
            "Are the old means used in the step? Compute the new m and v first.",
            _step(lambda s: s.moved(s.old_m, np.sqrt(s.old_v) + s.epsilon)),
        ),
        Misreading(
            "Are the old means returned? Return the new m and v, for the next step.",
            _step(lambda s: (s.moved(s.m, s.divisor)[0], s.old_m, s.old_v)),
        ),
        Misreading(
            "Are the corrected means returned? The next step goes on with m and v as they are.",
            _step(lambda s: (s.moved(s.m, s.divisor)[0], s.m / s.first, s.v / s.second)),
        ),
        Misreading(
            "Are the corrected means returned? The next step goes on with m and v as they are. Besides, epsilon is "
            "added to sqrt(v) as it is, and a holds both corrections.",
            _step(
                lambda s: (
                    s.moved(s.m, np.sqrt(s.v / s.second) + s.epsilon, 1 / s.first)[0],
                    s.m / s.first,
                    s.v / s.second,
                )
            ),
        ),
        Misreading("Are m and v swapped in the results?", lambda **a: tuple(right_adam(**a)[i] for i in (0, 2, 1))),
    ),
    hints=(
        "There are four lines: the new m, the new v, the corrected rate a, and the weights.",
        "In step 1, m is (1 - beta_1) * dw, and dividing by 1 - beta_1**1 gives dw again. v is corrected likewise.",
        "a = rate * math.sqrt(1 - beta_2**step) / (1 - beta_1**step); return w - a * m / (np.sqrt(v) + epsilon), m, v.",
    ),
    minutes=30,
)


def right_adamw(w: Array, decay: float, **a: Any) -> tuple[Array, Array, Array]:
    """Return a step of Adam beside which the weights decay, by the reference kernels."""
    new, m, v = right_adam(w=w, **a)
    kernels.sgd_update(new, w, None, a["rate"] * decay, 0.0, False)
    return new, m, v


def _adamw_call(call: dict[str, Any], decay: float) -> dict[str, Any]:
    """Return the arguments of Adam with the decay behind the rate."""
    found: dict[str, Any] = {}
    for name, value in call.items():
        found |= {name: value} | ({"decay": decay} if name == "rate" else {})
    return found


def _adamw(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    return _adamw_call(_adam(draw, fill), draw(st.sampled_from((0.5, 0.25, 0.0))))


def _decayed(change: Callable[..., Any]) -> Callable[..., Any]:
    """Return a mistake in the decay, given Adam's new weights, the old ones, the rate and the decay."""

    def results(w: Array, decay: float, **a: Any) -> Any:
        new, m, v = right_adam(w=w, **a)
        return change(new, w, a["rate"], decay), m, v

    return results


def _by_gradient(factor: float) -> Callable[..., Any]:
    """Return a mistake: the decay is added to the gradient."""
    return lambda w, dw, decay, **a: right_adam(w=w, dw=dw + factor * decay * w, **a)


ADAMW = Exercise(
    name="adamw",
    right=right_adamw,
    results=(Result("w", ROW, computed_from=("m", "v")), Result("m", ROW), Result("v", ROW)),
    phases=phases_with_hard_cases(
        [
            _adamw_call(_adam_call(numbers(8), numbers(0), numbers(0), numbers(0), 1, (0.5, 0.75), 1e-7), 0.5),
            *(
                _adamw_call(call, decay)
                for call, decay in zip(_hard_adam(), (0.5, 0.0, 0.5, 1.0, 0.5, 0.25, 0.5), strict=True)
            ),
        ],
        _adamw,
    ),
    misreadings=(
        Misreading(
            "Is decay * w added to the gradient? Then it passes through m and v and is divided by sqrt(v). Subtract it "
            "from the weights instead, beside Adam's step.",
            _by_gradient(1.0),
        ),
        Misreading(
            "Is 2 * decay * w added to the gradient, as a penalty would? Subtract rate * decay * w from the weights "
            "instead, beside Adam's step.",
            _by_gradient(2.0),
        ),
        Misreading("Is the decay left out? Subtract rate * decay * w.", _decayed(lambda new, w, rate, decay: new)),
        Misreading(
            "Is the rate left out of the decay? It is rate * decay * w, so that a schedule scales it too.",
            _decayed(lambda new, w, rate, decay: new - decay * w),
        ),
        Misreading(
            "Do the new weights decay? What is subtracted is rate * decay times the weights before the step.",
            _decayed(lambda new, w, rate, decay: new * (1 - rate * decay)),
        ),
        Misreading(
            "Do the weights grow? Subtract rate * decay * w.",
            _decayed(lambda new, w, rate, decay: new + rate * decay * w),
        ),
        Misreading(
            "Is the same number subtracted from all weights? The decay is proportional to each weight.",
            _decayed(lambda new, w, rate, decay: new - rate * decay),
        ),
        Misreading(
            "Is the sign of the weights subtracted? The decay is proportional to each weight.",
            _decayed(lambda new, w, rate, decay: new - rate * decay * np.sign(w)),
        ),
        Misreading(
            "Is the decay doubled? It is rate * decay * w.",
            _decayed(lambda new, w, rate, decay: new - 2 * rate * decay * w),
        ),
        Misreading(
            "Do the weights decay alone? Adam's step is taken as well.",
            _decayed(lambda new, w, rate, decay: w - rate * decay * w),
        ),
    ),
    hints=(
        "With a gradient of 0 and m = 0, Adam leaves the weights where they are. What does the decay do then?",
        "Keep the weights before the step; adam gives the new ones. The decay is subtracted from these.",
        "new, m, v = adam(w, dw, m, v, ...); return new - rate * decay * w, m, v.",
    ),
    minutes=15,
)


# A schedule ------------------------------------------------------------------------------------------------------


def right_cosine(step: int, rate: float, warmup_steps: int, decay_steps: int) -> float:
    """Return the rate of a step by the engine's schedule."""
    return CosineDecay(0.0, decay_steps, warmup_target=rate, warmup_steps=warmup_steps)(step)


def _cosine_call(step: int, rate: float, warmup_steps: int, decay_steps: int) -> dict[str, Any]:
    return {"step": step, "rate": rate, "warmup_steps": warmup_steps, "decay_steps": decay_steps}


def _steps(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    step, rate = draw(st.integers(0, 20)), draw(st.sampled_from((8.0, 1.0, 0.1)))
    return _cosine_call(step, rate, draw(st.integers(0, 6)), draw(st.integers(1, 12)))


def _wave(
    t: Callable[[int, int, int], float],
    shape: Callable[[float], float] = lambda t: (1 + math.cos(math.pi * t)) / 2,
    line: Callable[[int, int], float] = lambda step, warmup: step / warmup,
) -> Callable[..., Any]:
    """Return a mistake: another position on the wave, given step, warm-up and decay; another wave; another line."""

    def results(step: int, rate: float, warmup_steps: int, decay_steps: int) -> float:
        if step < warmup_steps:
            return rate * line(step, warmup_steps)
        return rate * shape(t(step, warmup_steps, decay_steps))

    return results


def _right_t(step: int, warmup: int, decay: int) -> float:
    return min((step - warmup) / decay, 1.0)


COSINE = Exercise(
    name="cosine_rate",
    right=right_cosine,
    results=(Result("the rate", kind="real"),),
    phases=phases_with_hard_cases(
        [
            _cosine_call(0, 8.0, 0, 4),
            _cosine_call(0, 8.0, 2, 4),
            _cosine_call(1, 8.0, 2, 4),
            _cosine_call(2, 8.0, 2, 4),
            _cosine_call(2, 8.0, 0, 4),
            _cosine_call(5, 8.0, 2, 4),
            _cosine_call(6, 8.0, 2, 4),
            _cosine_call(7, 8.0, 2, 4),
            _cosine_call(100, 8.0, 2, 4),
        ],
        _steps,
    ),
    misreadings=(
        Misreading(
            "Does the rate rise again after the last step? t stays 1: min(t, 1).",
            _wave(lambda step, warmup, decay: (step - warmup) / decay),
        ),
        Misreading(
            "Does the schedule begin anew after its last step? t stays 1, and the rate 0.",
            _wave(lambda step, warmup, decay: (step - warmup) % decay / decay),
        ),
        Misreading(
            "Is the position on the wave counted from step 0? It is counted from the end of the warm-up: "
            "step - warmup_steps.",
            _wave(lambda step, warmup, decay: min(step / decay, 1.0)),
        ),
        Misreading(
            "Are the steps of the warm-up part of decay_steps? The wave alone takes decay_steps.",
            _wave(lambda step, warmup, decay: min((step - warmup) / (decay - warmup), 1.0)),
        ),
        Misreading(
            "Is the last step of the wave one too early? t is 1 when decay_steps steps are done.",
            _wave(lambda step, warmup, decay: min((step - warmup) / (decay - 1), 1.0)),
        ),
        Misreading(
            "Is t rounded down? Divide with /, not //.",
            _wave(lambda step, warmup, decay: min((step - warmup) // decay, 1)),
        ),
        Misreading(
            "Is the warm-up left out? In the first warmup_steps steps the rate grows in a straight line.",
            lambda step, rate, warmup_steps, decay_steps: right_cosine(step, rate, 0, decay_steps),
        ),
        Misreading(
            "Does the warm-up hold the full rate? It grows in a straight line from 0.",
            _wave(_right_t, line=lambda step, warmup: 1.0),
        ),
        Misreading(
            "Is the warm-up one step ahead? Step 0 has the rate 0: rate * step / warmup_steps.",
            _wave(_right_t, line=lambda step, warmup: (step + 1) / warmup),
        ),
        Misreading(
            "Is the wave a whole cosine? It is half of one: cos(pi * t), from 1 to -1.",
            _wave(_right_t, lambda t: (1 + math.cos(2 * math.pi * t)) / 2),
        ),
        Misreading(
            "Is it a quarter of a cosine? It is half of one, (1 + cos(pi * t)) / 2.",
            _wave(_right_t, lambda t: math.cos(math.pi * t / 2)),
        ),
        Misreading(
            "Is the division by 2 left out? 1 + cos goes from 2 to 0.",
            _wave(_right_t, lambda t: 1 + math.cos(math.pi * t)),
        ),
        Misreading(
            "Is the 1 left out? The cosine alone becomes negative: (1 + cos(pi * t)) / 2.",
            _wave(_right_t, lambda t: math.cos(math.pi * t)),
        ),
        Misreading("Is pi left out?", _wave(_right_t, lambda t: (1 + math.cos(t)) / 2)),
        Misreading("Does the rate fall in a straight line? It falls along a cosine.", _wave(_right_t, lambda t: 1 - t)),
        Misreading(
            "Does the wave rise? It falls from 1 to 0.", _wave(_right_t, lambda t: (1 - math.cos(math.pi * t)) / 2)
        ),
    ),
    hints=(
        "Draw it: a line that rises for warmup_steps steps, half a wave that falls for decay_steps, then 0.",
        "There are two cases. After the warm-up, count the steps since its end; stop counting at decay_steps.",
        "t = min((step - warmup_steps) / decay_steps, 1.0); return rate * (1 + math.cos(math.pi * t)) / 2.",
    ),
    minutes=25,
)


def right_of_hunt(w: Array, dw: Array, m: Array, v: Array, step: int) -> Array:
    """Return what the bug hunt's function should return.

    Raises
    ------
    ValueError
        If the arguments do not fit each other, as they may not in a learner's counterexample.
    """
    if len({array.shape for array in (w, dw, m, v)}) > 1:
        raise ValueError("w, dw, m and v must have one shape")
    if v.min() < 0:
        raise ValueError("v is a mean of squares, so it must not be negative")
    return right_adam(w, dw, m, v, int(step), 0.1, 0.9, 0.999, 1e-7)[0]


COUNTEREXAMPLE = Hunt(
    name="counterexample",
    broken=broken_adam,
    right=right_of_hunt,
    arguments=(Result("w", ROW), Result("dw", ROW), Result("m", ROW), Result("v", ROW), Result("step")),
    hints=(
        "Every weight has a v of its own. Does it in this function?",
        "dw * dw has one number for each weight. What is dw @ dw?",
        "Take two weights, and a gradient of two different numbers; m and v may be 0, and the step 1.",
    ),
    minutes=10,
)

CHAPTER = Chapter(
    "chapter09", "Optimizers and schedules", "09-optimizers.md", (SGD, ADAM, ADAMW, COSINE, COUNTEREXAMPLE)
)
