"""How many threads kernels run on, and a context that holds BLAS to one thread while these do the work.

The last bits of a matrix product depend on how many threads BLAS uses, and a parallel loop is slow if each of its
chunks starts BLAS threads of its own. The limit belongs to the process, not to a thread, so nested and simultaneous
uses are counted: the first to enter sets the limit, and the last to leave restores what was there before.
"""

import functools
import importlib
import os
import sys
import threading
from typing import Any

#: The module with which SciPy's BLAS comes into the process.
SCIPY_BLAS = "scipy.linalg.cython_blas"


class _OneBlasThread:
    """The context manager that :func:`one_blas_thread` returns; there is one for the whole process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._libraries: list = []
        self._looked: bool | None = None  # whether SciPy's BLAS was in the process at the last look
        self._before: list[int] = []

    def __enter__(self) -> None:
        with self._lock:
            scipy_is_there = SCIPY_BLAS in sys.modules
            if scipy_is_there != self._looked:
                known = {library.filepath for library in self._libraries}
                self._libraries += [library for library in _find_blas() if library.filepath not in known]
                self._looked = scipy_is_there
            if self._users == 0:
                self._before = []
            for library in self._libraries[len(self._before) :]:  # all, or those that were loaded within the context
                self._before.append(library.get_num_threads())
                _set_threads(library, 1)
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                for library, count in zip(self._libraries, self._before, strict=True):
                    _set_threads(library, count)

    def _renew_lock(self) -> None:
        """Replace the lock in a forked child: a thread that does not exist there may have held the old one."""
        self._lock = threading.Lock()


def _find_blas() -> list:
    """Return every BLAS in the process."""
    from threadpoolctl import ThreadpoolController

    return [library for library in ThreadpoolController().lib_controllers if library.user_api == "blas"]


def _set_threads(library, count: int) -> None:
    """Set a library's number of threads, from whichever Python thread.

    threadpoolctl (at least since version 3.8) lets only the first thread that sets a limit on OpenBLAS do so, and
    silently ignores all other threads. Here a lock already guards the users' count, so the function behind that check
    is called.
    """
    getattr(library, "_real_set_num_threads", library.set_num_threads)(count)


_one_blas_thread = _OneBlasThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_blas_thread._renew_lock)


#: How often a thread of GNU's OpenMP looks for work before it sleeps: for some tenths of a millisecond, which is longer
#: than what Python does between two launches. By default it looks for much longer, and so takes the cores from other
#: processes: two trainings at once on two cores took more than three times as long each.
SPINS = 20_000


@functools.cache
def _start_threads() -> None:
    """Start the threads that compiled kernels run on.

    The environment variables ``GOMP_SPINCOUNT`` and ``OMP_WAIT_POLICY`` say how they wait, if one of them is set.
    """
    waits_as_told = not os.environ.keys().isdisjoint({"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"})
    if not waits_as_told:
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)  # it is read once, when the threads start
    _numba().get_num_threads()
    if not waits_as_told:
        del os.environ["GOMP_SPINCOUNT"]


@functools.cache
def _numba() -> Any:
    """Return Numba, which is imported when it is first needed."""
    import numba

    return numba


def thread_count() -> int:
    """Return how many threads compiled kernels run on; the first call starts them."""
    _start_threads()
    count: int = _numba().get_num_threads()
    return count


def one_blas_thread(*, in_kernels: bool = False) -> _OneBlasThread:
    """Return a context in which BLAS (NumPy's and SciPy's) runs on one thread; re-entrant and safe between threads.

    Entering it again inside costs about a microsecond. So every kernel that calls BLAS enters it, and a caller of many
    kernels enters it once around them.

    Parameters
    ----------
    in_kernels : bool
        Whether jitted code calls BLAS. That is SciPy's, which is loaded then; other callers do not wait for SciPy.

    Examples
    --------
    >>> with one_blas_thread(), one_blas_thread():
    ...     pass
    """
    if in_kernels:
        importlib.import_module(SCIPY_BLAS)
    return _one_blas_thread
