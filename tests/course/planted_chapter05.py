"""Errors of beginners in chapter 5."""

from functools import partial

from planting import one

_error = partial(one, "chapter05")

_RELU = "np.maximum(x, 0)"
_SLOPE = "dy * (y > 0)"
_SIGMOID = "np.where(x < 0, e, 1) / (1 + e)"
_SIGMOID_DX = "dy * y * (1 - y)"
_FANS = "return count * inputs, count * outputs"
_HE = "z * np.sqrt(2 / fan_in)"
_LIMIT = "np.sqrt(6 / (fan_in + fan_out))"
_UNIFORM = "(2 * u - 1) * limit"

ERRORS = (
    _error("relu", "absolute value", _RELU, "np.abs(x)", "absolute value"),
    _error("relu", "smaller one", _RELU, "np.minimum(x, 0)", "smaller one of x and 0"),
    _error("relu", "one number", _RELU, "max(x.max(), 0)", "must return an array (N, D)"),
    _error("relu", "slope returned", _RELU, "(x > 0) * 1.0", "Is it the slope"),
    _error("relu", "leaky", _RELU, "np.where(x > 0, x, 0.01 * x)", "leaky"),
    _error(
        "relu", "input changed in place", "return np.maximum(x, 0)", "x[x < 0] = 0\n    return x", "argument x in place"
    ),
    _error("relu_dx", "kink with >=", "y > 0", "y >= 0", "Does dy pass where y is 0?"),
    _error("relu_dx", "y left out", _SLOPE, "dy * 1.0", "dy pass where y is 0"),
    _error("relu_dx", "dy left out", _SLOPE, "(y > 0) * 1.0", "dy left out"),
    _error("relu_dx", "multiplied by y", _SLOPE, "dy * y", "multiplied by y"),
    _error("relu_dx", "sign of dy", _SLOPE, "np.maximum(dy, 0) * (y > 0)", "sign of dy"),
    _error("relu_dx", "leaky", _SLOPE, "dy * np.where(y > 0, 1, 0.001)", "leaky"),
    _error("relu_dx", "mask inverted", _SLOPE, "dy * (y <= 0)", "other way round"),
    _error("sigmoid", "overflow", _SIGMOID, "np.exp(x) / (1 + np.exp(x))", "overflow for a large x"),
    _error("sigmoid", "minus missing", _SIGMOID, "1 / (1 + np.exp(x))", "minus missing"),
    _error("sigmoid", "parentheses missing", _SIGMOID, "1 / 1 + np.exp(-x)", "parentheses missing"),
    _error("sigmoid", "tanh", _SIGMOID, "np.tanh(x)", "hyperbolic tangent"),
    _error("sigmoid", "one branch for both signs", _SIGMOID, "1 / (1 + e)", "sign of x lost"),
    _error("sigmoid_dx", "sigmoid again", _SIGMOID_DX, "dy * sigmoid(y) * (1 - sigmoid(y))", "sigmoid again"),
    _error("sigmoid_dx", "dy left out", _SIGMOID_DX, "y * (1 - y)", "dy left out"),
    _error("sigmoid_dx", "one factor missing", _SIGMOID_DX, "dy * (1 - y)", "factor y missing"),
    _error("sigmoid_dx", "slope of tanh", _SIGMOID_DX, "dy * (1 - y**2)", "hyperbolic tangent"),
    _error("sigmoid_dx", "mean of the batch", _SIGMOID_DX, _SIGMOID_DX + " / len(dy)", "divided by N"),
    _error("fans", "taps forgotten", _FANS, "return inputs, outputs", "taps left out"),
    _error("fans", "swapped", _FANS, "return count * outputs, count * inputs", "swapped"),
    _error("fans", "taps missing from fan_out", _FANS, "return count * inputs, outputs", "missing from fan_out"),
    _error("fans", "taps added", "count *= size", "count += size", "taps added"),
    _error(
        "fans", "return in the loop", "count *= size", "return size * inputs, size * outputs", "one axis of the taps"
    ),
    _error("he_normal", "root forgotten", _HE, "z * 2 / fan_in", "root left out"),
    _error("he_normal", "fan_out", "fan_in, _ =", "_, fan_in =", "fan_out taken"),
    _error("he_normal", "factor 2 forgotten", _HE, "z * np.sqrt(1 / fan_in)", "2 left out"),
    _error("he_normal", "taps forgotten", _HE, "z * np.sqrt(2 / z.shape[2])", "taps left out"),
    _error(
        "he_normal",
        "parentheses forgotten",
        _HE,
        "z * np.sqrt(2 / z.shape[0] * z.shape[1] * z.shape[2])",
        "parentheses missing",
    ),
    _error("glorot_uniform", "never negative", _UNIFORM, "u * limit", "never negative"),
    _error("glorot_uniform", "half of the limit", _UNIFORM, "(u - 0.5) * limit", "half of the limit"),
    _error("glorot_uniform", "root forgotten", _LIMIT, "6 / (fan_in + fan_out)", "root left out"),
    _error("glorot_uniform", "standard deviation", _LIMIT, "np.sqrt(2 / (fan_in + fan_out))", "standard deviation"),
    _error("glorot_uniform", "fan_in only", _LIMIT, "np.sqrt(6 / fan_in)", "fan_out left out"),
    _error("counterexample", "exp is finite", "1000.0", "700.0", "no counterexample"),
)
