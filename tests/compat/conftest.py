"""Settings for all comparisons with other packages."""

from collections.abc import Iterator

import numba
import pytest


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread, because the arrays are tiny and waking other threads takes longer than the work.

    Results do not depend on the number of threads; other tests check that.
    """
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)
