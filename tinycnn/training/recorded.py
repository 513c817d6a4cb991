"""A step of training, or a pass of prediction, written down once and then run by one call.

Most of the time of a small network's step goes into Python around the kernels. The kernels, their order and their
memory are the same at every step, though. So the first step on a kind of batch runs as :mod:`tinycnn.training.step`
says, the second one is recorded while it does the same, and from the third one on the recording runs
(``kernels/cpu/machine/program.py``). Results have the same bits either way.

A recording holds as long as everything is as it was: :class:`_State` compares the layers, their arrays, the loss and
the optimizer before each run. What is not a kernel (a layer or a loss of the user's own, penalties, most optimizers,
the means of the epoch) stands in the recording as a call of Python. For that the step is recorded with stand-ins, which
put such calls into the program and have the methods of what they stand for.
"""

import operator
from collections.abc import Callable, Hashable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from .. import activations, layers, losses
from ..core.parameter import Parameter
from ..core.types import Array
from ..core.workspace import Workspace
from ..kernels import aligned
from ..layers.base import Layer
from ..network.final_softmax import layer_of
from ..network.network import Network
from ..optimizers import Adam
from . import step as steps
from .batches import Batch
from .running_means import RunningMeans

#: The layers that do all of their work in kernels, with what is called; a class whose methods were replaced runs as it
#: is, and so do subclasses.
_RECORDED: dict[type[Layer], tuple[Any, ...]] = {
    kind: (kind.forward, kind.backward, kind.backward_parameters)
    for kind in (
        layers.Activation,
        layers.AveragePooling2D,
        layers.BatchNormalization,
        layers.Conv2D,
        layers.Dense,
        layers.DepthwiseConv2D,
        layers.Dropout,
        layers.ELU,
        layers.Flatten,
        layers.GaussianNoise,
        layers.GlobalAveragePooling2D,
        layers.GlobalMaxPooling2D,
        layers.LeakyReLU,
        layers.MaxPooling2D,
        layers.ReLU,
        layers.Reshape,
        layers.Softmax,
    )
}
#: How many recordings a workspace holds at most.
MOST = 32
#: What a recorded update of an optimizer depends on, except for the learning rate and the number of the update.
_OF_OPTIMIZER = "slots", "beta_1", "beta_2", "epsilon", "weight_decay", "clipnorm", "clipvalue", "global_clipnorm"
_METHODS = ("forward", "backward", "backward_parameters")


class Now(NamedTuple):
    """What is different in each run of a program.

    ``step`` is the number of the step of training and ``update`` that of the optimizer's update, which counts from 1.
    """

    step: int = 0
    update: int = 0
    learning_rate: float = 0.0
    model: Network | None = None
    batch: Batch | None = None
    means: RunningMeans | None = None


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
    now = Now(optimizer.iterations, optimizer.iterations + 1, optimizer.learning_rate, model, batch, means)
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
        if _recordable_optimizer(optimizer):
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
    assert now.batch is not None
    program = model.backend.kernels.fused.Program()
    given: Any = _Given(model, now.batch, ws)
    stand_in: Any = _ModelInParts(model, program)
    means: Any = _MeansInPython(program)
    with program.recording(now):
        parts: Any = [_recorded(part, program) for part in chain]
        train_step(stand_in, parts, given, means, ws)
    usable = program.refusal is None
    ws.recorded[key] = _Recording(_State(model, chain, True), program if usable else None, given)


def _record_pass(model: Network, chain: list[Any], x: Array, ws: Workspace, key: Hashable) -> Array:
    """Run a list of layers as in prediction, and record that."""
    program, x = model.backend.kernels.fused.Program(), _steady(x, ws)
    with program.recording(Now()):
        result = steps.infer([_recorded(part, program) for part in chain], x, ws)
    usable = program.refusal is None
    ws.recorded[key] = _Recording(_State(model, chain, False), program if usable else None, x, result)
    return result


