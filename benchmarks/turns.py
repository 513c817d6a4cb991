"""The parent process. It lets workers take turns, so that a drift in the machine's speed affects all of them alike."""

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Hashable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import machine
from peers import PEERS

#: The number of steps of a peer before anything is counted, after the very first step. Some peers compile again when
#: they see a second batch.
WARM_UP = 3
#: The number of seconds between two turns, in which nobody works. OpenMP's threads go on spinning for up to 0.2 s after
#: their work (``KMP_BLOCKTIME``), and would slow down the next worker.
PAUSE = 0.3

Key = TypeVar("Key", bound=Hashable)


class PeerError(RuntimeError):
    """Raised when a peer is not installed or cannot do the job; the message gives the reason in one line."""


class Worker:
    """One peer at one job, in a process of its own."""

    def __init__(self, peer: str, job: dict[str, Any]) -> None:
        missing = [name for name in PEERS[peer].imports if find_spec(name) is None]
        if missing:
            raise PeerError(f"{', '.join(missing)} not installed")
        self.peer, self.job = peer, job
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  (close() closes the file.)
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("worker.py")), peer, json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=machine.environment(job["threads"]),
        )

    def answer(self) -> dict[str, Any]:
        """Wait for the next line; raise PeerError if the process has ended or says that it failed."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"failed": self._last_words()}
        if "failed" in answer:
            raise PeerError(in_one_line(answer["failed"]))
        return answer

    def seconds(self, steps: int) -> float:
        """Return the seconds per step of a round of ``steps`` steps."""
        return self.round(steps)["seconds"] / steps

    def round(self, steps: int) -> dict[str, Any]:
        """Let the peer do ``steps`` steps.

        The answer contains ``seconds`` and, in bytes, ``peak`` and ``baseline`` (the peak after the imports).
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{steps}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # The answer, or its absence, says more.
        return self.answer()

    def close(self) -> None:
        """Let the process end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(timeout=30)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        return f"ended with code {code}" + (f": {lines[-1]}" if lines else "")


def in_one_line(reason: str, length: int = 160) -> str:
    """Return an error as a table can show it, without line breaks and without folders of the machine."""
    reason = re.sub(r"(?:/[\w.+-]+)+/", "", " ".join(reason.split()))
    return reason if len(reason) <= length else reason[: length - 1] + "…"


def take_turns(
    jobs: dict[Key, tuple[str, dict[str, Any]]], rounds: int, seconds: float
) -> tuple[dict[Key, list[float]], dict[Key, str]]:
    """Let workers work in turn.

    Parameters
    ----------
    jobs : dict of key to (peer, job)
        The peer and the job of each worker.
    rounds : int
        The number of turns of each worker.
    seconds : float
        The approximate length of a turn, which contains at least one step.

    Returns
    -------
    times : dict of key to list of float
        The seconds per step of each round.
    missing : dict of key to str
        The reasons why workers have no times.
    """
    times: dict[Key, list[float]] = {}
    missing: dict[Key, str] = {}
    workers: dict[Key, Worker] = {}
    steps: dict[Key, int] = {}
    try:
        for key, (peer, job) in jobs.items():
            try:
                workers[key] = Worker(peer, job)
                workers[key].answer()
                steps[key] = _steps(workers[key], seconds)
                times[key] = []
            except PeerError as error:
                missing[key] = str(error)
        for turn in range(rounds):
            # A different worker begins each time, so that no worker always follows the same neighbour.
            order = list(times)
            for key in order[turn % len(order) :] + order[: turn % len(order)]:
                time.sleep(PAUSE)
                workers[key].seconds(1)  # This step brings back into the caches what the others have displaced.
                times[key].append(workers[key].seconds(steps[key]))
    finally:
        for worker in workers.values():
            worker.close()
    return times, missing


def _steps(worker: Worker, seconds: float) -> int:
    """Return how many steps fill a turn.

    Measuring this also ends the warm-up, in which the processor raises its clock and a library chooses its algorithms.
    """
    worker.seconds(WARM_UP)
    started = time.perf_counter()
    durations: list[float] = []
    while not durations or time.perf_counter() - started < seconds / 2:
        durations.append(worker.seconds(1))
    return max(1, round(seconds / statistics.median(durations)))
