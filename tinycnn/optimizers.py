"""Optimizers, by Keras 3's formulas. The arithmetic of a step is a kernel; an optimizer holds state and rates."""

from typing import Any, ClassVar

import numpy as np

from . import schedules
from ._checks import boolean, real, unknown
from ._types import Array, Config
from .backend import Backend
from .layers.base import Parameter


class Optimizer:
    """Base of all optimizers.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        A schedule is asked for its rate at every step.

    Attributes
    ----------
    iterations : int
        Steps taken.
    slots : dict of str to list of arrays
        Per parameter, what the optimizer remembers of it (moments, velocity).
    """

    #: Arrays of a parameter's shape that the optimizer keeps for it.
    slot_names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, learning_rate: Any) -> None:
        self._rate = _checked_rate(learning_rate)
        self.iterations = 0
        self.slots: dict[str, list[Array]] = {}

    @property
    def learning_rate(self) -> float:
        """The rate of the next step. Setting it is refused while a schedule rules."""
        if isinstance(self._rate, schedules.LearningRateSchedule):
            return self._rate(self.iterations)
        return self._rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(self._rate, schedules.LearningRateSchedule):
            raise TypeError(f"learning_rate is given by {type(self._rate).__name__} and cannot be set by hand as well")
        self._rate = _checked_rate(value)

    def step(self, parameters: dict[str, Parameter], backend: Backend) -> None:
        """Move every trainable parameter against its gradient, once.

        Parameters
        ----------
        parameters : dict of str to Parameter
            By a name that stays the same from step to step.
        backend : Backend
        """
        rate = self.learning_rate
        self.iterations += 1
        for key, parameter in parameters.items():
            if not parameter.trainable:
                continue
            slots = self.slots.get(key)
            if slots is None:
                slots = self.slots[key] = [np.zeros_like(parameter.value) for _ in self.slot_names]
            self.update(parameter.value, parameter.grad, slots, rate, backend)

    def update(self, value: Array, grad: Array, slots: list[Array], rate: float, backend: Backend) -> None:
        """Move one parameter in place."""
        raise NotImplementedError

    def get_config(self) -> Config:
        """The constructor's arguments, ready for JSON."""
        rate = self._rate
        if isinstance(rate, schedules.LearningRateSchedule):
            return {"learning_rate": schedules.serialize(rate)}
        return {"learning_rate": rate}


class SGD(Optimizer):
    """Gradient descent, with momentum if asked: ``v = momentum * v - rate * g; w += v``.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    momentum : float in [0, 1)
    nesterov : bool
        Look ahead: ``w += momentum * v - rate * g``.
    """

    def __init__(self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False) -> None:
        super().__init__(learning_rate)
        self.momentum = real(momentum, "momentum", 0, below=1)
        self.nesterov = boolean(nesterov, "nesterov")
        self.slot_names = ("velocity",) if self.momentum else ()  # type: ignore[misc]

    def update(self, value: Array, grad: Array, slots: list[Array], rate: float, backend: Backend) -> None:
        velocity = slots[0] if slots else None
        backend.kernels.sgd_update(value, grad, velocity, rate, self.momentum, self.nesterov)

    def get_config(self) -> Config:
        return super().get_config() | {"momentum": self.momentum, "nesterov": self.nesterov}


class Adam(Optimizer):
    """Steps scaled by running moments of the gradient, with bias correction.

    Source: Kingma & Ba, "Adam: a method for stochastic optimization", 2015.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    beta_1, beta_2 : float in [0, 1)
        Memory of the first and the second moment.
    epsilon : float > 0
    """

    slot_names = ("m", "v")

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7
    ) -> None:
        super().__init__(learning_rate)
        self.beta_1 = real(beta_1, "beta_1", 0, below=1)
        self.beta_2 = real(beta_2, "beta_2", 0, below=1)
        self.epsilon = real(epsilon, "epsilon", above=0)

    def update(self, value: Array, grad: Array, slots: list[Array], rate: float, backend: Backend) -> None:
        m, v = slots
        backend.kernels.adam_update(value, grad, m, v, self.iterations, rate, self.beta_1, self.beta_2, self.epsilon)

    def get_config(self) -> Config:
        return super().get_config() | {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


OPTIMIZERS: dict[str, type[Optimizer]] = {cls.__name__: cls for cls in (SGD, Adam)}


def get(optimizer: Any) -> Optimizer:
    """An optimizer from its name (any case), its configuration, or itself.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    config: Config = {}
    name = optimizer
    if isinstance(optimizer, dict) and optimizer.keys() == {"class_name", "config"}:
        name, config = optimizer["class_name"], dict(optimizer["config"])
    by_name = {key.lower(): cls for key, cls in OPTIMIZERS.items()}
    if not isinstance(name, str) or name.lower() not in by_name:
        raise unknown("optimizer", name, by_name)
    rate = config.get("learning_rate")
    if isinstance(rate, dict):
        config["learning_rate"] = schedules.deserialize(rate)
    return by_name[name.lower()](**config)


def _checked_rate(value: Any) -> Any:
    if isinstance(value, schedules.LearningRateSchedule):
        return value
    return real(value, "learning_rate", 0)
