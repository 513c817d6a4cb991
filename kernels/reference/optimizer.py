"""One optimizer step for one parameter, in place, by Keras 3's formulas."""

import numpy as np


def sgd_update(parameter, gradient, velocity, learning_rate, momentum, nesterov):
    """Gradient descent, with momentum where ``velocity`` is given.

    ``v = momentum * v - learning_rate * g``; ``w += v``, or with Nesterov ``w += momentum * v - learning_rate * g``.
    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013, equations
    1 to 4, in the form of Keras 3 (the rate is inside the velocity, so a schedule scales it).

    Parameters
    ----------
    parameter, gradient : arrays of one shape
        ``parameter`` is updated in place.
    velocity : array like parameter, or None for plain descent
        Updated in place.
    learning_rate, momentum : float
    nesterov : bool
    """
    number = parameter.dtype.type
    step = number(learning_rate) * gradient
    if velocity is None:
        parameter -= step
        return
    velocity *= number(momentum)
    velocity -= step
    parameter += number(momentum) * velocity - step if nesterov else velocity


def adam_update(parameter, gradient, m, v, step, learning_rate, beta_1, beta_2, epsilon):
    """Adam with bias correction.

    ``m += (1 - beta_1) * (g - m)``; ``v += (1 - beta_2) * (g*g - v)``;
    ``w -= a * m / (sqrt(v) + epsilon)`` with ``a = learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t)``.
    Source: Kingma & Ba, "Adam: a method for stochastic optimization", 2015, section 2 (the reordered form, in which
    epsilon is "epsilon hat"), as in Keras 3.

    Parameters
    ----------
    parameter, gradient, m, v : arrays of one shape
        All but the gradient are updated in place.
    step : int
        t, counted from 1.
    learning_rate, beta_1, beta_2, epsilon : float
    """
    number = parameter.dtype.type
    rate = number(learning_rate * (1 - beta_2**step) ** 0.5 / (1 - beta_1**step))
    m += number(1 - beta_1) * (gradient - m)
    v += number(1 - beta_2) * (gradient * gradient - v)
    parameter -= rate * m / (np.sqrt(v) + number(epsilon))
