"""How a kernel delivers its result: as a new array, or in memory that the caller brought."""

import numpy as np


def deliver(result, out):
    """Return ``result``, or ``out`` filled with it if the caller brought memory; nothing is broadcast."""
    if out is None:
        return result
    if out.shape != result.shape:
        raise ValueError(f"out must have shape {result.shape}, that of the result; got {out.shape}")
    np.copyto(out, result, casting="no")
    return out


def deliver_all(results, outs):
    """Apply :func:`deliver` to each result of a kernel that returns several arrays."""
    if outs is None:
        return results
    return tuple(deliver(result, out) for result, out in zip(results, outs, strict=True))
