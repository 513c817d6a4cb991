"""One process of a speedrun: it trains, tests, prints what came out, and ends.

python -m tinycnn.cli._speedrun.runner 99.0 0 2    # target, seed, threads
"""

import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

TRAINING_IMAGES = 60_000


def main(arguments: Sequence[str]) -> None:
    """Train by a plan with a seed and so many threads, and print the outcome as a line of JSON.

    Its ``seconds`` are those of the parts. They do not hold the start of Python, which only the process that started
    this one can measure.
    """
    marks = [time.perf_counter()]
    from ...core.printing import say
    from .._arguments import set_threads
    from .._data import load
    from .plan import PLANS

    plan, seed, threads = PLANS[arguments[0]], int(arguments[1]), int(arguments[2])
    set_threads(threads, "cpu")
    with ThreadPoolExecutor(1) as other_thread:  # unpacking leaves the interpreter free for imports
        unpacked = other_thread.submit(load, "mnist")
        model = plan.compiled(seed, TRAINING_IMAGES)
        marks.append(time.perf_counter())
        data = unpacked.result()
    marks.append(time.perf_counter())
    model.fit(data.x_train, data.y_train, batch_size=plan.batch_size, epochs=plan.epochs, verbose=0)
    marks.append(time.perf_counter())
    accuracy = model.evaluate(data.x_test, data.y_test, batch_size=1000, verbose=0)[1]
    marks.append(time.perf_counter())
    parts = ("imports", "images", "training", "test")
    seconds = {part: round(end - begin, 3) for part, begin, end in zip(parts, marks, marks[1:], strict=False)}
    say(json.dumps({"accuracy": accuracy, "seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1:])
