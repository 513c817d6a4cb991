"""Softmax and cross-entropy in one: stable for any logits, and its gradient is ``p - y``.

Shapes: logits, p (N, K); labels (N,) integers in [0, K).
"""

import numpy as np

from ._out import deliver, deliver_all


def softmax_cross_entropy_forward(logits, labels, out=None, work=None):
    """Negative log-probability of each sample's true class.

    ``loss[n] = log(sum_k exp(z_k - m)) - (z_t - m)`` with ``z = logits[n]``, ``m = max_k z_k``, ``t = labels[n]``:
    the logarithm is taken of the sum, never of a probability that may have become 0.
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
    """``dlogits[n,k] = weights[n] * (p[n,k] - (k == labels[n]))``.

    Parameters
    ----------
    p : (N, K) array
    labels : (N,) int64 array
    weights : (N,) array
        What each sample's loss counts in the total: ``1 / N`` for a mean.
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
