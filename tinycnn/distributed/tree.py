"""Sums whose bits do not depend on how the summands are spread over processes.

Neighbours are added in pairs, then neighbours among these sums, and so on; the last one stays alone if their number is
odd. Which additions are made follows from the number of summands alone. Who makes them makes no difference.
"""

from ..core.types import Array
from .ranks import Alone


def tree_sum(rows: Array) -> Array:
    """Add up rows in pairs, in place, and return the sum, which is the first row.

    Examples
    --------
    >>> import numpy as np
    >>> tree_sum(np.array([[1e16], [-1e16], [1.0]]))
    array([1.])
    >>> tree_sum(np.array([[1e16], [1.0], [-1e16]]))
    array([0.])
    """
    while len(rows) > 1:
        rows = _pairs(rows)
    return rows[0]


def _pairs(rows: Array) -> Array:
    """Add each second row to the one before it, and return the sums, which take the place of the first rows."""
    half, odd = divmod(len(rows), 2)
    for pair in range(half):
        rows[2 * pair] += rows[2 * pair + 1]
        if pair:
            rows[pair] = rows[2 * pair]
    if odd and half:
        rows[half] = rows[2 * half]
    return rows[: half + odd]


def sum_over_ranks(rows: Array, job: Alone) -> Array:
    """Return the sum of all ranks' rows, added as :func:`tree_sum` adds them if one process has all.

    Each rank adds up a slice of all rows, so that no rank has more to do than another.

    Parameters
    ----------
    rows : (L, T) array
        This rank's rows, which are overwritten; rank p has rows p * L to (p + 1) * L of all. The number of ranks
        divides T.
    job : Alone or Job

    Returns
    -------
    (T,) array
    """
    if job.size == 1:
        return tree_sum(rows)
    # As long as their number is even, no pair lies on two ranks: they are added here, and fewer rows are sent.
    while len(rows) > 1 and len(rows) % 2 == 0:
        rows = _pairs(rows)
    count, total = rows.shape
    slices = rows.reshape(count, job.size, total // job.size).transpose(1, 0, 2).copy()
    received = job.exchange(slices).reshape(job.size * count, -1)
    whole = rows[0]
    job.gather(tree_sum(received), whole)
    return whole
