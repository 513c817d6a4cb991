"""Arithmetic of single numbers that backends with loops of their own share; each compiles it for itself.

``number`` is the floating type to compute in (``x.dtype.type``): a literal such as 0.5 would turn float32 into float64
in compiled code. Formulas and sources: see ``reference``.
"""

import math

ROOT_HALF = 0.5**0.5
ROOT_TWO_PI = (2 * math.pi) ** 0.5


def relu(x, number):
    """NaN stays NaN."""
    return number(0) if x <= number(0) else x


def elu(x, alpha, number):
    """``alpha * (exp(x) - 1)`` on the left."""
    return x if x > number(0) else alpha * math.expm1(x)


def sigmoid(x, number):
    """``exp(-|x|)`` cannot overflow."""
    e = math.exp(-abs(x))
    return (e if x < number(0) else number(1)) / (number(1) + e)


def normal_share(x, number):
    """The share of a standard normal below x."""
    return number(0.5) * math.erfc(-x * number(ROOT_HALF))


def gelu_slope(x, number):
    """The derivative of ``x * normal_share(x)``."""
    return normal_share(x, number) + x * math.exp(-number(0.5) * x * x) / number(ROOT_TWO_PI)
