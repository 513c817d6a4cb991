"""Work out on paper how many cores a training step could use: from its launches, their chunks and their times.

    python benchmarks/chunks.py
    python benchmarks/chunks.py vanilla --rounds 3

A launch is cut into chunks by the shapes alone, whatever machine it runs on, and the cores take one chunk after
another. So a launch of c chunks that takes t seconds on one core takes at least ``t * ceil(c / T) / c`` on T cores, as
far as the cores do not wait for memory. Each launch of a recorded step is measured by itself, on one thread. What
Python does between launches, and launches of a single chunk, are the serial part.
"""

import argparse
import statistics
import time
from typing import Any

import figures
import machine
import numba
import record
from networks import PUBLISHED, Job

from tinycnn import models
from tinycnn.cli._arguments import model_name
from tinycnn.core.workspace import Workspace
from tinycnn.kernels.cpu.machine import parallel, program
from tinycnn.kernels.threads import one_blas_thread
from tinycnn.training import recorded
from tinycnn.training.batches import Batch
from tinycnn.training.running_means import RunningMeans
from tinycnn.training.stand_ins import Now
from tinycnn.training.step import train_step

CORES = (2, 8, 16)


def measure(network: str, rounds: int) -> dict[str, Any]:
    """Return for each launch of a training step its name, its chunks and its seconds on one thread."""
    job = Job(network, models.recipe(network).batch_size, True, 1, 1)
    x, y = job.data()
    model = job.model
    model.compile("adam", "sparse_categorical_crossentropy")
    batch = Batch(x, model.loss.check_targets(y, len(x), model.output_shape), None)
    now, ws = Now(0, 1, model, batch, RunningMeans(model)), Workspace()
    names: list[str] = []
    launch = parallel.parallel.launch

    def noted(self: Any, chunks: int, *arguments: Any, **named: Any) -> None:
        if named.get("behind") is None:
            names.append(self.function.__name__)
        launch(self, chunks, *arguments, **named)

    with one_blas_thread():
        for _ in range(2):
            train_step(model, model.plan, batch, RunningMeans(model), ws)
        parallel.parallel.launch = noted
        try:
            steps, _, _ = recorded.recorded_step(train_step, model, model.plan, now, ws)
        finally:
            parallel.parallel.launch = launch
        times = [_one_by_one(steps, now) for _ in range(rounds + 1)][1:]
    rows = [part for part in steps._parts if isinstance(part, program._Rows)]
    chunks = [int(count) for part in rows for count in part._rows[:, program.CHUNKS]]
    launches = [
        {"kernel": name, "chunks": count, "seconds": [parts[0][index] for parts in times]}
        for index, (name, count) in enumerate(zip(names, chunks, strict=True))
    ]
    return {"network": network, "batch": len(x), "launches": launches, "python": [python for _, python in times]}


def _one_by_one(steps: Any, now: Now) -> tuple[list[float], float]:
    """Run a program launch by launch; return the seconds of each, and those of Python in between."""
    launches, python = [], 0.0
    for part in steps._parts:
        if not isinstance(part, program._Rows):
            start = time.perf_counter()
            part(now)
            python += time.perf_counter() - start
            continue
        for place, function in part._renewed:
            place[0] = function(now)
        for index in range(len(part._rows)):
            row = part._rows[index : index + 1]
            start = time.perf_counter()
            program._run(1, row, part._counters, part._start)
            launches.append(time.perf_counter() - start)
    return launches, python


def bound(result: dict[str, Any], cores: int) -> tuple[float, float]:
    """Return how many times as fast as on one core a step can be at most, and the serial share of one on one core."""
    python = statistics.median(result["python"])
    alone = shared = serial = 0.0
    for launch in result["launches"]:
        seconds, chunks = statistics.median(launch["seconds"]), launch["chunks"]
        alone += seconds
        shared += seconds * -(-chunks // cores) / chunks
        serial += seconds * (chunks == 1)
    return (alone + python) / (shared + python), (serial + python) / (alone + python)


def tables(kept: dict[str, Any]) -> str:
    """Return a table of the serial shares, and of the most that so many cores can gain."""
    rows = []
    for result in kept["results"]:
        gains = [bound(result, cores)[0] for cores in CORES]
        name = f"{result['network']} ({result['batch']})"
        count = f"{len(result['launches'])}"
        rows.append([name, count, f"{bound(result, 1)[1]:.1%}", *(f"{gain:.1f}×" for gain in gains)])
    header = ("network (batch)", "launches", "serial", *(f"{cores} cores, at most" for cores in CORES))
    return figures.table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", type=model_name, default=PUBLISHED, help="documented networks")
    record.add_arguments(parser, rounds=9)
    arguments = parser.parse_args()
    numba.set_num_threads(1)
    results = [measure(network, arguments.rounds) for network in arguments.networks]
    record.report(record.new("chunks", 1, results), tables, arguments)


if __name__ == "__main__":
    machine.free_blas()
    main()
