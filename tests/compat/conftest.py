"""What holds for every comparison with other packages."""

from collections.abc import Iterator

import numba
import pytest


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The arrays are tiny: waking the kernels' other threads takes longer than the work, much longer on a busy machine.

    Results do not depend on the number of threads; other tests hold the kernels to that.
    """
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)
