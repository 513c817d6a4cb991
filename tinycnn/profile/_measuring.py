"""Measure training steps, part by part."""

import copy
import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..core.checks import boolean, integer
from ..core.types import Array
from ..core.workspace import Workspace
from ..kernels.threads import one_blas_thread, thread_count
from ..layers.looking import layers_kept
from ..losses import SparseCategoricalCrossentropy
from ..network.final_activation import layer_of
from ..network.lanes import IntoLanes, OutOfLanes
from ..network.plan import parts_of
from ..sequential import Sequential
from ..training import recorded
from ..training.batches import Batch
from ..training.running_means import RunningMeans
from ..training.stand_ins import Now
from ..training.step import train_step
from ._entry import Entry, Pass
from ._result import Profile
from ._work import work

#: The training steps before the first that counts: in these the kernels are compiled and the memory is allocated.
WARM_UP = 3
#: The length of the rows and columns of the product that shows what the machine can do.
LARGE = 1024

#: What ran, and when it began and ended, in the order in which it ran.
Record = list[tuple[Any, float, float]]


def profile(model: Sequential, batch_size: int = 128, repeats: int = 20, *, fuse: bool = True) -> Profile:
    """Measure where the time of a training step goes, on random images and targets.

    Every repeat runs two training steps: one that reads the clock between its parts, so that each part finds the
    caches as in training, and one that does not. If ``fit`` would run the step as a program, both are programs.
    Afterwards the model, its optimizer and its loss are as they were before.

    Parameters
    ----------
    model : Sequential
        It must be built and compiled, and have something to train.
    batch_size : int
    repeats : int
        How often to measure, after two steps that are not measured. The results are the medians.
    fuse : bool
        As in :meth:`Sequential.fit`; False measures every layer by itself.

    Returns
    -------
    Profile

    Raises
    ------
    RuntimeError
        If the model is not built or not compiled.
    TypeError, ValueError
        If another argument is not valid, or no layer of the model is trained.
    """
    if not isinstance(model, Sequential):
        raise TypeError(f"model must be a Sequential; got {type(model).__name__}")
    batch_size, repeats = integer(batch_size, "batch_size"), integer(repeats, "repeats")
    fuse = boolean(fuse, "fuse")
    model.need_build()
    batch = _random_batch(model, batch_size)
    plan = model.plan if fuse else model.chain
    if not any(parameter.trainable for parameter in model.parameters().values()):
        raise ValueError(
            f"model must have something to train; every layer of {model.name} is frozen or has no weights. "
            "Set trainable=True on a layer with weights"
        )
    with _state_kept(model), one_blas_thread():
        records, wholes = _measure(model, plan, batch, repeats, fuse)
        limit = _limit(model)
    rounds = [_durations(record) for record in records]
    seconds = {key: statistics.median(durations[key] for durations in rounds) for key in rounds[0]}
    return Profile(
        title=_title(model, batch_size, fuse),
        batch_size=batch_size,
        entries=tuple(_entries(plan, seconds, batch_size)),
        loss=seconds["loss"],
        optimizer=seconds["optimizer"],
        step=statistics.median(wholes),
        limit=limit,
    )


def _limit(model: Sequential) -> float:
    """Return the GFLOP/s of a product of two large matrices, the best of a few; NaN on a device."""
    if model.backend.on_device:
        return math.nan
    a, b = np.random.default_rng(0).random((2, LARGE, LARGE)).astype(model.dtype)
    times = []
    for _ in range(6):  # the first one may have to compile, and threads may have to wake
        start = time.perf_counter()
        model.backend.kernels.dense_forward(a, b, None)
        times.append(time.perf_counter() - start)
    return 2 * LARGE**3 / min(times) / 1e9


class _Timed:
    """A step of the plan around whose forward and backward passes the clock is read.

    Parameters
    ----------
    step : Any
    index : int
    read : callable
        It is given a key before each pass, and the same key after it.
    """

    def __init__(self, step: Any, index: int, read: Callable[[Any], None]) -> None:
        self._step, self._index, self._read = step, index, read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._step, name)

    def forward(self, *arguments: Any, **named: Any) -> Any:
        return self._run("forward", self._step.forward, arguments, named)

    def backward(self, *arguments: Any, **named: Any) -> Any:
        return self._run("backward", self._step.backward, arguments, named)

    def backward_parameters(self, *arguments: Any, **named: Any) -> None:
        self._run("backward", self._step.backward_parameters, arguments, named)

    def _run(self, direction: str, function: Any, arguments: Any, named: Any) -> Any:
        self._read((direction, self._index))
        result = function(*arguments, **named)
        self._read((direction, self._index))
        return result