class _State:
    """Everything that is written into a recording, as it was then.

    Parameters
    ----------
    model : Network
    chain : list
        What is recorded.
    training : bool
        Whether that is a step of training.
    """

    def __init__(self, model: Network, chain: list[Any], training: bool) -> None:
        self._training = training
        self._dicts: list[dict[str, Any]] = []
        for layer in model.layers:
            self._dicts += vars(layer), layer.params, layer.buffers
            self._dicts += (vars(parameter) for parameter in layer.params.values())
            activation = vars(layer).get("activation")
            self._dicts += [] if activation is None else [vars(activation)]
        if training:
            self._dicts += vars(model.chain_loss), model.optimizer.slots
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
            state += model.chain_loss, optimizer, *(vars(optimizer).get(name) for name in _OF_OPTIMIZER)
            for slots in optimizer.slots.values():
                state += slots
        return state


def _recordable_optimizer(optimizer: Any) -> bool:
    """Return whether an optimizer's step is one kernel for all parameters, and nothing else."""
    return type(optimizer) is Adam and not optimizer.changes_gradients()


def _recorded(part: Any, program: Any) -> Any:
    """Return what is recorded in place of a part of a chain: the part itself, or a call of Python."""
    layer = layer_of(part)
    if not isinstance(layer, Layer):  # a step of the plan, which consists of kernels
        return part
    kind = type(layer)
    known = _RECORDED.get(kind) == tuple(getattr(kind, name) for name in _METHODS)
    replaced = any(name in vars(layer) for name in _METHODS)
    activation = getattr(layer, "activation", None)
    ours = activation is None or type(activation) in activations.ACTIVATIONS.values()
    whole = getattr(layer, "algorithm", None) != "im2col"
    return part if known and not replaced and ours and whole else _LayerInPython(part, program)


class _Given:
    """The memory in which a recording finds its batch; it stands for a :class:`Batch`."""

    targets: Array | None

    def __init__(self, model: Network, batch: Batch, ws: Workspace) -> None:
        labels = isinstance(model.chain_loss, losses.SparseCategoricalCrossentropy)
        self.x, self.weight = _steady(batch.x, ws), batch.weight
        self.y = self.targets = aligned.empty(batch.y.shape, np.int64 if labels else model.dtype)
        self._shares = batch.shares(model)
        np.copyto(self.y, batch.y, casting="unsafe")

    def fill(self, model: Network, batch: Batch) -> None:
        """Put another batch there."""
        if batch.x is not self.x:
            np.copyto(self.x, batch.x)
        np.copyto(self.y, batch.y, casting="unsafe")
        if batch.weight is not None:
            np.copyto(self._shares, batch.shares(model))

    def shares(self, model: Network) -> Array:
        """Return how much the loss of each image counts, as :meth:`Batch.shares` does."""
        return self._shares


def _steady(x: Array, ws: Workspace) -> Array:
    """Return a batch in the workspace's memory; only that of the training loop is there already."""
    if x is ws.keep("fit", "x", x.shape, x.dtype):
        return x
    batch = ws.keep("recorded", "x", x.shape, x.dtype)
    np.copyto(batch, x)
    return batch


def _kept(memory: Array | None, values: Array) -> Array:
    """Return values in memory that stays where it is; at first there is none."""
    if memory is None:
        return aligned.copy(values)
    np.copyto(memory, values)
    return memory


