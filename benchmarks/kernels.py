"""Compare every core kernel of the documented networks with its ceiling, and draw a roofline.

    python benchmarks/kernels.py
    python benchmarks/kernels.py ladder_10 --rounds 3 --plot roofline.png
    python benchmarks/kernels.py mnist_cnn --algorithms plan auto direct winograd im2col lanes

The last one is the record of the kind ``algorithms`` if it is kept as such, with --json.

Products (the three passes of convolutions and dense layers) are compared with NumPy's sgemm, and everything else with
the bytes that a large copy reads and writes. A kernel and its ceiling take turns, on the same threads; the result is
the ratio of the medians. The rate of a convolution counts the operations of the plain sum, whatever the algorithm, so
Winograd's algorithm can exceed the ceiling. The number of bytes is the least that has to be moved. For memory-bound
kernels, the batch is made so large that no cache can hold it. A kernel that works in place can exceed the ceiling too,
because a copy makes the processor read what it is about to overwrite, and nobody counts these bytes.

A kernel is measured as a training step runs it: as one of several launches of a recorded program. With --launched it is
called from Python instead, as a layer does that is called by hand.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import figures
import machine
import numba
import numpy as np
import record
import targets
from networks import PUBLISHED, Operation, operations
from threadpoolctl import threadpool_limits

import tinycnn
from tinycnn import models
from tinycnn.cli._arguments import model_name, whole_number
from tinycnn.core.workspace import Workspace
from tinycnn.kernels import aligned, cpu
from tinycnn.kernels.geometry import Window
from tinycnn.kernels.threads import one_blas_thread
from tinycnn.network.lanes import LaneStage
from tinycnn.network.plan import fused
from tinycnn.training.stand_ins import Now

PASSES = {"forward": "forward", "backward_input": "input gradient", "backward_weights": "weight gradient"}
SGEMM, COPY = "sgemm", "copy"
ROOFLINE = Path(__file__).parent.parent / "docs" / "images" / "roofline.png"
#: The number of elements in one array of a memory-bound kernel, which makes 64 MB.
LARGE = 16 * 2**20
#: The least number of seconds for which a kernel is repeated, so that reading the clock costs nothing.
MEASURED = 0.02
#: How often a program launches the kernel, which is about as many launches as a small network's step has.
LAUNCHES = 20
#: The number of seconds after sgemm until OpenBLAS's threads have stopped waiting for more work. They wait busily and
#: occupy a core that the kernel's threads need; without this pause the smallest kernels took 8 ms instead of 10 µs.
SETTLED = 0.2


@dataclass(frozen=True)
class Case:
    """A kernel on arrays of a certain shape.

    Attributes
    ----------
    kernel : str
        The name of the kernel.
    what : str
        The shape, in words.
    ceiling : {"sgemm", "copy"}
        What the kernel is compared with.
    flops, bytes : float
        The operations of the plain formula, and the least number of bytes that have to be moved, in one call.
    run : callable
        Calls the kernel once.
    window : (KH, KW, C, F), optional
        The shape of a convolution's weights.
    size : (H, W), optional
        The size of its images.
    algorithm : str
        The algorithm of a convolution. "auto" means that the convolution chooses by itself; "lanes" stands for a stage
        with images in lanes, without what it takes to lay them out. Asked for "plan", it is the one of these two that
        the network's plan takes.
    """

    kernel: str
    what: str
    ceiling: str
    flops: float
    bytes: float
    run: Callable[[], Any]
    window: tuple[int, int, int, int] | None = None
    size: tuple[int, int] | None = None
    algorithm: str = ""

    @property
    def work(self) -> float:
        """The operations or bytes of one call, whichever the ceiling counts."""
        return self.flops if self.ceiling == SGEMM else self.bytes


def products(networks: list[str], algorithms: list[str]) -> Iterator[Case]:
    """Yield the convolutions and dense layers of networks, each shape once, at the documented batch sizes."""
    seen = set()
    for network in networks:
        batch_size, model = models.recipe(network).batch_size, models.build(network)
        planned = iter(_planned(model))
        for index, operation in enumerate(operations(model, softmax=True)):
            chosen = algorithms
            if operation.kind == "conv":
                plan = next(planned)
                chosen = [plan if algorithm == "plan" else algorithm for algorithm in algorithms]
            if operation.kind in _PRODUCTS and (operation, batch_size, *chosen) not in seen:
                seen.add((operation, batch_size, *chosen))
                # The gradient of the images themselves is never needed.
                passes = [name for name in PASSES if index or name != "backward_input"]
                yield from _PRODUCTS[operation.kind](operation, batch_size, passes, chosen)


def _planned(model: tinycnn.Sequential) -> list[str]:
    """Return for each convolution of a model what its plan takes: "lanes" or "auto"."""
    steps = fused(model.layers, model.backend)
    in_lanes = {id(part) for step in steps if isinstance(step, LaneStage) for part in step.layers}
    convolutions = [layer for layer in model.layers if isinstance(layer, tinycnn.layers.Conv2D)]
    return ["lanes" if id(layer) in in_lanes else "auto" for layer in convolutions]


def _convolution(operation: Operation, N: int, passes: list[str], algorithms: list[str]) -> Iterator[Case]:
    (H, W, C), F, (KH, KW) = operation.shape, operation.units, operation.size
    top, bottom, left, right = operation.pads
    OH, OW = H + top + bottom - KH + 1, W + left + right - KW + 1
    x, w, b, dy = map(_random, ((N, H, W, C), (KH, KW, C, F), (F,), (N, OH, OW, F)))
    geometry = ((1, 1), operation.pads, (1, 1), 1)
    arguments = {
        "forward": ((x, w, b, *geometry), np.empty_like(dy)),
        "backward_input": ((dy, w, (H, W), *geometry), np.empty_like(x)),
        "backward_weights": ((dy, x, (KH, KW), *geometry), (np.empty_like(w), np.empty_like(b))),
    }
    what = f"{KH}×{KW}, {C}→{F} at {H}×{W}, batch {N}"
    flops, moved = 2.0 * dy.size * KH * KW * C, x.nbytes + w.nbytes + dy.nbytes
    for name in passes:
        for algorithm in algorithms:
            if algorithm == "winograd" and (KH, KW) != (3, 3):
                continue
            if algorithm == "lanes":
                run = _in_lanes(name, x, w, b, dy, Window((KH, KW), *geometry[:3]))
            else:
                run = _call(f"conv2d_{name}", *arguments[name], algorithm=algorithm)
            yield Case(f"conv2d_{name}", what, SGEMM, flops, moved, run, (KH, KW, C, F), (H, W), algorithm)


def _in_lanes(name: str, x: Any, w: Any, b: Any, dy: Any, window: Window) -> Callable[[], Any]:
    """Call a pass of a convolution for images that are in lanes already, as those between two stages are."""
    fused, workspace, nothing = cpu.fused, Workspace(), np.empty(0, np.uint8)
    x, dy = fused.to_lanes(x), fused.to_lanes(dy)
    if name == "forward":
        out = aligned.zeros_like(dy), nothing
        return lambda: fused.conv2d_stage_forward(
            x, w, b, window, 1, "auto", False, None, out=out, work=workspace.scratch()
        )
    outs, wants = (aligned.zeros_like(x), np.empty_like(w), np.empty_like(b)), (name == "backward_input",)
    return lambda: fused.conv2d_stage_backward(
        dy, dy, nothing, x, w, window, 1, "auto", False, None, (*wants, not wants[0]), out=outs,
        work=workspace.scratch(),
    )  # fmt: skip


def _dense(operation: Operation, N: int, passes: list[str], algorithms: list[str]) -> Iterator[Case]:
    inputs, units = operation.channels, operation.units
    x, w, b, dy = map(_random, ((N, inputs), (inputs, units), (units,), (N, units)))
    arguments = {
        "forward": ((x, w, b), np.empty_like(dy)),
        "backward_input": ((dy, w), np.empty_like(x)),
        "backward_weights": ((dy, x), (np.empty_like(w), np.empty_like(b))),
    }
    for name in passes:
        run, moved = _call(f"dense_{name}", *arguments[name]), x.nbytes + w.nbytes + dy.nbytes
        yield Case(f"dense_{name}", f"{inputs}→{units}, batch {N}", SGEMM, 2.0 * x.size * units, moved, run)


_PRODUCTS = {"conv": _convolution, "dense": _dense}


def streams(elements: int) -> Iterator[Case]:
    """Yield the memory-bound kernels. Additions, products, comparisons and roots count as one operation each."""
    C = 32
    x, dy, y = (_random((elements // (28 * 28 * C) or 1, 28, 28, C)) for _ in range(3))
    gamma, beta, mean, variance = (np.full(C, value, np.float32) for value in (1, 0, 0.5, 0.1))
    size, pool = x.size, ((2, 2), (2, 2), (0, 0, 0, 0))
    small = np.empty((len(x), 14, 14, C), np.float32), np.zeros((len(x), 14, 14, C), np.uint8)
    per_channel = np.empty_like(mean), np.empty_like(mean)

    def case(kernel: str, flops: float, moved: float, arguments: tuple[Any, ...], out: Any) -> Case:
        """Make a case from the operations per element and the number of arrays of that size that are moved."""
        run = _call(kernel, arguments, out)
        return Case(kernel, f"{size:,} elements", COPY, flops * size, moved * x.nbytes, run)

    yield case("relu_forward", 1, 2, (x,), y)
    yield case("relu_backward", 1, 3, (dy, x), y)
    yield case("max_pool2d_forward", 0.75, 1 + 1.25 / 4, (x, *pool), small)
    yield case("max_pool2d_backward", 0.75, 1 + 1.25 / 4, (*small, (28, 28), *pool), y)
    yield case("dropout", 2, 2, (x, 0.25, 1, 1), y)
    yield case("batch_norm_forward", 6, 3, (x, gamma, beta, 1e-3), (y, *per_channel))
    yield case("batch_norm_backward", 10, 5, (dy, x, gamma, mean, variance, 1e-3), (y, *per_channel))
    yield case("batch_norm_inference_forward", 2, 2, (x, gamma, beta, mean, variance, 1e-3), y)
    m, v = np.zeros_like(x), np.zeros_like(x)
    adam = partial(cpu.adam_update, y, dy, m, v, 1, 0.001, 0.9, 0.999, 1e-7)
    yield Case("adam_update", f"{size:,} elements", COPY, 12.0 * size, 7.0 * x.nbytes, adam)


def _random(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32)


def _call(kernel: str, arguments: tuple[Any, ...], out: Any, **options: Any) -> Callable[[], Any]:
    """Call a kernel as a layer does in training: the memory for its result and its scratch memory exist already."""
    function, workspace = getattr(cpu, kernel), Workspace()
    return lambda: function(*arguments, out=out, work=workspace.scratch(), **options)


def ceilings(threads: int, elements: int) -> dict[str, Callable[[], float]]:
    """Return functions that measure what the machine can do now: FLOP/s of sgemm, and bytes per second of a copy."""
    a = _random((1024, 1024))
    product = np.empty_like(a)
    source = _random((elements,))
    target = np.empty_like(source)

    def sgemm() -> float:
        with threadpool_limits(threads, "blas"):
            return 2 * len(a) ** 3 / seconds(lambda: np.dot(a, a, product))

    return {SGEMM: sgemm, COPY: lambda: 2 * source.nbytes / seconds(lambda: _copy(source, target))}


@numba.njit(parallel=True)
def _copy(source, target):
    for i in numba.prange(len(source)):
        target[i] = source[i]


def seconds(run: Callable[[], Any]) -> float:
    """Return the seconds of one call, as the mean of many calls; the first call is not counted."""
    run()
    calls, started = 0, time.perf_counter()
    while calls == 0 or time.perf_counter() - started < MEASURED:
        run()
        calls += 1
    return (time.perf_counter() - started) / calls


def as_a_step_does(run: Callable[[], Any]) -> tuple[Callable[[], Any], int]:
    """Return a function that runs a program which launches a kernel some times, and how often it does.

    Updates of a single parameter cannot be recorded; they are launched.
    """
    now, program = Now(0, 1), cpu.fused.Program()
    run()  # what is made only once is no part of the recording
    with program.recording(now):
        for _ in range(LAUNCHES):
            run()
    return (run, 1) if program.refusal else (lambda: program.run(now), LAUNCHES)


def measure(case: Case, ceiling: Callable[[], float], rounds: int, launched: bool) -> dict[str, Any]:
    """Measure the seconds of the kernel and the rate of its ceiling, in turn."""
    times, rates = [], []
    with one_blas_thread():
        run, each = (case.run, 1) if launched else as_a_step_does(case.run)
    for _ in range(rounds):
        rates.append(ceiling())
        time.sleep(SETTLED)
        with one_blas_thread():
            times.append(seconds(run) / each)
    names = ("kernel", "what", "algorithm", "ceiling", "flops", "bytes", "window", "size")
    facts = {name: getattr(case, name) for name in names}
    return facts | {"work": case.work, "seconds": times, "ceiling_rate": rates}


def rate(result: dict[str, Any]) -> float:
    """Return FLOP/s or bytes per second, whichever the ceiling counts."""
    return result["work"] / statistics.median(result["seconds"])


def fraction(result: dict[str, Any]) -> float:
    """Return the kernel's rate divided by that of its ceiling."""
    return rate(result) / statistics.median(result["ceiling_rate"])


