"""Optimizer steps in one pass over each array. See ``reference.optimizer`` for the formulas."""

import math

import numpy as np

from .. import aligned
from .fused.together import adam_chunk, descent_chunk, momentum_chunk
from .machine.arrays import CHUNK, deliver, operand, pieces, store, target, updated
from .machine.jit import helper, refuse
from .machine.parallel import parallel

__all__ = ["adam_update", "clip_gradient", "gradient_norm", "rmsprop_update", "scale_gradient", "sgd_update"]


def sgd_update(parameter, gradient, velocity, learning_rate, momentum, nesterov):
    """Update chunk by chunk; see :func:`reference.sgd_update`."""
    state = {"parameter": parameter} if velocity is None else {"parameter": parameter, "velocity": velocity}
    arrays, gradient = _prepare(state, gradient)
    number = gradient.dtype.type
    flat = [array.reshape(-1) for array in arrays]
    rates = number(learning_rate), number(momentum)
    chunks, has_velocity = pieces(gradient.size, CHUNK), velocity is not None
    _sgd.launch(chunks, flat[0], gradient.reshape(-1), flat[-1], has_velocity, *rates, bool(nesterov))
    store(arrays, state)


def adam_update(parameter, gradient, m, v, step, learning_rate, beta_1, beta_2, epsilon):
    """Update chunk by chunk; see :func:`reference.adam_update`."""
    state = {"parameter": parameter, "m": m, "v": v}
    arrays, gradient = _prepare(state, gradient)
    number = gradient.dtype.type
    rate = number(learning_rate * (1 - beta_2**step) ** 0.5 / (1 - beta_1**step))
    flat = [array.reshape(-1) for array in arrays]
    rests = number(1 - beta_1), number(1 - beta_2)
    _adam.launch(
        pieces(gradient.size, CHUNK), flat[0], gradient.reshape(-1), flat[1], flat[2], rate, *rests, number(epsilon)
    )
    store(arrays, state)


