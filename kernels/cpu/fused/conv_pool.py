"""A convolution with its ReLU and its max-pooling in one launch, as a composition of kernels.

What one layer computes and the next uses at once need not go to memory in between. ``tinycnn.network.plan`` decides
which layers run this way; they are tested against the reference backend, which has nothing of the kind.
"""

import functools
import math

import numpy as np

from ... import aligned
from ..._arguments import several
from ...geometry import argmax_dtype
from ..convolution.choice import NO_WINNERS, choose, launch_backward, launch_forward
from ..machine.arrays import deliver, operand, target
from ..machine.max_pooling import NO_POOL, pooling
from ..machine.normalise import affine_tables


def conv2d_stage_forward(x, w, b, window, groups, algorithm, relu, pool, norm=None, out=None, work=None):
    """Compute ``max_pool2d_forward(relu_forward(conv2d_forward(x, w, b)))``, with or without ReLU and pooling.

    In inference a batch normalisation may stand before the pooling.

    Parameters
    ----------
    x, w, b, groups
        As in :func:`reference.conv2d_forward`. If x is (blocks, H, W, C, LANES), as :func:`.lanes.to_lanes` makes it,
        so are all images of the result and, in the backward, of the gradients.
    window : Window
    algorithm : {"auto", "direct", "winograd"}
        See :mod:`tinycnn.kernels.cpu.conv`.
    relu : bool
    pool : Window or None
    norm : (gamma, beta, mean, variance, epsilon), optional
        As in :func:`reference.batch_norm_inference_forward`.
    out : pair of arrays, optional
        ``(y, argmax)``; without pooling the second is ignored.
    work : callable, optional
        It supplies scratch memory.

    Returns
    -------
    y, argmax : arrays
        As :func:`reference.max_pool2d_forward` returns them; without pooling the second is empty.
    """
    lanes = np.shape(x)[4:]
    x, w = operand("x", x, 4 + len(lanes)), operand("w", w, 4, x.dtype)
    F = w.shape[-1]
    b = np.zeros(F, x.dtype) if b is None else operand("b", b, 1, x.dtype, (F,))
    plan = stage_plan(x.shape, x.itemsize, F, window, groups, algorithm, pool)
    outs, p = several(out, 2), plan.sizes
    shape = (p.N, plan.pooling.OH or p.OH, plan.pooling.OW or p.OW, F, *lanes)
    y = target("out[0]", outs[0], shape, x.dtype, (x, w, b))
    argmax = NO_WINNERS
    if pool is not None:
        argmax = target("out[1]", outs[1], shape, argmax_dtype(pool.size), (x, w, b, y))
    if norm is not None:
        gamma, beta, mean, variance, epsilon = norm
        named = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
        channelwise = [operand(name, array, 1, x.dtype, (F,)) for name, array in named.items()]
        norm = (work or aligned.empty)((3, F * math.prod(lanes)), x.dtype)
        affine_tables.launch(1, *channelwise, x.dtype.type(epsilon), math.prod(lanes), norm, of_weights=True)
    launch_forward(plan, x, w, b, 0.0 if relu else -np.inf, y, argmax, work, norm)
    return deliver(y, outs[0]), argmax if pool is None else deliver(argmax, outs[1])


def conv2d_stage_backward(dy, y, argmax, x, w, window, groups, algorithm, relu, pool, wants, out=None, work=None):
    """Compute the gradients of :func:`conv2d_stage_forward`.

    Parameters
    ----------
    dy, y, argmax : arrays
        The gradient by the stage's results, and these.
    x, w, window, groups, algorithm, relu, pool
        As given to the forward.
    wants : (bool, bool)
        Whether dx, and whether dw and db, are computed.
    out : triple of arrays, optional
        ``(dx, dw, db)``.
    work : callable, optional
        It supplies scratch memory.

    Returns
    -------
    dx, dw, db : arrays
        Empty where not asked for.
    """
    dy, x = operand("dy", dy, np.ndim(x)), operand("x", x, np.ndim(x), dy.dtype)
    y, w = operand("y", y, dy.ndim, dy.dtype, dy.shape), operand("w", w, 4, dy.dtype)
    outs, nothing = several(out, 3), np.empty(0, dy.dtype)
    shapes = [x.shape, w.shape, w.shape[-1:]]
    wanted = [wants[0], wants[1], wants[1]]
    gradients = [
        target(f"out[{i}]", outs[i], shapes[i], dy.dtype, (dy, y, x, w)) if wanted[i] else nothing for i in range(3)
    ]
    plan = stage_plan(x.shape, x.itemsize, w.shape[-1], window, groups, algorithm, pool)
    launch_backward(plan, dy, y, argmax, relu, x, w, *gradients, work)
    return tuple(deliver(g, o) if want else g for g, o, want in zip(gradients, outs, wanted, strict=True))


@functools.lru_cache(maxsize=1024)
def stage_plan(x_shape, itemsize, filters, window, groups, algorithm, pool):
    """Return the plan of a stage; it is computed once for each combination of shapes."""
    size = window.output_size(x_shape[1:3])
    pool = NO_POOL if pool is None else pooling(pool, size)
    return choose(algorithm, x_shape[:4], filters, window, groups, itemsize, pool, *x_shape[4:])
