"""The child process, in which one peer works while its parent measures the time.

The peer works without an end and calls :meth:`Clock.tick` after each step (a training step, or one prediction). The
method measures rounds and waits for the parent between them. So a peer's own loop, such as ``fit``, is timed while it
runs, and what it does once at its start is not. The parent and the child exchange one line of JSON each: the parent
says how many steps to do, and the child says how many seconds they took and how much memory the process has held at
most.
"""

import importlib
import json
import os
import sys
import time
from typing import TextIO


class Clock:
    """A clock that times rounds of steps, as many as standard input asks for."""

    def __init__(self, answers: TextIO, baseline: int) -> None:
        self._answers, self._baseline = answers, baseline
        self._left = 0
        self._started: float | None = None

    def tick(self) -> None:
        """Note that a step is done; raise SystemExit when the parent has no more rounds.

        The very first step only warms up.
        """
        self._left -= 1
        if self._left > 0:
            return
        now = time.perf_counter()
        answer: dict[str, float] = {"peak": peak_memory(), "baseline": self._baseline}
        if self._started is not None:
            answer["seconds"] = now - self._started
        print(json.dumps(answer), file=self._answers, flush=True)
        request = sys.stdin.readline()
        if not request:
            raise SystemExit
        self._left = int(request)
        self._started = time.perf_counter()


def peak_memory() -> int:
    """Return the most bytes that this process has held in memory, or 0 on Windows, which has no module for that."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(peer_name: str, job_text: str) -> None:
    # Libraries print messages, which must not come between the answers.
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
        # The answer is one line, for the table; the traceback goes to standard error as well.
        print(json.dumps({"failed": f"{type(error).__name__}: {error}"}), file=answers, flush=True)
        raise


if __name__ == "__main__":
    main(*sys.argv[1:])
