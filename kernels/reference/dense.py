"""The fully connected layer: one matrix product in each direction. Shapes: x (N, I), w (I, O), b (O,), y (N, O)."""

from ._out import deliver, deliver_all

__all__ = ["dense_backward_input", "dense_backward_weights", "dense_forward"]


def dense_forward(x, w, b, out=None, work=None):
    """Compute ``y[n,o] = b[o] + sum_i x[n,i] * w[i,o]``.

    Parameters
    ----------
    x : (N, I) array
    w : (I, O) array
    b : (O,) array or None
        None stands for no bias.
    out : (N, O) array, optional
    work : ignored here

    Returns
    -------
    (N, O) array
    """
    y = x @ w
    if b is not None:
        y += b
    return deliver(y, out)


def dense_backward_input(dy, w, out=None, work=None):
    """Compute the gradient by the input, ``dx[n,i] = sum_o dy[n,o] * w[i,o]``.

    Parameters
    ----------
    dy : (N, O) array
    w : (I, O) array
    out : (N, I) array, optional
    work : ignored here

    Returns
    -------
    (N, I) array
    """
    return deliver(dy @ w.T, out)


def dense_backward_weights(dy, x, out=None, work=None):
    """Compute the gradients by weights and bias, ``dw[i,o] = sum_n x[n,i] * dy[n,o]`` and ``db[o] = sum_n dy[n,o]``.

    Parameters
    ----------
    dy : (N, O) array
    x : (N, I) array
    out : pair of arrays, optional
        ``(dw, db)``.
    work : ignored here

    Returns
    -------
    dw : (I, O) array
    db : (O,) array
    """
    return deliver_all((x.T @ dy, dy.sum(axis=0)), out)