class _Clock:
    """What was read during a step, in order: a key and the time."""

    def __init__(self) -> None:
        self.readings: list[tuple[Any, float]] = []

    def read(self, key: Any) -> None:
        """Read the clock."""
        self.readings.append((key, time.perf_counter()))

    def in_program(self, step: Any, index: int, program: Any) -> _Timed:
        """Return a timed step that reads the clock at its places of a program."""
        return _Timed(step, index, lambda key: program.call(lambda now: self.read(key)))

    def record(self) -> Record:
        """Return when each pass began and ended, and forget it."""
        pairs = zip(self.readings[:-1:2], self.readings[1::2], strict=True)
        record = [(key, start, end) for (key, start), (_, end) in pairs]
        last = self.readings[-1]
        self.readings = []
        return [*record, (*last, last[1])]


def _measure(
    model: Sequential, plan: list[Any], batch: Batch, repeats: int, fuse: bool
) -> tuple[list[Record], list[float]]:
    """Return a record of each step that was measured in parts, and the seconds of each that was measured as a whole."""
    clock, ws, records, wholes = _Clock(), Workspace(), [], []
    timed = [_Timed(step, index, clock.read) for index, step in enumerate(plan)]
    recording = fuse and recorded.can_record(model)
    program = None
    for number in range(WARM_UP + repeats):
        clock.readings = []
        iterations = model.optimizer.iterations
        now = Now(iterations, iterations + 1, model, batch, RunningMeans(model))
        if program is not None:
            program.run(now)
        elif recording and number == WARM_UP - 1:  # all memory has been made
            program, _, _ = recorded.recorded_step(train_step, model, plan, now, ws, clock.in_program)
            program = None if program.refusal else program
        else:
            train_step(model, timed, batch, RunningMeans(model), ws)
        clock.read("end")
        whole = _one_step(model, plan, batch, ws, recording)
        if number >= WARM_UP:
            records.append(clock.record())
            wholes.append(whole)
    return records, wholes


def _one_step(model: Sequential, plan: list[Any], batch: Batch, ws: Workspace, recording: bool) -> float:
    """Run a training step as ``fit`` does and return how many seconds it took."""
    what = model, plan, batch, RunningMeans(model), ws
    start = time.perf_counter()
    if recording:
        recorded.take_step(train_step, *what)
    else:
        train_step(*what)
    return time.perf_counter() - start


def _durations(record: Record) -> dict[Any, float]:
    """Return the seconds of every pass, of the loss and of the optimizer.

    The loss runs between the last forward and the first backward pass, the optimizer after the last backward pass.
    """
    seconds = {key: end - start for key, start, end in record[:-1]}
    turn = next(index for index, (key, _, _) in enumerate(record) if key[0] == "backward")
    seconds["loss"] = record[turn][1] - record[turn - 1][2]
    seconds["optimizer"] = record[-1][1] - record[-2][2]
    return seconds


@contextmanager
def _state_kept(model: Sequential) -> Iterator[None]:
    """Undo, at the end of the block, what training in it did to the model."""
    weights, optimizer = model.get_weights(), model.optimizer
    # The copy of the optimizer keeps its own slots, but refers to the very same parameters.
    model.optimizer = copy.deepcopy(optimizer, {id(parameter): parameter for parameter in model.parameters().values()})
    try:
        with layers_kept(model.layers, *model.losses_used(), gradients=True):
            yield
    finally:
        model.optimizer = optimizer
        model.set_weights(weights)


def _random_batch(model: Sequential, n: int) -> Batch:
    """Return images in [0, 1), and targets of the kind that the loss takes."""
    rng = np.random.default_rng(0)
    x = rng.random((n, *model.input_shape)).astype(model.dtype)
    model._ready(x)
    y: Array
    if isinstance(model.loss, SparseCategoricalCrossentropy):
        y = rng.integers(0, model.output_shape[-1], n)
    else:
        y = rng.random((n, *model.output_shape))
        y /= y.sum(axis=-1, keepdims=True)
    return Batch(x, model.loss.check_targets(y, n, model.output_shape), None)


def _entries(plan: list[Any], seconds: dict[Any, float], batch_size: int) -> Iterator[Entry]:
    """Yield an entry for each step of the plan, with its time and its work."""
    first = min(key[1] for key in seconds if key[0] == "backward")
    for index, step in enumerate(plan):
        layers = [layer_of(part) for part in parts_of(step)]
        unit, forward, backward = work(layers, wants_input_gradient=index > first)
        yield Entry(
            step.name if isinstance(step, IntoLanes | OutOfLanes) else " + ".join(str(layer.name) for layer in layers),
            unit,
            Pass(seconds["forward", index], batch_size * forward),
            Pass(seconds["backward", index], batch_size * backward) if index >= first else None,
        )


def _title(model: Sequential, batch_size: int, fuse: bool) -> str:
    """Return what is measured and under which conditions, as a sentence."""
    threads = _threads(model.backend.name)
    return (
        f"{model.name}: a training step of {batch_size} image{'s' if batch_size > 1 else ''}, {model.dtype}, "
        f"{model.backend.name} backend, {threads} thread{'s' if threads > 1 else ''}{'' if fuse else ', nothing fused'}"
    )


def _threads(backend: str) -> int:
    """Return how many threads a backend uses."""
    return thread_count() if backend == "cpu" else 1
