"""The textbook: every kernel in plain NumPy, as close to its formula as code can be.

Read these first. The other backends are tested against them.

Here, too, NaN and infinity are results like any others: NumPy's settings for floating-point errors (``np.seterr``) have
no influence, as they have none on compiled code.
"""

import numpy as np

from .. import _collect

_kernels = {name: np.errstate(all="ignore")(kernel) for name, kernel in _collect.collect(__name__).items()}
globals().update(_kernels)
__all__ = sorted(_kernels)