def by_algorithm(kept: dict[str, Any]) -> str:
    """Return a table of convolutions in GFLOP/s, with a column for each algorithm that was asked for."""
    rates: dict[tuple[str, str], dict[str, str]] = {}
    for result in kept["results"]:
        if result["algorithm"]:
            row = rates.setdefault((result["what"], result["kernel"]), {})
            row.setdefault(result["algorithm"], f"{rate(result) / 1e9:,.0f}")
    columns = list(dict.fromkeys(algorithm for row in rates.values() for algorithm in row))
    rows = [
        (what, f"`{kernel}`", *(row.get(algorithm, "") for algorithm in columns))
        for (what, kernel), row in rates.items()
    ]
    text = figures.table(("convolution", "GFLOP/s of", *columns), rows)
    ceilings = [statistics.median(found["ceiling_rate"]) / 1e9 for found in kept["results"] if found["algorithm"]]
    return f"{text}\n\n`sgemm` ran at {min(ceilings):,.0f} to {max(ceilings):,.0f} GFLOP/s meanwhile."


def tables(kept: dict[str, Any]) -> str:
    """Return tables of rates, ceilings and fractions, and of the targets."""
    rows = []
    for result in kept["results"]:
        unit = "GFLOP/s" if result["ceiling"] == SGEMM else "GB/s"
        ceiling = statistics.median(result["ceiling_rate"]) / 1e9
        achieved = f"{rate(result) / 1e9:,.1f} {unit}"
        row = (
            f"`{result['kernel']}`",
            result["what"],
            result["algorithm"],
            achieved,
            f"{ceiling:,.1f}",
            f"{fraction(result):.2f}",
        )
        rows.append(row)
    header = ("kernel", "shape", "algorithm", "achieved", "ceiling", "fraction")
    text = figures.table(header, rows)
    found = checks(kept["results"])
    if found:
        text += f"\n\n{targets.table(found)}\n\n{_roofs(kept['results'])}"
    return text


