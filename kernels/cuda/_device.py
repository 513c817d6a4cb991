"""All that this backend asks of numba-cuda, so that it can be exchanged for its successor here and nowhere else.

Other files take from this one: ``cuda`` (thread numbers, shared memory), the decorators, :func:`launch`, and memory.
Launches and copies go to one stream and run there in order, while Python goes on; only :func:`to_host` waits.
"""

import functools
import importlib.util
import os
import sys
import threading
import time
import warnings

import numpy as np

#: numba-cuda's simulator runs kernels as Python threads: for tests and for looking inside, thousands of times slower.
SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")

if importlib.util.find_spec("numba_cuda") is not None:
    from numba import cuda
    from numba.cuda.core import config

    # It would warn of every launch with few blocks, and small networks need only few.
    config.CUDA_LOW_OCCUPANCY_WARNINGS = 0
else:
    cuda = None

#: Threads of a block, and the most blocks of a launch whose threads take several elements each. Where each element is
#: computed by itself, results do not depend on them; sums are cut by :data:`SUM_CHUNKS`, the same on every card.
THREADS, MOST_BLOCKS = (4, 2) if SIMULATED else (256, 2048)
#: The largest number of partial sums that a long sum is cut into; a block adds up each.
SUM_CHUNKS = 3 if SIMULATED else 128

OLDEST_DRIVER = (12, 0)  # the oldest CUDA version that numba-cuda and its compiler libraries support


def problem():
    """Return what keeps this backend from running here, and the cure; None if nothing does."""
    if cuda is None:
        return (
            "the package numba-cuda is not installed; in tinycnn's folder, with Python 3.14 or older: "
            'pip install -e ".[cuda]"'
        )
    if SIMULATED:
        return None
    try:
        # The version comes first, because an old driver's errors from the rest are hard to understand.
        version = cuda.cudadrv.driver.driver.get_version()
        if version < OLDEST_DRIVER:
            return (
                f"the NVIDIA driver is too old: it knows CUDA {version[0]}.{version[1]}, and numba-cuda needs "
                f"{OLDEST_DRIVER[0]}.{OLDEST_DRIVER[1]} or newer; install a newer driver"
            )
        cuda.current_context()
    except Exception as error:  # numba-cuda has several kinds, for a missing driver, a missing card or a broken one
        reason = " ".join(str(error).split()) or type(error).__name__
        missing = (
            "the NVIDIA driver is missing; install it, or use another backend"
            if "driver library cannot be found" in reason
            else "no NVIDIA GPU can be used here; the command nvidia-smi shows the cards and the driver"
        )
        return f"{missing}. NUMBA_ENABLE_CUDASIM=1 runs the kernels in a simulator, for tests only ({reason})"
    return None


def kernel(function):
    """Compile a function that :func:`launch` starts, at its first launch and for the types of its arguments."""
    return function if cuda is None else cuda.jit(function)


def helper(function):
    """Compile a function that kernels call; it becomes a part of them. The simulator calls it as it is."""
    return function if SIMULATED or cuda is None else cuda.jit(device=True, forceinline=True)(function)


def block_helper(function):
    """Compile a :func:`helper` that asks for its thread's number, or waits for the other threads."""
    if cuda is None:
        return function
    return cuda.jit(device=True)(function) if SIMULATED else cuda.jit(device=True, forceinline=True)(function)


def launch(kernel, blocks, threads, *arguments):
    """Start ``blocks`` blocks of ``threads`` threads, and return at once.

    Of an array of this backend the kernel gets the memory, as a line of numbers; shapes are arguments of their own.

    Parameters
    ----------
    kernel : function
    blocks, threads : int or tuple of up to three ints
    *arguments
        The kernel's.
    """
    plain = [getattr(argument, "memory", argument) for argument in arguments]
    if SIMULATED:
        _simulate(kernel[blocks, threads], plain)
    else:
        kernel[blocks, threads, stream()](*plain)


