"""A step of training, or a pass of prediction, written down once and then run by one call.

Most of the time of a small network's step goes into Python around the kernels. The kernels, their order and their
memory are the same at every step, though. So the first step on a kind of batch runs as :mod:`tinycnn.training.step`
says, the second one is recorded while it does the same, and from the third one on the recording runs
(``kernels/cpu/machine/program.py``). Results have the same bits either way.

A recording holds as long as everything is as it was: :class:`_State` compares the layers, their arrays, the loss and
the optimizer before each run. What is not a kernel (a layer or a loss of the user's own, penalties, most optimizers,
the means of the epoch) stands in the recording as a call of Python (:mod:`tinycnn.training.stand_ins`).
"""

import operator
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy as np

from .. import losses
from ..core.types import Array, Shape
from ..core.version import is_ours
from ..core.workspace import Workspace
from ..kernels import aligned
from ..losses.targets import check_labels
from ..network.network import Network
from ..network.stage import is_plain
from . import step as steps
from .batches import Batch
from .running_means import RunningMeans
from .stand_ins import (
    LayerInPython,
    MeansInPython,
    ModelInParts,
    Now,
    is_in_kernels,
    is_one_kernel,
    part_or_stand_in,
)

#: How many recordings a workspace holds at most.
MOST = 32
#: What a recorded update of an optimizer depends on, except for the learning rate and the number of the update.
_OF_OPTIMIZER = (
    *("slots", "beta_1", "beta_2", "epsilon", "_momentum", "nesterov"),
    *("weight_decay", "clipnorm", "clipvalue", "global_clipnorm"),
)


class _Recording(NamedTuple):
    """What was done for one kind of batch.

    ``state`` is None if it was done only once, and ``program`` is None if it cannot be run as a program. ``given`` and
    ``result`` are where the program reads and writes.
    """

    state: Any = None
    program: Any = None
    given: Any = None
    result: Any = None


def can_record(model: Network) -> bool:
    """Return whether the model's backend can record what is launched."""
    return lanes(model) > 0


def lanes(model: Network) -> int:
    """Return how many threads a program of the model's backend would have now; 0 if the backend cannot record."""
    program = getattr(getattr(model.backend.kernels, "fused", None), "Program", None)
    return 0 if program is None else program.lanes()


def take_step(
    train_step: Callable[..., None],
    model: Network,
    chain: list[Any],
    batch: Batch,
    means: RunningMeans,
    ws: Workspace,
) -> None:
    """Take a step of training, from the third one on by a program if nothing stands against it.

    Parameters
    ----------
    train_step : callable
        The step as it is taken without a program: :func:`tinycnn.training.step.train_step`.
    model, chain, batch, means, ws
        What it is given.
    """
    optimizer = model.optimizer
    key = "step", batch.weight is not None, batch.x.shape, batch.y.shape, lanes(model)
    known = _known(ws, key)
    now = Now(optimizer.iterations, optimizer.iterations + 1, model, batch, means)
    if known is None:
        train_step(model, chain, batch, means, ws)  # it makes the memory, which the next one finds
        ws.recorded[key] = _Recording()
    elif known.state is None or not known.state.holds(model, chain):
        _record_step(train_step, model, chain, now, ws, key)
    elif known.program is None:
        train_step(model, chain, batch, means, ws)
    else:
        known.given.fill(model, batch)
        known.program.run(now)
        if is_one_kernel(optimizer):  # else its step is a call of Python, which counts
            optimizer.iterations += 1


def infer(model: Network, chain: list[Any], x: Array, ws: Workspace) -> Array:
    """Return the result of a list of layers as in prediction, from the third time on by a program if that is possible.

    Parameters
    ----------
    model : Network
        It owns the layers.
    chain, x, ws
        As in :func:`tinycnn.training.step.infer`.
    """
    if not can_record(model):
        return steps.infer(chain, x, ws)
    key = "pass", id(chain), x.shape, lanes(model)
    known = _known(ws, key)
    if known is None:
        result = steps.infer(chain, x, ws)
        ws.recorded[key] = _Recording()
    elif known.state is None or not known.state.holds(model, chain):
        result = _record_pass(model, chain, x, ws, key)
    elif known.program is None:
        result = steps.infer(chain, x, ws)
    else:
        if x is not known.given:
            np.copyto(known.given, x)
        known.program.run(Now())
        result = known.result
    return result


def _known(ws: Workspace, key: Hashable) -> _Recording | None:
    """Return what was recorded for a kind of batch, after forgetting everything if that has become too much."""
    known: _Recording | None = ws.recorded.get(key)
    if known is None and len(ws.recorded) >= MOST:
        ws.recorded.clear()
    return known


def _record_step(
    train_step: Callable[..., None], model: Network, chain: list[Any], now: Now, ws: Workspace, key: Hashable
) -> None:
    """Take a step and record it."""
    watch = _Watch()
    program, given, parts = recorded_step(train_step, model, chain, now, ws, watch=watch)
    usable = program.refusal is None
    watch.state = _State(model, chain, parts, True)
    ws.recorded[key] = _Recording(watch.state, program if usable else None, given)


