"""How a kernel hands its result over."""

import numpy as np


def deliver(result, out):
    """``result``, or ``out`` filled with it where the caller brought memory; shapes must agree, nothing broadcasts."""
    if out is None:
        return result
    if out.shape != result.shape:
        raise ValueError(f"out has shape {out.shape}, the result {result.shape}")
    np.copyto(out, result, casting="no")
    return out


def deliver_all(results, outs):
    """:func:`deliver` for kernels that return several arrays."""
    if outs is None:
        return results
    return tuple(deliver(result, out) for result, out in zip(results, outs, strict=True))
