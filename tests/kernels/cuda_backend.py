"""The cuda kernels, if they can run here, and the mark that skips a test if they cannot."""

import pytest

from tinycnn.core.backend import unavailable

REASON = unavailable("cuda")
needs_cuda = pytest.mark.skipif(REASON is not None, reason=f"cuda: {REASON}")
cuda = None
if REASON is None:
    from tinycnn.kernels import cuda  # noqa: F401