def _roofs(results: list[dict[str, Any]]) -> str:
    """Return, for the slowest shape of each target, how fast it could be if each array went to or from memory once."""
    copied, rows = _top(results, COPY), []
    for what, _, result in _slowest(results):
        sgemm = statistics.median(result["ceiling_rate"])
        bound = result["flops"] / result["bytes"] * copied / sgemm
        reached = fraction(result)
        shape = f"{result['what']} ({result['algorithm']})"
        rows.append((what, shape, f"{reached:.2f}", f"{bound:.2f}", f"{reached / bound:.2f}"))
    header = ("the slowest of", "shape", "of sgemm", "memory allows", "of that")
    return (
        "What memory allows these shapes, if each of their arrays goes to or from it once, at the speed of a copy:\n\n"
        f"{figures.table(header, rows)}"
    )


#: Channels in and out of 3×3 convolutions, as text and as a condition, and for each pass what must be reached of the
#: speed of sgemm, and what is aimed at.
_GROUPS_OF_CHANNELS = (
    ("≥ 32 channels in and out", lambda C, F: min(C, F) >= 32, ((1.6, 2.3), (1.6, 2.3), (1.4, 1.8))),
    (
        "8 to 32 channels in and out",
        lambda C, F: 8 <= min(C, F) < 32 and max(C, F) <= 32,
        ((0.85, 1.2), (0.85, 1.2), (0.7, 0.9)),
    ),
    ("2 to 7 channels in", lambda C, F: 2 <= C < 8, ((0.6, 0.8), (0.6, 0.8), (0.6, 0.8))),
    ("1 channel in", lambda C, F: C == 1, ((0.75, 0.85), None, (0.55, 0.8))),
)


