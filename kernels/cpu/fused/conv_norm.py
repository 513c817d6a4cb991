"""A convolution with its ReLU, the batch normalisation behind it, and perhaps max-pooling, in training.

By itself, a normalisation reads its input for the statistics, reads it again for the result, and in the backward twice
more; the pooling behind it reads all of that result. Here the convolution takes the statistics while its results are in
the cache. The pooling takes the place of the normalisation: an increasing map changes nothing about which of several
numbers is the largest, so the winners are found first, and only they are normalised. In the backward, both sums over
dy need the winners alone, and the gradient by the normalisation's input is made where the convolution's backward reads
it, so it never goes to memory.

Of values which only rounding makes equal, another one may win than if they were normalised first.
"""

import math

import numpy as np

from ... import aligned
from ..._arguments import several
from ...geometry import argmax_dtype
from ..batchnorm import affine_rows, parameter_gradients, statistics, together
from ..convolution.choice import NO_WINNERS, launch_backward, launch_forward, moment_parts
from ..machine.arrays import deliver, operand, target
from ..machine.jit import helper
from ..machine.max_pooling import pool_rows
from ..machine.memory import copy
from ..machine.normalise import normalise_pixel
from ..machine.parallel import parallel, worker_count
from .conv_pool import stage_plan

#: The least number of images; with fewer, the convolution cuts an image's rows among chunks.
LEAST_IMAGES = 16
CHUNKS = 32  # at most, into which the images are cut for the pooling


