"""Measure whether scikit-learn's search for settings is faster with two processes than with one.

    python benchmarks/search.py
    python benchmarks/search.py --images 600 --epochs 1 --rounds 1

A short search and a longer one are measured, with 3 and with 12 epochs. Each trains ``ladder_09`` on drawn digits with
four learning rates, three folds each, and once more with the best. ``n_jobs=1`` trains one after the other on all
cores; ``n_jobs=2`` trains two at a time, each on half of them. In each round first the one and then the other is
measured. The first search with two processes also waits until they have been started; it is measured apart, and
scikit-learn keeps the processes for those that follow.
"""

import argparse
import statistics
import time
from typing import Any

import figures
import machine
import record
import targets

from tinycnn import datasets
from tinycnn.cli._arguments import whole_number
from tinycnn.core.types import Array

SETTINGS = {"learning_rate": [0.0003, 0.001, 0.003, 0.01]}
FOLDS = 3


def searched(x: Array, y: Array, epochs: int, jobs: int) -> tuple[float, list[float]]:
    """Return the seconds of a search, and its scores."""
    from sklearn.model_selection import GridSearchCV  # here, so that the tables can be made without scikit-learn

    from tinycnn.sklearn import CNNClassifier

    search = GridSearchCV(CNNClassifier("ladder_09", epochs=epochs, random_state=0), SETTINGS, cv=FOLDS, n_jobs=jobs)
    started = time.perf_counter()
    search.fit(x, y)
    return time.perf_counter() - started, search.cv_results_["mean_test_score"].tolist()


def measure(images: int, epochs: int, rounds: int) -> dict[str, Any]:
    """Measure the seconds of searches, round by round, and of the first one that starts its processes."""
    from joblib.externals.loky import get_reusable_executor

    (x, y), _ = datasets.digits.load_data()
    x, y = x[:images], y[:images]
    searched(x[:200], y[:200], 1, 1)  # loads the kernels
    first, scores = searched(x, y, epochs, 2)
    result: dict[str, Any] = {"images": images, "epochs": epochs, "first": first, "1": [], "2": []}
    for _ in range(rounds):
        for jobs in (1, 2):
            seconds, again = searched(x, y, epochs, jobs)
            if again != scores:
                raise AssertionError(f"n_jobs={jobs} has the scores {again}, and another search had {scores}")
            result[str(jobs)].append(seconds)
    get_reusable_executor().shutdown(wait=True)  # whose work does not count as that of others
    return result


def tables(kept: dict[str, Any]) -> str:
    """Return a table of the seconds of each search, and of the targets."""
    rows, checks = [], []
    for found in kept["results"]:
        one, two = (statistics.median(found[jobs]) for jobs in ("1", "2"))
        what = f"{found['images']:,} images, {found['epochs']} epochs"
        cold = one / found["first"]
        warm = figures.ratio(found["2"], found["1"])
        rows.append([what, f"{one:.1f} s", f"{two:.1f} s", str(warm), f"{found['first']:.1f} s", f"{cold:.2f}×"])
        checks.append(targets.Check(what, 1.0, 1.5, warm.value))
        checks.append(targets.Check(f"{what}, with the start of the processes", 1.0, 1.5, cold))
    header = ("search", "`n_jobs=1`", "`n_jobs=2`", "as fast", "with their start", "as fast")
    return figures.table(header, rows) + "\n\n" + targets.table(checks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--images", type=whole_number(1), default=6000, help="number of images to search on (default 6000)"
    )
    parser.add_argument(
        "--epochs", type=whole_number(1), nargs="+", default=[3, 12], help="epochs of a training (default 3 12)"
    )
    record.add_arguments(parser, rounds=3)
    arguments = parser.parse_args()
    machine.keep_to_first_cores(arguments.threads)
    results = [measure(arguments.images, epochs, arguments.rounds) for epochs in arguments.epochs]
    record.report(record.new("search", arguments.threads, results), tables, arguments)


if __name__ == "__main__":
    main()