def checks(results: list[dict[str, Any]]) -> list[targets.Check]:
    """Check the slowest 3×3 convolution of images from 6×6 on, for each pass and some numbers of channels."""
    return [targets.Check(f"{what} (slowest)", *bounds, fraction(r), "") for what, bounds, r in _slowest(results)]


def _slowest(results: list[dict[str, Any]]) -> Iterator[tuple[str, tuple[float, float], dict[str, Any]]]:
    """Yield what each target is for, its bounds, and the slowest result that belongs to it."""
    for what, belongs, wanted in _GROUPS_OF_CHANNELS:
        for (name, title), bounds in zip(PASSES.items(), wanted, strict=True):
            these = [
                r
                for r in results
                if r["kernel"] == f"conv2d_{name}" and _is_three(r["window"], belongs) and min(r["size"]) >= 6
            ]
            if these and bounds:
                yield f"3×3, {what}, {title}", bounds, min(these, key=fraction)


def _is_three(window: list[int], belongs: Callable[[int, int], bool]) -> bool:
    KH, KW, C, F = window
    return (KH, KW) == (3, 3) and belongs(C, F)


def plot(kept: dict[str, Any], path: Path) -> None:
    """Draw the roofline: operations per second over operations per byte, with both axes logarithmic."""
    from matplotlib.figure import Figure

    results = kept["results"]
    tops = {name: _top(results, name) for name in (SGEMM, COPY)}
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.add_subplot(xscale="log", yscale="log", xlabel="operations per byte", ylabel="GFLOP/s")
    intensities = np.geomspace(0.08, 1000, 200)
    roof = np.minimum(tops[SGEMM], intensities * tops[COPY]) / 1e9
    axes.plot(intensities, roof, color="black", linewidth=1.5)
    axes.text(900, tops[SGEMM] / 1e9 * 1.12, f"sgemm {tops[SGEMM] / 1e9:,.0f} GFLOP/s", ha="right")
    axes.text(0.3, tops[COPY] / 1e9 * 0.55, f"copy {tops[COPY] / 1e9:,.0f} GB/s", ha="right")
    for label, marker, colour, belongs in _GROUPS:
        group = [result for result in results if belongs(result["kernel"])]
        xs = [result["flops"] / result["bytes"] for result in group]
        ys = [result["flops"] / statistics.median(result["seconds"]) / 1e9 for result in group]
        axes.plot(xs, ys, marker, color=colour, label=label, markersize=7, markeredgecolor="white")
    axes.legend(loc="lower right", frameon=False)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=125)


