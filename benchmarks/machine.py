"""What is measured on: its description, and how a process is held to some of its cores."""

import os
import platform
import resource
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("tinycnn", "numpy", "numba", "scipy", "torch", "keras", "tensorflow-cpu", "jax", "onnxruntime")


def describe() -> dict[str, str]:
    """Processor, cores, Python, and the versions of what is installed."""
    return {"cpu": _processor(), "cores": str(os.cpu_count()), "python": platform.python_version(), **_versions()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
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
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def environment(threads: int) -> dict[str, str]:
    """The environment of a process in which every library is to use that many threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NPROC")
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    return {**os.environ, **dict.fromkeys(names, str(threads)), **quiet}


def keep_to_first_cores(threads: int) -> None:
    """Let this process use the first ``threads`` of its cores only: not every library asks the environment."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


class OtherWork:
    """How much of the machine other processes use: a comparison is worth nothing while they use more than a little."""

    def __init__(self) -> None:
        self._before = self._now()

    def share(self) -> float:
        """Share of all cores since the start; counts this process and the children that it has waited for as ours."""
        wall, busy, ours = (now - before for now, before in zip(self._now(), self._before, strict=True))
        return max(0.0, (busy - ours) / (wall * (os.cpu_count() or 1)))

    @staticmethod
    def _now() -> tuple[float, float, float]:
        ours = sum(
            usage.ru_utime + usage.ru_stime
            for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        )
        try:
            user, nice, system = Path("/proc/stat").read_text().split(maxsplit=4)[1:4]
        except OSError:
            return time.perf_counter(), ours, ours
        busy = (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")
        return time.perf_counter(), busy, ours
