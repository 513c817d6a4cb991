"""Errors of beginners in chapter 8."""

from functools import partial

from planting import Planted, one

_error = partial(one, "chapter08")

_DRAWN = "np.random.default_rng([seed, step]).random(shape)"
_MASK = "mask = (u >= rate) / (1 - rate)"
_LEFT = "return x, np.ones_like(x)"
_KEEP = "keep = (u >= rate)[:, None, None, :]"
_P = "(1 - rate) ** k * rate ** (D - k)"
_ADDED = "total += probability * max(0.0, np.sum(keep / (1 - rate) * x * w))"

ERRORS = (
    _error("draw_numbers", "step forgotten", "[seed, step]", "seed", "step left out"),
    _error("draw_numbers", "seed forgotten", "[seed, step]", "step", "seed left out"),
    _error("draw_numbers", "seed and step added", "[seed, step]", "seed + step", "added up"),
    _error("draw_numbers", "global generator", _DRAWN, "np.random.random(shape)", "kept from call to call"),
    _error("draw_numbers", "normal numbers", ".random(shape)", ".normal(size=shape)", "normally distributed"),
    _error("draw_numbers", "one number", ".random(shape)", ".random()", "must return an array (N, D)"),
    _error("dropout_forward", "scale forgotten", _MASK, "mask = (u >= rate) * 1.0", "scale left out"),
    _error("dropout_forward", "divided by the rate", _MASK, "mask = (u >= rate) / rate", "divided by the rate"),
    _error(
        "dropout_forward", "multiplied by the share", _MASK, "mask = (u >= rate) * (1 - rate)", "multiplied by 1 - rate"
    ),
    _error("dropout_forward", "rate is the share kept", "u >= rate", "u < rate", "share that is kept"),
    _error("dropout_forward", "the rate itself dropped", "u >= rate", "u > rate", "exactly the rate"),
    _error("dropout_forward", "dropped at inference", "if not training:", "if False:", "dropped at inference too"),
    _error(
        "dropout_forward",
        "scaled at inference",
        _LEFT,
        "return x * (1 - rate), np.full_like(x, 1 - rate)",
        "scaled at inference",
    ),
    Planted(
        "chapter08",
        "dropout_forward",
        "scale at inference only",
        ((_MASK, "mask = (u >= rate) * 1.0"), (_LEFT, "return x * (1 - rate), np.full_like(x, 1 - rate)")),
        "scale left to inference",
    ),
    _error(
        "dropout_forward",
        "one mask for the batch",
        _MASK,
        "mask = (u[:1] >= rate) / (1 - rate) + 0 * x",
        "first (axis N)",
    ),
    _error(
        "dropout_forward",
        "unscaled mask returned",
        "return x * mask, mask",
        "return x * mask, (mask > 0) * 1.0",
        "without the scale",
    ),
    _error(
        "dropout_forward",
        "mask of truth values",
        "return x * mask, mask",
        "return x * mask, mask > 0",
        "returns mask as bool",
    ),
    _error(
        "dropout_forward",
        "input changed in place",
        "    return x * mask, mask",
        "    x *= mask\n    return x, mask",
        "argument x in place",
    ),
    _error(
        "dropout_forward",
        "a mask of its own",
        "u >= rate",
        "np.random.random(x.shape) >= rate",
        "kept from call to call",
    ),
    _error("dropout_backward", "passed on unchanged", "dy * mask", "dy * 1.0", "passed on unchanged"),
    _error("dropout_backward", "scale forgotten", "dy * mask", "dy * (mask > 0)", "scale left out"),
    _error("dropout_backward", "scale twice", "dy * mask", "dy * mask * mask", "applied twice"),
    _error("dropout_backward", "to what was dropped", "dy * mask", "dy * (mask == 0)", "to what was dropped"),
    _error("channel_dropout", "scale forgotten", " / (1 - rate)", "", "scale left out"),
    _error("channel_dropout", "axes not aligned", _KEEP, "keep = u >= rate", "columns (axis W)"),
    _error(
        "channel_dropout", "channels of the first image", "[:, None, None, :]", "[:1, None, None, :]", "first (axis N)"
    ),
    _error("channel_dropout", "whole images", _KEEP, "keep = (u[:, 0] >= rate)[:, None, None, None]", "whole images"),
    _error(
        "average_output",
        "mean before ReLU",
        _ADDED,
        "total += probability * np.sum(keep / (1 - rate) * x * w)\n    total = max(0.0, total)",
        "ReLU applied to the mean",
    ),
    _error(
        "average_output",
        "ReLU forgotten",
        "max(0.0, np.sum(keep / (1 - rate) * x * w))",
        "np.sum(keep / (1 - rate) * x * w)",
        "left out",
    ),
    _error("average_output", "all masks alike", _P, "1 / 2**D", "count alike"),
    _error("average_output", "rate swapped", _P, "rate**k * (1 - rate) ** (D - k)", "swapped in the probability"),
    _error("average_output", "last mask forgotten", "range(2**D)", "range(2**D - 1)", "keeps all elements left out"),
    _error("average_output", "scale forgotten", "keep / (1 - rate) * x", "keep * x", "scale left out"),
    _error(
        "average_output",
        "return in the loop",
        _ADDED,
        f"{_ADDED}\n        return float(total)",
        "return inside the loop",
    ),
    _error("counterexample", "the common rate", "0.25", "0.5", "no counterexample"),
)
