"""Chapter 10: reading a training curve.

The page is docs/course/10-curves.md. A curve (E,) has one number for each of E epochs, in float64. Epochs are counted
from 0. ``python -m doctest chapter10.py`` runs the examples below, and ``tinycnn check chapter10 chapter10.py`` grades
the functions.
"""

import numpy as np


def smoothed(curve, weight):
    """Return the running mean of a curve, without the bias of its beginning.

    From ``s = 0`` on, each epoch makes ``s = weight * s + (1 - weight) * curve[e]``, and the result at e is
    ``s / (1 - weight**(e + 1))``.

    Parameters
    ----------
    curve : (E,) array
    weight : float from 0 to below 1

    Returns
    -------
    (E,) array

    Examples
    --------
    >>> smoothed(np.array([4.0, 1.0, 3.75]), 0.5)
    array([4., 2., 3.])
    >>> smoothed(np.array([3.0, 3.0]), 0.75)
    array([3., 3.])
    """
    result, s = np.zeros_like(curve), 0.0
    for e in range(len(curve)):
        s = weight * s + (1 - weight) * curve[e]
        result[e] = s / (1 - weight ** (e + 1))
    return result


def best_epoch(val_loss):
    """Return the epoch with the lowest validation loss; the first of them, if there are several.

    An epoch whose loss is NaN is never the best. At least one is a number.

    Parameters
    ----------
    val_loss : (E,) array

    Returns
    -------
    int
        Counted from 0.

    Examples
    --------
    >>> best_epoch(np.array([0.5, 0.25, 0.75, 0.25]))
    1
    >>> best_epoch(np.array([0.5, np.nan, 0.25]))
    2
    """
    return int(np.nanargmin(val_loss))


def stopping_epoch(val_loss, patience):
    """Return the last epoch of a training that stops when the validation loss has not been better for a while.

    The training stops after an epoch if this and the epochs just before it, ``patience`` in all, were not better than
    the best before them. Better means lower; NaN is never better. Without a stop, it is the curve's last epoch.

    Parameters
    ----------
    val_loss : (E,) array
        Its first number is not NaN.
    patience : int
        At least 1.

    Returns
    -------
    int
        Counted from 0.

    Examples
    --------
    >>> stopping_epoch(np.array([5.0, 3.0, 4.0, 3.0, 2.0, 9.0]), 2)
    3
    >>> stopping_epoch(np.array([5.0, 3.0, 4.0, 3.0, 2.0, 9.0]), 3)
    5
    """
    best, waited = np.inf, 0
    for e in range(len(val_loss)):
        if val_loss[e] < best:
            best, waited = val_loss[e], 0
        else:
            waited += 1
        if waited == patience:
            return e
    return len(val_loss) - 1


def diagnosis(loss, val_loss):
    """Say in a word how a training goes. The first of these that is true:

    1. ``"rate too high"``: the loss is not finite somewhere, or more than a third of its E - 1 changes from epoch to
       epoch are rises;
    2. ``"overfitting"``: the last validation loss is more than 1.1 times the lowest, while the last loss is below that
       of the epoch with the lowest validation loss;
    3. ``"plateau"``: the last loss is more than 0.99 times the one ``E // 3`` epochs earlier;
    4. ``"learning"``: none of these.

    Parameters
    ----------
    loss, val_loss : (E,) arrays
        The loss on the training images and on others. E is at least 6.

    Returns
    -------
    str

    Examples
    --------
    >>> diagnosis(np.array([6.0, 4.0, 3.0, 2.0, 1.5, 1.0]), np.array([6.0, 5.0, 4.0, 4.5, 5.0, 5.5]))
    'overfitting'
    >>> diagnosis(np.array([6.0, 4.0, 3.0, 2.0, 1.5, 1.0]), np.array([6.0, 5.0, 4.0, 3.5, 3.0, 2.5]))
    'learning'
    """
    E, best = len(loss), np.argmin(val_loss)
    rises = np.sum(np.diff(loss) > 0)
    if not np.isfinite(loss).all() or rises > (E - 1) / 3:
        return "rate too high"
    if val_loss[-1] > 1.1 * val_loss[best] and loss[-1] < loss[best]:
        return "overfitting"
    if loss[-1] > 0.99 * loss[-1 - E // 3]:
        return "plateau"
    return "learning"


def steepest_rate(rates, losses):
    """Return the learning rate at which the loss falls fastest, measured against the logarithm of the rate.

    The slope at s is ``(losses[s + 1] - losses[s]) / (log(rates[s + 1]) - log(rates[s]))``. The result is ``rates[s]``
    of the lowest slope. What comes from the first loss on that is not finite does not count.

    Parameters
    ----------
    rates : (S,) array
        Rates that grow from one to the next.
    losses : (S,) array
        The loss with each of them. At least the first two are finite.

    Returns
    -------
    float

    Examples
    --------
    >>> steepest_rate(np.array([0.001, 0.01, 0.1, 1.0]), np.array([5.0, 4.0, 1.0, np.inf]))
    0.01
    """
    finite = np.isfinite(losses)
    S = len(losses) if finite.all() else np.argmin(finite)
    slopes = np.diff(losses[:S]) / np.diff(np.log(rates[:S]))
    return float(rates[np.argmin(slopes)])


def counterexample():
    """Return arguments ``(val_loss, patience)`` for which the page's ``broken_stopping_epoch`` gives a wrong result.

    The curve may have at most 12 numbers.

    Returns
    -------
    tuple of an (E,) array of float64, and an int
    """
    return np.array([1.0, 4.0, 3.0, 2.0]), 2
