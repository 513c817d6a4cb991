"""One optimizer step for one parameter, in place, by Keras 3's formulas; and the clipping of gradients before it."""

import numpy as np

from ._out import deliver

__all__ = ["adam_update", "clip_gradient", "gradient_norm", "rmsprop_update", "scale_gradient", "sgd_update"]


def sgd_update(parameter, gradient, velocity, learning_rate, momentum, nesterov):
    """Take a step of gradient descent, with momentum if ``velocity`` is given.

    ``v = momentum * v - learning_rate * g``; then ``w += v``, or with Nesterov
    ``w += momentum * v - learning_rate * g``. Source: Sutskever et al., "On the importance of initialization and
    momentum in deep learning", 2013, equations 1 to 4, in the form of Keras 3 (the rate is inside the velocity, so a
    schedule scales it).

    Parameters
    ----------
    parameter, gradient : arrays of one shape
        ``parameter`` is updated in place.
    velocity : array like parameter, or None for plain descent
        It is updated in place.
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
    """Take a step of Adam with bias correction.

    ``m += (1 - beta_1) * (g - m)``; ``v += (1 - beta_2) * (g*g - v)``;
    ``w -= a * m / (sqrt(v) + epsilon)`` with ``a = learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t)``.
    Source: Kingma & Ba, "Adam: a method for stochastic optimization", 2015, section 2 (the reordered form, in which
    epsilon is "epsilon hat"), as in Keras 3.

    Parameters
    ----------
    parameter, gradient, m, v : arrays of one shape
        All but the gradient are updated in place.
    step : int
        The number t of this step, counted from 1.
    learning_rate, beta_1, beta_2, epsilon : float
    """
    number = parameter.dtype.type
    rate = number(learning_rate * (1 - beta_2**step) ** 0.5 / (1 - beta_1**step))
    m += number(1 - beta_1) * (gradient - m)
    v += number(1 - beta_2) * (gradient * gradient - v)
    parameter -= rate * m / (np.sqrt(v) + number(epsilon))


def rmsprop_update(parameter, gradient, mean_square, mean, velocity, learning_rate, rho, momentum, epsilon):
    """Take a step of RMSprop: the gradient is divided by the root of a running mean of its squares.

    ``s = rho * s + (1 - rho) * g*g``; ``u = learning_rate * g / sqrt(s + epsilon)``; ``w -= u``. If ``mean`` is given
    (the centered form), ``m = rho * m + (1 - rho) * g``, and the variance ``s - m*m`` replaces s in u; where rounding
    makes it negative it is taken as 0. If ``velocity`` is given, ``v = momentum * v + u`` and ``w -= v``. Source:
    Hinton, "Neural networks for machine learning", 2012, lecture 6e; Graves, "Generating sequences with recurrent
    neural networks", 2013, equations 38 to 41 (centered, with momentum), in the form of Keras 3.

    Parameters
    ----------
    parameter, gradient, mean_square : arrays of one shape
        All but the gradient are updated in place.
    mean, velocity : array like parameter, or None
        They are updated in place.
    learning_rate, rho, momentum, epsilon : float
    """
    number = parameter.dtype.type
    mean_square *= number(rho)
    mean_square += number(1 - rho) * (gradient * gradient)
    variance = mean_square
    if mean is not None:
        mean *= number(rho)
        mean += number(1 - rho) * gradient
        variance = np.maximum(mean_square - mean * mean, 0)
    step = number(learning_rate) * gradient / np.sqrt(variance + number(epsilon))
    if velocity is None:
        parameter -= step
        return
    velocity *= number(momentum)
    velocity += step
    parameter -= velocity


def gradient_norm(gradient, out=None, work=None):
    """Compute the length of a gradient, ``sqrt(sum_i g_i**2)``, with the sum in double precision.

    Parameters
    ----------
    gradient : array
    out : () array, optional
    work : ignored here

    Returns
    -------
    () array
    """
    norm = np.sqrt(np.square(gradient, dtype=np.float64).sum())
    return deliver(np.asarray(norm, gradient.dtype), out)


def scale_gradient(gradient, factor, out=None, work=None):
    """Compute ``factor * g``, which shortens a gradient that is too long.

    Source: Pascanu, Mikolov & Bengio, "On the difficulty of training recurrent neural networks", 2013, algorithm 1.

    Parameters
    ----------
    gradient : array
    factor : float
    out : array like gradient, optional
    work : ignored here

    Returns
    -------
    array like gradient
    """
    return deliver(gradient * gradient.dtype.type(factor), out)


def clip_gradient(gradient, limit, out=None, work=None):
    """Compute ``min(max(g, -limit), limit)``, element by element; NaN stays NaN.

    Parameters
    ----------
    gradient : array
    limit : float
        Positive.
    out : array like gradient, optional
    work : ignored here

    Returns
    -------
    array like gradient
    """
    limit = gradient.dtype.type(limit)
    return deliver(np.clip(gradient, -limit, limit), out)