def rmsprop_update(parameter, gradient, mean_square, mean, velocity, learning_rate, rho, momentum, epsilon):
    """Update chunk by chunk; see :func:`reference.rmsprop_update`."""
    state = {"parameter": parameter, "mean_square": mean_square, "mean": mean, "velocity": velocity}
    state = {name: array for name, array in state.items() if array is not None}
    arrays, gradient = _prepare(state, gradient)
    number = gradient.dtype.type
    flat = {name: array.reshape(-1) for name, array in zip(state, arrays, strict=True)}
    unused = np.empty(0, gradient.dtype)
    _rmsprop.launch(
        pieces(gradient.size, CHUNK),
        flat["parameter"],
        gradient.reshape(-1),
        flat["mean_square"],
        flat.get("mean", unused),
        flat.get("velocity", unused),
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
    """Sum each chunk, and add the sums in order; see :func:`reference.gradient_norm`."""
    gradient = operand("gradient", gradient)
    norm = target("out", out, (), gradient.dtype, (gradient,))
    sums = (work or aligned.empty)((pieces(gradient.size, CHUNK),), np.float64)
    _squares.launch(sums.size, gradient.reshape(-1), sums)
    _root_of_sum.launch(1, sums, norm.reshape(-1))
    return deliver(norm, out)


def scale_gradient(gradient, factor, out=None, work=None):
    """Scale chunk by chunk; see :func:`reference.scale_gradient`. ``out`` may be the gradient."""
    gradient = operand("gradient", gradient)
    scaled = target("out", out, gradient.shape, gradient.dtype, (), same=(gradient,))
    number = gradient.dtype.type(factor)
    _scale.launch(pieces(gradient.size, CHUNK), gradient.reshape(-1), number, scaled.reshape(-1))
    return deliver(scaled, out)


def clip_gradient(gradient, limit, out=None, work=None):
    """Clip chunk by chunk; see :func:`reference.clip_gradient`. ``out`` may be the gradient."""
    gradient = operand("gradient", gradient)
    clipped = target("out", out, gradient.shape, gradient.dtype, (), same=(gradient,))
    number = gradient.dtype.type(limit)
    _clip.launch(pieces(gradient.size, CHUNK), gradient.reshape(-1), number, clipped.reshape(-1))
    return deliver(clipped, out)


def _prepare(state, gradient):
    """Return the arrays to update and the gradient as jitted code takes them, copied if their layout asks for it."""
    refuse("the numbers of this step are among the arguments of an optimizer")
    gradient = operand("gradient", gradient)
    return updated(state, gradient.dtype, gradient.shape), gradient


@parallel
def _sgd(chunk, worker, parameter, gradient, velocity, has_velocity, rate, momentum, nesterov):
    """Update a chunk of elements. Without a velocity the argument of that name is not touched."""
    start, stop = chunk * CHUNK, min(parameter.size, (chunk + 1) * CHUNK)
    if has_velocity:
        momentum_chunk(parameter[start:stop], gradient[start:stop], velocity[start:stop], rate, momentum, nesterov)
    else:
        descent_chunk(parameter[start:stop], gradient[start:stop], rate)


@parallel
def _adam(chunk, worker, parameter, gradient, m, v, rate, rest_1, rest_2, epsilon):
    """Update a chunk of elements; the parameters are those of :func:`.fused.together.adam_chunk`."""
    start, stop = chunk * CHUNK, min(parameter.size, (chunk + 1) * CHUNK)
    adam_chunk(parameter[start:stop], gradient[start:stop], m[start:stop], v[start:stop], rate, rest_1, rest_2, epsilon)


@parallel
def _rmsprop(
    chunk, worker, w, g, mean_square, mean, velocity, rate, rho, rest, momentum, epsilon, centered, has_velocity
):  # fmt: skip
    """Update a chunk of elements; arrays that this form does not need are not touched.

    Parameters
    ----------
    chunk, worker : int
    w, g, mean_square, mean, velocity : flat arrays
    rate, rho, rest, momentum, epsilon : numbers
        ``rest`` is ``1 - rho``.
    centered, has_velocity : bool
        Whether there is a mean, and a velocity.
    """
    start, stop = chunk * CHUNK, min(w.size, (chunk + 1) * CHUNK)
    step = np.empty(stop - start, w.dtype)
    mean_square_chunk(mean_square[start:stop], g[start:stop], rho, rest)
    if centered:
        mean_chunk(mean[start:stop], g[start:stop], rho, rest)
        centered_step(step, g[start:stop], mean_square[start:stop], mean[start:stop], rate, epsilon)
    else:
        plain_step(step, g[start:stop], mean_square[start:stop], rate, epsilon)
    if has_velocity:
        velocity_chunk(step, velocity[start:stop], momentum)
    descent_chunk(w[start:stop], step, w.dtype.type(1))


@helper
def mean_square_chunk(mean_square, g, rho, rest):
    """Update one chunk of the running mean of squares."""
    for i in range(g.size):
        mean_square[i] = rho * mean_square[i] + rest * (g[i] * g[i])


@helper
def mean_chunk(mean, g, rho, rest):
    """Update one chunk of the running mean."""
    for i in range(g.size):
        mean[i] = rho * mean[i] + rest * g[i]


@helper
def plain_step(step, g, mean_square, rate, epsilon):
    """Divide the gradient by the root of the mean square."""
    for i in range(g.size):
        step[i] = rate * g[i] / math.sqrt(mean_square[i] + epsilon)


@helper
def centered_step(step, g, mean_square, mean, rate, epsilon):
    """Divide the gradient by the root of the variance."""
    nothing = g.dtype.type(0)
    for i in range(g.size):
        variance = mean_square[i] - mean[i] * mean[i]
        variance = nothing if variance < nothing else variance  # this comparison keeps a NaN
        step[i] = rate * g[i] / math.sqrt(variance + epsilon)


@helper
def velocity_chunk(step, velocity, momentum):
    """Add the step to the velocity, and let the velocity take its place."""
    for i in range(step.size):
        velocity[i] = momentum * velocity[i] + step[i]
        step[i] = velocity[i]


@parallel
def _squares(chunk, worker, x, sums):
    """Sum the squares of a chunk, in double precision."""
    total = 0.0
    for i in range(chunk * CHUNK, min(x.size, (chunk + 1) * CHUNK)):
        total += np.float64(x[i]) * np.float64(x[i])
    sums[chunk] = total


@parallel
def _root_of_sum(item, worker, sums, norm):
    """Add the chunks' sums in order, and take the root."""
    total = 0.0
    for chunk in range(sums.size):
        total += sums[chunk]
    norm[0] = math.sqrt(total)


@parallel
def _scale(chunk, worker, x, factor, y):
    """Scale a chunk of elements."""
    start, stop = chunk * CHUNK, min(x.size, (chunk + 1) * CHUNK)
    scale_chunk(x[start:stop], factor, y[start:stop])


@helper
def scale_chunk(x, factor, y):
    """Compute one chunk of :func:`_scale`."""
    for i in range(x.size):
        y[i] = factor * x[i]


@parallel
def _clip(chunk, worker, x, limit, y):
    """Clip a chunk of elements."""
    start, stop = chunk * CHUNK, min(x.size, (chunk + 1) * CHUNK)
    clip_chunk(x[start:stop], limit, y[start:stop])


@helper
def clip_chunk(x, limit, y):
    """Compute one chunk of :func:`_clip`; a NaN is neither above nor below the limit."""
    for i in range(x.size):
        value = x[i]
        value = limit if value > limit else value
        y[i] = -limit if value < -limit else value
