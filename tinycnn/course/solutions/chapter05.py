"""Chapter 5: activations and initial weights.

The page is docs/course/05-activations.md. Arrays of activations are (N, D), N samples of D numbers, in float64.
``python -m doctest chapter05.py`` runs the examples below, and ``tinycnn check chapter05 chapter05.py`` grades the
functions.
"""

import numpy as np


def relu(x):
    """Compute ``y = max(x, 0)`` of each element.

    Parameters
    ----------
    x : (N, D) array, or one of any other shape

    Returns
    -------
    array of x's shape and dtype

    Examples
    --------
    >>> relu(np.array([[-2.0, 0.0, 3.0]]))
    array([[0., 0., 3.]])
    """
    return np.maximum(x, 0)


def relu_dx(dy, y):
    """Compute the gradient with respect to the input of ReLU: ``dx = dy`` where ``y > 0``, else 0.

    Parameters
    ----------
    dy : (N, D) array, or one of any other shape
    y : array of dy's shape
        What ``relu`` returned. Where it is 0, the slope is taken as 0.

    Returns
    -------
    array of dy's shape and dtype

    Examples
    --------
    >>> relu_dx(np.array([[5.0, 6.0]]), np.array([[0.0, 3.0]]))
    array([[0., 6.]])
    """
    return dy * (y > 0)


def sigmoid(x):
    """Compute ``y = 1 / (1 + exp(-x))`` of each element, for every finite x.

    Parameters
    ----------
    x : (N, D) array

    Returns
    -------
    (N, D) array of x's dtype

    Examples
    --------
    >>> sigmoid(np.array([[0.0, 1000.0, -1000.0]]))
    array([[0.5, 1. , 0. ]])
    """
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def sigmoid_dx(dy, y):
    """Compute the gradient with respect to the input of the sigmoid, from its result: ``dx = dy * y * (1 - y)``.

    Parameters
    ----------
    dy, y : (N, D) arrays
        ``y`` is what ``sigmoid`` returned.

    Returns
    -------
    (N, D) array of dy's dtype

    Examples
    --------
    >>> sigmoid_dx(np.array([[4.0, 4.0]]), np.array([[0.5, 1.0]]))
    array([[1., 0.]])
    """
    return dy * y * (1 - y)


def fans(shape):
    """Count the connections of one output, fan_in, and of one input, fan_out.

    Parameters
    ----------
    shape : tuple of int
        That of a convolution's kernel, (KH, KW, C, F), or of a dense layer's, (D, U).

    Returns
    -------
    fan_in : int
        From how many numbers one number of the result is computed.
    fan_out : int
        Into how many numbers of the result one number goes, if no window is cut off by an edge and the stride is 1.

    Examples
    --------
    >>> fans((784, 10))
    (784, 10)
    >>> fans((3, 3, 16, 32))
    (144, 288)
    """
    *taps, inputs, outputs = shape
    count = 1
    for size in taps:
        count *= size
    return count * inputs, count * outputs


def he_normal(z):
    """Make initial weights for a layer before a ReLU, with the variance 2 / fan_in.

    Parameters
    ----------
    z : (KH, KW, C, F) array
        Random numbers of a normal distribution with the mean 0 and the variance 1.

    Returns
    -------
    (KH, KW, C, F) array of z's dtype
        z times one factor.

    Examples
    --------
    >>> he_normal(np.array([1.0, -3.0]).reshape(1, 1, 2, 1))[0, 0, :, 0]
    array([ 1., -3.])
    """
    fan_in, _ = fans(z.shape)
    return z * np.sqrt(2 / fan_in)


def glorot_uniform(u):
    """Make initial weights that are equally likely anywhere from -limit to limit.

    ``limit = sqrt(6 / (fan_in + fan_out))``

    Parameters
    ----------
    u : (KH, KW, C, F) array
        Random numbers, equally likely anywhere from 0 to 1.

    Returns
    -------
    (KH, KW, C, F) array of u's dtype
        -limit where u is 0, and limit where it is 1.

    Examples
    --------
    >>> glorot_uniform(np.array([0.0, 0.5, 1.0]).reshape(1, 1, 3, 1))[0, 0, :, 0].round(3)
    array([-1.225,  0.   ,  1.225])
    """
    fan_in, fan_out = fans(u.shape)
    limit = np.sqrt(6 / (fan_in + fan_out))
    return (2 * u - 1) * limit


def counterexample():
    """Return the argument ``(x,)`` for which the page's ``broken_sigmoid`` gives a wrong result.

    It may hold at most 12 numbers.

    Returns
    -------
    tuple of an (N, D) array of float64
    """
    return (np.array([[1000.0]]),)
