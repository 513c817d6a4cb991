"""Compare networks and schedules for a speedrun, on images held out of the training set.

    python benchmarks/speedrun_choice.py --save

The last 10,000 training images are not trained on and take the place of the test set, which decides nothing here. Each
answer is trained with the same seeds, none of which is a seed of the published speedruns. The time is that of training
alone, in a process where everything is compiled; with all 60,000 images it takes a fifth longer.
"""

import argparse
import time
from functools import partial
from statistics import fmean
from typing import Any

import figures
import machine
import numba
import record

from tinycnn.cli._arguments import whole_number
from tinycnn.cli._data import load
from tinycnn.cli._results.running import hold_out
from tinycnn.cli._speedrun.plan import PLANS, Plan, quick, thorough

HELD_OUT = 10_000
FIRST_SEED = 100


def _quick(first: int, second: int, units: int, **changes: Any) -> Plan:
    """Return the plan for 99.0 % with another network, and with other changes."""
    return PLANS["99.0"]._replace(make_layers=partial(quick, first, second, units), **changes)


ANSWERS = {
    "99.0": {
        "8, 24, 64": _quick(8, 24, 64, batch_size=96),
        "8, 24, 64; batches of 64": _quick(8, 24, 64),
        "8, 24, 64; half the rate": _quick(8, 24, 64, batch_size=96, max_rate=0.01),
        "8, 16, 64; batches of 64": PLANS["99.0"],
        "8, 24, 128": _quick(8, 24, 128, batch_size=96),
        "8, 32, 128": _quick(8, 32, 128, batch_size=96),
        "8, 24, 128; one epoch": _quick(8, 24, 128, batch_size=96, epochs=1),
    },
    "99.4": {
        "16, 32, 128; seven epochs": PLANS["99.4"]._replace(make_layers=partial(thorough, 16, 32, 128), epochs=7),
        "24, 48, 128; six epochs": PLANS["99.4"],
        "16, 32, 128; five epochs": PLANS["99.4"]._replace(make_layers=partial(thorough, 16, 32, 128), epochs=5),
        "without the third convolution: 16, 48, 128; 8 epochs": PLANS["99.4"]._replace(
            make_layers=partial(quick, 16, 48, 128), epochs=8
        ),
    },
}


def measure(plan: Plan, data: Any, seeds: int) -> dict[str, list[float]]:
    """Train by a plan with some seeds, and return the seconds of training and the accuracy of each."""
    result: dict[str, list[float]] = {"seconds": [], "accuracy": []}
    warm = plan._replace(epochs=1).compiled(0, 10 * plan.batch_size)
    warm.fit(data.x_train[: 10 * plan.batch_size], data.y_train[: 10 * plan.batch_size], plan.batch_size, verbose=0)
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        model = plan.compiled(seed, len(data.x_train))
        started = time.perf_counter()
        model.fit(data.x_train, data.y_train, plan.batch_size, epochs=plan.epochs, verbose=0)
        result["seconds"].append(time.perf_counter() - started)
        result["accuracy"].append(model.evaluate(data.x_test, data.y_test, batch_size=1000, verbose=0)[1])
    return result


def tables(kept: dict[str, Any]) -> str:
    """Return a table of all answers."""
    rows = [
        (
            f"{target} %",
            answer,
            f"{min(found['seconds']):.1f} s",
            f"{100 * fmean(found['accuracy']):.2f} %",
            f"{100 * min(found['accuracy']):.2f} to {100 * max(found['accuracy']):.2f}",
            str(len(found["accuracy"])),
        )
        for target, answers in kept["results"].items()
        for answer, found in answers.items()
    ]
    header = ("for", "filters, filters, units", "fastest training", "mean accuracy, held out", "range", "runs")
    return figures.table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=whole_number(1), default=3, help="number of runs of each answer (default 3)")
    record.add_arguments(parser)
    arguments = parser.parse_args()
    numba.set_num_threads(arguments.threads)
    data = hold_out(load("mnist"), HELD_OUT)
    results: dict[str, Any] = {}
    for target, answers in ANSWERS.items():
        for answer, plan in answers.items():
            print(f"{target}: {answer} …", flush=True)
            results.setdefault(target, {})[answer] = measure(plan, data, arguments.seeds)
    record.report(record.new("speedrun_choice", arguments.threads, results), tables, arguments)


if __name__ == "__main__":
    machine.free_blas()
    main()
