"""The child's side: one peer in a process of its own, working under the clock of its parent.

The peer works on and on, and calls :meth:`Clock.tick` after each step (a training step, or one prediction). Tick
measures rounds and waits for the parent in between, so that a peer's own loop, such as ``fit``, is timed while it runs
and what it does once at its start is not. The conversation is a line of JSON each way: the parent says how many steps,
the child how many seconds they took and how much memory the process has held at most.
"""

import importlib
import json
import os
import resource
import sys
import time
from typing import TextIO


class Clock:
    """Times rounds of steps, as many as standard input asks for."""

    def __init__(self, answers: TextIO, baseline: int) -> None:
        self._answers, self._baseline = answers, baseline
        self._left = 0
        self._started: float | None = None

    def tick(self) -> None:
        """A step is done. The first one ever only warms up; SystemExit when the parent has no more rounds."""
        self._left -= 1
        if self._left > 0:
            return
        now = time.perf_counter()
        answer = {"peak": peak_memory(), "baseline": self._baseline}
        if self._started is not None:
            answer["seconds"] = now - self._started
        print(json.dumps(answer), file=self._answers, flush=True)
        request = sys.stdin.readline()
        if not request:
            raise SystemExit
        self._left = int(request)
        self._started = time.perf_counter()


def peak_memory() -> int:
    """Bytes that this process has held in memory at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(peer_name: str, job_text: str) -> None:
    # Libraries print; what they say must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    import machine

    settings = json.loads(job_text)
    machine.keep_to_first_cores(settings["threads"])

    from peers import PEERS

    peer = PEERS[peer_name]
    os.environ.update(peer.environment)
    for package in peer.imports:
        importlib.import_module(package)
    baseline = peak_memory()

    from networks import Job

    try:
        peer.run(Job(**settings), Clock(answers, baseline).tick)
    except Exception as error:
        # One line, for the table: the traceback goes to standard error as well.
        print(json.dumps({"failed": f"{type(error).__name__}: {error}"}), file=answers, flush=True)
        raise


if __name__ == "__main__":
    main(*sys.argv[1:])
