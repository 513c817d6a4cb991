"""Chapter 7: batch-norm's backward.

The page is docs/course/07-batchnorm.md. Arrays are images (N, H, W, C), and one number for each channel (C,), in
float64. ``python -m doctest chapter07.py`` runs the examples below, and ``tinycnn check chapter07 chapter07.py`` grades
the functions.
"""

import numpy as np


def batchnorm_forward(x, gamma, beta, epsilon):
    """Normalize each channel by its mean and variance over the batch, then scale and shift it.

    ``mean[c]`` and ``variance[c]`` are taken over all n, i and j. The variance is the mean of the squared deviations.
    ``y[n,i,j,c] = gamma[c] * (x[n,i,j,c] - mean[c]) / sqrt(variance[c] + epsilon) + beta[c]``

    Parameters
    ----------
    x : (N, H, W, C) array
    gamma, beta : (C,) arrays
    epsilon : float

    Returns
    -------
    y : (N, H, W, C) array
    mean, variance : (C,) arrays

    Examples
    --------
    >>> x = np.array([1.0, 3.0]).reshape(2, 1, 1, 1)
    >>> y, mean, variance = batchnorm_forward(x, np.array([10.0]), np.array([0.5]), 0.0)
    >>> y[:, 0, 0, 0]
    array([-9.5, 10.5])
    >>> mean, variance
    (array([2.]), array([1.]))
    """
    mean = x.mean(axis=(0, 1, 2))
    variance = ((x - mean) ** 2).mean(axis=(0, 1, 2))
    y = gamma * (x - mean) / np.sqrt(variance + epsilon) + beta
    return y, mean, variance


def batchnorm_layer(x, gamma, beta, moving_mean, moving_variance, momentum, epsilon, training):
    """Normalize by the batch in training, and by the moving averages otherwise.

    In training the new averages are ``momentum * moving + (1 - momentum) * batch``, for the mean and for the variance.
    Otherwise they stay what they are.

    Parameters
    ----------
    x : (N, H, W, C) array
    gamma, beta, moving_mean, moving_variance : (C,) arrays
        They are not changed.
    momentum, epsilon : float
    training : bool

    Returns
    -------
    y : (N, H, W, C) array
    moving_mean, moving_variance : (C,) arrays
        The averages after this call.

    Examples
    --------
    >>> x = np.array([1.0, 3.0]).reshape(2, 1, 1, 1)
    >>> one, zero = np.ones(1), np.zeros(1)
    >>> batchnorm_layer(x, one, zero, zero, one, 0.75, 0.0, True)[1:]
    (array([0.5]), array([1.]))
    >>> batchnorm_layer(x, one, zero, zero, one, 0.75, 0.0, False)[0][:, 0, 0, 0]
    array([1., 3.])
    """
    if not training:
        y = gamma * (x - moving_mean) / np.sqrt(moving_variance + epsilon) + beta
        return y, moving_mean, moving_variance
    y, mean, variance = batchnorm_forward(x, gamma, beta, epsilon)
    new_mean = momentum * moving_mean + (1 - momentum) * mean
    new_variance = momentum * moving_variance + (1 - momentum) * variance
    return y, new_mean, new_variance


def batchnorm_dgamma_dbeta(dy, x, mean, variance, epsilon):
    """Compute the gradients of the loss with respect to gamma and to beta.

    With ``xhat = (x - mean) / sqrt(variance + epsilon)``,
    ``dgamma[c] = sum over n, i, j of dy[n,i,j,c] * xhat[n,i,j,c]`` and ``dbeta[c] = sum over n, i, j of dy[n,i,j,c]``.

    Parameters
    ----------
    dy, x : (N, H, W, C) arrays
    mean, variance : (C,) arrays
        Those of the batch.
    epsilon : float

    Returns
    -------
    dgamma, dbeta : (C,) arrays

    Examples
    --------
    >>> x, dy = np.array([1.0, 3.0]).reshape(2, 1, 1, 1), np.array([5.0, 7.0]).reshape(2, 1, 1, 1)
    >>> batchnorm_dgamma_dbeta(dy, x, np.array([2.0]), np.array([1.0]), 0.0)
    (array([2.]), array([12.]))
    """
    xhat = (x - mean) / np.sqrt(variance + epsilon)
    return (dy * xhat).sum(axis=(0, 1, 2)), dy.sum(axis=(0, 1, 2))


def batchnorm_dx(dy, x, gamma, mean, variance, epsilon):
    """Compute the gradient of the loss with respect to the images; mean and variance depend on them too.

    ``dx = gamma / sqrt(variance + epsilon) * (dy - dbeta / M - xhat * dgamma / M)``, where M = N * H * W.

    Parameters
    ----------
    dy, x : (N, H, W, C) arrays
    gamma, mean, variance : (C,) arrays
        The mean and the variance are those of the batch.
    epsilon : float

    Returns
    -------
    (N, H, W, C) array

    Examples
    --------
    >>> x = np.array([1.0, 3.0]).reshape(2, 1, 1, 1)
    >>> dy = np.array([5.0, 7.0]).reshape(2, 1, 1, 1)
    >>> batchnorm_dx(dy, x, np.array([8.0]), np.array([2.0]), np.array([1.0]), 3.0)[:, 0, 0, 0]
    array([-3.,  3.])
    """
    dgamma, dbeta = batchnorm_dgamma_dbeta(dy, x, mean, variance, epsilon)
    M = x.size // x.shape[3]
    std = np.sqrt(variance + epsilon)
    xhat = (x - mean) / std
    return gamma / std * (dy - dbeta / M - xhat * dgamma / M)


def counterexample():
    """Return arguments ``(dy, x, gamma, epsilon)`` for which the page's ``broken_batchnorm_dx`` gives a wrong result.

    All arrays together may hold at most 12 numbers.

    Returns
    -------
    tuple of two (N, H, W, C) arrays, a (C,) array, all of float64, and a float
    """
    dy = np.array([1.0, 0.0]).reshape(1, 1, 2, 1)
    x = np.array([1.0, 3.0]).reshape(1, 1, 2, 1)
    return dy, x, np.ones(1), 1.0
