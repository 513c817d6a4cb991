"""What stands for a model, its layers and its loss while a step is recorded.

The walk through the layers is recorded as it runs. What is no kernel must not run within it, because its results would
be those of one step for ever. So each such part has a stand-in with the same methods. These put a call of the part into
the program, and hand on memory to which every call copies its results.
"""

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from .. import activations, layers, losses
from ..core.parameter import Parameter
from ..core.types import Array
from ..core.workspace import Workspace
from ..kernels import aligned
from ..layers.base import Layer
from ..network.final_activation import layer_of
from ..network.network import Network
from ..network.stage import is_plain
from ..optimizers import SGD, Adam
from .batches import Batch
from .running_means import RunningMeans

#: The layers that do all of their work in kernels, with what is called; a class whose methods were replaced runs as it
#: is, and so do subclasses.
_LAYERS: dict[type, tuple[Any, ...]] = {
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
_ACTIVATIONS: dict[type, tuple[Any, ...]] = {
    kind: (kind.forward, kind.backward) for kind in activations.ACTIVATIONS.values()
}


class Now(NamedTuple):
    """What is different in each run of a program.

    ``step`` is the number of the step of training and ``update`` that of the optimizer's update, which counts from 1.
    """

    step: int = 0
    update: int = 0
    model: Network | None = None
    batch: Batch | None = None
    means: RunningMeans | None = None

    @property
    def learning_rate(self) -> float:
        """The optimizer's rate, which a loss of the user's own may set within the step."""
        return 0.0 if self.model is None else float(self.model.optimizer.learning_rate)


def is_one_kernel(optimizer: Any) -> bool:
    """Return whether an optimizer's step is one kernel for all parameters, and nothing else."""
    plain = vars(optimizer).keys().isdisjoint({"step", "update", "update_together"})
    return type(optimizer) in (Adam, SGD) and plain and not optimizer.changes_gradients()


def part_or_stand_in(part: Any, program: Any) -> Any:
    """Return what is recorded in place of a part of a chain: the part itself, or a call of Python."""
    layer = layer_of(part)
    if not isinstance(layer, Layer):  # a step of the plan, which consists of kernels
        return part
    kind, activation = type(layer), getattr(layer, "activation", None)
    known = _LAYERS.get(kind) == (kind.forward, kind.backward, kind.backward_parameters) and is_plain(layer, kind)
    if activation is not None:
        kind = type(activation)
        known &= _ACTIVATIONS.get(kind) == (kind.forward, kind.backward) and is_plain(activation, kind)
    return part if known and getattr(layer, "algorithm", None) != "im2col" else LayerInPython(part, program)


def _kept(memory: Array | None, values: Array) -> Array:
    """Return values in memory that stays where it is; at first there is none."""
    if memory is None:
        return aligned.copy(values)
    np.copyto(memory, values)
    return memory


class LayerInPython:
    """A part of a chain that runs in Python; results are copied to where the kernels behind it find them.

    It has a workspace of its own, because kernels that are recorded do not take turns in that of the step. If it
    assigns arrays to its parameters, what they hold is copied to where the kernels find values and gradients.
    """

    def __init__(self, part: Any, program: Any) -> None:
        self.layer = layer_of(part)
        self._part, self._program = part, program
        self._memory = SimpleNamespace(ws=Workspace(), y=None, dx=None, cache=None)
        self._values: dict[str, Array] = {}
        self._grads: dict[str, Array] = {}

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
            self._settle()

        self._program.call(run)
        return memory.y, None

    def backward(self, dy: Array, cache: Any, *, ws: Workspace | None = None) -> Array:
        """Return dx, as :meth:`Layer.backward` does."""
        part, memory = self._part, self._memory

        def run(now: Now) -> None:
            memory.dx = _kept(memory.dx, part.backward(dy, memory.cache, ws=memory.ws))
            self._settle()

        self._program.call(run)
        dx: Array = memory.dx
        return dx

    def backward_parameters(self, dy: Array, cache: Any, *, ws: Workspace | None = None) -> None:
        """Write the parameters' gradients, as :meth:`Layer.backward_parameters` does."""
        part, memory = self._part, self._memory

        def run(now: Now) -> None:
            part.backward_parameters(dy, memory.cache, ws=memory.ws)
            self._settle()

        self._program.call(run)

    def _settle(self) -> None:
        """Have the parameters' arrays where they were after the first forward, where kernels behind it find them."""
        for name, parameter in self._part.params.items():
            value = self._values.setdefault(name, parameter.value)
            grad = self._grads.setdefault(name, parameter.grad)
            if parameter.value is not value:
                value[...] = parameter.value
                parameter.value = value
            if parameter.grad is not grad:
                if parameter.grad.shape != grad.shape:
                    raise ValueError(
                        f"{self.layer.label}: backward must give {name} a gradient of shape {grad.shape}; got shape "
                        f"{parameter.grad.shape}"
                    )
                grad[...] = parameter.grad
                parameter.grad = grad


class LossInPython:
    """A loss that runs in Python."""

    def __init__(self, loss: Any, program: Any) -> None:
        self._loss, self._program = loss, program
        self._memory = SimpleNamespace(losses=None, p=None, dy=None, cache=None)

    def forward(self, y_pred: Array, y_true: Array, backend: Any) -> tuple[Array, Any]:
        """Return the loss of each sample, and a cache, as :meth:`tinycnn.losses.Loss.forward` does."""
        loss, memory = self._loss, self._memory

        def run(now: Any) -> None:
            values, memory.cache = loss.forward(y_pred, now.batch.y, backend)
            memory.losses, memory.p = _kept(memory.losses, values), _kept(memory.p, memory.cache.p)

        self._program.call(run)
        return memory.losses, SimpleNamespace(p=memory.p)

    def backward(self, cache: Any, weights: Array, backend: Any) -> Array:
        """Return the gradient, as :meth:`tinycnn.losses.Loss.backward` does."""
        loss, memory = self._loss, self._memory

        def run(now: Now) -> None:
            memory.dy = _kept(memory.dy, loss.backward(memory.cache, weights, backend))

        self._program.call(run)
        dy: Array = memory.dy
        return dy


class MeansInPython:
    """The means of the epoch, which Python computes."""

    def __init__(self, program: Any) -> None:
        self._program = program

    def update(self, values: Array, y_true: Array, y_pred: Array, weight: Array | None = None) -> None:
        """Add a batch, as :meth:`RunningMeans.update` does."""
        self._program.call(lambda now: now.means.update(values, now.batch.y, y_pred, now.batch.weight))


class ModelInParts:
    """A model whose loss, penalties and optimizer are kernels where they can be, and else run in Python."""

    def __init__(self, model: Network, program: Any) -> None:
        self.backend, self.dtype, self.parameters = model.backend, model.dtype, model.parameters
        self._program = program
        #: What is called before weights are changed, if anything in Python may have changed what kernels know.
        self.check: Any = None
        self.chain_loss: Any = model.chain_loss
        if not is_in_kernels(self.chain_loss):
            self.chain_loss = LossInPython(self.chain_loss, program)
        self.optimizer: Any = model.optimizer
        if not is_one_kernel(self.optimizer):
            self.optimizer = SimpleNamespace(iterations=model.optimizer.iterations, step=self._step_in_python)

    def add_penalty_gradients(self) -> None:
        """Add the gradients of penalties on weights, if there are any; before, see that the step was as recorded."""
        if self.check is not None:
            self._program.call(lambda now: self.check())
        if any(parameter.regularizer is not None for parameter in self.parameters().values()):
            self._program.call(lambda now: now.model.add_penalty_gradients())

    def _step_in_python(self, parameters: dict[str, Parameter], backend: Any) -> None:
        """Take the optimizer's step."""
        self._program.call(lambda now: now.model.optimizer.step(now.model.parameters(), backend))


def is_in_kernels(loss: Any) -> bool:
    """Return whether a loss does all of its work in kernels."""
    if not vars(loss).keys().isdisjoint({"forward", "backward", "prepared"}):
        return False
    if type(loss) is losses.CategoricalCrossentropy:
        return loss.from_logits and not loss.label_smoothing
    return type(loss) is losses.MeanSquaredError or (
        type(loss) is losses.SparseCategoricalCrossentropy and loss.from_logits
    )
