"""Chapter 6: softmax cross-entropy.

The page is docs/course/06-cross-entropy.md. Arrays are logits, probabilities p and shares (N, K), for N samples and K
classes, and losses (N,), in float64; labels (N,) are whole numbers from 0 to K - 1. ``python -m doctest chapter06.py``
runs the examples below, and ``tinycnn check chapter06 chapter06.py`` grades the functions.
"""

import numpy as np


def softmax(logits):
    """Compute the probabilities of the classes, ``p[n,k] = exp(z[n,k]) / sum over j of exp(z[n,j])``, z the logits.

    Parameters
    ----------
    logits : (N, K) array
        Any finite numbers, also large ones.

    Returns
    -------
    (N, K) array of the dtype of logits

    Examples
    --------
    >>> softmax(np.array([[0.0, 0.0], [1000.0, 0.0]]))
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def cross_entropy(logits, labels):
    """Compute the loss of each sample, ``losses[n] = -log(p[n, labels[n]])`` with ``p = softmax(logits)``.

    Parameters
    ----------
    logits : (N, K) array
        Any finite numbers, also large ones; a loss is finite even where p is too small for float64.
    labels : (N,) array of int64

    Returns
    -------
    (N,) array of the dtype of logits

    Examples
    --------
    >>> cross_entropy(np.array([[0.0, 0.0], [10000.0, 0.0]]), np.array([0, 1])).tolist()
    [0.6931471805599453, 10000.0]
    """
    z = logits - logits.max(axis=1, keepdims=True)
    total = np.exp(z).sum(axis=1)
    return np.log(total) - z[np.arange(len(z)), labels]


def cross_entropy_dlogits(dlosses, p, labels):
    """Compute the gradient of the losses with respect to the logits.

    ``dlogits[n,k] = dlosses[n] * (p[n,k] - 1)`` if k is the label of sample n, else ``dlosses[n] * p[n,k]``.

    Parameters
    ----------
    dlosses : (N,) array
        The gradient with respect to the losses; for the mean of the losses each is 1 / N.
    p : (N, K) array
        What ``softmax`` returned for the logits.
    labels : (N,) array of int64

    Returns
    -------
    (N, K) array of p's dtype

    Examples
    --------
    >>> cross_entropy_dlogits(np.array([1.0]), np.array([[0.25, 0.75]]), np.array([1]))
    array([[ 0.25, -0.25]])
    """
    dlogits = p.copy()
    dlogits[np.arange(len(p)), labels] -= 1
    return dlogits * dlosses[:, None]


def cross_entropy_of_shares(logits, shares):
    """Compute the losses for shares of the classes instead of labels.

    ``losses[n] = -sum over k of t[n,k] * log(p[n,k])`` with ``p = softmax(logits)``.

    Parameters
    ----------
    logits : (N, K) array
    shares : (N, K) array
        The t of the formula: a one-hot row, or any row that adds up to 1.

    Returns
    -------
    (N,) array of the dtype of logits

    Examples
    --------
    >>> cross_entropy_of_shares(np.array([[2.0, 2.0]]), np.array([[0.5, 0.5]])).round(3)
    array([0.693])
    """
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return -(shares * log_p).sum(axis=1)


def softmax_dx(dy, y):
    """Compute the gradient with respect to the logits of softmax alone.

    ``dx[n,k] = y[n,k] * (dy[n,k] - sum over j of dy[n,j] * y[n,j])``

    Parameters
    ----------
    dy : (N, K) array
    y : (N, K) array
        What ``softmax`` returned.

    Returns
    -------
    (N, K) array of dy's dtype

    Examples
    --------
    >>> softmax_dx(np.array([[4.0, 0.0]]), np.array([[0.5, 0.5]]))
    array([[ 1., -1.]])
    """
    mean = (dy * y).sum(axis=1, keepdims=True)
    return y * (dy - mean)


def counterexample():
    """Return arguments ``(logits, labels)`` for which the page's ``broken_cross_entropy`` gives a wrong result.

    All arrays together may hold at most 12 numbers.

    Returns
    -------
    tuple of an (N, K) array of float64 and an (N,) array of int64
    """
    return np.array([[0.0, 100.0]]), np.array([0])
