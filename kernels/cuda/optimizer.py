"""Optimizer steps, with a thread per weight. See ``reference.optimizer`` for the formulas."""

import math

import numpy as np

from ._arrays import deliver, operand, scratch, store, target, updated
from ._device import SUM_CHUNKS, THREADS, cuda, kernel, launch, spread
from ._sums import sum_of_squares

__all__ = ["adam_update", "clip_gradient", "gradient_norm", "rmsprop_update", "scale_gradient", "sgd_update"]


def sgd_update(parameter, gradient, velocity, learning_rate, momentum, nesterov):
    """See :func:`reference.sgd_update`."""
    state = {"parameter": parameter} if velocity is None else {"parameter": parameter, "velocity": velocity}
    arrays, gradient = _prepare(state, gradient)
    number = gradient.dtype.type
    if velocity is None:
        spread(_descend, gradient.size, arrays[0], gradient, number(learning_rate))
    else:
        rates = number(learning_rate), number(momentum)
        spread(_descend_with_momentum, gradient.size, arrays[0], gradient, arrays[1], *rates, bool(nesterov))
    store(arrays, state)


def adam_update(parameter, gradient, m, v, step, learning_rate, beta_1, beta_2, epsilon):
    """See :func:`reference.adam_update`."""
    state = {"parameter": parameter, "m": m, "v": v}
    (w, m_line, v_line), gradient = _prepare(state, gradient)
    number = gradient.dtype.type
    rate = number(learning_rate * (1 - beta_2**step) ** 0.5 / (1 - beta_1**step))
    rests = number(1 - beta_1), number(1 - beta_2)
    spread(_adam, gradient.size, w, gradient, m_line, v_line, rate, *rests, number(epsilon))
    store((w, m_line, v_line), state)


def rmsprop_update(parameter, gradient, mean_square, mean, velocity, learning_rate, rho, momentum, epsilon):
    """See :func:`reference.rmsprop_update`."""
    state = {"parameter": parameter, "mean_square": mean_square, "mean": mean, "velocity": velocity}
    state = {name: array for name, array in state.items() if array is not None}
    arrays, gradient = _prepare(state, gradient)
    line = dict(zip(state, arrays, strict=True))
    number = gradient.dtype.type
    # An array that the form does not need is not touched; the gradient stands in for it.
    spread(
        _rmsprop,
        gradient.size,
        line["parameter"],
        gradient,
        line["mean_square"],
        line.get("mean", gradient),
        line.get("velocity", gradient),
        number(learning_rate),
        number(rho),
        number(1 - rho),
        number(momentum),
        number(epsilon),
        mean is not None,
        velocity is not None,
    )
    store(arrays, state)


def gradient_norm(gradient, out=None, work=None):
    """Sum chunks by blocks, and add these in order; see :func:`reference.gradient_norm`."""
    gradient = operand("gradient", gradient)
    norm = target("out", out, (), gradient.dtype, (gradient,))
    chunks = max(1, min(SUM_CHUNKS, gradient.size // (8 * THREADS)))
    partial = scratch(work)((chunks,), np.float64)
    launch(sum_of_squares, chunks, THREADS, gradient, gradient.size, partial)
    spread(_root_of_sum, 1, partial, chunks, norm)
    return deliver(norm, out)


def scale_gradient(gradient, factor, out=None, work=None):
    """See :func:`reference.scale_gradient`. ``out`` may be the gradient."""
    gradient = operand("gradient", gradient)
    scaled = target("out", out, gradient.shape, gradient.dtype, (), same=(gradient,))
    spread(_scale, gradient.size, gradient, gradient.dtype.type(factor), scaled)
    return deliver(scaled, out)


def clip_gradient(gradient, limit, out=None, work=None):
    """See :func:`reference.clip_gradient`. ``out`` may be the gradient."""
    gradient = operand("gradient", gradient)
    clipped = target("out", out, gradient.shape, gradient.dtype, (), same=(gradient,))
    spread(_clip, gradient.size, gradient, gradient.dtype.type(limit), clipped)
    return deliver(clipped, out)


def _prepare(state, gradient):
    """Return the arrays to update and the gradient as kernels take them, copied if their layout asks for it."""
    gradient = operand("gradient", gradient)
    return updated(state, gradient.dtype, gradient.shape), gradient


@kernel
def _descend(count, w, g, rate):
    """Update one weight by plain descent."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        w[i] -= rate * g[i]


@kernel
def _descend_with_momentum(count, w, g, velocity, rate, momentum, nesterov):
    """Update one weight by descent with momentum, or with Nesterov's."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        step = rate * g[i]
        speed = momentum * velocity[i] - step
        velocity[i] = speed
        w[i] += momentum * speed - step if nesterov else speed


@kernel
def _adam(count, w, g, m, v, rate, rest_1, rest_2, epsilon):
    """Update weights; ``rest_*`` is ``1 - beta_*``."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        m[i] += rest_1 * (g[i] - m[i])
        v[i] += rest_2 * (g[i] * g[i] - v[i])
        w[i] -= rate * m[i] / (math.sqrt(v[i]) + epsilon)


@kernel
def _rmsprop(count, w, g, mean_square, mean, velocity, rate, rho, rest, momentum, epsilon, centered, has_velocity):
    """Update weights; ``rest`` is ``1 - rho``."""
    nothing = g.dtype.type(0)
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        variance = rho * mean_square[i] + rest * (g[i] * g[i])
        mean_square[i] = variance
        if centered:
            middle = rho * mean[i] + rest * g[i]
            mean[i] = middle
            variance -= middle * middle
            variance = nothing if variance < nothing else variance  # this comparison keeps a NaN
        step = rate * g[i] / math.sqrt(variance + epsilon)
        if has_velocity:
            step += momentum * velocity[i]
            velocity[i] = step
        w[i] -= step


@kernel
def _root_of_sum(count, partial, chunks, norm):
    """Add the chunks' sums in order, and take the root."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        total = 0.0
        for chunk in range(chunks):
            total += partial[chunk]
        norm[i] = math.sqrt(total)


@kernel
def _scale(count, x, factor, y):
    """Scale one number."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        y[i] = factor * x[i]


@kernel
def _clip(count, x, limit, y):
    """Clip one number; a NaN is neither above nor below the limit."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        value = x[i]
        value = limit if value > limit else value
        y[i] = -limit if value < -limit else value
