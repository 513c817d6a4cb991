"""Optimizer steps in one pass over each array. See ``reference.optimizer`` for the formulas."""

import math

import numpy as np
from numba import prange

from ._arrays import operand
from ._jit import helper, kernel
from .activation import CHUNK, pieces_of


def sgd_update(parameter, gradient, velocity, learning_rate, momentum, nesterov):
    """See :func:`reference.sgd_update`."""
    state = {"parameter": parameter} if velocity is None else {"parameter": parameter, "velocity": velocity}
    arrays, gradient = _prepare(state, gradient)
    number = gradient.dtype.type
    flat = [array.reshape(-1) for array in arrays]
    rates = number(learning_rate), number(momentum)
    _sgd(flat[0], gradient.reshape(-1), flat[-1], velocity is not None, *rates, bool(nesterov))
    _store(arrays, state)


def adam_update(parameter, gradient, m, v, step, learning_rate, beta_1, beta_2, epsilon):
    """See :func:`reference.adam_update`."""
    state = {"parameter": parameter, "m": m, "v": v}
    arrays, gradient = _prepare(state, gradient)
    number = gradient.dtype.type
    rate = number(learning_rate * (1 - beta_2**step) ** 0.5 / (1 - beta_1**step))
    flat = [array.reshape(-1) for array in arrays]
    _adam(
        flat[0], gradient.reshape(-1), flat[1], flat[2], rate, number(1 - beta_1), number(1 - beta_2), number(epsilon)
    )
    _store(arrays, state)


def _prepare(state, gradient):
    """The arrays to update, and the gradient, as jitted code takes them: copies where a layout asks for it."""
    gradient = operand("gradient", gradient)
    for name, array in state.items():
        if isinstance(array, np.ndarray) and not array.flags.writeable:
            raise ValueError(f"{name} is read-only")
    return [operand(name, array, dtype=gradient.dtype, shape=gradient.shape) for name, array in state.items()], gradient


def _store(arrays, state):
    """Write back what had to be copied."""
    for array, original in zip(arrays, state.values(), strict=True):
        if array is not original:
            np.copyto(original, array)


@kernel()
def _sgd(parameter, gradient, velocity, has_velocity, rate, momentum, nesterov):
    """Fixed chunks of elements. Without a velocity the argument of that name is not touched."""
    for chunk in prange(pieces_of(parameter.size, CHUNK)):
        start, stop = chunk * CHUNK, min(parameter.size, (chunk + 1) * CHUNK)
        if has_velocity:
            momentum_chunk(parameter[start:stop], gradient[start:stop], velocity[start:stop], rate, momentum, nesterov)
        else:
            descent_chunk(parameter[start:stop], gradient[start:stop], rate)


@helper
def descent_chunk(parameter, gradient, rate):
    """Plain descent."""
    for i in range(parameter.size):
        parameter[i] -= rate * gradient[i]


@helper
def momentum_chunk(parameter, gradient, velocity, rate, momentum, nesterov):
    """Descent with momentum, or Nesterov's."""
    for i in range(parameter.size):
        step = rate * gradient[i]
        speed = momentum * velocity[i] - step
        velocity[i] = speed
        parameter[i] += momentum * speed - step if nesterov else speed


@kernel()
def _adam(parameter, gradient, m, v, rate, rest_1, rest_2, epsilon):
    """Fixed chunks of elements; ``rest_*`` is ``1 - beta_*``."""
    for chunk in prange(pieces_of(parameter.size, CHUNK)):
        start, stop = chunk * CHUNK, min(parameter.size, (chunk + 1) * CHUNK)
        adam_chunk(
            parameter[start:stop], gradient[start:stop], m[start:stop], v[start:stop], rate, rest_1, rest_2, epsilon
        )


@helper
def adam_chunk(parameter, gradient, m, v, rate, rest_1, rest_2, epsilon):
    """One chunk of :func:`_adam`."""
    for i in range(parameter.size):
        g = gradient[i]
        m[i] += rest_1 * (g - m[i])
        v[i] += rest_2 * (g * g - v[i])
        parameter[i] -= rate * m[i] / (math.sqrt(v[i]) + epsilon)
