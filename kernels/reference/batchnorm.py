"""Batch normalisation over every axis but the last.

Shapes: x (…, C); gamma, beta, mean, variance (C,). M is the number of values per channel, and
``xhat = (x - mean) / sqrt(variance + epsilon)``.
Source: Ioffe & Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
shift", 2015, algorithm 1 and the gradients of section 3.
"""

import numpy as np

from ._out import deliver, deliver_all

__all__ = [
    "batch_norm_backward",
    "batch_norm_forward",
    "batch_norm_inference_backward",
    "batch_norm_inference_forward",
    "move_average",
]


def batch_norm_forward(x, gamma, beta, epsilon, out=None, work=None):
    """Normalise each channel by the statistics of this batch: ``y = gamma * xhat + beta``.

    The variance is the mean squared deviation (divided by M, not M - 1), as in the paper.

    Parameters
    ----------
    x : (…, C) array with at least one value per channel
    gamma, beta : (C,) arrays
    epsilon : float
        It is added to the variance, so that nothing is divided by 0.
    out : triple of arrays, optional
        ``(y, mean, variance)``.
    work : ignored here

    Returns
    -------
    y : array like x
    mean, variance : (C,) arrays
    """
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axis=axes)
    variance = np.square(x - mean).mean(axis=axes)
    y = normalise(x, mean, variance, epsilon) * gamma + beta
    return deliver_all((y, mean, variance), out)


def batch_norm_backward(dy, x, gamma, mean, variance, epsilon, out=None, work=None):
    """Compute the gradients through :func:`batch_norm_forward`, whose mean and variance depend on x too.

    ``dbeta = sum dy``, ``dgamma = sum dy * xhat``,
    ``dx = gamma / sqrt(variance + epsilon) * (dy - dbeta / M - xhat * dgamma / M)``.
    The second term of dx comes through the mean, the third through the variance.

    Parameters
    ----------
    dy, x : (…, C) arrays
    gamma, mean, variance : (C,) arrays
        The mean and variance are those that the forward pass returned.
    epsilon : float
    out : triple of arrays, optional
        ``(dx, dgamma, dbeta)``.
    work : ignored here

    Returns
    -------
    dx : array like x
    dgamma, dbeta : (C,) arrays
    """
    xhat, dgamma, dbeta = parameter_gradients(dy, x, mean, variance, epsilon)
    M = x.size // x.shape[-1]
    dx = gamma / np.sqrt(variance + epsilon) * (dy - dbeta / M - xhat * (dgamma / M))
    return deliver_all((dx, dgamma, dbeta), out)


def batch_norm_inference_forward(x, gamma, beta, mean, variance, epsilon, out=None, work=None):
    """Normalise by given statistics (the moving averages): ``y = gamma * xhat + beta``, a fixed affine map.

    Parameters
    ----------
    x : (…, C) array
    gamma, beta, mean, variance : (C,) arrays
    epsilon : float
    out : array like x, optional
    work : ignored here

    Returns
    -------
    array like x
    """
    return deliver(normalise(x, mean, variance, epsilon) * gamma + beta, out)


def batch_norm_inference_backward(dy, x, gamma, mean, variance, epsilon, out=None, work=None):
    """Compute the gradients through :func:`batch_norm_inference_forward`, whose statistics are constants.

    ``dx = dy * gamma / sqrt(variance + epsilon)``; dgamma and dbeta, the parameters and the results are those of
    :func:`batch_norm_backward`.
    """
    _, dgamma, dbeta = parameter_gradients(dy, x, mean, variance, epsilon)
    return deliver_all((dy * (gamma / np.sqrt(variance + epsilon)), dgamma, dbeta), out)


def move_average(moving, batch, momentum):
    """Move a running average towards the value of a batch, in place.

    ``moving = momentum * moving + (1 - momentum) * batch``

    Parameters
    ----------
    moving, batch : arrays of the same shape
    momentum : float in [0, 1]
        The share of the average that is kept.
    """
    moving *= momentum
    moving += (1 - momentum) * batch


def normalise(x, mean, variance, epsilon):
    """Return ``xhat``: x in units of standard deviations from the mean."""
    return (x - mean) / np.sqrt(variance + epsilon)


def parameter_gradients(dy, x, mean, variance, epsilon):
    """Return ``xhat``, ``dgamma`` and ``dbeta``."""
    axes = tuple(range(x.ndim - 1))
    xhat = normalise(x, mean, variance, epsilon)
    return xhat, (dy * xhat).sum(axis=axes), dy.sum(axis=axes)
