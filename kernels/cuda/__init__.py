"""The same kernels on an NVIDIA GPU, in Python, through numba-cuda.

Names, signatures and meanings are those of ``reference``; the arrays are this backend's own (:func:`upload`,
``to_numpy``). Each kernel is a Python function that checks its arguments and finds memory, around one or more functions
that the card runs. Sums are cut and added up in an order that follows from shapes alone, so the same card gives the
same bits again and again.

Read the files in this order: ``activation.py`` (a thread per element), ``pool.py`` (a thread per result, which
gathers), ``_sums.py`` (adding up together), ``steps/`` (a convolution in four steps), ``_product.py`` (the last step,
for all).
"""

from .. import _collect
from . import _device

if _device.cuda is None:
    raise ImportError(_device.problem())

from ._array import DeviceArray, empty, upload  # noqa: F401
from ._device import SIMULATED, free_bytes, problem, release_unused, synchronize  # noqa: F401
from ._gather import gather  # noqa: F401

_kernels = _collect.collect(__name__)
globals().update(_kernels)
__all__ = sorted(_kernels)
