"""The textbook: every kernel in plain NumPy, as close to its formula as code can be.

Read these first. The other backends are tested against them.
"""

from .. import _collect

_kernels = _collect.collect(__name__)
globals().update(_kernels)
__all__ = sorted(_kernels)
