"""Measure how much longer a training step takes while another training runs on the same cores.

    python benchmarks/together.py
    python benchmarks/together.py vanilla --rounds 3

Two processes train the same network, in each round first one of them alone, and then both at once.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any

import figures
import machine
import record
import targets
from networks import Job

from tinycnn import callbacks, models
from tinycnn.cli._arguments import model_name

NETWORKS = ("vanilla", "mnist_cnn", "fashion_improved")
ENDLESS = 10**9


class Training:
    """A process that trains when it is asked to."""

    def __init__(self, network: str, threads: int) -> None:
        command = [sys.executable, __file__, network, "--threads", str(threads), "--child"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer()  # when the first steps are done

    def ask(self, seconds: float) -> None:
        """Let it train for some time."""
        assert self._process.stdin is not None
        print(seconds, file=self._process.stdin, flush=True)

    def answer(self) -> float:
        """Return how many seconds each of its steps took."""
        assert self._process.stdout is not None
        return float(json.loads(self._process.stdout.readline()))

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def train(network: str, threads: int) -> None:
    """Train without an end; between two requests wait for standard input."""
    job = Job(network, models.recipe(network).batch_size, True, threads, 16)
    x, y = job.data()
    started, until, steps = time.perf_counter(), 0.0, -5  # five steps to warm up

    def after_step(batch: int, logs: Any) -> None:
        nonlocal started, until, steps
        steps += 1
        now = time.perf_counter()
        if steps > 0 and now >= until:
            print(json.dumps((now - started) / steps), flush=True)
            request = sys.stdin.readline()
            if not request:
                raise SystemExit
            started, steps = time.perf_counter(), 0
            until = started + float(request)

    job.model.compile("adam", "sparse_categorical_crossentropy")
    clock = callbacks.LambdaCallback(on_train_batch_end=after_step)
    job.model.fit(x, y, job.batch_size, epochs=ENDLESS, verbose=0, callbacks=[clock], shuffle=False)


def measure(network: str, rounds: int, seconds: float, threads: int) -> dict[str, Any]:
    """Measure the seconds per step, round by round, of one training alone and of each of two at once."""
    trainings: list[Training] = []
    alone, together = [], []
    try:
        trainings += [Training(network, threads), Training(network, threads)]
        for _ in range(rounds):
            trainings[0].ask(seconds)
            alone.append(trainings[0].answer())
            for training in trainings:
                training.ask(seconds)
            together.append(statistics.mean(training.answer() for training in trainings))
    finally:
        for training in trainings:
            training.stop()
    return {"network": network, "alone": alone, "together": together}


def tables(kept: dict[str, Any]) -> str:
    """Return a table of the milliseconds of a step, and of the targets."""
    rows, checks = [], []
    for result in kept["results"]:
        found = figures.ratio(result["alone"], result["together"])
        times = [f"{1e3 * statistics.median(result[key]):.2f} ms" for key in ("alone", "together")]
        rows.append([result["network"], *times, str(found)])
        checks.append(targets.Check(result["network"], 2.4, 2.1, found.value, at_most=True))
    header = ("network", "a step alone", "of two at once", "as long")
    return figures.table(header, rows) + "\n\n" + targets.table(checks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "networks",
        nargs="*",
        type=model_name,
        help="documented networks (default: vanilla, mnist_cnn, fashion_improved)",
    )
    parser.add_argument(
        "--seconds", type=record.positive_number, default=3.0, help="length of a measurement (default 3)"
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    record.add_arguments(parser, rounds=5)
    arguments = parser.parse_args()
    if arguments.child:
        machine.keep_to_first_cores(arguments.threads)
        train(arguments.networks[0], arguments.threads)
    results = []
    for network in arguments.networks or NETWORKS:
        print(f"{network} …", flush=True)
        results.append(measure(network, arguments.rounds, arguments.seconds, arguments.threads))
    record.report(record.new("together", arguments.threads, results), tables, arguments)


if __name__ == "__main__":
    machine.free_blas()
    main()