def spread(kernel, count, *arguments):
    """Launch a kernel for ``count`` elements that do not depend on each other.

    The kernel gets ``count`` before its other arguments. Its loop is ``for i in range(cuda.grid(1), count,
    cuda.gridsize(1))``, so any number of threads will do.
    """
    if count:
        launch(kernel, min(-(-count // THREADS), MOST_BLOCKS), THREADS, count, *arguments)


_simulator_lock = threading.Lock()


class _SharedArrays(dict):
    """A block's shared arrays, by the line that asks for them, in the simulator.

    The simulator's threads look whether there is an array, and make it if not. Two that look at the same moment would
    make one each, and share nothing. Here the first makes it and the others wait.
    """

    def __init__(self):
        super().__init__()
        self._lock, self._begun = threading.Lock(), set()

    def get(self, line, default=None):
        """Return a line's array, or the default to the first thread that asks, which has to make it."""
        with self._lock:
            if line not in self._begun:
                self._begun.add(line)
                return default
        while line not in self:
            time.sleep(0)
        return self[line]


if SIMULATED and cuda is not None:
    from numba.cuda.simulator.kernelapi import FakeCUDAShared

    def _begin(shared, size, begin=FakeCUDAShared.__init__):
        """Begin a block's shared memory with :class:`_SharedArrays`."""
        begin(shared, size)
        shared._allocations = _SharedArrays()

    FakeCUDAShared.__init__ = _begin


def _simulate(configured, arguments):
    """Run one launch at a time in the simulator.

    Python's threads take turns often, because they wait for each other at every barrier. NumPy's numbers warn where a
    hash overflows on purpose; the card's do not.
    """
    with _simulator_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        interval = sys.getswitchinterval()
        sys.setswitchinterval(2e-5)
        try:
            configured(*arguments)
        finally:
            sys.setswitchinterval(interval)


@functools.cache
def stream():
    """Return the one stream of this process; from the default one, nothing could be recorded as a graph."""
    return cuda.stream()


def synchronize():
    """Wait until the card has done everything that was asked of it."""
    stream().synchronize()


# Memory ---------------------------------------------------------------------------------------------------------

#: How often numbers came back to the host, for tests: a training step should not do that.
transfers = {"to_host": 0}


class Block:
    """Memory on the card that goes back to the pool with its last user."""

    def __init__(self, count, dtype):
        self.key = (max(1, count), np.dtype(dtype).str)
        free = _pool.get(self.key)
        self.memory = free.pop() if free else _taken(self.key)

    def __del__(self):
        # When the interpreter ends, the pool may be gone before the last array.
        if _pool is not None and hasattr(self, "memory"):
            _pool.setdefault(self.key, []).append(self.memory)


#: Memory that nobody uses, by (count, dtype). Asking the card for memory makes it wait until all work is done, and a
#: step of training asks for the same sizes as the step before. All work goes to one stream, so what a block's last
#: user has started is done before the work of its next user.
_pool = {}


def _taken(key):
    """Take memory from the card; raise MemoryError with the sizes if it has not enough."""
    count, dtype = key
    try:
        return cuda.device_array(count, np.dtype(dtype))
    except Exception as error:
        _raise_other(error)
        release_unused()  # the memory that the pool holds in other sizes may be enough
    try:
        return cuda.device_array(count, np.dtype(dtype))
    except Exception as error:
        _raise_other(error)
        raise MemoryError(
            f"the card has no {count * np.dtype(dtype).itemsize:,} bytes left in one piece; {free_bytes():,} are free"
        ) from error


def _raise_other(error):
    """Raise an error again unless it tells of a lack of memory; numba-cuda has one kind for all errors."""
    if "OUT_OF_MEMORY" not in str(error):
        raise error


def release_unused():
    """Give the pool's memory back to the card."""
    synchronize()
    _pool.clear()


def free_bytes():
    """Return how much memory the card could still give, in bytes; infinity in the simulator."""
    unused = sum(np.dtype(dtype).itemsize * count * len(free) for (count, dtype), free in _pool.items())
    return cuda.current_context().get_memory_info().free + unused


def to_device(memory, values):
    """Copy a flat, contiguous NumPy array to memory of its length and dtype."""
    if values.size:
        memory[: values.size].copy_to_device(values, stream=stream())


def to_host(memory, count):
    """Return the first ``count`` numbers as a NumPy array; this waits for all work before it."""
    transfers["to_host"] += 1
    values = np.empty(count, memory.dtype)
    if count:
        memory[:count].copy_to_host(values, stream=stream())
        synchronize()
    return values
