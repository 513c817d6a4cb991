"""Many steps, models, threads and processes. Each function is called in a process of its own."""

import gc
import hashlib
import multiprocessing
import queue
import statistics
import threading
import time
from typing import Any

import numpy as np
from helpers import pooling_network

import tinycnn
from tinycnn import Sequential
from tinycnn.callbacks import Callback


def network(seed: int = 1, size: int = 8) -> Sequential:
    """Return a small compiled model, with a layer of each kind that has memory of its own."""
    tinycnn.set_seed(seed)
    model = pooling_network(size)
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    return model


def data(n: int = 256, seed: int = 0, size: int = 8) -> tuple[Any, Any]:
    """Return random images and labels."""
    rng = np.random.default_rng(seed)
    return rng.random((n, size, size, 1), dtype=np.float32), rng.integers(0, 4, n)


def digest(model: Sequential) -> str:
    """Return a hash of all weights."""
    return hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    with open("/proc/self/statm", encoding="utf-8") as file:
        return int(file.read().split()[1]) * 4096


class Gauge(Callback):
    """Notes the memory and the mean time of a step, every ``every`` steps."""

    def __init__(self, every: int) -> None:
        self.every, self.memory, self.seconds = every, [], []
        self._steps, self._last = 0, time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        self._steps += 1
        if self._steps % self.every == 0:
            now = time.perf_counter()
            self.memory.append(resident())
            self.seconds.append((now - self._last) / self.every)
            self._last = now


def many_steps(steps: int) -> dict[str, Any]:
    """Run one fit; compare memory and speed in the last fifth of the steps with those in the second fifth."""
    gauge, x_y = Gauge(max(1, steps // 100)), data(512)
    epochs = steps // 32
    model = network()
    model.fit(*x_y, batch_size=16, epochs=epochs, validation_data=data(64, 1), callbacks=[gauge], verbose=0)
    early, late = slice(20, 40), slice(80, 100)
    return {
        "steps": model.optimizer.iterations,
        "memory_growth": statistics.median(gauge.memory[late]) / statistics.median(gauge.memory[early]) - 1,
        # The fastest times are compared, because other work on the machine makes steps slower but never faster.
        "slower": min(gauge.seconds[late]) / min(gauge.seconds[early]) - 1,
        "microseconds_a_step": round(1e6 * statistics.median(gauge.seconds)),
    }


def many_models(count: int) -> dict[str, Any]:
    """Build models, train each for a step and drop it; compare the memory at the end with that in the second fifth."""
    x, y = data(32)
    memory = []
    for number in range(count):
        model = network(number)
        model.fit(x, y, batch_size=32, verbose=0)
        model.predict(x)
        del model
        gc.collect()
        memory.append(resident())
    fifth = count // 5
    early, late = memory[fifth : 2 * fifth], memory[-fifth:]
    return {"models": count, "memory_growth": statistics.median(late) / statistics.median(early) - 1}


def several_threads(threads: int = 8, rounds: int = 20) -> dict[str, Any]:
    """Use one model from several threads while two other threads train; all results must be as if each ran alone."""
    model, batches = network(), [data(n) for n in (3, 40, 300, 7, 1, 256, 257, 64)][:threads]
    expected = [(model.predict(x), model.evaluate(x, y, verbose=0)) for x, y in batches]
    alone = [trained(seed) for seed in (1, 2)]
    wrong: list[str] = []

    def ask(batch: Any, answers: Any) -> None:
        for _ in range(rounds):
            if not np.array_equal(model.predict(batch[0]), answers[0]):
                wrong.append(f"predict {len(batch[0])}")
            if model.evaluate(*batch, verbose=0) != answers[1]:
                wrong.append(f"evaluate {len(batch[0])}")

    def train(seed: int, answer: str) -> None:
        if trained(seed) != answer:
            wrong.append(f"fit {seed}")

    workers = [threading.Thread(target=ask, args=pair) for pair in zip(batches, expected, strict=True)]
    workers += [threading.Thread(target=train, args=pair) for pair in zip((1, 2), alone, strict=True)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
    hung = sum(worker.is_alive() for worker in workers)
    return {"threads": len(workers), "wrong": wrong, "hung": hung}


def trained(seed: int) -> str:
    """Return the hash of the weights after a short fit."""
    model = network(seed)
    model.fit(*data(100, seed), batch_size=16, epochs=3, verbose=0)
    return digest(model)


def _in_child(seed: int, results: Any) -> None:
    try:
        results.put(trained(seed))
    except RuntimeError as error:
        results.put(str(error))


def child_processes() -> dict[str, str]:
    """Run a fit in a forked and in a spawned child of a process that has trained already.

    Threads do not survive a fork, so the forked child must get an error at once that says what to do.
    """
    expected, found = trained(1), {}
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        results = context.Queue()
        child = context.Process(target=_in_child, args=(1, results))
        child.start()
        try:
            answer = results.get(timeout=120)
        except queue.Empty:
            answer = f"nothing, exit code {child.exitcode}"
        found[method] = (
            "right" if answer == expected else "told to spawn" if "'spawn'" in answer else f"wrong: {answer}"
        )
        child.join(10)
        child.kill()
    return found
