"""Holding BLAS to one thread while the kernels' own threads do the work.

A matrix product's last bits depend on how many threads BLAS uses, and a parallel loop whose every chunk starts BLAS
threads of its own is slow. The limit belongs to the process, not to a thread, so nested and simultaneous uses are
counted: the first to enter sets it, the last to leave restores what was there.
"""

import os
import threading


class _OneBlasThread:
    """The context manager that :func:`one_blas_thread` returns; there is one for the whole process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._controller = None
        self._limit = None

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                if self._controller is None:
                    self._controller = _find_blas()
                self._limit = self._controller.limit(limits=1, user_api="blas")
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                limit, self._limit = self._limit, None
                limit.restore_original_limits()

    def _renew_lock(self) -> None:
        """In a forked child: the lock may have been held by a thread that does not exist there."""
        self._lock = threading.Lock()


def _find_blas():
    """Every BLAS in the process. SciPy's own copy is loaded first: it is the one that jitted code calls."""
    import scipy.linalg.cython_blas  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


_one_blas_thread = _OneBlasThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_blas_thread._renew_lock)


def one_blas_thread() -> _OneBlasThread:
    """A context in which BLAS (NumPy's and SciPy's) runs on one thread; re-entrant and safe between threads.

    Entering is cheap when already inside (well under a microsecond), so every kernel that calls BLAS enters it, and a
    caller of many kernels enters it once around them.

    Examples
    --------
    >>> with one_blas_thread(), one_blas_thread():
    ...     pass
    """
    return _one_blas_thread
