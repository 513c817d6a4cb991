"""Where the time of a training step goes: for every step of the plan its time and how fast it works.

Convolutions and dense layers are products, and their speed is counted in operations: a multiplication and an addition
for each term of their definition, whatever algorithm computes it. All other layers do little with many numbers, and
their speed is the memory traffic that their definition needs: the input read once and the result written once. That is
the *roofline* model of Williams, Waterman & Patterson ("Roofline: an insightful visual performance model for multicore
architectures", 2009): a kernel is bound either by the arithmetic of the processor or by its memory.

>>> from tinycnn import models, profile
>>> model = models.build("ladder_02")
>>> model.compile("adam", "sparse_categorical_crossentropy")
>>> result = profile.profile(model, batch_size=8, repeats=1)
>>> [entry.name for entry in result.entries]
['conv2d + max_pooling2d', 'flatten', 'dense']
>>> result.entries[0].unit, result.entries[0].forward.seconds > 0
('GFLOP/s', True)
"""

import copy
import math
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .activations import Linear
from .core.checks import boolean, integer
from .core.messages import shown
from .core.types import Array
from .core.workspace import Workspace
from .inspection.summary import layer_of, parts_of
from .kernels.threads import one_blas_thread
from .layers import Activation, Conv2D, Dense, DepthwiseConv2D, Flatten, GaussianNoise, Reshape
from .layers.base import Layer
from .losses import SparseCategoricalCrossentropy
from .sequential import Sequential
from .training.batches import Batch
from .training.loop import train_step
from .training.running_means import Meters

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Steps before the first that counts: kernels are compiled, and memory is asked for.
WARM_UP = 2


class Pass(NamedTuple):
    """One direction through a step of the plan.

    Attributes
    ----------
    seconds : float
        For a batch, the median.
    work : float
        Operations, or bytes, of a batch; 0 where nothing is computed or moved.
    """

    seconds: float
    work: float

    @property
    def rate(self) -> float:
        """Work per second, in thousands of millions: GFLOP/s or GB/s."""
        return self.work / self.seconds / 1e9


@dataclass(frozen=True)
class Entry:
    """A step of the plan: a layer, or several that run as one.

    Attributes
    ----------
    name : str
        The layers' names, with a plus between them.
    unit : {"GFLOP/s", "GB/s"}
        Of both rates.
    forward : Pass
    backward : Pass or None
        None where training does not go: below the first layer that is trained.
    """

    name: str
    unit: str
    forward: Pass
    backward: Pass | None

    @property
    def seconds(self) -> float:
        """Of both directions."""
        return self.forward.seconds + (self.backward.seconds if self.backward else 0.0)


