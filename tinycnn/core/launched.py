"""What the launcher of an MPI job tells each process through its environment, which is known before MPI is loaded."""

import os
import time
from collections.abc import Mapping

#: In which variables Open MPI, MPICH with Intel MPI, and srun tell each process how many they have started.
_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")
#: In which ones they tell it which of these it is.
_RANKS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID")
#: How long other ranks hold back an error of their own, in seconds.
_COURTESY = 1.0


def processes(environment: Mapping[str, str] = os.environ) -> int:
    """Return how many processes mpiexec or srun has started together, this one included; 1 without these."""
    given = [environment[name] for name in _SIZES if name in environment]
    return max([1, *(int(text) for text in given if text.isdecimal())])


def started_by_mpi(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether mpiexec or srun started this process together with others."""
    return processes(environment) > 1


def let_rank_0_speak_first(environment: Mapping[str, str] = os.environ) -> None:
    """Wait a moment on any other rank before an error is printed.

    If rank 0 has made the same mistake, it ends this process meanwhile, and the error is printed once.
    """
    if started_by_mpi(environment) and any(environment.get(name, "0") != "0" for name in _RANKS):
        time.sleep(_COURTESY)