def _top(results: list[dict[str, Any]], ceiling: str) -> float:
    return statistics.median(rate for r in results if r["ceiling"] == ceiling for rate in r["ceiling_rate"])


# The colours are those of Okabe & Ito, "Color universal design", 2008; each group also has a marker of its own.
_GROUPS = (
    ("convolution, forward", "o", "#0072B2", lambda kernel: kernel == "conv2d_forward"),
    ("convolution, input gradient", "^", "#D55E00", lambda kernel: kernel == "conv2d_backward_input"),
    ("convolution, weight gradient", "s", "#009E73", lambda kernel: kernel == "conv2d_backward_weights"),
    ("dense", "P", "#CC79A7", lambda kernel: kernel.startswith("dense")),
    ("all others", "D", "#E69F00", lambda kernel: not kernel.startswith(("conv2d", "dense"))),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "networks", nargs="*", type=model_name, default=PUBLISHED, help="networks whose shapes are measured"
    )
    parser.add_argument(
        "--plot",
        type=Path,
        help="draw the roofline into this file (--save: docs/images/roofline.png, if it is the usual machine)",
    )
    parser.add_argument(
        "--elements", type=whole_number(1), default=LARGE, help="elements in one array of a memory-bound kernel"
    )
    parser.add_argument(
        "--algorithms", nargs="+", default=["plan"], help="algorithms of the convolutions, lanes, or plan (the default)"
    )
    parser.add_argument("--launched", action="store_true", help="call the kernels from Python, not within a program")
    record.add_arguments(parser, rounds=5)
    arguments = parser.parse_args()
    numba.set_num_threads(arguments.threads)
    limits = ceilings(arguments.threads, arguments.elements)
    cases = (*products(arguments.networks, arguments.algorithms), *streams(arguments.elements))
    results = [measure(case, limits[case.ceiling], arguments.rounds, arguments.launched) for case in cases]
    kept = record.new("kernels", arguments.threads, results)
    record.report(kept, tables, arguments)
    for path in [arguments.plot] * bool(arguments.plot) + [ROOFLINE] * (arguments.save and not arguments.machine):
        plot(kept, path)


if __name__ == "__main__":
    machine.free_blas()
    main()
