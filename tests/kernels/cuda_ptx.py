"""Compile every cuda kernel for one architecture, without a card; ``test_cuda_ptx.py`` runs this in its own process.

    python tests/kernels/cuda_ptx.py 9.0

Kernels are called as usual, but on stand-ins for arrays of the card, and a launch compiles the kernel for the types of
its arguments instead of running it. The program prints, as JSON, which kernels were called and what the assembler says
about every function.
"""

import json
import re
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import cuda_cases
import numba
import numpy as np
from numba import cuda
from numba.cuda import dispatcher

from tinycnn.kernels import cuda as kernels
from tinycnn.kernels.cuda import _device
from tinycnn.kernels.cuda.steps import STEPS

ARCHITECTURE = tuple(map(int, sys.argv[1].split("."))) if len(sys.argv) > 1 else (9, 0)

found, called = {}, set()
current = ["", ""]


def assembler():
    """Return the path of ptxas, if possible that of the package nvidia-cuda-nvcc, or None if there is none."""
    import shutil

    for folder in map(Path, sys.path):
        for path in sorted(folder.glob("nvidia/*/bin/ptxas")):
            return str(path)
    return shutil.which("ptxas")


PTXAS = assembler()


def compile_instead(function, blocks, threads, *arguments):
    """Compile a kernel instead of launching it; this takes the place of ``_device.launch``."""
    plain = [getattr(argument, "memory", argument) for argument in arguments]
    signature = tuple(numba.typeof(argument) for argument in plain)
    key = function.py_func.__qualname__, function.py_func.__module__, id(function), signature
    if key in found:
        return
    ptx, _ = cuda.compile_ptx(function.py_func, signature, cc=ARCHITECTURE)
    found[key] = {
        "kernel": current[0],
        "dtype": current[1],
        "function": function.py_func.__qualname__,
        "module": function.py_func.__module__.rpartition(".")[2],
        "ptx": len(ptx),
        "float64": bool(re.search(r"\b(fma|mul|add|div)\.(rn\.)?f64", ptx)),
    } | resources(ptx)


def resources(ptx):
    """Return registers, bytes of shared memory, and bytes of spills from the assembler's report."""
    if PTXAS is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "kernel.ptx")
        source.write_text(ptx, encoding="utf-8")
        command = [PTXAS, "-v", f"-arch=sm_{ARCHITECTURE[0]}{ARCHITECTURE[1]}", source, "-o", Path(folder, "kernel")]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stderr

    def number(pattern):
        return sum(map(int, re.findall(pattern, report)))

    return {
        "registers": number(r"Used (\d+) registers"),
        "shared": number(r"(\d+) bytes smem"),
        "stack": number(r"(\d+) bytes stack frame"),
        "spills": number(r"(\d+) bytes spill stores"),
    }


class StandIn:
    """Memory of the host that takes the place of ``_device.Block``."""

    def __init__(self, count, dtype):
        self.memory = np.zeros(max(1, count), dtype)


def main():
    """Call every kernel once for each dtype, and print the report."""
    dispatcher.get_current_device = lambda: types.SimpleNamespace(compute_capability=ARCHITECTURE)
    _device.launch = compile_instead
    _device.Block = StandIn
    _device.to_device = lambda memory, values: memory.__setitem__(slice(0, values.size), values)
    _device.to_host = lambda memory, count: memory[:count].copy()
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("tinycnn.kernels.cuda.") and hasattr(module, "launch"):
            module.launch = compile_instead
    for dtype in (np.float32, np.float64):
        for name, cases in cuda_cases.arguments().items():
            current[:] = name, np.dtype(dtype).name
            for values in cases:
                called.add(name)
                getattr(kernels, name)(*cuda_cases.converted(values, dtype, kernels.upload))
        for width in (20, 40):  # the tiles that small cases do not need
            x, w = (
                kernels.upload(np.zeros((2, 4, 4, width), dtype)),
                kernels.upload(np.zeros((3, 3, width, width), dtype)),
            )
            geometry = (1, 1), (1, 1, 1, 1), (1, 1), 1
            for name, values in {
                "conv2d_forward": (x, w, None),
                "conv2d_backward_input": (x, w, (4, 4)),
                "conv2d_backward_weights": (x, x, (3, 3)),
            }.items():
                current[:] = name, np.dtype(dtype).name
                getattr(kernels, name)(*values, *geometry)
        for name, step in STEPS.items():
            current[:] = f"step {name}", np.dtype(dtype).name
            x, w, y = (kernels.upload(np.zeros(shape, dtype)) for shape in ((2, 4, 4, 3), (3, 3, 3, 5), (2, 4, 4, 5)))
            step.forward(x, w, (1, 1, 1, 1), y)
    print(json.dumps({"called": sorted(called), "compiled": list(found.values())}))


if __name__ == "__main__":
    main()
