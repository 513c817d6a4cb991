"""How every parallel function of this backend is compiled, cached on disk and launched."""

import contextlib
import functools
import hashlib
import os
import stat
import sys
import tempfile
import threading
from pathlib import Path

import numba
from numba.extending import register_jitable
from numba.np.ufunc import parallel as numba_threads

from ...threads import one_blas_thread

# "reassoc" and "arcp" are left out: with them a loop's vector form rounds otherwise than its scalar form, and which of
# the two runs can depend on where in memory the arrays happen to lie. So are "nnan" and "ninf": NaN and infinity keep
# their meaning, because a model that diverges must show it.
FASTMATH = {"contract", "nsz"}

FORK_MESSAGE = (
    "this process was forked from one in which Numba's threads were already running, and threads do not survive a "
    "fork. Start worker processes with the 'spawn' method: multiprocessing.get_context('spawn')"
)


def kernel(*, blas=False, parallel=True):
    """Compile a function whose ``prange`` loops run in parallel, and make calling it safe.

    A call holds the launch lock, because Numba's "workqueue" threads die when two Python threads enter at once, and
    refuses to run in a process forked after the threads had started, where GNU OpenMP would end the process.

    ``reduction`` and ``numpy`` parallelism stay off: they would split sums by the number of threads, and results must
    not depend on it.

    Parameters
    ----------
    blas : bool
        The function calls BLAS: hold that to one thread meanwhile.
    parallel : bool
        It has ``prange`` loops; without one (it may call another that has) it compiles faster.
    """

    def decorate(function):
        jitted = _cached_njit(function, parallel)

        @functools.wraps(function)
        def launch(*arguments):
            if _forked:
                raise RuntimeError(FORK_MESSAGE)
            if _noted is not None:
                kinds = tuple(map(numba.typeof, arguments))
                note((jitted, kinds), functools.partial(jitted.compile, kinds))
                return None
            if blas:
                with one_blas_thread(), _launch_lock:
                    return jitted(*arguments)
            with _launch_lock:
                return jitted(*arguments)

        launch.jitted = jitted
        return launch

    return decorate


def helper(function):
    """Compile a function as a part of the kernels that call it, in the cache too; Python calls it as it is.

    Numba would wrap each compiled function twice, for calls from Python and from C, and LLVM inlines the function into
    both and compiles it three times. Of kernels in several layers of helpers, that was the larger part.
    """
    return register_jitable(error_model="numpy", fastmath=FASTMATH, no_cfunc_wrapper=True)(function)


def _cached_njit(function, parallel):
    """``numba.njit`` with the options of this backend."""
    with _in_cache_folder() as cached:
        return numba.njit(
            parallel=parallel and {"reduction": False, "numpy": False},
            cache=cached,
            nogil=True,
            error_model="numpy",
            fastmath=FASTMATH,
            no_cfunc_wrapper=True,
        )(function)


def by_itself(signature, function):
    """Compile a function by itself; its ``address`` is for :func:`.micro_kernel.product` to call.

    What a jitted function calls becomes part of it and is compiled again with each caller. That takes seconds for code
    as large as the micro-kernel, which many kernels use; called by its address, it is compiled once.
    """
    with _in_cache_folder() as cached:
        compiled = numba.cfunc(signature, cache=cached, error_model="numpy", fastmath=FASTMATH)(function)
    COMPILED.append(compiled)
    return compiled


COMPILED = []  # keeps code that is known by its address alone: Numba frees what nobody holds
_noted = None


@contextlib.contextmanager
def noting():
    """Launch nothing within this block: yield a dictionary of what the launches would have compiled, in their order.

    Its values are functions: each compiles one, or reads it from the cache. It holds for the whole process; results are
    whatever lay in memory.
    """
    global _noted
    _noted = {}
    try:
        yield _noted
    finally:
        _noted = None


def note(key, compile_it):
    """Within :func:`noting`, add to the dictionary; whether this is within it."""
    if _noted is None:
        return False
    _noted.setdefault(key, compile_it)
    return True


@contextlib.contextmanager
def _in_cache_folder():
    """Numba picks a function's cache folder when it decorates it; yields whether there is one."""
    before, folder = numba.config.CACHE_DIR, cache_folder()
    numba.config.CACHE_DIR = folder or before
    try:
        yield folder is not None
    finally:
        numba.config.CACHE_DIR = before


@functools.cache
def cache_folder():
    """Where compiled kernels are kept between runs, or None where no safe place is writable.

    The folder's name is a hash of all kernel sources. Numba itself notices an edit in a function's own file only, and
    would go on running old code after an edit in a helper elsewhere. ``NUMBA_CACHE_DIR`` is respected as the base.
    """
    name = f"kernels-{_source_hash()}"
    for base in _cache_bases():
        folder = base / name
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK | os.X_OK) and _is_ours(folder):
            return str(folder)
    return None


def has_to_compile():
    """Whether the cache folder holds no compiled kernels: the first calls will take some seconds each, and fill it."""
    folder = cache_folder()
    return folder is not None and not numba.config.DISABLE_JIT and not any(Path(folder).rglob("*.nbc"))


def _cache_bases():
    """Candidate places, best first: the user's choice, the user's cache folder, a private temporary folder."""
    if numba.config.CACHE_DIR:
        yield Path(numba.config.CACHE_DIR)
    else:
        yield Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "tinycnn"
    temporary = Path(tempfile.gettempdir()) / f"tinycnn-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"
    try:
        temporary.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return
    if _is_ours(temporary):
        yield temporary


def _is_ours(folder):
    """A cache holds code that will be run: nobody else may own the folder or write to it."""
    if not hasattr(os, "getuid"):
        return True
    status = folder.stat()
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _source_hash():
    """Hash of every kernel source and of what compiles it."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256(f"{sys.version} {numba.__version__}".encode())
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


_launch_lock = threading.RLock()
_forked = False


def _in_forked_child():
    global _launch_lock, _forked
    _launch_lock = threading.RLock()  # the old one may be held by a thread that does not exist here
    _forked = _forked or getattr(numba_threads, "_is_initialized", True)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_forked_child)