class _LayerInPython:
    """A part of a chain that runs in Python; results are copied to where the kernels behind it find them.

    It has a workspace of its own, because kernels that are recorded do not take turns in that of the step.
    """

    def __init__(self, part: Any, program: Any) -> None:
        self._part, self._program = part, program
        self._memory = SimpleNamespace(ws=Workspace(), y=None, dx=None, cache=None)

    @property
    def params(self) -> dict[str, Parameter]:
        """The parameters of the part."""
        params: dict[str, Parameter] = self._part.params
        return params

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, Any]:
        """Return result and cache, as :meth:`Layer.forward` does."""
        part, memory = self._part, self._memory

        def run(now: Now) -> None:
            y, memory.cache = part.forward(x, training=training, step=now.step, ws=memory.ws)
            memory.y = _kept(memory.y, y)

        self._program.call(run)
        return memory.y, None

    def backward(self, dy: Array, cache: Any, *, ws: Workspace | None = None) -> Array:
        """Return dx, as :meth:`Layer.backward` does."""
        part, memory = self._part, self._memory

        def run(now: Now) -> None:
            memory.dx = _kept(memory.dx, part.backward(dy, memory.cache, ws=memory.ws))

        self._program.call(run)
        dx: Array = memory.dx
        return dx

    def backward_parameters(self, dy: Array, cache: Any, *, ws: Workspace | None = None) -> None:
        """Write the parameters' gradients, as :meth:`Layer.backward_parameters` does."""
        part, memory = self._part, self._memory
        self._program.call(lambda now: part.backward_parameters(dy, memory.cache, ws=memory.ws))


class _LossInPython:
    """A loss that runs in Python."""

    def __init__(self, loss: Any, program: Any) -> None:
        self._loss, self._program = loss, program
        self._memory = SimpleNamespace(losses=None, p=None, dy=None, cache=None)

    def forward(self, y_pred: Array, y_true: Array, backend: Any) -> tuple[Array, Any]:
        """Return the loss of each sample, and a cache, as :meth:`Loss.forward` does."""
        loss, memory = self._loss, self._memory

        def run(now: Any) -> None:
            values, memory.cache = loss.forward(y_pred, now.batch.y, backend)
            memory.losses, memory.p = _kept(memory.losses, values), _kept(memory.p, memory.cache.p)

        self._program.call(run)
        return memory.losses, SimpleNamespace(p=memory.p)

    def backward(self, cache: Any, weights: Array, backend: Any) -> Array:
        """Return the gradient, as :meth:`Loss.backward` does."""
        loss, memory = self._loss, self._memory

        def run(now: Now) -> None:
            memory.dy = _kept(memory.dy, loss.backward(memory.cache, weights, backend))

        self._program.call(run)
        dy: Array = memory.dy
        return dy


class _MeansInPython:
    """The means of the epoch, which Python computes."""

    def __init__(self, program: Any) -> None:
        self._program = program

    def update(self, values: Array, y_true: Array, y_pred: Array, weight: Array | None = None) -> None:
        """Add a batch, as :meth:`RunningMeans.update` does."""
        self._program.call(lambda now: now.means.update(values, now.batch.y, y_pred, now.batch.weight))


class _ModelInParts:
    """A model whose loss, penalties and optimizer are kernels where they can be, and else run in Python."""

    def __init__(self, model: Network, program: Any) -> None:
        self.backend, self.dtype, self.parameters = model.backend, model.dtype, model.parameters
        self._program = program
        self.chain_loss: Any = model.chain_loss
        if not _recordable_loss(self.chain_loss):
            self.chain_loss = _LossInPython(self.chain_loss, program)
        self.optimizer: Any = model.optimizer
        if not _recordable_optimizer(self.optimizer):
            self.optimizer = SimpleNamespace(iterations=model.optimizer.iterations, step=self._step_in_python)

    def add_penalty_gradients(self) -> None:
        """Add the gradients of penalties on weights, if there are any."""
        if any(parameter.regularizer is not None for parameter in self.parameters().values()):
            self._program.call(lambda now: now.model.add_penalty_gradients())

    def _step_in_python(self, parameters: dict[str, Parameter], backend: Any) -> None:
        """Take the optimizer's step."""
        self._program.call(lambda now: now.model.optimizer.step(now.model.parameters(), backend))


def _recordable_loss(loss: Any) -> bool:
    """Return whether a loss does all of its work in kernels."""
    if type(loss) is losses.CategoricalCrossentropy:
        return loss.from_logits and not loss.label_smoothing
    return type(loss) is losses.MeanSquaredError or (
        type(loss) is losses.SparseCategoricalCrossentropy and loss.from_logits
    )
