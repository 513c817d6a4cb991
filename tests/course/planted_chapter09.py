"""Errors of beginners in chapter 9."""

from functools import partial

from planting import Planted, one

_error = partial(one, "chapter09")

_V = "v = momentum * v - rate * dw"
_A = "a = rate * math.sqrt(1 - beta_2**step) / (1 - beta_1**step)"
_ROOT = "(np.sqrt(v) + epsilon)"
_MOVED = "return w - a * m / (np.sqrt(v) + epsilon), m, v"
_SQUARE = "v = beta_2 * v + (1 - beta_2) * dw**2"
_DECAYED = "return new - rate * decay * w, m, v"
_STEP = "new, m, v = adam(w, dw, m, v,"
_T = "t = min((step - warmup_steps) / decay_steps, 1.0)"
_WAVE = "return rate * (1 + math.cos(math.pi * t)) / 2"
_LINE = "return rate * step / warmup_steps"

ERRORS = (
    _error(
        "sgd_momentum", "momentum of the wrong sign", _V, "v = -momentum * v - rate * dw", "momentum of the wrong sign"
    ),
    _error("sgd_momentum", "up the gradient", _V, "v = momentum * v + rate * dw", "up the gradient"),
    _error("sgd_momentum", "minus twice", "w + v", "w - v", "minus sign already"),
    _error(
        "sgd_momentum",
        "rate outside of the velocity",
        f"{_V}\n    return w + v, v",
        "v = momentum * v + dw\n    return w - rate * v, v",
        "rate outside of the velocity",
    ),
    _error(
        "sgd_momentum",
        "old velocity returned",
        f"{_V}\n    return w + v, v",
        "new = momentum * v - rate * dw\n    return w + new, v",
        "old velocity returned",
    ),
    _error("sgd_momentum", "momentum forgotten", "momentum * v - ", "-", "momentum left out"),
    _error(
        "sgd_momentum", "mean in place of a sum", "- rate * dw", "- (1 - momentum) * rate * dw", "share of the gradient"
    ),
    _error("sgd_momentum", "Nesterov", "return w + v, v", "return w + momentum * v - rate * dw, v", "Nesterov"),
    _error("sgd_momentum", "changed in place", f"{_V}\n", "v *= momentum\n    v -= rate * dw\n", "argument v in place"),
    _error("adam", "bias correction forgotten", _A, "a = rate", "bias correction left out"),
    _error("adam", "only m corrected", "math.sqrt(1 - beta_2**step)", "1", "Is only m corrected"),
    _error("adam", "only v corrected", " / (1 - beta_1**step)", "", "Is only v corrected"),
    _error(
        "adam",
        "root of the correction forgotten",
        "math.sqrt(1 - beta_2**step)",
        "(1 - beta_2**step)",
        "root left out of the correction",
    ),
    _error("adam", "steps from 0", _A, f"step = step - 1\n    {_A}", "counted from 0"),
    _error("adam", "steps from 2", _A, f"step = step + 1\n    {_A}", "1 added to the step"),
    _error("adam", "beta times step", "beta_1**step", "beta_1 * step", "multiplied by the step"),
    _error("adam", "epsilon inside the root", _ROOT, "np.sqrt(v + epsilon)", "epsilon inside the root"),
    _error("adam", "epsilon forgotten", _ROOT, "np.sqrt(v)", "epsilon left out"),
    _error(
        "adam",
        "corrected as in the paper",
        f"{_A}\n    {_MOVED}",
        "mhat, vhat = m / (1 - beta_1**step), v / (1 - beta_2**step)\n"
        "    return w - rate * mhat / (np.sqrt(vhat) + epsilon), m, v",
        "first algorithm of the paper",
    ),
    _error("adam", "root of v forgotten", _ROOT, "(v + epsilon)", "root of v left out"),
    _error("adam", "gradient not squared", "dw**2", "dw", "not squared"),
    _error("adam", "square of m", "dw**2", "m**2", "Is m squared"),
    _error(
        "adam",
        "shares forgotten",
        "(1 - beta_1) * dw\n    v = beta_2 * v + (1 - beta_2) * dw**2",
        "dw\n    v = beta_2 * v + dw**2",
        "share of the gradient left out",
    ),
    Planted(
        "chapter09",
        "adam",
        "betas swapped",
        (("m = beta_1 * m + (1 - beta_1)", "beta_1, beta_2 = beta_2, beta_1\n    m = beta_1 * m + (1 - beta_1)"),),
        "beta_1 and beta_2 swapped",
    ),
    _error("adam", "gradient in place of m", "a * m /", "a * dw /", "gradient used for m"),
    _error(
        "adam",
        "corrected means returned",
        _MOVED,
        "return w - a * m / (np.sqrt(v) + epsilon), m / (1 - beta_1**step), v / (1 - beta_2**step)",
        "corrected means returned",
    ),
    _error(
        "adam",
        "means overwritten by the corrected ones",
        f"{_A}\n    {_MOVED}",
        "m, v = m / (1 - beta_1**step), v / (1 - beta_2**step)\n    return w - rate * m / (np.sqrt(v) + epsilon), m, v",
        "corrected means returned",
    ),
    _error(
        "adam", "only the weights returned", "(np.sqrt(v) + epsilon), m, v", _ROOT, "must return 3 results, (w, m, v)"
    ),
    _error(
        "adamw",
        "decay in the gradient",
        f"{_STEP} step, rate, beta_1, beta_2, epsilon)\n    {_DECAYED}",
        "return adam(w, dw + decay * w, m, v, step, rate, beta_1, beta_2, epsilon)",
        "added to the gradient",
    ),
    _error("adamw", "rate forgotten", "rate * decay * w", "decay * w", "rate left out of the decay"),
    _error("adamw", "new weights decay", "rate * decay * w", "rate * decay * new", "new weights decay"),
    _error("adamw", "weights grow", "new - rate", "new + rate", "weights grow"),
    _error("adamw", "decay forgotten", "new - rate * decay * w", "new", "decay left out"),
    _error(
        "cosine_rate", "rises again", _T, "t = (step - warmup_steps) / decay_steps", "rise again after the last step"
    ),
    _error(
        "cosine_rate",
        "last step one too early",
        _T,
        "t = min((step - warmup_steps) / (decay_steps - 1), 1.0)",
        "one too early",
    ),
    _error(
        "cosine_rate",
        "warm-up forgotten",
        f"if step < warmup_steps:\n        {_LINE}\n    ",
        "warmup_steps = 0\n    ",
        "warm-up left out",
    ),
    _error(
        "cosine_rate",
        "warm-up one step ahead",
        "rate * step / warmup_steps",
        "rate * (step + 1) / warmup_steps",
        "one step ahead",
    ),
    _error(
        "cosine_rate",
        "wave from step 0",
        "(step - warmup_steps) / decay_steps",
        "step / decay_steps",
        "counted from step 0",
    ),
    _error(
        "cosine_rate",
        "warm-up inside the wave",
        "/ decay_steps",
        "/ (decay_steps - warmup_steps)",
        "part of decay_steps",
    ),
    _error("cosine_rate", "whole division", "(step - warmup_steps) / ", "(step - warmup_steps) // ", "t rounded down"),
    _error("cosine_rate", "whole wave", "math.pi * t", "2 * math.pi * t", "whole cosine"),
    _error("cosine_rate", "straight line", _WAVE, "return rate * (1 - t)", "fall in a straight line"),
    _error("cosine_rate", "division by 2 forgotten", _WAVE, _WAVE[:-4], "division by 2 left out"),
    _error(
        "counterexample",
        "a single weight",
        "zero = np.zeros(2)\n    return zero, np.array([1.0, 2.0])",
        "zero = np.zeros(1)\n    return zero, np.array([1.0])",
        "no counterexample",
    ),
)
