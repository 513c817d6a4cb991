"""Measure how long a start takes: the import, and a process from its start to the end of its first training step.

    python benchmarks/startup.py
    python benchmarks/startup.py go_crazy --rounds 3 --save

The process is measured twice: with compiled kernels in the cache folder, and with an empty cache folder, as on the
first run after an installation. All files are in the operating system's cache, because a first process, which is not
counted, has read them.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import figures
import machine
import record
import targets

from tinycnn.cli._arguments import model_name, whole_number

IMPORT = "import time; t = time.perf_counter(); import tinycnn; print(time.perf_counter() - t)"
FIRST_STEP = """
import sys
import numpy as np
import tinycnn
from tinycnn import models
name = sys.argv[1]
batch_size = models.recipe(name).batch_size
model = models.build(name)
model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
rng = np.random.default_rng(0)
x = rng.random((batch_size, *model.input_shape), np.float32)
model.fit(x, rng.integers(0, 10, batch_size), batch_size, verbose=0)
print("done", flush=True)
"""


def measure(networks: list[str], rounds: int, first_runs: int, threads: int) -> dict[str, Any]:
    """Measure the seconds of every run, in turn: the import, and starts of each network with warm and empty caches."""
    environment = machine.environment(threads)
    for network in networks:
        _process(FIRST_STEP, network, environment)
    result: dict[str, Any] = {"import": [], "warm": {name: [] for name in networks}, "first": {}}
    for _ in range(rounds):
        result["import"].append(float(_process(IMPORT, "", environment)[1]))
        for network in networks:
            result["warm"][network].append(_process(FIRST_STEP, network, environment)[0])
    for network in networks if first_runs else ():
        result["first"][network] = [_first_run(network, environment) for _ in range(first_runs)]
    return result


def _process(program: str, argument: str, environment: dict[str, str]) -> tuple[float, str]:
    """Run a program, and return the seconds from its start to the line that it prints, and that line."""
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", program, argument], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - started
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return seconds, line


def _first_run(network: str, environment: dict[str, str]) -> float:
    with tempfile.TemporaryDirectory() as empty:
        os.chmod(empty, 0o700)
        return _process(FIRST_STEP, network, environment | {"NUMBA_CACHE_DIR": empty})[0]


def tables(kept: dict[str, Any]) -> str:
    """Return tables of the medians and ranges in seconds, and of the targets."""
    results = kept["results"]
    rows = [("`import tinycnn`", *_row(results["import"]))]
    for name, times in results["warm"].items():
        rows.append((f"start to the end of the first step, `{name}`", *_row(times)))
    for name, times in results["first"].items():
        rows.append((f"the same on the first run after installation, `{name}`", *_row(times)))
    return figures.table(("", "median", "range", "runs"), rows) + "\n\n" + targets.table(checks(results))


def _row(times: list[float]) -> tuple[str, str, str]:
    return f"{statistics.median(times):.2f} s", f"{min(times):.2f} to {max(times):.2f}", str(len(times))


def checks(results: dict[str, Any]) -> list[targets.Check]:
    """Check the targets for the network that is slowest to start."""
    found = [targets.Check("import", 0.6, 0.6, statistics.median(results["import"]), " s", at_most=True)]
    starts = (
        ("warm", "start to the first step, with warm caches", 1.5, 1.2),
        ("first", "the same on the very first run", 15, 10),
    )
    for kind, what, must, aim in starts:
        medians = [statistics.median(times) for times in results[kind].values()]
        if medians:
            found.append(targets.Check(what, must, aim, max(medians), " s", at_most=True))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "networks", nargs="*", type=model_name, default=["mnist_cnn", "fashion_improved"], help="documented networks"
    )
    parser.add_argument(
        "--first-runs", type=whole_number(0), default=3, help="number of runs with empty caches (default 3)"
    )
    record.add_arguments(parser, rounds=5)
    arguments = parser.parse_args()
    results = measure(arguments.networks, arguments.rounds, arguments.first_runs, arguments.threads)
    record.report(record.new("startup", arguments.threads, results), tables, arguments)


if __name__ == "__main__":
    machine.free_blas()
    main()
