"""Measure how soon MNIST is recognized, from the start of a process, by tinycnn and by two others in the same way.

    python benchmarks/speedrun.py --save
    python benchmarks/speedrun.py 99.0:3       # to 99.0 %, three runs of each

Every run is a process: it starts Python, imports the framework, reads the images, trains the same network with the same
learning rates, and tests it. The watch stops when it tells its test accuracy. The frameworks take turns, seed by seed,
after a run of each to the first target that is not counted. The peers read arrays that are unpacked already; tinycnn
unpacks MNIST's own files as ``tinycnn speedrun`` does.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import figures
import machine
import numpy as np
import record
import targets
from networks import operations

from tinycnn.cli._speedrun import race
from tinycnn.cli._speedrun.plan import PLANS, Plan
from tinycnn.datasets import mnist

PEERS = Path(__file__).with_name("peers")
TITLES = {"tinycnn": "tinycnn", "torch": "PyTorch", "keras": "Keras on TensorFlow"}


def job(plan: Plan, threads: int, folder: Path) -> dict[str, Any]:
    """Return what a peer has to be told, and leave the images for it in a folder."""
    (x, y), (x_test, y_test) = mnist.load_data()
    for name, array in (("x", x), ("y", y), ("x_test", x_test), ("y_test", y_test)):
        np.save(folder / f"{name}.npy", array)
    layers = [
        {**asdict(operation), "channels": operation.channels, "padding": operation.padding}
        for operation in operations(plan.build(), softmax=False)
    ]
    schedule = plan.schedule(len(x))
    return {
        "operations": layers,
        "rates": [schedule(step) for step in range(plan.steps(len(x)))],
        "epochs": plan.epochs,
        "batch_size": plan.batch_size,
        "threads": threads,
        "folder": str(folder),
    }


def measure(target: str, seeds: int, threads: int, warm: bool) -> dict[str, Any]:
    """Run the race, after a run of each that is not counted if caches are not ``warm``, and return all runs."""
    laps: dict[str, list[dict[str, Any]]] = {name: [] for name in TITLES}
    environment = race.environment() | machine.environment(threads) | {"KERAS_BACKEND": "tensorflow"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "job.json"
        path.write_text(json.dumps(job(PLANS[target], threads, folder)), "utf-8")
        for seed in (*([] if warm else [None]), *range(seeds)):
            for framework in TITLES:
                script = (sys.executable, str(PEERS / f"speedrun_{framework}.py"), str(path), str(seed or 0))
                ours = (*race.OURS, target, str(seed or 0), str(threads))
                lap = race.lap(ours if framework == "tinycnn" else script, seed or 0, environment)
                if seed is not None:
                    laps[framework].append({key: value for key, value in lap._asdict().items() if key != "warnings"})
                    print(f"{target} %, {framework}, seed {seed}: {lap.seconds:.2f} s, {lap.accuracy:.4f}", flush=True)
    return {"target": target, "accuracy": PLANS[target].accuracy, "laps": laps}


def tables(kept: dict[str, Any]) -> str:
    """Return a table for each target, and one of the checks."""
    shown, checks = [], []
    for result in kept["results"]:
        means = {name: _mean(laps) for name, laps in result["laps"].items()}
        rows = [_row(name, laps, means, result["accuracy"]) for name, laps in result["laps"].items()]
        header = (f"to {result['target']} %", "mean", "range", "of which training", "times as long", "reached it")
        shown.append(figures.table(header, rows))
        if result["target"] == "99.0":
            checks.append(targets.Check("99.0 %, mean of the runs", 6, 6, means["tinycnn"], " s", at_most=True))
            for name in means.keys() - {"tinycnn"}:
                checks.append(targets.Check(f"99.0 %, {TITLES[name]}", 2.5, 2.5, means[name] / means["tinycnn"]))
    return "\n\n".join([*shown, *([targets.table(sorted(checks))] if checks else [])])


def _row(name: str, laps: list[dict[str, Any]], means: dict[str, float], accuracy: float) -> tuple[str, ...]:
    seconds = [lap["seconds"] for lap in laps]
    training = statistics.fmean(lap["parts"]["training"] for lap in laps)
    reached = sum(lap["accuracy"] >= accuracy for lap in laps)
    return (
        TITLES[name],
        f"{means[name]:.2f} s",
        f"{min(seconds):.2f} to {max(seconds):.2f}",
        f"{training:.2f} s",
        f"{means[name] / means['tinycnn']:.2f}×",
        f"{reached} of {len(laps)}",
    )


def _mean(laps: Iterable[dict[str, Any]]) -> float:
    return statistics.fmean(lap["seconds"] for lap in laps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "targets", nargs="*", default=["99.0:5", "99.4:3"], help="PERCENT:RUNS (default: 99.0:5 and 99.4:3)"
    )
    record.add_arguments(parser)
    arguments = parser.parse_args()
    wanted = [pair.split(":") for pair in arguments.targets]
    results = [
        measure(target, int(seeds), arguments.threads, warm=bool(number))
        for number, (target, seeds) in enumerate(wanted)
    ]
    record.report(record.new("speedrun", arguments.threads, results), tables, arguments)


if __name__ == "__main__":
    machine.free_blas()
    main()
