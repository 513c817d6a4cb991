"""The fast backend: Numba, parallel over chunks whose number depends on shapes only.

Names, signatures and meanings are those of ``reference``, whose docstrings hold the formulas; the docstrings here say
what makes a kernel fast. Each kernel is a thin Python function (checks, layouts, memory) around a jitted one. The same
inputs give the same bits for any number of threads.

Imports go one way: the files of kernels use ``fused`` and ``convolution``, and all of these use ``machine``.
"""

from .. import _collect
from . import fused  # noqa: F401

_kernels = _collect.collect(__name__)
globals().update(_kernels)
__all__ = sorted(_kernels)
