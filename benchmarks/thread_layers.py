"""Measure what a launch costs on each of Numba's kinds of threads, alone and within a recorded program.

    python benchmarks/thread_layers.py
    python benchmarks/thread_layers.py --rounds 3 --save

A launch of as little work as wakes the other threads is called by itself, and written down so many times in a program
(which is what a training step is). Each kind of threads has processes of its own, because a process has one kind; the
kinds take turns. The kind "tbb" needs ``pip install tbb``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import figures
import machine
import numpy as np
import record

from tinycnn.kernels import cpu
from tinycnn.kernels.cpu.fused import Program
from tinycnn.kernels.cpu.machine.jit import LITTLE

LAYERS = ("omp", "tbb", "workqueue")
#: How many launches the shorter and the longer program have: the difference is the price of a launch in a program.
FEW, MANY = 1, 101


def environment(layer: str, threads: int) -> dict[str, str]:
    """Return the environment of a process that uses a kind of threads; pip puts TBB where no loader looks for it."""
    places = [str(Path(sys.prefix, "lib")), os.environ.get("LD_LIBRARY_PATH", "")]
    return machine.environment(threads) | {
        "NUMBA_THREADING_LAYER": layer,
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, places)),
    }


def work(seconds: float) -> None:
    """Print, as JSON, the seconds of a launch by itself and of two programs; this is a process of its own."""
    x = np.ones(LITTLE, np.float32)
    y = np.empty_like(x)
    now = SimpleNamespace(step=0)

    def program(launches: int) -> Program:
        made = Program()
        with made.recording(now):
            for _ in range(launches):
                cpu.relu_forward(x, out=y)
        return made

    short, long = program(FEW), program(MANY)
    calls = {
        "launch": lambda: cpu.relu_forward(x, out=y),
        "few": lambda: short.run(now),
        "many": lambda: long.run(now),
    }
    print(json.dumps({name: _per_call(call, seconds) for name, call in calls.items()}))


def _per_call(call: Any, seconds: float) -> float:
    """Return the seconds of a call, as a mean over as many as fit into a time."""
    for _ in range(10):
        call()
    count, start = 0, time.perf_counter()
    while (now := time.perf_counter()) < start + seconds:
        for _ in range(10):
            call()
        count += 10
    return (now - start) / count


def measure(layers: list[str], rounds: int, threads: int, seconds: float) -> list[dict[str, Any]]:
    """Return for each kind of threads the seconds in each round, or why there are none."""
    results: dict[str, dict[str, Any]] = {layer: {"layer": layer, "rounds": []} for layer in layers}
    for _ in range(rounds):
        for layer in layers:
            done = subprocess.run(
                [sys.executable, __file__, "--work", str(seconds)],
                env=environment(layer, threads) | {"PYTHONPATH": os.pathsep.join(sys.path)},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                results[layer]["missing"] = done.stderr.strip().splitlines()[-1]
            else:
                results[layer]["rounds"].append(json.loads(done.stdout))
    return list(results.values())


def tables(kept: dict[str, Any]) -> str:
    """Return a table in microseconds: medians over the rounds."""
    rows, missing = [], []
    for result in kept["results"]:
        if not result["rounds"]:
            missing.append(f"- {result['layer']}: {result['missing']}")
            continue

        def median(name: str, result: dict[str, Any] = result) -> float:
            return 1e6 * statistics.median(found[name] for found in result["rounds"])

        launch = (median("many") - median("few")) / (MANY - FEW)
        rows.append([result["layer"], *(f"{value:.1f} µs" for value in (median("launch"), median("few"), launch))])
    header = ("threads", "a launch by itself", "a program of one launch", "each further launch of it")
    return "\n".join([figures.table(header, rows), *(["", "Not measured:", "", *missing] if missing else [])])


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        work(float(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", nargs="+", choices=LAYERS, default=LAYERS, help="kinds of threads (default: all)")
    parser.add_argument(
        "--seconds", type=record.positive_number, default=1.0, help="seconds of each measurement (default 1)"
    )
    record.add_arguments(parser, rounds=9)
    arguments = parser.parse_args()
    results = measure(list(arguments.layers), arguments.rounds, arguments.threads, arguments.seconds)
    record.report(record.new("thread_layers", arguments.threads, results), tables, arguments)


if __name__ == "__main__":
    machine.free_blas()
    main()
