"""Measure how tinycnn's speed depends on the batch size and on the number of threads.

    python benchmarks/scaling.py
    python benchmarks/scaling.py go_crazy --batches 1 8 64 --rounds 3

Every batch size, and every number of threads at the documented batch size, has a worker of its own; the workers take
turns.
"""

import argparse
import math
import statistics
from typing import Any

import figures
import machine
import record
import targets
from peers import OURS
from turns import PeerError, take_turns

from tinycnn import models
from tinycnn.cli._arguments import model_name, whole_number

BATCHES = (32, 64, 128, 256, 512, 1024)
#: The least number of images in memory, which is several of the largest batches.
IMAGES = 4096


def measure(network: str, batches: list[int], rounds: int, seconds: float, threads: int) -> dict[str, Any]:
    """Measure the seconds per image, round by round, by batch size and by number of threads."""
    documented = models.recipe(network).batch_size
    settings = {("batch", size): (size, threads) for size in batches}
    settings |= {("threads", count): (documented, count) for count in sorted({1, threads})}
    jobs = {key: (OURS, _job(network, size, count)) for key, (size, count) in settings.items()}
    times, missing = take_turns(jobs, rounds, seconds)
    if missing:
        raise PeerError("; ".join(missing.values()))
    result: dict[str, Any] = {"network": network, "documented": documented, "batch": {}, "threads": {}}
    for (kind, value), taken in times.items():
        result[kind][str(value)] = [second / settings[kind, value][0] for second in taken]
    return result


def _job(network: str, batch_size: int, threads: int) -> dict[str, Any]:
    batches = math.ceil(IMAGES / batch_size)
    return {"network": network, "batch_size": batch_size, "training": True, "threads": threads, "batches": batches}


def tables(kept: dict[str, Any]) -> str:
    """Return tables of the images per second by batch size and by threads, and of the targets."""
    result = kept["results"]
    batch, threads = speeds(result["batch"]), speeds(result["threads"])
    best = max(batch.values())
    rows = [(size, f"{rate:,.0f}", f"{rate / best:.2f}") for size, rate in batch.items()]
    text = figures.table((f"`{result['network']}`, batch", "images/s", "share of the best"), rows)
    rows = [(count, f"{rate:,.0f}", f"{rate / threads['1']:.2f}×") for count, rate in threads.items()]
    title = f"`{result['network']}`, batch {result['documented']}: threads"
    text += "\n\n" + figures.table((title, "images/s", "relative to one thread"), rows)
    return text + "\n\n" + targets.table(checks(result))


def speeds(times: dict[str, list[float]]) -> dict[str, float]:
    """Return the images per second, from medians."""
    return {key: 1 / statistics.median(taken) for key, taken in times.items()}


def checks(result: dict[str, Any]) -> list[targets.Check]:
    """Check the least share of the best batch size, and two threads against one."""
    batch, threads = speeds(result["batch"]), speeds(result["threads"])
    found = [
        targets.Check("slowest batch size, share of the best", 0.8, 0.8, min(batch.values()) / max(batch.values()), "")
    ]
    if "2" in threads:
        found.append(targets.Check("two threads against one", 1.75, 1.9, threads["2"] / threads["1"]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="?", type=model_name, default="mnist_cnn", help="a documented network")
    parser.add_argument("--batches", type=whole_number(1), nargs="+", default=BATCHES, help="batch sizes to measure")
    parser.add_argument(
        "--seconds", type=record.positive_number, default=1.0, help="approximate length of a round (default 1)"
    )
    record.add_arguments(parser, rounds=5)
    arguments = parser.parse_args()
    results = measure(arguments.network, arguments.batches, arguments.rounds, arguments.seconds, arguments.threads)
    record.report(record.new("scaling", arguments.threads, results), tables, arguments)


if __name__ == "__main__":
    machine.free_blas()
    main()