@dataclass(frozen=True)
class Profile:
    """What :func:`profile` measured; prints as a table.

    Attributes
    ----------
    title : str
        What was measured, and with what.
    batch_size : int
    entries : tuple of Entry
        In the order of the plan.
    loss, optimizer : float
        Seconds of the loss with the metrics, in both directions, and of the optimizer's step.
    step : float
        Seconds of a whole training step, measured without the clocks in between.
    """

    title: str
    batch_size: int
    entries: tuple[Entry, ...]
    loss: float
    optimizer: float
    step: float

    @property
    def total(self) -> float:
        """Seconds of all parts together."""
        return sum(entry.seconds for entry in self.entries) + self.loss + self.optimizer

    @property
    def images_per_second(self) -> float:
        """Of whole training steps."""
        return self.batch_size / self.step

    def plot(self, ax: Any = None) -> "Axes":
        """Draw the time of each step of the plan, forward and backward, with the speed beside it.

        Parameters
        ----------
        ax : Axes or empty Figure, optional

        Returns
        -------
        Axes
        """
        return _draw(self, ax)

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("step", "forward", "", "backward", "", "share")]
        for entry in self.entries:
            cells = (text for one in (entry.forward, entry.backward) for text in _pass_texts(one, entry.unit))
            rows.append((entry.name, *cells, f"{entry.seconds / self.total:.0%}"))
        for name, seconds in (("loss", self.loss), ("optimizer", self.optimizer)):
            rows.append((name, _milliseconds(seconds), "", "", "", f"{seconds / self.total:.0%}"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join([f"{row[0]:<{widths[0]}}", *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
        rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
        return "\n".join(
            [
                self.title,
                lines[0],
                rule,
                *lines[1:],
                rule,
                f"together {_milliseconds(self.total)}; a whole training step {_milliseconds(self.step)}, "
                f"{self.images_per_second:,.0f} images/s",
            ]
        )


def profile(model: Sequential, batch_size: int = 128, repeats: int = 20, *, fuse: bool = True) -> Profile:
    """Measure where the time of a training step goes, on random images and targets.

    Every repeat is one training step with a look at the clock between its parts, so that each finds the caches as in
    training, and one without. The model's weights and its optimizer are as before afterwards; gradients are not.

    Parameters
    ----------
    model : Sequential
        Built and compiled, with something to train.
    batch_size : int
    repeats : int
        Steps that are measured, after two that are not; quoted are medians.
    fuse : bool
        As for :meth:`Sequential.fit`: False measures every layer by itself.

    Returns
    -------
    Profile

    Raises
    ------
    RuntimeError
        If the model is not built or not compiled.
    TypeError, ValueError
        For other arguments that make no sense, or if no layer of the model is trained.
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
            f"model must have something to train; every layer of {model.name} is frozen, or has no weights"
        )
    with _state_kept(model), one_blas_thread():
        records, wholes = _measure(model, plan, batch, repeats)
    rounds = [_durations(record) for record in records]
    seconds = {key: statistics.median(durations[key] for durations in rounds) for key in rounds[0]}
    return Profile(
        title=_title(model, batch_size, fuse),
        batch_size=batch_size,
        entries=tuple(_entries(plan, seconds, batch_size)),
        loss=seconds["loss"],
        optimizer=seconds["optimizer"],
        step=statistics.median(wholes),
    )


# Measuring ------------------------------------------------------------------------------------------------------

Record = list[tuple[Any, float, float]]  # what ran, from when, until when; in the order in which it ran


class _Timed:
    """A step of the plan that writes down when its forward and backward begin and end."""

    def __init__(self, step: Any, index: int, record: Record) -> None:
        self._step, self._index, self._record = step, index, record

    def __getattr__(self, name: str) -> Any:
        return getattr(self._step, name)

    def forward(self, *arguments: Any, **named: Any) -> Any:
        return self._run("forward", self._step.forward, arguments, named)

    def backward(self, *arguments: Any, **named: Any) -> Any:
        return self._run("backward", self._step.backward, arguments, named)

    def backward_parameters(self, *arguments: Any, **named: Any) -> None:
        self._run("backward", self._step.backward_parameters, arguments, named)

    def _run(self, direction: str, function: Any, arguments: Any, named: Any) -> Any:
        start = time.perf_counter()
        result = function(*arguments, **named)
        self._record.append(((direction, self._index), start, time.perf_counter()))
        return result


def _measure(model: Sequential, plan: list[Any], batch: Batch, repeats: int) -> tuple[list[Record], list[float]]:
    """A record of each step that was looked into, and the seconds of each that was not."""
    record: Record = []
    timed = [_Timed(step, index, record) for index, step in enumerate(plan)]
    ws, records, wholes = Workspace(), [], []
    for number in range(WARM_UP + repeats):
        record.clear()
        _one_step(model, timed, batch, ws)
        end = time.perf_counter()
        whole = _one_step(model, plan, batch, ws)
        if number >= WARM_UP:
            records.append([*record, ("end", end, end)])
            wholes.append(whole)
    return records, wholes


def _one_step(model: Sequential, plan: list[Any], batch: Batch, ws: Workspace) -> float:
    start = time.perf_counter()
    train_step(model, plan, batch, Meters(model), ws)
    return time.perf_counter() - start


def _durations(record: Record) -> dict[Any, float]:
    """Seconds of every pass; of the loss, between the last forward and the first backward; of the optimizer, after."""
    seconds = {key: end - start for key, start, end in record[:-1]}
    turn = next(index for index, (key, _, _) in enumerate(record) if key[0] == "backward")
    seconds["loss"] = record[turn][1] - record[turn - 1][2]
    seconds["optimizer"] = record[-1][1] - record[-2][2]
    return seconds


@contextmanager
def _state_kept(model: Sequential) -> Iterator[None]:
    """Training in the block is forgotten at its end."""
    weights, optimizer = model.get_weights(), model.optimizer
    # A copy of what the optimizer remembers, for the very same parameters.
    model.optimizer = copy.deepcopy(optimizer, {id(parameter): parameter for parameter in model.parameters().values()})
    try:
        yield
    finally:
        model.optimizer = optimizer
        model.set_weights(weights)


def _random_batch(model: Sequential, n: int) -> Batch:
    """Images in [0, 1), and targets of the kind that the loss takes."""
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


# Counting -------------------------------------------------------------------------------------------------------


def _entries(plan: list[Any], seconds: dict[Any, float], batch_size: int) -> Iterator[Entry]:
    first = min(key[1] for key in seconds if key[0] == "backward")
    for index, step in enumerate(plan):
        layers = [layer_of(part) for part in parts_of(step)]
        unit, forward, backward = _work(layers, wants_input_gradient=index > first)
        yield Entry(
            " + ".join(str(layer.name) for layer in layers),
            unit,
            Pass(seconds["forward", index], batch_size * forward),
            Pass(seconds["backward", index], batch_size * backward) if index >= first else None,
        )


def _work(layers: list[Layer], wants_input_gradient: bool) -> tuple[str, float, float]:
    """The unit, and what the layers' definitions compute or move for one image, forward and backward."""
    products = [layer for layer in layers if isinstance(layer, Conv2D | DepthwiseConv2D | Dense)]
    if products:
        forward = float(sum(map(flops, products)))
        # The gradient by the weights and that by the input are as much work as the forward, each.
        backward = sum(flops(layer) * (layer.trains + wants_input_gradient) for layer in products)
        return "GFLOP/s", forward, backward
    if all(map(_hands_on, layers)):
        return "GB/s", 0.0, 0.0
    numbers = math.prod(layers[0].built_input_shape) + math.prod(layers[-1].built_output_shape)
    moved = float(numbers * np.dtype(layers[0].dtype).itemsize)
    # The gradient passes noise unchanged.
    return "GB/s", moved, 0.0 if all(isinstance(layer, GaussianNoise) for layer in layers) else moved


def _hands_on(layer: Layer) -> bool:
    """Whether a layer's result is the same numbers in the same memory, perhaps seen in another shape."""
    linear = isinstance(layer, Activation) and isinstance(layer.activation, Linear)
    return linear or isinstance(layer, Flatten | Reshape)


def flops(layer: Layer) -> int:
    """Operations of a built convolution or dense layer for one image, forward: two for each term of its sums.

    ``2 * OH * OW * F * KH * KW * C / groups``, or ``2 * inputs * units``. Bias and activation are not counted.

    Examples
    --------
    >>> from tinycnn import layers, profile
    >>> layer = layers.Conv2D(32, 3)
    >>> layer.build((28, 28, 1))
    (26, 26, 32)
    >>> profile.flops(layer)
    389376
    """
    if not isinstance(layer, Dense | Conv2D | DepthwiseConv2D) or not layer.built:
        raise TypeError(f"layer must be a convolution or a Dense that is built; got {shown(layer)}")
    if isinstance(layer, Dense):
        return 2 * math.prod(layer.built_input_shape) * layer.units
    channels = layer.built_input_shape[-1]
    _, groups = layer.filters_and_groups(channels)
    return 2 * math.prod(layer.built_output_shape) * math.prod(layer.kernel_size) * (channels // groups)


# Showing --------------------------------------------------------------------------------------------------------


def _title(model: Sequential, batch_size: int, fuse: bool) -> str:
    threads = _threads(model.backend.name)
    return (
        f"{model.name}: a training step of {batch_size} image{'s' if batch_size > 1 else ''}, {model.dtype}, "
        f"{model.backend.name} backend, {threads} thread{'s' if threads > 1 else ''}{'' if fuse else ', nothing fused'}"
    )


def _threads(backend: str) -> int:
    if backend != "cpu":
        return 1
    import numba

    return int(numba.get_num_threads())


def _pass_texts(one: Pass | None, unit: str) -> tuple[str, str]:
    """Time and speed."""
    if one is None:
        return "—", ""
    return _milliseconds(one.seconds), f"{one.rate:.3g} {unit}" if one.work else "—"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3f} ms"


def _draw(profile: Profile, ax: Any) -> "Axes":
    """Two bars a step, forward above backward; loss and optimizer have one."""
    from .plotting._checks import GREY, PALETTE, axes_or_new

    # Told apart by the hatching too, not by colour alone.
    forward = {"label": "forward", "color": PALETTE[0], "edgecolor": PALETTE[0]}
    backward = {"label": "backward", "color": "white", "edgecolor": PALETTE[1], "hatch": "//////"}
    bars: list[tuple[float, float, str, dict[str, Any]]] = []  # place, seconds, text beside it, look
    for row, entry in enumerate(profile.entries):
        for place, one, look in ((row - 0.2, entry.forward, forward), (row + 0.2, entry.backward, backward)):
            if one is not None:
                bars.append((place, one.seconds, _pass_texts(one, entry.unit)[1].replace("—", ""), look))
    rest = {"loss": profile.loss, "optimizer": profile.optimizer}
    for row, seconds in enumerate(rest.values(), len(profile.entries)):
        bars.append((row, seconds, "", {"color": GREY, "edgecolor": GREY}))

    names = [entry.name.replace(" + ", "\n+ ") for entry in profile.entries] + list(rest)
    ax = axes_or_new(ax, 7.2, 1.1 + 0.44 * len(names))
    longest = 1000 * max(seconds for _, seconds, _, _ in bars)
    for place, seconds, text, look in bars:
        ax.barh(place, 1000 * seconds, height=0.36, linewidth=0.8, **look)
        ax.text(1000 * seconds + 0.01 * longest, place, text, va="center", fontsize=8)
    ax.set_yticks(range(len(names)), names, fontsize=9)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(0, 1.22 * longest)  # room for the text beside the longest bar
    ax.set_xlabel("milliseconds of a training step; beside each bar the speed")
    ax.set_title(f"{profile.title}\n{profile.images_per_second:,.0f} images/s", fontsize=9, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    handles, labels = ax.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    ax.legend(unique.values(), unique.keys(), loc="best", frameon=False)
    return ax
