"""How a network is compiled: its optimizer, loss and metrics, and which layers run as one.

What runs follows from the layers and the loss as they are now. If one of them was changed, for instance the activation
of a layer, chain and plans are made anew before they are next used.
"""

import contextlib
import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from .. import losses, optimizers
from ..core.backend import Backend
from ..core.parameter import Parameter
from ..core.workspace import Workspace
from ..layers.base import Layer
from ..metrics import by_name as metrics_by_name
from .final_activation import check_end, training_chain
from .plan import fused
from .stage import METHODS

#: The most bytes of memory that a model keeps between two predictions.
IDLE_BYTES = 256 << 20


class Chains(NamedTuple):
    """What runs: the single layers in training, the plan for training, and the plan for evaluation."""

    chain: list[Any]
    plan: list[Any]
    evaluation_plan: list[Any]


class Compiling:
    """The half of a network that knows how it is trained, and what runs in training, evaluation and prediction."""

    name: str
    layers: list[Layer]
    backend: Backend
    built: bool

    def __init__(self) -> None:
        self.compiled = False
        self._chains: Chains | None = None
        self._made_for: list[Any] = []
        self._predicting: tuple[list[Any], list[Any]] = [], []
        self._idle: list[Workspace] = []

    def need_build(self) -> None:
        """Raise RuntimeError unless the model has layers and is built."""
        raise NotImplementedError

    def parameters(self) -> dict[str, Parameter]:
        """Return all parameters, each under its name ``layer/parameter``."""
        raise NotImplementedError

    def compile(self, optimizer: Any = "adam", loss: Any = None, metrics: Sequence[Any] | None = None) -> None:
        """Choose how to train.

        Parameters
        ----------
        optimizer : str or Optimizer
            A name stands for an optimizer with its default arguments.
        loss : str or Loss
            What training makes small; it must be given.
        metrics : sequence of str or Metric, optional
            What ``fit`` and ``evaluate`` report besides the loss. ``"accuracy"`` is the share of samples whose class is
            right; with a binary crossentropy, it is the share of answers that are.

        Raises
        ------
        ValueError
            If a name is unknown (the message suggests the nearest valid one), or if loss and last layer do not fit: a
            softmax or sigmoid with ``from_logits=True``, none with ``from_logits=False``, two softmaxes in a row.
        """
        if loss is None:
            raise ValueError("compile needs a loss, for example loss='sparse_categorical_crossentropy'")
        wanted = losses.get(loss)
        chosen = optimizers.get(optimizer), wanted, metrics_by_name(() if metrics is None else metrics, wanted.accuracy)
        if self.built:
            self.make_chain(*chosen[:2])
        else:
            check_end(self.layers, chosen[1])
            self._chains = None
        self.optimizer, self.loss, self.metrics = chosen
        self.compiled = True

    def make_chain(self, optimizer: optimizers.Optimizer, loss: losses.Loss) -> None:
        """Work out what training runs, as single layers and as a plan, or raise an error and change nothing."""
        chain, chain_loss = training_chain(list(self.layers), loss)
        parameters = self.parameters()
        optimizer.follow(parameters)
        if optimizer.slots.keys() - parameters.keys():
            raise ValueError("the optimizer has been used by another model; make a new one")
        self._chained = list(self.layers)
        plans = fused(chain, self.backend), fused(chain, self.backend, training=False)
        self._chains, self.chain_loss = Chains(chain, *plans), chain_loss
        self._made_for = [*_parts(self.layers), *_parts_of_loss(loss, chain_loss)]

    def need_compile(self) -> None:
        """Raise RuntimeError unless the model is compiled with the layers that it has now.

        A model that was compiled before it was built gets its chain here, and so does one whose layers or loss were
        changed since.
        """
        if not self.compiled:
            raise RuntimeError(
                f"{self.name} is not compiled: call model.compile(optimizer='adam', "
                "loss='sparse_categorical_crossentropy', metrics=['accuracy']) first"
            )
        self.need_build()
        self._take_over_given()
        if self._chains is None:
            self.make_chain(self.optimizer, self.loss)
        if self._chained != list(self.layers):
            raise RuntimeError(f"the layers of {self.name} have changed since it was compiled: compile it again")
        if not self._is_current():
            self.make_chain(self.optimizer, self.loss)

    def _is_current(self) -> bool:
        """Return whether chain and plans were made for the layers and the loss as they are now."""
        return _same(self._made_for, [*_parts(self.layers), *_parts_of_loss(self.loss, self.chain_loss)])

    def _take_over_given(self) -> None:
        """Turn what was put in place of the optimizer, the loss or the metrics into what compile would have made."""
        self.optimizer, self.loss = optimizers.get(self.optimizer), losses.get(self.loss)
        if not isinstance(self.metrics, dict):
            self.metrics = metrics_by_name(() if self.metrics is None else self.metrics, self.loss.accuracy)

    def losses_used(self) -> tuple[losses.Loss, ...]:
        """Return the loss, and the copy of it that the chain works with, if there is one."""
        self.need_compile()
        return (self.loss,) if self.chain_loss is self.loss else (self.loss, self.chain_loss)

    def chains(self) -> Chains:
        """Return what runs now; the same object as long as nothing changes on which it depends."""
        if self._chains is None or not self._is_current():  # it is asked for after every batch
            self.need_compile()
        assert self._chains is not None
        return self._chains

    @property
    def chain(self) -> list[Any]:
        """The layers as training runs them: without a final softmax that the loss has taken over."""
        return self.chains().chain

    @property
    def plan(self) -> list[Any]:
        """The chain with steps in place of the layers that run as one; see :mod:`tinycnn.network.plan`."""
        return self.chains().plan

    @property
    def evaluation_plan(self) -> list[Any]:
        """The plan for evaluation, in which no layer trains and batch normalization is a fixed map."""
        return self.chains().evaluation_plan

    @property
    def prediction_plan(self) -> list[Any]:
        """The plan for prediction, which runs all layers, a final softmax included."""
        parts, plan = self._predicting
        if not _same(parts, now := _parts(self.layers)):
            plan = fused(list(self.layers), self.backend, training=False)
            self._predicting = now, plan  # both at once, because other threads may look
        return plan

    @contextlib.contextmanager
    def lent_workspace(self) -> Iterator[Workspace]:
        """Lend a workspace for one call: that of the last call, whose memory is already there, unless it is in use."""
        try:
            ws = self._idle.pop()
        except IndexError:  # the first call, or another thread has it
            ws = Workspace(self.backend.empty)
        yield ws
        if not self._idle and ws.nbytes() <= IDLE_BYTES:
            self._idle.append(ws)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy of the model holds: everything but the memory that is kept for the next prediction."""
        return self.__dict__ | {"_idle": []}


def _parts(layers: Iterable[Layer]) -> list[Any]:
    """Return the layers, and those of their attributes on which it depends what runs as one."""
    parts: list[Any] = []
    for layer in layers:  # a plain loop, because this is asked before every prediction
        attributes = vars(layer)
        activation = attributes.get("activation")
        parts += layer, activation, attributes.get("algorithm"), *map(attributes.get, METHODS)
        if held := getattr(activation, "__dict__", None):
            parts += held.values()
    return parts


def _parts_of_loss(loss: losses.Loss, used: losses.Loss) -> list[Any]:
    """Return a loss, and all that it holds if the chain works with a copy of it."""
    return [loss] if used is loss else [loss, *getattr(loss, "__dict__", {}).values()]


def _same(before: list[Any], now: list[Any]) -> bool:
    """Return whether two lists hold the very same objects."""
    return len(before) == len(now) and all(map(operator.is_, before, now))
