"""Chapter 9: optimizers and schedules.

The page is docs/course/09-optimizers.md. Arrays are the weights of a layer as one row (D,), their gradient, and what an
optimizer remembers of each, in float64. ``python -m doctest chapter09.py`` runs the examples below, and
``tinycnn check chapter09 chapter09.py`` grades the functions.
"""

import math

import numpy as np


def sgd_momentum(w, dw, v, rate, momentum):
    """Take a step of gradient descent with momentum.

    ``v = momentum * v - rate * dw``, then ``w = w + v``.

    Parameters
    ----------
    w, dw, v : (D,) arrays
        The weights, the gradient of the loss with respect to them, and their velocity. They are not changed.
    rate, momentum : float

    Returns
    -------
    w, v : (D,) arrays
        The weights and the velocity after the step.

    Examples
    --------
    >>> sgd_momentum(np.array([1.0]), np.array([4.0]), np.array([2.0]), 0.25, 0.5)
    (array([1.]), array([0.]))
    """
    v = momentum * v - rate * dw
    return w + v, v


def adam(w, dw, m, v, step, rate, beta_1, beta_2, epsilon):
    """Take a step of Adam.

    ``m = beta_1 * m + (1 - beta_1) * dw`` and ``v = beta_2 * v + (1 - beta_2) * dw**2``, then
    ``w = w - a * m / (sqrt(v) + epsilon)`` with ``a = rate * sqrt(1 - beta_2**step) / (1 - beta_1**step)``.

    Parameters
    ----------
    w, dw, m, v : (D,) arrays
        The weights, the gradient, and the running means of the gradient and of its square. They are not changed.
    step : int
        The number of this step, counted from 1.
    rate, beta_1, beta_2, epsilon : float

    Returns
    -------
    w, m, v : (D,) arrays
        All three after the step.

    Examples
    --------
    >>> zero = np.zeros(2)
    >>> w, m, v = adam(zero, np.array([4.0, -0.5]), zero, zero, 1, 0.125, 0.5, 0.75, 0.0)
    >>> w
    array([-0.125,  0.125])
    >>> m, v
    (array([ 2.  , -0.25]), array([4.    , 0.0625]))
    """
    m = beta_1 * m + (1 - beta_1) * dw
    v = beta_2 * v + (1 - beta_2) * dw**2
    a = rate * math.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    return w - a * m / (np.sqrt(v) + epsilon), m, v


def adamw(w, dw, m, v, step, rate, decay, beta_1, beta_2, epsilon):
    """Take a step of Adam, and let the weights decay separately.

    The weights before the step, times ``rate * decay``, are subtracted in addition. This does not change the means m
    and v.

    Parameters
    ----------
    w, dw, m, v : (D,) arrays
    step : int
        Counted from 1.
    rate, decay, beta_1, beta_2, epsilon : float

    Returns
    -------
    w, m, v : (D,) arrays

    Examples
    --------
    >>> zero = np.zeros(1)
    >>> adamw(np.array([8.0]), zero, zero, zero, 1, 0.25, 0.5, 0.9, 0.999, 1e-7)[0]
    array([7.])
    """
    new, m, v = adam(w, dw, m, v, step, rate, beta_1, beta_2, epsilon)
    return new - rate * decay * w, m, v


def cosine_rate(step, rate, warmup_steps, decay_steps):
    """Return the learning rate of a step: first a straight line up to the rate, then half a cosine down to 0.

    In the first ``warmup_steps`` steps it is ``rate * step / warmup_steps``. After these it is
    ``rate * (1 + cos(pi * t)) / 2``, where t grows from 0 to 1 within ``decay_steps`` steps, and stays 1.

    Parameters
    ----------
    step : int
        Counted from 0.
    rate : float
    warmup_steps, decay_steps : int
        There may be no warm-up at all.

    Returns
    -------
    float

    Examples
    --------
    >>> [cosine_rate(step, 8.0, 2, 4) for step in (0, 1, 2, 4, 6, 7)]
    [0.0, 4.0, 8.0, 4.0, 0.0, 0.0]
    """
    if step < warmup_steps:
        return rate * step / warmup_steps
    t = min((step - warmup_steps) / decay_steps, 1.0)
    return rate * (1 + math.cos(math.pi * t)) / 2


def counterexample():
    """Return arguments ``(w, dw, m, v, step)`` for which the page's ``broken_adam`` gives a wrong result.

    All arrays together may hold at most 12 numbers.

    Returns
    -------
    tuple of four (D,) arrays of float64, and an int
    """
    zero = np.zeros(2)
    return zero, np.array([1.0, 2.0]), zero, zero, 1
