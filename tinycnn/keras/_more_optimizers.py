"""Optimizers of Keras's that the engine does not have: Adadelta, Adagrad, Adamax and Nadam, with Keras 3's formulas.

They move weights with NumPy, where the engine's own use kernels; so they are slower.
"""

import functools
from typing import Any

import numpy as np

from ..core.backend import Backend
from ..core.checks import real
from ..core.types import Array
from ..optimizers import Optimizer


class _OnHost(Optimizer):
    """Base of the optimizers that compute with NumPy; arrays on a device are brought to the host and back."""

    def update(self, value: Array, grad: Array, slots: list[Array], rate: float, backend: Backend) -> None:
        if not backend.on_device:
            self.move(value, grad, slots, rate)
            return
        arrays = [value, *slots]
        host = [backend.to_numpy(one).copy() for one in arrays]
        self.move(host[0], backend.to_numpy(grad), host[1:], rate)
        for there, here in zip(arrays, host, strict=True):
            there[...] = backend.array(here, here.dtype.name)

    def move(self, value: Array, grad: Array, slots: list[Array], rate: float) -> None:
        """Move one parameter in place."""
        raise NotImplementedError


class Adadelta(_OnHost):
    """Steps as long as a running root mean square of earlier steps, over that of the gradients.

    ``s = rho * s + (1 - rho) * g**2; u = -sqrt(d + epsilon) / sqrt(s + epsilon) * g;
    d = rho * d + (1 - rho) * u**2; w += rate * u``.

    Source: Zeiler, "ADADELTA: an adaptive learning rate method", 2012.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        The paper's is 1.0; Keras's default since version 2.3 is 0.001.
    rho : float in [0, 1)
        The share of the running means that is kept from step to step.
    epsilon : float > 0
        A small number that keeps both roots away from 0.
    **base
        ``weight_decay`` and one kind of clipping.
    """

    slot_names = ("mean_square", "mean_square_of_steps")

    def __init__(self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **base: Any) -> None:
        super().__init__(learning_rate, **base)
        self.rho = real(rho, "rho", 0, below=1)
        self.epsilon = real(epsilon, "epsilon", above=0)

    def move(self, value: Array, grad: Array, slots: list[Array], rate: float) -> None:
        squares, steps = slots
        squares *= self.rho
        squares += (1 - self.rho) * np.square(grad)
        update = -np.sqrt(steps + self.epsilon) / np.sqrt(squares + self.epsilon) * grad
        steps *= self.rho
        steps += (1 - self.rho) * np.square(update)
        value += rate * update


class Adagrad(_OnHost):
    """Steps that are divided by the root of the sum of all squared gradients.

    ``s += g**2; w -= rate * g / sqrt(s + epsilon)``.

    Source: Duchi, Hazan & Singer, "Adaptive subgradient methods for online learning and stochastic optimization", 2011.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        The learning rate.
    initial_accumulator_value : float
        What the sum begins with.
    epsilon : float > 0
        A small number that keeps the root away from 0.
    **base
        ``weight_decay`` and one kind of clipping.
    """

    slot_names = ("sum_of_squares",)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **base: Any,
    ) -> None:
        super().__init__(learning_rate, **base)
        self.initial_accumulator_value = real(initial_accumulator_value, "initial_accumulator_value", 0)
        self.epsilon = real(epsilon, "epsilon", above=0)

    def move(self, value: Array, grad: Array, slots: list[Array], rate: float) -> None:
        [squares] = slots
        squares += np.square(grad)
        value -= rate * grad / np.sqrt(squares + (self.initial_accumulator_value + self.epsilon))


class _OfMoments(_OnHost):
    """Base of the optimizers with a running mean of gradients and one of their sizes."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **base: Any,
    ) -> None:
        super().__init__(learning_rate, **base)
        self.beta_1, self.beta_2 = real(beta_1, "beta_1", 0, below=1), real(beta_2, "beta_2", 0, below=1)
        self.epsilon = real(epsilon, "epsilon", above=0)


class Adamax(_OfMoments):
    """Adam with the largest gradient so far, which slowly fades, in place of the root of the second moment.

    ``m = beta_1 * m + (1 - beta_1) * g; u = max(beta_2 * u, abs(g)); w -= rate / (1 - beta_1**t) * m / (u + epsilon)``.

    Source: Kingma & Ba, "Adam: a method for stochastic optimization", 2015, section 7.1.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        The learning rate.
    beta_1, beta_2 : float in [0, 1)
        The shares that are kept from step to step.
    epsilon : float > 0
        A small number that keeps the divisor away from 0.
    **base
        ``weight_decay`` and one kind of clipping.
    """

    slot_names = ("m", "u")

    def move(self, value: Array, grad: Array, slots: list[Array], rate: float) -> None:
        m, largest = slots
        m += (grad - m) * (1 - self.beta_1)
        np.maximum(self.beta_2 * largest, np.abs(grad), out=largest)
        value -= rate * m / ((1 - self.beta_1**self.iterations) * (largest + self.epsilon))


@functools.lru_cache(maxsize=4)  # All parameters of a step ask for the same.
def _shares(t: int, beta_1: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return Nadam's shares of steps t and t + 1, and their products from the first step on.

    They depend on the number of the step alone, so that nothing of them has to be kept in a file. After a thousand
    steps ``0.96**t`` is too small to change 1, so that no more factors are multiplied however long a training is.
    """
    factors = 1 - 0.5 * 0.96 ** np.arange(1, min(t, 1000) + 1)
    now, after = beta_1 * (1 - 0.5 * 0.96**t), beta_1 * (1 - 0.5 * 0.96 ** (t + 1))
    product = float(np.prod(factors)) * beta_1**t
    return (now, after), (product, product * after)


class Nadam(_OfMoments):
    """Adam that looks ahead, with Nesterov's momentum.

    With ``u_t = beta_1 * (1 - 0.5 * 0.96**t)`` and ``U_t = u_1 * ... * u_t``, the step is that of Adam with
    ``u_{t+1} * m / (1 - U_{t+1}) + (1 - u_t) * g / (1 - U_t)`` in the place of the first moment.

    Source: Dozat, "Incorporating Nesterov momentum into Adam", 2016.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        The learning rate.
    beta_1, beta_2 : float in [0, 1)
        The shares of the moments that are kept from step to step.
    epsilon : float > 0
        A small number that keeps the divisor away from 0.
    **base
        ``weight_decay`` and one kind of clipping.
    """

    slot_names = ("m", "v")

    def move(self, value: Array, grad: Array, slots: list[Array], rate: float) -> None:
        m, v = slots
        t = self.iterations
        (now, after), (product, next_product) = _shares(t, self.beta_1)
        m += (grad - m) * (1 - self.beta_1)
        v += (np.square(grad) - v) * (1 - self.beta_2)
        ahead = after * m / (1 - next_product) + (1 - now) * grad / (1 - product)
        value -= rate * ahead / (np.sqrt(v / (1 - self.beta_2**t)) + self.epsilon)


OPTIMIZERS: dict[str, type[Optimizer]] = {cls.__name__: cls for cls in (Adadelta, Adagrad, Adamax, Nadam)}
