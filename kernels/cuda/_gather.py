"""Batches of samples out of a data set that lies on the card."""

from ._device import cuda, kernel, spread


def gather(data, order, start, out):
    """``out[i] = data[order[start + i]]``, converted to the dtype of ``out``; without an order ``data[start + i]``.

    Parameters
    ----------
    data : (N, …) array
        Of any dtype; pixels of one byte are converted here, at every step, and take a quarter of the memory.
    order : (N,) int64 array or None
    start : int
    out : (B, …) array
    """
    given = data if order is None else order  # the kernel wants an array in any case
    size = out.size // max(1, len(out))
    spread(_gather, out.size, data, given, order is not None, start, size, out)
    return out


@kernel
def _gather(count, data, order, ordered, start, size, out):
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        sample = i // size
        source = start + sample
        if ordered:
            source = int(order[source])
        out[i] = data[source * size + i - sample * size]
