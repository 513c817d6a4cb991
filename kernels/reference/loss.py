"""Losses: a number for each sample, and the gradient of a weighted sum of these numbers.

Softmax and cross-entropy are one kernel: it is stable for any logits, and its gradient is ``p - t``.

Shapes: logits, p (N, K); labels (N,), integers in [0, K); shares (N, K), the share of each class in each sample, such
as a one-hot row; a row's sum is 1.
"""

import numpy as np

from ._out import deliver, deliver_all

__all__ = [
    "categorical_cross_entropy_backward",
    "categorical_cross_entropy_forward",
    "mean_squared_error_backward",
    "mean_squared_error_forward",
    "softmax_cross_entropy_backward",
    "softmax_cross_entropy_forward",
]


def softmax_cross_entropy_forward(logits, labels, out=None, work=None):
    """Compute the negative log-probability of each sample's true class, and the probabilities of all classes.

    ``loss[n] = log(sum_k exp(z_k - m)) - (z_t - m)`` with ``z = logits[n]``, ``m = max_k z_k``, ``t = labels[n]``.
    The logarithm is taken of the sum, never of a probability that may have become 0.
    Source: Goodfellow, Bengio & Courville, "Deep Learning", 2016, section 6.2.2.3.

    Parameters
    ----------
    logits : (N, K) array
    labels : (N,) int64 array
    out : pair of arrays, optional
        ``(losses, p)``.
    work : ignored here

    Returns
    -------
    losses : (N,) array
    p : (N, K) array
        The softmax of the logits.
    """
    z = logits - logits.max(axis=-1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=-1)
    losses = np.log(total) - z[np.arange(len(z)), labels]
    return deliver_all((losses, e / total[:, None]), out)


def softmax_cross_entropy_backward(p, labels, weights, out=None, work=None):
    """Compute ``dlogits[n,k] = weights[n] * (p[n,k] - (k == labels[n]))``.

    Parameters
    ----------
    p : (N, K) array
        The softmax of the logits, from the forward pass.
    labels : (N,) int64 array
    weights : (N,) array
        The weight of each sample's loss in the total: ``1 / N`` for a mean.
    out : (N, K) array, optional
    work : ignored here

    Returns
    -------
    (N, K) array
    """
    dlogits = p.copy()
    dlogits[np.arange(len(p)), labels] -= 1
    dlogits *= weights[:, None]
    return deliver(dlogits, out)


def categorical_cross_entropy_forward(logits, shares, out=None, work=None):
    """Compute the cross-entropy between given shares (such as one-hot rows) and the softmax of the logits.

    ``loss[n] = sum_k t_k * (log(sum_j exp(z_j - m)) - (z_k - m))`` with ``z = logits[n]``, ``m = max_k z_k``,
    ``t = shares[n]``. No term is negative, so nothing cancels. A class whose share is 0 adds nothing, even if its logit
    is -inf. Source: Bishop, "Pattern recognition and machine learning", 2006, equation 4.108.

    Parameters
    ----------
    logits, shares : (N, K) arrays
    out : pair of arrays, optional
        ``(losses, p)``.
    work : ignored here

    Returns
    -------
    losses : (N,) array
    p : (N, K) array
        The softmax of the logits.
    """
    z = logits - logits.max(axis=-1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=-1, keepdims=True)
    terms = np.multiply(shares, np.log(total) - z, out=np.zeros_like(z), where=shares != 0)
    return deliver_all((terms.sum(axis=-1), e / total), out)


def categorical_cross_entropy_backward(p, shares, weights, out=None, work=None):
    """Compute ``dlogits[n,k] = weights[n] * (p[n,k] * sum_j t_j - t_k)`` with ``t = shares[n]``, whose sum is nearly 1.

    Parameters
    ----------
    p, shares : (N, K) arrays
    weights : (N,) array
        The weight of each sample's loss in the total: ``1 / N`` for a mean.
    out : (N, K) array, optional
    work : ignored here

    Returns
    -------
    (N, K) array
    """
    return deliver(weights[:, None] * (p * shares.sum(axis=-1, keepdims=True) - shares), out)


def mean_squared_error_forward(y, targets, out=None, work=None):
    """Compute ``loss[n] = 1/D * sum_d (y[n,d] - t[n,d])**2``, with t the targets.

    Source: Bishop, "Pattern recognition and machine learning", 2006, section 1.5.5, as a mean over the outputs.

    Parameters
    ----------
    y, targets : (N, D) arrays
    out : (N,) array, optional
    work : ignored here

    Returns
    -------
    (N,) array
    """
    return deliver(np.square(y - targets).mean(axis=-1), out)


def mean_squared_error_backward(y, targets, weights, out=None, work=None):
    """Compute ``dy[n,d] = weights[n] * 2/D * (y[n,d] - t[n,d])``, with t the targets.

    Parameters
    ----------
    y, targets : (N, D) arrays
    weights : (N,) array
        The weight of each sample's loss in the total: ``1 / N`` for a mean.
    out : (N, D) array, optional
    work : ignored here

    Returns
    -------
    (N, D) array
    """
    scale = weights * weights.dtype.type(2 / y.shape[1])
    return deliver(scale[:, None] * (y - targets), out)
