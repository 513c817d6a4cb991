"""Batches of samples from a data set that lies on the card."""

from ._device import cuda, kernel, spread


def gather(data, order, start, out):
    """Copy samples: ``out[i] = data[order[start + i]]``, converted to the dtype of ``out``.

    Parameters
    ----------
    data : (N, …) array
        It may have any dtype. Pixels of one byte are converted here, at every step, and take a quarter of the memory.
    order : (N,) int64 array or None
        None stands for the order of the data: ``out[i] = data[start + i]``.
    start : int
    out : (B, …) array

    Returns
    -------
    (B, …) array
        ``out``.
    """
    given = data if order is None else order  # the kernel needs an array in any case
    size = out.size // max(1, len(out))
    spread(_gather, out.size, data, given, order is not None, start, size, out)
    return out


@kernel
def _gather(count, data, order, ordered, start, size, out):
    """Copy one number per thread; a sample has ``size`` numbers."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        sample = i // size
        source = start + sample
        if ordered:
            source = int(order[source])
        out[i] = data[source * size + i - sample * size]
