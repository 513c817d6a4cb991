"""Train a documented network with tinycnn and with the frameworks a user would pick instead, side by side.

    python benchmarks/compare.py                     # mnist_cnn
    python benchmarks/compare.py ladder_09 go_crazy --rounds 9 --json out.json

Each peer runs in a process of its own with the same number of threads; the parent lets them work in turn, one round
each, so that a machine whose speed drifts slows all of them alike. A round is a few whole training steps (forward,
loss, backward, Adam) on images that lie ready in memory. Warm-up rounds, compilation included, are not counted. Every
round gives the ratio of its own times; quoted is the median of the ratios. A peer that is not installed is named.
"""

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

import peers


class Worker:
    """One peer in a process of its own."""

    def __init__(self, peer: str, model: str, batch_size: int, threads: int) -> None:
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(variables, str(threads))}
        command = [sys.executable, str(Path(peers.__file__)), peer, model, str(batch_size), str(threads)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def seconds(self, steps: int) -> float:
        """Train ``steps`` steps; seconds per step."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"a worker ended with code {self._process.wait()}")
        return float(answer) / steps

    def close(self) -> None:
        """Let the process end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def compare(model: str, names: list[str], rounds: int, steps: int, threads: int) -> dict[str, object]:
    """Seconds per step of each peer, round by round."""
    from tinycnn import models

    batch_size = models.recipe(model).batch_size
    workers = {name: Worker(name, model, batch_size, threads) for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    try:
        for worker in workers.values():
            worker.seconds(2)
        for turn in range(rounds):
            # Another one begins each time, so that none always follows the same neighbour.
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                times[name].append(workers[name].seconds(steps))
    finally:
        for worker in workers.values():
            worker.close()
    return {"model": model, "batch_size": batch_size, "seconds_per_step": times}


def table(result: dict) -> str:
    """Images per second (median), and tinycnn's ratio to each peer with its spread."""
    times, batch_size = result["seconds_per_step"], result["batch_size"]
    lines = [f"{result['model']}, batch {batch_size}", f"{'':22}{'images/s':>10}   tinycnn is faster by"]
    for name, seconds in times.items():
        rate = batch_size / statistics.median(seconds)
        line = f"{peers.PEERS[name].title:22}{rate:>10,.0f}"
        if name != "tinycnn":
            ratios = sorted(theirs / ours for ours, theirs in zip(times["tinycnn"], seconds, strict=True))
            line += f"   {statistics.median(ratios):.2f}× ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        lines.append(line)
    return "\n".join(lines)


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    packages = {name: version(name) for name in ("numpy", "numba", "torch") if importlib.util.find_spec(name)}
    return {"cpu": cpu, "cores": str(os.cpu_count()), "python": platform.python_version(), **packages}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["mnist_cnn"], help="documented networks")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=4, help="training steps in a round")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    installed = [name for name, peer in peers.PEERS.items() if importlib.util.find_spec(peer.package)]
    for name in peers.PEERS.keys() - set(installed):
        print(f"{peers.PEERS[name].title} is left out: {peers.PEERS[name].package} is not installed")
    record = {
        "date": date.today().isoformat(),
        "command": "python benchmarks/" + " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "machine": machine(),
        "threads": arguments.threads,
        "results": [],
    }
    print(f"{record['date']}, {record['machine']}, {arguments.threads} threads\n")
    for model in arguments.models:
        result = compare(model, installed, arguments.rounds, arguments.steps, arguments.threads)
        record["results"].append(result)
        print(table(result) + "\n", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