def conv2d_norm_stage_forward(
    x, w, b, window, groups, algorithm, relu, pool, gamma, beta, epsilon, out=None, work=None
):  # fmt: skip
    """Compute a stage with a normalisation between ReLU and pooling.

    Parameters
    ----------
    x, w, b, window, groups, algorithm, relu, pool
        As in :func:`.conv_pool.conv2d_stage_forward`, for at least ``LEAST_IMAGES`` images, not in lanes.
    gamma, beta, epsilon
        As in :func:`reference.batch_norm_forward`.
    out : six arrays, optional
        They receive the results; without pooling the second and fourth are ignored.
    work : callable, optional
        It supplies scratch memory.

    Returns
    -------
    y, argmax : arrays
        As :func:`reference.max_pool2d_forward` returns them.
    z, peaks : arrays
        What is normalised, and the winners of z.
    mean, variance : (F,) arrays
    """
    x, w = operand("x", x, 4), operand("w", w, 4, x.dtype)
    N, F, empty = len(x), w.shape[-1], work or aligned.empty
    if N < LEAST_IMAGES or not x.size or not w.size:
        raise ValueError(
            f"x must hold at least {LEAST_IMAGES} images, and neither x nor w may be empty; got shapes {x.shape} and "
            f"{w.shape}. Use conv2d_stage_forward and batch_norm_forward"
        )
    gamma, beta = (operand(name, array, 1, x.dtype, (F,)) for name, array in (("gamma", gamma), ("beta", beta)))
    b = np.zeros(F, x.dtype) if b is None else operand("b", b, 1, x.dtype, (F,))
    plan, p = (stage_plan(x.shape, x.itemsize, F, window, groups, algorithm, behind) for behind in (None, pool))
    OH, OW, pooling = p.sizes.OH, p.sizes.OW, p.pooling
    images, pooled = (N, OH, OW, F), (N, pooling.OH or OH, pooling.OW or OW, F)
    winners = np.uint8 if pool is None else argmax_dtype(pool.size)
    shapes = pooled, pooled, images, pooled, (F,), (F,)
    dtypes = x.dtype, winners, x.dtype, x.dtype, x.dtype, x.dtype
    outs, results = several(out, 6), []
    for i in range(6):
        needed = pool is not None or i not in (1, 3)
        inputs = x, w, b, gamma, beta, *results
        results.append(target(f"out[{i}]", outs[i], shapes[i], dtypes[i], inputs) if needed else np.empty(0, dtypes[i]))
    y, argmax, z, peaks, mean, variance = results

    (parts, together_images), width = moment_parts(plan), F * together(OH * OW, F)
    moments, totals = empty((2, parts, width), np.float64), empty((2, F), np.float64)
    tables = empty((3, width), x.dtype)
    launch_forward(plan, x, w, b, 0.0 if relu else -np.inf, z, NO_WINNERS, work, moments=tuple(moments))
    rows, last = (n * OH * OW * F // width for n in (together_images, N - together_images * (parts - 1)))
    statistics.launch(
        1, *moments.reshape(2, -1, F), rows, last, N * OH * OW, totals, gamma, beta, x.dtype.type(epsilon), mean,
        variance, tables,
    )  # fmt: skip
    if pool is None:
        affine_rows(z.reshape(-1, width), tables, y.reshape(-1, width))
    else:
        chunks = min(N, CHUNKS)
        _pool.launch(
            chunks, pooling, N, chunks, z.reshape(-1), OH, OW, F, *(table[:F] for table in tables), peaks.reshape(-1),
            argmax.reshape(-1), y.reshape(-1), empty((worker_count(chunks), OH * OW * F), x.dtype),
        )  # fmt: skip
    return tuple(deliver(result, o) if result.size else result for result, o in zip(results, outs, strict=True))


def conv2d_norm_stage_backward(
    dy, argmax, z, peaks, x, w, window, groups, algorithm, relu, pool, gamma, mean, variance, epsilon, wants, out=None,
    work=None,
):  # fmt: skip
    """Compute the gradients of :func:`conv2d_norm_stage_forward`.

    Parameters
    ----------
    dy : array
        The gradient by y.
    argmax, z, peaks, mean, variance : arrays
        What the forward returned.
    x, w, window, groups, algorithm, relu, pool, gamma, epsilon
        As given to the forward.
    wants : (bool, bool)
        Whether dx, and whether dw and db, are computed.
    out : five arrays, optional
        They receive the results.
    work : callable, optional
        It supplies scratch memory.

    Returns
    -------
    dx, dw, db, dgamma, dbeta : arrays
        Empty where not asked for.
    """
    x, w = operand("x", x, 4), operand("w", w, 4, x.dtype)
    F = w.shape[-1]
    plan = stage_plan(x.shape, x.itemsize, F, window, groups, algorithm, pool)
    OH, OW = plan.sizes.OH, plan.sizes.OW
    z = operand("z", z, 4, x.dtype, (len(x), OH, OW, F))
    chosen = z if pool is None else operand("peaks", peaks, 4, x.dtype)
    dy = operand("dy", dy, 4, x.dtype, chosen.shape)
    channelwise = {"gamma": gamma, "mean": mean, "variance": variance}
    gamma, mean, variance = (operand(name, array, 1, x.dtype, (F,)) for name, array in channelwise.items())
    inputs, outs, gradients = (dy, z, chosen, x, w, gamma, mean, variance), several(out, 5), []
    wanted = wants[0], wants[1], wants[1], True, True
    for i, shape in enumerate((x.shape, w.shape, (F,), (F,), (F,))):
        memory = target(f"out[{i}]", outs[i], shape, x.dtype, (*inputs, *gradients)) if wanted[i] else z[:0].reshape(-1)
        gradients.append(memory)
    width = F * together(math.gcd(OH * OW, dy.size // F), F)
    tables = parameter_gradients(
        dy.reshape(-1, width), chosen.reshape(-1, width), z.size // F, gamma, mean, variance, epsilon, *gradients[3:],
        work or aligned.empty,
    )  # fmt: skip
    if any(wants):
        launch_backward(plan, dy, z, argmax, relu, x, w, *gradients[:3], work, tables)
    return tuple(deliver(g, o) if want else g for g, o, want in zip(gradients, outs, wanted, strict=True))


@parallel
def _pool(chunk, worker, pooling, N, chunks, z, H, W, C, mean, scale, shift, peaks, winners, y, work):
    """Pool some images and normalise the winners.

    Parameters
    ----------
    chunk, worker : int
    pooling : Pooling
    N, chunks : int
    z : flat array
        The images, each (H, W, C).
    H, W, C : int
    mean, scale, shift : (C,) arrays
    peaks, winners, y : flat arrays
        They receive the winners of z, their taps, and the winners normalised.
    work : (workers, H * W * C) array
        Scratch memory.
    """
    increasing = True
    for c in range(C):
        increasing &= scale[c] > 0
    size, results = H * W * C, pooling.OH * pooling.OW * C
    for n in range(chunk * N // chunks, (chunk + 1) * N // chunks):
        if increasing:
            pool_rows(pooling, z, n * size, H, W, C, 0, pooling.OH, peaks, winners, n)
        else:
            turned(z, n * size, scale, work[worker])
            pool_rows(pooling, work[worker], 0, H, W, C, 0, pooling.OH, peaks, winners, n)
            fetch(pooling, z, n * size, W, C, peaks, winners, n)
        copy(y, n * results, peaks, n * results, results)
        for pixel in range(n * results, (n + 1) * results, C):
            normalise_pixel(C, y, pixel, mean, scale, shift)


@helper
def turned(z, start, scale, image):
    """Write an image of which the largest number of a channel is that which is the largest when normalised.

    Where the scale is negative that is -z. Where it is zero all are equal, and so the first one wins.
    """
    nothing = z.dtype.type(0)
    for at in range(0, image.size, scale.size):
        for c in range(scale.size):
            # A signed index may count from the end, so the compiler would load a number at a time.
            value, place = z[np.uint64(start + at + c)], np.uint64(at + c)
            image[place] = value if scale[c] > nothing else (-value if scale[c] < nothing else scale[c] * value)


@helper
def fetch(pooling, z, start, W, C, peaks, winners, n):
    """Write the numbers of image n that the winning taps point to."""
    for i in range(pooling.OH):
        for j in range(pooling.OW):
            at = ((n * pooling.OH + i) * pooling.OW + j) * C
            for c in range(C):
                tap = np.int64(winners[at + c])
                row = i * pooling.row_stride - pooling.top + tap // pooling.columns
                column = j * pooling.column_stride - pooling.left + tap % pooling.columns
                peaks[at + c] = z[start + (row * W + column) * C + c]