def recorded_step(
    train_step: Callable[..., None],
    model: Network,
    chain: list[Any],
    now: Now,
    ws: Workspace,
    around: Callable[[Any, int, Any], Any] | None = None,
    watch: "_Watch | None" = None,
) -> tuple[Any, Any, list[Any]]:
    """Take a step and record it.

    Parameters
    ----------
    train_step, model, chain, ws
        As in :func:`take_step`.
    now : Now
        What is different in this step.
    around : callable, optional
        ``around(part, index, program)`` returns what is recorded in place of a part of the chain.
    watch : _Watch, optional
        What is asked in each run that calls layers or a loss in Python, before weights are changed.

    Returns
    -------
    program, given, parts
        The recording, where it finds its batch, and what was recorded of the chain.
    """
    assert now.batch is not None
    program = model.backend.kernels.fused.Program()
    given: Any = _Given(model, now.batch, ws)
    stand_in: Any = ModelInParts(model, program)
    means: Any = MeansInPython(program)
    parts: list[Any] = [part_or_stand_in(part, program) for part in chain]
    wrapped = parts if around is None else [around(part, index, program) for index, part in enumerate(parts)]
    in_python: list[Any] = [part.layer for part in parts if isinstance(part, LayerInPython)]
    in_python += [] if is_in_kernels(model.chain_loss) else [model.chain_loss]
    if watch is not None and not all(is_ours(type(one)) and is_plain(one, type(one)) for one in in_python):
        stand_in.check = lambda: watch.check(model, chain)
    with program.recording(now):
        train_step(stand_in, wrapped, given, means, ws)
    return program, given, parts


def _record_pass(model: Network, chain: list[Any], x: Array, ws: Workspace, key: Hashable) -> Array:
    """Run a list of layers as in prediction, and record that."""
    program, x = model.backend.kernels.fused.Program(), _steady(x, ws)
    parts = [part_or_stand_in(part, program) for part in chain]
    with program.recording(Now()):
        result = steps.infer(parts, x, ws)
    usable = program.refusal is None
    ws.recorded[key] = _Recording(_State(model, chain, parts, False), program if usable else None, x, result)
    return result


class _State:
    """Everything that is written into a recording, as it was then.

    What runs in Python is not written into it: a layer of the user's own may remember something at every step.

    Parameters
    ----------
    model : Network
    chain : list
        What is run.
    parts : list
        What is recorded of it.
    training : bool
        Whether that is a step of training.
    """

    def __init__(self, model: Network, chain: list[Any], parts: list[Any], training: bool) -> None:
        self._training = training
        self._dicts: list[dict[str, Any]] = []
        in_python = [part.layer for part in parts if isinstance(part, LayerInPython)]
        for layer in model.layers:
            self._dicts += layer.params, *(vars(parameter) for parameter in layer.params.values())
            if not any(layer is other for other in in_python):
                self._dicts += vars(layer), layer.buffers
                activation = vars(layer).get("activation")
                self._dicts += [] if activation is None else [vars(activation)]
        if training and is_in_kernels(model.chain_loss):
            self._dicts.append(vars(model.chain_loss))
        self._then = self._read(model, chain)

    def holds(self, model: Network, chain: list[Any]) -> bool:
        """Return whether all of it is still the very same."""
        now = self._read(model, chain)
        return len(self._then) == len(now) and all(map(operator.is_, self._then, now))

    def _read(self, model: Network, chain: list[Any]) -> list[Any]:
        """Return the objects of which it consists."""
        state: list[Any] = [chain, len(chain)]
        for attributes in self._dicts:
            state += attributes.values()
        if self._training:
            optimizer = model.optimizer
            state += model.chain_loss, optimizer
            if is_one_kernel(optimizer):
                state += (vars(optimizer).get(name) for name in _OF_OPTIMIZER)
                for slots in optimizer.slots.values():
                    state += slots
        return state


class _Watch:
    """Sees that what runs in Python within a step has changed nothing that the kernels behind it have by heart."""

    state: _State | None = None

    def check(self, model: Network, chain: list[Any]) -> None:
        """Raise a RuntimeError if it has, before weights are changed."""
        if self.state is not None and not self.state.holds(model, chain):
            raise RuntimeError(
                "while a step of training ran, a layer or the loss changed an attribute or an array of another layer, "
                "which the steps behind it, being recorded, do not see; change it in a callback between two batches, "
                "or train with fit(fuse=False), which goes layer by layer"
            )


class _Given:
    """The memory in which a recording finds its batch; it stands for a :class:`Batch`."""

    targets: Array | None

    def __init__(self, model: Network, batch: Batch, ws: Workspace) -> None:
        labels = isinstance(model.chain_loss, losses.SparseCategoricalCrossentropy)
        self.x, self.y, self.weight = _steady(batch.x, ws), batch.y, batch.weight
        self.targets, self._shares = None, batch.shares(model)
        self._classes = model.layers[-1].built_output_shape[-1] if labels else 0
        if is_in_kernels(model.chain_loss):  # a loss that runs in Python is given the batch's own targets
            self.targets = aligned.empty(batch.y.shape, np.int64 if labels else model.dtype)
            np.copyto(self.targets, batch.y, casting="unsafe")

    def fill(self, model: Network, batch: Batch) -> None:
        """Put another batch there."""
        if batch.x is not self.x:
            np.copyto(self.x, batch.x)
        if self.targets is not None:
            if self._classes and not 0 <= batch.y.min() <= batch.y.max() < self._classes:
                check_labels(batch.y, len(batch.y), self._classes)  # it raises; a callback has changed them
            np.copyto(self.targets, batch.y, casting="unsafe")
        if batch.weight is not None:
            np.copyto(self._shares, batch.shares(model))

    def shares(self, model: Network) -> Array:
        """Return how much the loss of each image counts, as :meth:`Batch.shares` does."""
        return self._shares


def _steady(x: Array, ws: Workspace) -> Array:
    """Return a batch in the workspace's memory; only that of the training loop is there already."""
    if x is ws.keep("fit", "x", x.shape, x.dtype):
        return x
    batch = place(x.shape, x.dtype, ws)
    if x is not batch:
        np.copyto(batch, x)
    return batch


def place(shape: Shape, dtype: Any, ws: Workspace) -> Array:
    """Return the workspace's memory for images that are not a batch of the training loop."""
    return ws.keep("recorded", "x", shape, dtype)
