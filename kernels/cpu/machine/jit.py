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
import numpy as np
from numba.extending import register_jitable
from numba.np.ufunc import parallel as numba_threads

from ...loading import no_collection
from . import linking

# "reassoc" and "arcp" are left out: with them the vector form of a loop rounds differently from its scalar form, and
# which of the two runs can depend on where in memory the arrays happen to lie. "nnan" and "ninf" are left out too: NaN
# and infinity keep their meaning, because a model that diverges must show it.
FASTMATH = {"contract", "nsz"}

LITTLE = 16_384  # elements; see :func:`is_little`

FORK_MESSAGE = (
    "kernels cannot run in this process: it was forked from one in which Numba's threads were already running, "
    "and threads do not survive a fork. Start worker processes with the 'spawn' method: "
    "multiprocessing.get_context('spawn')"
)


def kernel(function):
    """Compile a function that has no ``prange`` loop itself, and make calling it safe.

    A call holds the launch lock, because Numba's "workqueue" threads die when two Python threads enter at once. A call
    is refused in a process that was forked after the threads had started, where GNU OpenMP would end the process.

    Raises
    ------
    RuntimeError
        From each call in a forked process, see above.
    """
    jitted = _cached_njit(function, False)

    @functools.wraps(function)
    def launch(*arguments):
        if _forked:
            raise RuntimeError(FORK_MESSAGE)
        if _noted is not None:  # nothing is launched then
            return
        with _launch_lock:
            jitted(*arguments)

    launch.jitted = jitted
    return launch


def parallel_loop(function):
    """Compile a function with a ``prange`` loop, for jitted code to call.

    Numba's ``reduction`` and ``numpy`` parallelism stay off: they would split sums by the number of threads, and
    results must not depend on it.
    """
    return _cached_njit(function, {"reduction": False, "numpy": False})


def is_little(arguments):
    """Return whether a launch stays on the calling thread: its arrays have fewer than ``LITTLE`` elements together.

    With so little work, waking other threads gains nothing on quiet cores, and on busy ones the launch would wait for
    them much longer than the work takes. Which thread does the work has no influence on results, because loops are cut
    into chunks by shape alone.
    """
    return sum([argument.size for argument in arguments if isinstance(argument, np.ndarray)]) < LITTLE


def helper(function):
    """Compile a function as a part of the kernels that call it, and cache it with them; Python calls it as it is.

    It is compiled with its callers only, see :mod:`.linking`.
    """
    return register_jitable(error_model="numpy", fastmath=FASTMATH, no_cfunc_wrapper=True, **linking.OPTIONS)(function)


def _cached_njit(function, parallel):
    """Apply ``numba.njit`` with the options of this backend."""
    with _in_cache_folder() as cached:
        return numba.njit(
            parallel=parallel,
            cache=cached,
            nogil=True,
            error_model="numpy",
            fastmath=FASTMATH,
            no_cfunc_wrapper=True,
        )(function)


def by_itself(signature, function):
    """Compile a function by itself; jitted code calls it by its ``address``, as :func:`.micro_kernel.product` does.

    Any function that a jitted function calls becomes a part of it, and is compiled again for each caller. For code as
    large as the micro-kernel, which many kernels use, that takes seconds. Called by its address it is compiled once.

    Parameters
    ----------
    signature : Numba signature
    function : function

    Returns
    -------
    Numba CFunc
    """
    with no_collection(), _in_cache_folder() as cached:
        compiled = numba.cfunc(signature, cache=cached, error_model="numpy", fastmath=FASTMATH)(function)
    COMPILED.append(compiled)
    return compiled


COMPILED = []  # keeps code that only its address refers to: Numba frees what nobody holds
_noted = None


@contextlib.contextmanager
def noting():
    """Launch nothing within this block; yield a dictionary of what the launches would have compiled.

    Its values are functions, in the order of the launches; each compiles one kernel, or reads it from the cache. The
    block holds for the whole process. Results of kernels within it are whatever lay in memory.
    """
    global _noted
    _noted = {}
    try:
        yield _noted
    finally:
        _noted = None


def note(key, compile_it):
    """Within :func:`noting`, add to the dictionary and return True; elsewhere return False."""
    if _noted is None:
        return False
    _noted.setdefault(key, compile_it)
    return True


class _Recording(threading.local):
    """The program that launches of this thread are written into."""

    program = None


_recording = _Recording()


@contextlib.contextmanager
def record_with(program):
    """Write the launches of this thread within this block into a program; None writes them nowhere."""
    before, _recording.program = _recording.program, program
    try:
        yield
    finally:
        _recording.program = before


def recorder():
    """Return the program that launches are written into, or None."""
    return _recording.program


def refuse(reason):
    """If launches are written down, remember that the program cannot be run again, and why."""
    if _recording.program is not None:
        _recording.program.refuse(reason)


@contextlib.contextmanager
def _in_cache_folder():
    """Set Numba's cache folder, which it picks for a function when it decorates it; yield whether there is one."""
    before, folder = numba.config.CACHE_DIR, cache_folder()
    numba.config.CACHE_DIR = folder or before
    try:
        yield folder is not None
    finally:
        numba.config.CACHE_DIR = before


@functools.cache
def cache_folder():
    """Return where compiled kernels are kept between runs, or None if no safe place is writable.

    The folder's name is a hash of all kernel sources. Numba itself notices an edit only in a function's own file, and
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
    """Return whether the cache folder holds no compiled kernels, so that each first call takes some seconds."""
    folder = cache_folder()
    return folder is not None and not numba.config.DISABLE_JIT and not any(Path(folder).rglob("*.nbc"))


def _cache_bases():
    """Yield candidate places, best first: the user's choice, the user's cache folder, a private temporary folder."""
    if numba.config.CACHE_DIR:
        yield Path(numba.config.CACHE_DIR)
    else:
        yield Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "tinycnn"
    try:
        temporary = Path(tempfile.gettempdir()) / f"tinycnn-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"
        temporary.mkdir(mode=0o700, exist_ok=True)
    except OSError:  # a read-only system has no folder for temporary files at all
        return
    if _is_ours(temporary):
        yield temporary


def _is_ours(folder):
    """Return whether this user owns the folder and nobody else can write to it: a cache holds code that will be run."""
    if not hasattr(os, "getuid"):
        return True
    status = folder.stat()
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _source_hash():
    """Return a hash of every kernel source, in all folders, and of the versions that compile it."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256(f"{sys.version} {numba.__version__}".encode())
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


_launch_lock = threading.RLock()
_forked = False


def _in_forked_child():
    """Renew the lock, and remember that the threads of the parent process do not exist here."""
    global _launch_lock, _forked
    _launch_lock = threading.RLock()  # a thread that does not exist here may hold the old one
    _forked = _forked or getattr(numba_threads, "_is_initialized", True)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_forked_child)
