"""Chapter 8: dropout.

The page is docs/course/08-dropout.md. Arrays are batches (N, D), N images of D numbers, or images
(N, H, W, C), in float64. ``python -m doctest chapter08.py`` runs the examples below, and
``tinycnn check chapter08 chapter08.py`` grades the functions.
"""

import numpy as np


def draw_numbers(seed, step, shape):
    """Return numbers between 0 and 1 that are drawn from a seed and the number of a step.

    They are those of ``np.random.default_rng([seed, step])``: the same seed and step always give the same numbers, and
    another step gives others.

    Parameters
    ----------
    seed, step : int
    shape : (int, int)
        The shape of the result, (N, D).

    Returns
    -------
    (N, D) array

    Examples
    --------
    >>> draw_numbers(7, 0, (1, 3)).round(2)
    array([[0.63, 0.9 , 0.78]])
    >>> draw_numbers(7, 1, (1, 3)).round(2)
    array([[0.77, 0.11, 0.19]])
    """
    return np.random.default_rng([seed, step]).random(shape)


def dropout_forward(x, u, rate, training):
    """Set elements to 0 in training, and make the others larger, so that the mean stays; otherwise change nothing.

    An element is kept where its number in u is at least the rate, and then multiplied by 1 / (1 - rate).

    Parameters
    ----------
    x : (N, D) array
    u : (N, D) array
        Numbers from 0 to below 1, one for each element.
    rate : float from 0 to below 1
    training : bool

    Returns
    -------
    y : (N, D) array
    mask : (N, D) array
        What each element was multiplied by: 0 or 1 / (1 - rate), and 1 if nothing is changed.

    Examples
    --------
    >>> x, u = np.array([[1.0, 2.0, 3.0]]), np.array([[0.1, 0.75, 0.9]])
    >>> dropout_forward(x, u, 0.75, True)
    (array([[ 0.,  8., 12.]]), array([[0., 4., 4.]]))
    >>> dropout_forward(x, u, 0.75, False)
    (array([[1., 2., 3.]]), array([[1., 1., 1.]]))
    """
    if not training:
        return x, np.ones_like(x)
    mask = (u >= rate) / (1 - rate)
    return x * mask, mask


def dropout_backward(dy, mask):
    """Compute the gradient of the loss with respect to x.

    Parameters
    ----------
    dy : (N, D) array
    mask : (N, D) array
        That of the forward pass.

    Returns
    -------
    (N, D) array

    Examples
    --------
    >>> dropout_backward(np.array([[1.0, 1.0, 5.0]]), np.array([[0.0, 4.0, 4.0]]))
    array([[ 0.,  4., 20.]])
    """
    return dy * mask


def channel_dropout(x, u, rate):
    """Set whole channels of images to 0, and multiply the others by 1 / (1 - rate).

    Channel c of image n is kept where ``u[n,c] >= rate``.

    Parameters
    ----------
    x : (N, H, W, C) array
    u : (N, C) array
    rate : float from 0 to below 1

    Returns
    -------
    (N, H, W, C) array

    Examples
    --------
    >>> x = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 1, 2)
    >>> channel_dropout(x, np.array([[0.9, 0.2]]), 0.5)[0, :, 0]
    array([[2., 0.],
           [6., 0.]])
    """
    keep = (u >= rate)[:, None, None, :]
    return x * keep / (1 - rate)


def average_output(x, w, rate):
    """Return the mean result of a neuron, ``max(0, sum of mask * x * w)``, over all masks, each with its probability.

    A mask has 0 or 1 / (1 - rate) at each of the D places. With k places kept, its probability is
    ``(1 - rate)**k * rate**(D - k)``.

    Parameters
    ----------
    x, w : (D,) arrays
    rate : float from 0 to below 1

    Returns
    -------
    float

    Examples
    --------
    >>> x, w = np.array([1.0, 1.0]), np.array([1.0, -1.0])
    >>> average_output(x, w, 0.5)
    0.5
    >>> average_output(x, w, 0.0)
    0.0
    """
    D, total = len(x), 0.0
    for number in range(2**D):
        keep = np.array([number >> place & 1 for place in range(D)])
        k = keep.sum()
        probability = (1 - rate) ** k * rate ** (D - k)
        total += probability * max(0.0, np.sum(keep / (1 - rate) * x * w))
    return float(total)


def counterexample():
    """Return arguments ``(x, u, rate)`` for which the page's ``broken_dropout`` gives a wrong result.

    All arrays together may hold at most 12 numbers.

    Returns
    -------
    tuple of two (N, D) arrays of float64, and a float
    """
    return np.ones((1, 2)), np.array([[0.1, 0.9]]), 0.25
